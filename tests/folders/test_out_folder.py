"""Commands write where they are told to, and replace and take away nothing but what they made there themselves."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from monai_rwcp.folders.out_folder import check_apart
from monai_rwcp.utils.files import is_plain_name
from tests.helpers.links import link
from tests.helpers.map_folders import calibrated_cohort, run, save, truth_and_map

N = 10


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Maps, labels, a calibration, and the sets of the maps."""
    folder = tmp_path_factory.mktemp("made")
    calibrated_cohort(folder, [f"c{i}" for i in range(N)])
    ran = predict(folder, "sets")
    assert ran.exit_code == 0, ran.output
    return folder


@pytest.fixture
def folder(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "study", copy_function=shutil.copy2))


def predict(folder: Path, out: Path | str, *more: object):
    maps = ["predict", folder / "maps", "--form", "channels-last", "--calibration", folder / "c.json"]
    return run(*maps, "--out", folder / out, *more)


def contents(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def refused(folder: Path, message: str, out: Path | str, *more: object) -> None:
    kept = contents(folder)
    ran = predict(folder, out, *more)
    assert ran.exit_code == 1, ran.output
    assert message in ran.output.replace("\n", " ")
    assert contents(folder) == kept


def linked(folder: Path) -> str:
    link(folder / "link", folder / "maps", to_folder=True)
    return "link"


def linked_files(folder: Path) -> str:
    """Maps that are links to what lies in another folder."""
    (folder / "maps").rename(folder / "store")
    (folder / "maps").mkdir()
    for path in (folder / "store").iterdir():
        link(folder / "maps" / path.name, path)
    return "store"


@pytest.mark.parametrize("more", [(), ("--overwrite",)], ids=["", "overwrite"])
@pytest.mark.parametrize(
    "where",
    [lambda f: "maps", lambda f: "sets/../maps/.", linked, linked_files, lambda f: ".", lambda f: ".."],
    ids=["maps", "spelled", "link", "links", "holds", "above"],
)
def test_a_folder_that_is_or_holds_inputs(where: Callable[[Path], str], more: tuple[str, ...], folder: Path) -> None:
    refused(folder, "nothing is written among what is read", where(folder), *more)


@pytest.mark.parametrize("more", [(), ("--overwrite",)], ids=["", "overwrite"])
def test_a_folder_of_labels_that_the_command_does_not_know_of(more: tuple[str, ...], folder: Path) -> None:
    refused(folder, "and predict did not make it: there is no 'run.json'", "labels", *more)


def test_a_folder_beside_or_inside_the_maps_is_taken(folder: Path) -> None:
    for out in ("new", "maps/sets", "maps2"):
        assert predict(folder, out).exit_code == 0
        assert len(list((folder / out).glob("c*.nii.gz"))) == N
    kept = contents(folder / "maps")
    assert predict(folder, "sets", "--overwrite").exit_code == 0
    assert contents(folder / "maps") == kept


def test_check_apart_knows_images_too(folder: Path) -> None:
    with pytest.raises(FileExistsError, match="is the folder"):
        check_apart(folder / "labels", [folder / "maps/c0.nii.gz", folder / "labels/c0.nii.gz"])
    check_apart(folder / "sets", [folder / "maps/c0.nii.gz"])


@pytest.mark.parametrize("log", ["run.json", ".run-17.json"])
@pytest.mark.parametrize("name", ["../labels/c0", "{f}/labels/c0", "sub/c0", ".c0", "", "..", "a\\b"])
@pytest.mark.parametrize("more", [(), ("--overwrite",)], ids=["", "overwrite"])
def test_names_of_a_crafted_log(log: str, name: str, more: tuple[str, ...], folder: Path) -> None:
    (folder / "sets/sub").mkdir()
    shutil.copy(folder / "maps/c0.nii.gz", folder / "sets/sub")
    document = json.loads((folder / "sets/run.json").read_text())
    document["cases"][name.format(f=folder)] = document["cases"]["c0"]
    (folder / "sets" / log).write_text(json.dumps(document))
    refused(folder, "is no name of a file in its folder", "sets", *more)
    ran = run("evaluate", folder / "sets", "--labels", folder / "labels", "--calibration", folder / "c.json")
    assert ran.exit_code == (1 if log == "run.json" else 0), ran.output


def test_what_is_a_plain_name() -> None:
    assert all(is_plain_name(name) for name in ("anna", "a.b", "case 1", "Ünal", "-x", "run.json"))
    assert not any(is_plain_name(name) for name in ("", ".", "..", ".a", "a/b", "/a", "a\\b", "a\0", None, 3))


def test_a_log_that_was_copied_deletes_nothing(folder: Path) -> None:
    shutil.copy(folder / "sets/run.json", folder / "labels/run.json")
    refused(folder, "is not what predict wrote", "labels", "--overwrite")
    refused(folder, "is not what predict wrote", "labels")


def test_hidden_files_of_others_stay(folder: Path) -> None:
    for name in (".run-mine.json", ".run-1.json.bak", ".DS_Store"):
        (folder / "sets" / name).write_text("mine")
    for more in ((), ("--overwrite",)):
        assert predict(folder, "sets", *more).exit_code == 0
        for name in (".run-mine.json", ".run-1.json.bak", ".DS_Store"):
            assert (folder / "sets" / name).read_text() == "mine"


@pytest.mark.parametrize("more", [(), ("--overwrite",)], ids=["", "overwrite"])
def test_one_set_that_was_edited_and_one_that_the_log_does_not_know(more: tuple[str, ...], folder: Path) -> None:
    save(np.ones((4, 4, 4, 3), np.uint8), folder / "sets/mine.nii.gz")
    save(truth_and_map(30)[1], folder / "maps/mine.nii.gz")
    refused(folder, "predict did not make it, and does not replace it (1 such files)", "sets", *more)
    (folder / "sets/mine.nii.gz").unlink()
    assert predict(folder, "sets").exit_code == 0
    edited = folder / "sets/c3.nii.gz"
    edited.write_bytes((folder / "sets/c4.nii.gz").read_bytes())
    refused(folder, "c3.nii.gz' is not what predict wrote", "sets", *more)
    edited.unlink()
    ran = predict(folder, "sets", *more)
    assert ran.exit_code == 0, ran.output
    assert len(list((folder / "sets").glob("*.nii.gz"))) == N + 1


def test_a_run_that_is_killed_as_a_set_appears_goes_on(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real, moved = os.replace, []

    def killed(source: Path, target: Path) -> None:
        real(source, target)
        if str(target).endswith(".nii.gz"):
            moved.append(target)
            if len(moved) == 3:
                raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", killed)
    save(truth_and_map(30)[1], folder / "maps/c1.nii.gz")
    assert predict(folder, "sets2").exit_code == 1
    monkeypatch.undo()
    ran = predict(folder, "sets2")
    assert ran.exit_code == 0, ran.output
    assert len(list((folder / "sets2").glob("*.nii.gz"))) == N


@pytest.mark.parametrize("content", [b"my notes", b"[1, 2]", b'{"format": "monai_rwcp.loss_table"}', b"\xff\xfe"])
def test_only_a_calibration_is_replaced_by_a_calibration(content: bytes, folder: Path) -> None:
    files = ["--form", "channels-last", "--labels", folder / "labels", "--overwrite", "--out"]
    (folder / "mine").write_bytes(content)
    link(folder / "link.json", folder / "mine")
    kept = contents(folder)
    for out in ("mine", "link.json", "labels/c0.nii.gz"):
        ran = run("calibrate", folder / "maps", *files, folder / out)
        assert ran.exit_code == 1
        assert "is no calibration, and --overwrite replaces nothing else" in ran.output.replace("\n", " ")
        assert contents(folder) == kept
    ran = run("calibrate", folder / "maps", *files, folder / "c.json", "--alpha", 0.3)
    assert ran.exit_code == 0, ran.output
    assert (folder / "c.json").read_bytes() != kept[folder / "c.json"]


def test_a_picture_does_not_replace_its_image(folder: Path) -> None:
    image = folder / "labels/c0.nii.gz"
    kept = contents(folder)
    ran = run("features", image, "--extractor", "mind", "--out", image)
    assert ran.exit_code == 1
    assert "exists; nothing there is overwritten" in ran.output
    assert contents(folder) == kept


def test_no_command_writes_through_a_link_that_leads_nowhere(folder: Path) -> None:
    link(folder / "page.md", folder / "nowhere")
    for command in (["card", folder / "c.json"], ["merge", folder / "c.json"]):
        ran = run(*command, "--out", folder / "page.md")
        assert ran.exit_code == 1
        assert "exists; nothing there is overwritten" in ran.output
    assert (folder / "page.md").is_symlink()


@pytest.mark.parametrize("out", ["sets", "new"])
@pytest.mark.parametrize("there", [True, False])
def test_a_lock_that_leads_elsewhere_or_is_none(out: str, there: bool, folder: Path) -> None:
    """A copied folder may hold anything by that name."""
    (folder / out).mkdir(exist_ok=True)
    if there:
        (folder / "mine.txt").write_text("my notes")
    link(folder / out / ".run.lock", folder / "mine.txt")
    refused(folder, ".run.lock' is no file of a run", out, "--overwrite")
    assert (folder / "mine.txt").exists() == there
    (folder / out / ".run.lock").unlink()
    (folder / out / ".run.lock").write_text("my notes")
    refused(folder, ".run.lock' is no file of a run", out)
    (folder / out / ".run.lock").write_text("process 1 on 'a machine' that has ended")
    assert predict(folder, out).exit_code == 0
