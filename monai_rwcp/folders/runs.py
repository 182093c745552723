"""Calibrating on a folder of maps, and making and measuring the prediction sets of another."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Hashable, Sequence
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import torch.distributed
from ignite.engine import Engine
from monai.data import MetaTensor

from monai_rwcp.conformal.promises.calibration import Calibration
from monai_rwcp.conformal.sets.set_sizes import set_sizes
from monai_rwcp.features.protocol import FeatureExtractor
from monai_rwcp.folders.forms import MapForm, label_mode_of
from monai_rwcp.folders.log import SetLog
from monai_rwcp.folders.maps import read_grid_file, read_map
from monai_rwcp.folders.match import FolderCase
from monai_rwcp.folders.scores import ScoreChoice, score_chain, score_item, settings_file
from monai_rwcp.folders.sets import check_made_with, read_set
from monai_rwcp.handlers.calibration import ConformalCalibrationHandler
from monai_rwcp.handlers.metrics import PredictionSetMetricsHandler
from monai_rwcp.transforms.conformal_threshold import ConformalThresholdd
from monai_rwcp.tune.settings_file import TunedSettings
from monai_rwcp.utils.files import written_whole
from monai_rwcp.utils.json_documents import digest
from monai_rwcp.utils.processes import is_first_process, n_processes
from monai_rwcp.utils.progress import shown_progress

__all__ = ["ScoreChoice", "calibrate_folder", "evaluate_folder", "predict_folder"]


def calibrate_folder(
    cases: Sequence[FolderCase],
    output_path: Path,
    *,
    form: MapForm = "channels-last",
    score: ScoreChoice = "plain",
    extractor: FeatureExtractor | None = None,
    alpha: float = 0.1,
    class_names: Sequence[str] | None = None,
    progress: bool = False,
) -> Calibration:
    """Calibrate the false negative rate on labelled maps, unit by unit.

    Args:
        cases: with labels; see :py:func:`monai_rwcp.folders.match_folders`.
        output_path: where the calibration is written.
        form: of the maps, see :py:func:`monai_rwcp.folders.read_map`. With ``"one-class"`` labels are 0 and 1.
        score: how the score is made of the map.
        extractor: source of features, for a walk; the cases then need images.
        alpha: highest expected false negative rate, in (0, 1).
        class_names: by channel; None numbers them.
        progress: whether a progress bar is shown.

    Returns:
        the calibration.

    Raises:
        OSError: when a file is missing, or the calibration cannot be written.
        ValueError: when a case does not fit; the message names it.
    """
    chain = score_chain(score, extractor)
    if class_names is not None and cases:
        n_channels = read_map(cases[0].map, form).shape[0]
        if len(class_names) != n_channels:
            raise ValueError(
                f"Expected a name for each of the {n_channels} channels of '{cases[0].map}', but got "
                f"{len(class_names)}: {', '.join(class_names)}. Name the background, too, where there is one."
            )
    settings = settings_file(score)
    # A CSV file of names does not say what they are names of; tuning does.
    unit = "patient" if settings is None else TunedSettings.load(settings).unit_name
    handler = ConformalCalibrationHandler(
        alpha=alpha,
        unit_key=unit,
        case_key="case",
        label_mode=label_mode_of(form),
        output_path=output_path,
        class_names=class_names,
        settings=settings,
    )
    told: set[tuple[str, str]] = set()
    _run(handler, cases, lambda case: {**score_item(case, form, chain, told), unit: case.unit}, "calibrate", progress)
    return handler.calibration


def predict_folder(
    cases: Sequence[FolderCase],
    calibration_path: Path,
    out: Path,
    *,
    form: MapForm = "channels-last",
    score: ScoreChoice = "plain",
    extractor: FeatureExtractor | None = None,
    overwrite: bool = False,
    progress: bool = False,
) -> dict[str, Any]:
    """Write the prediction sets of maps, and a log of them, ``run.json``.

    Each case becomes ``NAME.nii.gz``, uint8 of 0 and 1 ``[x, y, z, C]`` with the affine of its map. A run that was
    interrupted goes on where it was: what is there is kept, when the log tells that it was made the same way of the
    same files.
    Processes of `torch.distributed` share the cases.

    Args:
        cases: what is predicted.
        calibration_path: the file of the calibration.
        out: a folder, which is made.
        form, score, extractor: as the calibration was made; a score that was made another way is refused.
        overwrite: whether what is in the folder is replaced.
        progress: whether a progress bar is shown.

    Returns:
        the log: what the sets were made with, the thresholds of :py:func:`monai_rwcp.conformal.curve_thresholds`, and
        by case size and time stamp of its files (``made_of``), the voxels of the set of each channel, those at each of
        these thresholds by class (``voxels_at``), and the seconds.

    Raises:
        FileExistsError: when the folder holds something else than an unfinished run of this kind.
        OSError: when a file is missing or cannot be written.
        ValueError: when a case does not fit, or was made another way; the message names it.
    """
    calibration = Calibration.load(calibration_path)
    if calibration.groups is not None or calibration.weighted is not None:
        raise ValueError(
            f"Expected a calibration with one threshold for all, but '{calibration_path}' has thresholds by group or "
            "weight, and no folder tells those of a case. Use ConformalThresholdd in Python, with its group_key or "
            "weight_key."
        )
    chain, threshold = score_chain(score, extractor), ConformalThresholdd("pred", calibration)
    settings = settings_file(score)
    made_with = {
        "calibration": digest(json.loads(calibration_path.read_text(encoding="utf-8"))),
        "form": form,
        "score": score if settings is None else digest(json.loads(Path(settings).read_text(encoding="utf-8"))),
        "extractor": None if extractor is None else extractor.name,
    }
    log = SetLog(out, made_with, calibration.promise, overwrite)
    # Before any file is read: one that changes meanwhile is then made anew by the next run.
    made_of = {case.name: _made_of(case) for case in cases}
    told: set[tuple[str, str]] = set()
    left = _share([case for case in cases if log.cases.get(case.name, {}).get("made_of") != made_of[case.name]])
    with shown_progress(len(left), progress and is_first_process(), "predict", "case") as advance:
        for case in left:
            start = time.perf_counter()
            item = score_item(case, form, chain, told)
            try:
                found = threshold(item)["pred_set"]
            except ValueError as error:
                raise ValueError(f"'{case.map}': {error}") from error
            _save_set(found, out / f"{case.name}.nii.gz")
            sizes = set_sizes(item["pred"].as_tensor(), list(calibration.classes))
            entry = {
                "made_of": made_of[case.name],
                "voxels": [int(size) for size in found.as_tensor().flatten(1).sum(dim=1)],
                "voxels_at": {str(c): of_class for c, of_class in sizes.items()},
                "seconds": round(time.perf_counter() - start, 3),
            }
            log.add(case.name, entry)
            advance(1)
    return log.finish()


def evaluate_folder(
    cases: Sequence[FolderCase], calibration: Calibration, *, progress: bool = False
) -> dict[str, float]:
    """Measure prediction sets against the truth.

    Args:
        cases: sets, as :py:func:`predict_folder` writes them, in the place of maps, with labels; none of a unit that
            was calibrated on (a calibration does not name its units: keep them apart).
        calibration: what the sets were made with.
        progress: whether a progress bar is shown.

    Returns:
        figures by name and channel, such as ``pred_set_fnr_1``; see :py:func:`monai_rwcp.metrics.class_figures`.

    Raises:
        OSError: when a file is missing.
        ValueError: when a case does not fit, or the log beside the sets tells of another calibration; the message names
            it.
    """
    handler = PredictionSetMetricsHandler(
        alpha=calibration.promised.alpha,
        unit_key="patient",
        case_key="case",
        label_mode=calibration.counting.label_mode,
    )

    told: set[tuple[str, str]] = set()

    def load(case: FolderCase) -> dict[Hashable, Any]:
        assert case.label is not None
        found = read_set(case, calibration)
        label = read_grid_file(case.label, found, what="label", warned=told)
        return {"pred_set": found, "label": label, "case": case.name, "patient": case.unit}

    check_made_with(cases, calibration)
    return _run(handler, cases, load, "evaluate", progress)


def _made_of(case: FolderCase) -> dict[str, list[int]]:
    """Size and time stamp of the files of a case, by which changed ones are noticed."""
    files = {"map": case.map, "image": case.image}
    status = {kind: path.stat() for kind, path in files.items() if path is not None}
    return {kind: [of.st_size, of.st_mtime_ns] for kind, of in status.items()}


def _run(
    handler: Any,
    cases: Sequence[FolderCase],
    load: Callable[[FolderCase], dict[Hashable, Any]],
    title: str,
    progress: bool,
) -> dict[str, float]:
    if len(cases) < n_processes():
        raise ValueError(
            f"Expected a case for each of the {n_processes()} processes, but got {len(cases)} in all. Start fewer."
        )
    own = _share(cases)
    with shown_progress(len(own), progress and is_first_process(), title, "case") as advance:

        def step(engine: Engine, case: FolderCase) -> list[dict[Hashable, Any]]:
            advance(1)
            return [load(case)]

        engine = Engine(step)
        handler.attach(engine)
        return dict(engine.run(own).metrics)


def _share(cases: Sequence[FolderCase]) -> Sequence[FolderCase]:
    """The cases of this process, dealt out in turn."""
    return cases if n_processes() == 1 else cases[torch.distributed.get_rank() :: n_processes()]


def _save_set(found: MetaTensor, path: Path) -> None:
    values = found.as_tensor().numpy().astype(np.uint8)
    values = values[..., None] if values.ndim == 3 else values
    with written_whole(path) as temporary:
        nibabel.save(nibabel.Nifti1Image(np.moveaxis(values, 0, -1), found.affine.numpy()), temporary)
