"""Calibration on volumes that come and go, beside ways that hold them in memory."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from ignite.engine import Engine, Events

from benchmarks.common.recall_control import recall_control
from benchmarks.common.timing import Row, peak_memory
from monai_rwcp.conformal import Calibration, LossTable, calibrate, false_negative_rate_table, threshold_levels
from monai_rwcp.handlers import ConformalCalibrationHandler

SHAPE = (512, 512, 128)
N_VOLUMES = 50
ALPHA = 0.1
# So many volumes' scores at the truth are held by the textbook's way, and so many pieces are made of each.
_HELD, _PIECES = 12, 4


def calibration_rows(step: Callable[[str], None]) -> Iterator[Row]:
    """Measure the handler on all volumes, and others on as much as they can hold."""
    voxels = SHAPE[0] * SHAPE[1] * SHAPE[2]
    step(f"calibration: {N_VOLUMES} volumes through the handler")
    seconds, peak = _stream()
    case = f"{N_VOLUMES} volumes of 512 x 512 x 128, 3 classes"
    yield Row("calibration", case, voxels, "monai_rwcp handler, a volume", seconds, 1.0, None, peak)
    step(f"calibration: {_HELD} volumes in memory")
    yield from _textbook_rows(voxels, seconds)
    step("calibration: MAPIE")
    yield _mapie_row(voxels, seconds)


@lru_cache(maxsize=1)
def _base() -> tuple[torch.Tensor, torch.Tensor]:
    axes = torch.meshgrid(*[torch.linspace(-1, 1, n) for n in SHAPE], indexing="ij")
    radius = sum(axis.square() for axis in axes).sqrt()  # type: ignore[union-attr]
    label = ((radius < 0.6).byte() + (radius < 0.35).byte()).unsqueeze(0)
    generator = torch.Generator().manual_seed(0)
    noise = torch.randn(3, *[n // 8 for n in SHAPE], generator=generator)
    noise = torch.nn.functional.interpolate(noise[None], SHAPE, mode="nearest")[0]
    logits = torch.stack([12 * (radius - 0.6), 6 - 40 * (radius - 0.475).abs(), 12 * (0.35 - radius)])
    return torch.softmax(logits + 2 * noise, dim=0), label


def volume(number: int) -> dict[str, Any]:
    """Score, label and name of one synthetic patient; the label is moved a little against the score."""
    score, label = _base()
    shift = (7 * number) % SHAPE[0]
    moved = label.roll((shift + number % 9, number % 5), dims=(1, 2))
    return {"pred": score.roll(shift, dims=1), "label": moved, "patient": f"patient {number:02d}"}


def _stream() -> tuple[float, float]:
    seconds: list[float] = []
    handler = ConformalCalibrationHandler(alpha=ALPHA, unit_key="patient")
    engine = Engine(lambda engine, number: [volume(number)])
    engine.add_event_handler(Events.ITERATION_COMPLETED, lambda: seconds.append(-time.perf_counter()))
    handler.attach(engine)
    engine.add_event_handler(Events.ITERATION_COMPLETED, lambda: seconds.append(seconds.pop() + time.perf_counter()))
    engine.run(range(N_VOLUMES))
    return float(np.median(seconds)), peak_memory(_one_volume)


def _one_volume() -> Callable[[], Any]:
    items = [volume(number) for number in (0, 1)]
    handler = ConformalCalibrationHandler(alpha=0.5, unit_key="patient")
    engine = Engine(lambda engine, number: [items[number]])
    handler.attach(engine)
    return lambda: engine.run(range(2))


def _table(item: dict[str, Any], pieces: int) -> LossTable:
    parts = zip(item["pred"].chunk(pieces, dim=3), item["label"].chunk(pieces, dim=3), strict=True)
    name = item["patient"]
    return LossTable.join(
        false_negative_rate_table(score, label, unit=name, image=f"{name}, piece {i}", unit_name="patient")
        for i, (score, label) in enumerate(parts)
    )


def _textbook_rows(voxels: int, ours: float) -> Iterator[Row]:
    whole, in_pieces = [], []
    at_truth: dict[int, list[torch.Tensor]] = {1: [], 2: []}
    seconds = 0.0
    for number in range(_HELD):
        item = volume(number)
        whole.append(_table(item, 1))
        in_pieces.append(_table(item, _PIECES))
        start = time.perf_counter()
        for c, scores in at_truth.items():
            scores.append(item["pred"][c][item["label"][0] == c])
        seconds += time.perf_counter() - start
    streamed, joined = (calibrate(LossTable.join(tables), ALPHA) for tables in (whole, in_pieces))
    start = time.perf_counter()
    exact = {c: _textbook(scores) for c, scores in at_truth.items()}
    seconds += time.perf_counter() - start
    held = sum(s.numel() * s.element_size() for scores in at_truth.values() for s in scores) / 2**20
    steps = max(_levels_between(streamed, c, t) for c, t in exact.items())
    pieces = "the same" if joined.lambda_hat == streamed.lambda_hat else "NOT the same"
    note = f"ours lies {steps} grid steps from it at most; {_PIECES} pieces of each volume: {pieces} as whole"
    case = f"{_HELD} of them, scores at the truth held ({held:.0f} MiB)"
    yield Row("calibration", case, voxels, "textbook CRC, a volume", seconds / _HELD, seconds / _HELD / ours, note=note)


def _textbook(scores: list[torch.Tensor]) -> float:
    """The largest threshold that keeps (sum of losses + 1) / (n + 1) within alpha, by bisection over all floats."""
    low, high = 0, int(np.float32(1).view(np.int32))
    while high - low > 1:
        middle = (low + high) // 2
        threshold = float(np.int32(middle).view(np.float32))
        loss = sum(float((s < threshold).double().mean()) for s in scores)
        low, high = (middle, high) if (loss + 1) / (len(scores) + 1) <= ALPHA else (low, middle)
    return float(np.int32(low).view(np.float32))


def _levels_between(calibration: Calibration, c: int, exact: float) -> int:
    levels = threshold_levels()
    ours = int(np.searchsorted(levels, np.float32(calibration.threshold[c]), side="right"))
    return abs(int(np.searchsorted(levels, np.float32(exact), side="right")) - ours)


def _mapie_row(voxels: int, ours: float) -> Row:
    # MAPIE holds 100 thresholds times all voxels of an image in eight bytes: 512 x 512 x 8 need some four GiB.
    size = (512, 512 * 8)
    scores = [volume(n)["pred"][1, ..., 60:68].reshape(1, 1, *size).double().numpy() for n in range(_HELD)]
    labels = [(volume(n)["label"][0, ..., 60:68] == 1).reshape(1, -1).numpy() for n in range(_HELD)]
    controller = recall_control(ALPHA)
    start = time.perf_counter()
    for score, label in zip(scores, labels, strict=True):
        controller.compute_risks(score, label)
    controller.compute_best_predict_param()
    seconds = (time.perf_counter() - start) / _HELD * voxels / (size[0] * size[1])
    case = f"{_HELD} images of 512 x 512 x 8, one class; scaled to one volume"
    peak = peak_memory(_mapie_image, scores[0], labels[0])
    return Row("calibration", case, voxels, "MAPIE, a volume's voxels", seconds, seconds / ours, None, peak)


def _mapie_image(score: np.ndarray, label: np.ndarray) -> Callable[[], Any]:
    controller = recall_control(ALPHA)
    return lambda: controller.compute_risks(score, label)
