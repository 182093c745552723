"""Names and texts that others wrote, made fit for where they are shown: one function a medium."""

from __future__ import annotations

import html
import re
import unicodedata

__all__ = ["as_seen", "figure_text", "hidden_character", "html_text", "markdown_text", "one_line", "terminal_text"]

# Joiners are letters' business in some scripts.
_WANTED = "\u200c\u200d"
_MARKDOWN = re.compile(r"([\\|<`*\[\]])")


def hidden_character(text: str) -> str | None:
    r"""The first character that moves the cursor, ends a line, or turns or hides what is written, None without one.

    Example:
        >>> hidden_character("heart"), hidden_character("heart\nlung")
        (None, '\n')
    """
    return next((letter for letter in text if _is_hidden(letter)), None)


def as_seen(text: str) -> str:
    r"""A text as a reader tells it from others: composed letters, no joiners, and single spaces.

    Example:
        >>> as_seen(" left  u\u0308ber\u200d")
        'left über'
    """
    composed = unicodedata.normalize("NFC", text)
    return " ".join("".join(letter for letter in composed if letter not in _WANTED).split())


def one_line(text: str) -> str:
    r"""A text on one line, in which hidden characters are written out.

    Example:
        >>> print(one_line("heart\nlung"))
        heart\nlung
    """
    return "".join(_written_out(letter) if _is_hidden(letter) else letter for letter in text)


def terminal_text(text: str) -> str:
    r"""A text for a terminal: its lines stay, anything that would steer the terminal is written out.

    Example:
        >>> print(terminal_text("\x1b[2Jone\ntwo"))
        \x1b[2Jone
        two
    """
    return "\n".join(map(one_line, text.split("\n")))


def html_text(text: str) -> str:
    """A text for HTML, also within quotes.

    Example:
        >>> html_text("a<b")
        'a&lt;b'
    """
    return html.escape(one_line(text))


def markdown_text(text: str) -> str:
    r"""A text for markdown, also for a cell of a table: no end of the cell, no HTML, no links, no code.

    Example:
        >>> print(markdown_text("left|<b>right"))
        left\|\<b>right
    """
    return _MARKDOWN.sub(r"\\\1", one_line(text))


def figure_text(text: str) -> str:
    r"""A text for matplotlib: not a formula, whatever signs are in it.

    Example:
        >>> print(figure_text("$x"))
        \$x
    """
    return one_line(text).replace("$", r"\$")


def _is_hidden(letter: str) -> bool:
    return unicodedata.category(letter) in ("Cc", "Cf", "Cs", "Zl", "Zp") and letter not in _WANTED


def _written_out(letter: str) -> str:
    return letter.encode("unicode_escape").decode()
