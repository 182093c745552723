"""Text in DICOM: what an attribute can hold, and whether it comes back as it was."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from monai_rwcp.dicom.headers import file_of, shown, value
from monai_rwcp.utils.packages import needed

with needed("DICOM needs", "dicom", "pydicom", "highdicom"):
    from pydicom.charset import python_encoding

__all__ = ["LINE", "PARAGRAPH", "PARAGRAPHS", "UTF8", "checked_text", "is_told_in_utf8", "line_of"]

# Characters that an attribute of the kinds LO, ST and LT can hold.
LINE, PARAGRAPH, PARAGRAPHS = 64, 1024, 10240

UTF8 = "ISO_IR 192"
"""The character set that holds all letters."""

_UNTOLD = ("", "ISO_IR 6", "ISO 2022 IR 6")
_TEXT = ("LO", "LT", "PN", "SH", "ST", "UC", "UT")
# What is left of bytes that were not of the character set: replaced ones, and escapes to sets that nobody named.
_UNREAD = re.compile("[\x00-\x08\x0e-\x1f\x7f\ud800-\udfff\ufffd]")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")


def checked_text(text: str, what: str, most: int = LINE) -> str:
    """Give a text without spaces around it, when DICOM can hold it as it is.

    Args:
        text: what is to be written.
        what: what it is, for the message.
        most: number of characters that fit; one line up to `LINE`.

    Raises:
        ValueError: when it is empty or too long, or holds characters that would not come back; the message names it.

    Example:
        >>> checked_text(" heart ", "the label of a segment")
        'heart'
    """
    if not isinstance(text, str) or not 0 < len(text.strip()) <= most:
        raise ValueError(f"Expected {what} of 1 to {most} characters, but got {text!r:.200}.")
    plain = text.strip()
    kept = plain if most <= LINE else re.sub(r"[\t\n\r]", "", plain)
    bad = _CONTROL.search(kept) or re.search("[\ud800-\udfff\ufffd]", kept)
    if bad is None and most <= LINE:
        bad = re.search(r"\\", kept)  # parts one value from the next
    if bad is not None:
        raise ValueError(f"Expected {what} in letters that DICOM can hold, but {plain!r:.200} has {bad[0]!r}.")
    return plain


def line_of(text: str) -> str:
    """Give a text where it fits a line, or else its beginning and where the whole of it stands.

    Example:
        >>> line_of("Walked probability")
        'Walked probability'
        >>> line_of("On average at most 10 % of left ventricle is missed in a new patient who shows it.")
        'On average at most 10 % of left ... (whole: Image Comments)'
    """
    if len(text) <= LINE and not re.search(r"[\\\t\n\r]", text):
        return text
    whole = "(whole: Image Comments)"
    words, line = text.split(), ""
    for word in words:
        if "\\" in word or len(f"{line} {word} ... {whole}") > LINE + 1:
            break
        line += f" {word}"
    return f"{line} ... {whole}".strip()


def is_told_in_utf8(written: Any, own: list[str], source: Any) -> bool:
    """Whether an object that takes over text of an image is to name UTF-8 as its character set.

    It is not only where the image has letters and does not tell their character set, and the object's own text is plain
    ASCII: then none is named, as in the image, and what came is kept byte by byte.

    Args:
        written: the object, with all that it takes over.
        own: the object's own text.
        source: the image.

    Raises:
        ValueError: when text of the image cannot be read in the character set that it names, or in none.
    """
    told = _told(source)
    odd = [(name, text) for name, text in _texts(written) if text not in own and not _is_plain(text)]
    broken = next((name for name, text in odd if _UNREAD.search(text)), None)
    if broken is None and odd and any(name not in python_encoding for name in told):
        broken = odd[0][0]
    if broken is not None:
        raise ValueError(
            f"{broken} of '{file_of(source)}' cannot be read in its character set, {shown('/'.join(told))}. Correct "
            "SpecificCharacterSet of the source images, or convert them to UTF-8 (ISO_IR 192)."
        )
    if not odd or any(name not in _UNTOLD for name in told):
        return True
    foreign = next((text for text in own if not text.isascii()), None)
    if foreign is not None:
        raise ValueError(
            f"{odd[0][0]} of '{file_of(source)}' has letters beyond ASCII, but the image names no character set for "
            f"them, so that {foreign!r:.100} cannot stand beside them. Correct SpecificCharacterSet of the source "
            "images, or write in ASCII."
        )
    return False


def _told(source: Any) -> list[str]:
    found = value(source, "SpecificCharacterSet")
    several = hasattr(found, "append")
    return [str(name or "").strip() for name in (found if several else [found])]


def _texts(dataset: Any) -> Iterator[tuple[str, str]]:
    for element in dataset.iterall():
        if element.VR in _TEXT and element.value is not None:
            several = hasattr(element.value, "append")
            yield from ((element.name, str(text)) for text in (element.value if several else [element.value]))


def _is_plain(text: str) -> bool:
    return text.isascii() and not _UNREAD.search(text)
