"""Tables of units as spreadsheets save them: read, or one sentence with file and encoding."""

from __future__ import annotations

from pathlib import Path

import pytest

from monai_rwcp.folders import read_units

ROWS = [("case", "unit"), ("c1 é", "anna"), ("c2", "Zoë, jr"), ("c3", "3")]
EXPECTED = {"c1 é": "anna", "c2": "Zoë, jr", "c3": "3"}


def table(sign: str, end: str = "\n") -> str:
    return end.join(sign.join(f'"{value}"' if "," in value else value for value in row) for row in ROWS) + end


@pytest.mark.parametrize("sign", [",", ";", "\t"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_tables_that_say_how_they_are_written(sign: str, end: str, encoding: str, tmp_path: Path) -> None:
    path = tmp_path / "units.csv"
    path.write_bytes(table(sign, end).encode(encoding))
    assert read_units(path) == EXPECTED


@pytest.mark.parametrize("encoding", ["utf-16-be"])
def test_utf_16_of_other_computers(encoding: str, tmp_path: Path) -> None:
    path = tmp_path / "units.csv"
    path.write_bytes("\ufeff".encode(encoding) + table(";").encode(encoding))
    assert read_units(path) == EXPECTED


@pytest.mark.parametrize("encoding", ["latin-1", "cp1252", "utf-16-le", "utf-16-be", "utf-32"])
def test_tables_that_do_not(encoding: str, tmp_path: Path) -> None:
    path = tmp_path / "units.csv"
    path.write_bytes(table(",").encode(encoding))
    with pytest.raises(ValueError, match=r"Expected the table '.*units.csv' in UTF-8") as refused:
        read_units(path)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("content", ["case,unit\nc1,a\n".encode("utf-16")[:-1], b"\xff\xfecase,unit\nc1,a\n"])
def test_utf_16_that_is_cut_or_is_none(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "units.csv"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"units.csv' in UTF-8, but it cannot be read so"):
        read_units(path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("case|unit\nc1|anna\n", r"\(or with a semicolon or tab\), but it is 'case\|unit'"),
        ("", "but it is ''"),
        ("case;unit\nc1;\n", "Line 2 of .* has no unit for the case 'c1': fill it in"),
        ("case\tunit\nc1\ta\nc1\tb\n", "Line 3 of .* names the case 'c1' again"),
        ("case,unit\né,a\ne\u0301,b\n", "Line 3 of .* names the case 'é' again"),
        ("case,unit\nc1,a;b\nc2;c\n", "Line 3 of .* has no unit for the case 'c2;c'"),
        ("case,unit\nc1,a\nc2,Roe, Ann\n", "Line 3 of .*more entries than .*double quotes"),
        ("case,unit,unit\nc1,a,b\n", "column 'unit' 2 times"),
    ],
)
def test_other_tables(text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "units.csv"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match=message):
        read_units(path)


def test_empty_columns_at_the_end_of_a_line_are_none(tmp_path: Path) -> None:
    (tmp_path / "units.csv").write_text("case,unit\nc1,a,,\nc2,b, \n\n")
    assert read_units(tmp_path / "units.csv") == {"c1": "a", "c2": "b"}
