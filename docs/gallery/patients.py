"""The gallery's phantom patients: made, predicted and counted when an example asks for them, and then kept."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from functools import cache
from typing import Any

import torch
from monai.transforms import Activationsd, Compose, CopyItemsd, Invertd, ResampleToMatchd

from monai_rwcp import (
    DenseFeaturesd,
    LossTable,
    NetworkFeatures,
    NetworkProvenanced,
    RandomWalkDiffusiond,
    WalkSettings,
    calibrate,
)
from monai_rwcp.conformal import case_loss_table, prediction_set
from monai_rwcp.demo import CLASS_NAMES, FEATURE_LAYERS, image_preprocessing, train_network, write_cohort
from monai_rwcp.provenance import completed_record, record_of

WALK = WalkSettings(k=20, beta=20.0, n_steps=20, restart=0.2, center=True, spatial_weight=3.0, grid=2, keep_peak=True)
TRAINING, TUNING, CALIBRATION, NEW = slice(0, 8), slice(8, 28), slice(28, 88), slice(88, 188)


def table_of(items: list[dict[str, Any]], loss: Any = "fnr", key: str = "score", **options: Any) -> LossTable:
    """Count a loss of the patients' scores, as `ConformalCalibrationHandler` does in an evaluator."""
    return LossTable.join(
        case_loss_table(
            item[key].as_tensor(),
            item["label"].as_tensor(),
            loss=loss,
            unit=item["patient"],
            unit_name="patient",
            spacing=item["label"].pixdim.tolist(),
            provenance=completed_record(item[key], record_of(item, key)),
            **options,
        )
        for item in items
    )


def _cases() -> list[dict[str, str]]:
    return write_cohort(tempfile.mkdtemp(), n_patients=NEW.stop, seed=0)


def _network() -> torch.nn.Module:
    return train_network(_made("cases")[TRAINING], epochs=80, seed=0, progress=False)


def _predicted(which: slice, *last: Any) -> list[dict[str, Any]]:
    network, preprocessing = _made("network"), _made("preprocessing")
    chain = Compose(
        [
            Activationsd("pred", softmax=True),
            DenseFeaturesd("image", NetworkFeatures(network, FEATURE_LAYERS)),
            *last,
        ]
    )
    items = []
    for case in _made("cases")[which]:
        item = preprocessing(case)
        with torch.no_grad():
            item["pred"] = network(item["image"][None])[0]
        items.append(chain(item))
    return items


def _items(which: slice) -> list[dict[str, Any]]:
    return _predicted(
        which,
        CopyItemsd("pred", names=["score"]),
        NetworkProvenanced(("pred", "score"), _made("network")),
        RandomWalkDiffusiond("score", **WALK),
        Invertd(("pred", "score", "image"), _made("preprocessing"), orig_keys="image", nearest_interp=False),
    )


def _patient() -> dict[str, Any]:
    """The new patient in the middle by what the sets miss, cut to the slice that shows most of the organ."""
    items, calibration = _made("new_items"), _made("calibration")

    def missed(item: dict[str, Any]) -> float:
        found = prediction_set(item["score"].as_tensor(), calibration)[1:].bool()
        truth = torch.stack([item["label"][0] == c for c in calibration.classes])
        return float((truth & ~found).sum() / truth.sum())

    item = sorted(items, key=missed)[len(items) // 2]
    z = int((item["label"][0] == 1).sum(dim=(0, 1)).argmax())
    return {
        "image": item["image"][0, ..., z].numpy(),
        "label": item["label"][0, ..., z].numpy(),
        "pred": item["pred"].as_tensor()[..., z],
        "score": item["score"].as_tensor()[..., z],
        "spacing": item["label"].pixdim[:2].tolist(),
        "name": item["patient"],
    }


_MAKE: dict[str, Callable[[], Any]] = {
    "cases": _cases,
    "network": _network,
    "preprocessing": image_preprocessing,
    # Tuned on the network's own grid, to which the labels are brought.
    "tuning_items": lambda: _predicted(TUNING, ResampleToMatchd("label", key_dst="image", mode="nearest")),
    "calibration_items": lambda: _items(CALIBRATION),
    "new_items": lambda: _items(NEW),
    "table": lambda: table_of(_made("calibration_items")),
    "new_table": lambda: table_of(_made("new_items")),
    "all_table": lambda: LossTable.join([_made("table"), _made("new_table")]),
    "plain_table": lambda: table_of(_made("calibration_items"), key="pred"),
    "calibration": lambda: calibrate(_made("table"), alpha=0.1, class_names=CLASS_NAMES),
    "plain_calibration": lambda: calibrate(_made("plain_table"), alpha=0.1, class_names=CLASS_NAMES),
    "patient": _patient,
}


@cache
def _made(name: str) -> Any:
    return _MAKE[name]()


def __getattr__(name: str) -> Any:
    if name not in _MAKE:
        raise AttributeError(name)
    return _made(name)
