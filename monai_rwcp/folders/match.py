"""Which files of several folders belong together, by their names."""

from __future__ import annotations

import unicodedata
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from monai_rwcp.folders.left_out import left_out, nested_by_case
from monai_rwcp.folders.units import read_units
from monai_rwcp.utils.endings import IMAGES, ending_of

__all__ = ["FolderCase", "match_folders"]

_SHOWN = 10
# What is missing, and how it should be called.
_CALLED = {
    "label": ("label", "A label is called as its {}."),
    "image": ("image", "An image is called as its {}, or so with _0000 behind it."),
    "inner": ("inner set", "An inner set is called as its {}."),
    "unit": ("unit", "The CSV file of units has a line 'case,unit' for each {}."),
}


@dataclass(frozen=True)
class FolderCase:
    """The files of one case.

    Args:
        name: what its files are called, without their endings.
        unit: the patient; the case where no patients are named.
        map: the probability map, or the prediction set.
        label: the truth, or None.
        image: the image, or None.
        inner: the inner prediction set, or None.
        unit_name: what a unit is: ``"patient"``, or ``"case"`` where none are named.
    """

    name: str
    unit: str
    map: Path
    label: Path | None = None
    image: Path | None = None
    inner: Path | None = None
    unit_name: str = "case"


def match_folders(
    maps: Path,
    *,
    endings: Sequence[str] = IMAGES,
    labels: Path | None = None,
    images: Path | None = None,
    inner: Path | None = None,
    units: Path | None = None,
    what: str = "map",
) -> list[FolderCase]:
    """Find the files of every case.

    A case is called what its map is called without its ending; its label and inner set have the same
    name, its image the same or that with nnU-Net's ``_0000`` behind it. Endings may be in capitals, and letters
    composed or not. Whatever else lies in the folders is not used, and a warning names it.

    Args:
        maps: folder of the maps.
        endings: of the maps' names, in small letters.
        labels: folder of the labels, in NIfTI, NRRD or MHA; None for none.
        images: folder of the images, likewise; None for none.
        inner: folder of inner prediction sets, likewise; None for none.
        units: see :py:func:`read_units`; None takes every case as a unit of its own.
        what: the files in the first folder are, for messages: ``"map"`` or ``"set"``.

    Returns:
        the cases, by name.

    Raises:
        FileNotFoundError: when a folder is not there, there is no map, or files are missing; the message lists all.
        ValueError: when a name is there twice, or the CSV file is of another form.

    Example:
        >>> import tempfile
        >>> folder = Path(tempfile.mkdtemp())
        >>> _ = [(folder / name).touch() for name in ("anna.nii.gz", "ben.NII.GZ")]
        >>> [case.name for case in match_folders(folder)]
        ['anna', 'ben']
    """
    found = _by_name(maps, endings)
    if not found:
        there = sorted(path.name for path in maps.iterdir())
        raise FileNotFoundError(
            f"No {what} in '{maps}': expected files that end in {' or '.join(endings)}, but found "
            f"{_listed(there) or 'nothing'}. Name the right folder{', or another `form`' if what == 'map' else ''}."
        )
    folders = {"label": labels, "image": images, "inner": inner}
    others = {kind: _by_name(folder, IMAGES) for kind, folder in folders.items() if folder}
    owner = {name: name for name in found} if units is None else read_units(units)
    unit_name = "case" if units is None else "patient"
    cases: list[FolderCase] = []
    missing: dict[str, list[str]] = {}
    used: list[Path] = []
    for name, path in sorted(found.items()):
        files: dict[str, Path] = {}
        for kind, of_kind in others.items():
            names = [n for n in ((name, f"{name}_0000") if kind == "image" else (name,)) if n in of_kind]
            if len(names) > 1:
                raise ValueError(f"'{of_kind[names[0]]}' and '{of_kind[names[1]]}' are both an image of '{name}'.")
            if names:
                files[kind] = of_kind[names[0]]
            else:
                missing.setdefault(kind, []).append(name)
        used += [path, *files.values()]
        if name not in owner:
            missing.setdefault("unit", []).append(name)
        else:
            cases.append(FolderCase(name, owner[name], path, **files, unit_name=unit_name))
    read = {maps: endings} | {folder: IMAGES for folder in folders.values() if folder}
    why = (left_out(folder, of, used, f"no {what} of this name") for folder, of in read.items())
    unused = [sentence for sentence in why if sentence is not None]
    if missing:
        lacking = [f"no {_CALLED[kind][0]} of {_listed(names)}" for kind, names in missing.items()]
        how = [_CALLED[kind][1].format(what) for kind in missing]
        raise FileNotFoundError(
            f"There are {len(found)} {what}s in '{maps}', but {' and '.join(lacking)}. {' '.join([*how, *unused])}"
        )
    for sentence in unused:
        warnings.warn(sentence, stacklevel=2)
    return cases


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more


def _by_name(folder: Path, endings: Sequence[str]) -> dict[str, Path]:
    if not folder.is_dir():
        raise FileNotFoundError(f"There is no folder '{folder}'.")
    found: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        ending = ending_of(path.name, endings)
        # A name that begins with a dot is hidden, or what a killed run left unfinished.
        if ending is None or path.name.startswith(".") or not path.is_file():
            continue
        name = unicodedata.normalize("NFC", path.name[: -len(ending)])
        if name in found:
            raise ValueError(
                f"'{found[name].name}' and '{path.name}' in '{folder}' are both called '{name}'. Keep one."
            )
        found[name] = path
    if not found and (nested := nested_by_case(folder, endings)):
        raise FileNotFoundError(nested)
    return found
