"""The table's figures by hand, and the picture."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from monai_rwcp.conformal import Calibration, ClassCalibration, Promise
from monai_rwcp.metrics import SetMetrics
from monai_rwcp.report import MeasuredSet, draw_case, render_table, summarise

CALIBRATION = Calibration(
    promised=Promise(0.1),
    unit_name="patient", n_channels=2, n_images=30, class_names=("background", "heart"),
    classes={1: ClassCalibration(0.25, 30, 0.05, 0.07)}, provenance={},
)  # fmt: skip


def measured(unit: str, missed: int, true: int, size: int, method: str = "plain") -> MeasuredSet:
    nan = float("nan")
    return MeasuredSet(method, unit, 1, SetMetrics(missed, true, size, 0, 0.5 if true else nan, 2, 3.0, nan))


def test_rates_are_pooled_by_patient_and_averaged_over_patients() -> None:
    sets = [
        measured("anna", 1, 10, 20),
        measured("anna", 9, 90, 90),
        measured("bert", 3, 10, 10),
        measured("bert", 0, 0, 5),
        measured("carl", 0, 0, 0),
        measured("anna", 10, 10, 0, method="other"),
    ]
    row = summarise(sets, "plain", 1, CALIBRATION)
    assert row.observed == pytest.approx((0.1 + 0.3) / 2)
    assert row.observed_error == pytest.approx(0.1)
    assert row.stretch == pytest.approx((2 + 1 + 1) / 3)
    assert (row.n_test, row.n_calibration, row.false_alarms, row.without_class) == (2, 30, 1, 2)
    text = render_table([row], "mm")
    cells = [cell.strip() for cell in text.splitlines()[2].strip("|").split("|")]
    assert cells == ["plain", "heart", "30", "2", "0.100", "0.070", "0.200 (0.100)", "1.33", "0.500", "3.00", "n/a", "2.0", "1/2"]  # fmt: skip
    assert "HD95 (mm)" in text


def test_size_inside_the_field_is_shown_where_it_differs() -> None:
    sets = [MeasuredSet("plain", "anna", 1, SetMetrics(0, 10, 40, 20, 0.5, 1, 1.0, 1.0))]
    assert "4.00 (2.00 inside)" in render_table([summarise(sets, "plain", 1, CALIBRATION)], "px")


def test_picture(tmp_path: Path) -> None:
    image, mask = np.random.default_rng(0).random((20, 30)), np.zeros((20, 30))
    mask[5:10, 5:12] = 1
    maps = {"image": image, "probability": image, "score": image, "plain_set": mask, "walked_set": mask, "truth": mask}
    draw_case(tmp_path / "a.png", **maps, title="a case", spacing=(1.0, 2.0))
    assert (tmp_path / "a.png").read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
    assert len(list(tmp_path.iterdir())) == 1
    with pytest.raises(ValueError, match="one 2D shape"):
        draw_case(tmp_path / "b.png", **{**maps, "truth": mask[:5]}, title="another")
