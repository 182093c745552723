"""A mask narrows what is promised, and everything that carries the promise says so."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from monai_rwcp.conformal import Calibration, LossTable, calibrate, case_loss_table
from monai_rwcp.monitoring import realised_losses


def table(masked: bool, names: str = "a", loss: str = "fnr") -> LossTable:
    generator = torch.Generator().manual_seed(1)
    mask = torch.ones(1, 4, 4)
    mask[..., 2:] = 0
    return LossTable.join(
        case_loss_table(
            torch.softmax(torch.randn(2, 4, 4, generator=generator), dim=0),
            torch.ones(1, 4, 4),
            loss=loss,  # type: ignore[arg-type]
            unit=f"{names}{i}",
            mask=mask if masked else None,
            unit_name="patient",
        )
        for i in range(30)
    )


@pytest.mark.parametrize("loss", ["fnr", "inner"])
def test_the_promise_is_about_voxels_inside_the_mask(loss: str, tmp_path: Path) -> None:
    for masked in (False, True):
        found = calibrate(table(masked, loss=loss), 0.2)
        assert found.counting.masked == masked
        assert ("where only voxels inside the mask count" in found.promise) == masked
        found.save(tmp_path / "calibration.json")
        assert Calibration.load(tmp_path / "calibration.json").promise == found.promise
        table(masked).save(tmp_path / "table.json")
        assert LossTable.load(tmp_path / "table.json").counting.masked == masked


def test_counts_with_and_without_a_mask_do_not_mix() -> None:
    with pytest.raises(ValueError, match=r"`masked` is True for '.+' and False for '.+'\."):
        LossTable.merge([table(True), table(False, "b")])
    for masked in (False, True):
        with pytest.raises(ValueError, match="Expected losses counted"):
            realised_losses(table(masked, "b"), calibrate(table(not masked), 0.2))
        assert realised_losses(table(masked, "b"), calibrate(table(masked), 0.2))
