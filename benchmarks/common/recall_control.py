"""MAPIE's control of recall, the peer that promises what `monai_rwcp` promises."""

from __future__ import annotations

from typing import Any


def recall_control(alpha: float, **more: Any) -> Any:
    """MAPIE's controller, by conformal risk control, for maps that are scores already.

    Args:
        alpha: the share of the truth that may be missed.
        more: passed to MAPIE.
    """
    from mapie.risk_control import SemanticSegmentationController

    return SemanticSegmentationController(lambda x: x, risk="recall", method="crc", target_level=1 - alpha, **more)
