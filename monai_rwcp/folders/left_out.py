"""What lies in the folders of maps, labels and images, and belongs to no case."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from monai_rwcp.utils.endings import IMAGES, ending_of
from monai_rwcp.utils.left_out import told_left_out

__all__ = ["left_out", "nested_by_case"]

# What predict keeps beside its sets.
_OWN = re.compile(r"run\.json|\.run\.lock|\.run-\d+\.json|\.unfinished-.*")
# What nnU-Net writes beside its maps; the segmentation is read with the map.
_OF_NNUNET = re.compile(r"(dataset|plans|predict_from_raw_data_args)\.json")
_BESIDE_MAPS = (*IMAGES, ".pkl")


def left_out(folder: Path, endings: Sequence[str], used: Iterable[Path], expected: str) -> str | None:
    """Name what lies in a folder and is not used.

    Args:
        folder: it.
        endings: of the files that are looked for there.
        used: the files that are used, of all folders.
        expected: why a file of these endings is not used.

    Returns:
        a sentence; None where all is used.
    """
    used = list(used)
    here = {parent for parent in {path.parent for path in used} if parent.samefile(folder)}
    names = {path.name for path in used if path.parent in here}
    beside = {name[: -len(ending)] for name in names if (ending := ending_of(name, (".npz",)))}
    reasons: list[tuple[int, str, str]] = []
    for path in sorted(folder.iterdir()):
        ending = ending_of(path.name, _BESIDE_MAPS)
        companion = bool(beside) and (
            _OF_NNUNET.fullmatch(path.name) or (ending and path.name[: -len(ending)] in beside)
        )
        if path.name in names or companion or _OWN.fullmatch(path.name):
            continue
        fits = ending_of(path.name, endings) is not None
        if path.is_dir():
            reasons.append((3, path.name, "a folder"))
        elif not path.is_file():
            what = "a link that leads nowhere" if path.is_symlink() else "no file"
            reasons.append((0 if fits else 2, path.name, what))
        elif path.name.startswith("."):
            reasons.append((1 if fits else 4, path.name, "hidden by the dot before its name"))
        elif fits:
            reasons.append((0, path.name, expected))
        else:
            reasons.append((2, path.name, f"does not end in {' or '.join(endings)}"))
    return told_left_out(folder, {name: reason for _, name, reason in sorted(reasons)})


def nested_by_case(folder: Path, endings: Sequence[str]) -> str | None:
    """What to do with a folder that holds a folder for each case; None where it does not."""
    cases = (part for part in sorted(folder.iterdir()) if part.is_dir() and not part.name.startswith("."))
    files = (path for case in cases for path in sorted(case.iterdir()) if path.name.startswith(case.name))
    first = next((path for path in files if ending_of(path.name, endings)), None)
    if first is None:
        return None
    return (
        f"No file of a case in '{folder}', but a folder for each (such as '{first.relative_to(folder)}'), as "
        'SaveImaged makes them by itself. Give SaveImaged separate_folder=False and output_postfix="", or move the '
        "files into one folder, each called as its case."
    )
