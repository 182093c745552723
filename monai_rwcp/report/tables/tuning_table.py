"""What tuning compared, as a markdown table."""

from __future__ import annotations

from monai_rwcp.report.tables.markdown import aligned_table
from monai_rwcp.tune.choice import CandidateResult, Choice

__all__ = ["tuning_table"]


def tuning_table(choice: Choice) -> str:
    """All candidates that were compared to the end, the best first, as a markdown table.

    "In" is the share of the bootstrap draws in which a candidate is worse than the best. Where small structures were
    looked at, two more columns tell what a candidate misses more of the smallest third than plain scores do, and how
    many more of its sets are empty; candidates that harm them come last and are marked.

    Args:
        choice: what tuning found.

    Example:
        >>> from monai_rwcp.scores import PlainScore
        >>> from monai_rwcp.tune import CandidateResult
        >>> result = CandidateResult(PlainScore(), 1.5, 0.0, 0.0, 0.0, {1: 0.25})
        >>> print(tuning_table(Choice(PlainScore(), (result,), 0.1, "stretch", ("a", "b"), "it is alone")))
        | candidate      | stretch | worse than the best by (s.e.), in | thresholds |
        |----------------|---------|-----------------------------------|------------|
        | plain (chosen) | 1.500   | 0.000 (0.000), 0%                 | 1: 0.250   |
        <BLANKLINE>
    """
    rows = [
        [
            result.candidate.name + _mark(result, choice),
            f"{result.value:.3f}",
            f"{result.difference:.3f} ({result.standard_error:.3f}), {result.worse_in:.0%}",
            *_small(result),
            ", ".join(f"{c}: {threshold:.3f}" for c, threshold in result.thresholds.items()),
        ]
        for result in choice.results
    ]
    small = ["smallest third missed more (s.e.)", "more empty (s.e.)"] if _small(choice.results[0]) else []
    heads = ["candidate", choice.objective, "worse than the best by (s.e.), in", *small, "thresholds"]
    return aligned_table(heads, rows)


def _mark(result: CandidateResult, choice: Choice) -> str:
    if result.candidate == choice.chosen:
        return " (chosen)"
    return " (harms small structures)" if result.is_harmful else ""


def _small(result: CandidateResult) -> list[str]:
    if result.small is None:
        return []
    pairs = ((result.small.missed, result.small.missed_error), (result.small.empty, result.small.empty_error))
    return [f"{difference:+.3f} ({error:.3f})" for difference, error in pairs]
