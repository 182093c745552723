"""`monai-rwcp tune`: from files to settings, a table and a picture."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

import matplotlib.image
import nibabel as nib
import numpy as np
import pytest
import torch
from click.testing import CliRunner, Result

from monai_rwcp import TunedScored, TunedSettings
from monai_rwcp.cli import main
from monai_rwcp.folders.tuning import tune_from_files
from monai_rwcp.report import draw_tuning, tuning_table
from monai_rwcp.scores import BlurredScore, PlainScore, WalkedScore
from monai_rwcp.tune import CandidateResult, Choice, SmallStructures
from monai_rwcp.walk import WalkSettings


def patient(folder: Path, name: str, seed: int) -> dict[str, str]:
    """A noisy map of a disc, so that blurring helps."""
    random = np.random.default_rng(seed)
    x, y = np.meshgrid(np.arange(24), np.arange(20), indexing="ij")
    disc = (x - 12) ** 2 + (y - 10) ** 2 < 40
    logits = np.where(disc, 1.0, -1.0) + random.normal(0, 2, disc.shape)
    inside = 1 / (1 + np.exp(-logits))
    arrays = {
        "image": (disc * 0.5 + random.normal(0, 0.05, disc.shape))[..., None].astype(np.float32),
        "pred": np.stack([1 - inside, inside], axis=-1)[:, :, None].astype(np.float32),
        "label": disc[..., None].astype(np.uint8),
    }
    item = {"patient": name}
    for key, array in arrays.items():
        nib.save(nib.Nifti1Image(array, np.eye(4)), folder / f"{name}_{key}.nii.gz")
        item[key] = f"{name}_{key}.nii.gz"
    return item


@pytest.fixture
def datalist(tmp_path: Path) -> Path:
    sections = {
        "tuning": [patient(tmp_path, f"t{i}", i) for i in range(4)],
        "calibration": [{"patient": "c0"}],
        "test": [{"patient": "x0"}],
    }
    path = tmp_path / "datalist.json"
    path.write_text(json.dumps(sections))
    return path


def tune(*arguments: Any) -> Result:
    return CliRunner().invoke(main, ["tune", *map(str, arguments)])


def test_from_files_to_settings(datalist: Path, tmp_path: Path) -> None:
    out = tmp_path / "tuned"
    result = tune(datalist, "--out", out)
    assert result.exit_code == 0, result.output
    settings = TunedSettings.load(out / "settings.json")
    assert settings.score.kind == "blur"
    assert sorted(settings.units) == ["t0", "t1", "t2", "t3"]
    assert settings.why in result.output
    assert settings.why in (out / "table.md").read_text()
    assert f"{settings.score.name} (chosen)" in (out / "table.md").read_text()
    picture = matplotlib.image.imread(out / "settings.png")
    assert picture.shape[0] > 300
    assert picture[..., :3].std() > 0.05
    item = {"pred": torch.softmax(torch.randn(2, 8, 8), dim=0), "features": torch.randn(4, 4, 4)}
    assert TunedScored("pred", str(out / "settings.json"))(item)["pred"].shape == (2, 8, 8)


@pytest.mark.parametrize(
    ("options", "shown"),
    [
        (["--grid", "2"], ["grid=2"]),
        (["--grid", "2,3"], ["grid=(2, 3)"]),
        (["--grid", "3", "--fine-grid", "2"], ["grid=3", "grid=2"]),
    ],
)
def test_walks_are_compared_with_an_extractor(
    datalist: Path, tmp_path: Path, options: list[str], shown: list[str]
) -> None:
    result = tune(datalist, "--out", tmp_path / "tuned", "--extractor", "mind", *options)
    assert result.exit_code == 0, result.output
    table = (tmp_path / "tuned" / "table.md").read_text()
    assert "walk k=" in table
    assert all(grid in table for grid in shown)
    assert "plain" in table


def test_maps_of_other_programs_are_tuned_alike(datalist: Path, tmp_path: Path) -> None:
    """The same probabilities in every form; one structure alone is the disc's channel as a region."""
    sections = json.loads(datalist.read_text())
    tables = {}
    for form in ("channels-last", "channels-first", "nnunet", "one-class"):
        for item in sections["tuning"]:
            name, shares = item["patient"], nib.load(tmp_path / f"{item['patient']}_pred.nii.gz").get_fdata()[:, :, 0]
            item["pred"] = f"{name}_{form}.nii.gz"
            if form == "nnunet":
                nib.save(
                    nib.Nifti1Image(shares.argmax(-1)[..., None].astype(np.uint8), np.eye(4)), tmp_path / item["pred"]
                )
                item["pred"] = f"{name}_{form}.npz"
                np.savez(tmp_path / item["pred"], probabilities=shares.astype(np.float32).transpose(2, 1, 0)[:, None])
                continue
            stored = {
                "channels-last": shares[:, :, None],
                "channels-first": np.moveaxis(shares, -1, 0)[..., None],
                "one-class": shares[:, :, 1:],
            }
            nib.save(nib.Nifti1Image(stored[form].astype(np.float32), np.eye(4)), tmp_path / item["pred"])
        datalist.write_text(json.dumps(sections))
        result = tune(datalist, "--out", tmp_path / form, "--form", form)
        assert result.exit_code == 0, result.output
        tables[form] = (tmp_path / form / "table.md").read_text()
    # Its channel is number 0 where it is alone.
    tables["one-class"] = tables["one-class"].replace("| 0: ", "| 1: ")
    assert len(set(tables.values())) == 1


@pytest.mark.parametrize(("grid", "message"), [("2;3", "one for each axis such as 4,4,1"), ("0", "at least 1")])
def test_strides_that_are_none_are_refused(datalist: Path, tmp_path: Path, grid: str, message: str) -> None:
    result = tune(datalist, "--out", tmp_path / "tuned", "--extractor", "mind", "--grid", grid)
    assert result.exit_code != 0
    assert message in " ".join(result.output.split())


def test_slices_go_through_a_network_of_two_axes(datalist: Path, tmp_path: Path) -> None:
    """MONAI saves a slice with a third axis of length 1, which is not there any more when it is read again."""
    network = {
        "_target_": "UNet", "spatial_dims": 2, "in_channels": 1, "out_channels": 2, "channels": [4, 8], "strides": [2],
    }  # fmt: skip
    extractor = {"_target_": "monai_rwcp.NetworkFeatures", "network": network, "layers": "model.0"}
    (tmp_path / "extractor.json").write_text(json.dumps({"extractor": extractor}))
    result = tune(
        datalist, "--out", tmp_path / "tuned", "--extractor", tmp_path / "extractor.json", "--trust", "--grid", 2
    )
    assert result.exit_code == 0, result.output
    assert "walk k=" in (tmp_path / "tuned" / "table.md").read_text()


def test_descriptions_of_a_data_list_are_no_sections(datalist: Path, tmp_path: Path) -> None:
    sections = json.loads(datalist.read_text())
    described = {"name": "discs", "numTraining": 4, "labels": {"0": "background", "1": "disc"}, **sections}
    datalist.write_text(json.dumps(described))
    result = tune(datalist, "--out", tmp_path / "tuned", "--n-calibration", 19)
    assert result.exit_code == 0, result.output
    assert TunedSettings.load(tmp_path / "tuned/settings.json").alpha == pytest.approx(1 / 19)


def test_an_error_of_the_features_is_not_taken_for_a_missing_key(datalist: Path, tmp_path: Path) -> None:
    class Broken:
        name = "broken"

        def __call__(self, image: torch.Tensor) -> torch.Tensor:
            raise KeyError("inside")

    with pytest.raises(ValueError, match="No features of '.*t1_image.nii.gz': .*inside"):
        tune_from_files(datalist, tmp_path / "tuned", extractor=Broken())


def test_nothing_is_measured_for_what_cannot_be_written(
    datalist: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*_: Any, **__: Any) -> None:
        raise AssertionError("measured")

    monkeypatch.setattr("monai_rwcp.folders.tuning.tune_settings", never)
    (tmp_path / "file").write_text("")
    result = tune(datalist, "--out", tmp_path / "file" / "tuned")
    assert result.exit_code == 1
    assert "file" in result.output
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    result = tune(datalist, "--out", tmp_path / "tuned")
    assert result.exit_code == 1
    assert "needs matplotlib: pip install" in result.output


@pytest.mark.parametrize(
    ("change", "arguments", "message"),
    [
        (
            lambda s: s["calibration"].append({"patient": "t1"}),
            [],
            "kept apart from calibration and test, but \\['t1'\\]",
        ),
        (lambda s: s.pop("tuning"), [], "Expected a list 'tuning' with items .* Name the section by --section."),
        (lambda s: s["tuning"][1].pop("label"), [], "Item 1 of 'tuning' .* lacks 'label'\\."),
        (
            lambda s: s["tuning"][2].update(pred="no.nii.gz"),
            [],
            "Item 2 of 'tuning' in .*: its 'pred' is '.*no.nii.gz'",
        ),
        (lambda s: s["tuning"][0].update(pred=s["tuning"][0]["image"]), [], "Case 0, patient 't0': "),
        (
            lambda s: s["calibration"].append({"subject": "t1"}),
            [],
            "but item 1 does not. Name it, or leave the section out",
        ),
        (lambda s: s["calibration"].append("t1"), [], "to name its 'patient', .* item 1 does not"),
        (lambda s: s.update(folds={"test": [{"patient": "t1"}]}), [], "'folds' .* holds sections of its own"),
        (lambda s: s.update(folds={"a": {"test": [{"patient": "t1"}]}}), [], "'folds' .* holds sections of its own"),
        (lambda s: s["tuning"][3].update(label=s["tuning"][1]["label"]), [], "t1_label.* in item 3 .* and in item 1"),
        (lambda s: s["test"][0].update(pred=s["tuning"][2]["pred"]), [], "t2_pred.* in item 2 .* and in 'test'"),
        (lambda s: s["tuning"][1].update(pred="."), [], "its 'pred' is .* no file"),
        (lambda s: s["tuning"][1].update(patient=""), [], "'patient' of item 1 of 'tuning' to be a name"),
        (lambda s: s["tuning"][1].update(patient=None), [], "'patient' of item 1 of 'tuning' to be a name"),
        (lambda s: s["test"][0].update(patient=["t1"]), [], "'patient' of item 0 of 'test' .*to be a name"),
        (lambda s: None, ["--alpha", 2], "alpha"),
        (lambda s: None, ["--n-calibration", 5], "at least 9"),
        (lambda s: None, ["--intensity", "none"], "belongs to an --extractor"),
        (lambda s: None, ["--fine-grid", "2"], "--fine-grid belongs to an --extractor"),
    ],
)
def test_what_does_not_fit_is_refused(
    datalist: Path, tmp_path: Path, change: Any, arguments: list[Any], message: str
) -> None:
    sections = json.loads(datalist.read_text())
    change(sections)
    datalist.write_text(json.dumps(sections))
    result = tune(datalist, "--out", tmp_path / "tuned", *arguments)
    assert result.exit_code != 0
    assert re.search(message, " ".join(result.output.split())), result.output
    assert not (tmp_path / "tuned").exists()


def test_a_picture_that_fails_leaves_nothing_behind(
    datalist: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any) -> None:
        raise ValueError("no picture")

    monkeypatch.setattr("monai_rwcp.folders.tuning.draw_tuning", broken)
    result = tune(datalist, "--out", tmp_path / "tuned")
    assert result.exit_code == 1
    assert not (tmp_path / "tuned").exists()


def test_a_byte_order_mark_is_read_over(datalist: Path, tmp_path: Path) -> None:
    datalist.write_text(datalist.read_text(), encoding="utf-8-sig")
    assert tune(datalist, "--out", tmp_path / "tuned").exit_code == 0


def test_a_folder_with_files_is_left_alone(datalist: Path, tmp_path: Path) -> None:
    result = tune(datalist, "--out", tmp_path)
    assert result.exit_code == 2
    assert "is not empty" in result.output


def test_table_and_map_of_walks(tmp_path: Path) -> None:
    walks = [
        CandidateResult(
            WalkedScore(WalkSettings(k=k, beta=beta)), 1.0 + k / 100 + beta / 1000, 0.1, 0.05, 0.9, {1: 0.3}
        )
        for k in (5, 20)
        for beta in (10.0, 50.0)
    ]
    plain = CandidateResult(PlainScore(), 2.0, 1.0, 0.2, 1.0, {1: 0.1})
    choice = Choice(walks[0].candidate, (*walks, plain), 0.1, "stretch", ("a", "b"), "it is best")
    lines = tuning_table(choice).splitlines()
    assert len(lines) == 2 + 5
    assert "(chosen)" in lines[2]
    assert "2.000" in lines[-1]
    assert "1.000 (0.200)" in lines[-1]
    draw_tuning(choice, tmp_path / "map.png")
    assert matplotlib.image.imread(tmp_path / "map.png").shape[1] > 800


def test_harm_to_small_structures_is_shown(tmp_path: Path) -> None:
    fine = CandidateResult(PlainScore(), 2.0, 0.0, 0.0, 0.0, {1: 0.2}, SmallStructures(0.0, 0.0, 0.0, 0.0))
    harm = CandidateResult(BlurredScore(4.0), 1.5, 0.0, 0.1, 0.2, {1: 0.1}, SmallStructures(0.12, 0.03, 0.04, 0.01))
    choice = Choice(PlainScore(), (fine, harm), 0.1, "safe_stretch", ("anna", "ben"), "plain does no harm")
    head, _, first, last = tuning_table(choice).splitlines()
    assert "smallest third missed more (s.e.)" in head
    assert "plain (chosen)" in first
    assert "blur 4 (harms small structures)" in last
    assert "+0.120 (0.030)" in last
    assert "+0.040 (0.010)" in last
    draw_tuning(choice, tmp_path / "tuning.png")
    assert (tmp_path / "tuning.png").stat().st_size > 1000
