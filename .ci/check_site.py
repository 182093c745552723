"""Checks a built site: links lead somewhere, nothing is loaded from another host, the search finds a word."""

from __future__ import annotations

import json
import re
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

# What a browser loads by itself; links that people follow are no part of it.
_LOADED = {"script": "src", "link": "href", "img": "src", "iframe": "src", "source": "src", "video": "src"}
_ELSEWHERE = re.compile(r"(?:[a-z]+:)?//", re.IGNORECASE)


class _Page(HTMLParser):
    """What a page names: ids, links, and what it loads."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.ids: set[str] = set()
        self.links: set[str] = set()
        self.loaded: set[str] = set()
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value for name, value in attrs if value is not None}
        if "id" in given:
            self.ids.add(given["id"])
        if tag == "a" and "href" in given:
            self.links.add(given["href"])
        if (source := given.get(_LOADED.get(tag, ""))) is not None and given.get("rel") != "canonical":
            self.loaded.add(source)


def problems(site: Path) -> list[str]:
    """Say what is wrong with a site.

    Args:
        site: the folder with its `index.html`.
    """
    pages = {path.resolve(): _Page(path) for path in sorted(site.rglob("*.html"))}
    found = [] if pages else [f"no pages in {site}"]
    for path, page in pages.items():
        where = path.relative_to(site.resolve())
        for source in page.loaded:
            if _ELSEWHERE.match(source):
                found.append(f"{where} loads {source}")
            elif not source.startswith("data:") and not _target(path, source).is_file():
                found.append(f"{where} loads {source}, which is not there")
        for link in page.links:
            if _ELSEWHERE.match(link) or link.startswith("mailto:"):
                continue
            target, part = _target(path, link), unquote(urlsplit(link).fragment)
            if not target.is_file():
                found.append(f"{where} links to {link}, which is not there")
            elif part and target in pages and part not in pages[target].ids:
                found.append(f"{where} links to {link}: no such part")
    for style in sorted(site.rglob("*.css")):
        found += [
            f"{style.relative_to(site)} loads {url}"
            for url in re.findall(r"(?:url\(\s*['\"]?|@import\s+['\"])([^)'\"]+)", style.read_text(encoding="utf-8"))
            if _ELSEWHERE.match(url)
        ]
    return found + _search_problems(site)


def _target(page: Path, link: str) -> Path:
    path = unquote(urlsplit(link).path)
    return (page.parent / path).resolve() if path else page


def _search_problems(site: Path) -> list[str]:
    index = site / "searchindex.js"
    if not index.is_file():
        return ["no searchindex.js"]
    text = index.read_text(encoding="utf-8")
    found = json.loads(text[text.index("(") + 1 : text.rindex(")")])
    pages = found["terms"].get("exchang", [])
    if not pages or not (site / "search.html").is_file():
        return ["the search does not find 'exchangeable'"]
    return []


def main() -> None:
    """Check the site in the folder that is named, and end with 1 where something is wrong."""
    found = problems(Path(sys.argv[1]))
    print("\n".join(found) or f"{sys.argv[1]}: every link leads somewhere, nothing is loaded from elsewhere.")
    sys.exit(bool(found))


if __name__ == "__main__":
    main()
