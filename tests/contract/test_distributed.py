"""Calibrating with two processes: both get what one process gets, an error is told in both, and neither waits."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from ignite.engine import Engine
from monai.data import MetaTensor

from monai_rwcp import Calibration, ConformalCalibrationHandler
from monai_rwcp.conformal import CustomLoss
from tests.helpers.engines import run_bare
from tests.helpers.processes import in_processes


def _cases() -> list[dict[str, Any]]:
    """Twelve images of eight patients, known by the file names in their meta data alone."""
    generator = torch.Generator().manual_seed(4)
    cases = []
    for i in range(12):
        score = torch.softmax(3 * torch.randn(3, 6, 6, generator=generator), dim=0)
        label = torch.randint(0, 3, (1, 6, 6), generator=generator)
        meta = {"filename_or_obj": f"/data/slice_{i}.nii.gz"}
        cases.append({"pred": MetaTensor(score, meta=meta), "label": label, "patient": f"p{i % 8}"})
    return cases


def _calibrate(batches: list[list[dict[str, Any]]], path: Path) -> Calibration:
    handler = ConformalCalibrationHandler(alpha=0.3, unit_key="patient", output_path=path)
    run_bare(handler, batches)
    return handler.calibration


def _uneven(rank: int) -> list[list[dict[str, Any]]]:
    cases = _cases()
    return [cases[:5], cases[5:9]] if rank == 0 else [[*cases[9:], cases[2]]]


def _none_on_the_second(rank: int) -> list[list[dict[str, Any]]]:
    return [_cases()] if rank == 0 else [[]]


def _none_on_the_first(rank: int) -> list[list[dict[str, Any]]]:
    return [[]] if rank == 0 else [_cases()]


SHARES: dict[str, Callable[[int], list[list[dict[str, Any]]]]] = {
    "uneven": _uneven,
    "none on the second": _none_on_the_second,
    "none on the first": _none_on_the_first,
}


def _all_shares(rank: int, folder: str) -> None:
    for number, share in enumerate(SHARES.values()):
        found = _calibrate(share(rank), Path(folder) / f"{number}_written_by_{rank}.json")
        found.save(Path(folder) / f"{number}_found_by_{rank}.json")
    for share in (_rounded_in_the_second, _own_function, _one_path):
        found = share(rank, Path(folder))
        found.save(Path(folder) / f"{share.__name__}_{rank}.json")
    for refusal in REFUSALS:
        try:
            refusal(rank, Path(folder))
        except (ValueError, RuntimeError, OSError) as error:
            (Path(folder) / f"{refusal.__name__}_{rank}.txt").write_text(f"{type(error).__name__}: {error}")


# --- what must work -----------------------------------------------------------------------------------------------


def _rounded_in_the_second(rank: int, folder: Path) -> Calibration:
    """An image that two processes have, scored in batches of different sizes, counts once."""
    cases = _cases()
    if rank == 1:
        cases = [{**case, "pred": case["pred"] * (1 - 1e-6)} for case in cases[:4]]
    return _calibrate([cases], folder / "rounded.json")


def _own_function(rank: int, folder: Path) -> Calibration:
    """A function that cannot be sent to another process; the second has no case."""
    loss = CustomLoss("any voxel missed", lambda found, truth: float((truth & ~found).any()))
    handler = ConformalCalibrationHandler(alpha=0.3, loss=loss)
    if rank == 0:
        run_bare(handler, [_cases()])
    handler.finish()
    assert handler.table.loss is handler.counter.loss
    return handler.calibration


def _one_path(rank: int, folder: Path) -> Calibration:
    """Only the first process was told where to write, and the second needs no such folder."""
    (folder / "one").mkdir(exist_ok=True)
    handler = ConformalCalibrationHandler(alpha=0.3, output_path=folder / "one" / "path.json" if rank == 0 else None)
    run_bare(handler, [_cases()[rank::2]])
    # The second process goes on when the file is there.
    assert Calibration.load(folder / "one" / "path.json").classes == handler.calibration.classes
    return handler.calibration


# --- what must be told in both processes --------------------------------------------------------------------------


def _nameless(rank: int, folder: Path) -> None:
    nameless = [{**case, "pred": case["pred"].as_tensor()} for case in _cases()]
    run_bare(ConformalCalibrationHandler(alpha=0.3), [nameless])


def _nothing(rank: int, folder: Path) -> None:
    run_bare(ConformalCalibrationHandler(alpha=0.3), [[]])


def _nothing_and_no_run(rank: int, folder: Path) -> None:
    ConformalCalibrationHandler(alpha=0.3).finish()


def _one_id_in_both(rank: int, folder: Path) -> None:
    cases = [{**case, "id": f"{case['patient']}"} for case in _cases()]
    run_bare(
        ConformalCalibrationHandler(alpha=0.3, unit_key="patient", case_key="id"), [cases[:8] if rank else cases[8:]]
    )


def _one_id_in_the_second(rank: int, folder: Path) -> None:
    cases = [{**case, "id": f"{case['patient']}"} for case in _cases()]
    run_bare(ConformalCalibrationHandler(alpha=0.3, unit_key="patient", case_key="id"), [cases if rank else cases[5:6]])


def _another_order(rank: int, folder: Path) -> None:
    handlers = [ConformalCalibrationHandler(alpha=0.3), ConformalCalibrationHandler(alpha=0.3, loss="inner")]
    if rank == 0:
        run_bare(handlers[0], [_cases()])
    handlers[rank].finish()


def _folder_lost(rank: int, folder: Path) -> None:
    if rank == 0:
        (folder / "lost").mkdir()
    handler = ConformalCalibrationHandler(alpha=0.3, output_path=folder / "lost" / "c.json")

    def lose(engine: Engine, batch: list[dict[str, Any]]) -> list[dict[str, Any]]:
        if rank == 0:
            (folder / "lost").rmdir()
        return batch

    engine = Engine(lose)
    handler.attach(engine)
    engine.run([_cases()])


def _left_alone(rank: int, folder: Path) -> None:
    broken = [{**case, "label": case["label"] + rank * 7} for case in _cases()]
    run_bare(ConformalCalibrationHandler(alpha=0.3, output_path=folder / "0_written_by_0.json"), [broken])


# The last one ends the second process.
REFUSALS: dict[Callable[[int, Path], None], tuple[str, str]] = {
    _nameless: ("ValueError: Several processes share the cases", "give `case_key`"),
    _nothing: ("ValueError: The evaluator ran over no case", ""),
    _nothing_and_no_run: ("ValueError: The evaluator ran over no case", ""),
    _one_id_in_both: ("ValueError: The image id 'p0' stands for two different images", "give `case_key`"),
    _one_id_in_the_second: ("ValueError: The image id 'p0' stands for two different images", "give `case_key`"),
    _another_order: ("ValueError: Expected all processes to count in the same way, but `loss` is", "InnerSetLoss"),
    _folder_lost: ("", "FileNotFoundError: "),
    _left_alone: ("", ""),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What two processes left behind, after all ways of sharing the cases."""
    found = tmp_path_factory.mktemp("processes")
    in_processes(2, _all_shares, str(found))
    return found


@pytest.mark.parametrize("share", SHARES)
def test_both_get_the_calibration_of_one_process(share: str, folder: Path, tmp_path: Path) -> None:
    number = list(SHARES).index(share)
    single = _calibrate([_cases()], tmp_path / "single.json")
    assert single.n == {1: 8, 2: 8}
    assert 0 < single.threshold[1] < 1
    for rank in (0, 1):
        found = Calibration.load(folder / f"{number}_found_by_{rank}.json")
        assert found.classes == single.classes
        assert found.provenance == single.provenance
        assert found.n_images == 12


@pytest.mark.parametrize("share", SHARES)
def test_only_the_first_process_writes(share: str, folder: Path) -> None:
    number = list(SHARES).index(share)
    written = [path.name for path in folder.glob(f"{number}_written_by_*")]
    assert written == [f"{number}_written_by_0.json"]
    found = Calibration.load(folder / f"{number}_found_by_0.json")
    assert Calibration.load(folder / written[0]).classes == found.classes


@pytest.mark.parametrize("refusal", list(REFUSALS)[:-1], ids=lambda refusal: refusal.__name__)
def test_an_error_is_told_in_both(refusal: Callable[[int, Path], None], folder: Path) -> None:
    beginning, part = REFUSALS[refusal]
    for rank in (0, 1):
        told = (folder / f"{refusal.__name__}_{rank}.txt").read_text()
        assert told.startswith(beginning)
        assert part in told
    if refusal is _folder_lost:
        assert "The first process, which writes the file, failed" in told


def test_a_process_that_is_left_alone_does_not_wait(folder: Path) -> None:
    assert "class numbers from 0 to 2" in (folder / "_left_alone_1.txt").read_text()
    told = (folder / "_left_alone_0.txt").read_text()
    assert told.startswith("RuntimeError: Process 0 could not exchange its counts with the others. Most likely one of")
    # The file of an earlier run is still the whole one.
    found = Calibration.load(folder / "0_found_by_0.json")
    assert Calibration.load(folder / "0_written_by_0.json").classes == found.classes


def test_scores_that_differ_by_rounding_count_once(folder: Path, tmp_path: Path) -> None:
    single = _calibrate([_cases()], tmp_path / "single.json")
    found = [Calibration.load(folder / f"_rounded_in_the_second_{rank}.json") for rank in (0, 1)]
    assert found[0].classes == found[1].classes
    assert found[0].n_images == 12
    for c in (1, 2):
        assert found[0].threshold[c] == pytest.approx(single.threshold[c], rel=0.005)


@pytest.mark.parametrize("share", [_own_function, _one_path])
def test_both_find_the_same(share: Callable[[int, Path], Calibration], folder: Path) -> None:
    one, other = (Calibration.load(folder / f"{share.__name__}_{rank}.json") for rank in (0, 1))
    assert one.classes == other.classes
    assert one.n_images == 12
