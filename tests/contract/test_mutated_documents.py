"""Documents that are almost right, whose digests fit: they load and can be used, or are refused by a `ValueError`."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pytest
import torch

from monai_rwcp import Calibration, LossTable, TunedSettings, WalkSettings, calibrate
from monai_rwcp.commands.extractor import chosen_extractor
from monai_rwcp.conformal import DensityRatio, InstanceFalseNegativeRate, SurfaceFalseNegativeRate, case_loss_table
from monai_rwcp.monitoring import CaseSummaries, ExchangeabilityMonitor
from monai_rwcp.monitoring.case_summaries import ImageSummary
from monai_rwcp.provenance import RecordedStep, ScoreRecord
from monai_rwcp.report.tables.card import calibration_card
from monai_rwcp.scores import BlurredScore, WalkedScore
from tests.helpers.mutations import mutated_json

RECORD = ScoreRecord("sha256:1", {"form": "nnunet"}, flips=[[0]], spacing=[1.0, 2.0], steps=(RecordedStep("blur", {"sigma": 1.0}),))  # fmt: skip


def table(loss: Any = "fnr", *, weighted: bool = False, grouped: bool = False) -> LossTable:
    tables = []
    for i in range(24):
        torch.manual_seed(i)
        label = torch.zeros(1, 8, 8)
        label[:, 2:5, 2:5] = 1
        share = 0.7 * label + 0.2 * torch.rand(1, 8, 8)
        tables.append(
            case_loss_table(
                torch.cat([1 - share, share]),
                label,
                loss=loss,
                unit=f"p{i}",
                unit_name="patient",
                spacing=[1.0, 1.0],
                group="ab"[i % 2] if grouped else None,
                shift_weight=1.0 + i % 3 if weighted else None,
                provenance=RECORD,
            )
        )
    return LossTable.join(tables)


def summaries() -> CaseSummaries:
    random = np.random.default_rng(0)
    names = ("uncertainty", "fraction")
    images = {f"i{i}": ImageSummary(f"p{i}", {name: float(random.random()) for name in names}) for i in range(20)}
    return CaseSummaries(images, unit_name="patient", with_image=False, provenance=RECORD)


def monitor() -> ExchangeabilityMonitor:
    begun = ExchangeabilityMonitor(summaries())
    begun.observe("new", {"uncertainty": 0.1, "fraction": 0.2})
    return begun


def use_calibration(path: Path) -> None:
    found = Calibration.load(path)
    text = calibration_card(found) + found.promise + repr(found) + found._repr_html_()
    assert text
    found.save(path)
    group = None if found.groups is None else next(iter(found.groups), None)
    if group is not None or found.groups is None:
        found.thresholds_for(group, None if found.weighted is None else 1.5)


def use_table(path: Path) -> None:
    found = LossTable.load(path)
    calibrate(found, 0.2)
    LossTable.merge([found]).save(path)


def use_summaries(path: Path) -> None:
    ExchangeabilityMonitor(CaseSummaries.load(path)).save(path)


def use_monitor(path: Path) -> None:
    ExchangeabilityMonitor.load(path, summaries()).save(path)


def use_settings(path: Path) -> None:
    found = TunedSettings.load(path)
    assert found.score.record(ScoreRecord(), side="original", spacing=None, features=None).steps
    found.save(path)


def use_ratio(path: Path) -> None:
    DensityRatio.load(path).weight([1.0, 2.0])


def use_extractor(path: Path) -> None:
    chosen_extractor(str(path), None)(torch.rand(1, 8, 8))


def tuned(score: Any) -> TunedSettings:
    return TunedSettings(score, ("anna", "ben"), "patient", 0.1, "stretch", "it was best")


def extractor(path: Path) -> None:
    path.write_text(json.dumps({"extractor": {"_target_": "MINDFeatures", "radius": 1}}))


WEIGHTS = {f"p{i}": 1.0 + i % 3 for i in range(24)}
DOCUMENTS: dict[str, tuple[Callable[[Path], object], Callable[[Path], None]]] = {
    "calibration": (lambda path: calibrate(table(), 0.2, class_names=("x", "y")).save(path), use_calibration),
    "calibration of groups": (
        lambda path: calibrate(table(grouped=True), 0.2, by_group=True).save(path),
        use_calibration,
    ),
    "calibration of weights": (
        lambda path: calibrate(table(weighted=True), 0.2, weights=WEIGHTS).save(path),
        use_calibration,
    ),
    "calibration of a loss with numbers": (
        lambda path: calibrate(table(SurfaceFalseNegativeRate(2.0)), 0.2).save(path),
        use_calibration,
    ),
    "table": (lambda path: table().save(path), use_table),
    "table of pieces": (lambda path: table(InstanceFalseNegativeRate(0.5), grouped=True).save(path), use_table),
    "summaries": (lambda path: summaries().save(path), use_summaries),
    "monitor": (lambda path: monitor().save(path), use_monitor),
    "settings of a blur": (lambda path: tuned(BlurredScore(2.0)).save(path), use_settings),
    "settings of a walk": (lambda path: tuned(WalkedScore(WalkSettings(k=5, grid=(4, 4, 1)))).save(path), use_settings),
    "density ratio": (lambda path: DensityRatio((1.0, 2.0), (1.0, 1.0), (0.5, 0.1), 0.0).save(path), use_ratio),
    "extractor": (extractor, use_extractor),
}


@pytest.mark.parametrize("name", DOCUMENTS)
def test_a_document_with_one_other_place(name: str, tmp_path: Path) -> None:
    make, use = DOCUMENTS[name]
    path = tmp_path / "document.json"
    faults = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        make(path)
        use(path)
        make(path)
        good = json.loads(path.read_text())
        for seed in range(60):
            path.write_text(mutated_json(good, Random(f"{name} {seed}")))
            try:
                use(path)
            except ValueError as error:
                if "\n" in str(error):
                    faults[seed] = f"several lines: {error}"
            except Exception as error:
                faults[seed] = f"{type(error).__name__}: {error}"
    assert not faults, "\n".join(f"{seed}: {fault:.300}" for seed, fault in faults.items())
