"""What tuning compared, as a markdown table."""

from __future__ import annotations

from monai_rwcp.report.tables.markdown import aligned_table
from monai_rwcp.tune.choice import Choice

__all__ = ["tuning_table"]


def tuning_table(choice: Choice) -> str:
    """All candidates that were compared to the end, the best first, as a markdown table.

    "In" is the share of the bootstrap draws in which a candidate is worse than the best.

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
            result.candidate.name + (" (chosen)" if result.candidate == choice.chosen else ""),
            f"{result.value:.3f}",
            f"{result.difference:.3f} ({result.standard_error:.3f}), {result.worse_in:.0%}",
            ", ".join(f"{c}: {threshold:.3f}" for c, threshold in result.thresholds.items()),
        ]
        for result in choice.results
    ]
    return aligned_table(["candidate", choice.objective, "worse than the best by (s.e.), in", "thresholds"], rows)
