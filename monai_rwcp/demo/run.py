"""The demo from beginning to end: cohort, training, tuning, calibration, prediction sets, table, picture and report."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from ignite.engine import Engine
from monai.transforms import AsDiscreted, CopyItemsd, SaveImaged

from monai_rwcp.conformal.promises.calibration import Calibration
from monai_rwcp.demo.cohort import CohortSizes, write_groups
from monai_rwcp.demo.evaluating import OnEveryBatch, evaluate
from monai_rwcp.demo.measuring import measure, no_figures
from monai_rwcp.demo.phantoms import CLASS_NAMES
from monai_rwcp.demo.picture import draw_overview, patient_in_the_middle
from monai_rwcp.demo.table import demo_table, in_words
from monai_rwcp.demo.threads import one_thread
from monai_rwcp.demo.training import train_network
from monai_rwcp.demo.tuning import tune
from monai_rwcp.handlers.calibration import ConformalCalibrationHandler
from monai_rwcp.handlers.items import engine_items
from monai_rwcp.handlers.report import ReportHandler
from monai_rwcp.transforms.conformal_threshold import ConformalThresholdd
from monai_rwcp.tune.settings_file import TunedSettings
from monai_rwcp.utils.files import written_whole

__all__ = ["DemoResult", "run_demo"]

_ALPHA = 0.05
_SIZES = CohortSizes()
_SETS = ("plain_set", "tuned_set")


@dataclass(frozen=True)
class DemoResult:
    """What the demo has to say.

    Args:
        table: the figures of the test patients, as markdown.
        words: what they show.
        chosen: the score that tuning chose.
        promise: what is promised of the tuned sets.
    """

    table: str
    words: str
    chosen: str
    promise: str


def run_demo(
    out: Path, *, seed: int = 0, sizes: CohortSizes = _SIZES, epochs: int = 75, progress: bool = True
) -> DemoResult:
    """Run the whole demo into a folder.

    Args:
        out: an existing folder.
        seed: seed of the phantoms, the weights and the training.
        sizes: numbers of patients.
        epochs: for how many epochs the network is trained.
        progress: whether progress bars are shown.

    Returns:
        what is seen.

    Raises:
        ImportError: when a package of the extra "demo" is missing.
    """
    with one_thread():
        groups = write_groups(out, sizes, seed, progress)
        network = train_network(groups["train"], epochs=epochs, seed=seed, progress=progress)
        with written_whole(out / "network.pt") as temporary:
            torch.save(network.state_dict(), temporary)
        later = [case["patient"] for name in ("calibrate", "test") for case in groups[name]]
        choice = tune(
            network,
            groups["tune"],
            alpha=_ALPHA,
            n_calibration=sizes.calibrate,
            later=later,
            progress=progress,
        )
        settings = out / "settings.json"
        TunedSettings.of(choice, "patient").save(settings)

        paths = {"plain": out / "calibration_plain.json", "tuned": out / "calibration.json"}
        calibrating = [
            ConformalCalibrationHandler(
                key,
                alpha=_ALPHA,
                unit_key="patient",
                output_path=path,
                class_names=CLASS_NAMES,
                settings=settings,
            )
            for key, path in paths.items()
        ]
        evaluate(network, settings, groups["calibrate"], [], calibrating, "calibrate" if progress else None)

        measured, items = no_figures(), {}

        def look(engine: Engine) -> None:
            for item in engine_items(engine):
                measure(item, measured)
                items[item["patient"]] = {key: item[key] for key in ("patient", "image", "label", *_SETS)}

        handlers: list[Any] = [OnEveryBatch(look), _report(out, paths["tuned"])]
        evaluate(network, settings, groups["test"], _to_sets(out, paths), handlers, "predict" if progress else None)
        table = demo_table(measured, _ALPHA)
        with written_whole(out / "table.md") as temporary:
            temporary.write_text(table, encoding="utf-8")
        draw_overview(out / "overview.png", items[patient_in_the_middle(measured)], sizes.test)
    return DemoResult(table, in_words(measured), choice.chosen.name, Calibration.load(paths["tuned"]).promise)


def _to_sets(out: Path, paths: dict[str, Path]) -> list[Any]:
    """Both sets, the network's own mask, and files of the tuned sets."""
    (out / "sets").mkdir(exist_ok=True)
    return [
        ConformalThresholdd(("plain", "tuned"), [str(paths["plain"]), str(paths["tuned"])]),
        CopyItemsd("plain", times=1, names=["mask"]),
        AsDiscreted("mask", argmax=True, to_onehot=len(CLASS_NAMES)),
        SaveImaged(
            "tuned_set",
            output_dir=out / "sets",
            output_postfix="set",
            output_dtype=np.uint8,
            separate_folder=False,
            resample=False,
            print_log=False,
        ),
    ]


def _report(out: Path, calibration: Path) -> ReportHandler:
    return ReportHandler(
        calibration,
        out / "report.html",
        set_key="tuned_set",
        unit_key="patient",
        image_key="image",
        score_key="tuned",
    )
