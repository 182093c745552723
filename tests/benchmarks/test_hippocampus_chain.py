"""The hippocampus benchmark runs from NIfTI to NIfTI, and every set lies where its label lies."""

from __future__ import annotations

import re
from pathlib import Path

import nibabel
import numpy as np
import pytest
from click.testing import CliRunner

from benchmarks.checks.hippocampus_chain import METHODS, main
from monai_rwcp import Calibration


@pytest.mark.slow
def test_a_few_subjects(shared_dir: Path, tmp_path: Path) -> None:
    sizes = ["--train-on", "2", "--epochs", "8", "--calibrate-on", "6", "--test-on", "3", "--alpha", "0.3"]
    data = shared_dir / "data/hippocampus"
    result = CliRunner().invoke(main, ["--data", str(data), "--out", str(tmp_path), *sizes])
    assert result.exit_code == 0, result.output
    for method in METHODS.values():
        assert result.output.count(f"| {method}") == 2
    assert re.search(r"Sets on their label's grid: 3 of 3", result.output)
    record = Calibration.load(tmp_path / "recommended.json").provenance
    assert record.steps[0].features["extractor"].startswith("ForwardFeatures(UNet, ")
    assert record.side == "original"
    sets = sorted((tmp_path / "sets").iterdir())
    assert len(sets) == 3
    found = nibabel.load(sets[0])
    label = nibabel.load(data / "labels" / sets[0].name.replace("_set", ""))
    np.testing.assert_allclose(found.affine, label.affine, atol=1e-4)
    values, truth = np.asarray(found.dataobj), np.asarray(label.dataobj)
    assert values.shape[:3] == truth.shape
    # A set that lay elsewhere would miss most of the organ, or be the whole volume.
    inside = values[..., 1:].any(axis=-1)
    assert inside[truth > 0].mean() > 0.5
    assert inside.mean() < 0.7
