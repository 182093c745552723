"""Cells and tables of markdown."""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["aligned_table", "markdown_cell"]


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
    widths = [max(len(cell) for cell in column) for column in zip(heads, *rows, strict=True)]
    lines = [
        "| " + " | ".join(cell.ljust(w) for cell, w in zip(line, widths, strict=True)) + " |" for line in (heads, *rows)
    ]
    rule = "|" + "|".join("-" * (w + 2) for w in widths) + "|"
    return "\n".join([lines[0], rule, *lines[1:]]) + "\n"


def markdown_cell(text: str) -> str:
    r"""A text that does not end its cell.

    Example:
        >>> print(markdown_cell("left|right"))
        left\|right
    """
    return text.replace("|", "\\|")
