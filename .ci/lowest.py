"""Prints the lowest versions that pyproject.toml allows, one a line: what .ci/oldest installs."""

import re
import sys
import tomllib
from pathlib import Path

# A name, a lower bound and nothing else: monai_rwcp/utils/packages.py reads the same form.
REQUIREMENT = re.compile(r"([\w.-]+)>=(\d[\d.]*)")


def lowest(pyproject: Path) -> list[str]:
    """``name==version`` for every requirement of the package and of its extras."""
    project = tomllib.loads(pyproject.read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"].values()
    versions: dict[str, str] = {}
    for requirement in [*project["dependencies"], *(line for extra in extras for line in extra)]:
        if requirement.startswith(f"{project['name']}["):
            continue
        match = REQUIREMENT.fullmatch(requirement)
        if match is None:
            sys.exit(f"{pyproject}: expected a name and a lower bound such as 'numpy>=1.26', but got '{requirement}'.")
        if versions.setdefault(match[1], match[2]) != match[2]:
            sys.exit(
                f"{pyproject}: expected one lower bound of {match[1]}, but got {versions[match[1]]} and {match[2]}."
            )
    return [f"{name}=={version}" for name, version in versions.items()]


if __name__ == "__main__":
    print("\n".join(lowest(Path(__file__).parents[1] / "pyproject.toml")))
