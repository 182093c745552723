"""Names that differ in capitals alone are refused where they would be one file, and only there."""

from __future__ import annotations

from pathlib import Path

import pytest

from monai_rwcp.utils.file_names import check_told_apart
from tests.helpers.map_folders import calibrated_cohort, run


@pytest.fixture
def beside(tmp_path: Path) -> Path:
    path = tmp_path / ".run.lock"
    path.touch()
    return path


def takes_for_one(beside: Path) -> None:
    """As on a disk that takes both for one: the file is found by the other letters, too."""
    other = beside.with_name(".RUN.LOCK")
    if not other.exists():
        other.hardlink_to(beside)


def test_they_are_refused_where_they_would_be_one_file(beside: Path) -> None:
    takes_for_one(beside)
    with pytest.raises(ValueError, match="'Anna' and 'anna' differ in capitals alone"):
        check_told_apart(["Anna", "ben", "anna"], beside)
    check_told_apart(["anna", "ben", "annabel"], beside)


def test_they_are_two_where_the_disk_tells_them_apart(beside: Path) -> None:
    if beside.with_name(".RUN.LOCK").exists():
        pytest.skip("this disk does not tell them apart")
    check_told_apart(["Anna", "anna"], beside)
    # A file of this name that is another one.
    beside.with_name(".RUN.LOCK").touch()
    check_told_apart(["Anna", "anna"], beside)


def test_predict_writes_no_set_over_another(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if Path(str(tmp_path).swapcase()).exists():
        pytest.skip("this disk holds no two such maps")
    calibrated_cohort(tmp_path, [f"c{i}" for i in range(10)])
    for folder in ("maps", "labels"):
        path = tmp_path / folder / "c3.nii.gz"
        path.with_name("C3.nii.gz").write_bytes(path.read_bytes())
    (tmp_path / "sets").mkdir()
    given = ["predict", tmp_path / "maps", "--form", "channels-last", "--calibration", tmp_path / "c.json"]
    assert run(*given, "--out", tmp_path / "apart").exit_code == 0
    assert len(list((tmp_path / "apart").glob("*.nii.gz"))) == 11
    (tmp_path / "sets/.RUN.LOCK").touch()
    (tmp_path / "sets/.run.lock").hardlink_to(tmp_path / "sets/.RUN.LOCK")
    ran = run(*given, "--out", tmp_path / "sets")
    assert ran.exit_code == 1
    assert "'C3' and 'c3' differ in capitals alone" in ran.output.replace("\n", " ")
    assert not list((tmp_path / "sets").glob("*.nii.gz"))
