"""Runs the gallery's examples and keeps their pictures: `python -m docs.gallery.make [NAME ...]`, all by default.

An example leaves `NAME.png`, or a page `NAME.html` that a browser photographs, in the folder it runs in.
"""

from __future__ import annotations

import contextlib
import io
import os
import runpy
import sys
import tempfile
from pathlib import Path

from PIL import Image

EXAMPLES, PICTURES = (Path(__file__).parent / name for name in ("examples", "pictures"))
MOST_BYTES = 80_000

# Of each page: its width, and the elements from which and up to which a part of it is shown.
_PAGES = {
    "calibration": (560, {"calibration": ("html", "table")}),
    "report": (
        960,
        {"report": ("html", "figure"), "report_charts": ("h3", ".charts"), "report_case": (".legend", ".cases")},
    ),
}
_TOP, _BOTTOM = (f"document.querySelector('{{}}').getBoundingClientRect().{side}" for side in ("top - 8", "bottom + 8"))


def run(name: str, folder: Path) -> Path:
    """Run one example in a folder.

    Args:
        name: of the example.
        folder: where it leaves what it makes.

    Returns:
        the picture or page that it left.
    """
    with contextlib.chdir(folder), contextlib.redirect_stdout(io.StringIO()):
        runpy.run_path(str(EXAMPLES / f"{name}.py"))
    return folder / (f"{name}.html" if name in _PAGES else f"{name}.png")


def keep(made: Path) -> list[Path]:
    """Keep a picture, or the parts of a page that are shown, each with as many colours as make a small file.

    Args:
        made: a PNG or HTML file.

    Returns:
        the kept pictures.

    Raises:
        ValueError: when one would be larger than 80 kB in 24 colours, too.
    """
    pictures = _photographs(made) if made.suffix == ".html" else {made.stem: Image.open(made)}
    return [_small(picture.convert("RGB"), PICTURES / f"{name}.png") for name, picture in pictures.items()]


def _small(picture: Image.Image, kept: Path) -> Path:
    for n_colours in (None, 256, 96, 48, 24):
        file = io.BytesIO()
        # Median cut would give up colours of few pixels, which are those that matter.
        fewer = picture if n_colours is None else picture.quantize(n_colours, Image.Quantize.MAXCOVERAGE)
        fewer.save(file, "png", optimize=True)
        if file.tell() <= MOST_BYTES:
            kept.write_bytes(file.getvalue())
            return kept
    raise ValueError(f"'{kept.name}' has {file.tell()} bytes in 24 colours. Draw less, or with fewer dots per inch.")


def _photographs(page: Path) -> dict[str, Image.Image]:
    from tests.helpers.chromium_tab import Browser

    width, parts = _PAGES[page.stem]
    browser = Browser(page.parent / "browser")
    try:
        browser.open(page, width=width)
        edges = {
            name: [browser.run(_TOP.format(first)), browser.run(_BOTTOM.format(last))]
            for name, (first, last) in parts.items()
        }
        whole = Image.open(io.BytesIO(browser.picture()))
    finally:
        browser.close()
    return {name: whole.crop((0, max(0, int(top)), width, int(bottom))) for name, (top, bottom) in edges.items()}


def main(names: list[str]) -> None:
    """Make the pictures of the examples that are named."""
    # More threads add the same numbers in another order.
    os.environ["OMP_NUM_THREADS"] = "1"
    PICTURES.mkdir(exist_ok=True)
    for name in names or sorted(path.stem for path in EXAMPLES.glob("*.py")):
        with tempfile.TemporaryDirectory() as folder:
            for kept in keep(run(name, Path(folder))):
                print(f"{kept}: {kept.stat().st_size / 1e3:.0f} kB")


if __name__ == "__main__":
    main(sys.argv[1:])
