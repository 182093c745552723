"""Reading the table of which case is whose, as spreadsheets save it."""

from __future__ import annotations

import codecs
import csv
import io
import unicodedata
from pathlib import Path

from monai_rwcp.utils.names import name_as_text

__all__ = ["read_units"]

_COLUMNS = {"case", "unit"}
_MARKED = {codecs.BOM_UTF8: "utf-8-sig", codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}


def read_units(path: Path) -> dict[str, str]:
    """Read which unit each case belongs to.

    Args:
        path: a table with the columns ``case`` and ``unit``, in UTF-8, or in UTF-16 with its mark at the beginning,
            with commas, semicolons or tabs.

    Raises:
        FileNotFoundError: when it is not there.
        ValueError: when it is in another encoding, has other columns, one of them twice, an empty entry, more entries
            in a line than columns, a unit that is no name, or names a case twice.
    """
    text = _text(path)
    # Two columns of these names come out by one sign at most.
    readers = [csv.DictReader(io.StringIO(text, newline=""), delimiter=sign) for sign in ",;\t"]
    owner: dict[str, str] = {}
    try:
        reader = next((reader for reader in readers if set(reader.fieldnames or ()) >= _COLUMNS), None)
        if reader is None:
            raise ValueError(
                f"Expected the first line of '{path}' to be 'case,unit' (or with a semicolon or tab), but it is "
                f"{text.partition(chr(10))[0].strip()!r:.200}."
            )
        heads = list(reader.fieldnames or ())
        twice = [name for name in sorted(_COLUMNS) if heads.count(name) > 1]
        if twice:
            raise ValueError(f"'{path}' has the column '{twice[0]}' {heads.count(twice[0])} times. Keep the right one.")
        for row in reader:
            # Of a name with a comma in it, without quotes, the first half would be taken.
            if any(cell.strip() for cell in row.get(None) or ()):
                raise ValueError(
                    f"Line {reader.line_num} of '{path}' has more entries than there are columns: {[*row.values()]}. "
                    "Put names with such a sign in them into double quotes."
                )
            case, unit = ((row[name] or "").strip() for name in ("case", "unit"))
            case = unicodedata.normalize("NFC", case)
            where = f"ine {reader.line_num} of '{path}'"
            if not case or not unit or case in owner:
                lacks = (
                    f"has no {'unit' if case else 'case'}{f' for the case {case!r:.80}' if case else ''}: fill it in"
                )
                what = f"names the case '{case}' again: keep one line a case" if case in owner else lacks
                raise ValueError(f"L{where} {what}.")
            owner[case] = name_as_text(unit, f"'unit' in l{where}")
    except csv.Error as error:
        raise ValueError(f"'{path}' cannot be read as a table: {error}.") from error
    return owner


def _text(path: Path) -> str:
    content = path.read_bytes()
    encoding = next((name for mark, name in _MARKED.items() if content.startswith(mark)), "utf-8")
    try:
        text = content.decode(encoding)
        if "\0" in text:
            raise ValueError("there are signs of the number 0 in it, as of UTF-16 without its mark")
    except ValueError as error:
        raise ValueError(
            f"Expected the table '{path}' in UTF-8, but it cannot be read so: {error}. Save it once more as CSV in "
            "UTF-8."
        ) from error
    return text
