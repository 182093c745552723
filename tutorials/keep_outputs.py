"""Runs notebooks in place and keeps what they show: `python tutorials/keep_outputs.py [NOTEBOOK ...]`, all by default.

Nothing that differs from machine to machine is kept: no times of execution, no version of the kernel.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import nbformat
from nbclient import NotebookClient

METADATA = {"kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"}}

# What other packages say of this machine while they load, and Ignite of an error that the cell itself shows.
_WARNINGS = ("IProgress not found", "NvImgCodecPydicomReader")
_LINES = ("nvImageCodec is not available", "Engine run is terminating due to exception")


def run(path: Path) -> nbformat.NotebookNode:
    """Run a notebook from top to bottom in a kernel of its own.

    Args:
        path: the notebook; it is not written.

    Returns:
        the notebook with its outputs.

    Raises:
        nbclient.exceptions.CellExecutionError: when a cell fails.
    """
    # Threads of torch that wait for each other take many times as long where other work shares the cores.
    own = {"OMP_NUM_THREADS": "1", "PYTHONWARNINGS": ",".join(f"ignore:{text}" for text in _WARNINGS)}
    notebook = nbformat.read(path, 4)
    client = NotebookClient(notebook, timeout=900, kernel_name="python3", record_timing=False, coalesce_streams=True)
    client.execute(env={**os.environ, **own})
    notebook.metadata = nbformat.from_dict(METADATA)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs = [output for output in cell.outputs if not _only_of_the_machine(output)]
    return notebook


def _only_of_the_machine(output: nbformat.NotebookNode) -> bool:
    if output.get("name") != "stderr":
        return False
    return all(line.startswith(_LINES) for line in output.text.splitlines() if line)


def main(names: list[str]) -> None:
    """Run the notebooks and write each, unless one of its cells writes to the error stream."""
    for path in map(Path, names) if names else sorted(Path(__file__).parent.glob("*.ipynb")):
        notebook = run(path)
        outputs = [(cell.id, output) for cell in notebook.cells for output in cell.get("outputs", [])]
        if told := [f"{name}: {output.text}" for name, output in outputs if output.get("name") == "stderr"]:
            sys.exit("\n".join([f"'{path}' is left as it was. Mend what its cells warn of:", *told]))
        nbformat.write(notebook, path)
        print(f"{path}: {path.stat().st_size / 1e3:.0f} kB")


if __name__ == "__main__":
    main(sys.argv[1:])
