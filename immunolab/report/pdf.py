"""The page as a PDF: printed by Chromium where one is installed, else by WeasyPrint; the same page, the same bytes."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from importlib.util import find_spec
from itertools import chain
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal, get_args

from immunolab.errors import InputError, Problem, unknown_words
from immunolab.schema.files import write_atomically

Printer = Literal["chromium", "weasyprint"]
PRINTERS: tuple[Printer, ...] = get_args(Printer)
_PROGRAMS = ("chromium", "chromium-browser", "google-chrome-stable", "google-chrome", "chrome", "msedge")
_ELSEWHERE = (  # where installers put it without adding it to the search path
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
    "C:/Program Files/Google/Chrome/Application/chrome.exe",
    "C:/Program Files (x86)/Microsoft/Edge/Application/msedge.exe",
)
_OFFLINE = (  # Chromium by itself asks for updates; a report needs no network
    "--headless",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--host-resolver-rules=MAP * ~NOTFOUND",
    "--no-pdf-header-footer",
)
_LONGEST = 600  # seconds for printing (judgement: a page of 40 patients takes under 30)
PDF_HINT = "install Chromium (Debian: apt install chromium), or pip install 'immunolab[pdf]' for WeasyPrint"
_TIMES = re.compile(rb"/(CreationDate|ModDate) \(D:\d{14}")
_ELEMENT = re.compile(rb"\(node(\d{8})\)")
_LINK_AWAY = re.compile(r' href="(?!#)[^"]*"')


def write_pdf(page: Path, path: Path, printer: Printer | None = None) -> Printer:
    """Print a report's page as PDF and return what printed it.

    Parameters
    ----------
    page
        ``report.html``.
    path
        Where to; replaced if it exists.
    printer
        ``chromium`` or ``weasyprint``; by default Chromium, as it prints the page as it is seen, else WeasyPrint.

    Returns
    -------
    str
        ``chromium`` or ``weasyprint``.

    Raises
    ------
    InputError
        Neither is installed, or printing failed.
    """
    if printer is not None and (unknown := unknown_words(printer=(printer, PRINTERS))):
        raise InputError(unknown)
    installed = printers()
    chosen = printer or next(iter(installed), None)
    if chosen is None or chosen not in installed:
        raise InputError(
            Problem(str(path), "", f"nothing to print with: {chosen or 'no printer'} is not installed", PDF_HINT)
        )
    # Links to files beside the page would have this machine's folders in them.
    html = _LINK_AWAY.sub("", page.read_text(encoding="utf-8"))
    write_atomically(
        path, lambda part: part.write_bytes(_chromium(html) if chosen == "chromium" else _weasyprint(html))
    )
    return chosen


def printers() -> list[Printer]:
    """Return what could print a page here, in the order it is taken."""
    there = {"chromium": _program() is not None, "weasyprint": find_spec("weasyprint") is not None}
    return [name for name in PRINTERS if there[name]]


def _program() -> str | None:
    on_path = filter(None, map(shutil.which, _PROGRAMS))
    return next(chain(on_path, filter(os.path.exists, _ELSEWHERE)), None)


def _chromium(html: str) -> bytes:
    with TemporaryDirectory(prefix="immunolab-pdf-") as name:
        folder = Path(name)
        (folder / "report.html").write_text(html, encoding="utf-8")
        printed = folder / "report.pdf"
        root = ("--no-sandbox",) if getattr(os, "geteuid", lambda: 1)() == 0 else ()  # Chromium refuses root without it
        words = [
            str(_program()),
            *_OFFLINE,
            *root,
            f"--user-data-dir={folder / 'profile'}",
            f"--print-to-pdf={printed}",
            (folder / "report.html").as_uri(),
        ]
        try:
            done = subprocess.run(words, capture_output=True, text=True, timeout=_LONGEST, check=False)
        except (OSError, subprocess.TimeoutExpired) as error:
            raise InputError(Problem(words[0], "", f"could not print the page: {error}", PDF_HINT)) from error
        if not printed.exists():
            text = done.stderr.strip().splitlines()[-1:] or [f"exit code {done.returncode}"]
            raise InputError(Problem(words[0], "", f"could not print the page: {text[0]}", PDF_HINT))
        return _same_each_time(printed.read_bytes())


def _same_each_time(printed: bytes) -> bytes:
    """Return a PDF of Chromium with a fixed time, and its elements numbered from 1 (in a browser they go on counting).

    Numbers keep their order and their width, so that every place in the file stays what the file says it is.
    """
    places = {number: place for place, number in enumerate(sorted(set(_ELEMENT.findall(printed))), start=1)}
    numbered = _ELEMENT.sub(lambda found: b"(node%08d)" % places[found.group(1)], printed)
    return _TIMES.sub(rb"/\1 (D:19800101000000", numbered)


def _weasyprint(html: str) -> bytes:
    try:
        from weasyprint import HTML
    except OSError as error:  # its libraries of the system (Pango) are not there
        raise InputError(Problem("weasyprint", "", f"cannot be used: {error}", PDF_HINT)) from error
    return bytes(HTML(string=html, base_url=None).write_pdf())
