"""What the tests of the study share."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.helpers.noise_patients import Measured


@pytest.fixture(scope="session")
def measured(tmp_path_factory: pytest.TempPathFactory) -> Measured:
    # Imported here, since the other benchmarks do without what the study's baselines need.
    from tests.helpers.noise_patients import measure_all

    return measure_all(tmp_path_factory.mktemp("curves"))
