"""The report of a run, opened from a file in a real Chromium: it fetches nothing, hides nothing, shuts nobody out."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest

from sidecar.report.render import html
from tests.browser.browser import Browser
from tests.unit.report.test_document import HOSTILE, RECORDS, made

AXE = (files("axe_core_python") / "axe.min.js").read_text(encoding="utf-8")
ALLOWED_LEFT_OVER = 1  # px, of rounding


@pytest.fixture
def page(tmp_path: Path) -> str:
    path = tmp_path / "report.html"
    path.write_text(html.render(made(RECORDS["failing"])), encoding="utf-8")
    return path.as_uri()


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("width", [390, 1280])
def test_it_opens_from_a_file_and_asks_nobody_for_anything(
    browser: Browser, page: str, width: int, *, dark: bool
) -> None:
    browser.open(page, width=width, dark=dark)
    browser.listen()
    assert browser.requests == [page]
    assert browser.console == []
    assert browser.run("return document.querySelectorAll('svg.chart').length") == 8
    assert browser.run("return document.documentElement.scrollWidth - innerWidth") <= ALLOWED_LEFT_OVER
    assert browser.run("return document.images.length + document.scripts.length") == 0
    assert HOSTILE in browser.run("return document.body.innerText")


@pytest.mark.parametrize("dark", [False, True])
def test_nobody_is_shut_out(browser: Browser, page: str, *, dark: bool) -> None:
    """Axe looks at all of it, the details opened, too; contrast in both schemes."""
    browser.open(page, dark=dark)
    browser.run("document.querySelectorAll('details').forEach(one => { one.open = true })")
    browser.driver.set_script_timeout(60)
    browser.driver.execute_script(AXE)
    found: Any = browser.driver.execute_async_script(
        "const done = arguments[arguments.length - 1]; axe.run().then(done, error => done({failed: String(error)}))"
    )
    told = [
        (violation["id"], violation["impact"], violation["nodes"][0]["html"][:200]) for violation in found["violations"]
    ]
    assert told == []
    assert len(found["passes"]) > 10


def test_the_keyboard_reaches_each_group_and_opens_it(browser: Browser, page: str) -> None:
    browser.open(page)
    browser.run("document.querySelector('summary').focus()")
    for kind in ("keyDown", "keyUp"):
        browser.ask("Input.dispatchKeyEvent", type=kind, key="Enter", code="Enter", windowsVirtualKeyCode=13, text="\r")
    assert browser.run("return document.querySelector('details').open")
    reachable = "return [...document.querySelectorAll('summary')].every(one => one.tabIndex === 0)"
    assert browser.run(reachable)


def test_on_paper_it_is_dark_on_white_whatever_the_screen(browser: Browser, page: str) -> None:
    browser.open(page, dark=True)
    dark = {"name": "prefers-color-scheme", "value": "dark"}
    browser.ask("Emulation.setEmulatedMedia", media="print", features=[dark])
    colours = "const style = getComputedStyle(document.body); return [style.color, style.backgroundColor]"
    assert browser.run(colours) == ["rgb(0, 0, 0)", "rgb(255, 255, 255)"]
    printed = browser.ask("Page.printToPDF")
    assert len(printed["data"]) > 20_000
    browser.ask("Emulation.setEmulatedMedia", media="", features=[])
