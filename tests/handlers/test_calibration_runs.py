"""Runs of the calibration handler: the numbers against an independent count, runs, checkpoints, and errors."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from ignite.engine import Engine, Events
from monai.data import DataLoader, Dataset, MetaTensor
from monai.engines import SupervisedEvaluator
from monai.handlers import CheckpointLoader, CheckpointSaver
from monai.transforms import Activationsd, AsDiscreted, Compose, CopyItemsd

from monai_rwcp import Calibration, ConformalCalibrationHandler, ConformalThresholdd, NetworkProvenanced
from monai_rwcp.conformal import Promise
from monai_rwcp.handlers import engine_items
from tests.helpers.engines import run_bare


def _case(seed: int, shape: tuple[int, ...] = (8, 6), classes: int = 3) -> dict[str, Any]:
    """A score that is often, but not always, right about a random label."""
    generator = torch.Generator().manual_seed(seed)
    label = torch.randint(0, classes, shape, generator=generator)
    label[(0,) * len(shape)], label[(1,) * len(shape)] = 1, 2
    logits = 2.0 * torch.nn.functional.one_hot(label, classes).movedim(-1, 0)
    score = torch.softmax(logits + torch.randn(classes, *shape, generator=generator), dim=0)
    return {"pred": score, "label": label[None], "patient": f"p{seed // 2}", "case": f"c{seed}"}


def _cases(n: int = 24) -> list[dict[str, Any]]:
    return [_case(seed) for seed in range(n)]


def _run(handler: ConformalCalibrationHandler, cases: list[dict[str, Any]], size: int = 5) -> Engine:
    """Run a bare ignite engine that hands over `size` items at a time."""
    return run_bare(handler, [cases[i : i + size] for i in range(0, len(cases), size)])


def _losses(cases: list[dict[str, Any]], c: int, threshold: float, unit: str | None) -> list[float]:
    """False negative rate of each unit that shows class `c`, missed and true voxels pooled."""
    missed: dict[str, int] = {}
    true: dict[str, int] = {}
    for number, case in enumerate(cases):
        name = str(number) if unit is None else case[unit]
        truth = np.asarray(case["label"])[0] == c
        score = np.asarray(case["pred"], dtype=np.float64)[c]
        missed[name] = missed.get(name, 0) + int((truth & (score < threshold)).sum())
        true[name] = true.get(name, 0) + int(truth.sum())
    return [missed[name] / true[name] for name in true if true[name] > 0]


def _check_threshold(
    calibration: Calibration, cases: list[dict[str, Any]], alpha: float, unit: str | None = None
) -> None:
    """The threshold keeps the promise, and one a little higher does not."""
    for c in (1, 2):
        threshold = calibration.threshold[c]
        assert 0 < threshold < 1
        losses = _losses(cases, c, threshold, unit)
        room = alpha * (len(losses) + 1) - 1
        assert sum(losses) <= room
        # One grid step of 1/256 in logit space, and a hair.
        higher = 1 / (1 + np.exp(-(np.log(threshold / (1 - threshold)) + 1.001 / 256)))
        assert sum(_losses(cases, c, higher, unit)) > room
        assert calibration.n[c] == len(losses)
        assert calibration.empirical_risk[c] == pytest.approx(np.mean(losses))
        assert calibration.lambda_hat[c] == 1 - threshold


def test_bare_engine_equals_an_independent_count() -> None:
    handler = ConformalCalibrationHandler(alpha=0.2)
    engine = _run(handler, _cases())
    _check_threshold(handler.calibration, _cases(), 0.2)
    assert handler.calibration.n_images == 24
    assert handler.calibration.unit_name == "image"
    for c in (1, 2):
        assert engine.state.metrics[f"pred_lambda_hat_{c}"] == handler.calibration.lambda_hat[c]
    assert set(engine.state.metrics) == {"pred_lambda_hat_1", "pred_lambda_hat_2"}


def test_units_are_pooled() -> None:
    handler = ConformalCalibrationHandler(alpha=0.2, unit_key="patient")
    _run(handler, _cases(), size=1)
    _check_threshold(handler.calibration, _cases(), 0.2, "patient")
    assert handler.calibration.n == {1: 12, 2: 12}
    assert handler.calibration.n_images == 24
    assert handler.calibration.unit_name == "patient"
    assert "in a new patient who shows it (calibrated on 12 patients)" in handler.calibration.promise


def test_order_and_batch_size_do_not_matter() -> None:
    results = []
    for cases, size in ((_cases(), 5), (_cases()[::-1], 1), (_cases(), 24)):
        handler = ConformalCalibrationHandler(alpha=0.2, unit_key="patient", case_key="case")
        _run(handler, cases, size)
        results.append(handler.calibration.classes)
    assert results[0] == results[1] == results[2]


# --- inside SupervisedEvaluator -----------------------------------------------------------------------------------


class _Net(torch.nn.Module):
    """Scores of three classes from an image of class numbers and noise."""

    def __init__(self) -> None:
        super().__init__()
        self.gain = torch.nn.Parameter(torch.tensor(3.0))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return -self.gain * (x - torch.arange(3, device=x.device).reshape(1, 3, 1, 1)).abs()


def _images(n: int = 20, tracked: bool = True) -> list[dict[str, Any]]:
    items = []
    for seed in range(n):
        generator = torch.Generator().manual_seed(seed)
        label = torch.randint(0, 3, (1, 6, 5), generator=generator).float()
        label[0, 0, :3] = torch.arange(3)
        image: torch.Tensor = label + 0.5 * torch.randn(1, 6, 5, generator=generator)
        if tracked:
            image = MetaTensor(image, meta={"filename_or_obj": f"case_{seed}.nii.gz"})
            label = MetaTensor(label, meta={"filename_or_obj": f"label_{seed}.nii.gz"})
        items.append({"image": image, "label": label, "patient": f"p{seed // 2}"})
    return items


def _evaluator(
    handlers: list[Any], post: list[Any] | None = None, data: list[dict[str, Any]] | None = None, **options: Any
) -> SupervisedEvaluator:
    return SupervisedEvaluator(
        device=torch.device("cpu"),
        val_data_loader=DataLoader(Dataset(_images() if data is None else data), batch_size=3),
        network=options.pop("network", _Net()),
        postprocessing=Compose([Activationsd("pred", softmax=True), *(post or [])]),
        val_handlers=handlers,
        decollate=options.pop("decollate", True),
        **options,
    )


def _evaluated(network: torch.nn.Module, data: list[dict[str, Any]]) -> list[dict[str, Any]]:
    with torch.no_grad():
        return [{**item, "pred": torch.softmax(network(item["image"][None]), dim=1)[0].as_tensor()} for item in data]


@pytest.mark.parametrize("unit", [None, "patient"])
def test_evaluator_equals_an_independent_count(unit: str | None, tmp_path: Path) -> None:
    path = tmp_path / "calibration.json"
    network = _Net()
    handler = ConformalCalibrationHandler(alpha=0.25, unit_key=unit, output_path=path)
    evaluator = _evaluator([handler], network=network)
    evaluator.run()
    # Keys that are in the batch but not in the output are found, too.
    _check_threshold(handler.calibration, _evaluated(network, _images()), 0.25, unit)
    assert evaluator.state.metrics["pred_lambda_hat_1"] == handler.calibration.lambda_hat[1]
    assert Calibration.load(path) == handler.calibration
    assert os.listdir(tmp_path) == ["calibration.json"]


def test_network_record_is_kept() -> None:
    network = _Net()
    handler = ConformalCalibrationHandler(alpha=0.25)
    _evaluator([handler], [NetworkProvenanced("pred", network)], network=network).run()
    made = handler.calibration.provenance
    assert str(made.network).startswith("sha256:")
    assert made.dtype == "float32"
    item = NetworkProvenanced("pred", network)({"pred": _evaluated(network, _images(1))[0]["pred"]})
    item["pred_provenance"] = {**item["pred_provenance"], "network": "sha256:0"}
    with pytest.raises(ValueError, match="network is 'sha256:0'"):
        ConformalThresholdd("pred", handler.calibration)(item)


def test_every_run_starts_anew() -> None:
    handler = ConformalCalibrationHandler(alpha=0.25)
    evaluator = _evaluator([handler])
    evaluator.run()
    first = handler.calibration
    evaluator.run(global_epoch=5)
    assert handler.calibration.n == first.n == {1: 20, 2: 20}
    assert handler.calibration.classes == first.classes
    evaluator.network.gain.data.fill_(0.5)
    evaluator.run(global_epoch=6)
    assert handler.calibration.classes != first.classes


def test_a_run_after_a_broken_one_starts_anew() -> None:
    cases = _cases()
    broken = [[cases[0]], [{**cases[1], "pred": cases[1]["pred"] * 4}]]
    handler = ConformalCalibrationHandler(alpha=0.2)
    engine = Engine(lambda engine, items: items)
    handler.attach(engine)
    with pytest.raises(ValueError, match="no probabilities"):
        engine.run(broken)
    with pytest.raises(RuntimeError, match="no calibration yet"):
        _ = handler.calibration
    # Ignite takes up a broken run where it stopped, so a new engine is due.
    again = Engine(lambda engine, items: items)
    handler.attach(again)
    again.run([cases[2:]])
    assert handler.calibration.n == {1: 22, 2: 22}


def test_attaching_twice_counts_once() -> None:
    handler = ConformalCalibrationHandler(alpha=0.2)
    run_bare([handler, handler], [[case] for case in _cases()])
    assert handler.calibration.n_images == 24


def test_before_a_run_there_is_no_calibration() -> None:
    handler = ConformalCalibrationHandler()
    message = "There is no calibration yet: run the evaluator"
    with pytest.raises(RuntimeError, match=message):
        _ = handler.calibration
    handler.attach(Engine(lambda engine, items: items))
    with pytest.raises(RuntimeError, match=message):
        _ = handler.calibration


def test_a_run_over_nothing_is_told() -> None:
    handler = ConformalCalibrationHandler()
    with pytest.raises(ValueError, match="ran over no case"):
        _run_items(handler, [])


def test_finish_after_a_run_does_nothing(tmp_path: Path) -> None:
    handler = ConformalCalibrationHandler(alpha=0.25)
    evaluator = _evaluator([handler])
    for _ in range(2):
        evaluator.run()
        found = handler.calibration
        handler.finish()
        assert handler.calibration is found


def test_finish_where_no_case_was_run_is_told() -> None:
    handler = ConformalCalibrationHandler()
    evaluator = _evaluator([handler], data=[])
    with pytest.warns(UserWarning, match="`dataloader` is empty"):
        evaluator.run()
    with pytest.raises(ValueError, match="ran over no case"):
        handler.finish()


def test_finish_does_not_calibrate_on_a_part_of_the_cases() -> None:
    cases = _cases()
    cases[-1]["label"] = cases[-1]["label"] + 7
    handler = ConformalCalibrationHandler(alpha=0.2)
    with pytest.raises(ValueError, match="class numbers from 0 to 2"):
        _run(handler, cases)
    with pytest.raises(RuntimeError, match="run broke off"):
        handler.finish()
    with pytest.raises(RuntimeError, match="no calibration yet"):
        _ = handler.calibration


def _run_items(handler: ConformalCalibrationHandler, items: list[dict[str, Any]]) -> None:
    engine = Engine(lambda engine, batch: items)
    handler.attach(engine)
    engine.run([0])


# --- checkpoints and files ----------------------------------------------------------------------------------------


def test_checkpoint_round_trip(tmp_path: Path) -> None:
    handler = ConformalCalibrationHandler(alpha=0.25, class_names=["rest", "one", "two"])
    network = _Net()
    saver = CheckpointSaver(
        str(tmp_path), {"net": network, "calibration": handler}, save_final=True, final_filename="c.pt"
    )
    _evaluator([handler, saver], network=network).run()
    other = ConformalCalibrationHandler()
    engine = Engine(lambda engine, batch: batch)
    CheckpointLoader(str(tmp_path / "c.pt"), {"calibration": other}).attach(engine)
    engine.run([[]])
    assert other.calibration == handler.calibration
    assert other.calibration.class_names == ("rest", "one", "two")
    assert torch.load(tmp_path / "c.pt", weights_only=True)["calibration"] == handler.state_dict()


def test_state_before_a_run_is_empty_and_loads() -> None:
    handler = ConformalCalibrationHandler(alpha=0.2)
    _run(handler, _cases())
    handler.load_state_dict(ConformalCalibrationHandler().state_dict())
    with pytest.raises(RuntimeError, match="no calibration yet"):
        _ = handler.calibration


def test_a_changed_checkpoint_is_refused() -> None:
    handler = ConformalCalibrationHandler(alpha=0.2)
    _run(handler, _cases())
    document = json.loads(handler.state_dict()["document"])
    document["promised"]["alpha"] = 0.01
    with pytest.raises(ValueError, match="'checkpoint' was changed after it was written"):
        handler.load_state_dict({"document": json.dumps(document)})


def test_output_path_that_cannot_be_written_is_refused_at_attach(tmp_path: Path) -> None:
    engine = Engine(lambda engine, items: items)
    for path, error, message in (
        (tmp_path / "none" / "c.json", FileNotFoundError, "folder '.*none' does not exist. Make it first"),
        (tmp_path, IsADirectoryError, "it is a folder"),
    ):
        with pytest.raises(error, match=message):
            ConformalCalibrationHandler(output_path=path).attach(engine)
    assert not engine.has_event_handler(ConformalCalibrationHandler._count)
    assert engine.run([[]]).epoch == 1


def test_a_broken_run_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "c.json"
    path.write_text("old")
    cases = _cases()
    cases[-1]["label"] = cases[-1]["label"] + 7
    with pytest.raises(ValueError, match="class numbers from 0 to 2"):
        _run(ConformalCalibrationHandler(alpha=0.2, output_path=path), cases)
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["c.json"]


# --- which voxels, which cases ------------------------------------------------------------------------------------


def test_mask_leaves_voxels_out() -> None:
    cases = _cases()
    generator = torch.Generator().manual_seed(1)
    for case in cases:
        case["valid"] = (torch.rand(1, 8, 6, generator=generator) > 0.4).float()
    handler = ConformalCalibrationHandler(alpha=0.2, mask_key="valid")
    _run(handler, cases)
    # A voxel that does not count is one that is true for no calibrated class.
    shown = [{**case, "label": torch.where(case["valid"] > 0, case["label"], 0)} for case in cases]
    _check_threshold(handler.calibration, shown, 0.2)
    # Labels beyond the classes are not read where the mask is 0.
    odd = [{**case, "label": torch.where(case["valid"] > 0, case["label"], 255)} for case in cases]
    again = ConformalCalibrationHandler(alpha=0.2, mask_key="valid")
    _run(again, odd)
    assert again.calibration.classes == handler.calibration.classes


def test_one_hot_and_regions_equal_class_numbers() -> None:
    index = ConformalCalibrationHandler(alpha=0.2, include_background=True)
    _run(index, _cases())
    assert set(index.calibration.classes) == {0, 1, 2}
    split = [{**c, "label": torch.nn.functional.one_hot(c["label"][0], 3).movedim(-1, 0)} for c in _cases()]
    for mode, include in (("one_hot", True), ("regions", False)):
        handler = ConformalCalibrationHandler(alpha=0.2, label_mode=mode, include_background=include)  # type: ignore[arg-type]
        _run(handler, split)
        assert handler.calibration.classes == index.calibration.classes
        assert handler.calibration.counting.label_mode == mode


def test_overlapping_regions() -> None:
    cases = _cases()
    for case in cases:
        truth = case["label"][0]
        case["label"] = torch.stack([truth > 0, truth == 1, truth == 2]).float()
    handler = ConformalCalibrationHandler(alpha=0.2, label_mode="regions")
    _run(handler, cases)
    assert set(handler.calibration.classes) == {0, 1, 2}
    with pytest.raises(ValueError, match=r'exactly one class in every voxel .*label_mode="regions"'):
        _run(ConformalCalibrationHandler(alpha=0.2, label_mode="one_hot"), cases)


def test_background_is_left_out_unless_asked_for() -> None:
    handler = ConformalCalibrationHandler(alpha=0.2)
    _run(handler, _cases())
    assert set(handler.calibration.classes) == {1, 2}


def test_truth_at_exact_zeros_makes_the_set_the_whole_image_and_the_handler_says_so() -> None:
    cases = _cases()
    for case in cases:
        case["pred"][:, :3] = 0
    handler = ConformalCalibrationHandler(alpha=0.2)
    with pytest.warns(UserWarning, match="lie where its score is exactly 0.*nothing but the whole image holds a voxel"):
        _run(handler, cases)
    assert handler.calibration.threshold[1] == 0


def test_options_reach_the_calibration() -> None:
    handler = ConformalCalibrationHandler(
        alpha=0.2, unit_loss="mean", empty="zero", unit_key="patient", class_names=["a", "b", "c"]
    )
    _run(handler, _cases())
    result = handler.calibration
    assert (result.counting.unit_loss, result.counting.empty) == ("mean", "zero")
    assert result.class_names == ("a", "b", "c")
    assert result.promised == Promise(0.2)


def test_a_score_under_another_key() -> None:
    handler = ConformalCalibrationHandler(score_key="prob", label_key="seg", alpha=0.25)
    post = [CopyItemsd(["pred", "label"], names=["prob", "seg"]), AsDiscreted("pred", argmax=True)]
    evaluator = _evaluator([handler], post)
    evaluator.run()
    plain = ConformalCalibrationHandler(alpha=0.25)
    _evaluator([plain]).run()
    assert handler.calibration.classes == plain.calibration.classes
    assert "prob_lambda_hat_1" in evaluator.state.metrics


@pytest.mark.parametrize("keyed", [True, False])
def test_an_image_seen_twice_counts_once(keyed: bool) -> None:
    """By the case key, or by the file name in the meta data."""
    cases = _cases()
    if not keyed:
        for case in cases:
            case["pred"] = MetaTensor(case["pred"], meta={"filename_or_obj": case["case"]})
    key = "case" if keyed else None
    once, twice = (ConformalCalibrationHandler(alpha=0.2, case_key=key) for _ in range(2))
    _run(once, cases)
    _run(twice, [*cases, cases[0], cases[5]])
    assert twice.calibration.classes == once.calibration.classes
    assert twice.calibration.n_images == 24


def test_one_id_for_different_images_is_an_error() -> None:
    cases = _cases()
    cases[3]["case"] = "c0"
    with pytest.raises(ValueError, match=r"image id 'c0' stands for two different images .* give `case_key`"):
        _run(ConformalCalibrationHandler(alpha=0.2, case_key="case"), cases)


def test_too_few_units_warn_and_give_the_whole_image() -> None:
    handler = ConformalCalibrationHandler(alpha=0.1, unit_key="patient")
    with pytest.warns(UserWarning, match=r"Only 8 calibration units count for class 1: 1 more are needed"):
        _run(handler, _cases(16))
    assert handler.calibration.lambda_hat == {1: 1.0, 2: 1.0}


# --- what is refused ----------------------------------------------------------------------------------------------


def _changed(**changes: Callable[[Any], Any]) -> dict[str, Any]:
    case = _case(0)
    return {key: changes[key](value) if key in changes else value for key, value in case.items()}


NAMED = r"Case 'image 0', score 'pred', label 'label': "


@pytest.mark.parametrize(
    ("item", "message"),
    [
        (_changed(pred=lambda p: (p > 0.5).float()), NAMED + r".*nothing but 0 and 1, so it looks like a mask"),
        (_changed(pred=lambda p: (p > 0.5).to(torch.uint8)), NAMED + r".*looks like a mask"),
        (_changed(pred=lambda p: 4 * p - 2), NAMED + r".*in \[0, 1\], .*looks like logits: put Activationsd"),
        (_changed(pred=lambda p: p / 0), NAMED + r".*NaN or infinite"),
        (_changed(pred=lambda p: p[None, None]), NAMED + r".*got shape \(1, 1, 3, 8, 6\)\. A batch must be split"),
        (
            _changed(label=lambda x: x + 2),
            NAMED + r".*class numbers from 0 to 2 in the label, but it also holds 3, 4",
        ),
        (_changed(label=lambda x: x + 0.5), NAMED + r".*class numbers from 0 to 2"),
        (_changed(label=lambda x: -x), NAMED + r".*it also holds -2, -1\. Map"),
        (_changed(label=lambda x: x.repeat(3, 1, 1)), NAMED + r".*but got \(3, 8, 6\)\. One channel is label_mode"),
        (_changed(label=lambda x: x[:, :4]), NAMED + r".*label of shape \(1, 8, 6\) .*but got \(1, 4, 6\)\..*Invertd"),
        (_changed(label=lambda x: x[0]), NAMED + r".*but got \(8, 6\)"),
    ],
)
def test_cases_that_do_not_fit(item: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        _run_items(ConformalCalibrationHandler(alpha=0.2), [item])


def test_a_score_in_half_precision_that_is_all_0_and_1() -> None:
    with pytest.raises(ValueError, match="half precision has rounded it"):
        _run_items(ConformalCalibrationHandler(), [_changed(pred=lambda p: (p > 0.5).half())])


@pytest.mark.parametrize("gone", ["pred", "label", "patient", "case", "valid"])
@pytest.mark.parametrize("how", ["absent", "none"])
def test_missing_keys_are_named(gone: str, how: str) -> None:
    item = {**_case(0), "valid": torch.ones(1, 8, 6)}
    item.pop(gone) if how == "absent" else item.update({gone: None})
    handler = ConformalCalibrationHandler(unit_key="patient", case_key="case", mask_key="valid")
    unnamed = how == "none" and gone in ("patient", "case")
    error = ValueError if unnamed else KeyError
    message = (
        rf"Expected '{gone}' to be a name .* but got None"
        if unnamed
        else rf"Expected '{gone}' in every item, but got only \["
    )
    with pytest.raises(error, match=message):
        _run_items(handler, [item])


def test_a_missing_label_in_the_evaluator_is_named() -> None:
    data = [{"image": item["image"]} for item in _images(3)]
    with pytest.raises(KeyError, match="Expected 'label' in every item"):
        _evaluator([ConformalCalibrationHandler()], data=data).run()


def test_an_undivided_batch_is_refused() -> None:
    with pytest.raises(ValueError, match=r"list of item dictionaries, but got dict.*decollate=True"):
        _evaluator([ConformalCalibrationHandler()], decollate=False).run()


def test_scores_made_in_different_ways_are_refused() -> None:
    cases = _cases()
    cases[-1]["pred"] = cases[-1]["pred"].double()
    with pytest.raises(ValueError, match=r"not made in one way: dtype is 'float32' for some and 'float64'"):
        _run(ConformalCalibrationHandler(alpha=0.2), cases)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"alpha": 0.0}, r"`alpha` to be a number in \(0, 1\)"),
        ({"alpha": 1}, "`alpha`"),
        ({"loss": "dice"}, "`loss` to be one of \"fnr\".*, but got 'dice'"),
    ],
)
def test_bad_options(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ConformalCalibrationHandler(**options)


@pytest.mark.parametrize("options", [{"unit_loss": "max"}, {"empty": "drop"}, {"label_mode": "onehot"}])
def test_bad_options_are_told_before_the_run(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(options))):
        ConformalCalibrationHandler(**options)


def test_handler_does_not_change_the_items() -> None:
    cases = _cases()
    before = [{k: v.clone() if isinstance(v, torch.Tensor) else v for k, v in case.items()} for case in cases]
    _run(ConformalCalibrationHandler(alpha=0.2), cases)
    for case, old in zip(cases, before, strict=True):
        assert list(case) == list(old)
        assert all(torch.equal(case[k], old[k]) for k in ("pred", "label"))


# --- the items of an engine ---------------------------------------------------------------------------------------


def _engine_with(batch: Any, output: Any) -> Engine:
    engine = Engine(lambda engine, given: output)
    engine.run([batch])
    return engine


@pytest.fixture
def items() -> list[dict[str, Any]]:
    return [{"pred": 1}, {"pred": 2}]


def test_items_are_completed_by_the_batch(items: list[dict[str, Any]]) -> None:
    engine = Engine(lambda engine, batch: items)
    seen: list[Any] = []
    engine.add_event_handler(Events.ITERATION_COMPLETED, lambda e: seen.extend(engine_items(e)))
    engine.run([[{"pred": 0, "patient": "a"}, {"pred": 0, "patient": "b"}]])
    assert seen == [{"pred": 1, "patient": "a"}, {"pred": 2, "patient": "b"}]
    assert items == [{"pred": 1}, {"pred": 2}]


@pytest.mark.parametrize("batch", [{"patient": ["a", "b"]}, [{"patient": "a"}], [1, 2], 7])
def test_a_batch_of_another_form_is_not_used(batch: Any, items: list[dict[str, Any]]) -> None:
    assert engine_items(_engine_with(batch, items)) == items


@pytest.mark.parametrize("output", [{"pred": 1}, torch.zeros(2), [torch.zeros(2)], ({"pred": 1},), None])
def test_an_output_that_is_no_list_of_items(output: Any) -> None:
    with pytest.raises(ValueError, match="list of item dictionaries"):
        engine_items(_engine_with(0, output))
