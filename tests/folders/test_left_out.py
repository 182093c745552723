"""Files are used whatever their names look like, and what is not used is named."""

from __future__ import annotations

import json
import unicodedata
from pathlib import Path

import numpy as np
import pytest

from monai_rwcp.folders import match_folders
from monai_rwcp.folders.tuning import read_section
from tests.helpers.links import link
from tests.helpers.map_folders import run, run_apart, save, truth_and_map

N = 10
UMLAUT = [f"c{i} é.v1" for i in range(N)]


def touch(folder: Path, *names: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        (folder / name).touch()
    return folder


def cohort(folder: Path, maps: list[str], labels: list[str]) -> tuple[Path, Path]:
    """Whatever a file is called, it is what nibabel writes."""
    for i, (of, name) in enumerate([("maps", n) for n in maps] + [("labels", n) for n in labels]):
        label, shares = truth_and_map(i % len(maps))
        save(shares if of == "maps" else label, folder / "t.nii.gz")
        (folder / of).mkdir(exist_ok=True)
        (folder / "t.nii.gz").rename(folder / of / name)
    return folder / "maps", folder / "labels"


def test_endings_in_capitals_and_letters_of_every_form(tmp_path: Path) -> None:
    for i, (maps, labels) in enumerate([(".nii.gz", ".NII.GZ"), (".Nii", ".nii.gz"), (".MHA", ".NRRD")]):
        one, other = tmp_path / f"{i}maps", tmp_path / f"{i}labels"
        touch(one, *(unicodedata.normalize("NFD", name) + maps for name in UMLAUT))
        touch(other, *(unicodedata.normalize("NFC", name) + labels for name in UMLAUT))
        (tmp_path / "units.csv").write_text("case,unit\n" + "".join(f"{name},a\n" for name in UMLAUT))
        found = match_folders(one, labels=other, units=tmp_path / "units.csv")
        assert [case.name for case in found] == UMLAUT
        assert all(case.label is not None and case.label.exists() for case in found)


def test_two_forms_of_one_name_are_two_files(tmp_path: Path) -> None:
    for names in (["é.nii.gz", unicodedata.normalize("NFD", "é.nii.gz")], ["a.nii.gz", "a.NII"], ["a.nrrd", "a.nii"]):
        folder = touch(tmp_path / names[0], *names)
        with pytest.raises(ValueError, match="are both called"):
            match_folders(folder)


def test_all_that_is_used_is_not_named(tmp_path: Path, recwarn: pytest.WarningsRecorder) -> None:
    maps = touch(tmp_path / "maps", "a.nii.gz", "b.NRRD")
    images = touch(tmp_path / "images", "a_0000.nii.gz", "b.mha")
    assert len(match_folders(maps, labels=touch(tmp_path / "labels", "a.nii", "b.nii.gz"), images=images)) == 2
    # What nnU-Net and predict write beside.
    nnunet = touch(tmp_path / "nnunet", "a.npz", "a.pkl", "a.nii.gz", "dataset.json", "plans.json")
    assert len(match_folders(nnunet, endings=(".npz",))) == 1
    sets = touch(tmp_path / "sets", "a.nii.gz", "run.json", ".run.lock", ".run-0.json")
    assert len(match_folders(sets)) == 1
    # One folder may hold both.
    both = touch(tmp_path / "both", "a.npz", "a.nii.gz")
    assert match_folders(both, endings=(".npz",), labels=both)[0].label == both / "a.nii.gz"
    assert not [str(w.message) for w in recwarn if "Not used" in str(w.message)]


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("z.nii.gz", "no map of this name"),
        (".a.nii.gz", "hidden by the dot before its name"),
        ("._a.NII.GZ", "hidden by the dot before its name"),
        (".DS_Store", "hidden by the dot before its name"),
        ("a.img", "does not end in .nii.gz or .nii or .nrrd or .mha"),
        ("a.nii.gz.part", "does not end in"),
        ("notes.txt", "does not end in"),
    ],
)
@pytest.mark.parametrize("kind", ["labels", "images", "inner"])
def test_one_file_that_is_not_used_is_named(kind: str, name: str, reason: str, tmp_path: Path) -> None:
    maps, others = touch(tmp_path / "maps", "a.nii.gz"), touch(tmp_path / "others", "a.nii.gz", name)
    with pytest.warns(UserWarning, match=rf"Not used in '.*others': {name} \({reason}[^,]*\)\.$"):
        assert len(match_folders(maps, **{kind: others})) == 1


def test_in_the_folder_of_maps_too(tmp_path: Path) -> None:
    maps = touch(tmp_path / "maps", "a.nii.gz", ".b.nii.gz", "c.npz")
    touch(maps / "more", "d.nii.gz")
    with pytest.warns(UserWarning, match=r"\.b\.nii\.gz \(hidden.*c\.npz \(does not end.*more \(a folder\)\.$"):
        assert len(match_folders(maps)) == 1
    # Segmentations that no map belongs to, and the other channels of images.
    nnunet = touch(tmp_path / "nnunet", "a.npz", "a.nii.gz", "b.nii.gz")
    images = touch(tmp_path / "images", "a_0000.nii.gz", "a_0001.nii.gz")
    with pytest.warns(UserWarning, match="Not used") as told:
        assert len(match_folders(nnunet, endings=(".npz",), images=images)) == 1
    assert ["b.nii.gz" in str(told[0].message), "a_0001.nii.gz" in str(told[1].message)] == [True, True]


def test_a_link_that_leads_nowhere_is_called_one(tmp_path: Path) -> None:
    maps = touch(tmp_path / "maps", "a.nii.gz")
    link(maps / "b.nii.gz", tmp_path / "moved" / "b.nii.gz")
    with pytest.warns(UserWarning, match=r"b\.nii\.gz \(a link that leads nowhere\)\."):
        assert len(match_folders(maps)) == 1


def test_the_first_few_are_named_and_how_many(tmp_path: Path) -> None:
    maps = touch(tmp_path / "maps", "a.nii.gz")
    labels = touch(tmp_path / "labels", "a.nii.gz", *(f"n{i:02d}.nii.gz" for i in range(30)), "a.txt")
    with pytest.warns(UserWarning, match=r"n00\.nii\.gz, .*n04\.nii\.gz \([^)]*\) and 26 more\.$"):
        match_folders(maps, labels=labels)


def test_what_is_missing_is_told_with_what_is_there(tmp_path: Path) -> None:
    maps = touch(tmp_path / "maps", "a.nii.gz", "b.nii.gz")
    labels = touch(tmp_path / "labels", "a.nii.gz", "b_label.nii.gz")
    with pytest.raises(
        FileNotFoundError, match=r"but no label of b\. A label is called as its map\. Not used in .*: b_label.nii.gz"
    ) as told:
        match_folders(maps, labels=labels)
    assert "image" not in str(told.value)
    assert "a.nii.gz" not in str(told.value)
    # What lacks a unit alone is told once.
    (tmp_path / "units.csv").write_text("case,unit\na,1\n")
    with pytest.raises(FileNotFoundError, match=r"There are 2 sets in .*but no unit of b\. [^.]* for each set\.$"):
        match_folders(maps, units=tmp_path / "units.csv", what="set")


def test_folders_as_save_image_makes_them(tmp_path: Path) -> None:
    touch(tmp_path / "maps" / "a", "a_trans.nii.gz")
    touch(tmp_path / "maps" / "b", "b_trans.nii.gz")
    flat = touch(tmp_path / "flat", "a.nii.gz", "b.nii.gz")
    for folders in ({"maps": tmp_path / "maps"}, {"maps": flat, "labels": tmp_path / "maps"}):
        with pytest.raises(
            FileNotFoundError, match=r"'a/a_trans.nii.gz'.*separate_folder=False and output_postfix=\"\""
        ):
            match_folders(**folders)
    with pytest.raises(FileNotFoundError, match="No map in"):
        match_folders(tmp_path, labels=flat)


def test_every_command_names_them_and_goes_on(tmp_path: Path) -> None:
    names = [f"n{i}" for i in range(N)]
    maps, labels = cohort(tmp_path, [f"{n}.nii.gz" for n in names], [f"{n}.NII.GZ" for n in names])
    touch(labels, "left.nii.gz")
    touch(maps, ".hidden.nii.gz")
    file, sets = tmp_path / "c.json", tmp_path / "sets"
    form, made = ["--form", "channels-last"], ["--labels", labels, "--calibration", file]
    images = ["--images", touch(tmp_path / "images", *(f"{n}.nii.gz" for n in (*names, "left")))]
    commands = [
        ["calibrate", maps, *form, "--labels", labels, "--out", file],
        ["predict", maps, *form, "--calibration", file, "--out", sets],
        ["evaluate", sets, *made],
        ["report", sets, *made, "--out", tmp_path / "page.html"],
        ["predict", maps, *form, *images, "--calibration", file, "--out", tmp_path / "new", "--dry-run"],
    ]
    due = [[".hidden.nii.gz", "left.nii.gz"], [".hidden.nii.gz"], ["left.nii.gz"], ["left.nii.gz"]]
    due.append([".hidden.nii.gz", "left.nii.gz"])
    for command, expected in zip(commands, due, strict=True):
        ran = run_apart(*command)
        assert ran.exit_code == 0, ran.stderr
        assert ran.stderr.count("Not used in '") == len(expected), ran.stderr
        assert all(f": {name} (" in ran.stderr for name in expected)
        assert "Not used" not in ran.stdout
        assert "UserWarning" not in ran.stdout + ran.stderr
    # A set that has no label is never passed over.
    (labels / "n3.NII.GZ").unlink()
    ran = run("evaluate", sets, *made)
    assert ran.exit_code == 1
    assert f"There are {N} sets in '{sets}', but no label of n3. " in ran.output


def test_a_data_list_names_files_in_either_form(tmp_path: Path) -> None:
    for name in ("é.nii.gz", "é_label.nii.gz"):
        save(np.zeros((2, 2, 2), np.uint8), tmp_path / "ö" / unicodedata.normalize("NFD", name))
    item = {"pred": "ö/é.nii.gz", "label": "ö/é_label.nii.gz", "patient": "a"}
    (tmp_path / "list.json").write_text(json.dumps({"tuning": [item]}))
    found, _ = read_section(tmp_path / "list.json", "tuning", "patient", with_image=False)
    assert all(Path(found[0][key]).is_file() for key in ("pred", "label"))
    # One file by two names counts twice.
    twice = {key: unicodedata.normalize("NFD", value) for key, value in item.items()}
    (tmp_path / "list.json").write_text(json.dumps({"tuning": [item, twice]}))
    with pytest.raises(ValueError, match="name every file once"):
        read_section(tmp_path / "list.json", "tuning", "patient", with_image=False)
    (tmp_path / "list.json").write_text(json.dumps({"tuning": [item | {"pred": "ö/e.nii.gz"}]}))
    with pytest.raises(FileNotFoundError, match=r"ö/e.nii.gz"):
        read_section(tmp_path / "list.json", "tuning", "patient", with_image=False)
