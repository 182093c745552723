"""What guards a promise against the scores of another network, in words."""

from __future__ import annotations

from monai_rwcp.provenance.record import ScoreRecord

__all__ = ["NAMED", "guard_in_words"]

NAMED = "named "
"""What the record of a network begins with whose name a person gave."""

_PLANS, _DATASET = "plans.json", "dataset.json"


def guard_in_words(record: ScoreRecord) -> str | None:
    """Say where a record does not tell the scores of one network from those of another.

    Args:
        record: of the calibrated scores.

    Returns:
        a sentence; None where the record holds the hash of the network's weights or of its file.

    Example:
        >>> print(guard_in_words(ScoreRecord()))
        Nothing guards this promise against the scores of another network: no record names the network, so another ...
        >>> print(guard_in_words(ScoreRecord(network="sha256:12")))
        None
    """
    if record.network is not None and not record.network.startswith(NAMED):
        return None
    if record.network is not None:
        return (
            f"Only a name that a person gave ({record.network.removeprefix(NAMED)!r}) guards this promise against the "
            "scores of another network: another under this name would not be noticed."
        )
    files = [name for name in (_PLANS, _DATASET) if record.maps is not None and name in record.maps]
    if files:
        return (
            f"Only nnU-Net's {' and '.join(files)} guard{'s' if len(files) == 1 else ''} this promise against the "
            "scores of another network: another fold, configuration or checkpoint of its training would not be noticed."
        )
    return (
        "Nothing guards this promise against the scores of another network: no record names the network, so another "
        "would not be noticed."
    )
