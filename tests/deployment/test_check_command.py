"""monai-rwcp check: an equal deployment agrees, and each difference is named."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from monai.bundle import ConfigParser

from monai_rwcp import Calibration
from monai_rwcp.cli import main
from monai_rwcp.deployment import check_bundle

Change = Callable[[dict[str, Any]], Any]


def check(bundle: Path, calibration: Path, *more: str | Path) -> Result:
    given = ["--calibration", calibration, "--bundle", bundle, "--trust", *more]
    return CliRunner().invoke(main, ["check", *(str(part) for part in given)])


def lines(result: Result) -> dict[str, str]:
    """The result of each field in the table."""
    table = result.output.split("\n\n")[1].splitlines()[1:]
    return {field: state for state, field in (re.split(r"\s{2,}", line)[:2] for line in table)}


def chain_of(config: dict[str, Any]) -> list[dict[str, Any]]:
    transforms: list[dict[str, Any]] = config["postprocessing"]["transforms"]
    return transforms


def at(config: dict[str, Any], name: str) -> dict[str, Any]:
    return next(transform for transform in chain_of(config) if transform["_target_"].endswith(name))


def without(config: dict[str, Any], *names: str) -> None:
    for name in names:
        chain_of(config).remove(at(config, name))


def before_threshold(config: dict[str, Any], **transform: Any) -> None:
    chain_of(config).insert(chain_of(config).index(at(config, "ConformalThresholdd")), transform)


def calibration_of(bundle: Path) -> Path:
    return bundle / "models" / "calibration.json"


@pytest.mark.parametrize("how", ["first image", "image given", "config file"])
def test_the_calibrated_deployment_agrees_and_nothing_is_written(
    bundle: Path, changed: Callable[..., Path], how: str
) -> None:
    image = bundle / "images" / "p0_image.nii.gz"
    before = sorted(bundle.rglob("*"))
    if how == "first image":
        result = check(bundle, calibration_of(bundle))
        assert "Looked at: a run on the first image of its data." in result.output
    elif how == "image given":
        result = check(changed(images=False), calibration_of(bundle), "--image", image)
        assert f"Looked at: a run on {image}." in result.output
    else:
        config = bundle / "configs" / "inference.json"
        result = check(config, calibration_of(bundle), "--set", f"bundle_root={bundle}")
    assert result.exit_code == 0, result.output
    assert "Everything that was recorded agrees" in result.output
    found = lines(result)
    assert set(found.values()) == {"OK"}
    expected = {"network", "spacing", "inferer.roi_size", "inferer.overlap", "flips", "dtype", "walk.features.extractor", "walk.k", "walk.beta", "walk.side", "side", "threshold", "Invertd.nearest_interp"}  # fmt: skip
    assert expected <= set(found)
    assert sorted(bundle.rglob("*")) == before


def test_the_check_agrees_with_what_the_deployment_does(bundle: Path, changed: Callable[..., Path]) -> None:
    def run(root: Path) -> None:
        parser = ConfigParser()
        parser.read_config(str(root / "configs" / "inference.json"))
        parser["bundle_root"] = str(root)
        parser.get_parsed_content("run::0")

    root = changed()
    run(root)
    assert len(list((root / "sets").rglob("*.nii.gz"))) == 6
    config = json.loads((root / "configs" / "inference.json").read_text())
    config["inferer"]["overlap"] = 0.5
    (root / "configs" / "inference.json").write_text(json.dumps(config))
    with pytest.raises(RuntimeError) as caught:
        run(root)
    messages, cause = [], caught.value.__cause__
    while cause is not None:
        messages.append(str(cause))
        cause = cause.__cause__
    assert any("inferer.overlap is 0.5, but the calibration has 0.25" in message for message in messages)


def _spacing(config: dict[str, Any]) -> None:
    config["preprocessing"]["transforms"][2]["pixdim"] = [1.2, 1.5, 2.0]


def _declared(config: dict[str, Any]) -> None:
    at(config, "NetworkProvenanced")["inferer"] = "$monai.inferers.SlidingWindowInferer([12, 12, 8], overlap=0.25)"
    config["inferer"]["overlap"] = 0.5


def _other_network(config: dict[str, Any]) -> None:
    config["other"] = config["network"]
    config["loaded"] = "$@other.load_state_dict(torch.load(@bundle_root + '/models/model.pt'))"
    at(config, "NetworkProvenanced")["network"] = "@other"
    at(config, "DenseFeaturesd")["extractor"] = {"_target_": "NetworkFeatures", "network": "@other", "layers": "0"}
    config["evaluator"]["val_handlers"] = []
    config["initialize"] = ["$@loaded"]


@pytest.mark.parametrize(
    ("change", "fields"),
    [
        (_spacing, {"spacing"}),
        (lambda c: c["inferer"].update(roi_size=[8, 8, 8]), {"inferer.roi_size"}),
        (lambda c: c["inferer"].update(overlap=0.5), {"inferer.overlap"}),
        (lambda c: c["inferer"].update(mode="gaussian"), {"inferer.mode", "inferer.sigma_scale"}),
        (lambda c: at(c, "NetworkProvenanced").update(inferer=None), {"inferer"}),
        (lambda c: c.update(flips=[[0], [1]]), {"flips"}),
        (lambda c: before_threshold(c, _target_="CastToTyped", keys="pred", dtype="$torch.float16"), {"dtype"}),
        (lambda c: c["extractor"].update(layers="1"), {"walk.features.extractor"}),
        (lambda c: at(c, "RandomWalkDiffusiond").update(k=5), {"walk.k"}),
        (lambda c: at(c, "RandomWalkDiffusiond").update(beta=20), {"walk.beta"}),
        (lambda c: without(c, "Invertd"), {"side"}),
        (lambda c: without(c, "RandomWalkDiffusiond"), {"steps"}),
        (lambda c: without(c, "ConformalThresholdd", "SaveImaged"), {"threshold"}),
        (lambda c: at(c, "Invertd").update(nearest_interp=True), {"Invertd.nearest_interp"}),
        (lambda c: before_threshold(c, _target_="AsDiscreted", keys="pred", threshold=0.5), {"AsDiscreted"}),
        (_declared, {"NetworkProvenanced.inferer"}),
        (_other_network, {"NetworkProvenanced.network"}),
        (lambda c: at(c, "ConformalThresholdd").update(group_key="scanner"), {"threshold.group_key"}),
        (lambda c: at(c, "ConformalThresholdd").update(weight_key="weight"), {"threshold.weight_key"}),
        (lambda c: at(c, "ConformalThresholdd").update(calibration="absent.json"), {"threshold"}),
    ],
)  # fmt: skip
@pytest.mark.parametrize("run", [True, False])
def test_each_difference_is_named(
    bundle: Path, changed: Callable[..., Path], change: Change, fields: set[str], run: bool
) -> None:
    result = check(changed(change, images=run), calibration_of(bundle))
    if fields == {"dtype"} and not run:
        assert result.exit_code == 0
        assert lines(result)["dtype"] == "NOT KNOWN"
        return
    assert result.exit_code == 1, result.output
    assert {field for field, state in lines(result).items() if state == "DIFFERS"} == fields
    for field in fields:
        assert f"- {field}:" in result.output


def test_other_weights(bundle: Path, changed: Callable[..., Path]) -> None:
    result = check(changed(shift=0.1), calibration_of(bundle))
    assert result.exit_code == 1
    found = {field for field, state in lines(result).items() if state == "DIFFERS"}
    assert found == {"network", "walk.features.extractor"}
    assert "2 fields differ" in result.output


def _initialized(config: dict[str, Any]) -> None:
    config["evaluator"]["val_handlers"] = []
    config["initialize"] = ["$@network.load_state_dict(torch.load(@bundle_root + '/models/model.pt'))"]


@pytest.mark.parametrize(("change", "word"), [(_initialized, "initialize"), (lambda c: None, "CheckpointLoader")])
def test_weights_of_either_source_and_weights_that_are_not_there(
    bundle: Path, changed: Callable[..., Path], change: Change, word: str
) -> None:
    root = changed(change)
    assert check(root, calibration_of(bundle)).exit_code == 0
    (root / "models" / "model.pt").unlink()
    result = check(root, calibration_of(bundle))
    assert result.exit_code == 2
    assert "weights cannot be had" in result.output
    assert word in result.output
    assert "model.pt" in result.output


def test_without_an_image_only_a_run_tells_the_dtype(bundle: Path, changed: Callable[..., Path]) -> None:
    result = check(changed(images=False), calibration_of(bundle))
    assert result.exit_code == 0
    assert "without a run: its list of images is empty" in result.output
    assert {field for field, state in lines(result).items() if state != "OK"} == {"dtype"}
    assert "Nothing differs in what could be compared; 1 field is not known." in result.output
    assert "give --image" in result.output


def test_code_in_the_bundle_and_an_inferer_that_flips(bundle: Path, changed: Callable[..., Path]) -> None:
    root = changed(lambda config: config.update(inferer={"_target_": "flipping_of_test.Flipping", "flips": [[0]]}))
    (root / "flipping_of_test.py").write_text(
        "import torch\n"
        "from monai.inferers import Inferer\n"
        "class Flipping(Inferer):\n"
        "    def __init__(self, flips):\n"
        "        self.flips = flips\n"
        "    def __call__(self, inputs, network, *args, **kwargs):\n"
        "        maps = [network(inputs.flip([a + 2 for a in axes])).flip([a + 2 for a in axes]) for axes in self.flips]\n"
        "        return torch.stack([network(inputs), *maps]).mean(dim=0)\n"
    )
    result = check(root, calibration_of(bundle))
    assert result.exit_code == 1, result.output
    assert "- inferer.flips: nothing expected, [[0]] found." in result.output
    assert "- inferer.class: SlidingWindowInferer expected, Flipping found." in result.output


def test_overlays_and_overrides(bundle: Path, changed: Callable[..., Path]) -> None:
    root, calibration = changed(), calibration_of(bundle)
    (root / "configs" / "fast.json").write_text(json.dumps({"inferer::overlap": 0.0}))
    both = ("--config", "inference.json", "--config", "fast.json")
    result = check(root, calibration, *both)
    assert (result.exit_code, lines(result)["inferer.overlap"]) == (1, "DIFFERS")
    assert check(root, calibration, *both, "--set", "inferer::overlap=0.25").exit_code == 0
    assert check(root / "configs" / "inference.json", calibration, "--config", "fast.json", "--set", f"bundle_root={root}").exit_code == 1  # fmt: skip


def test_an_old_calibration_and_other_packages(bundle: Path, changed: Callable[..., Path], tmp_path: Path) -> None:
    def unrecorded(config: dict[str, Any]) -> None:
        at(config, "NetworkProvenanced").update(inferer=None, flips=None)
        at(config, "ConformalThresholdd").update(calibration=str(old))

    old = tmp_path / "old.json"
    made = Calibration.load(calibration_of(bundle))
    record = replace(made.provenance, inferer=None, flips=None)
    replace(made, provenance=record, packages={**made.packages, "torch": "1.0"}).save(old)
    result = check(changed(unrecorded), old)
    assert result.exit_code == 0, result.output
    found = lines(result)
    assert (found["inferer"], found["flips"], found["torch"]) == ("NOT KNOWN", "NOT KNOWN", "NOTE")
    assert f"- torch: 1.0 expected, {version('torch')} found." in result.output


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: c.pop("evaluator"), "Expected an entry 'evaluator'"),
        (lambda c: c["inferer"].update(_target_="NoSuchInferer"), "'evaluator::inferer' cannot be made"),
        (lambda c: c["preprocessing"]["transforms"][0].update(keys=["image", "label"]), "Key `label` of transform"),
        (lambda c: c["evaluator"].update(decollate=False), "decollate=True"),
    ],
)  # fmt: skip
def test_configs_that_cannot_be_checked(
    bundle: Path, changed: Callable[..., Path], change: Change, message: str
) -> None:
    result = check(changed(change), calibration_of(bundle))
    assert result.exit_code == 2
    assert message in result.output, result.output


def test_files_that_are_not_there_or_not_whole(bundle: Path, tmp_path: Path) -> None:
    broken, config = tmp_path / "broken.json", tmp_path / "config.json"
    broken.write_text("{")
    config.write_text('{"evaluator": ')
    image = bundle / "images" / "p0_image.nii.gz"
    for arguments, message in (
        ((bundle, broken), "broken.json"),
        ((bundle, tmp_path / "absent.json"), "does not exist"),
        ((tmp_path / "absent", calibration_of(bundle)), "does not exist"),
        ((tmp_path, calibration_of(bundle)), "Expected a bundle with"),
        ((config, calibration_of(bundle)), "config.json' is damaged: it is not JSON"),
        ((bundle, calibration_of(bundle), "--config", "absent.json"), "no config file"),
        ((bundle, calibration_of(bundle), "--set", "overlap"), "Expected --set ID=VALUE"),
        ((bundle, calibration_of(bundle), "--set", "inferer::overlp=0.5"), "got 'inferer::overlp'"),
        ((bundle, calibration_of(bundle), "--image", broken), "cannot be run on one image"),
    ):
        result = check(*arguments)  # type: ignore[arg-type]
        assert result.exit_code == 2, result.output
        assert message in " ".join(result.output.split()), result.output
    config.write_text(json.dumps({"evaluator": {"_target_": "SupervisedEvaluator"}}))
    with pytest.raises(ValueError, match="Expected the config to have 'dataset::data'"):
        check_bundle(Calibration.load(calibration_of(bundle)), config, image=image)


def test_a_bundle_that_is_not_trusted_is_not_run(bundle: Path, changed: Callable[..., Path], tmp_path: Path) -> None:
    root, witness = changed(), tmp_path / "witness"
    config = root / "configs" / "inference.json"
    document = json.loads(config.read_text())
    document["initialize"] = [f"$open({str(witness)!r}, 'w').close()", *document.get("initialize", [])]
    config.write_text(json.dumps(document))
    given = ["check", "--calibration", calibration_of(bundle), "--bundle", root]
    result = CliRunner().invoke(main, [str(part) for part in given])
    assert result.exit_code == 2
    assert "runs whatever code its author wrote into it. Give --trust if you trust" in " ".join(result.output.split())
    assert not witness.exists()
    assert check(root, calibration_of(bundle)).exit_code == 0
    assert witness.exists()


def test_an_entry_that_stands_twice_in_a_config_is_refused(bundle: Path, changed: Callable[..., Path]) -> None:
    config = changed() / "configs" / "inference.json"
    config.write_text(config.read_text().replace('{"', '{"flips": [[0]], "', 1))
    result = check(config, calibration_of(bundle))
    assert result.exit_code == 2
    assert "holds the key 'flips' twice" in result.output


def after_threshold(config: dict[str, Any], **transform: Any) -> None:
    chain_of(config).insert(chain_of(config).index(at(config, "ConformalThresholdd")) + 1, transform)


SET = {"keys": "pred_set"}


@pytest.mark.parametrize(
    ("transform", "status"),
    [
        ({"_target_": "KeepLargestConnectedComponentd", **SET}, "DIFFERS"),
        ({"_target_": "KeepLargestConnectedComponentd", "keys": ["image", "pred_set"]}, "DIFFERS"),
        ({"_target_": "RemoveSmallObjectsd", **SET}, "DIFFERS"),
        ({"_target_": "AsDiscreted", "argmax": True, **SET}, "DIFFERS"),
        ({"_target_": "AsDiscreted", "threshold": 0.5, **SET}, None),
        ({"_target_": "AsDiscreted", "threshold": 0, **SET}, "DIFFERS"),
        ({"_target_": "LabelFilterd", "applied_labels": [1], **SET}, "DIFFERS"),
        ({"_target_": "Resized", "spatial_size": [8, 8, 8], "mode": "nearest", **SET}, "DIFFERS"),
        ({"_target_": "FillHolesd", **SET}, "NOTE"),
        ({"_target_": "Lambdad", "func": "$lambda x: x", **SET}, "NOTE"),
        ({"_target_": "Invertd", "transform": "@preprocessing", "orig_keys": "image", **SET}, "NOTE"),
        ({"_target_": "EnsureTyped", **SET}, None),
        ({"_target_": "CastToTyped", "dtype": "$torch.uint8", **SET}, None),
        ({"_target_": "Flipd", "spatial_axis": 0, **SET}, None),
        ({"_target_": "CopyItemsd", "names": "copy", **SET}, None),
        ({"_target_": "KeepLargestConnectedComponentd", "keys": "image"}, None),
    ],
    ids=lambda value: str(value) if not isinstance(value, dict) else value["_target_"],
)
def test_what_changes_a_set_after_the_threshold_is_told(
    transform: dict[str, Any], status: str | None, bundle: Path, changed: Callable[..., Path]
) -> None:
    result = check(changed(lambda c: after_threshold(c, **transform)), calibration_of(bundle))
    assert result.exit_code == (1 if status == "DIFFERS" else 0), result.output
    name = transform["_target_"]
    found = [line.split()[0] for line in result.output.splitlines() if re.match(rf"[A-Z ]+  {name} ", line)]
    assert found == ([] if status is None else [status])


def test_a_step_on_a_copy_or_before_the_threshold_is_no_fault(bundle: Path, changed: Callable[..., Path]) -> None:
    def on_a_copy(config: dict[str, Any]) -> None:
        after_threshold(config, _target_="KeepLargestConnectedComponentd", keys="copy")
        after_threshold(config, _target_="CopyItemsd", keys="pred_set", names="copy")

    result = check(changed(on_a_copy), calibration_of(bundle))
    assert result.exit_code == 0, result.output
    assert "KeepLargest" not in result.output


def test_a_step_on_the_channels_of_a_set(bundle: Path, changed: Callable[..., Path]) -> None:
    def on_a_channel(config: dict[str, Any]) -> None:
        after_threshold(config, _target_="KeepLargestConnectedComponentd", keys="pred_set_1")
        after_threshold(config, _target_="SplitDimd", keys="pred_set")

    result = check(changed(on_a_channel), calibration_of(bundle))
    assert result.exit_code == 1, result.output
    assert "on pred_set_1" in result.output
