"""The benchmark of promises runs on a few patients, and its resampling counts what it should."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from benchmarks.checks.promises import LOSSES, main, observe, promises
from monai_rwcp import LossTable
from monai_rwcp.conformal import Promise, threshold_levels
from monai_rwcp.conformal.counting.image_counts import Histogram, ImageCounts


def test_what_the_splits_observe() -> None:
    """Every patient has one true voxel: half of them below, half of them above a middle threshold."""
    middle = len(threshold_levels()) // 2
    images = {
        f"{i:02d}": ImageCounts(f"{i:02d}", {1: Histogram(np.array([middle - 1 + 2 * (i % 2)]), np.array([1]))})
        for i in range(40)
    }
    table = LossTable(2, (1,), images)
    # A threshold above the lower half misses about half of the patients.
    seen = observe(table, Promise(0.7), splits=50, seed=0)
    assert seen.mean == pytest.approx(0.5, abs=0.02)
    assert 0 < seen.error < 0.2
    assert seen.trivial == 0
    # One that misses nobody is all that can keep a small alpha; 20 patients are too few for one of 0.01.
    seen = observe(table, Promise(0.2), splits=10, seed=0)
    assert (seen.mean, seen.error, seen.above, seen.trivial) == (0, 0, 0, 0)
    assert observe(table, Promise(0.01), splits=10, seed=0).trivial == 1


@pytest.mark.slow
def test_a_few_patients(shared_dir: Path) -> None:
    weights = shared_dir / "weights/acdc_unet_8patients.pt"
    options = ["--slices", "1", "--patients", "14", "--splits", "3", "--alpha", "0.4"]
    result = CliRunner().invoke(main, ["--acdc", str(shared_dir / "data/acdc"), "--weights", str(weights), *options])
    assert result.exit_code == 0, result.output
    for name, loss in LOSSES.items():
        assert result.output.count(f"| ACDC (7 / 7) | {name} |") == len(promises(loss, 0.4, 0.1, 0.8))


def test_something_to_run_on_is_needed() -> None:
    result = CliRunner().invoke(main, [])
    assert result.exit_code == 2
    assert "Give --acdc with --weights" in result.output
