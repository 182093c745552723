"""Imports go one way through the house."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import monai_rwcp

ROOT = Path(monai_rwcp.__file__).parent
BOTTOM = {"walk", "features", "conformal", "metrics"}
ALLOWED = {
    **{name: {name, "files"} for name in BOTTOM},
    "metrics": {"metrics", "processes"},
    "tune": BOTTOM | {"tune", "files"},
    "transforms": BOTTOM | {"transforms", "tune"},
    "handlers": BOTTOM | {"transforms", "tune", "handlers", "files", "processes"},
    "report": BOTTOM | {"transforms", "tune", "handlers", "report", "files", "processes", "version"},
    "folders": BOTTOM | {"transforms", "tune", "handlers", "files", "processes", "report", "folders"},
    "deployment": BOTTOM | {"transforms", "tune", "handlers", "deployment"},
    "dicom": BOTTOM | {"dicom", "files", "version"},
}


def imported(path: Path) -> set[str]:
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        if isinstance(node, ast.ImportFrom):
            names.add(node.module or "")
    return names


@pytest.mark.parametrize("folder", sorted(ALLOWED))
def test_folder_imports_only_from_below(folder: str) -> None:
    files = list((ROOT / folder).rglob("*.py"))
    assert files
    for path in files:
        for name in imported(path):
            parts = name.split(".")
            if parts[0] == "monai_rwcp":
                assert len(parts) > 1, f"{path.name} imports the whole package"
                assert parts[1] in ALLOWED[folder], f"{path.name} imports {name}"
            if folder in BOTTOM:
                assert not name.startswith(("monai.engines", "monai.handlers", "monai.transforms", "ignite")), path.name
