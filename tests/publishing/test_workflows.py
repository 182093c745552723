"""The workflows of a public host: they call scripts that are there, and may do no more than they need."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from itertools import product
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
FILES = sorted((ROOT / ".github/workflows").glob("*.yml"))
# What a job may do beyond reading the repository.
MAY = {
    ("docs", "show"): {"pages": "write", "id-token": "write"},
    ("release", "publish"): {"id-token": "write", "attestations": "write"},
}


def read(path: Path) -> dict[str, Any]:
    # Plain texts: YAML 1.1 takes "on" for a truth value.
    return yaml.load(path.read_text(encoding="utf-8"), Loader=yaml.BaseLoader)


def steps(workflow: dict[str, Any]) -> list[dict[str, Any]]:
    return [step for job in workflow["jobs"].values() for step in job["steps"]]


def commands(workflow: dict[str, Any]) -> list[str]:
    """What is run, once for every value of the matrix."""
    found = []
    for job in workflow["jobs"].values():
        matrix = job.get("strategy", {}).get("matrix", {})
        lists = {name: values for name, values in matrix.items() if name != "include"}
        for values in product(*lists.values()):
            chosen = dict(zip(lists, values, strict=True))
            fill = re.compile(r"\$\{\{ *matrix\.(\w+) *\}\}")
            found += [fill.sub(lambda m, c=chosen: c[m[1]], step["run"]) for step in job["steps"] if "run" in step]
    return found


def test_there_are_workflows_for_tests_pages_and_releases() -> None:
    assert [path.stem for path in FILES] == ["docs", "release", "tests"]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_workflow_calls_scripts_that_are_there(path: Path) -> None:
    called = {name for line in commands(read(path)) for name in re.findall(r"\.ci/[\w./]+", line)}
    assert called
    assert [name for name in sorted(called) if not (ROOT / name).is_file()] == []


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_workflow_may_do_no_more_than_it_needs(path: Path) -> None:
    workflow = read(path)
    assert workflow["permissions"] == {"contents": "read"}
    for name, job in workflow["jobs"].items():
        assert job.get("permissions", {}) == MAY.get((path.stem, name), {})
        assert int(job["timeout-minutes"]) <= 180
    for step in steps(workflow):
        if step.get("uses", "").startswith("actions/checkout@"):
            assert step["with"]["persist-credentials"] == "false"
        # What others can choose, such as the name of a branch, never becomes part of a command.
        assert not re.search(r"\$\{\{(?! *matrix\.)", step.get("run", ""))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_actions_are_pinned_and_no_host_is_named(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    used = re.findall(r"uses: *(.*)", text)
    assert used
    for action in used:
        assert re.fullmatch(r"[\w-]+/[\w-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", action)
    assert "://" not in text
    assert "secrets." not in text


def test_both_ends_of_the_bounds_are_tested_on_three_systems() -> None:
    workflow = read(ROOT / ".github/workflows/tests.yml")
    job = workflow["jobs"]["tests"]
    matrix = job["strategy"]["matrix"]
    assert matrix["os"] == ["ubuntu-latest", "macos-latest", "windows-latest"]
    assert matrix["script"] == ["run", "oldest", "newest"]
    pythons = {entry["script"]: entry["python"] for entry in matrix["include"]}
    oldest = re.search(r'requires-python = ">=([\d.]+)"', (ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    assert oldest is not None
    assert pythons["oldest"] == oldest[1]
    assert tuple(map(int, pythons["newest"].split("."))) > tuple(map(int, oldest[1].split(".")))
    # Windows' own shell knows no scripts of this kind.
    assert job["defaults"]["run"]["shell"] == "bash"


def test_a_release_is_checked_before_it_is_published() -> None:
    workflow = read(ROOT / ".github/workflows/release.yml")
    assert workflow["on"] == {"push": {"tags": ["v*"]}}
    assert workflow["jobs"]["publish"]["needs"] == "build"
    assert workflow["jobs"]["publish"]["environment"] == "release"
    ran = "\n".join(commands({"jobs": {"build": workflow["jobs"]["build"]}}))
    order = [ran.index(name) for name in (".ci/release_version.py", ".ci/absolute_links.py", ".ci/package")]
    assert order == sorted(order)
    # Nothing but what was built and checked gets where the token is.
    assert [step["uses"].split("@")[0] for step in workflow["jobs"]["publish"]["steps"]] == [
        "actions/download-artifact",
        "actions/attest-build-provenance",
        "pypa/gh-action-pypi-publish",
    ]


@pytest.mark.skipif(shutil.which("git") is None, reason="needs git")
def test_a_checkout_in_windows_keeps_the_ends_of_lines(tmp_path: Path) -> None:
    def git(*arguments: str) -> None:
        settings = ["-c", "core.autocrlf=true", "-c", "user.name=me", "-c", "user.email=me@example.org"]
        subprocess.run(["git", *settings, *arguments], cwd=tmp_path, check=True, capture_output=True)

    names = [".gitattributes", ".ci/run", "README.md"]
    (tmp_path / ".ci").mkdir()
    for name in names:
        shutil.copy(ROOT / name, tmp_path / name)
    git("init")
    git("add", ".")
    git("commit", "-m", "all")
    for name in names[1:]:
        (tmp_path / name).unlink()
    git("checkout", ".")
    assert [name for name in names if b"\r" in (tmp_path / name).read_bytes()] == []


@pytest.mark.skipif(sys.platform == "win32", reason="bash is not alone in its folder there")
def test_without_the_readmes_command_the_tests_do_not_pass(tmp_path: Path) -> None:
    (tmp_path / ".ci").mkdir()
    shutil.copy(ROOT / ".ci/run", tmp_path / ".ci/run")
    (tmp_path / "README.md").write_text("# nothing marked\n", encoding="utf-8")
    bare = {"PATH": str(tmp_path / "bin")}
    (tmp_path / "bin").mkdir()
    for name in ("bash", "dirname", "sed", "uname", "id"):
        (tmp_path / "bin" / name).symlink_to(str(shutil.which(name)))
    ran = subprocess.run(["bash", ".ci/run"], cwd=tmp_path, env=bare, capture_output=True, text=True, check=False)
    assert ran.returncode == 1
    assert ran.stderr == "README.md has no line that ends in '# runs the tests'.\n"
