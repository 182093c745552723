"""What .ci/package says of a wheel or source archive that holds too much, too little, or something else."""

from __future__ import annotations

import io
import runpy
import shutil
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

check = runpy.run_path(str(Path(__file__).parents[2] / ".ci/distributions.py"))
NAME = "monai_rwcp-1.0"
PACKAGE = {
    "monai_rwcp/__init__.py": "1",
    "monai_rwcp/__init__.pyi": "2",
    "monai_rwcp/py.typed": "",
    "monai_rwcp/a/b.py": "3",
}
INFO = {f"{NAME}.dist-info/{name}": "x" for name in check["_OF_WHEEL"]}
BESIDE = dict.fromkeys((*check["TEXTS"], *check["SETUP"]), "text")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    here = tmp_path / "repository"
    kept = {
        **PACKAGE,
        **BESIDE,
        "monai_rwcp/__pycache__/a.pyc": "x",
        "tests/test_a.py": "x",
        "tutorials/overview.png": "x",
    }
    for name, text in kept.items():
        (here / name).parent.mkdir(parents=True, exist_ok=True)
        (here / name).write_bytes(text.encode())
    return here


def wheel(folder: Path, held: dict[str, str]) -> Path:
    path = folder / f"{NAME}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for name, text in held.items():
            archive.writestr(name, text)
    return path


def sdist(folder: Path, held: dict[str, str], link: str | None = None) -> Path:
    path = folder / f"{NAME}.tar.gz"
    with tarfile.open(path, "w:gz") as archive:
        for name, text in held.items():
            member = tarfile.TarInfo(f"{NAME}/{name}")
            member.size = len(text)
            archive.addfile(member, io.BytesIO(text.encode()))
        if link is not None:
            member = tarfile.TarInfo(f"{NAME}/{link}")
            member.type, member.linkname = tarfile.SYMTYPE, "/etc/passwd"
            archive.addfile(member)
    return path


def test_what_is_right_passes(root: Path, tmp_path: Path) -> None:
    assert check["problems_of_wheel"](wheel(tmp_path, PACKAGE | INFO), root) == []
    written = {"PKG-INFO": "x", "monai_rwcp.egg-info/SOURCES.txt": "x", "setup.cfg": "changed"}
    assert check["problems_of_sdist"](sdist(tmp_path, PACKAGE | BESIDE | written), root) == []


@pytest.mark.parametrize("name", ["tests/test_a.py", "monai_rwcp/old.py", "monai_rwcp/a.png", "overview.png"])
def test_what_does_not_belong_there_is_named(name: str, root: Path, tmp_path: Path) -> None:
    for problems in (
        check["problems_of_wheel"](wheel(tmp_path, PACKAGE | INFO | {name: "x"}), root),
        check["problems_of_sdist"](sdist(tmp_path, PACKAGE | BESIDE | {name: "x"}), root),
    ):
        assert len(problems) == 1
        assert f"holds '{name}', which does not belong there" in problems[0]


@pytest.mark.parametrize("name", ["monai_rwcp/py.typed", "monai_rwcp/__init__.pyi", "monai_rwcp/a/b.py"])
def test_what_lacks_is_named(name: str, root: Path, tmp_path: Path) -> None:
    package = {of: text for of, text in PACKAGE.items() if of != name}
    for problems in (
        check["problems_of_wheel"](wheel(tmp_path, package | INFO), root),
        check["problems_of_sdist"](sdist(tmp_path, package | BESIDE), root),
    ):
        assert len(problems) == 1
        assert f"lacks '{name}'" in problems[0]


def test_each_has_its_texts(root: Path, tmp_path: Path) -> None:
    info = {name: text for name, text in INFO.items() if not name.endswith("NOTICE")}
    assert "licenses/NOTICE" in check["problems_of_wheel"](wheel(tmp_path, PACKAGE | info), root)[0]
    beside = {name: text for name, text in BESIDE.items() if name != "CHANGELOG.md"}
    assert "CHANGELOG.md" in check["problems_of_sdist"](sdist(tmp_path, PACKAGE | beside), root)[0]


def test_other_contents_and_links_are_named(root: Path, tmp_path: Path) -> None:
    other = PACKAGE | {"monai_rwcp/a/b.py": "4"}
    assert "'monai_rwcp/a/b.py'" in check["problems_of_wheel"](wheel(tmp_path, other | INFO), root)[0]
    assert "'monai_rwcp/a/b.py'" in check["problems_of_sdist"](sdist(tmp_path, other | BESIDE), root)[0]
    [problem] = check["problems_of_sdist"](sdist(tmp_path, PACKAGE | BESIDE, "monai_rwcp/link.py"), root)
    assert "no plain file" in problem


@pytest.mark.skipif(sys.platform == "win32", reason="a script of a shell stands for Python")
def test_what_an_installed_wheel_says_is_compared(root: Path, tmp_path: Path) -> None:
    """A folder takes the place of an environment: metadata is read from wherever Python looks."""
    site = tmp_path / "site"
    (site / "monai_rwcp").mkdir(parents=True)
    (site / "monai_rwcp/py.typed").touch()
    info = site / f"{NAME}.dist-info"
    info.mkdir()
    (info / "entry_points.txt").write_text("[console_scripts]\nmonai-rwcp = monai_rwcp.cli:main\n")
    (info / "RECORD").write_text("monai_rwcp/py.typed,,\n")
    said = "Metadata-Version: 2.4\nName: monai-rwcp\nVersion: {}\nLicense-Expression: Apache-2.0\nRequires-Python: >=3.11\n"
    (root / "monai_rwcp/version.py").write_text('__version__ = "1.0"\n')
    python = tmp_path / "python"
    python.write_text(f"#!/bin/sh\nshift 2\ncd '{site}'\nPYTHONPATH='{site}' exec '{sys.executable}' -S -c \"$@\"\n")
    python.chmod(0o755)
    for version, requires, shown, expected in (
        ("1.0", "torch>=2", "# monai_rwcp", []),
        ("1.1", "torch>=2", "# monai_rwcp", ["version '1.1', but '1.0'"]),
        ("1.0", "numpy", "# monai_rwcp", ["no torch"]),
        ("1.0", "torch>=2", "nothing", ["README.md"]),
    ):
        (info / "METADATA").write_text(f"{said.format(version)}Requires-Dist: {requires}\n\n{shown}\n")
        problems = check["problems_of_installed"](str(python), root)
        assert len(problems) == len(expected)
        assert all(part in problem for part, problem in zip(expected, problems, strict=True))
    shutil.rmtree(info)
    [problem] = check["problems_of_installed"](str(python), root)
    assert "not installed as it should be" in problem
