"""The names that users import: which they are, that they are loaded when asked for, and at once where MONAI is."""

from __future__ import annotations

import ast
import importlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import monai_rwcp

ROOT = Path(monai_rwcp.__file__).parent
PUBLIC = [
    *("RandomWalkDiffusion", "RandomWalkDiffusiond", "ConformalThreshold", "ConformalThresholdd"),
    *("ConformalSandwich", "ConformalSandwichd", "DenseFeatures", "DenseFeaturesd", "TunedScore", "TunedScored"),
    *("NetworkProvenanced", "ShiftWeightd"),
    *("ConformalCalibrationHandler", "PredictionSetMetricsHandler", "ReportHandler", "ForwardFeaturesHandler"),
    *("ExchangeabilityMonitorHandler", "CaseSummaryHandler"),
    *("Calibration", "LossTable", "calibrate", "minimum_n", "false_negative_rate_table", "PredictionSetMetrics"),
    *("tune_settings", "TunedSettings", "WalkSettings", "recommended", "paper"),
    *("FeatureExtractor", "NetworkFeatures", "FoundationFeatures", "ExportedFeatures", "CachedFeatures"),
    *("MINDFeatures", "__version__"),
]
STUBS = sorted(ROOT.rglob("__init__.pyi"))


def package_of(stub: Path) -> str:
    return ".".join([ROOT.name, *stub.parent.relative_to(ROOT).parts])


def names_in(stub: Path) -> Iterator[tuple[str, str]]:
    """Each public name of a package with the full name of the module it is in."""
    for node in ast.parse(stub.read_text(encoding="utf-8")).body:
        assert isinstance(node, ast.ImportFrom)
        for alias in node.names:
            assert alias.asname == alias.name, "type checkers take a name as public only when it is named twice"
            yield alias.name, f"{package_of(stub)}.{node.module}"


def fresh(code: str) -> list[str]:
    """What a Python of its own prints as JSON."""
    path = os.pathsep.join([str(ROOT.parent), os.environ.get("PYTHONPATH", "")])
    environment = {name: value for name, value in os.environ.items() if name != "EAGER_IMPORT"}
    ran = subprocess.run(
        [sys.executable, "-c", f"import json, sys\n{code}"],
        env=environment | {"PYTHONPATH": path}, capture_output=True, text=True, timeout=240, check=True,
    )  # fmt: skip
    found: list[str] = json.loads(ran.stdout)
    return found


def test_the_names_at_the_top_are_these() -> None:
    assert sorted(monai_rwcp.__all__) == sorted(PUBLIC)


def test_promises_have_few_names() -> None:
    assert len(importlib.import_module("monai_rwcp.conformal").__all__) <= 30


@pytest.mark.parametrize("stub", STUBS, ids=package_of)
def test_every_public_name_is_there_and_seen(stub: Path) -> None:
    package = importlib.import_module(package_of(stub))
    found = dict(names_in(stub))
    assert sorted(dir(package)) == sorted(package.__all__) == sorted(found)
    for name, module in found.items():
        assert getattr(package, name) is vars(importlib.import_module(module))[name]


@pytest.mark.parametrize("stub", STUBS, ids=package_of)
def test_no_public_name_is_that_of_a_file_beside_it(stub: Path) -> None:
    # Importing the file would put the module in the place of the name.
    beside = {path.stem for path in stub.parent.iterdir() if path.is_dir() or path.suffix == ".py"}
    assert not beside & dict(names_in(stub)).keys()


def test_the_package_and_its_rooms_load_nothing_until_a_name_is_asked_for() -> None:
    rooms = "\n".join(f"import {package_of(stub)}" for stub in STUBS)
    modules = set(fresh(f"{rooms}\ndir(monai_rwcp)\nprint(json.dumps(list(sys.modules)))"))
    assert package_of(STUBS[-1]) in modules
    assert not modules & {"torch", "monai", "numpy"}
    modules = set(fresh("from monai_rwcp import minimum_n\nprint(json.dumps(list(sys.modules)))"))
    assert "monai_rwcp.conformal.promises.promise" in modules
    assert "monai" not in modules


def test_where_monai_is_loaded_bundles_find_every_short_name() -> None:
    modules = set(fresh("import monai, monai_rwcp\nprint(json.dumps(list(sys.modules)))"))
    for name, module in names_in(ROOT / "__init__.pyi"):
        assert module in modules, name


def in_a_new_process(code: str, cwd: Path) -> str:
    """What a fresh interpreter prints, in which nothing is loaded yet."""
    env = os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT.parent), os.environ.get("PYTHONPATH", "")])}
    ran = subprocess.run([sys.executable, "-c", code], env=env, cwd=cwd, capture_output=True, text=True, timeout=120)
    assert ran.returncode == 0, ran.stderr
    return ran.stdout.strip()


def test_threads_may_ask_for_names_at_the_same_time(tmp_path: Path) -> None:
    code = """
import threading
import monai_rwcp

names, failed, together = list(monai_rwcp.__all__), [], threading.Barrier(8)
def ask(start):
    together.wait()
    try:
        for name in names[start::8]:
            getattr(monai_rwcp, name)
    except BaseException as error:
        failed.append(repr(error))
threads = [threading.Thread(target=ask, args=(i,)) for i in range(8)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
print(failed)
"""
    assert in_a_new_process(code, tmp_path) == "[]"


def test_rooms_and_their_files_are_found_by_their_names(tmp_path: Path) -> None:
    code = """
import monai_rwcp
print(monai_rwcp.walk.recommended().k, monai_rwcp.conformal.calibrate.__name__)
try:
    monai_rwcp.absent
except AttributeError as error:
    print(error)
"""
    assert in_a_new_process(code, tmp_path) == "20 calibrate\nmodule 'monai_rwcp' has no attribute 'absent'"


def test_short_names_are_found_by_the_commands_that_read_configs(tmp_path: Path) -> None:
    """There the package is imported before MONAI, so that nothing has loaded its names."""
    (tmp_path / "net.json").write_text(
        '{"extractor": {"_target_": "NetworkFeatures", "network": "$torch.nn.Sequential(torch.nn.Conv2d(1, 2, 2, 2))", '
        '"layers": "0"}, "imports": ["$import torch"]}'
    )
    (tmp_path / "inference.json").write_text(
        '{"evaluator": {"_target_": "SupervisedEvaluator"}, "walk": {"_target_": "RandomWalkDiffusiond", "keys": "pred"}}'
    )
    code = """
from pathlib import Path
import monai_rwcp
from monai_rwcp.commands.extractor import chosen_extractor
print(chosen_extractor("net.json", None, trust=True).name.split("(")[0])
"""
    assert in_a_new_process(code, tmp_path) == "NetworkFeatures"
    code = """
from pathlib import Path
import monai_rwcp
from monai_rwcp.deployment.bundle import read_bundle
print(type(read_bundle([Path("inference.json")], {}, None).get_parsed_content("walk")).__name__)
"""
    assert in_a_new_process(code, tmp_path) == "RandomWalkDiffusiond"
