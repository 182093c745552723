"""What the page of results is made of, kept beside it: rows as compressed CSV, and the facts that need the data."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks.common.rows import Row, read_rows, save_rows
from monai_rwcp.utils.files import written_whole

__all__ = ["StudyFacts", "StudyResults", "load_results", "rows_of", "save_results"]


@dataclass(frozen=True)
class StudyFacts:
    """What the page says of a set besides its rows.

    Args:
        title: name of the set.
        unit_of_length: of its distances.
        patients: how many were unseen.
        images: how many of them there are.
        made_with: versions of the packages, when the pictures were drawn.
        walk: the method that is "the" walk of this set, such as "walk on LiteMedSAM, tuned".
        usual_walk: name of the candidate that stood for it most often at the drawn promise.
        slope_by_threshold: d log(stretch)/d lambda of the plain and of the walked score.
        slope_by_alpha: relative change of stretch with alpha of both.
        widest: by method, how wide the widest filter was that was tried, and the candidates that are so wide.
        seconds: by method, seconds to make the score of one image, features apart.
        images_rule: how the images of the picture were chosen; "" without that picture.
    """

    title: str
    unit_of_length: str
    patients: int
    images: int
    made_with: str
    walk: str
    usual_walk: str
    slope_by_threshold: tuple[float, float]
    slope_by_alpha: tuple[float, float]
    widest: Mapping[str, tuple[float, list[str]]]
    seconds: Mapping[str, float]
    images_rule: str


@dataclass(frozen=True)
class StudyResults:
    """All that is kept of one set.

    Args:
        facts: what needed the data.
        rows: rows of splits.
        sets: rows of sets; empty when distances were not measured.
        ablation: rows of the ablation; empty where there is none.
        position: rows by part of the heart; likewise.
    """

    facts: StudyFacts
    rows: Sequence[Row]
    sets: Sequence[Row]
    ablation: Sequence[Row]
    position: Sequence[Row]


# Fractions of so many characters that six digits are shorter.
_LONG = re.compile(r"-?\d+\.\d{5,}(e[+-]?\d+)?")

_SUFFIXES = ("", "-sets", "-ablation", "-position")


def save_results(name: str, results: StudyResults, folder: Path) -> None:
    """Keep what the page of a set is made of, figures to six digits; an ablation or positions of before stay.

    Args:
        name: of the set.
        results: what is kept.
        folder: where.
    """
    every = (results.rows, results.sets, results.ablation, results.position)
    for suffix, rows in zip(_SUFFIXES, every, strict=True):
        path = folder / f"{name}{suffix}.csv.xz"
        if not rows:
            if suffix == "-sets":
                # Those of an earlier run are of other splits, perhaps.
                path.unlink(missing_ok=True)
            continue
        save_rows([{key: _short(value) for key, value in row.items()} for row in rows], path)
    with written_whole(folder / f"{name}.json") as temporary:
        temporary.write_text(json.dumps(asdict(results.facts), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def load_results(name: str, folder: Path) -> StudyResults | None:
    """Read what was kept of a set; None where nothing was."""
    path = folder / f"{name}.json"
    if not path.exists():
        return None
    found = json.loads(path.read_text(encoding="utf-8"))
    return StudyResults(StudyFacts(**found), *rows_of(name, folder, ".csv.xz"))


def rows_of(name: str, folder: Path, ending: str) -> list[list[Row]]:
    """Rows of a set, of its sets, its ablation and by part of the heart; none where there is no such file."""
    paths = (folder / f"{name}{suffix}{ending}" for suffix in _SUFFIXES)
    return [read_rows(path) if path.exists() else [] for path in paths]


def _short(value: str) -> str:
    """Six digits of a fraction that has more; names, such as "0.0" for a restart, and whole numbers as they are."""
    if not _LONG.fullmatch(value):
        return value
    return f"{float(value):.6g}"
