"""README.md for a place that does not have the repository beside it, such as a package index: its links made absolute.

python .ci/absolute_links.py README.md REPOSITORY TAG > README.absolute.md

REPOSITORY is the address of the repository at its host, TAG what is checked out. Pages are linked as `/blob/`, folders
as `/tree/` and pictures as `/raw/` of it, as the usual hosts have them. A link to what is not there is an error.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path
from urllib.parse import quote, unquote

__all__ = ["absolute_links"]

# Code is left as it is: fenced blocks, then spans.
_CODE = re.compile(
    r"^ {0,3}(`{3,}|~{3,})[^\n]*\n.*?(?:^ {0,3}\1[`~]*[ \t]*$|\Z)|(?<!`)(`+)(?!`)[^\n]*?(?<!`)\2(?!`)",
    re.MULTILINE | re.DOTALL,
)
_LINKS = (
    # [text](target "title") and ![alt](target), also one within the other; the target may stand in <>.
    re.compile(r"(?P<before>\]\(\s*<?)(?P<target>[^()<>\s]+)(?P<after>>?(?:\s+(?:\"[^\"]*\"|'[^']*'))?\s*\))"),
    # [name]: target
    re.compile(r"(?P<before>^ {0,3}\[[^\]\n]+\]:\s*<?)(?P<target>[^<>\s]+)(?P<after>)", re.MULTILINE),
    # <img src="target">, <a href="target">
    re.compile(r"(?P<before><[^<>]*?\b(?:src|href|srcset)\s*=\s*[\"'])(?P<target>[^\"']+)(?P<after>[\"'])"),
)
_ELSEWHERE = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:|//|#")
_PICTURES = (".gif", ".jpeg", ".jpg", ".png", ".svg", ".webp")


def absolute_links(text: str, repository: str, tag: str, root: Path) -> str:
    """Make the relative links of a page at the root of a repository absolute.

    Args:
        text: the page, in markdown.
        repository: address of the repository at its host.
        tag: tag, branch or commit that the links lead to.
        root: the repository here, in which their targets have to be.

    Raises:
        FileNotFoundError: when one is not; the message names all such links.

    Example:
        >>> absolute_links("[here](#here), [licence](LICENSE)", "https://example.org/us/it", "v1", Path("."))
        '[here](#here), [licence](https://example.org/us/it/blob/v1/LICENSE)'
    """
    base, missing = repository.rstrip("/"), []

    def absolute(found: re.Match[str]) -> str:
        target = found["target"]
        if _ELSEWHERE.match(target):
            return found[0]
        path, mark, place = target.partition("#")
        there = (root / unquote(path)).resolve()
        if not there.exists() or not there.is_relative_to(root.resolve()):
            missing.append(target)
            return found[0]
        kind = "tree" if there.is_dir() else "raw" if there.suffix.lower() in _PICTURES else "blob"
        lies = quote(there.relative_to(root.resolve()).as_posix()) + "/" * path.endswith("/")
        return f"{found['before']}{base}/{kind}/{quote(tag, safe='')}/{lies}{mark}{place}{found['after']}"

    def in_prose(prose: str) -> str:
        for links in _LINKS:
            prose = links.sub(absolute, prose)
        return prose

    parts, end = [], 0
    for code in _CODE.finditer(text):
        parts += [in_prose(text[end : code.start()]), code[0]]
        end = code.end()
    made = "".join([*parts, in_prose(text[end:])])
    if missing:
        raise FileNotFoundError(f"Links of the page lead to nothing in '{root}': {', '.join(missing)}. Correct them.")
    return made


if __name__ == "__main__":
    if len(sys.argv) != 4:
        raise SystemExit("Usage: python .ci/absolute_links.py README.md REPOSITORY TAG")
    page = Path(sys.argv[1])
    made = absolute_links(page.read_text(encoding="utf-8"), sys.argv[2], sys.argv[3], page.parent)
    sys.stdout.buffer.write(made.encode())
