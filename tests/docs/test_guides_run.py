"""The guides' commands and blocks run as they stand, page by page, in a folder that holds what they speak of."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from monai.inferers import SlidingWindowInferer
from monai.networks.nets import UNet
from monai.transforms import Compose, EnsureChannelFirstd, LoadImaged, Orientationd, Spacingd

from monai_rwcp import CaseSummaryHandler, LossTable, TunedSettings, false_negative_rate_table
from monai_rwcp.scores import PlainScore
from tests.helpers.engines import run_bare
from tests.helpers.map_folders import run, save, truth_and_map
from tests.helpers.pages import ROOT, blocks, commands

HOW_TO = ROOT / "docs" / "how_to"
# What needs more than a folder of maps is tried where its own tests are: tests/demo, tests/deployment, tests/dicom.
ELSEWHERE = ("demo", "check", "dicom-seg", "tune", "features")
N, N_NEW = 12, 4


def run_page(name: str, folder: Path, given: Mapping[str, Any] | None = None) -> str:
    """Run what a page asks to be typed, in its order, and give what was printed by its commands."""
    known, printed = dict(given or {}), []
    for block in blocks(HOW_TO / f"{name}.md"):
        if block.runs:
            exec(compile(block.text, f"{name}.md:{block.line}", "exec"), known)
        if block.language != "bash" or "torchrun" in block.text:
            continue
        for words in commands(block):
            if words[0] in ELSEWHERE:
                continue
            out = folder / words[words.index("--out") + 1] if "--out" in words else None
            if out is not None and out.exists():  # of the page before
                shutil.rmtree(out) if out.is_dir() else out.unlink()
            result = run(*words)
            assert result.exit_code == 0, f"{name}.md: {' '.join(words)}\n{result.output}"
            assert out is None or out.exists()
            printed.append(result.output)
    return "\n".join(printed)


def _case(folder: Path, i: int, group: str) -> None:
    label, shares = truth_and_map(i)
    name = f"case_{i}"
    save(label, folder / f"{group}_labels" / f"{name}.nii.gz")
    save(
        (label * 0.3 + np.random.default_rng(i).random(label.shape)).astype(np.float32),
        folder / f"{group}_images" / f"{name}_0000.nii.gz",
    )
    save(shares, folder / f"{group}_nifti" / f"{name}.nii.gz")
    save(shares.argmax(-1).astype(np.uint8), folder / f"{group}_maps" / f"{name}.nii.gz")
    np.savez_compressed(folder / f"{group}_maps" / f"{name}.npz", probabilities=shares.transpose(3, 2, 1, 0))
    if group == "calibration":
        save(shares[..., 1], folder / "liver_maps" / f"{name}.nii.gz")
        save((label == 1).astype(np.uint8), folder / "liver_labels" / f"{name}.nii.gz")


def _table(names: list[str]) -> LossTable:
    tables = []
    for name in names:
        label, shares = truth_and_map(len(name) + ord(name[-1]))
        score = torch.from_numpy(np.moveaxis(shares, -1, 0))
        options = {"unit": name, "image": name, "unit_name": "patient", "group": name[:5]}
        tables.append(false_negative_rate_table(score, torch.from_numpy(label)[None], **options))
    return LossTable.join(tables)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A folder with all that the pages speak of, and what the commands of the page on nnU-Net printed there."""
    folder = tmp_path_factory.mktemp("guides")
    for i in range(N + N_NEW):
        _case(folder, i, "calibration" if i < N else "test")
    lines = [f"case_{i},patient {i}" for i in range(N + N_NEW)]
    (folder / "units.csv").write_text("\n".join(["case,unit", *lines]))
    (folder / "checkpoint_final.pth").write_bytes(b"weights")
    for name in ("north", "south"):
        _table([f"{name} {i}" for i in range(10)]).save(folder / f"{name}.json")
    for i in (1, 2, 3):
        _table([f"part {i}{j}" for j in range(4)]).save(folder / f"part_{i}.json")
    TunedSettings(PlainScore(), ("anna",), "patient", 0.1, "stretch", "it was best").save(folder / "settings.json")
    items = [
        {"pred": torch.rand(2, 8, 8), "image": torch.rand(1, 8, 8), "patient": f"p{i}", "case": f"c{i}"}
        for i in range(9)
    ]
    keys = {"image_key": "image", "unit_key": "patient", "case_key": "case"}
    run_bare(CaseSummaryHandler(**keys, output_path=folder / "reference.json"), [[item] for item in items])
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        return folder, run_page("nnunet", folder)


@pytest.fixture
def folder(made: tuple[Path, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of it, in which the test runs."""
    copy = tmp_path / "work"
    shutil.copytree(made[0], copy)
    monkeypatch.chdir(copy)
    return copy


def test_nnunet(made: tuple[Path, str]) -> None:
    folder, printed = made
    assert "On average at most 10 % of class 1 is missed in a new patient who shows it" in printed
    assert "observed FNR" in printed
    assert len(list((folder / "walked_sets").glob("case_*.nii.gz"))) == N_NEW


@pytest.mark.parametrize("page", ["few_patients", "lesions", "groups", "sandwich", "evaluate", "torchrun", "drift"])
def test_page(page: str, folder: Path) -> None:
    run_page(page, folder)


def test_other_maps(folder: Path) -> None:
    run_page("other_maps", folder)
    # What was calibrated in Python serves the command, as the page says.
    predicted = run(
        "predict", "test_nifti", "--form", "channels-last", "--calibration", "certain.json", "--out", "certain_sets"
    )
    assert "With a probability of at least 90 %" in predicted.output


def test_a_mask_is_refused_as_the_page_says(folder: Path) -> None:
    refused = run("calibrate", "liver_labels", "--form", "one-class", "--labels", "liver_labels", "--out", "no.json")
    assert refused.exit_code == 1
    assert "looks like a mask" in refused.output
    assert "*looks like a mask*" in (HOW_TO / "other_maps.md").read_text()


def test_several_hospitals(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run_page("hospitals", folder)
    assert "calibrated on 20 patients" in capsys.readouterr().out


def test_which_promise(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run_page("which_promise", folder)
    assert "In at least 80 % of new patients" in capsys.readouterr().out


def test_shifted_population(folder: Path) -> None:
    random = np.random.default_rng(0)
    run_page("shift", folder, {"source": random.normal(0, 1, (40, 3)), "target": random.normal(1, 1, (40, 3))})
    assert (folder / "ratio.json").exists()


def test_choosing_settings(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def item(i: int) -> dict[str, Any]:
        label = torch.zeros(1, 32, 32)
        label[:, 6 + i : 20 + i, 8:22] = 1
        logits = torch.stack([1 - label[0], label[0]]) * 3 + torch.randn(2, 32, 32, generator=torch.manual_seed(i))
        features = torch.cat([label, torch.rand(2, 32, 32, generator=torch.manual_seed(i))])
        return {"pred": logits.softmax(0), "label": label, "features": features, "patient": f"p{i}"}

    others = ["p8", "p9"]
    run_page("tune", folder, {"items": [item(i) for i in range(3)], "calibration_and_test_patients": others})
    assert TunedSettings.load("settings.json").score.name in capsys.readouterr().out


def test_the_data_list_of_the_tune_page_is_one(folder: Path) -> None:
    (shown,) = (json.loads(block.text) for block in blocks(HOW_TO / "tune.md") if block.language == "json")
    shown["tuning"] = [
        {
            **shown["tuning"][0],
            "pred": f"test_nifti/case_{i}.nii.gz",
            "label": f"test_labels/case_{i}.nii.gz",
            "patient": f"t{i}",
        }
        for i in range(N, N + N_NEW)
    ]
    (folder / "datalist.json").write_text(json.dumps(shown))
    tuned = run("tune", "datalist.json", "--n-calibration", "40", "--out", "tuned")
    assert tuned.exit_code == 0, tuned.output
    assert {path.name for path in (folder / "tuned").iterdir()} == {"settings.json", "table.md", "settings.png"}


def test_features(folder: Path) -> None:
    network = UNet(3, 1, 2, channels=(4, 8, 16), strides=(2, 2))
    run_page("features", folder, {"network": network})


def test_monai_chain(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    patients = []
    for i in range(12):
        random, label = np.random.default_rng(i), np.zeros((32, 32, 16), dtype=np.uint8)
        label[8:20, 6 + i : 18 + i, 4:12] = 1
        paths = {key: str(folder / f"{key}{i}.nii.gz") for key in ("image", "label")}
        save((label + random.normal(0, 0.3, label.shape)).astype(np.float32), Path(paths["image"]))
        save(label, Path(paths["label"]))
        patients.append({**paths, "patient": f"patient {i}"})
    both = {"keys": ("image", "label"), "allow_missing_keys": True}
    loading = [LoadImaged(**both), EnsureChannelFirstd(**both)]
    alike = [Orientationd("image", axcodes="RAS", labels=None), Spacingd("image", pixdim=(2.0, 2.0, 4.0))]
    torch.manual_seed(0)
    yours = {
        "network": UNet(3, 1, 2, channels=(4, 8, 16), strides=(2, 2)),
        "inferer": SlidingWindowInferer((32, 32, 16)),
        "preprocessing": Compose([*loading, *alike]),
        "calibration_patients": patients[:10],
        "new_patients": [{"image": case["image"], "patient": case["patient"]} for case in patients[10:]],
    }
    run_page("monai_chain", folder, yours)
    assert "On average at most 10 % of class 1 is missed in a new patient who shows it" in capsys.readouterr().out
    assert len(list((folder / "sets").rglob("*.nii.gz"))) == 2


def test_every_page_with_blocks_that_run_is_run() -> None:
    told = Path(__file__).read_text(encoding="utf-8")
    for page in HOW_TO.glob("*.md"):
        if any(block.runs for block in blocks(page)):
            assert f'"{page.stem}"' in told
