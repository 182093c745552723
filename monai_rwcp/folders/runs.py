"""Calibrating on a folder of maps, and making and measuring the prediction sets of another."""

from __future__ import annotations

import time
from collections.abc import Hashable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from monai_rwcp.conformal.promises.calibration import Calibration
from monai_rwcp.conformal.sets.set_sizes import set_sizes
from monai_rwcp.features.protocol import FeatureExtractor
from monai_rwcp.folders.forms import MapForm
from monai_rwcp.folders.log import SetLog
from monai_rwcp.folders.maps import read_map
from monai_rwcp.folders.match import FolderCase
from monai_rwcp.folders.out_folder import check_apart
from monai_rwcp.folders.records import check_network, folder_records, network_name
from monai_rwcp.folders.run_over import own_share, run_over
from monai_rwcp.folders.scores import ScoreChoice, score_chain, score_item, settings_file
from monai_rwcp.folders.set_files import made_of, refuse_failed, write_set
from monai_rwcp.folders.sets import check_made_with, read_set
from monai_rwcp.folders.truth import read_truth, truth_form, truth_form_of_sets
from monai_rwcp.handlers.calibration import ConformalCalibrationHandler
from monai_rwcp.handlers.metrics import PredictionSetMetricsHandler
from monai_rwcp.transforms.conformal_threshold import ConformalThresholdd
from monai_rwcp.tune.settings_file import TunedSettings
from monai_rwcp.utils.json_documents import digest, parsed_json
from monai_rwcp.utils.names import UNNAMED
from monai_rwcp.utils.processes import from_all, is_first_process
from monai_rwcp.utils.progress import shown_progress

__all__ = ["ScoreChoice", "calibrate_folder", "evaluate_folder", "predict_folder"]

# No name of a kind of patient: what an item holds besides.
_ITEM_KEYS = (*UNNAMED, "pred", "label")


def calibrate_folder(
    cases: Sequence[FolderCase],
    output_path: Path,
    *,
    form: MapForm = "channels-last",
    score: ScoreChoice = "plain",
    extractor: FeatureExtractor | None = None,
    alpha: float = 0.1,
    class_names: Sequence[str] | None = None,
    network: str | None = None,
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
        class_names: by channel; None numbers them, and calls nnU-Net's regions as its `dataset.json` does.
        network: checkpoint of the network that made the maps, which is recorded by its hash, or a name of that
            network; None takes what the files tell.
        progress: whether a progress bar is shown.

    Returns:
        the calibration.

    Raises:
        OSError: when a file is missing, or the calibration cannot be written.
        ValueError: when a case does not fit; the message names it.
    """
    chain, truth = score_chain(score, extractor), truth_form(form, [case.map for case in cases])
    records = folder_records(cases, form, network_name(network))
    if class_names is not None and cases:
        n_channels = read_map(cases[0].map, form).shape[0]
        if len(class_names) != n_channels:
            raise ValueError(
                f"Expected a name for each of the {n_channels} channels of '{cases[0].map}', but got "
                f"{len(class_names)}: {', '.join(class_names)}. Name the background, too, where there is one."
            )
    settings = settings_file(score)
    # A CSV file of names does not say what they are names of; tuning does.
    unit = cases[0].unit_name if cases else "case"
    if settings is not None and unit not in UNNAMED:
        unit = TunedSettings.load(settings).unit_name
        if unit in _ITEM_KEYS:
            raise ValueError(
                f"The settings in '{settings}' were tuned on units called '{unit}', so nobody can tell whether some of "
                "them are patients of the calibration: tune on patients (--unit-key patient)."
            )
    handler = ConformalCalibrationHandler(
        alpha=alpha,
        unit_key=unit,
        case_key="case",
        label_mode=truth.mode,
        output_path=output_path,
        class_names=truth.names if class_names is None else class_names,
        settings=settings,
    )
    told: set[tuple[str, str]] = set()

    def load(case: FolderCase) -> dict[Hashable, Any]:
        return {**score_item(case, form, chain, told, records[case.map.parent]), unit: case.unit}

    run_over(handler, cases, load, "calibrate", progress)
    return handler.calibration


def predict_folder(
    cases: Sequence[FolderCase],
    calibration_path: Path,
    out: Path,
    *,
    form: MapForm = "channels-last",
    score: ScoreChoice = "plain",
    extractor: FeatureExtractor | None = None,
    network: str | None = None,
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
        out: a folder of its own, which is made.
        form, score, extractor, network: as the calibration was made; a score that was made another way is refused.
        overwrite: whether the sets of an earlier run there are taken away and made anew.
        progress: whether a progress bar is shown.

    Returns:
        the log: what the sets were made with, the thresholds of :py:func:`monai_rwcp.conformal.curve_thresholds`, and
        by case size and time stamp of its files (``made_of``), the hash of the set, the voxels of the set of each
        channel, those at each of these thresholds by class (``voxels_at``), and the seconds.

    Raises:
        FileExistsError: when the folder holds what is read, or something else than a run of this kind.
        OSError: when a file is missing or cannot be written.
        ValueError: at the end, when all other sets are made, where maps could not be read, do not fit, or were made
            another way; the message names them.
    """
    check_apart(out, [path for case in cases for path in (case.map, case.image, case.label) if path is not None])
    calibration = Calibration.load(calibration_path)
    if calibration.groups is not None or calibration.weighted is not None:
        raise ValueError(
            f"Expected a calibration with one threshold for all, but '{calibration_path}' has thresholds by group or "
            "weight, and no folder tells those of a case. Use ConformalThresholdd in Python, with its group_key or "
            "weight_key."
        )
    chain, threshold = score_chain(score, extractor), ConformalThresholdd("pred", calibration)
    settings, truth = settings_file(score), truth_form(form, [case.map for case in cases])
    for case in cases[:1] if form == "nnunet" else ():
        truth.check_same(calibration, case.map.parent)
    # Once: a checkpoint is hashed for it.
    named = network_name(network)
    records = folder_records(cases, form, named)
    check_network(records, calibration.provenance)
    made_with: dict[str, Any] = {
        "calibration": digest(parsed_json(calibration_path.read_text(encoding="utf-8"))),
        "form": form,
        "score": score if settings is None else digest(parsed_json(Path(settings).read_text(encoding="utf-8"))),
        "extractor": None if extractor is None else extractor.name,
        "network": named,
    }
    if truth.regions is not None:
        made_with["regions"] = {name: list(labels) for name, labels in truth.regions.items()}
    failed: dict[str, str] = {}
    told: set[tuple[str, str]] = set()
    with SetLog(out, made_with, calibration.promise, [case.name for case in cases], overwrite) as log:
        # Before any file is read: one that changes meanwhile is then made anew by the next run.
        of = {case.name: made_of(case) for case in cases}
        left = own_share([case for case in cases if log.cases.get(case.name, {}).get("made_of") != of[case.name]])
        with shown_progress(len(left), progress and is_first_process(), "predict", "case") as advance:
            for case in left:
                start = time.perf_counter()
                log.drop(case.name)
                advance(1)
                try:
                    item = score_item(case, form, [*chain, threshold], told, records[case.map.parent])
                except (OSError, ValueError) as error:
                    failed[case.name] = str(error)
                    continue
                found = item["pred_set"]
                sizes = set_sizes(item["pred"].as_tensor(), list(calibration.classes))
                entry = {
                    "made_of": of[case.name],
                    "voxels": [int(size) for size in found.as_tensor().flatten(1).sum(dim=1)],
                    "voxels_at": {str(c): of_class for c, of_class in sizes.items()},
                    "seconds": round(time.perf_counter() - start, 3),
                }
                write_set(found, log.path_of(case.name), partial(log.add, case.name, entry))
        made = log.finish()
    refuse_failed({name: why for of_process in from_all(failed) for name, why in of_process.items()}, len(cases), out)
    return made


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
        ValueError: when a case does not fit, or the log beside the sets tells of another calibration or another file
            of a set; the message names it.
    """
    handler = PredictionSetMetricsHandler(
        alpha=calibration.promised.alpha,
        unit_key="unit",
        case_key="case",
        label_mode=calibration.counting.label_mode,
    )

    told: set[tuple[str, str]] = set()

    def load(case: FolderCase) -> dict[Hashable, Any]:
        assert case.label is not None
        found = read_set(case, calibration, logs)
        of = truth_form_of_sets(calibration, logs.get(case.map.parent))
        label = read_truth(case.label, found, of, told)
        return {"pred_set": found, "label": label, "case": case.name, "unit": case.unit}

    logs = check_made_with(cases, calibration)
    return run_over(handler, cases, load, "evaluate", progress)
