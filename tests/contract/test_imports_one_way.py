"""Imports go one way through the house, file by file, and nowhere in a circle."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

import monai_rwcp

ROOT = Path(monai_rwcp.__file__).parent
# From the bottom up: a room imports from itself and from rooms below it. Names in brackets share a floor.
FLOORS = (
    {"version"},
    {"utils"},
    {"walk"},
    {"provenance"},
    {"features"},
    {"conformal.counting"},
    {"conformal.promises"},
    {"conformal.sets"},
    {"monitoring"},
    {"scores"},
    {"metrics"},
    {"tune"},
    {"report"},
    {"transforms"},
    {"handlers"},
    {"dicom", "folders", "deployment", "demo"},
    {"commands"},
    {"cli"},
    {"__main__"},
)
FLOOR = {room: number for number, rooms in enumerate(FLOORS) for room in rooms}
# What a package shows stands above all that is in it.
FLOOR |= {"conformal": FLOOR["conformal.sets"], "": len(FLOORS)}
ENGINES = ("ignite", "monai.engines", "monai.handlers")
# Pictures and reports read files by MONAI's readers; the numbers below know nothing of transforms.
PAGES = FLOOR["report"]


def module_of(path: Path, root: Path) -> str:
    parts = path.relative_to(root).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports(path: Path, root: Path) -> Iterator[str]:
    """Full names of the modules a file imports, wherever in the file it does, also for types only."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        if isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path}: imports are written in full"
            for alias in node.names:
                below = root.parent.joinpath(*str(node.module).split("."), alias.name)
                is_module = below.is_dir() or below.with_suffix(".py").exists()
                yield f"{node.module}.{alias.name}" if is_module else str(node.module)


def graph(root: Path) -> dict[str, set[str]]:
    return {module_of(path, root): set(imports(path, root)) for path in sorted(root.rglob("*.py"))}


def own(names: set[str]) -> set[str]:
    return {name.removeprefix("monai_rwcp").removeprefix(".") for name in names if name.split(".")[0] == "monai_rwcp"}


def room_of(module: str) -> str:
    parts = module.split(".")
    return ".".join(parts[:2]) if parts[0] == "conformal" else parts[0]


def wrong_imports(modules: Mapping[str, set[str]]) -> list[str]:
    found = []
    for module, names in modules.items():
        room = room_of(module)
        for name in own(names):
            if name in FLOOR.keys() - {"version", "cli"}:
                # What a room shows to users is loaded name by name, so a file behind it would be hidden from this test.
                found.append(f"{module or 'monai_rwcp'} imports the room '{name}' and no file of it")
            elif FLOOR[room_of(name)] > FLOOR[room] or (FLOOR[room_of(name)] == FLOOR[room] and room_of(name) != room):
                found.append(f"{module} imports {name}, which is above it or beside it")
        unknown = (*(ENGINES if FLOOR[room] < FLOOR["handlers"] else ()),)
        unknown += ("monai.transforms",) if FLOOR[room] < PAGES else ()
        found += [f"{module} imports {name}" for name in names if name.startswith(unknown)]
    return found


def circle(modules: Mapping[str, set[str]]) -> list[str]:
    try:
        TopologicalSorter({module: own(names) for module, names in modules.items()}).prepare()
    except CycleError as error:
        return list(error.args[1])
    return []


def test_every_file_imports_only_from_below() -> None:
    modules = graph(ROOT)
    assert len(modules) > 100
    assert not wrong_imports(modules)


def test_every_room_has_a_floor() -> None:
    rooms = {room_of(module) for module in graph(ROOT)} - {"", "conformal"}
    assert rooms | {"", "conformal"} == set(FLOOR)


def test_no_circle() -> None:
    assert not circle(graph(ROOT))


@pytest.mark.parametrize(
    ("file", "line", "reason"),
    [
        ("walk/grid.py", "from monai_rwcp.features.mind import MINDFeatures", "above it"),
        ("conformal/counting/levels.py", "from monai_rwcp.conformal.sets.set_sizes import set_sizes", "above it"),
        ("folders/maps.py", "from monai_rwcp.demo.phantoms import write_cohort", "beside it"),
        ("handlers/items.py", "from monai_rwcp.conformal import calibrate", "no file of it"),
        ("handlers/items.py", "from monai_rwcp import calibrate", "no file of it"),
        ("conformal/sets/set_sizes.py", "from monai.transforms import Compose", "imports monai.transforms"),
        ("report/cautions.py", "    import ignite.engine", "imports ignite"),
    ],
)
def test_a_wrong_import_is_found(file: str, line: str, reason: str, tmp_path: Path) -> None:
    root = tmp_path / "monai_rwcp"
    for path in ROOT.rglob("*.py"):
        copied = root / path.relative_to(ROOT)
        copied.parent.mkdir(parents=True, exist_ok=True)
        copied.write_text(path.read_text(encoding="utf-8"), encoding="utf-8")
    before = set(wrong_imports(graph(root)))
    changed = root / file
    changed.write_text(f"{changed.read_text(encoding='utf-8')}\n\ndef _late() -> None:\n    {line.strip()}\n")
    (found,) = set(wrong_imports(graph(root))) - before
    assert reason in found


def test_a_circle_is_found() -> None:
    assert circle({"a.b": {"monai_rwcp.a.c"}, "a.c": {"monai_rwcp.a.b", "torch"}})


def test_no_file_is_long_and_each_says_what_it_does() -> None:
    for path in [*ROOT.rglob("*.py"), *(ROOT.parent / "benchmarks").rglob("*.py")]:
        text = path.read_text(encoding="utf-8")
        assert len(text.splitlines()) <= 250, path
        assert ast.get_docstring(ast.parse(text)), path
