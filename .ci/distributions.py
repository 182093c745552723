"""What a wheel and a source archive hold: the package as it lies here, the texts that belong to it, and nothing else.

python .ci/distributions.py DIST PYTHON

DIST is a folder with one of each, PYTHON that of an environment into which the wheel alone was installed.
"""

from __future__ import annotations

import json
import runpy
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Mapping
from pathlib import Path

__all__ = ["problems_of_installed", "problems_of_sdist", "problems_of_wheel"]

PACKAGE = "monai_rwcp"
TEXTS = ("CHANGELOG.md", "CITATION.cff", "LICENSE", "NOTICE", "README.md", "SECURITY.md")
SETUP = ("MANIFEST.in", "pyproject.toml", "setup.cfg")
# What setuptools writes by itself.
_OF_WHEEL = ("METADATA", "RECORD", "WHEEL", "entry_points.txt", "top_level.txt", "licenses/LICENSE", "licenses/NOTICE")
_OF_SDIST = ("PKG-INFO", f"{PACKAGE}.egg-info/")
_ENDINGS = (".py", ".pyi", "py.typed")


def problems_of_wheel(wheel: Path, root: Path) -> list[str]:
    """What a wheel holds too much, lacks, or holds otherwise than it lies in the repository; nothing where all is well.

    Args:
        wheel: the file.
        root: the repository.
    """
    with zipfile.ZipFile(wheel) as archive:
        held = {name: archive.read(name) for name in archive.namelist()}
    info = "-".join(wheel.name.split("-")[:2]) + ".dist-info"
    wanted = {**_package(root), **dict.fromkeys((f"{info}/{name}" for name in _OF_WHEEL), None)}
    return _differences(wheel.name, held, wanted)


def problems_of_sdist(sdist: Path, root: Path) -> list[str]:
    """As :py:func:`problems_of_wheel`, of a source archive, which holds README and the like besides."""
    top = sdist.name.removesuffix(".tar.gz") + "/"
    with tarfile.open(sdist) as archive:
        files = [member for member in archive.getmembers() if not member.isdir()]
        held = {of.name.removeprefix(top): _read(archive, of) for of in files if of.isfile()}
        odd = [of.name for of in files if not of.isfile() or not of.name.startswith(top)]
    own = {name: data for name, data in held.items() if not name.startswith(_OF_SDIST)}
    wanted: dict[str, bytes | None] = {**_package(root), **{name: (root / name).read_bytes() for name in TEXTS}}
    # setuptools adds a section to setup.cfg.
    wanted |= dict.fromkeys(SETUP, None)
    return [f"{sdist.name} holds '{name}', which is no plain file of it." for name in odd] + _differences(
        sdist.name, own, wanted
    )


def problems_of_installed(python: str, root: Path) -> list[str]:
    """What an installed wheel says of itself that is not so.

    Args:
        python: of the environment; none of the package's dependencies is needed there.
        root: the repository.
    """
    program = (
        "import json; from importlib.metadata import distribution; of = distribution('monai-rwcp'); says = of.metadata;"
        "print(json.dumps({'version': of.version, 'scripts': [e.value for e in of.entry_points],"
        "'there': all(f.locate().is_file() for f in of.files), 'requires': of.requires,"
        "'typed': any(f.name == 'py.typed' for f in of.files), 'readme': says.get_payload() or says['Description'],"
        "**{name: says[name] for name in ('Name', 'License-Expression', 'Requires-Python')}}))"
    )
    # -I, so that the package of the folder it is called in is not found.
    ran = subprocess.run([python, "-I", "-c", program], capture_output=True, text=True, encoding="utf-8")
    if ran.returncode:
        return [f"The wheel is not installed as it should be for '{python}': {ran.stderr.strip()}"]
    told = json.loads(ran.stdout)
    expected = {
        "Name": "monai-rwcp",
        "version": runpy.run_path(str(root / PACKAGE / "version.py"))["__version__"],
        "License-Expression": "Apache-2.0",
        "Requires-Python": ">=3.11",
        "scripts": ["monai_rwcp.cli:main"],
        "there": True,
        "typed": True,
    }
    problems = [
        f"The installed wheel says {name} {told[name]!r}, but {value!r} was expected."
        for name, value in expected.items()
        if told[name] != value
    ]
    plain = [line for line in told["requires"] or () if "extra ==" not in line]
    if not any(line.startswith("torch") for line in plain):
        problems.append(f"The installed wheel requires {plain}, and no torch.")
    if not (told["readme"] or "").strip().startswith("# monai_rwcp"):
        problems.append("The installed wheel does not show README.md.")
    return problems


def _read(archive: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    file = archive.extractfile(member)
    return b"" if file is None else file.read()


def _package(root: Path) -> dict[str, bytes | None]:
    """The files of the package here, by name in an archive."""
    paths = (path for path in (root / PACKAGE).rglob("*") if path.is_file() and path.name.endswith(_ENDINGS))
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in paths}


def _differences(archive: str, held: Mapping[str, bytes], wanted: Mapping[str, bytes | None]) -> list[str]:
    """What is there and should not be, lacks, or is not as it should be; None is anything."""
    more = [f"{archive} holds '{name}', which does not belong there." for name in sorted(held.keys() - wanted.keys())]
    less = [f"{archive} lacks '{name}'." for name in sorted(wanted.keys() - held.keys())]
    both = ((name, data) for name, data in wanted.items() if data is not None and name in held)
    other = [f"'{name}' in {archive} is not what lies here." for name, data in both if held[name] != data]
    return more + less + sorted(other)


if __name__ == "__main__":
    if len(sys.argv) != 3:
        raise SystemExit("Usage: python .ci/distributions.py DIST PYTHON")
    dist, here = Path(sys.argv[1]), Path(__file__).parents[1]
    wheels, archives = list(dist.glob("*.whl")), list(dist.glob("*.tar.gz"))
    if len(wheels) != 1 or len(archives) != 1:
        raise SystemExit(f"Expected one wheel and one source archive in '{dist}': {[*wheels, *archives]}.")
    found = [
        *problems_of_wheel(wheels[0], here),
        *problems_of_sdist(archives[0], here),
        *problems_of_installed(sys.argv[2], here),
    ]
    if found:
        raise SystemExit("\n".join(found))
    print(f"{wheels[0].name} and {archives[0].name} hold what they should.")
