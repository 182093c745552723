"""What a deployment still does to its sets once they are made: most of it breaks the promise."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from typing import Any

from monai import transforms as monai_transforms
from monai.transforms import AsDiscreted, FillHolesd, Invertd, SplitDimd

from monai_rwcp.deployment.findings import Finding
from monai_rwcp.deployment.parts import PlacedThreshold
from monai_rwcp.transforms.conformal_sandwich import ConformalSandwichd

__all__ = ["after_findings"]

# They write a set, move it in memory, copy, name or measure it: every voxel stays what it was. By name, for not every
# release of MONAI has each.
_KEEPING = (
    *("SaveImaged", "WriteFileMappingd", "DataStatsd", "IntensityStatsd", "SimulateDelayd", "Identityd"),
    *("EnsureTyped", "CastToTyped", "ToTensord", "ToNumpyd", "ToCupyd", "ToDeviced", "ToPILd"),
    *("CopyItemsd", "ConcatItemsd", "DeleteItemsd", "SelectItemsd", "FlattenSubKeysd"),
    *("EnsureChannelFirstd", "AsChannelLastd", "SqueezeDimd", "SplitDimd", "Transposed"),
    *("Orientationd", "Flipd", "Rotate90d"),
)
_KEEPS = tuple(getattr(monai_transforms, name) for name in _KEEPING if hasattr(monai_transforms, name))
_BREAKS = "The promise is about the set as the threshold made it: take {name} away, or give it a copy (CopyItemsd)."
_GRID = (
    "The promise is about voxels of the grid before Invertd. Put Invertd before the threshold and calibrate there, or "
    "mind that truth outside the processed field counts as if it were not there."
)
_GROWS = "It only adds voxels: a promise of what is missed still holds, one of what is claimed wrongly does not."
_OWN = "Nobody can tell what {name} does to the set: the promise holds only if every voxel stays what it was."


def after_findings(threshold: PlacedThreshold | None, transforms: Sequence[Any]) -> Iterator[Finding]:
    """Find the transforms after a threshold that change its set.

    Args:
        threshold: the threshold; None where there is none.
        transforms: of the whole post-processing.

    Example:
        >>> from monai.transforms import KeepLargestConnectedComponentd, SaveImaged
        >>> from monai_rwcp.deployment.parts import placed_thresholds
        >>> from monai_rwcp import ConformalThresholdd
        >>> chain = (ConformalThresholdd("pred", "calibration.json"), KeepLargestConnectedComponentd("pred_set"))
        >>> [found.status for found in after_findings(next(placed_thresholds(chain)), chain)]
        ['differs']
    """
    if threshold is None:
        return
    sets = _set_keys(threshold)
    split: list[str] = []
    for transform in transforms[threshold.index + 1 :]:
        name = type(transform).__name__
        keys = getattr(transform, "keys", None)
        touched = [str(key) for key in sets if keys is None or callable(keys) or key in keys]
        if keys is not None and not callable(keys):
            touched += [str(key) for key in keys if key not in sets and str(key).startswith(tuple(split))]
        if isinstance(transform, SplitDimd):
            # Its channels are sets, too, under <key>_<postfix>.
            split += [f"{key}_" for key in touched]
        if not touched or isinstance(transform, _KEEPS) or _cuts_alone(transform):
            continue
        on = f"on {', '.join(touched)}"
        if isinstance(transform, Invertd):
            yield Finding(name, "note", None, on, _GRID)
        elif isinstance(transform, FillHolesd):
            yield Finding(name, "note", None, on, _GROWS)
        elif keys is None or not type(transform).__module__.startswith("monai.") or name in ("Lambdad", "RandLambdad"):
            yield Finding(name, "note", None, on, _OWN.format(name=name))
        else:
            yield Finding(name, "differs", None, on, _BREAKS.format(name=name))


def _cuts_alone(transform: Any) -> bool:
    """Whether it cuts ones from zeros, which a set is made of already."""
    if not isinstance(transform, AsDiscreted):
        return False
    others = (*transform.argmax, *transform.to_onehot, *transform.rounding)
    return not any(others) and all(cut is not None and 0 < cut <= 1 for cut in transform.threshold)


def _set_keys(threshold: PlacedThreshold) -> tuple[Hashable, ...]:
    if isinstance(threshold.transform, ConformalSandwichd):
        return tuple(f"{threshold.key}_{name}" for name in ("inner", "outer", "uncertain"))
    keys = threshold.transform.keys
    return (threshold.transform.output_keys[keys.index(threshold.key)],)
