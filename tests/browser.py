"""Headless Chromium for tests: pages of a report as a reader opens them, with what the console and the network saw."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from immunolab.report.pdf import _program


@dataclass
class Opened:
    """A page with its console errors and requests."""

    page: object
    problems: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)


@contextmanager
def chromium() -> Iterator[object]:
    """Give a running Chromium, or skip where none is installed."""
    program = _program()
    if program is None:
        pytest.skip("no Chromium is installed (Debian: apt install chromium)")
    from playwright.sync_api import sync_playwright

    root = ["--no-sandbox"] if os.geteuid() == 0 else []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=root)
        yield browser
        browser.close()


@contextmanager
def opened(browser, path: Path, width: int = 1400, height: int = 900, at: str = "") -> Iterator[Opened]:
    """Give a file as the browser shows it; the page itself is no request."""
    page = browser.new_page(viewport={"width": width, "height": height}, accept_downloads=True)
    seen = Opened(page)
    page.on("console", lambda said: seen.problems.append(said.text) if said.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: seen.problems.append(str(error)))
    page.on("request", lambda one: seen.requests.append(one.url))
    page.goto(path.as_uri() + at)
    seen.requests = [url for url in seen.requests if not url.startswith((path.as_uri(), "data:"))]
    yield seen
    page.close()


def serious(page, within: str = "") -> list[str]:
    """Return the accessibility violations of axe-core that are serious or critical, of a page or a part of it."""
    from axe_playwright_python.sync_playwright import Axe

    found = Axe().run(page, context=within or None).response["violations"]
    grave = [one for one in found if one["impact"] in ("serious", "critical")]
    return [f"{one['id']}: {one['nodes'][0]['html'][:200]}" for one in grave]


def first_screen(page) -> list[str]:
    """Return what the screen that opens shows whole: the study, the first endpoint's sentence, its figure."""
    places = {"h1": "h1", "sentence": "#answer .answer p:not(.stamp)", "figure": "#answer .answer img"}
    whole = """(selector) => {
        const box = document.querySelector(selector)?.getBoundingClientRect();
        return Boolean(box && box.width > 100 && box.top >= 0 && box.bottom <= innerHeight && box.right <= innerWidth);
    }"""
    return [name for name, selector in places.items() if page.evaluate(whole, selector)]
