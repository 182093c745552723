"""The tutorials: kept with what they show, and each runs from top to bottom; what its prose claims it asserts itself."""

from __future__ import annotations

import base64
import io
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat
import pytest
from PIL import Image

from tutorials.keep_outputs import METADATA, main, run

FOLDER = Path(__file__).parents[2] / "tutorials"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))
# What each prints, or shows as a picture or as HTML, at the least: text, number of pictures.
SHOWN = {
    "01_ten_minutes": ("On average at most 10 % of organ is missed", 3),
    "02_your_evaluator_and_bundle": ("walk.n_steps is 10, but the calibration has 20", 3),
    "03_volumes_patients_spacing": ("the surface of organ lies more than 3 mm outside the set", 3),
    "04_features_and_tuning": ("Expected calibration patients that the settings were not tuned on", 6),
    "05_report_and_limits": ("After .* patients: they no longer look like the 40 patients of the calibration", 4),
}
MOST_BYTES = 1_500_000


def code_of(notebook: nbformat.NotebookNode) -> list[Any]:
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def outputs_of(notebook: nbformat.NotebookNode) -> list[Any]:
    return [output for cell in code_of(notebook) for output in cell.outputs]


def texts_of(output: Any) -> Iterator[str]:
    """What of an output is text: printed, or HTML and the like, but no picture."""
    yield output.get("text", "")
    for kind, value in output.get("data", {}).items():
        if not kind.startswith("image/"):
            yield value if isinstance(value, str) else json.dumps(value)


def check_shown(path: Path, notebook: nbformat.NotebookNode) -> None:
    text, n_pictures = SHOWN[path.stem]
    outputs = outputs_of(notebook)
    assert re.search(text, "".join(output.get("text", "") for output in outputs))
    assert sum("image/png" in output.get("data", {}) for output in outputs) >= n_pictures


def test_every_notebook_is_listed_here() -> None:
    assert [path.stem for path in NOTEBOOKS] == list(SHOWN)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_is_kept_as_a_fresh_kernel_ran_it(path: Path) -> None:
    notebook = nbformat.read(path, 4)
    nbformat.validate(notebook)
    assert [cell.id for cell in notebook.cells] == [f"cell{n}" for n in range(len(notebook.cells))]
    assert notebook.metadata == METADATA
    assert not any(cell.metadata for cell in notebook.cells)
    counts = [cell.execution_count for cell in code_of(notebook)]
    assert counts == list(range(1, len(counts) + 1))
    first = " ".join(notebook.cells[0].source.split())
    assert "no download" in first
    assert "about a minute" in first
    text = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    for name in re.findall(r"`(\w+\.ipynb)`", text):
        assert (FOLDER / name).exists(), name


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_keeps_what_it_shows_and_nothing_else(path: Path) -> None:
    notebook = nbformat.read(path, 4)
    check_shown(path, notebook)
    # A picture comes early: from the first five cells of code.
    early = [output for cell in code_of(notebook)[:5] for output in cell.outputs]
    assert any("image/png" in output.get("data", {}) for output in early)
    for output in outputs_of(notebook):
        assert output.output_type != "error"
        # Warnings and progress bars.
        assert output.get("name") != "stderr", output.text
        assert not any("widget" in kind for kind in output.get("data", {}))
        for text in texts_of(output):
            assert not re.search(r"(?<![\w<.])/(tmp|home|root|usr|opt|var|Users|work)/|[A-Z]:\\| at 0x", text)
            assert "Warning:" not in text


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_and_its_pictures_are_of_a_sensible_size(path: Path) -> None:
    assert path.stat().st_size < MOST_BYTES
    for output in outputs_of(nbformat.read(path, 4)):
        if "image/png" in output.get("data", {}):
            with Image.open(io.BytesIO(base64.b64decode(output.data["image/png"]))) as picture:
                assert 300 <= picture.width <= 1500, picture.size


# Of those that take long while one works, the first speaks for all.
@pytest.mark.parametrize(
    "path",
    [
        pytest.param(path, id=path.stem, marks=[pytest.mark.slow] if number else [])
        for number, path in enumerate(NOTEBOOKS)
    ],
)
def test_notebook_runs_from_top_to_bottom(path: Path) -> None:
    check_shown(path, run(path))


@pytest.mark.parametrize(
    ("printed", "kept"),
    [("a warning of ours", False), ("nvImageCodec is not available; skipping pydicom decoder plugin", True)],
)
def test_a_notebook_that_warns_is_not_kept(tmp_path: Path, printed: str, kept: bool) -> None:
    path = tmp_path / "small.ipynb"
    source = f"import os, sys\nprint({printed!r}, file=sys.stderr)\nos.environ['OMP_NUM_THREADS']"
    nbformat.write(nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source)]), path)
    before = path.read_bytes()
    if kept:
        main([str(path)])
        assert [output.data for output in outputs_of(nbformat.read(path, 4))] == [{"text/plain": "'1'"}]
    else:
        with pytest.raises(SystemExit, match=printed):
            main([str(path)])
        assert path.read_bytes() == before
