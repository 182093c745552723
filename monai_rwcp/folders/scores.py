"""How a score is made of a map in a folder: as it is, walked, or as tuning chose."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from pathlib import Path
from typing import Any

from monai.data import MetaTensor

from monai_rwcp.features.protocol import FeatureExtractor
from monai_rwcp.folders.forms import MapForm
from monai_rwcp.folders.maps import read_grid_file, read_probabilities
from monai_rwcp.folders.match import FolderCase
from monai_rwcp.folders.records import with_program
from monai_rwcp.folders.truth import read_truth, truth_form
from monai_rwcp.provenance.record import ScoreRecord
from monai_rwcp.provenance.score_maps import provenance_key
from monai_rwcp.scores.walked import WalkedScore
from monai_rwcp.transforms.dense_features import DenseFeaturesd
from monai_rwcp.transforms.random_walk_diffusion import RandomWalkDiffusiond
from monai_rwcp.transforms.tuned_score import TunedScored
from monai_rwcp.tune.settings_file import TunedSettings
from monai_rwcp.walk.settings import paper, recommended

__all__ = ["ScoreChoice", "needs_features", "score_chain", "score_item", "settings_file"]

ScoreChoice = str
"""``"plain"``, ``"paper"``, ``"recommended"``, or the path of a settings file of `monai-rwcp tune`."""

_NAMED = {"paper": paper, "recommended": recommended}


def settings_file(score: ScoreChoice) -> str | None:
    """The settings file that a score is made by, whatever it is called; None where it is made by name.

    Example:
        >>> settings_file("plain"), settings_file("tuned/settings.json")
        (None, 'tuned/settings.json')
    """
    return None if score == "plain" or score in _NAMED else score


def needs_features(score: ScoreChoice) -> bool:
    """Whether a score is walked.

    Raises:
        FileNotFoundError: when it is neither a name nor a file.
        ValueError: when the file is no settings file.

    Example:
        >>> needs_features("recommended")
        True
    """
    if settings_file(score) is None:
        return score in _NAMED
    if not Path(score).exists():
        raise FileNotFoundError(
            f"Expected `score` to be plain, paper, recommended or a settings file of tune, but there is no '{score}'."
        )
    return isinstance(TunedSettings.load(score).score, WalkedScore)


ScoreStep = Callable[[dict[Hashable, Any]], dict[Hashable, Any]]


def score_chain(score: ScoreChoice, extractor: FeatureExtractor | None) -> Sequence[ScoreStep]:
    """The transforms that make a score of ``pred``, by the features of ``image`` where it is walked.

    Raises:
        ValueError: when a walk has no source of features, or plain scores have one.
    """
    if not needs_features(score):
        # Settings may have any score: a script gives the source that tuning had, whatever it chose.
        if score == "plain" and extractor is not None:
            raise ValueError("The score 'plain' does not walk and has no use for features: leave out `extractor`.")
        return () if score == "plain" else (TunedScored("pred", score),)
    if extractor is None:
        raise ValueError(f"The score '{score}' walks by features of the images: give `extractor` and `images`.")
    if score in _NAMED:
        return DenseFeaturesd("image", extractor), RandomWalkDiffusiond("pred", **_NAMED[score]())
    tuned = TunedSettings.load(score).score
    # The caller names one source, and the records tell it apart from others, whatever tuning called it.
    keys = {tuned.source: "features"} if isinstance(tuned, WalkedScore) else None
    return DenseFeaturesd("image", extractor), TunedScored("pred", score, feature_keys=keys)


def score_item(
    case: FolderCase,
    form: MapForm,
    chain: Sequence[ScoreStep],
    warned: set[tuple[str, str]],
    record: ScoreRecord,
) -> dict[Hashable, Any]:
    """Load a case and make its score.

    Args:
        case: its files.
        form: of the map.
        chain: of :py:func:`score_chain`.
        warned: see :py:func:`monai_rwcp.folders.read_grid_file`.
        record: of the maps in its folder, see :py:func:`monai_rwcp.folders.records.folder_records`.

    Returns:
        item with ``pred`` (the score), ``pred_provenance`` (its record), ``label`` where there is one, ``case``, and
        the unit under what it is called.

    Raises:
        ValueError: when a file cannot be read, or does not fit; the message names it.
    """
    found: MetaTensor = read_probabilities(case.map, form, warned)
    item: dict[Hashable, Any] = {"pred": found, "case": case.name, case.unit_name: case.unit}
    item[provenance_key("pred")] = with_program(record, found).to_json()
    if case.label is not None:
        item["label"] = read_truth(case.label, found, truth_form(form, [case.map]), warned)
    if case.image is not None:
        item["image"] = read_grid_file(case.image, found, what="image", warned=warned)
    elif any(isinstance(step, DenseFeaturesd) for step in chain):
        raise ValueError(f"The score of '{case.map}' walks by features of its image, but there is none: give `images`.")
    # Not as a chain of MONAI's, whose errors say only which transform was at work.
    for step in chain:
        try:
            item = step(item)
        except (ValueError, RuntimeError) as error:
            raise ValueError(f"'{case.map}': {error}") from error
    return item
