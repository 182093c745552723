"""The demo's phantoms and its whole course, from the command line."""

from __future__ import annotations

import json
from pathlib import Path

import nibabel
import numpy as np
import pytest
from click.testing import CliRunner

from monai_rwcp.cli import main
from monai_rwcp.conformal import Calibration
from monai_rwcp.demo import phantom_patient, write_cohort
from monai_rwcp.demo.run import DemoSizes, run_demo


def test_a_patient_is_the_same_in_any_cohort(tmp_path: Path) -> None:
    cases = write_cohort(tmp_path, 2, seed=3, first=5)
    image, label, affine = phantom_patient(3, 6)
    assert cases[1]["patient"] == "patient006"
    np.testing.assert_array_equal(nibabel.load(cases[1]["image"]).get_fdata(), image.astype(float))
    np.testing.assert_array_equal(np.asarray(nibabel.load(cases[1]["label"]).dataobj), label)
    np.testing.assert_allclose(nibabel.load(cases[1]["image"]).affine, affine, atol=1e-5)
    assert not np.array_equal(phantom_patient(3, 5)[1], label)
    assert not np.array_equal(phantom_patient(4, 6)[1], label)


@pytest.fixture(scope="session")
def small_demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("demo")
    run_demo(out, sizes=DemoSizes(train=3, calibrate=12, test=3, epochs=15), progress=False)
    return out


def test_what_the_demo_leaves(small_demo: Path) -> None:
    table = (small_demo / "table.md").read_text()
    assert table.count("random walk + CRC") == 3
    assert table.count("plain CRC") == 3
    walked = Calibration.load(small_demo / "calibration.json")
    plain = Calibration.load(small_demo / "calibration_plain.json")
    assert walked.n == plain.n == {1: 12, 2: 12, 3: 12}
    assert walked.unit_name == "patient"
    assert walked.provenance.steps[-1].settings["restart"] == 0.2
    assert not plain.provenance.steps
    assert walked.provenance.side == "original"
    assert (small_demo / "overview.png").stat().st_size > 20_000
    groups = json.loads((small_demo / "datalist.json").read_text())
    assert [len(groups[name]) for name in ("train", "calibrate", "test")] == [3, 12, 3]
    sets = sorted((small_demo / "sets").iterdir())
    assert len(sets) == 6
    for case in groups["test"]:
        for key in ("plain", "walked"):
            found = nibabel.load(small_demo / "sets" / f"{case['patient']}_image_{key}_set.nii.gz")
            source = nibabel.load(small_demo / case["image"])
            np.testing.assert_allclose(found.affine, source.affine, atol=1e-4)
            assert found.shape == (*source.shape, 4)
            assert set(np.unique(np.asarray(found.dataobj))) <= {0, 1}


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("kept")
    result = CliRunner().invoke(main, ["demo", "--out", str(tmp_path)])
    assert result.exit_code == 2
    assert "is not empty; nothing there is overwritten" in result.output
    assert list(tmp_path.iterdir()) == [tmp_path / "mine.txt"]
