"""What the tests of the report share: folders of sets, and a real browser."""

from __future__ import annotations

import shutil
from collections.abc import Iterator

import pytest

from tests.helpers.chromium_tab import Browser
from tests.helpers.report_cohort import Cohort


@pytest.fixture
def cohort() -> type[Cohort]:
    return Cohort


@pytest.fixture(scope="session")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    if shutil.which("chromium") is None:
        pytest.skip("needs Chromium: apt-get install chromium")
    found = Browser(tmp_path_factory.mktemp("chromium"))
    yield found
    found.close()
