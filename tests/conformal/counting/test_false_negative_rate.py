"""Counts of missed voxels against the literal definition."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from monai_rwcp.conformal import LossTable, false_negative_rate_table, threshold_levels


def literal_missed(score: torch.Tensor, truth: torch.Tensor, level: int) -> int:
    return int((truth & (score.double() < float(threshold_levels()[level]))).sum())


def tied_scores(shape: tuple[int, ...], dtype: torch.dtype) -> torch.Tensor:
    """Softmax scores of which many lie exactly on a threshold, or are saturated."""
    generator = torch.Generator().manual_seed(2)
    score = torch.softmax(4 * torch.randn(3, *shape, generator=generator, dtype=torch.float64), dim=0)
    levels = torch.tensor(threshold_levels()).double()
    score[1, :3] = levels[torch.randint(0, len(levels), score[1, :3].shape, generator=generator)]
    return score.to(dtype)


@pytest.mark.parametrize("dtype", [torch.float16, torch.float32, torch.float64])
@pytest.mark.parametrize("shape", [(20, 15), (8, 7, 6)])
@pytest.mark.parametrize("slab", [1, 95, 2**21])
def test_counts_are_the_literal_ones(
    dtype: torch.dtype, shape: tuple[int, ...], slab: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("monai_rwcp.conformal.counting.count_case._SLAB_VOXELS", slab)
    score = tied_scores(shape, dtype)
    label = torch.randint(0, 3, (1, *shape), generator=torch.Generator().manual_seed(1))
    mask = torch.rand(1, *shape, generator=torch.Generator().manual_seed(4)) > 0.3
    table = false_negative_rate_table(score, label, unit="a", mask=mask)
    assert table.classes == (1, 2)
    for c in table.classes:
        truth = (label[0] == c) & mask[0]
        assert table.true(c).tolist() == [int(truth.sum())]
        missed = table.missed(c)[0]
        for j in range(0, len(missed), 50):
            assert missed[j] == literal_missed(score[c], truth, j)


@pytest.mark.parametrize("axis", [1, 2, 3])
def test_pieces_of_a_unit_give_the_table_of_the_whole(axis: int) -> None:
    score = tied_scores((9, 8, 7), torch.float32)
    score[:, :2, :3] = 0
    label = torch.randint(0, 3, (1, 9, 8, 7), generator=torch.Generator().manual_seed(1))
    whole = false_negative_rate_table(score, label, unit="anna")
    pieces = zip(score.split(3, dim=axis), label.split(3, dim=axis), strict=True)
    joined = LossTable.join(
        false_negative_rate_table(s, y, unit="anna", image=f"piece {i}") for i, (s, y) in enumerate(pieces)
    )
    assert joined.units == whole.units
    for c in whole.classes:
        np.testing.assert_array_equal(joined.missed(c), whole.missed(c))
        np.testing.assert_array_equal(joined.true(c), whole.true(c))


def test_a_wrong_label_in_the_last_slab_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("monai_rwcp.conformal.counting.count_case._SLAB_VOXELS", 4)
    label = LABEL.clone()
    label[0, 3, 3] = 9
    with pytest.raises(ValueError, match=r"also holds 9"):
        false_negative_rate_table(GOOD, label, unit="a")


def test_label_modes_agree() -> None:
    score = tied_scores((9, 9), torch.float32)
    label = torch.randint(0, 3, (1, 9, 9))
    one_hot = torch.nn.functional.one_hot(label[0], 3).movedim(-1, 0)
    index = false_negative_rate_table(score, label, unit="a", include_background=True)
    other = false_negative_rate_table(score, one_hot, unit="a", label_mode="one_hot", include_background=True)
    regions = false_negative_rate_table(score, one_hot, unit="a", label_mode="regions")
    assert index.classes == other.classes == regions.classes == (0, 1, 2)
    for c in range(3):
        np.testing.assert_array_equal(index.missed(c), other.missed(c))
        np.testing.assert_array_equal(index.missed(c), regions.missed(c))


def test_overlapping_regions_and_one_channel() -> None:
    score = torch.tensor([[[0.2, 0.7]]])
    table = false_negative_rate_table(score, torch.tensor([[[1, 1]]]), unit="a", label_mode="regions")
    middle = int(np.searchsorted(threshold_levels(), 0.5))
    assert table.classes == (0,)
    assert table.missed(0)[0, middle] == 1
    both = torch.ones(2, 1, 2)
    assert false_negative_rate_table(score.repeat(2, 1, 1), both, unit="a", label_mode="regions").true(1) == [2]


@pytest.mark.parametrize("dtype", [torch.bool, torch.uint8, torch.int16, torch.float16, torch.float64])
def test_labels_of_any_dtype(dtype: torch.dtype) -> None:
    label = torch.tensor([[[0, 1, 1]]]).to(dtype)
    assert false_negative_rate_table(torch.rand(2, 1, 3), label, unit="a").true(1).tolist() == [2]


def test_truth_at_an_exact_zero_is_missed_by_every_set_but_the_whole_image() -> None:
    """The same where every channel is 0 and where another class is sure, and for the smallest of scores."""
    score = torch.tensor([[[0.0, 1.0, 0.4, 1.0]], [[0.0, 0.0, 0.6, 2e-38]]])
    table = false_negative_rate_table(score, torch.tensor([[[1, 1, 1, 1]]]), unit="a")
    assert table.missed(1)[0, [0, 1, 2, -1]].tolist() == [0, 2, 2, 4]
    assert table.images["a"].true_voxels == {1: (4, 2)}


def test_no_truth() -> None:
    table = false_negative_rate_table(torch.rand(2, 3, 3), torch.zeros(1, 3, 3), unit="a")
    assert table.true(1).tolist() == [0]
    assert table.missed(1).sum() == 0


GOOD = torch.full((2, 4, 4), 0.5)
LABEL = torch.zeros(1, 4, 4)


@pytest.mark.parametrize(
    ("score", "label", "options", "message"),
    [
        (GOOD * torch.nan, LABEL, {}, "NaN or infinite"),
        (GOOD * 5, LABEL, {}, "no probabilities, nor anything known"),
        (GOOD - 1, LABEL, {}, "looks like logits"),
        (GOOD.long(), LABEL, {}, "looks like a mask"),
        (GOOD[None, None], LABEL, {}, "split into items"),
        (GOOD, LABEL + 2, {}, r"class numbers from 0 to 1.*also holds 2.*mask"),
        (GOOD, LABEL - 1, {}, "also holds -1"),
        (GOOD, LABEL + 0.5, {}, "0.5"),
        (GOOD, torch.zeros(1, 4, 5), {}, r"\(1, 4, 4\).*\(1, 4, 5\).*same grid"),
        (GOOD, torch.zeros(4, 4), {}, r"\(4, 4\)"),
        (GOOD, LABEL, {"mask": torch.ones(4, 4)}, "mask of shape"),
        (GOOD, LABEL, {"label_mode": "one_hot"}, r"\(2, 4, 4\).*one_hot"),
        (GOOD, torch.zeros(2, 4, 4), {"label_mode": "one_hot"}, "exactly one class"),
        (GOOD, torch.full((2, 4, 4), 3.0), {"label_mode": "regions"}, "zeros and ones"),
        (GOOD[:1], LABEL, {}, "regions"),
        (GOOD, LABEL, {"label_mode": "mask"}, "label_mode"),
    ],
)
def test_bad_cases(score: torch.Tensor, label: torch.Tensor, options: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        false_negative_rate_table(score, label, unit="a", **options)


def test_ignored_labels_are_not_checked() -> None:
    label = torch.full((1, 4, 4), 255.0)
    label[0, 0] = 1
    table = false_negative_rate_table(GOOD, label, unit="a", mask=label != 255)
    assert isinstance(table, LossTable)
    assert table.true(1).tolist() == [4]
