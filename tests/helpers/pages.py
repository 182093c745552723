"""What stands in the pages of the documentation: blocks of code, commands, links."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").rglob("*.md")])
RUNS = "<!-- runs -->"


@dataclass(frozen=True)
class Block:
    """A fenced block: its language, text, first line in the page, and whether the line above says that it runs."""

    language: str
    text: str
    line: int
    runs: bool


def named(page: Path) -> str:
    return str(page.relative_to(ROOT))


def blocks(page: Path) -> list[Block]:
    found: list[Block] = []
    lines = page.read_text(encoding="utf-8").splitlines()
    start = None
    for number, line in enumerate(lines):
        fence = re.match(r"( *)```(.*)", line)
        if fence is None:
            continue
        if start is None:
            start, indent, language = number, len(fence[1]), fence[2].strip()
        else:
            text = "\n".join(inner[indent:] for inner in lines[start + 1 : number])
            found.append(Block(language, text, start + 2, start > 0 and lines[start - 1].strip() == RUNS))
            start = None
    assert start is None, f"{named(page)}: the block of line {start} does not end"
    return found


def prose(page: Path) -> str:
    """The page without its fenced blocks."""
    return re.sub(r"^ *```.*?^ *```$", "", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)


def commands(block: Block) -> Iterator[list[str]]:
    """The arguments of every `monai-rwcp` of a block of shell lines, the name of the command first."""
    for line in block.text.replace("\\\n", " ").splitlines():
        for part in re.split(r"&&|;|\|", line):
            words = shlex.split(part, comments=True)
            if "-m" in words and "monai_rwcp" in words:
                words = words[words.index("monai_rwcp") :]
            if words and words[0] in ("monai-rwcp", "monai_rwcp"):
                yield words[1:]
