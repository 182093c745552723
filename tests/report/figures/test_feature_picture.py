"""The look at features: components, similarity and neighbours against dense algebra, and the command that draws them."""

from __future__ import annotations

import json
from pathlib import Path

import nibabel
import numpy as np
import pytest
import torch
from click.testing import CliRunner
from matplotlib.image import imread

from monai_rwcp.cli import main
from monai_rwcp.commands.extractor import chosen_extractor, parsed_intensity
from monai_rwcp.report import draw_features
from monai_rwcp.report.figures.feature_picture import principal_colours, similarity_to_point
from monai_rwcp.walk import knn_graph


def test_colours_are_principal_components() -> None:
    features = torch.randn(10, 12, 9, generator=torch.Generator().manual_seed(0)) * torch.arange(1, 11).reshape(
        10, 1, 1
    )
    colours = principal_colours(features).reshape(-1, 3).double()
    vectors = features.flatten(1).T.double()
    left, scale, _ = torch.linalg.svd(vectors - vectors.mean(dim=0), full_matrices=False)
    components = (left * scale)[:, :3]
    for colour, component in zip(colours.T, components.T, strict=True):
        inside = (colour > 0) & (colour < 1)
        assert inside.sum() > 0.9 * len(colour)
        correlation = torch.corrcoef(torch.stack([colour[inside], component[inside]]))[0, 1]
        assert abs(float(correlation)) == pytest.approx(1, abs=1e-6)
    assert torch.equal(principal_colours(features), principal_colours(features))


def test_two_features_and_a_volume() -> None:
    colours = principal_colours(torch.randn(2, 4, 5, 6))
    assert colours.shape == (4, 5, 6, 3)
    assert (colours[..., 2] == 0.5).all()
    assert principal_colours(torch.ones(3, 4, 4)).unique().tolist() == [0.5]


@pytest.mark.parametrize("center", [False, True])
@pytest.mark.parametrize("grid", [(7, 9), (5, 4, 6)])
def test_neighbours_are_those_of_the_graph(center: bool, grid: tuple[int, ...]) -> None:
    features = torch.randn(6, *grid, generator=torch.Generator().manual_seed(1)) + 0.5
    cell = tuple(n // 2 for n in grid)
    similarity, neighbours = similarity_to_point(features, cell, 5, center=center)
    vectors = features.flatten(1).T
    vectors = vectors - vectors.mean(dim=0) if center else vectors
    graph = knn_graph(vectors.double(), 5)
    own = int(np.ravel_multi_index(cell, grid))
    expected = np.stack(np.unravel_index(graph.neighbors[own].numpy(), grid), axis=1)
    assert neighbours.tolist() == expected.tolist()
    torch.testing.assert_close(similarity[tuple(neighbours.T)].double(), graph.similarity[own], rtol=0, atol=1e-6)
    assert float(similarity[cell]) == pytest.approx(1)


def phantom(folder: Path) -> Path:
    """A slice of two discs on noise, as NIfTI."""
    rows, columns = np.mgrid[:48, :40]
    image = np.random.default_rng(0).random((48, 40)) * 0.1
    image[(rows - 12) ** 2 + (columns - 12) ** 2 < 60] = 0.9
    image[(rows - 34) ** 2 + (columns - 28) ** 2 < 60] = 0.9
    path = folder / "slice.nii.gz"
    nibabel.save(nibabel.Nifti1Image(image.astype(np.float32), np.diag([1.0, 2.0, 1.0, 1.0])), path)
    return path


def run(*arguments: object) -> tuple[int, str]:
    result = CliRunner().invoke(main, ["features", *map(str, arguments)])
    return result.exit_code, result.output


def test_command_draws_an_image(tmp_path: Path) -> None:
    out = tmp_path / "look.png"
    code, output = run(phantom(tmp_path), "--extractor", "mind", "--out", out, "--point", "12,12", "--k", 9, "--center")
    assert (code, output.strip().splitlines()[-1]) == (0, str(out))
    pixels = imread(out)
    assert pixels.shape[0] > 400
    assert sorted(p.name for p in tmp_path.iterdir()) == ["look.png", "slice.nii.gz"]


def write_volume(folder: Path) -> Path:
    path = folder / "volume.nii.gz"
    nibabel.save(nibabel.Nifti1Image(np.random.default_rng(0).random((20, 24, 12)).astype(np.float32), np.eye(4)), path)
    return path


@pytest.mark.parametrize("options", [[], ["--volume"], ["--slice", "3", "--axis", "0", "--volume"], ["--axis", "1"]])
def test_command_draws_a_slice_of_a_volume(tmp_path: Path, options: list[str]) -> None:
    out = tmp_path / "look.png"
    code, output = run(write_volume(tmp_path), "--extractor", "mind", "--out", out, *options)
    assert code == 0, output
    assert out.stat().st_size > 10_000


def test_network_of_a_configuration_file(tmp_path: Path) -> None:
    config = tmp_path / "extractor.json"
    network = {
        "_target_": "UNet", "spatial_dims": 3, "in_channels": 1, "out_channels": 2, "channels": [4, 8], "strides": [2],
    }  # fmt: skip
    extractor = {"_target_": "monai_rwcp.NetworkFeatures", "network": network, "layers": "model.0"}
    config.write_text(json.dumps({"extractor": extractor}))
    code, output = run(
        write_volume(tmp_path), "--extractor", config, "--out", tmp_path / "look.png", "--volume", "--trust"
    )
    assert code == 0, output


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--point", "60,3"], r"--point to lie in the image of (48, 40), but got (60, 3)"),
        (["--point", "6"], "--point to lie in"),
        (["--point", "a"], "Expected I,J, two whole numbers such as 107,127, but got 'a'."),
        (["--k", "5000"], "--k from 1 to the number of cells minus 1 (1919), but got 5000"),
        (["--slice", "2"], "Expected a volume for --slice"),
        (["--channel", "2"], "--channel from 0 to 0"),
        (["--intensity", "percentiles"], "mind needs none"),
    ],
)
def test_command_says_what_is_wrong(tmp_path: Path, options: list[str], message: str) -> None:
    out = tmp_path / "look.png"
    code, output = run(phantom(tmp_path), "--extractor", "mind", "--out", out, *options)
    assert code in (1, 2)
    assert message in " ".join(output.split())
    assert not out.exists()


def test_command_says_what_is_missing(tmp_path: Path) -> None:
    image = phantom(tmp_path)
    for extractor, message in (
        ("none.pt2", "no exported program at 'none.pt2'"),
        ("none.json", "no file at 'none.json'"),
        (str(tmp_path / "none"), "There is no folder"),
    ):
        code, output = run(image, "--extractor", extractor, "--out", tmp_path / "look.png")
        assert code == 1
        assert message in output
    code, output = run(image, "--extractor", "mind", "--out", tmp_path / "none" / "look.png")
    assert code == 1
    assert "does not exist" in output
    (tmp_path / "empty.json").write_text("{}")
    code, output = run(image, "--extractor", tmp_path / "empty.json", "--out", tmp_path / "look.png")
    assert "to have an entry 'extractor'" in output


def test_image_of_several_channels_wants_a_choice(tmp_path: Path) -> None:
    nifti = tmp_path / "three.nii.gz"
    for shape, word in (((16, 18, 1, 3), "--channel"), ((16, 18, 1, 1, 3), "--channel"), ((16, 18, 1, 2, 3), "time")):
        values = np.random.default_rng(0).random(shape).astype(np.float32)
        nibabel.save(nibabel.Nifti1Image(values, np.eye(4)), nifti)
        code, output = run(nifti, "--extractor", "mind", "--out", tmp_path / "look.png")
        assert code == 1
        assert word in output


def test_intensities_of_the_command_line() -> None:
    assert parsed_intensity("none") == "none"
    assert parsed_intensity("-160,240") == (-160.0, 240.0)
    for text in ("hu", "1", "2,1", "1,2,3", "a,b"):
        with pytest.raises(ValueError, match="LOW,HIGH"):
            parsed_intensity(text)


def test_folder_of_a_foundation_network(tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers")
    config = transformers.Dinov2Config(hidden_size=16, num_hidden_layers=1, num_attention_heads=1, patch_size=14)
    transformers.Dinov2Model(config).save_pretrained(tmp_path / "model")
    (tmp_path / "model" / "preprocessor_config.json").write_text('{"image_mean": [0.5], "image_std": [0.5]}')
    extractor = chosen_extractor(str(tmp_path / "model"), "percentiles")
    assert "intensity=percentiles" in extractor.name
    code, output = run(
        phantom(tmp_path),
        "--extractor",
        tmp_path / "model",
        "--intensity",
        "percentiles",
        "--k",
        3,
        "--out",
        tmp_path / "l.png",
    )
    assert code == 0, output


def test_drawing_refuses_what_does_not_fit(tmp_path: Path) -> None:
    image = np.random.default_rng(0).random((40, 20))
    with pytest.raises(ValueError, match=r"shapes \(40, 20\) and \(4, 10, 5, 2\)"):
        draw_features(tmp_path / "b.png", image=image, features=torch.rand(4, 10, 5, 2), point=(3, 3), title="a", k=4)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("written", "message"),
    [
        ('{"extractor": {"_target_": "monai_rwcp.MINDFeatures", "radius": -1}}', "cannot be made: Expected `radius`"),
        ("{", "is damaged: it is not JSON .Expecting property name"),
        ("{}", "to have an entry 'extractor'"),
    ],
)
def test_a_file_that_makes_no_source_says_why(written: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "source.json"
    path.write_text(written)
    with pytest.raises(ValueError, match=message):
        chosen_extractor(str(path), None)


def test_a_name_that_nothing_has_is_refused_at_once() -> None:
    with pytest.raises(ValueError, match=r"Expected mind, a \.pt2 .* but got 'mnd'"):
        chosen_extractor("mnd", None)
