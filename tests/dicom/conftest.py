"""A made-up CT series in a folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.helpers.dicom_series import write_series


@pytest.fixture
def series_folder(tmp_path: Path) -> Path:
    write_series(tmp_path / "series", 20.0)
    return tmp_path / "series"
