"""The demo's choice of a score, on patients of their own."""

from __future__ import annotations

import itertools
from collections.abc import Collection

import torch
from monai.transforms import Activationsd, Compose, ResampleToMatchd

from monai_rwcp.demo.cohort import Cohort
from monai_rwcp.demo.training import FEATURE_LAYERS, image_preprocessing
from monai_rwcp.features.network import NetworkFeatures
from monai_rwcp.scores.blurred import BlurredScore
from monai_rwcp.scores.choice import Score
from monai_rwcp.scores.plain import PlainScore
from monai_rwcp.scores.walked import WalkedScore
from monai_rwcp.transforms.dense_features import DenseFeaturesd
from monai_rwcp.tune.choice import Choice
from monai_rwcp.tune.tune import tune_settings
from monai_rwcp.walk.settings import WalkSettings

__all__ = ["candidates", "tune"]

# The phantoms are small, so the graph needs a finer grid than on a full-size map.
_GRID = (2, 2, 1)


def candidates() -> list[Score]:
    """Give what is compared: the plain score, a few blurs, and a few walks, with and without kept peaks."""
    blurs = [BlurredScore(sigma, keep) for sigma, keep in itertools.product((0.5, 1.0, 2.0), (False, True))]
    walks = [
        WalkedScore(WalkSettings(k, beta, 20, restart, True, 3.0, _GRID, keep_peak=keep))
        for k, beta, restart, keep in itertools.product((10, 20), (10.0, 50.0), (0.2, 0.5), (False, True))
    ]
    return [PlainScore(), *blurs, *walks]


def tune(
    network: torch.nn.Module,
    cases: Cohort,
    *,
    alpha: float,
    n_calibration: int,
    later: Collection[str],
    progress: bool,
) -> Choice:
    """Choose how the scores are made: the sets whose borders are nearest to the truth's, at the same promise.

    Args:
        network: the trained network.
        cases: the tuning patients.
        alpha: share that may be missed on average.
        n_calibration: how many will calibrate.
        later: names of those who will calibrate and be tested on; none of them may be among the tuning patients.
        progress: whether progress bars are shown.

    Returns:
        the choice.
    """
    from tqdm import tqdm

    preprocessing = image_preprocessing()
    chain = Compose(
        [
            # Tuning compares on the network's grid: there the truth is brought.
            ResampleToMatchd("label", key_dst="image", mode="nearest"),
            Activationsd("pred", softmax=True),
            DenseFeaturesd("image", NetworkFeatures(network, FEATURE_LAYERS)),
        ]
    )
    items = []
    for case in tqdm(cases, desc="prepare tuning", disable=not progress):
        item = preprocessing(case)
        with torch.no_grad():
            item["pred"] = network(item["image"][None])[0]
        items.append(chain(item))
    return tune_settings(
        items,
        candidates=candidates(),
        alpha=alpha,
        n_calibration=n_calibration,
        objective="hausdorff_distance_95",
        unit_key="patient",
        keep_apart=later,
        progress=progress,
    )
