"""Which files of several folders belong together, by their names."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from monai_rwcp.folders.forms import NIFTI
from monai_rwcp.utils.names import name_as_text

__all__ = ["FolderCase", "match_folders", "read_units"]

_SHOWN = 10


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
    endings: Sequence[str] = NIFTI,
    labels: Path | None = None,
    images: Path | None = None,
    inner: Path | None = None,
    units: Path | None = None,
) -> list[FolderCase]:
    """Find the files of every case.

    A case is called what its map is called without its ending; its label and inner set have the same
    name, its image the same or that with nnU-Net's ``_0000`` behind it. Files that no map asks for are passed over.

    Args:
        maps: folder of the maps.
        endings: of the maps' names.
        labels: folder of the labels, in NIfTI; None for none.
        images: folder of the images, in NIfTI; None for none.
        inner: folder of inner prediction sets, in NIfTI; None for none.
        units: a CSV file with the columns ``case`` and ``unit``; None takes every case as a unit of its own.

    Returns:
        the cases, by name.

    Raises:
        FileNotFoundError: when a folder is not there, there is no map, or files are missing; the message lists all.
        ValueError: when a name is there twice, or the CSV file is of another form.

    Example:
        >>> import tempfile
        >>> folder = Path(tempfile.mkdtemp())
        >>> _ = [(folder / name).touch() for name in ("anna.nii.gz", "ben.nii.gz", "notes.txt")]
        >>> [case.name for case in match_folders(folder)]
        ['anna', 'ben']
    """
    found = _by_name(maps, endings)
    if not found:
        raise FileNotFoundError(
            f"No map in '{maps}': expected files that end in {' or '.join(endings)}, but found "
            f"{sorted(path.name for path in maps.iterdir())[:_SHOWN]}. Name the right folder, or another form of maps."
        )
    folders = {"label": labels, "image": images, "inner": inner}
    others = {kind: _by_name(folder, NIFTI) for kind, folder in folders.items() if folder}
    owner = {name: name for name in found} if units is None else read_units(units)
    unit_name = "case" if units is None else "patient"
    cases, missing = [], []
    for name, path in sorted(found.items()):
        files: dict[str, Path] = {}
        for kind, of_kind in others.items():
            names = [n for n in ((name, f"{name}_0000") if kind == "image" else (name,)) if n in of_kind]
            if len(names) > 1:
                raise ValueError(f"'{of_kind[names[0]]}' and '{of_kind[names[1]]}' are both an image of '{name}'.")
            if names:
                files[kind] = of_kind[names[0]]
            else:
                missing.append(f"{'inner set' if kind == 'inner' else kind} of {name}")
        if name not in owner:
            missing.append(f"unit of {name}")
        else:
            cases.append(FolderCase(name, owner[name], path, **files, unit_name=unit_name))
    if missing:
        more = f" and {len(missing) - _SHOWN} more" if len(missing) > _SHOWN else ""
        raise FileNotFoundError(
            f"{len(found)} maps in '{maps}', but not found: {', '.join(missing[:_SHOWN])}{more}. Labels and inner "
            "sets are called as the map, images as the map or with _0000 behind it, and the CSV file of units "
            "names all maps."
        )
    return cases


def read_units(path: Path) -> dict[str, str]:
    """Read which unit each case belongs to.

    Args:
        path: a CSV file with the columns ``case`` and ``unit``.

    Raises:
        FileNotFoundError: when it is not there.
        ValueError: when it has other columns, an empty entry, a unit that is no name, or names a case twice.
    """
    with path.open(newline="", encoding="utf-8-sig") as file:
        reader = csv.DictReader(file)
        if not {"case", "unit"} <= set(reader.fieldnames or ()):
            raise ValueError(f"Expected columns 'case' and 'unit' in '{path}', but got {reader.fieldnames}.")
        owner: dict[str, str] = {}
        for row in reader:
            case, unit = ((row[name] or "").strip() for name in ("case", "unit"))
            where = f"Line {reader.line_num} of '{path}'"
            if not case or not unit or case in owner:
                what = f"case '{case}' twice" if case in owner else f"an empty entry: {row}"
                raise ValueError(f"{where}: {what}.")
            owner[case] = name_as_text(unit, f"'unit' in {where[0].lower()}{where[1:]}")
    return owner


def _by_name(folder: Path, endings: Sequence[str]) -> dict[str, Path]:
    if not folder.is_dir():
        raise FileNotFoundError(f"There is no folder '{folder}'.")
    found: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        ending = next((e for e in endings if path.name.endswith(e)), None)
        # A name that begins with a dot is hidden, or what a killed run left unfinished.
        if ending is None or path.name.startswith(".") or not path.is_file():
            continue
        name = path.name.removesuffix(ending)
        if name in found:
            raise ValueError(
                f"'{found[name].name}' and '{path.name}' in '{folder}' are both called '{name}'. Keep one."
            )
        found[name] = path
    return found
