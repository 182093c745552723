"""Parts of the user's own class: no document is written that nothing could read."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch

from monai_rwcp import Calibration, ConformalCalibrationHandler, LossTable, TunedSettings, calibrate
from monai_rwcp.conformal import CustomLoss, FalseNegativeRate, InstanceFalseNegativeRate, case_loss_table
from monai_rwcp.conformal.counting.losses.base import ClassCase, SetLoss
from monai_rwcp.scores import BlurredScore, PlainScore


class Own(FalseNegativeRate):
    """A loss that calls itself something else."""

    name: ClassVar[str] = "own"


class Disguised(FalseNegativeRate):
    """A loss that counts otherwise under a name that is known: it would be read back as another."""

    def count(self, case: ClassCase) -> tuple[torch.Tensor, torch.Tensor | None]:
        counts, _ = super().count(case)
        return 2 * counts, None


@dataclass(frozen=True)
class OwnBlur(BlurredScore):
    """A score of the user's."""


def table(loss: SetLoss) -> LossTable:
    generator = torch.Generator().manual_seed(0)
    label = torch.ones(1, 6, 6, dtype=torch.long)
    return LossTable.join(
        [case_loss_table(torch.rand(2, 6, 6, generator=generator), label, unit=str(i), image=str(i), loss=loss) for i in range(12)]
    )  # fmt: skip


@pytest.mark.parametrize("loss", [Own(), Disguised()])
def test_a_loss_of_ones_own_class_is_not_saved(loss: SetLoss, tmp_path: Path) -> None:
    counted = table(loss)
    found = calibrate(counted, 0.2)
    for document in (counted, found):
        path = tmp_path / "document.json"
        path.write_text("what was there")
        with pytest.raises(
            ValueError, match=rf"The loss {type(loss).__name__}\(.*\) could not be read back.*CustomLoss"
        ):
            document.save(path)
        assert path.read_text() == "what was there"
    with pytest.raises(ValueError, match="could not be read back"):
        ConformalCalibrationHandler(loss=loss, output_path=tmp_path / "calibration.json")
    ConformalCalibrationHandler(loss=loss)


@pytest.mark.parametrize(
    "loss",
    [FalseNegativeRate(), InstanceFalseNegativeRate(0.25), CustomLoss("any voxel", lambda s, t: float((t & ~s).any()))],
)
def test_losses_of_this_package_are_read_back(loss: SetLoss, tmp_path: Path) -> None:
    counted = table(loss)
    counted.save(tmp_path / "table.json")
    assert LossTable.load(tmp_path / "table.json").loss == loss
    calibrate(counted, 0.2).save(tmp_path / "calibration.json")
    assert Calibration.load(tmp_path / "calibration.json").loss == loss


def test_a_score_of_ones_own_class_is_not_saved(tmp_path: Path) -> None:
    settings = TunedSettings(BlurredScore(1.5), ("anna",), "patient", 0.1, "stretch", "it was best")
    path = tmp_path / "settings.json"
    for score in (PlainScore(), BlurredScore(1.5)):
        replace(settings, score=score).save(path)
        assert TunedSettings.load(path).score == score
    with pytest.raises(ValueError, match=r"The score OwnBlur\(.*\) could not be read back"):
        replace(settings, score=OwnBlur(1.5)).save(path)
    assert TunedSettings.load(path).score == BlurredScore(1.5)


DOCUMENTS: dict[str, tuple[Callable[[Path], Any], Callable[[Path], Any]]] = {
    "calibration": (lambda path: calibrate(table(FalseNegativeRate()), 0.2).save(path), Calibration.load),
    "table": (lambda path: table(FalseNegativeRate()).save(path), LossTable.load),
    "settings": (
        lambda path: TunedSettings(PlainScore(), ("anna",), "patient", 0.1, "stretch", "it was best").save(path),
        TunedSettings.load,
    ),
}


@pytest.mark.parametrize("kind", DOCUMENTS)
def test_a_key_that_stands_twice_is_refused(kind: str, tmp_path: Path) -> None:
    write, read = DOCUMENTS[kind]
    path = tmp_path / "document.json"
    write(path)
    text = path.read_text()
    read(path)
    for key in ("format", "digest"):
        value = json.dumps(json.loads(text)[key])
        path.write_text(text.replace("{", f'{{"{key}": {value}, ', 1))
        with pytest.raises(ValueError, match=rf"document\.json' holds the key '{key}' twice"):
            read(path)
    path.write_text("\ufeff" + text)
    read(path)
