"""Loss tables on disk, and merging those of separate sites."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner

from monai_rwcp.cli import main
from monai_rwcp.conformal import LossTable, calibrate, false_negative_rate_table
from monai_rwcp.provenance import ScoreRecord
from monai_rwcp.utils.json_documents import digest


def site(name: str, n: int, slices: int = 2, **options: object) -> LossTable:
    generator = torch.Generator().manual_seed(sum(map(ord, name)))
    tables = []
    for i in range(n * slices):
        score = torch.softmax(2 * torch.randn(3, 9, 9, generator=generator), dim=0)
        label = torch.randint(0, 3, (1, 9, 9), generator=generator)
        unit = f"{name} {i // slices}"
        tables.append(
            false_negative_rate_table(score, label, unit=unit, image=f"{unit} slice {i % slices}", **options)  # type: ignore[arg-type]
        )
    return LossTable.join(tables)


def same(one: LossTable, other: LossTable) -> None:
    for name in ("n_channels", "classes", "counting", "unit_name", "level_grid", "provenance", "units"):
        assert getattr(one, name) == getattr(other, name)
    assert sorted(one.images) == sorted(other.images)
    for c in one.classes:
        np.testing.assert_array_equal(one.missed(c, by_image=True), other.missed(c, by_image=True))
    for name, image in one.images.items():
        assert image.true_voxels == other.images[name].true_voxels


def test_what_is_saved_is_loaded(tmp_path: Path) -> None:
    table = site("north", 3, unit_name="patient")
    table.save(tmp_path / "a.json")
    same(LossTable.load(tmp_path / "a.json"), table)
    # No score and no label is in it: a few numbers a voxel level, and names.
    assert set(json.loads((tmp_path / "a.json").read_text())["images"]["north 0 slice 0"]) == {
        "unit",
        "group",
        "shift_weight",
        "true",
        "false",
        "true_voxels",
    }


def test_merged_tables_calibrate_as_one_site_would(tmp_path: Path) -> None:
    north, south = site("north", 7), site("south", 9)
    whole = LossTable.join([south, north])
    for name, table in (("north", north), ("south", south)):
        table.save(tmp_path / f"{name}.json")
    arguments = [
        "merge",
        str(tmp_path / "north.json"),
        str(tmp_path / "south.json"),
        "--out",
        str(tmp_path / "all.json"),
    ]
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 0, result.output
    assert "16 images with 32 images of 2 tables" in result.output
    merged = LossTable.load(tmp_path / "all.json")
    same(merged, whole)
    assert calibrate(merged, 0.2).classes == calibrate(whole, 0.2).classes
    again = CliRunner().invoke(main, arguments)
    assert again.exit_code != 0
    assert "exists" in again.output


def test_a_table_is_not_merged_with_itself() -> None:
    with pytest.raises(ValueError, match="given twice"):
        LossTable.merge([site("north", 3), site("north", 3)])


def test_shared_units_have_to_be_meant() -> None:
    table = site("north", 3)
    names = sorted(table.images)
    parts = [
        LossTable(3, (1, 2), {n: table.images[n] for n in names[start::2]}, provenance=table.provenance)
        for start in (0, 1)
    ]
    with pytest.raises(ValueError, match=r"north 0.*shared_units=True"):
        LossTable.merge(parts)
    same(LossTable.merge(parts, shared_units=True), table)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"label_mode": "index", "include_background": True}, "classes"),
        ({"unit_name": "scan"}, "unit_name"),
        ({"provenance": ScoreRecord("abc")}, "not made in one way"),
    ],
)
def test_tables_of_another_kind_are_not_merged(options: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        LossTable.merge([site("north", 3), site("south", 3, **options)])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda d: d.update(format="x"), "something else"),
        (lambda d: d.update(version=9), "version 9, but this monai_rwcp reads version 2"),
        (
            lambda d: d.update(version=1),
            r"loss table that monai_rwcp 0\.1 wrote \(version 1\).* make it anew with Conformal",
        ),
        (lambda d: d["images"]["n 0 slice 0"].update(unit="b"), "changed after it was written"),
    ],
)
def test_files_that_are_no_whole_table(change, message: str, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    site("n", 2).save(tmp_path / "a.json")
    document = json.loads((tmp_path / "a.json").read_text())
    change(document)
    (tmp_path / "a.json").write_text(json.dumps(document))
    with pytest.raises(ValueError, match=message):
        LossTable.load(tmp_path / "a.json")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda d: d.update(level_grid="even-100"), "even-100"),
        (lambda d: d["images"]["n 0 slice 0"]["true"]["1"].update(counts=[-1]), "class 1"),
        (lambda d: d["images"]["n 0 slice 0"]["true"]["2"].update(levels=[5, 4]), "class 2"),
        (lambda d: d["images"]["n 0 slice 0"].pop("unit"), "lacks a field"),
        (lambda d: d["images"]["n 0 slice 0"].pop("true_voxels"), "lacks a field"),
        (lambda d: d["images"]["n 0 slice 0"]["true_voxels"].pop("2"), "lacks a field"),
        (lambda d: d["images"]["n 0 slice 0"]["true_voxels"]["2"].update(at_zero=10**6), "class 2: 1000000 of"),
        (lambda d: d["images"]["n 0 slice 0"]["true_voxels"]["2"].update(at_zero=-1), "class 2: -1 of"),
        (
            lambda d: d["images"]["n 0 slice 0"]["true_voxels"]["2"].update(all=7.5),
            "all is 7.5, which is no whole number",
        ),
        (lambda d: d["images"]["n 0 slice 0"]["true_voxels"]["2"].pop("at_zero"), "lacks a field"),
        (lambda d: d["counting"].update(label_mode="maybe"), "label_mode"),
        (lambda d: d["counting"].update(masked="no"), "masked"),
        (lambda d: d["counting"].pop("empty"), "lacks a field"),
    ],
)
def test_tables_made_wrong_are_refused(change, message: str, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    site("n", 2).save(tmp_path / "a.json")
    document = json.loads((tmp_path / "a.json").read_text())
    change(document)
    document["digest"] = digest(document)
    (tmp_path / "a.json").write_text(json.dumps(document))
    with pytest.raises(ValueError, match=message):
        LossTable.load(tmp_path / "a.json")


def test_absent_and_damaged_files(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no loss table at.*LossTable.save"):
        LossTable.load(tmp_path / "none.json")
    (tmp_path / "half.json").write_text('{"format":')
    with pytest.raises(ValueError, match="damaged"):
        LossTable.load(tmp_path / "half.json")
    (tmp_path / "half.json").write_text("{}")
    result = CliRunner().invoke(main, ["merge", str(tmp_path / "half.json"), "--out", str(tmp_path / "o.json")])
    assert result.exit_code != 0
    assert "something else" in result.output
    assert not (tmp_path / "o.json").exists()
