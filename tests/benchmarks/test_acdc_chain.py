"""The ACDC benchmark runs on a few patients, and never on those its network was trained on."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from benchmarks.checks.acdc_chain import main, method_names
from benchmarks.data.acdc import unseen_patients


@pytest.mark.parametrize(("n", "seen"), [(3, {1, 41, 81}), (8, {1, 14, 27, 41, 54, 67, 81, 94}), (30, {1, 4, 97})])
def test_seen_patients_are_left_out(shared_dir: Path, n: int, seen: set[int]) -> None:
    unseen = unseen_patients(shared_dir / "data/acdc", shared_dir / f"weights/acdc_unet_{n}patients.pt")
    assert not seen & set(unseen)
    assert len(unseen) == {3: 77, 8: 72, 30: 50}[n]


@pytest.mark.slow
def test_a_few_patients(shared_dir: Path) -> None:
    weights = shared_dir / "weights/acdc_unet_8patients.pt"
    options = ["--features", "network", "--features", "mind", "--patients", "12", "--slices", "1", "--alpha", "0.3"]
    result = CliRunner().invoke(main, ["--data", str(shared_dir / "data/acdc"), "--weights", str(weights), *options])
    assert result.exit_code == 0, result.output
    assert "12 slices to calibrate, 12 to test; unit: patient" in result.output
    methods = method_names(["network", "mind"]).values()
    assert len(methods) == 6
    for method in methods:
        assert result.output.count(f"| {method}") == 3
