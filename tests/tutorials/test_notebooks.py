"""The tutorials: kept without outputs, and each runs from top to bottom; what its prose claims it asserts itself."""

from __future__ import annotations

import re
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

FOLDER = Path(__file__).parents[2] / "tutorials"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))
# What each prints, or shows as a picture or as HTML, at the least: text, number of pictures.
SHOWN = {
    "01_ten_minutes": ("On average at most 10 % of core is missed", 1),
    "02_your_evaluator_and_bundle": ("walk.n_steps is 10, but the calibration has 20", 3),
    "03_volumes_patients_spacing": ("the surface of core lies more than 3 mm outside the set", 2),
    "04_features_and_tuning": ("Expected calibration patients that the settings were not tuned on", 4),
    "05_report_and_limits": ("After .* patients: they no longer look like the 40 patients of the calibration", 3),
}


def test_every_notebook_is_listed_here() -> None:
    assert [path.stem for path in NOTEBOOKS] == list(SHOWN)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_is_kept_clean(path: Path) -> None:
    notebook = nbformat.read(path, 4)
    nbformat.validate(notebook)
    assert [cell.id for cell in notebook.cells] == [f"cell{n}" for n in range(len(notebook.cells))]
    for cell in notebook.cells:
        assert not cell.get("outputs")
        assert cell.get("execution_count") is None
    assert "no download" in " ".join(notebook.cells[0].source.split())
    assert "about a minute" in " ".join(notebook.cells[0].source.split())
    text = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    for name in re.findall(r"`(\w+\.ipynb)`", text):
        assert (FOLDER / name).exists(), name


# Of those that take long while one works, the first speaks for all.
@pytest.mark.parametrize(
    "path",
    [
        pytest.param(path, id=path.stem, marks=[pytest.mark.slow] if number else [])
        for number, path in enumerate(NOTEBOOKS)
    ],
)
def test_notebook_runs_from_top_to_bottom(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Threads of torch that wait for each other take many times as long where other work shares the cores.
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    notebook = nbformat.read(path, 4)
    NotebookClient(notebook, timeout=900, kernel_name="python3").execute()
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    text, n_pictures = SHOWN[path.stem]
    assert re.search(text, "".join(output.get("text", "") for output in outputs))
    assert sum("image/png" in output.get("data", {}) for output in outputs) >= n_pictures
