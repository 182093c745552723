"""Names of patients: a missing one is refused, and what is alike is one."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from monai_rwcp import (
    CaseSummaryHandler,
    ConformalCalibrationHandler,
    PredictionSetMetricsHandler,
    tune_settings,
)
from monai_rwcp.conformal import Calibration, LossTable, calibrate, false_negative_rate_table
from monai_rwcp.folders import read_units
from monai_rwcp.folders.tuning import read_section
from monai_rwcp.metrics import PredictionSetMetrics
from monai_rwcp.monitoring import CaseSummaries, ExchangeabilityMonitor
from monai_rwcp.monitoring.case_summaries import ImageSummary
from monai_rwcp.scores import PlainScore
from monai_rwcp.transforms.checks import group_and_weight
from monai_rwcp.tune import TunedSettings
from monai_rwcp.utils.names import name_as_text
from tests.helpers.engines import run_bare

THREE = [3, 3.0, "3", "3.0", " 3 ", "3.00", np.int64(3), np.uint8(3), np.float32(3), np.array(3), np.array(3.0),
         torch.tensor(3), torch.tensor(3.0), torch.tensor(3, dtype=torch.float16), np.str_("3")]  # fmt: skip
MISSING = [None, float("nan"), np.nan, np.float32("nan"), torch.tensor(float("nan")), "", " ", "\t\n", "nan", "NaN", "None",
           "<NA>", "NaT", float("inf")]  # fmt: skip
NO_NAMES = [True, False, np.True_, 3.5, torch.tensor(0.1), [3], ("3",), {"a": 1}, b"3", torch.tensor([3]), np.array(["3"]),
            object(), 3 + 0j]  # fmt: skip
OTHERS = ["03", "3.5", "3a", "30", 4, -3, "-3", "3.01", "Nan", "none", "NA", "Null", "ANNA", "anna "]


@pytest.mark.parametrize("value", THREE, ids=repr)
def test_what_is_alike_is_one(value: object) -> None:
    assert name_as_text(value, "`unit`") == "3"


@pytest.mark.parametrize("value", [*MISSING, *NO_NAMES], ids=lambda value: re.sub(r" at 0x\w+", "", repr(value)))
def test_what_is_missing_or_no_name_is_refused(value: object) -> None:
    with pytest.raises(ValueError, match="Expected 'patient' to be a name") as refused:
        name_as_text(value, "'patient'")
    assert ("fill it in" in str(refused.value)) is any(value is missing for missing in MISSING)


def test_other_names_stay_apart() -> None:
    names = [name_as_text(value, "`unit`") for value in OTHERS]
    assert len(set(names)) == len(OTHERS) - 1  # -3 and "-3"
    assert "3" not in names
    assert name_as_text("Mu\u0308ller", "`unit`") == name_as_text("M\u00fcller", "`unit`")


@pytest.mark.parametrize(
    "value", [2.0**53, 1e22, np.float32(2**24), torch.tensor(20240117.0), torch.tensor(4096.0).half()]
)
def test_numbers_that_have_lost_digits_are_refused(value: object) -> None:
    with pytest.raises(ValueError, match="has lost its last digits"):
        name_as_text(value, "`unit`")
    assert name_as_text(20240117.0, "`unit`") == "20240117"
    assert name_as_text(np.float32(2**24 - 1), "`unit`") == "16777215"
    assert name_as_text(10**30, "`unit`") == "1" + "0" * 30


def item(number: int, **names: object) -> dict[str, Any]:
    generator = torch.Generator().manual_seed(number)
    label = torch.zeros(1, 6, 6, dtype=torch.long)
    label[0, 1:4, 1:4] = 1
    share = (0.2 + 0.6 * label + 0.15 * torch.rand(1, 6, 6, generator=generator)).float()
    pred = torch.cat([1 - share, share])
    return {"pred": pred, "pred_set": (pred > 0.5).float(), "label": label, "case": number, **names}


def counted(items: list[dict[str, Any]]) -> LossTable:
    handler = ConformalCalibrationHandler(alpha=0.5, unit_key="patient", case_key="case", group_key="scanner")
    run_bare(handler, [[one] for one in items])
    return handler.table


def test_forms_of_one_name_are_one_patient_in_every_handler() -> None:
    items = [
        item(i, patient=THREE[i % len(THREE)] if i < 15 else f"p{i}", scanner=THREE[i % len(THREE)]) for i in range(30)
    ]
    table = counted(items)
    assert sorted(table.units) == sorted(["3", *(f"p{i}" for i in range(15, 30))])
    assert {image.group for image in table.images.values()} == {"3"}
    summaries = CaseSummaryHandler(unit_key="patient", case_key="case")
    run_bare(summaries, [[one] for one in items])
    assert len(summaries.summaries.units) == 16
    metrics = PredictionSetMetricsHandler(alpha=0.1, unit_key="patient", case_key="case")
    run_bare(metrics, [[one] for one in items])
    assert metrics.metric.aggregate()["n_units"].tolist() == [16]


@pytest.mark.parametrize("key", ["patient", "case", "scanner"])
@pytest.mark.parametrize("missing", [float("nan"), None, " ", torch.tensor(float("nan")), "nan"], ids=repr)
def test_one_missing_name_of_thirty_is_refused_by_the_handler(key: str, missing: object) -> None:
    items = [item(i, patient=f"p{i}", scanner="A") for i in range(30)]
    assert len(counted(items).units) == 30
    items[17][key] = missing
    with pytest.raises(ValueError, match=f"'{key}' to be a name"):
        counted(items)


@pytest.mark.parametrize("handler", [
    lambda: PredictionSetMetricsHandler(alpha=0.1, unit_key="patient", case_key="case"),
    lambda: CaseSummaryHandler(unit_key="patient", case_key="case"),
])  # fmt: skip
def test_the_other_handlers_refuse_it_too(handler: Callable[[], Any]) -> None:
    items = [item(i, patient=f"p{i}") for i in range(5)]
    items[3]["patient"] = float("nan")
    with pytest.raises(ValueError, match="'patient' to be a name"):
        run_bare(handler(), [[one] for one in items])
    del items[3]["patient"]
    with pytest.raises(KeyError, match="Expected 'patient' in every item"):
        run_bare(handler(), [[one] for one in items])


def test_names_that_are_given_in_python() -> None:
    score, label = torch.rand(2, 4, 4), torch.ones(1, 4, 4)
    assert false_negative_rate_table(score, label, unit=3.0, image=7.0).units == ("3",)  # type: ignore[arg-type]
    for wrong in ({"unit": float("nan")}, {"unit": "a", "image": ""}, {"unit": "a", "group": float("nan")}):
        with pytest.raises(ValueError, match="to be a name"):
            false_negative_rate_table(score, label, **wrong)  # type: ignore[arg-type]
    metric = PredictionSetMetrics(alpha=0.1)
    one = torch.ones(2, 2, 4, 4)
    metric(one, one, units=[3, "3.0"], images=["a", "b"])
    assert metric.aggregate()["n_units"].tolist() == [1]
    with pytest.raises(ValueError, match="to be a name"):
        metric(one, one, units=["a", float("nan")])


def test_groups_of_a_calibration_are_found_in_every_form() -> None:
    tables = [
        false_negative_rate_table(one["pred"], one["label"], unit=str(i), group=3.0)  # type: ignore[arg-type]
        for i, one in ((i, item(i)) for i in range(12))
    ]
    found: Calibration = calibrate(LossTable.join(tables), 0.2, by_group=True)
    assert list(found.groups or ()) == ["3"]
    for form in THREE:
        group, _ = group_and_weight({"scanner": form}, "scanner", None)
        assert found.thresholds_for(group=group) == found.thresholds_for(group="3")
    for wrong in (None, float("nan"), ""):
        with pytest.raises(ValueError, match="'scanner' to be a name"):
            group_and_weight({"scanner": wrong}, "scanner", None)


def test_the_guard_finds_tuned_patients_in_every_form() -> None:
    settings = TunedSettings(PlainScore(), ("3", "anna"), "patient", 0.2, "stretch", "it was best")
    for form in THREE:
        with pytest.raises(ValueError, match="3"):
            settings.check_unseen(["p1", form, "p2"], "calibration", "patient")
    settings.check_unseen(OTHERS[:-1], "calibration", "patient")
    with pytest.raises(ValueError, match="to be a name"):
        settings.check_unseen(["p1", float("nan")], "calibration", "patient")
    cases = [item(i, patient=form) for i, form in enumerate((3.0, "b", "c", "d"))]
    with pytest.raises(ValueError, match="3"):
        tune_settings(cases, keep_apart=["3", "z"], candidates=[PlainScore()])
    for wrong in (float("nan"), " ", None):
        cases[2]["patient"] = wrong
        with pytest.raises(ValueError, match="'patient' of case 2 to be a name"):
            tune_settings(cases, candidates=[PlainScore()])


def test_tables_and_data_lists(tmp_path: Path) -> None:
    table = tmp_path / "units.csv"
    table.write_text("case,unit\na,3\nb,3.0\nc, 3 \nd,4\n")
    assert read_units(table) == {"a": "3", "b": "3", "c": "3", "d": "4"}
    table.write_text("case,unit\na,3\nb,nan\n")
    with pytest.raises(ValueError, match=r"'unit' in line 3 of .*units.csv' to be a name"):
        read_units(table)
    for name in ("a", "b", "c", "d"):
        (tmp_path / name).touch()
    datalist = tmp_path / "list.json"
    tuning = [{"pred": "a", "label": "b", "patient": 3.0}]
    datalist.write_text(json.dumps({"tuning": tuning, "test": [{"pred": "c", "label": "d", "patient": "3"}]}))
    items, others = read_section(datalist, "tuning", "patient", with_image=False)
    assert items[0]["patient"] == "3"
    assert others == {"3"}
    for wrong in (None, float("nan"), "", True):
        tuning[0]["patient"] = wrong  # type: ignore[assignment]
        datalist.write_text(json.dumps({"tuning": tuning}))
        with pytest.raises(ValueError, match="'patient' of item 0 of 'tuning' to be a name"):
            read_section(datalist, "tuning", "patient", with_image=False)


def test_summaries_and_monitors_know_a_case_again() -> None:
    images = {str(i): ImageSummary(str(i), {"uncertainty": i / 50}) for i in range(20)}
    assert ImageSummary(3.0, {"uncertainty": 0.1}).unit == "3"  # type: ignore[arg-type]
    monitor = ExchangeabilityMonitor(CaseSummaries(images, unit_name="patient"))
    # Of the calibration, and judged before, whatever the form.
    assert not any(monitor.observe(form, {"uncertainty": 0.1}) for form in THREE)  # type: ignore[arg-type]
    assert monitor.observe(33.0, {"uncertainty": 0.1})  # type: ignore[arg-type]
    assert not monitor.observe("33", {"uncertainty": 0.1})
    for missing in MISSING:
        with pytest.raises(ValueError, match="to be a name"):
            monitor.observe(missing, {"uncertainty": 0.1})  # type: ignore[arg-type]
        with pytest.raises(ValueError, match="to be a name"):
            ImageSummary(missing, {"uncertainty": 0.1})  # type: ignore[arg-type]
