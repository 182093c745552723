"""Tuning refuses a case whose label, mask or features lie elsewhere than the score."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
import torch
from monai.data import MetaTensor

from monai_rwcp import NetworkFeatures, WalkSettings, tune_settings
from monai_rwcp.scores import BlurredScore, PlainScore, WalkedScore
from monai_rwcp.transforms import DenseFeaturesd
from monai_rwcp.tune import set_curves
from tests.helpers.placed_maps import ELSEWHERE, EXCHANGED, ROUNDED, case, moved

N = 12


def tuned(placed: dict[str, np.ndarray], numbers: tuple[int, ...] = (7,), objective: Any = "stretch") -> Any:
    cases = [case(i, placed if i in numbers else None) for i in range(N)]
    some = [PlainScore(), BlurredScore(1.0)]
    return tune_settings(cases, alpha=0.3, mask_key="roi", candidates=some, objective=objective)


@pytest.mark.parametrize(("key", "what"), [("label", "label"), ("roi", "mask")])
@pytest.mark.parametrize("there", ELSEWHERE.values(), ids=ELSEWHERE)
def test_one_case_of_twelve(key: str, what: str, there: np.ndarray) -> None:
    with pytest.raises(ValueError, match=f"Case 7, .*Expected score 'pred' and {what} '{key}' on one grid"):
        tuned({key: there})


def test_rounded_headers_are_warned_of_once() -> None:
    expected = tuned({})
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        # By distance every case is read once more.
        found = tuned({"label": ROUNDED}, tuple(range(N)), "hausdorff_distance_95")
    said = [str(warning.message) for warning in caught if "affines" in str(warning.message)]
    assert [text for text in said if "score 'pred' and label 'label'" in text] == said[:1]
    assert found.units == expected.units


@pytest.mark.parametrize(("key", "what"), [("label", "label"), ("roi", "mask")])
def test_counting_by_hand(key: str, what: str) -> None:
    for there in (None, ELSEWHERE["mirrored"]):
        one = case(0, None if there is None else {key: there})
        if there is None:
            assert set_curves(one["pred"], one["label"], unit="a", mask=one["roi"]).true.sum() == 18
        else:
            with pytest.raises(ValueError, match=f"score 'score' and {what} '{what}' on one grid"):
                set_curves(one["pred"], one["label"], unit="a", mask=one["roi"])


def test_features_elsewhere() -> None:
    extractor = NetworkFeatures(torch.nn.Sequential(torch.nn.Conv3d(2, 4, 2, stride=2)), "0")
    walk = [PlainScore(), WalkedScore(WalkSettings(k=4, n_steps=2))]

    def walked(there: np.ndarray | None) -> Any:
        cases = [DenseFeaturesd("pred", extractor)(case(i)) for i in range(4)]
        if there is not None:
            image = MetaTensor(cases[2]["pred"].as_tensor(), affine=torch.as_tensor(there))
            cases[2]["features"] = DenseFeaturesd("pred", extractor)({"pred": image})["features"]
        return tune_settings(cases, alpha=0.3, candidates=walk)

    assert len(walked(None).results) == 2
    for there in (moved(1, 0, 0), EXCHANGED):
        with pytest.raises(ValueError, match="Case 2, .*Keys 'pred' and 'features': the features cover another field"):
            walked(there)
