"""Packages that are older than ours needs are named, with both versions and what mends it; metadata is made up here."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import monai_rwcp
from monai_rwcp.utils import packages
from monai_rwcp.utils.packages import check_dependencies, needed
from monai_rwcp.version import __version__

BOUNDS = ("torch>=2.4.1", "monai>=1.5", "lazy-loader>=0.3", 'matplotlib>=3.8; extra == "report"')
Install = Callable[..., None]


@pytest.fixture(autouse=True)
def forgotten() -> Iterator[None]:
    """What is installed is read once; here it changes."""

    def forget() -> None:
        packages._bounds.cache_clear()
        packages._too_old_of_extras.cache_clear()

    forget()
    yield
    forget()


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    """Metadata of a package that hides what is really installed."""
    monkeypatch.syspath_prepend(tmp_path)

    def write(name: str, version: str, *requires: str) -> None:
        folder = tmp_path / f"{name.replace('-', '_')}-{version}.dist-info"
        folder.mkdir()
        lines = [
            "Metadata-Version: 2.1",
            f"Name: {name}",
            f"Version: {version}",
            *(f"Requires-Dist: {r}" for r in requires),
        ]
        (folder / "METADATA").write_text("\n".join(lines) + "\n", encoding="utf-8")

    return write


def test_a_package_below_its_bound_is_named(install: Install) -> None:
    install("monai-rwcp", __version__, *BOUNDS)
    install("torch", "2.3.1+cu121")
    with pytest.raises(ImportError) as caught:
        check_dependencies()
    assert str(caught.value) == (
        'monai_rwcp needs torch 2.4.1 or newer, but 2.3.1+cu121 is installed: pip install "torch>=2.4.1".'
    )


def test_all_that_are_too_old_are_named_at_once(install: Install) -> None:
    install("monai-rwcp", __version__, *BOUNDS)
    install("torch", "1.13.1")
    install("monai", "1.4.0")
    with pytest.raises(
        ImportError, match=r'but 1\.13\.1 .* but 1\.4\.0 .*: pip install "torch>=2\.4\.1" "monai>=1\.5"\.'
    ):
        check_dependencies()


@pytest.mark.parametrize("version", ["2.4.1", "2.4.1+cpu", "2.5.0a0+872d972e41", "2.10", "3", "2.15.0", "unknown"])
def test_versions_that_are_new_enough_or_tell_nothing(version: str, install: Install) -> None:
    install("monai-rwcp", __version__, *BOUNDS)
    install("torch", version)
    check_dependencies()


@pytest.mark.parametrize("version", ["2.4", "2.4.0", "2.4.0a0+git", "2", "1.99.9"])
def test_versions_that_are_too_old(version: str, install: Install) -> None:
    install("monai-rwcp", __version__, *BOUNDS)
    install("torch", version)
    with pytest.raises(ImportError, match=f"but {re.escape(version)} is installed"):
        check_dependencies()


def test_bounds_of_another_release_beside_a_checkout_say_nothing(install: Install) -> None:
    install("monai-rwcp", "0.0.1", "torch>=99")
    check_dependencies()


def test_a_checkout_that_is_not_installed_is_not_checked(install: Install, monkeypatch: pytest.MonkeyPatch) -> None:
    install("torch", "1.13.1")
    monkeypatch.setattr(sys, "path", sys.path[:1])
    check_dependencies()


def test_a_package_without_metadata_is_left_to_its_import(install: Install, monkeypatch: pytest.MonkeyPatch) -> None:
    install("monai-rwcp", __version__, "a-package-of-nobody>=3", "torch>=2.4.1")
    check_dependencies()
    install("torch", "2.3.0")
    with pytest.raises(ImportError, match=r"needs torch 2\.4\.1 or newer"):
        check_dependencies()


def test_an_extra_of_which_a_package_is_too_old(install: Install) -> None:
    install("monai-rwcp", __version__, *BOUNDS)
    install("matplotlib", "3.5.3")
    check_dependencies()
    with (
        pytest.raises(
            ImportError, match=r"^Drawing needs matplotlib 3\.8 or newer, but 3\.5\.3 is installed: pip install"
        ),
        needed("Drawing needs", "report", "matplotlib"),
    ):
        pytest.fail("nothing of an old package is imported")


def test_an_extra_that_is_new_enough_or_missing(install: Install) -> None:
    install("monai-rwcp", __version__, *BOUNDS)
    install("matplotlib", "3.10.1")
    with needed("Drawing needs", "report", "matplotlib"):
        pass
    message = re.escape('It needs pydicom and highdicom: pip install "monai-rwcp[dicom]", or do without.')
    with (
        pytest.raises(ImportError, match=f"^{message}$"),
        needed("It needs", "dicom", "pydicom", "highdicom", otherwise=", or do without"),
    ):
        raise ModuleNotFoundError("No module named 'pydicom'")


def test_another_error_of_an_import_stays_what_it_is() -> None:
    with pytest.raises(ImportError, match="^cannot open shared object$"), needed("It needs", "dicom", "pydicom"):
        raise ImportError("cannot open shared object")


@pytest.mark.parametrize(("version", "ending"), [("2.3.0", 'pip install "torch>=2.4.1".\n'), ("2.4.1", "")])
def test_import_says_so_before_anything_large_is_loaded(
    version: str, ending: str, install: Install, tmp_path: Path
) -> None:
    install("monai-rwcp", __version__, *BOUNDS)
    install("torch", version)
    for name in ("torch", "monai"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('loaded')\n", encoding="utf-8")
    path = os.pathsep.join([str(tmp_path), str(Path(monai_rwcp.__file__).parents[1])])
    run = subprocess.run(
        [sys.executable, "-c", "import monai_rwcp"],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (run.returncode == 0) == (not ending), run.stderr
    assert run.stderr.endswith(ending)
    assert "loaded" not in run.stderr
