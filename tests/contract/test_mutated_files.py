"""Files that are almost right give a result or a one-line error: no traceback, and nothing outside --out is touched."""

from __future__ import annotations

import gzip
import json
import shutil
import warnings
from collections.abc import Callable
from pathlib import Path
from random import Random

import nibabel
import numpy as np
import pytest
import torch
from click.testing import CliRunner

from monai_rwcp.cli import main
from monai_rwcp.conformal import case_loss_table
from tests.helpers.mutations import mutated_bytes, mutated_json, mutated_nifti, mutated_npz

N, SHAPE, AFFINE = 4, (6, 5, 4), np.diag([1.0, 1.0, 2.0, 1.0])

# What begins with @ lies in the folder of the files.
CALIBRATE = "calibrate @maps --form channels-last --labels @labels --alpha 0.3 --out @new.json"
NNUNET = "calibrate @npz --form nnunet --labels @labels --alpha 0.3 --out @new.json"
PREDICT = "predict @maps --form channels-last --calibration @calibration.json --out"
EVALUATE = "evaluate @sets --labels @labels --calibration @calibration.json"
REPORT = "report @sets --labels @labels --calibration @calibration.json --out @new.html"
TUNE = "tune @datalist.json --form channels-last --alpha 0.4 --out @new"
MERGE = "merge @one.json @two.json --out @new.json"

NIFTI = [
    ("maps/case1.nii", CALIBRATE),
    ("labels/case1.nii", CALIBRATE),
    ("maps/case1.nii", f"{PREDICT} @new"),
    ("labels/case1.nii", EVALUATE),
    ("images/case1.nii", f"{REPORT} --images @images"),
    ("images/case1.nii", "features @images/case1.nii --extractor mind --out @new.png"),
    ("npz/case1.nii", NNUNET),
    ("labels/case1.nii", TUNE),
]
JSON = [
    ("calibration.json", f"{PREDICT} @new"),
    ("calibration.json", "card @calibration.json --out @new.md"),
    ("calibration.json", REPORT),
    ("figures.json", "card @calibration.json --figures @figures.json --out @new.md"),
    ("sets/run.json", f"{PREDICT} @sets"),
    ("sets/run.json", f"{PREDICT} @sets --overwrite"),
    ("sets/run.json", EVALUATE),
    ("sets/run.json", REPORT),
    ("tuned/settings.json", f"{CALIBRATE} --units @units.csv --score @tuned/settings.json"),
    ("datalist.json", TUNE),
    ("npz/plans.json", NNUNET),
    ("npz/dataset.json", NNUNET),
    ("one.json", MERGE),
]


def started(command: str, folder: Path) -> tuple[int, str, BaseException | None]:
    words = [str(folder / word[1:]) if word.startswith("@") else word for word in command.split()]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        ran = CliRunner().invoke(main, words)
    return ran.exit_code, ran.output, ran.exception


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Every kind of file that the commands read, as it should be."""
    folder = tmp_path_factory.mktemp("good")
    for name in ("maps", "labels", "images", "npz"):
        (folder / name).mkdir()
    tables = []
    for i in range(N):
        label = np.zeros(SHAPE, np.uint8)
        label[1:4, 1:4, 1:3] = 1
        share = (0.7 * label + np.random.default_rng(i).uniform(0.1, 0.2, SHAPE)).astype(np.float32)
        shares = np.stack([1 - share, share])
        segmentation = shares.argmax(0).astype(np.uint8)
        tables.append(
            case_loss_table(torch.tensor(shares), torch.tensor(label)[None], loss="fnr", unit=f"p{i}", image=f"i{i}")
        )
        for kind, values in (
            ("maps", np.moveaxis(shares, 0, -1)),
            ("labels", label),
            ("images", share + label),
            ("npz", segmentation),
        ):
            nibabel.save(nibabel.Nifti1Image(values, AFFINE), folder / kind / f"case{i}.nii")
        np.savez(folder / "npz" / f"case{i}.npz", probabilities=shares.transpose(0, 3, 2, 1))
    for name, part in (("one", tables[:2]), ("two", tables[2:])):
        type(tables[0]).join(part).save(folder / f"{name}.json")
    plans = {"dataset_name": "Dataset001", "plans_name": "nnUNetPlans", "image_reader_writer": "SimpleITKIO"}
    dataset = {"labels": {"background": 0, "organ": 1}, "file_ending": ".nii", "numTraining": 4}
    items = [{kind: f"{of}/case{i}.nii" for kind, of in (("pred", "maps"), ("label", "labels"))} for i in range(N)]
    sections = {"tuning": [item | {"patient": f"p{i}"} for i, item in enumerate(items)], "test": [{"patient": "x"}]}
    for name, document in (("npz/plans", plans), ("npz/dataset", dataset), ("datalist", sections)):
        (folder / f"{name}.json").write_text(json.dumps(document))
    (folder / "units.csv").write_text("case,unit\n" + "".join(f"case{i},q{i}\n" for i in range(N)))
    for command in (
        CALIBRATE.replace("@new.json", "@calibration.json"),
        f"{PREDICT} @sets",
        f"{EVALUATE} --out @figures.json",
        TUNE.replace("@new", "@tuned"),
        *(command for _, command in (*NIFTI, *JSON)),
    ):
        code, output, error = started(command, folder)
        assert code == 0, (command, output, error)
        for path in folder.glob("new*"):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    return folder


def state(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def fault(command: str, folder: Path) -> str | None:
    """What is wrong with what a command does in a folder, if anything."""
    before, out = state(folder), command.partition("--out @")[2].split(" ")[0]
    code, output, error = started(command, folder)
    if error is not None and not isinstance(error, SystemExit):
        return f"{type(error).__name__}: {error}"
    after = state(folder)
    touched = {name for name in before.keys() | after.keys() if before.get(name) != after.get(name)}
    if elsewhere := sorted(name for name in touched if not out or name.partition("/")[0] != out):
        return f"touched {elsewhere}"
    if code != 0 and "Error: " not in output and "made of" not in output:
        return f"exit code {code} without a word"
    return None


def check(
    good: Path, tmp_path: Path, name: str, command: str, n: int, change: Callable[[bytes, Random], bytes]
) -> None:
    found = {}
    content = (good / name).read_bytes()
    for seed in range(n):
        folder = tmp_path / "around" / str(seed)
        shutil.copytree(good, folder)
        changed = change(content, Random(f"{name} {command} {seed}"))
        (folder / name).write_bytes(changed)
        wrong = fault(command, folder)
        if [path.name for path in folder.parent.iterdir()] != [folder.name]:
            wrong = "left something beside the folder"
        if wrong is not None:
            found[seed] = wrong
        shutil.rmtree(folder.parent)
    assert not found, f"{len(found)} of {n}:\n" + "\n".join(f"{seed}: {wrong:.300}" for seed, wrong in found.items())


def is_slow(command: str) -> bool:
    """Whether a command draws pictures."""
    return command.startswith(("report", "tune", "features"))


@pytest.mark.parametrize(("name", "command"), NIFTI)
def test_nifti(good: Path, tmp_path: Path, name: str, command: str) -> None:
    check(good, tmp_path, name, command, 8 if is_slow(command) else 25, mutated_nifti)


@pytest.mark.parametrize(("name", "command"), JSON)
def test_json(good: Path, tmp_path: Path, name: str, command: str) -> None:
    def change(content: bytes, random: Random) -> bytes:
        return mutated_json(json.loads(content), random).encode()

    check(good, tmp_path, name, command, 12 if is_slow(command) else 40, change)


def test_npz(good: Path, tmp_path: Path) -> None:
    check(good, tmp_path, "npz/case1.npz", NNUNET, 60, mutated_npz)


@pytest.mark.parametrize(
    ("name", "command"),
    [
        ("calibration.json", "card @calibration.json --out @new.md"),
        ("units.csv", f"{CALIBRATE} --units @units.csv"),
        ("sets/case1.nii.gz", EVALUATE),
        ("sets/run.json", f"{PREDICT} @sets"),
    ],
)
def test_bytes(good: Path, tmp_path: Path, name: str, command: str) -> None:
    def change(content: bytes, random: Random) -> bytes:
        return mutated_bytes(content, random, cut=random.random() < 0.5)

    check(good, tmp_path, name, command, 25, change)


def test_compressed_bytes(good: Path, tmp_path: Path) -> None:
    """A map that is compressed: whatever is wrong with it, its check sum tells."""

    def change(content: bytes, random: Random) -> bytes:
        return mutated_bytes(gzip.compress(content), random, cut=random.random() < 0.5)

    check(good, tmp_path, "maps/case1.nii", CALIBRATE, 25, change)
