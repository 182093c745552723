"""The pages of the documentation keep to what is there: names, arguments, commands, options, links, pictures."""

from __future__ import annotations

import ast
import importlib
import inspect
import json
import re
import runpy
from pathlib import Path
from typing import Any, get_type_hints

import click
import pytest

from monai_rwcp.cli import main
from tests.helpers.pages import PAGES, ROOT, Block, blocks, commands, named, prose

OWN = [page for page in PAGES if page.parent.name in ("how_to", "understanding")]
HOW_TO = [page for page in OWN if page.parent.name == "how_to" and page.stem != "index"]
SHELL = ("bash", "sh", "console")
PARAMETERS = inspect.Parameter


def of_language(*languages: str) -> list[Any]:
    return [
        pytest.param(block, id=f"{named(page)}:{block.line}")
        for page in PAGES
        for block in blocks(page)
        if block.language in languages
    ]


def resolve(name: str) -> Any:
    """A dotted name of this package or of MONAI, or a short one of either, as a config has it."""
    if "." in name:
        module, _, last = name.rpartition(".")
        return getattr(importlib.import_module(module), last)
    for room in ("monai_rwcp", "monai.transforms", "monai.handlers", "monai.data", "monai.inferers"):
        if hasattr(importlib.import_module(room), name):
            return getattr(importlib.import_module(room), name)
    raise AssertionError(f"'{name}' is a name of neither monai_rwcp nor MONAI")


def imported(tree: ast.AST) -> dict[str, Any]:
    """What a block imports of this package and of MONAI, by its name there."""
    found: dict[str, Any] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] in ("monai_rwcp", "monai"):
            module = importlib.import_module(str(node.module))
            for alias in node.names:
                assert hasattr(module, alias.name), f"'{node.module}' has no '{alias.name}'"
                found[alias.asname or alias.name] = getattr(module, alias.name)
    return found


def check_arguments(called: Any, positional: int, keywords: list[str], at: str) -> None:
    """Refuse arguments that a signature has not, whether or not others are given by ``*`` and ``**``."""
    given = inspect.signature(called).parameters.values()
    open_ended = any(p.kind is PARAMETERS.VAR_KEYWORD for p in given)
    names = {p.name for p in given if p.kind in (PARAMETERS.POSITIONAL_OR_KEYWORD, PARAMETERS.KEYWORD_ONLY)}
    unknown = [name for name in keywords if name not in names]
    assert open_ended or not unknown, f"{at} has no {unknown}; it has {sorted(names)}"
    places = [p for p in given if p.kind in (PARAMETERS.POSITIONAL_ONLY, PARAMETERS.POSITIONAL_OR_KEYWORD)]
    assert positional <= len(places) or any(p.kind is PARAMETERS.VAR_POSITIONAL for p in given), at


def check_python(block: Block) -> None:
    tree = ast.parse(block.text)
    known = imported(tree)
    kinds: dict[str, Any] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Call) and isinstance(node.value.func, ast.Name):
            made = known.get(node.value.func.id)
            kind = made if inspect.isclass(made) else get_type_hints(made).get("return") if made else None
            kinds |= {target.id: kind for target in node.targets if isinstance(target, ast.Name)}
    for node in ast.walk(tree):
        of = node.value if isinstance(node, ast.Attribute) else None
        owner = {**kinds, **known}.get(of.id) if isinstance(of, ast.Name) else None
        if isinstance(node, ast.Attribute) and inspect.isclass(owner) and owner.__module__.startswith("monai_rwcp"):
            there = {*dir(owner), *getattr(owner, "__annotations__", {}), *inspect.signature(owner).parameters}
            assert node.attr in there, f"{owner.__name__} has no '{node.attr}'"
        if isinstance(node, ast.Call):
            called, at = None, ast.unparse(node.func)
            if isinstance(node.func, ast.Name):
                called = known.get(node.func.id)
            elif isinstance(node.func, ast.Attribute) and isinstance(node.func.value, ast.Name):
                called = getattr(known.get(node.func.value.id), node.func.attr, None)
            if called is not None:
                starred = any(isinstance(argument, ast.Starred) for argument in node.args)
                keywords = [keyword.arg for keyword in node.keywords if keyword.arg]
                check_arguments(called, 0 if starred else len(node.args), keywords, at)


@pytest.mark.parametrize("block", of_language("python"))
def test_python_names_and_arguments_exist(block: Block) -> None:
    check_python(block)


@pytest.mark.parametrize(
    "text",
    [
        "from monai_rwcp import calibrated",
        "from monai_rwcp import calibrate\ncalibrate(table, alfa=0.1)",
        "from monai_rwcp import LossTable\nLossTable.read('a.json')",
        "from monai_rwcp import LossTable\nLossTable.load('a.json', 2)",
        "from monai_rwcp import ConformalCalibrationHandler\nh = ConformalCalibrationHandler()\nh.tables.save('a')",
    ],
)
def test_python_that_is_wrong_is_noticed(text: str) -> None:
    with pytest.raises(AssertionError):
        check_python(Block("python", text, 1, False))


def check_json(part: Any) -> None:
    for inner in part.values() if isinstance(part, dict) else part if isinstance(part, list) else ():
        check_json(inner)
    if isinstance(part, dict) and "_target_" in part:
        check_arguments(resolve(part["_target_"]), 0, [key for key in part if key[0] != "_"], part["_target_"])


@pytest.mark.parametrize("block", of_language("json"))
def test_json_names_and_arguments_exist(block: Block) -> None:
    check_json(json.loads(block.text))


def test_json_that_is_wrong_is_noticed() -> None:
    with pytest.raises(AssertionError, match="has no"):
        check_json([{"_target_": "ConformalThresholdd", "keys": "pred", "calibrations": "c.json"}])


def check_command(words: list[str], whole: bool = True) -> None:
    """Refuse a command, option or choice that is not there, and what is needed and is not given."""
    command = main.get_command(click.Context(main), words[0])
    assert command is not None, f"there is no command '{words[0]}'"
    given, _, _ = command.make_parser(click.Context(command)).parse_args(list(words[1:]))
    for parameter in command.params:
        value = given.get(str(parameter.name))
        missing = value is None or value == () or "UNSET" in repr(value).upper()
        assert not (whole and parameter.required and missing), f"'{words[0]}' needs {parameter.opts}"
        if isinstance(parameter.type, click.Choice) and isinstance(value, str):
            assert value in parameter.type.choices, f"{parameter.opts} cannot be '{value}'"


@pytest.mark.parametrize("block", of_language(*SHELL))
def test_commands_and_options_exist(block: Block) -> None:
    for words in commands(block):
        check_command(words)


@pytest.mark.parametrize(
    "line",
    [
        "monai-rwcp calibrated maps",
        "monai-rwcp predict maps --form nnunet --calibration c.json --output sets",
        "monai-rwcp predict maps --form nnunets --calibration c.json --out sets",
        "monai-rwcp predict maps --calibration c.json --out sets",
        "monai-rwcp predict --form nnunet --calibration c.json --out sets",
        "torchrun --nproc_per_node=2 -m monai_rwcp merge a.json --to b.json",
    ],
)
def test_commands_that_are_wrong_are_noticed(line: str) -> None:
    (words,) = commands(Block("bash", line, 1, False))
    with pytest.raises((AssertionError, click.UsageError)):
        check_command(words)


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_commands_in_sentences_exist(page: Path) -> None:
    for inline in re.findall(r"(?<!`)`(monai-rwcp [^`]+)`", prose(page)):
        (words,) = commands(Block("bash", re.sub(r"\s+", " ", inline), 1, False))
        if words[0].isupper() or words[0].startswith("-"):
            continue
        command = main.get_command(click.Context(main), words[0])
        assert command is not None, inline
        options = {name for parameter in command.params for name in parameter.opts} | {"--help"}
        assert {word for word in words if word.startswith("--")} <= options, inline


def anchors(page: Path) -> set[str]:
    """What headings can be linked to as, in the way of GitHub and MyST."""
    heads = re.findall(r"^#+ (.*)$", prose(page), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in heads}


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_links_lead_somewhere(page: Path) -> None:
    for target, anchor in re.findall(r"\]\(([^)#\s]*)(?:#([^)\s]*))?\)", prose(page)):
        if "://" in target:
            continue
        there = (page.parent / target) if target else page
        assert there.exists(), target
        assert not anchor or there.suffix != ".md" or anchor in anchors(there), f"{target}#{anchor}"


@pytest.mark.parametrize("page", OWN, ids=named)
def test_guides_send_nobody_elsewhere(page: Path) -> None:
    assert "://" not in page.read_text(encoding="utf-8")


@pytest.mark.parametrize("page", HOW_TO, ids=named)
def test_a_how_to_begins_with_its_question_and_an_answer(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert re.match(r"# [^\n]*\?\n", text)
    assert "```" in text[:1500]
    assert len(prose(page).split()) <= 600
    assert f"({page.name})" in (page.parent / "index.md").read_text(encoding="utf-8")


def test_pictures_are_small_and_say_what_drew_them() -> None:
    shown = [
        (page, page.parent / path, line)
        for page in OWN
        for line, path in re.findall(r"(.*)\n!\[[^\]]+\]\(([^)]+)\)", page.read_text(encoding="utf-8"))
    ]
    assert {path.name for _, path, _ in shown} == {path.name for path in (ROOT / "docs/understanding").glob("*.png")}
    for page, path, line in shown:
        assert line == "<!-- python docs/understanding/pictures.py -->", f"{named(page)}: {path.name}"
        assert path.stat().st_size <= 60_000


@pytest.mark.slow
def test_pictures_are_drawn(tmp_path: Path) -> None:
    script = runpy.run_path(str(ROOT / "docs" / "understanding" / "pictures.py"))
    drawn = script["draw"](tmp_path)
    assert {path.name for path in drawn} == {path.name for path in (ROOT / "docs/understanding").glob("*.png")}
