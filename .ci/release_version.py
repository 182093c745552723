"""Refuse a release whose tag, package, citation, bundle and changelog do not say one version.

python .ci/release_version.py TAG
"""

from __future__ import annotations

import json
import re
import runpy
import sys
from pathlib import Path

__all__ = ["differing_versions"]


def differing_versions(tag: str, root: Path) -> list[str]:
    """Where another version stands than a tag tells; nowhere where all is well.

    Args:
        tag: ``v`` and the version.
        root: the repository.
    """
    package = runpy.run_path(str(root / "monai_rwcp/version.py"))["__version__"]
    text = {name: (root / name).read_text(encoding="utf-8") for name in ("CHANGELOG.md", "CITATION.cff")}
    citation = re.search(r"^version: (.+)$", text["CITATION.cff"], re.MULTILINE)
    changelog = re.search(r"^## \[?([^\s\]]+)", text["CHANGELOG.md"], re.MULTILINE)
    bundle = json.loads((root / "tutorials/bundle/configs/metadata.json").read_text(encoding="utf-8"))
    found = {
        "the tag": tag.removeprefix("v") if tag.startswith("v") else None,
        "CITATION.cff": citation and citation[1],
        "the newest heading of CHANGELOG.md": changelog and changelog[1],
        "tutorials/bundle/configs/metadata.json": bundle["required_packages_version"].get("monai-rwcp"),
    }
    return [
        f"{place} says {version}, monai_rwcp/version.py {package}."
        for place, version in found.items()
        if version != package
    ]


if __name__ == "__main__":
    if len(sys.argv) != 2:
        raise SystemExit("Usage: python .ci/release_version.py TAG")
    found = differing_versions(sys.argv[1], Path(__file__).parents[1])
    if found:
        raise SystemExit("\n".join([*found, "A release has one version: mend these, and tag again."]))
