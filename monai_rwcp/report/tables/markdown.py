"""Tables of markdown."""

from __future__ import annotations

from collections.abc import Sequence

from monai_rwcp.utils.shown_text import markdown_text

__all__ = ["aligned_table"]


def aligned_table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Lay cells out as a table whose columns are aligned, to be read as it is.

    Args:
        heads: of the columns.
        rows: a cell for each of them.

    Returns:
        the text, ending in a line break.

    Example:
        >>> print(aligned_table(["class", "n"], [["left ventricle", "12"]]))
        | class          | n  |
        |----------------|----|
        | left ventricle | 12 |
        <BLANKLINE>
    """
    heads, rows = list(map(markdown_text, heads)), [list(map(markdown_text, row)) for row in rows]
    widths = [max(len(cell) for cell in column) for column in zip(heads, *rows, strict=True)]
    lines = [
        "| " + " | ".join(cell.ljust(w) for cell, w in zip(line, widths, strict=True)) + " |" for line in (heads, *rows)
    ]
    rule = "|" + "|".join("-" * (w + 2) for w in widths) + "|"
    return "\n".join([lines[0], rule, *lines[1:]]) + "\n"
