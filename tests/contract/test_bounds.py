"""Every requirement has a lower bound, and .ci/oldest installs just these: it asks .ci/lowest.py, which is run here."""

from __future__ import annotations

import runpy
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
lowest: Callable[[Path], list[str]] = runpy.run_path(str(ROOT / ".ci/lowest.py"))["lowest"]


def test_the_lowest_versions_are_those_of_pyproject() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    lines = [*project["dependencies"], *(line for extra in project["optional-dependencies"].values() for line in extra)]
    others = [line for line in lines if not line.startswith("monai-rwcp[")]
    assert sorted(line.replace("==", ">=") for line in lowest(ROOT / "pyproject.toml")) == sorted(others)
    assert "torch==2.4.1" in lowest(ROOT / "pyproject.toml")


def test_the_script_installs_these() -> None:
    text = (ROOT / ".ci/oldest").read_text(encoding="utf-8")
    assert "python .ci/lowest.py" in text
    assert "==" not in text
    assert ">=" not in text


@pytest.mark.parametrize(
    "requirement", ["numpy", "numpy<3", "numpy==2.0", "numpy>=1.26,<3", "numpy~=2.0", "numpy>=2.*"]
)
def test_a_requirement_without_a_plain_lower_bound_is_refused(requirement: str, tmp_path: Path) -> None:
    path = tmp_path / "pyproject.toml"
    path.write_text(f'[project]\nname = "x"\ndependencies = ["{requirement}"]\noptional-dependencies = {{}}\n')
    with pytest.raises(SystemExit, match=f"such as 'numpy>=1.26', but got '{requirement[:6]}"):
        lowest(path)


def test_one_package_has_one_bound(tmp_path: Path) -> None:
    path = tmp_path / "pyproject.toml"
    path.write_text(
        '[project]\nname = "x"\ndependencies = ["torch>=2"]\n[project.optional-dependencies]\na = ["torch>=3"]\n'
    )
    with pytest.raises(SystemExit, match="torch"):
        lowest(path)
