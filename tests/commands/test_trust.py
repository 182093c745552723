"""Files of others that run code: refused by every command that reads them, unless --trust is given."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from monai_rwcp.commands.extractor import chosen_extractor
from monai_rwcp.features import CachedFeatures, MINDFeatures
from tests.helpers.map_folders import run, write_cohort

MIND: dict[str, Any] = {"_target_": "MINDFeatures"}


def config(folder: Path, **entries: Any) -> Path:
    path = folder / "source.json"
    path.write_text(json.dumps(entries).replace("WITNESS", str(folder / "witness")))
    return path


CODE: list[tuple[dict[str, Any], str]] = [
    ({"extractor": "$open('WITNESS', 'w')"}, "'extractor' is \"$open("),
    ({"extractor": {**MIND, "radius": "$open('WITNESS', 'w')"}}, "'extractor::radius' is \"$open("),
    ({"extractor": MIND, "imports": ["$import antigravity"]}, "'imports::0' is '$import antigravity', an expression"),
    ({"extractor": {**MIND, "_requires_": ["$open('WITNESS', 'w')"]}}, "'extractor::_requires_::0' is"),
    ({"extractor": {**MIND, "_desc_": "$open('WITNESS', 'w')"}}, "'extractor::_desc_' is"),
    ({"extractor": {**MIND, "_disabled_": "$open('WITNESS', 'w')"}}, "'extractor::_disabled_' is"),
    ({"extractor": {"_target_": "builtins.open", "file": "WITNESS", "mode": "w"}}, "calls 'builtins.open'"),
    ({"extractor": {"_target_": "os.system", "command": "touch WITNESS"}}, "'extractor' calls 'os.system'"),
    ({"extractor": {"_target_": "subprocess.run", "args": ["touch", "WITNESS"]}}, "calls 'subprocess.run'"),
    ({"extractor": {**MIND, "radius": {"_target_": "open", "file": "WITNESS", "mode": "w"}}}, "'extractor::radius'"),
    ({"extractor": "@other", "other": {"_target_": "os.system", "command": "touch WITNESS"}}, "'other' calls"),
    ({"extractor": {"_target_": "$open"}}, "calls '$open'"),
    ({"extractor": {"_target_": "@other"}, "other": MIND}, "calls '@other'"),
    ({"extractor": {"_target_": {"_target_": "os.abort"}}}, "calls {'_target_'"),
    ({"extractor": "%/tmp/other.json::extractor"}, "another file's entry"),
    ({"extractor": {**MIND, "_mode_": "debug"}}, "the mode 'debug'"),
    ({"extractor": {"_target_": "ExportedFeatures", "path": "a.pt2", "trust": True}}, "asks to be trusted"),
    ({"extractor": {"_target_": "NetworkFeatures", "network": {"_target_": "UNet"}}}, "calls 'NetworkFeatures'"),
    ({"extractor": {"_target_": "monai_rwcp.utils.files.written_whole", "path": "WITNESS"}}, "written_whole"),
]


@pytest.mark.parametrize(("entries", "message"), CODE, ids=[message for _, message in CODE])
def test_a_configuration_that_could_run_code_is_refused(entries: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="could run code of whoever wrote it") as caught:
        chosen_extractor(str(config(tmp_path, **entries)), None)
    assert message in str(caught.value)
    assert not (tmp_path / "witness").exists()


def test_sources_of_this_package_need_no_trust(tmp_path: Path) -> None:
    cached = {"_target_": "monai_rwcp.CachedFeatures", "extractor": "@mind", "directory": str(tmp_path / "cache")}
    path = config(tmp_path, extractor=cached, mind={**MIND, "radius": 1, "_desc_": "50 % of $"})
    found = chosen_extractor(str(path), None)
    assert isinstance(found, CachedFeatures)
    assert found.name == MINDFeatures(radius=1).name


def test_trusted_code_runs(tmp_path: Path) -> None:
    path = config(tmp_path, extractor=MIND, made="$open('WITNESS', 'w')")
    document = json.loads(path.read_text())
    document["extractor"]["_requires_"] = ["@made"]
    path.write_text(json.dumps(document))
    assert chosen_extractor(str(path), None, trust=True).name == MINDFeatures().name
    assert (tmp_path / "witness").exists()


def test_what_is_no_source_of_features_is_refused_when_trusted(tmp_path: Path) -> None:
    path = config(tmp_path, extractor={"_target_": "builtins.dict", "a": 1})
    with pytest.raises(ValueError, match=r"source\.json' cannot be made: extractor must be callable"):
        chosen_extractor(str(path), None, trust=True)


def test_every_command_refuses_and_names_its_option(tmp_path: Path) -> None:
    write_cohort(tmp_path, "channels-last")
    path = config(tmp_path, extractor={**MIND, "radius": "$open('WITNESS', 'w')"})
    maps = [tmp_path / "calibrate/maps", "--form", "channels-last", "--score", "recommended"]
    source = ["--images", tmp_path / "calibrate/images", "--extractor", path]
    labels = ["--labels", tmp_path / "calibrate/labels"]
    calibration = tmp_path / "calibration.json"
    ran = run("calibrate", *maps[:3], *labels, "--alpha", 0.2, "--out", calibration)
    assert ran.exit_code == 0, ran.output
    cohort = tmp_path / "calibrate"
    item = {name: str(next((cohort / f"{name}s").iterdir())) for name in ("image", "label")}
    item |= {"pred": str(next((cohort / "maps").iterdir())), "patient": "1"}
    datalist = tmp_path / "datalist.json"
    datalist.write_text(json.dumps({"tuning": [item]}))
    commands: list[list[Any]] = [
        ["calibrate", *maps, *source, *labels, "--out", tmp_path / "other.json"],
        ["predict", *maps, *source, "--calibration", calibration, "--out", tmp_path / "sets"],
        ["features", item["image"], "--extractor", path, "--out", tmp_path / "look.png"],
        ["tune", datalist, "--extractor", path, "--out", tmp_path / "tuned"],
    ]
    for command in commands:
        ran = run(*command)
        assert ran.exit_code == 1
        assert "could run code of whoever wrote it: 'extractor::radius'" in " ".join(ran.output.split())
        assert ran.output.rstrip().endswith("Give --trust if you trust its author.")
        assert not (tmp_path / "witness").exists()
    ran = run("calibrate", *maps[:3], *labels, "--trust", "--out", tmp_path / "other.json")
    assert "--trust belongs to an --extractor" in ran.output
