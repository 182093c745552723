"""Tuning from files: a data list, images, probabilities and labels in; settings, table and picture out."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping, Sequence
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import Any, overload

from monai_rwcp.features.protocol import FeatureExtractor
from monai_rwcp.folders.forms import MapForm
from monai_rwcp.folders.maps import read_grid_file, read_probabilities
from monai_rwcp.folders.truth import read_truth, truth_form
from monai_rwcp.report.figures.tuning_picture import draw_tuning
from monai_rwcp.report.tables.tuning_table import tuning_table
from monai_rwcp.transforms.dense_features import DenseFeaturesd
from monai_rwcp.tune.candidates import default_candidates
from monai_rwcp.tune.choice import Choice
from monai_rwcp.tune.objectives import Objective
from monai_rwcp.tune.settings_file import TunedSettings
from monai_rwcp.tune.tune import tune_settings
from monai_rwcp.utils.file_names import as_on_disk
from monai_rwcp.utils.files import check_writable, written_whole
from monai_rwcp.utils.json_documents import read_json
from monai_rwcp.utils.names import name_as_text
from monai_rwcp.utils.packages import needed
from monai_rwcp.walk.grid import Grid

__all__ = ["read_section", "tune_from_files"]


def tune_from_files(
    datalist: str | Path,
    out: str | Path,
    *,
    section: str = "tuning",
    form: MapForm = "channels-last",
    extractor: FeatureExtractor | None = None,
    alpha: float = 0.1,
    n_calibration: int | None = None,
    objective: Objective = "stretch",
    unit_key: str = "patient",
    grid: Grid = 4,
    fine_grid: Grid | None = None,
    seed: int = 0,
    progress: bool = False,
) -> Choice:
    """Tune on one section of a data list and write ``settings.json``, ``table.md`` and ``settings.png``.

    Args:
        datalist: a JSON file of sections, each a list of items with ``image``, ``pred`` (probabilities), ``label`` and
            the unit's name; paths are relative to the file.
        out: folder of the results.
        section: the section that is tuned on. Units of all other sections are kept apart.
        form: how channels lie in the probabilities, see :py:func:`monai_rwcp.folders.read_map`; the label of one class
            is 1 inside.
        extractor: features for the walks; None compares plain and blurred probabilities only.
        alpha: highest expected false negative rate that will be promised, in (0, 1).
        n_calibration: on how many units it will be calibrated; None compares at ``alpha``, as for very many.
        objective: see :py:func:`monai_rwcp.tune_settings`.
        unit_key: name of the unit's entry.
        grid: the graphs' grid, see :py:class:`monai_rwcp.walk.WalkSettings`.
        fine_grid: a finer one on which some walks are tried, too; None leaves it out.
        seed: of the order of the units and of the bootstrap.
        progress: whether a progress bar is shown.

    Returns:
        the choice.

    Raises:
        ImportError: when matplotlib is missing, before anything is measured.
        OSError: when the data list or one of its files is not there, or the results cannot be written.
        ValueError: when the data list is of another form, a unit has no name or is in two sections, or tuning refuses
            a case.
    """
    with needed("Drawing needs", "report", "matplotlib"):
        import_module("matplotlib")
    items, others = read_section(datalist, section, unit_key, with_image=extractor is not None)
    folder = Path(out)
    is_new = not folder.exists()
    folder.mkdir(parents=True, exist_ok=True)
    try:
        check_writable(folder / "settings.json")
        sources = ("features",) if extractor is not None else ()
        choice = tune_settings(
            _FileCases(items, unit_key, form, extractor),
            alpha=alpha,
            n_calibration=n_calibration,
            candidates=default_candidates(sources, grid=grid, fine_grid=fine_grid),
            objective=objective,
            unit_key=unit_key,
            label_mode=truth_form(form, [Path(item["pred"]) for item in items]).mode,
            keep_apart=others,
            seed=seed,
            progress=progress,
        )
        # The settings come last: where they are, the rest is there.
        draw_tuning(choice, folder / "settings.png")
        with written_whole(folder / "table.md") as temporary:
            temporary.write_text(f"{choice.why}\n\n{tuning_table(choice)}", encoding="utf-8")
        TunedSettings.of(choice, unit_key).save(folder / "settings.json")
    except BaseException:
        # What is refused or interrupted leaves no folder behind, unless something lies in it.
        if is_new:
            with suppress(OSError):
                folder.rmdir()
        raise
    return choice


def read_section(
    datalist: str | Path, section: str, unit_key: str, *, with_image: bool
) -> tuple[list[dict[str, Any]], set[str]]:
    """Items of one section with their files found, and the names of the units of all others.

    Raises:
        FileNotFoundError: when the data list or one of its files is not there.
        ValueError: when the data list is of another form, a unit has no name, or it does not tell whose the items of
            another section are.
    """
    path = Path(datalist)
    document = read_json(path, "data list", "Write one: sections of items with image, pred, label and a patient")
    if not isinstance(document, Mapping) or not isinstance(document.get(section), list) or not document[section]:
        found = ", ".join(map(repr, document)) if isinstance(document, Mapping) else f"a {type(document).__name__}"
        raise ValueError(
            f"Expected a list '{section}' with items in '{path}', but found {found or 'nothing'}. Name the section by "
            "`section`."
        )
    files = ["image", "pred", "label"] if with_image else ["pred", "label"]
    items = []
    places: dict[Path, str] = {}
    for number, item in enumerate(document[section]):
        missing = [key for key in (*files, unit_key) if not isinstance(item, Mapping) or key not in item]
        if missing:
            raise ValueError(f"Item {number} of '{section}' in '{path}' lacks {', '.join(map(repr, missing))}.")
        found_files = {key: as_on_disk(path.parent / str(item[key])) for key in files}
        for key, file in found_files.items():
            if not file.is_file():
                raise FileNotFoundError(
                    f"Item {number} of '{section}' in '{path}': its '{key}' is '{file}', which is no file."
                )
        owner = name_as_text(item[unit_key], f"'{unit_key}' of item {number} of '{section}'")
        items.append({**{key: str(file) for key, file in found_files.items()}, unit_key: owner})
        counted = _counted_files(item, path.parent)
        for file in counted:
            if file in places:
                raise ValueError(
                    f"'{file}' is in item {number} of '{section}' and in {places[file]}. An image that counts twice is "
                    "no second patient: name every file once."
                )
        places |= dict.fromkeys(counted, f"item {number} of '{section}'")
    others: set[str] = set()
    for name, group in document.items():
        if name != section:
            others |= _owners(group, unit_key, f"'{name}' in '{path}'", path.parent, places)
    return items, others


def _counted_files(item: Mapping[str, Any], folder: Path) -> list[Path]:
    """The map and the label of an item, as far as it names them; several names of a file are one."""
    return [as_on_disk(folder / str(item[key])).resolve() for key in ("pred", "label") if key in item]


def _owners(group: object, unit_key: str, where: str, folder: Path, places: Mapping[Path, str]) -> set[str]:
    """Names of the units of another section, which holds none of the files in ``places``.

    What is no list, such as a description, has no units.
    """
    if isinstance(group, Mapping) and any(isinstance(part, (list, Mapping)) for part in group.values()):
        raise ValueError(
            f"Expected a list of items, but {where} holds sections of its own, whose {unit_key}s would not be kept "
            "apart. Put them beside the others."
        )
    found = set()
    for number, item in enumerate(group if isinstance(group, list) else ()):
        if not isinstance(item, Mapping) or unit_key not in item:
            raise ValueError(
                f"Expected every item of {where} to name its '{unit_key}', so that tuning keeps it apart, but item "
                f"{number} does not. Name it, or leave the section out."
            )
        found.add(name_as_text(item[unit_key], f"'{unit_key}' of item {number} of {where}"))
        for file in _counted_files(item, folder):
            if file in places:
                raise ValueError(
                    f"'{file}' is in {places[file]} and in {where}, which is to be kept apart from it, whatever the "
                    f"{unit_key} is called there."
                )
    return found


class _FileCase(Mapping[Hashable, Any]):
    """A case whose files are read when they are first asked for; the name of its unit is known without."""

    def __init__(self, item: Mapping[str, str], of: _FileCases) -> None:
        self._item, self._of = item, of
        self._read: dict[Hashable, Any] | None = None

    def __getitem__(self, key: Hashable) -> Any:
        if key == self._of.unit_key:
            return self._item[self._of.unit_key]
        if self._read is None:
            self._read = self._from_files()
        return self._read[key]

    def __iter__(self) -> Iterator[Hashable]:
        features = () if self._of.extractor is None else ("features",)
        return iter(("pred", "label", self._of.unit_key, *features))

    def __len__(self) -> int:
        return len(list(iter(self)))

    def _from_files(self) -> dict[Hashable, Any]:
        path, form, warned, extractor = Path(self._item["pred"]), self._of.form, self._of.warned, self._of.extractor
        found = read_probabilities(path, form, warned)
        label = read_truth(Path(self._item["label"]), found, truth_form(form, [path]), warned)
        read: dict[Hashable, Any] = {"pred": found, "label": label}
        if extractor is not None:
            read["image"] = read_grid_file(Path(self._item["image"]), found, what="image", warned=warned)
            try:
                read = DenseFeaturesd("image", extractor)(read)
            except KeyError as error:
                # Which `get` of a mapping would take for a key that is missing here.
                raise ValueError(f"No features of '{self._item['image']}': {error}") from error
        return read


class _FileCases(Sequence[_FileCase]):
    """Cases from files, none of which stays in memory."""

    def __init__(
        self, items: Sequence[Mapping[str, str]], unit_key: str, form: MapForm, extractor: FeatureExtractor | None
    ) -> None:
        self._items, self.unit_key, self.form, self.extractor = items, unit_key, form, extractor
        self.warned: set[tuple[str, str]] = set()

    @overload
    def __getitem__(self, number: int) -> _FileCase: ...
    @overload
    def __getitem__(self, number: slice) -> _FileCases: ...
    def __getitem__(self, number: int | slice) -> _FileCase | _FileCases:
        if isinstance(number, slice):
            return _FileCases(self._items[number], self.unit_key, self.form, self.extractor)
        return _FileCase(self._items[number], self)

    def __len__(self) -> int:
        return len(self._items)
