"""A mask in the place of a score is refused wherever sets and promises are made; an image without a find is not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from monai.transforms import AsDiscrete

from monai_rwcp import ConformalSandwich, ConformalThreshold, LossTable, calibrate, tune_settings
from monai_rwcp.conformal import case_loss_table
from monai_rwcp.provenance import ScoreRecord
from monai_rwcp.scores import PlainScore
from monai_rwcp.utils.score_range import check_no_mask
from tests.helpers.map_folders import run, save, truth_and_map

N, BAD = 30, 17
OWN = ScoreRecord(dtype="float32", side="unknown")
MASK = "holds nothing but 0 and 1, so it looks like a mask"


def score(i: int) -> torch.Tensor:
    return torch.tensor(np.moveaxis(truth_and_map(i)[1], -1, 0))


def label(i: int) -> torch.Tensor:
    return torch.tensor(truth_and_map(i)[0])[None]


def nothing_found() -> torch.Tensor:
    """What 8 bits or half precision leave of a map where the network is sure that there is nothing."""
    found = torch.zeros_like(score(0))
    found[0] = 1
    return found


def test_what_a_mask_is() -> None:
    one_hot = AsDiscrete(argmax=True, to_onehot=3)(score(0))
    for mask in (one_hot, one_hot.bool(), one_hot[1:2]):
        with pytest.raises(ValueError, match=MASK):
            check_no_mask(mask)
    nearly = one_hot.clone()
    nearly[:, -1, -1, -1] = torch.tensor([0.5, 0.5, 0])
    for real in (nearly, score(0), nothing_found(), nothing_found()[1:2]):
        check_no_mask(real)


def test_sets_of_masks() -> None:
    outer, inner = (
        calibrate(
            LossTable.join(
                [
                    case_loss_table(score(i), label(i), loss=loss, unit=f"p{i}", image=f"i{i}", provenance=OWN)
                    for i in range(20)
                ]
            ),
            alpha=0.2,
        )
        for loss in ("fnr", "inner")
    )
    one_hot = AsDiscrete(argmax=True, to_onehot=3)(score(0))
    with pytest.raises(ValueError, match=MASK):
        ConformalThreshold(outer)(one_hot)
    with pytest.raises(ValueError, match=MASK):
        ConformalSandwich(inner, outer)(one_hot)
    assert not ConformalThreshold(outer)(nothing_found())[1:].any()


def test_tuning_on_one_mask() -> None:
    data = [{"pred": score(i), "label": label(i), "patient": f"p{i}"} for i in range(8)]
    tune_settings([*data[:5], data[5] | {"pred": nothing_found()}, *data[6:]], candidates=[PlainScore()], alpha=0.2)
    data[5]["pred"] = AsDiscrete(argmax=True, to_onehot=3)(score(5))
    with pytest.raises(ValueError, match=f"'pred' of case 5: .*{MASK}"):
        tune_settings(data, candidates=[PlainScore()], alpha=0.2)


def test_one_mask_of_thirty_in_a_folder(tmp_path: Path) -> None:
    for i in range(N):
        truth, shares = truth_and_map(i)
        # One patient who has nothing, and in whom nothing is found.
        empty = i == 3
        save(truth * (not empty), tmp_path / "labels" / f"c{i:02d}.nii.gz")
        save(np.moveaxis(nothing_found().numpy(), 0, -1) if empty else shares, tmp_path / "maps" / f"c{i:02d}.nii.gz")
    maps = ["calibrate", tmp_path / "maps", "--form", "channels-last", "--labels", tmp_path / "labels", "--out"]
    ran = run(*maps, tmp_path / "c.json")
    assert ran.exit_code == 0, ran.output
    shares = truth_and_map(BAD)[1]
    save(np.eye(3, dtype=np.float32)[shares.argmax(-1)], tmp_path / "maps" / f"c{BAD}.nii.gz")
    predicted = ["predict", tmp_path / "maps", "--form", "channels-last", "--calibration", tmp_path / "c.json"]
    for command in ([*maps, tmp_path / "d.json"], [*predicted, "--out", tmp_path / "sets"]):
        ran = run(*command)
        assert ran.exit_code == 1
        assert f"c{BAD}" in ran.output
        assert f"{MASK}. Name the folder of the probability maps" in ran.output
    assert len(list((tmp_path / "sets").glob("c*.nii.gz"))) == N - 1
