"""Second stage of the study: tune, calibrate and test on random splits of the patients, read from the stored counts."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from benchmarks.common.baselines import BilateralScore, DilatedScore, PeakKeptScore
from benchmarks.common.splitter import Splitter
from benchmarks.study.cases import StudySet
from benchmarks.study.measure import StudyCandidate
from monai_rwcp.scores import BlurredScore, PlainScore, Score, WalkedScore
from monai_rwcp.tune import Objective, SetCurves, choose, efficiency, working_level
from monai_rwcp.tune.halving import better_candidates, first_units
from monai_rwcp.utils.arguments import exact
from monai_rwcp.walk import paper, recommended

__all__ = ["Outcome", "SplitRow", "calibrated_steps", "outcomes", "split_rows"]


@dataclass(frozen=True)
class SplitRow:
    """What one method did in one split.

    Args:
        split: number of the split.
        method: the family, such as "blur, tuned".
        candidate: name of the candidate that stood for it.
        class_name: the class.
        alpha: promised false negative rate.
        working_level: what the calibration's mean was allowed to be, ``((n + 1) alpha - 1) / n``; nan when no
            calibration patient shows the class.
        observed: mean false negative rate of the test patients who show the class; nan without such patients.
        stretch: mean over them of size of set over size of truth.
        dice: mean Dice over the test images that show the class.
        false_alarms: share of the test images without the class whose set is not empty; nan without such images.
    """

    split: int
    method: str
    candidate: str
    class_name: str
    alpha: float
    working_level: float
    observed: float
    stretch: float
    dice: float
    false_alarms: float


@dataclass(frozen=True)
class Outcome:
    """What tuning and calibration made of one method in one split.

    Args:
        split: number of the split.
        alpha: promised false negative rate.
        method: the family, such as "blur, tuned".
        candidate: what stands for it.
        steps: by row of the curves' classes, the number of the calibrated threshold.
        n: likewise, how many calibration patients show the class.
        test: the test patients.
    """

    split: int
    alpha: float
    method: str
    candidate: StudyCandidate
    steps: tuple[int, ...]
    n: tuple[int, ...]
    test: tuple[str, ...]


def outcomes(
    pooled: Mapping[StudyCandidate, SetCurves], splitter: Splitter, number: int, alpha: float
) -> Iterator[Outcome]:
    """Tune every family on one split, at the level its calibration will work at, and calibrate what it chose.

    Args:
        pooled: counts of every patient.
        splitter: how patients are split.
        number: number of the split.
        alpha: promised false negative rate.
    """
    tune, calibrate, test = splitter.split(number)
    level = working_level(alpha, len(calibrate))
    for method, candidate in _methods({c: of.only(tune) for c, of in pooled.items()}, level, number).items():
        calibration = pooled[candidate].only(calibrate)
        n = tuple(int(shown) for shown in (calibration.true > 0).sum(axis=0))
        yield Outcome(number, alpha, method, candidate, calibrated_steps(calibration, alpha), n, tuple(test))


def split_rows(
    study: StudySet,
    curves: Mapping[StudyCandidate, SetCurves],
    pooled: Mapping[StudyCandidate, SetCurves],
    outcome: Outcome,
) -> Iterator[SplitRow]:
    """Look at the test patients of one outcome, class by class.

    Args:
        study: the set.
        curves: counts of every case.
        pooled: the same, added up by patient.
        outcome: the split, the method and its thresholds.
    """
    images = [info.name for info in study.infos if info.unit in set(outcome.test)]
    of_units, of_images = pooled[outcome.candidate].only(outcome.test), curves[outcome.candidate].only(images)
    for row, (c, step, n) in enumerate(zip(of_units.classes, outcome.steps, outcome.n, strict=True)):
        shown, absent = of_units.true[:, row] > 0, of_images.true[:, row] == 0
        yield SplitRow(
            outcome.split,
            outcome.method,
            outcome.candidate.name,
            study.class_names[c],
            outcome.alpha,
            ((n + 1) * outcome.alpha - 1) / n if n else math.nan,
            _mean(of_units.false_negative_rate[shown, row, step]),
            _mean(of_units.stretch[shown, row, step]),
            _mean(of_images.dice[~absent, row, step]),
            _mean(of_images.size[absent, row, step] > 0),
        )


def _mean(values: np.ndarray) -> float:
    return float(values.mean()) if values.size else math.nan


def _methods(tuning: Mapping[StudyCandidate, SetCurves], level: float, seed: int) -> dict[str, StudyCandidate]:
    """Who stands for each family: its best on the tuning patients."""
    value = {candidate: float(efficiency(of, level)[0][0]) for candidate, of in tuning.items()}

    def best(among: Iterable[StudyCandidate]) -> StudyCandidate:
        return min(among, key=value.__getitem__)

    blurs = [c for c in tuning if isinstance(c, BlurredScore)]
    kept = [c for c in tuning if isinstance(c, PeakKeptScore)]

    found: dict[str, StudyCandidate] = {"plain CRC": PlainScore()}
    found |= {
        "blur, tuned": best(c for c in blurs if not c.keep_peak),
        "dilation, tuned": best(c for c in tuning if isinstance(c, DilatedScore)),
        "bilateral, tuned": best(c for c in tuning if isinstance(c, BilateralScore)),
        "blur or bilateral with keep_peak, tuned": best([*(c for c in blurs if c.keep_peak), *kept]),
    }
    walks = [candidate for candidate in tuning if isinstance(candidate, WalkedScore)]
    for source in dict.fromkeys(candidate.source for candidate in walks):
        found[f"walk on {source}, tuned"] = best(c for c in walks if c.source == source)
        for name, settings in (("paper()", paper()), ("recommended() [development]", recommended())):
            found[f"walk on {source}, {name}"] = next(
                c for c in walks if c.source == source and {**c.walk, "grid": None} == {**settings, "grid": None}
            )
    among = {c: of for c, of in tuning.items() if isinstance(c, (PlainScore, BlurredScore, WalkedScore))}
    found["what tune chooses"] = _chosen(among, level, "stretch", seed)
    found["what tune chooses by Dice"] = _chosen(among, level, "dice", seed)
    return found


def _chosen(among: Mapping[Score, SetCurves], level: float, objective: Objective, seed: int) -> Score:
    """As `tune_settings` does it."""
    first = first_units(next(iter(among.values())).units, seed)
    left = better_candidates({c: of.only(first) for c, of in among.items()}, level, objective)
    return choose({c: among[c] for c in left}, level, objective=objective, seed=seed).chosen


def calibrated_steps(calibration: SetCurves, alpha: float) -> tuple[int, ...]:
    """Conformal risk control on the thresholds of the counts, which are a part of the calibration's own."""
    steps = []
    for row in range(len(calibration.classes)):
        shown = calibration.true[:, row] > 0
        missed, true = calibration.missed[shown, row], calibration.true[shown, row]
        allowed = exact(alpha) * (len(true) + 1) - 1
        total = calibration.false_negative_rate[shown, row].sum(axis=0)
        kept = total <= float(allowed)
        for step in np.flatnonzero(np.abs(total - float(allowed)) < 1e-9):
            # Too near for sums that were rounded.
            kept[step] = sum(Fraction(int(m), int(t)) for m, t in zip(missed[:, step], true, strict=True)) <= allowed
        steps.append(max(0, int(kept.sum()) - 1))
    return tuple(steps)
