"""Features of exported programs: where they lie in the image, what is refused, and one real encoder."""

from __future__ import annotations

import hashlib
import pickle
from pathlib import Path
from unittest.mock import Mock

import pytest
import torch
import torch.nn.functional as F
from monai.data import MetaTensor

from monai_rwcp.features import ExportedFeatures, FeatureExtractor


def _save(path: Path, module: torch.nn.Module, *inputs: torch.Tensor, **options: object) -> Path:
    torch.export.save(torch.export.export(module, inputs, **options), path)  # type: ignore[arg-type]
    return path


def _mean_of_cells(stride: int | tuple[int, int], channels: int = 3) -> torch.nn.Conv2d:
    """A strided convolution that averages each cell over all channels."""
    convolution = torch.nn.Conv2d(channels, 1, stride, stride=stride, bias=False)
    torch.nn.init.constant_(convolution.weight, 1 / convolution.weight[0].numel())
    return convolution


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return _save(tmp_path_factory.mktemp("program") / "mean.pt2", _mean_of_cells(4), torch.rand(1, 3, 64, 64))


@pytest.fixture(scope="module")
def oblong(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return _save(tmp_path_factory.mktemp("program") / "oblong.pt2", _mean_of_cells((4, 8)), torch.rand(1, 3, 48, 96))


def _check_square_is_found(path: Path, shape: tuple[int, int], corner: tuple[int, int], side: int) -> None:
    image = torch.zeros(1, *shape)
    image[0, corner[0] : corner[0] + side, corner[1] : corner[1] + side] = 1
    features = ExportedFeatures(path)(image)[0]
    for axis in (0, 1):
        cells = features.shape[axis]
        weight = features.sum(dim=1 - axis)
        found = float((weight * (torch.arange(cells) + 0.5)).sum() / weight.sum())  # in cells from the image's edge
        truth = (corner[axis] + side / 2) / shape[axis] * cells
        assert abs(found - truth) < 0.1
    # The field of view is the image and nothing but it: the square's share of the area stays.
    assert float(features.mean()) == pytest.approx(float(image.mean()), rel=0.03)


@pytest.mark.parametrize(
    ("shape", "corner", "side"),
    [
        ((131, 83), (17, 49), 21),  # portrait, sides that are no multiple of the stride
        ((83, 131), (49, 17), 21),  # landscape
        ((61, 64), (40, 40), 16),  # almost square, hardly scaled
        ((23, 17), (2, 11), 5),  # smaller than the input
        ((200, 31), (150, 4), 20),  # thin
        ((97, 97), (0, 76), 21),  # a corner of the image
    ],
)
@pytest.mark.parametrize("kind", ["program", "oblong"])
def test_a_bright_square_is_found(
    kind: str, shape: tuple[int, int], corner: tuple[int, int], side: int, request: pytest.FixtureRequest
) -> None:
    _check_square_is_found(request.getfixturevalue(kind), shape, corner, side)


@pytest.mark.parametrize(
    ("kind", "shape", "grid"),
    [
        ("program", (64, 64), (16, 16)),
        ("program", (128, 64), (16, 8)),
        ("program", (128, 59), (16, 7)),
        ("program", (128, 61), (16, 8)),
        ("program", (500, 3), (16, 1)),
        ("oblong", (48, 96), (12, 12)),
        ("oblong", (48, 48), (12, 6)),
        ("oblong", (20, 96), (5, 12)),
    ],
)
def test_grid_is_the_image_in_whole_cells(
    kind: str, shape: tuple[int, int], grid: tuple[int, int], request: pytest.FixtureRequest
) -> None:
    features = ExportedFeatures(request.getfixturevalue(kind))(torch.rand(1, *shape))
    assert features.shape == (1, *grid)


def test_an_image_of_the_programs_size_is_given_as_it_is(program: Path) -> None:
    image = torch.rand(3, 64, 64)
    torch.testing.assert_close(ExportedFeatures(program)(image), F.avg_pool2d(image, 4).mean(dim=0, keepdim=True))


def test_padding_lies_right_and_below_and_is_cut_off(program: Path) -> None:
    image = torch.rand(1, 40, 64)
    torch.testing.assert_close(ExportedFeatures(program)(image), F.avg_pool2d(image, 4))


def test_one_channel_is_repeated(tmp_path: Path) -> None:
    convolution = torch.nn.Conv2d(3, 5, 4, stride=4)
    features = ExportedFeatures(_save(tmp_path / "p.pt2", convolution, torch.rand(1, 3, 16, 16)))
    image = torch.rand(1, 16, 16)
    torch.testing.assert_close(features(image), convolution(torch.cat([image] * 3)[None])[0].detach())


def test_result_is_plain_float32_without_gradients_and_the_image_is_left_alone(program: Path) -> None:
    image = MetaTensor(torch.rand(1, 50, 40, dtype=torch.float64))
    before = image.clone()
    features = ExportedFeatures(program)(image)
    assert type(features) is torch.Tensor
    assert features.dtype == torch.float32
    assert not features.requires_grad
    assert torch.equal(image, before)


def test_the_program_is_loaded_once_and_only_when_it_is_needed(program: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    load = Mock(side_effect=torch.export.load)
    monkeypatch.setattr(torch.export, "load", load)
    features = ExportedFeatures(program)
    assert features.name
    load.assert_not_called()
    features(torch.rand(1, 8, 8))
    features(torch.rand(1, 8, 8))
    load.assert_called_once()


def test_pickle_holds_the_path_and_not_the_program(program: Path) -> None:
    features = ExportedFeatures(program)
    image = torch.rand(1, 30, 20)
    expected = features(image)
    dumped = pickle.dumps(features)
    assert len(dumped) < 1000
    again = pickle.loads(dumped)
    assert torch.equal(again(image), expected)
    assert again.name == features.name


def test_name_is_the_files_hash_read_once(tmp_path: Path) -> None:
    path = _save(tmp_path / "p.pt2", _mean_of_cells(4), torch.rand(1, 3, 16, 16))
    features = ExportedFeatures(str(path))
    digest = hashlib.sha256(path.read_bytes()).hexdigest()[:16]
    assert isinstance(features, FeatureExtractor)
    assert features.name == f"ExportedFeatures(intensity=none, sha256:{digest})"
    path.unlink()
    assert digest in features.name


def test_missing_file_is_told_at_construction(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"no exported program at '.*none\.pt2'"):
        ExportedFeatures(tmp_path / "none.pt2")
    with pytest.raises(FileNotFoundError, match="no exported program"):
        ExportedFeatures(tmp_path)


def test_damaged_file_is_told_at_the_first_call(tmp_path: Path, program: Path) -> None:
    for name, content in (("text", b"no program"), ("half", program.read_bytes()[:2000]), ("empty", b"")):
        path = tmp_path / f"{name}.pt2"
        path.write_bytes(content)
        with pytest.raises(ValueError, match=rf"{name}\.pt2' is damaged or was not written by torch.export.save"):
            ExportedFeatures(path)(torch.rand(1, 8, 8))


class _Sum(torch.nn.Module):
    def forward(self, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        return a + b


class _Pair(torch.nn.Module):
    def forward(self, a: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return a + 1, a + 2


def test_programs_of_another_form(tmp_path: Path) -> None:
    image = torch.rand(1, 3, 32, 32)
    dynamic = {"input": {2: torch.export.Dim("height", min=8, max=64)}}
    for number, (module, inputs, options, message) in enumerate(
        [
            (_Sum(), (image, image), {}, r"one input of fixed shape .* but its inputs are \[\(1, 3, 32, 32\), \(1"),
            (torch.nn.ReLU(), (image.expand(2, -1, -1, -1),), {}, r"inputs are \[\(2, 3, 32, 32\)\]"),
            (torch.nn.ReLU(), (torch.rand(1, 3, 8, 8, 8),), {}, r"inputs are \[\(1, 3, 8, 8, 8\)\]"),
            (torch.nn.Conv2d(3, 1, 1), (image,), {"dynamic_shapes": dynamic}, "one input of fixed shape"),
            (torch.nn.Flatten(), (image,), {}, r"give a map .* input of 32 x 32, but it gave \(1, 3072\)"),
            (_Pair(), (image,), {}, "give a map .* but it gave tuple"),
            (_mean_of_cells(3), (image,), {}, r"whole strides for an input of 32 x 32, but it gave \(1, 1, 10, 10\)"),
        ]
    ):
        path = _save(tmp_path / f"{number}.pt2", module, *inputs, **options)
        with pytest.raises(ValueError, match=message):
            ExportedFeatures(path)(torch.rand(1, 16, 16))


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (torch.rand(1, 8, 8, 8), r"one 2D image .* got shape \(1, 8, 8, 8\)"),
        (torch.rand(8, 8), r"one image \[channels, \*spatial\] .* got shape \(8, 8\)"),
        (torch.rand(2, 8, 8), r"1 or 3 channels, but got shape \(2, 8, 8\)"),
        (torch.full((1, 8, 8), float("nan")), r"finite image, but in shape \(1, 8, 8\)"),
        (torch.full((1, 8, 8), float("inf")), "finite image"),
        (torch.linspace(0, 255, 64).reshape(1, 8, 8), r"in \[0, 1\], but it ranges from 0 to 255\. Give intensity="),
        (torch.linspace(-0.1, 1, 64).reshape(1, 8, 8), "ranges from -0.1 to 1"),
        (torch.linspace(0, 1.001, 64).reshape(1, 8, 8), "ranges from 0 to 1.001"),
        (torch.full((1, 8, 8), 0.5), r"values vary, but in shape \(1, 8, 8\) all values are 0\.5"),
    ],
)
def test_bad_images(program: Path, image: torch.Tensor, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ExportedFeatures(program)(image)


def test_rounding_errors_around_the_range_are_no_error(program: Path) -> None:
    eps = torch.finfo(torch.float32).eps
    ExportedFeatures(program)(torch.tensor([-4 * eps, 1 + 4 * eps]).reshape(1, 1, 2))


@pytest.mark.slow
def test_litemedsam(shared_dir: Path) -> None:
    path = shared_dir / "weights" / "litemedsam_encoder_256.pt2"
    if not path.is_file():
        pytest.skip(f"needs {path.name} in ../shared/weights")
    features = ExportedFeatures(path)
    torch.manual_seed(0)
    blank = F.interpolate(torch.rand(1, 1, 12, 8), (216, 150), mode="bilinear")[0] * 0.2
    image = blank.clone()
    image[0, 120:150, 30:60] = 1

    # 150 / 216 of 256 is 177.8, of which the nearest multiple of the stride 4 is 176.
    by_hand = F.interpolate(image[None], (256, 176), mode="bilinear", align_corners=False, antialias=True)
    by_hand = F.pad(by_hand, (0, 80)).expand(-1, 3, -1, -1)
    found = features(image)
    with torch.no_grad():
        torch.testing.assert_close(found, torch.export.load(path).module()(by_hand)[0, :, :, :44])
    assert found.shape == (256, 64, 44)

    change = (found - features(blank)).norm(dim=0)
    change = change * (change > change.max() / 2)
    rows = float((change.sum(dim=1) * (torch.arange(64) + 0.5)).sum() / change.sum())
    columns = float((change.sum(dim=0) * (torch.arange(44) + 0.5)).sum() / change.sum())
    assert abs(rows - 135 / 216 * 64) < 1
    assert abs(columns - 45 / 150 * 44) < 1
