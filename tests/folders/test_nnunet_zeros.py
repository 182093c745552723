"""Exact zeros in maps of nnU-Net: cropped away, or never written."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from click.testing import Result

from tests.helpers.map_folders import run, truth_and_map, write_cohort


def calibrated(folder: Path) -> Result:
    made = [folder / "calibrate/maps", "--form", "nnunet", "--labels", folder / "calibrate/labels"]
    return run("calibrate", *made, "--alpha", 0.2, "--out", folder / "c.json")


def zeroed(path: Path, where: tuple[slice, ...]) -> None:
    maps = np.load(path)["probabilities"]
    maps[:, *where] = 0
    np.savez_compressed(path, probabilities=maps)


def test_what_was_cropped_is_background(tmp_path: Path) -> None:
    write_cohort(tmp_path, "nnunet")
    for i in range(12):
        path = tmp_path / f"calibrate/maps/case_{i:03d}.npz"
        maps = np.load(path)["probabilities"]
        maps[:, (maps.argmax(axis=0) == 0) & (truth_and_map(i)[0].T == 0)] = 0
        np.savez_compressed(path, probabilities=maps)
    ran = calibrated(tmp_path)
    assert ran.exit_code == 0, ran.output


@pytest.mark.parametrize(
    "where", [(slice(None),) * 3, (slice(4, 5), slice(None), slice(None))], ids=["all of it", "one slice"]
)
def test_zeros_where_the_segmentation_has_an_organ(where: tuple[slice, ...], tmp_path: Path) -> None:
    write_cohort(tmp_path, "nnunet")
    zeroed(tmp_path / "calibrate/maps/case_007.npz", where)
    ran = calibrated(tmp_path)
    assert ran.exit_code == 1
    assert "case_007.npz' is not 'case_007.nii.gz': label " in ran.output
