"""The bundle runs as its README says, end to end, and every figure and set it leaves is checked against its files."""

from __future__ import annotations

import csv
import json
import re
import tomllib
from pathlib import Path
from pydoc import locate
from typing import Any

import nibabel
import numpy as np
import pytest
import torch
from monai.bundle import ConfigParser, ConfigWorkflow
from monai.bundle.config_item import ConfigComponent
from monai.data import load_decathlon_datalist

import monai_rwcp
from monai_rwcp import Calibration
from tests.helpers.bundle_commands import BUNDLE, documented_commands, run_command
from tests.helpers.links import link

pytestmark = pytest.mark.usefixtures("bundle_runs")

CONFIGS = BUNDLE / "configs"
WORKFLOWS = {
    "train": ["train.json"],
    "inference": ["inference.json"],
    "calibrate": ["inference.json", "calibrate.json"],
    "evaluate": ["inference.json", "evaluate.json"],
}
SIZES = ("--n_train", "2", "--n_calibrate", "12", "--n_test", "3", "--epochs", "12")


def run_all(folder: Path, *of_training: str) -> Path:
    """Run the README's commands from top to bottom in an empty folder that holds only the bundle."""
    link(folder / "tutorials", BUNDLE.parent, to_folder=True)
    train, *others = documented_commands()[0]
    run_command(train, folder, *SIZES, *of_training)
    for command in others:
        run_command(command, folder)
    assert {path.name for path in folder.iterdir()} == {"tutorials", "out"}
    return folder / "out" / "bundle"


@pytest.fixture(scope="module")
def phantoms(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return run_all(tmp_path_factory.mktemp("phantoms"))


def cases_of(out: Path) -> dict[str, list[dict[str, str]]]:
    return {name: load_decathlon_datalist(out / "datalist.json", True, name) for name in ("train", "calibrate", "test")}


def check_run(out: Path, names: list[str]) -> None:
    cases = cases_of(out)
    patients = [case["patient"] for group in cases.values() for case in group]
    assert [len(group) for group in cases.values()] == [2, 12, 3]
    assert len(set(patients)) == 17
    calibration = Calibration.load(out / "calibration.json")
    classes = range(1, len(names) + 1)
    assert calibration.n == dict.fromkeys(classes, 12)
    assert all(name in calibration.promise for name in names)
    assert calibration.provenance.side == "original"
    assert calibration.provenance.steps[-1].side == "processed"
    weights = torch.load(out / "models" / "model.pt", weights_only=True)
    network = ConfigParser(
        json.loads((CONFIGS / "inference.json").read_text()) | {"properties": {"labels": [0, *classes]}}
    )
    built = network.get_parsed_content("network_def")
    built.load_state_dict(weights)
    assert calibration.provenance.network == monai_rwcp.provenance.weights_hash(built)
    assert len(list((out / "sets").iterdir())) == 3
    missed: list[list[float]] = []
    for case in cases["test"]:
        label, image = nibabel.load(case["label"]), nibabel.load(case["image"])
        found = nibabel.load(out / "sets" / Path(case["image"]).name.replace(".nii.gz", "_set.nii.gz"))
        np.testing.assert_allclose(found.affine, image.affine, atol=1e-4)
        sets, truth = np.asarray(found.dataobj), np.asarray(label.dataobj)
        assert sets.shape == (*truth.shape, len(names) + 1)
        assert set(np.unique(sets)) <= {0, 1}
        missed.append([float((sets[..., c][truth == c] == 0).mean()) for c in classes])
    with (out / "evaluation" / "metrics.csv").open() as file:
        metrics = {name: float(value) for name, value in csv.reader(file)}
    assert metrics["pred_set_n_units_1"] == 3
    for c in classes:
        assert metrics[f"pred_set_fnr_{c}"] == pytest.approx(np.mean(missed, axis=0)[c - 1], abs=1e-6)
    with (out / "evaluation" / "pred_set_fnr_raw.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [Path(row["filename"]).name for row in rows] == [Path(case["image"]).name for case in cases["test"]]
    assert [float(row["class1"]) for row in rows] == pytest.approx([m[1] for m in missed], abs=1e-4)


def test_commands_on_phantoms(phantoms: Path) -> None:
    check_run(phantoms, ["organ", "wall", "nodule"])
    assert Path(cases_of(phantoms)["test"][0]["image"]).parent == phantoms / "phantoms"


@pytest.mark.slow
def test_commands_on_hippocampus(shared_dir: Path, tmp_path: Path) -> None:
    out = run_all(tmp_path, "--dataset_dir", str(shared_dir / "data/hippocampus"))
    check_run(out, ["anterior", "posterior"])
    assert "hippocampus_" in cases_of(out)["train"][0]["patient"]


def test_training_again_gives_the_same_weights_and_keeps_the_list(phantoms: Path) -> None:
    before = torch.load(phantoms / "models" / "model.pt", weights_only=True)
    listed = (phantoms / "datalist.json").read_bytes()
    train = documented_commands()[0][0]
    folder = phantoms.parents[1]
    run_command(train, folder, *SIZES)
    after = torch.load(phantoms / "models" / "model.pt", weights_only=True)
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert (phantoms / "datalist.json").read_bytes() == listed
    with pytest.raises(RuntimeError) as caught:
        run_command(train, folder, *SIZES, "--seed", "1")
    cause: BaseException | None = caught.value
    while cause is not None and "patients do not change sides" not in str(cause):
        cause = cause.__cause__
    assert cause is not None, caught.value


@pytest.mark.parametrize("name", WORKFLOWS)
def test_every_target_is_found_and_monai_finds_its_properties(name: str, phantoms: Path) -> None:
    files = [str(CONFIGS / file) for file in WORKFLOWS[name]]
    kind, changed = "inference", {"output_dir": str(phantoms)}
    if name == "train":
        sizes = dict(zip((name.removeprefix("--") for name in SIZES[::2]), map(int, SIZES[1::2]), strict=True))
        kind, changed = "train", changed | {"dataset_dir": str(phantoms / "none")} | sizes
    workflow = ConfigWorkflow(files, workflow_type=kind, **changed)
    workflow.initialize()
    assert workflow.check_properties() == []
    parser = workflow.parser
    components = [item for item in parser.ref_resolver.items.values() if isinstance(item, ConfigComponent)]
    components = [item for item in components if "_target_" in item.get_config()]
    assert len(components) > 15
    for component in components:
        assert callable(locate(component.resolve_module_name())), component
    if name != "train":
        assert len(parser.get_parsed_content("dataset")) == (12 if name == "calibrate" else 3)
        assert parser.get_parsed_content("evaluator").network is not None


def test_metadata_names_the_packages_of_pyproject() -> None:
    project = tomllib.loads((BUNDLE.parents[1] / "pyproject.toml").read_text())["project"]
    metadata = json.loads((CONFIGS / "metadata.json").read_text())
    named: dict[str, str] = metadata["required_packages_version"] | {
        "monai": metadata["monai_version"],
        "torch": metadata["pytorch_version"],
        "numpy": metadata["numpy_version"],
    }
    extras = [line for lines in project["optional-dependencies"].values() for line in lines]
    bounds = dict(
        re.fullmatch(r"([\w-]+)>=([\d.]+)", line).groups()  # type: ignore[union-attr]
        for line in [*project["dependencies"], *extras]
        if ">=" in line
    )

    def numbers(version: str) -> tuple[int, ...]:
        return tuple(int(part) for part in version.split("."))

    needed = {re.split(">=", line)[0] for line in project["dependencies"]}
    assert needed <= set(named)
    assert named.pop("monai-rwcp") == monai_rwcp.__version__
    for package, version in named.items():
        assert numbers(version) >= numbers(bounds[package]), package


def bad(**changes: Any) -> dict[str, Any]:
    return {"n_train": 1, "n_calibrate": 2, "n_test": 1, **changes}


def test_bad_data_is_refused(tmp_path: Path) -> None:
    write = monai_rwcp.demo.write_datalist
    with pytest.raises(ValueError, match="at least one patient"):
        write(tmp_path / "a.json", "none", **bad(n_test=0))
    with pytest.raises(ValueError, match=r"Expected 4 files images/hippocampus_\*.nii.gz in .* but found 0"):
        write(tmp_path / "a.json", tmp_path, **bad())
    (tmp_path / "images").mkdir()
    for i in range(4):
        (tmp_path / "images" / f"hippocampus_{i}.nii.gz").touch()
    with pytest.raises(ValueError, match="Expected a label"):
        write(tmp_path / "a.json", tmp_path, **bad())
    assert not (tmp_path / "a.json").exists()
