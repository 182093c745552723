"""The calibration file: whole or not at all, and refused when it is not what was written."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

import pytest
import torch

from monai_rwcp.conformal import Calibration, LossTable, calibrate, false_negative_rate_table


@pytest.fixture
def calibration() -> Calibration:
    parts = [
        false_negative_rate_table(torch.rand(3, 5, 5), torch.randint(0, 3, (1, 5, 5)), unit=str(i), unit_name="patient")
        for i in range(25)
    ]
    return calibrate(LossTable.join(parts), 0.1, class_names=["background", "Herz", "Niere"])


def edit(path: Path, *, digest: bool, **changes: object) -> None:
    document = json.loads(path.read_text())
    for name, value in changes.items():
        if name in ("threshold", "lambda_hat", "n", "empirical_risk"):
            document["classes"]["1"][name] = value
        elif name in document["promised"]:
            document["promised"][name] = value
        elif name in document["counting"]:
            document["counting"][name] = value
        else:
            document[name] = value
    if digest:
        content = {k: v for k, v in document.items() if k != "digest"}
        text = json.dumps(content, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
        document["digest"] = "sha256:" + hashlib.sha256(text.encode()).hexdigest()
    path.write_text(json.dumps(document))


def test_round_trip(calibration: Calibration, tmp_path: Path) -> None:
    path = tmp_path / "calibration.json"
    calibration.save(path)
    assert Calibration.load(path) == calibration
    document = json.loads(path.read_text())
    assert document["classes"]["1"]["threshold"] == calibration.threshold[1]
    assert document["classes"]["1"]["lambda_hat"] == 1 - calibration.threshold[1]
    assert "at most 10 % of Herz is missed in a new patient who shows it" in document["promise"]
    assert {"torch", "monai", "numpy"} <= set(document["packages"])
    assert document["created"].endswith("+00:00")


def test_a_failed_write_leaves_the_old_file_and_nothing_else(
    calibration: Calibration, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "calibration.json"
    path.write_text("old")

    def fail(*_: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(OSError, match="disk full"):
        calibration.save(path)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_places_that_cannot_be_written(calibration: Calibration, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"folder .*missing.* does not exist"):
        calibration.save(tmp_path / "missing" / "calibration.json")
    with pytest.raises(IsADirectoryError, match="it is a folder"):
        calibration.save(tmp_path)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"threshold": 0.9}, "changed after it was written"),
        ({"alpha": 0.2}, "changed after it was written"),
        ({"version": 9}, "version 9, but this monai_rwcp reads version 3"),
        (
            {"version": 2},
            r"calibration\.json' is a calibration that monai_rwcp 0\.1 wrote \(version 2\), which this release does not "
            "read: make it anew with ConformalCalibrationHandler or `monai-rwcp calibrate`\\.",
        ),
        ({"format": "other"}, "something else"),
    ],
)
def test_edited_files_are_refused(calibration: Calibration, tmp_path: Path, changes: dict, message: str) -> None:
    path = tmp_path / "calibration.json"
    calibration.save(path)
    edit(path, digest=False, **changes)
    with pytest.raises(ValueError, match=message):
        Calibration.load(path)


@pytest.mark.parametrize(
    "changes",
    [
        {"threshold": 1.5, "lambda_hat": -0.5},
        {"threshold": 0.3},
        {"alpha": 2.0},
        {"alpha": None},
        {"n": -3},
        {"n": 2.5},
        {"empirical_risk": 0.5},
        {"method": "magic"},
        {"n_channels": 1},
        {"class_names": ["one"]},
        {"classes": {}},
        {"classes": {"7": {}}},
        {"classes": None},
        {"n_images": 0},
        {"unit_loss": ["pooled"]},
    ],
)
def test_nonsense_with_a_fitting_digest_is_refused(calibration: Calibration, tmp_path: Path, changes: dict) -> None:
    path = tmp_path / "calibration.json"
    calibration.save(path)
    edit(path, digest=True, **changes)
    with pytest.raises(ValueError, match="contradicts itself|lacks a field"):
        Calibration.load(path)


def test_damaged_and_missing_files(calibration: Calibration, tmp_path: Path) -> None:
    path = tmp_path / "calibration.json"
    calibration.save(path)
    path.write_text(path.read_text()[:100])
    with pytest.raises(ValueError, match="damaged"):
        Calibration.load(path)
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ValueError, match="damaged"):
        Calibration.load(path)
    with pytest.raises(FileNotFoundError, match="ConformalCalibrationHandler"):
        Calibration.load(tmp_path / "none.json")
