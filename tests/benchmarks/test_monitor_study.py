"""The monitor's study runs on a few patients, and its changes are what they say."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from click.testing import CliRunner

from benchmarks.checks.monitor import first_above, main, when
from benchmarks.checks.shifts import SHIFTS, ShiftImage


def test_a_few_patients(shared_dir: Path) -> None:
    weights = shared_dir / "weights/acdc_unet_8patients.pt"
    options = ["--patients", "20", "--slices", "1", "--streams", "3", "--quiet", "2", "--alpha", "0.2"]
    result = CliRunner().invoke(main, ["--data", str(shared_dir / "data/acdc"), "--weights", str(weights), *options])
    assert result.exit_code == 0, result.output
    assert "40 slices of 20 patients" in result.output
    assert "3 unchanged streams of 10 patients after 10 for calibration" in result.output
    assert result.output.count("| score and image | 2 |") == result.output.count("| score only | 0 |") == len(SHIFTS)
    assert result.output.count("| left ventricle |") == 1 + len(SHIFTS)


@pytest.mark.parametrize("name", SHIFTS)
def test_changes_keep_the_range_and_repeat(name: str) -> None:
    image = torch.rand(1, 31, 24, generator=torch.Generator().manual_seed(0))
    changed = [ShiftImage(SHIFTS[name])({"image": image, "case": case})["image"] for case in ("a", "a", "b")]
    assert changed[0].shape == image.shape
    assert changed[0].min() >= 0
    assert changed[0].max() <= 1
    assert torch.equal(changed[0], changed[1])
    assert not torch.allclose(changed[0], image, atol=0.02)
    assert torch.equal(changed[0], changed[2]) == ("noise" not in name)


def test_waiting_times() -> None:
    assert first_above([1.0, 200.0, 3.0], 100) == 2
    assert first_above([1.0], 100) is None
    assert when([3, None, 5, 4], 36) == "3/4 | 4 | > 36"
