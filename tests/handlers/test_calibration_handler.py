"""The calibration handler in MONAI's evaluator and in a bare ignite engine."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from ignite.engine import Engine
from monai.data import DataLoader, Dataset
from monai.engines import SupervisedEvaluator
from monai.handlers import CheckpointLoader, CheckpointSaver
from monai.transforms import Activationsd, AsDiscreted, Compose

from monai_rwcp import Calibration, ConformalCalibrationHandler, LossTable, false_negative_rate_table
from monai_rwcp.conformal import calibrate


def cases(n: int = 20, slices: int = 2) -> list[dict[str, Any]]:
    generator = torch.Generator().manual_seed(9)
    items = []
    for i in range(n):
        for s in range(slices):
            label = torch.randint(0, 3, (1, 8, 8), generator=generator).float()
            items.append({"image": label + torch.randn(1, 8, 8, generator=generator), "label": label})
            items[-1] |= {"patient": f"patient {i}", "case": f"{i}-{s}"}
    return items


class Net(torch.nn.Module):
    """Logits that fall with the distance of a pixel's value from each class number."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return -((x - torch.arange(3.0).reshape(1, 3, 1, 1)) ** 2)


def evaluator(data: list, handlers: list, chain: Any = None, **options: Any) -> SupervisedEvaluator:
    return SupervisedEvaluator(
        device=torch.device("cpu"),
        val_data_loader=DataLoader(Dataset(data), batch_size=3),
        network=Net(),
        postprocessing=Activationsd("pred", softmax=True) if chain is None else chain,
        val_handlers=handlers,
        **options,
    )


def expected(data: list, alpha: float = 0.2) -> Calibration:
    tables = [
        false_negative_rate_table(
            torch.softmax(Net()(d["image"][None].float())[0], 0), d["label"], unit=d["patient"], image=d["case"]
        )
        for d in data
    ]
    return calibrate(LossTable.join(tables), alpha)


def test_in_supervised_evaluator(tmp_path: Path) -> None:
    data, path = cases(), tmp_path / "calibration.json"
    handler = ConformalCalibrationHandler(alpha=0.2, unit_key="patient", case_key="case", output_path=path)
    with pytest.raises(RuntimeError, match="no calibration yet"):
        _ = handler.calibration
    engine = evaluator(data, [handler])
    engine.run()
    assert handler.calibration.classes == expected(data).classes
    assert handler.calibration.n == {1: 20, 2: 20}
    assert engine.state.metrics["pred_lambda_hat_1"] == handler.calibration.lambda_hat[1]
    assert Calibration.load(path) == handler.calibration
    assert 0 < handler.calibration.threshold[1] < 1


def test_every_run_starts_anew() -> None:
    data = cases()
    handler = ConformalCalibrationHandler(alpha=0.2, unit_key="patient", case_key="case")
    engine = evaluator(data, [handler])
    engine.run()
    first = handler.calibration
    engine.run(global_epoch=2)
    assert handler.calibration.classes == first.classes
    assert handler.calibration.n_images == len(data)


def test_in_a_bare_engine_with_numpy_items() -> None:
    data = cases()

    def step(engine: Engine, item: dict) -> list[dict]:
        score = torch.softmax(Net()(item["image"][None])[0], 0).numpy()
        return [{"pred": score, "label": item["label"].numpy(), "patient": item["patient"], "case": item["case"]}]

    handler = ConformalCalibrationHandler(alpha=0.2, unit_key="patient", case_key="case")
    engine = Engine(step)
    handler.attach(engine)
    handler.attach(engine)
    engine.run(data)
    assert handler.calibration.classes == expected(data).classes


def test_duplicates_count_once_and_conflicts_are_refused() -> None:
    data = cases()
    handler = ConformalCalibrationHandler(alpha=0.2, unit_key="patient", case_key="case")
    evaluator(data + data[:7], [handler]).run()
    assert handler.calibration.classes == expected(data).classes
    with pytest.raises(ValueError, match="stands for two different images"):
        evaluator(data, [ConformalCalibrationHandler(alpha=0.2, case_key="patient")]).run()


def test_mask_leaves_voxels_out() -> None:
    data = cases()
    for item in data:
        item["counted"] = (torch.rand(1, 8, 8, generator=torch.Generator().manual_seed(1)) > 0.5).float()
        item["label"] = torch.where(item["counted"] > 0, item["label"], 255.0)
    handler = ConformalCalibrationHandler(alpha=0.2, unit_key="patient", case_key="case", mask_key="counted")
    evaluator(data, [handler]).run()
    tables = [
        false_negative_rate_table(
            torch.softmax(Net()(d["image"][None].float())[0], 0),
            d["label"],
            unit=d["patient"],
            image=d["case"],
            mask=d["counted"],
        )
        for d in data
    ]
    assert handler.calibration.classes == calibrate(LossTable.join(tables), 0.2).classes


@pytest.mark.parametrize("mode", ["one_hot", "regions"])
def test_label_modes(mode: str) -> None:
    data = cases()
    for item in data:
        item["label"] = torch.nn.functional.one_hot(item["label"][0].long(), 3).movedim(-1, 0).float()
    handler = ConformalCalibrationHandler(alpha=0.2, unit_key="patient", case_key="case", label_mode=mode)  # type: ignore[arg-type]
    evaluator(data, [handler]).run()
    index = expected(cases()).classes
    assert {c: handler.calibration.classes[c] for c in index} == index
    assert (0 in handler.calibration.classes) == (mode == "regions")


def test_checkpoint_round_trip(tmp_path: Path) -> None:
    handler = ConformalCalibrationHandler(alpha=0.2, unit_key="patient", case_key="case")
    saver = CheckpointSaver(str(tmp_path), {"calibration": handler}, save_final=True, final_filename="final.pt")
    evaluator(cases(), [handler, saver]).run()
    other = ConformalCalibrationHandler(alpha=0.2)
    engine = Engine(lambda engine, batch: None)
    CheckpointLoader(str(tmp_path / "final.pt"), {"calibration": other}).attach(engine)
    engine.run([0])
    assert other.calibration == handler.calibration


def test_few_units_warn() -> None:
    with pytest.warns(UserWarning, match="Only 3 calibration units count for class 1: 6 more"):
        evaluator(cases(3), [ConformalCalibrationHandler(unit_key="patient", case_key="case")]).run()


def failing(change: Any, message: str, chain: Any = None, kind: type = ValueError, **options: Any) -> None:
    data = cases(2)
    for item in data:
        change(item)
    handler = ConformalCalibrationHandler(unit_key="patient", case_key="case", **options.pop("handler", {}))
    with pytest.raises(kind, match=message):
        evaluator(data, [handler], chain, **options).run()


def test_bad_cases_name_the_case_and_the_keys() -> None:
    keep: Any = lambda item: None  # noqa: E731
    masks = Compose([Activationsd("pred", softmax=True), AsDiscreted("pred", argmax=True, to_onehot=3)])
    failing(keep, "Case '0-0', score 'pred', label 'label'.*looks like a mask", masks)
    failing(keep, "looks like logits", Compose([]))
    failing(keep, "decollate=True", decollate=False, chain=Compose([]))
    failing(lambda item: item.update(label=item["label"] + 7), r"class numbers from 0 to 2")
    failing(lambda item: item.update(label=item["label"][:, :4]), "same grid")
    failing(lambda item: item.update(image=item["image"] * np.nan), "NaN or infinite")
    failing(keep, "Expected 'truth' in every item", kind=KeyError, handler={"label_key": "truth"})


def test_bad_settings(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="alpha"):
        ConformalCalibrationHandler(alpha=1.0)
    with pytest.raises(ValueError, match="loss"):
        ConformalCalibrationHandler(loss="dice")  # type: ignore[arg-type]
    for path in (tmp_path / "missing" / "c.json", tmp_path):
        handler = ConformalCalibrationHandler(output_path=path)
        with pytest.raises(OSError, match="Cannot write"):
            handler.attach(Engine(lambda engine, batch: None))
