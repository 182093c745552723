"""The demo from beginning to end: cohort, training, calibration, prediction sets, table and picture."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from ignite.engine import Engine, Events
from monai.data import DataLoader, Dataset, MetaTensor
from monai.engines import SupervisedEvaluator
from monai.transforms import Activationsd, Compose, CopyItemsd, Invertd, SaveImaged

from monai_rwcp.conformal.promises.calibration import Calibration
from monai_rwcp.demo.phantoms import CLASS_NAMES, write_cohort
from monai_rwcp.demo.training import FEATURE_LAYERS, image_preprocessing, train_network
from monai_rwcp.features.network import NetworkFeatures
from monai_rwcp.handlers.calibration import ConformalCalibrationHandler
from monai_rwcp.handlers.items import engine_items
from monai_rwcp.metrics.prediction_set import prediction_set_metrics
from monai_rwcp.report.figures.case_picture import draw_case
from monai_rwcp.report.tables.methods_table import MeasuredSet, render_table, summarise
from monai_rwcp.transforms.conformal_threshold import ConformalThresholdd
from monai_rwcp.transforms.dense_features import DenseFeaturesd
from monai_rwcp.transforms.network_provenance import NetworkProvenanced
from monai_rwcp.transforms.random_walk_diffusion import RandomWalkDiffusiond
from monai_rwcp.utils.files import written_whole
from monai_rwcp.utils.image_files import read_image_file
from monai_rwcp.walk.settings import recommended

__all__ = ["DemoSizes", "run_demo"]

# The phantoms are small (about 60 x 56 x 18 voxels), so the graph needs a finer grid than on a full-size map. Fixed
# before the first calibration label is seen.
_WALK = replace(recommended(), grid=2)
_METHODS = {"plain": "plain CRC", "walked": "random walk + CRC"}


@dataclass(frozen=True)
class DemoSizes:
    """How many patients the demo makes, and for how many epochs it trains."""

    train: int = 8
    calibrate: int = 60
    test: int = 60
    epochs: int = 80


def run_demo(out: Path, *, seed: int = 0, sizes: DemoSizes = DemoSizes(), progress: bool = True) -> str:
    """Run the whole demo into a folder.

    Args:
        out: an existing folder.
        seed: seed of the phantoms, the weights and the training.
        sizes: numbers of patients and epochs.
        progress: whether progress bars are shown.

    Returns:
        the table, as markdown.

    Raises:
        ImportError: when a package of the extra "demo" is missing.
    """
    groups = {}
    first = 0
    for name in ("train", "calibrate", "test"):
        count = getattr(sizes, name)
        groups[name] = write_cohort(out / "cohort", count, seed, first)
        first += count
    with written_whole(out / "datalist.json") as temporary:
        # Paths relative to this file, as MONAI's data lists have them.
        relative = {
            name: [
                {k: v if k == "patient" else str(Path(v).relative_to(out)) for k, v in case.items()} for case in cases
            ]
            for name, cases in groups.items()
        }
        temporary.write_text(json.dumps(relative, indent=1), encoding="utf-8")
    network = train_network(groups["train"], epochs=sizes.epochs, seed=seed, progress=progress)
    with written_whole(out / "network.pt") as temporary:
        torch.save(network.state_dict(), temporary)

    paths = {"plain": out / "calibration_plain.json", "walked": out / "calibration.json"}
    handlers = [
        ConformalCalibrationHandler(key, unit_key="patient", output_path=path, class_names=CLASS_NAMES)
        for key, path in paths.items()
    ]
    _evaluate(network, groups["calibrate"], [], handlers, "calibrate" if progress else None)
    calibrations = {key: Calibration.load(path) for key, path in paths.items()}

    measured: list[MeasuredSet] = []
    cases: dict[str, dict[str, Any]] = {}

    def measure(engine: Engine) -> None:
        for item in engine_items(engine):
            measured.extend(_measured(item))
            cases[item["patient"]] = item

    (out / "sets").mkdir(exist_ok=True)
    saving = [
        ConformalThresholdd(("plain", "walked"), [str(paths["plain"]), str(paths["walked"])]),
        *(
            SaveImaged(
                f"{key}_set",
                output_dir=out / "sets",
                output_postfix=f"{key}_set",
                output_dtype=np.uint8,
                separate_folder=False,
                resample=False,
                print_log=False,
            )
            for key in _METHODS
        ),
    ]
    _evaluate(network, groups["test"], saving, [_Attached(measure)], "predict" if progress else None)

    rows = [
        summarise(measured, method, c, calibrations[key])
        for c in calibrations["walked"].classes
        for key, method in _METHODS.items()
    ]
    table = render_table(rows, "mm")
    with written_whole(out / "table.md") as temporary:
        temporary.write_text(table, encoding="utf-8")
    _draw(out / "overview.png", cases, measured)
    return table


def _post_chain(network: torch.nn.Module, preprocessing: Compose, last: Sequence[Callable]) -> Compose:
    return Compose(
        [
            Activationsd("pred", softmax=True),
            CopyItemsd("pred", times=2, names=["plain", "walked"]),
            NetworkProvenanced(("plain", "walked"), network),
            DenseFeaturesd("image", NetworkFeatures(network, FEATURE_LAYERS)),
            RandomWalkDiffusiond("walked", **_WALK),
            Invertd(("plain", "walked"), preprocessing, orig_keys="image", nearest_interp=False),
            *last,
        ]
    )


def _evaluate(
    network: torch.nn.Module,
    cases: Sequence[dict[str, str]],
    last: Sequence[Callable],
    handlers: Sequence[Any],
    progress: str | None,
) -> None:
    from tqdm import tqdm

    preprocessing = image_preprocessing()
    loader = DataLoader(Dataset(list(cases), preprocessing), batch_size=1)
    evaluator = SupervisedEvaluator(
        device=torch.device("cpu"),
        val_data_loader=loader,
        network=network,
        postprocessing=_post_chain(network, preprocessing, last),
        val_handlers=list(handlers),
    )
    with tqdm(total=len(cases), desc=progress, disable=progress is None) as bar:
        evaluator.add_event_handler(Events.ITERATION_COMPLETED, lambda engine: bar.update())
        evaluator.run()


class _Attached:
    """A function called after every batch, as a MONAI handler."""

    def __init__(self, function: Callable[[Engine], None]) -> None:
        self.function = function

    def attach(self, engine: Engine) -> None:
        engine.add_event_handler(Events.ITERATION_COMPLETED, self.function)


def _measured(item: dict[str, Any]) -> list[MeasuredSet]:
    label = item["label"].as_tensor()[0]
    spacing = [float(s) for s in item["label"].pixdim]
    return [
        MeasuredSet(
            method,
            item["patient"],
            c,
            prediction_set_metrics(item[f"{key}_set"].as_tensor()[c], label == c, spacing=spacing),
        )
        for key, method in _METHODS.items()
        for c in range(1, len(CLASS_NAMES))
    ]


def _draw(path: Path, cases: dict[str, dict[str, Any]], measured: Sequence[MeasuredSet]) -> None:
    """Draw the patient in the middle of the plain sets' order by Dice: neither the best nor the worst."""
    organ = 1
    plain = sorted(
        (m.metrics.dice, m.unit) for m in measured if m.method == _METHODS["plain"] and m.class_index == organ
    )
    patient = plain[len(plain) // 2][1]
    item = {key: value.as_tensor().numpy() for key, value in cases[patient].items() if isinstance(value, MetaTensor)}
    truth = item["label"][0] == organ
    slice_index = int(truth.sum(axis=(0, 1)).argmax())
    image = read_image_file(Path(cases[patient]["image"].meta["filename_or_obj"])).values
    draw_case(
        path,
        image=image[..., slice_index],
        probability=item["plain"][organ][..., slice_index],
        score=item["walked"][organ][..., slice_index],
        plain_set=item["plain_set"][organ][..., slice_index],
        walked_set=item["walked_set"][organ][..., slice_index],
        truth=truth[..., slice_index],
        title=f"{patient} (median Dice of the plain sets), {CLASS_NAMES[organ]}, slice {slice_index}",
    )
