"""What nnU-Net wrote beside a map is a part of it: a run that goes on notices when it was changed."""

from __future__ import annotations

from pathlib import Path

import nibabel
import numpy as np

from tests.helpers.map_folders import AFFINE, run, save, write_cohort


def test_a_set_is_made_anew_when_the_header_of_its_segmentation_is_mended(tmp_path: Path) -> None:
    write_cohort(tmp_path, "nnunet")
    maps, sets, moved = tmp_path / "test/maps", tmp_path / "sets", AFFINE.copy()
    moved[0, 3] += 5
    made = ["calibrate", tmp_path / "calibrate/maps", "--form", "nnunet", "--labels", tmp_path / "calibrate/labels"]
    assert run(*made, "--alpha", 0.2, "--out", tmp_path / "c.json").exit_code == 0
    predict = ["predict", maps, "--form", "nnunet", "--calibration", tmp_path / "c.json", "--out", sets]
    assert run(*predict).exit_code == 0
    name = next(path.name for path in sorted(maps.iterdir()) if path.name.endswith(".nii.gz"))
    before = {path.name: path.read_bytes() for path in sets.glob("case*")}
    save(np.asarray(nibabel.load(maps / name).dataobj), maps / name, moved)
    assert run(*predict).exit_code == 0
    np.testing.assert_allclose(nibabel.load(sets / name).affine, moved)
    assert {path.name for path in sets.glob("case*") if path.read_bytes() != before[path.name]} == {name}
    (maps / name).unlink()
    ran = run(*predict)
    assert ran.exit_code == 1
    assert "No set was made of 1 of 12 maps" in ran.output
    assert "Expected one segmentation beside" in ran.output
