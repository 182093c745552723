"""A release has one version, in all places that tell one."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / ".ci/release_version.py"
PLACES = {
    "monai_rwcp/version.py": '__version__ = "{}"\n',
    "CITATION.cff": "cff-version: 1.2.0\nversion: {}\n",
    "CHANGELOG.md": "# Changelog\n\n## {} - 2026-12-01\n\n## 0.0.1\n",
    "tutorials/bundle/configs/metadata.json": '{{"required_packages_version": {{"monai-rwcp": "{}"}}}}',
}


def repository(folder: Path, **versions: str) -> Path:
    """A repository whose files tell a version each: 1.2.0 where none is given."""
    for name, text in PLACES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text.format(versions.get(Path(name).stem, "1.2.0")), encoding="utf-8")
    (folder / ".ci").mkdir()
    shutil.copy(SCRIPT, folder / ".ci")
    return folder / ".ci" / SCRIPT.name


def run(script: Path, tag: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, script, tag], capture_output=True, text=True, timeout=60)


def test_one_version_passes(tmp_path: Path) -> None:
    assert run(repository(tmp_path), "v1.2.0").returncode == 0


@pytest.mark.parametrize("tag", ["v1.2.1", "1.2.0", "v1.2.0rc1", "v"])
def test_another_tag_is_refused(tag: str, tmp_path: Path) -> None:
    ran = run(repository(tmp_path), tag)
    assert ran.returncode == 1
    assert ran.stderr.startswith("the tag says")
    assert "mend these" in ran.stderr


@pytest.mark.parametrize(
    ("stem", "told", "place"),
    [
        ("CITATION", "1.1.0", "CITATION.cff says 1.1.0"),
        ("CHANGELOG", "Unreleased", "the newest heading of CHANGELOG.md says Unreleased"),
        ("metadata", "1.2.0.dev0", "metadata.json says 1.2.0.dev0"),
    ],
)
def test_a_place_that_was_forgotten_is_named(stem: str, told: str, place: str, tmp_path: Path) -> None:
    ran = run(repository(tmp_path, **{stem: told}), "v1.2.0")
    assert ran.returncode == 1
    assert place in ran.stderr
    assert ran.stderr.count(" says ") == 1


def test_the_repository_itself_can_be_asked() -> None:
    # While it is developed, its newest heading is "Unreleased", and everything else has one version.
    ran = run(SCRIPT, "v0.0.0")
    assert ran.returncode == 1
    assert "the tag says 0.0.0" in ran.stderr
    assert "CITATION.cff" not in ran.stderr
    assert "metadata.json" not in ran.stderr
