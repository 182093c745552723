"""The command line answers at once: what a question does not need is not loaded for it."""

from __future__ import annotations

import importlib
import json
import os
import pkgutil
import re
import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

import monai_rwcp.commands
from monai_rwcp.cli import COMMANDS, main

HEAVY = {"ignite", "matplotlib", "monai", "nibabel", "numpy", "scipy", "torch", "torch_geometric"}
# What `python -m monai_rwcp` does, and then what it has loaded, on the last line.
ASKED = """
import json, runpy, sys
sys.argv = ["monai-rwcp", *sys.argv[1:]]
code = 0
try:
    runpy.run_module("monai_rwcp", run_name="__main__")
except SystemExit as error:
    code = error.code
print()
print(json.dumps([code, sorted(sys.modules)]))
"""


def python(*arguments: str) -> subprocess.CompletedProcess[str]:
    path = os.pathsep.join([str(Path(monai_rwcp.__file__).parents[1]), os.environ.get("PYTHONPATH", "")])
    environment = {name: value for name, value in os.environ.items() if name != "EAGER_IMPORT"}
    return subprocess.run(
        [sys.executable, *arguments], env=environment | {"PYTHONPATH": path}, capture_output=True, text=True, timeout=120
    )  # fmt: skip


def asked(*arguments: str) -> tuple[int, str, set[str]]:
    """Exit code, what was said, and the modules that were loaded."""
    ran = python("-c", ASKED, *arguments)
    said, _, last = ran.stdout.rstrip().rpartition("\n")
    code, modules = json.loads(last)
    return code, f"{said}{ran.stderr}", set(modules)


def test_the_question_would_be_heard_if_something_heavy_was_loaded(tmp_path: Path) -> None:
    (tmp_path / "table.json").write_text("{")
    code, said, modules = asked("merge", str(tmp_path / "table.json"), "--out", str(tmp_path / "merged.json"))
    assert (code, "is damaged" in said) == (1, True), said
    assert {"torch", "numpy"} <= modules


@pytest.mark.parametrize("arguments", [["--help"], ["-h"], ["--version"], *([name, "--help"] for name in COMMANDS)])
def test_help_loads_nothing_heavy(arguments: list[str]) -> None:
    code, said, modules = asked(*arguments)
    assert code == 0, said
    assert ("version 0." if "--version" in arguments else "Usage: ") in said
    assert not modules & HEAVY
    loaded = {name for name in COMMANDS if f"monai_rwcp.commands.{name.replace('-', '_')}" in modules}
    expected: dict[str, set[str]] = {"--version": set(), "--help": set(COMMANDS), "-h": set(COMMANDS)}
    assert loaded == expected.get(arguments[0], {arguments[0]})


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["calibrat"], "No such command 'calibrat'"),
        (["--nothing"], "No such option '--nothing'"),
        (["calibrate", "--nothing"], "No such option '--nothing'"),
        (["merge"], "Missing argument 'TABLES...'"),
        (["calibrate", "{folder}", "--form", "nnunet"], "Missing option '--labels'"),
        (["calibrate", "{folder}", "--form", "nrrd"], "'nrrd' is not one of 'channels-last'"),
        (["predict", "{folder}/absent"], "'{folder}/absent' does not exist"),
        (["evaluate", "{folder}", "--alpha", "0.1"], "No such option '--alpha'"),
        (["report", "{folder}", "--worst", "-1"], "-1 is not in the range x>=0"),
        (["card", "{folder}/absent.json"], "'{folder}/absent.json' does not exist"),
        (["check", "--calibration", "{folder}"], "'{folder}' is a directory"),
        (["dicom-seg", "{folder}/f.json", "--series", "{folder}/f.json"], "'{folder}/f.json' is a file"),
        (["features", "{folder}/f.json", "--axis", "3"], "3 is not in the range 0<=x<=2"),
        (["tune", "{folder}/f.json", "--out", "{folder}/new", "--grid", "a"], "Expected a stride such as 4"),
        (["tune", "{folder}/f.json", "--out", "{folder}/new", "--intensity", "none"], "belongs to an --extractor"),
        (["demo", "--out", "{folder}"], "is not empty; nothing there is overwritten"),
    ],
)
def test_usage_errors_load_nothing_heavy(arguments: list[str], message: str, tmp_path: Path) -> None:
    (tmp_path / "f.json").write_text("{}")
    code, said, modules = asked(*(argument.format(folder=tmp_path) for argument in arguments))
    assert code == 2, said
    # Click 8.1 quotes otherwise.
    assert message.format(folder=tmp_path) in re.sub(r"No such option: (--\w+)", r"No such option '\1'", said)
    assert not modules & HEAVY


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["calibrate", "{f}", "--form", "nnunet", "--labels", "{f}", "--out", "{f}/new.json"], "No map in '{f}'"),
        (
            [
                *("calibrate", "{f}/maps", "--form", "one-class", "--labels", "{f}/maps"),
                *("--units", "{f}/units.csv", "--out", "{f}/f.json"),
            ],
            "f.json' exists. Name a new file, or give --overwrite",
        ),
        (["predict", "{f}", "--form", "one-class", "--calibration", "{f}/f.json", "--out", "{f}/new"], "No map in"),
        (["evaluate", "{f}", "--labels", "{f}", "--calibration", "{f}/f.json"], "No set in '{f}'"),
        (["report", "{f}", "--labels", "{f}", "--calibration", "{f}/f.json", "--out", "{f}/f.json"], "f.json' exists"),
        (["card", "{f}/f.json", "--out", "{f}/f.json"], "f.json' exists; nothing there is overwritten"),
        (["merge", "{f}/f.json", "--out", "{f}/f.json"], "f.json' exists; nothing there is overwritten"),
        (["features", "{f}/f.json", "--extractor", "mind", "--out", "{f}/no/new.png"], "the folder '{f}/no' does not"),
    ],
)
def test_wrong_folders_and_outputs_are_told_of_at_once(arguments: list[str], message: str, tmp_path: Path) -> None:
    (tmp_path / "f.json").write_text("{}")
    (tmp_path / "maps").mkdir()
    (tmp_path / "maps" / "anna.nii.gz").touch()
    (tmp_path / "units.csv").write_text("case,unit\nanna,anna\n")
    code, said, modules = asked(*(argument.format(f=tmp_path) for argument in arguments))
    assert code == 1, said
    assert message.format(f=tmp_path) in said
    assert not modules & HEAVY


def test_tables_and_cards_need_no_monai(tmp_path: Path) -> None:
    (tmp_path / "c.json").write_text("{}")
    for arguments in (["card"], ["merge"]):
        code, said, modules = asked(*arguments, str(tmp_path / "c.json"), "--out", str(tmp_path / "new"))
        assert (code, "it is something else" in said) == (1, True), said
        assert not modules & (HEAVY - {"torch", "numpy"})


def test_a_dry_run_needs_no_monai(tmp_path: Path) -> None:
    (tmp_path / "anna.nii.gz").touch()
    given = ["--form", "one-class", "--calibration", str(tmp_path / "anna.nii.gz"), "--out", str(tmp_path / "new")]
    code, said, modules = asked("predict", str(tmp_path), *given, "--dry-run")
    assert (code, "1 cases of 1 units; nothing was written." in said) == (0, True), said
    assert not modules & (HEAVY - {"torch", "numpy"})


def test_every_file_with_a_command_is_listed() -> None:
    with_command = set()
    for module in pkgutil.iter_modules(monai_rwcp.commands.__path__):
        found = vars(importlib.import_module(f"monai_rwcp.commands.{module.name}")).values()
        if any(isinstance(value, click.Command) for value in found):
            with_command.add(module.name.replace("_", "-"))
    assert with_command == set(COMMANDS)
    listed = CliRunner().invoke(main, ["--help"]).output.partition("Commands:\n")[2].splitlines()
    assert [line.split()[0] for line in listed] == sorted(COMMANDS)
    for name in COMMANDS:
        command = main.get_command(click.Context(main), name)
        assert command is not None
        assert (command.name, bool(command.help)) == (name, True)


@pytest.mark.skipif(not hasattr(click, "NoSuchCommand"), reason="this click does not say what may be meant")
def test_a_name_that_is_nearly_right_is_answered_with_the_right_one() -> None:
    assert "Did you mean 'calibrate'?" in CliRunner().invoke(main, ["calibrat"]).output
