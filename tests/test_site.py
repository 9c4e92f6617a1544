"""The documentation site: built without a warning, complete, and loading nothing from elsewhere."""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest
import yaml
from browser import chromium, opened
from builders import REPOSITORY

import immunolab as il
from immunolab import cli
from immunolab.schema import flags, pages

_LOADS = {"script": "src", "img": "src", "iframe": "src", "source": "src", "video": "src", "link": "href"}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of the built site: the one that .ci/run has built, else built now with warnings as errors."""
    if built := os.environ.get("IMMUNOLAB_SITE"):
        return Path(built)
    pytest.importorskip("sphinx", reason='the site needs pip install ".[docs]"')
    out = tmp_path_factory.mktemp("site")
    words = [sys.executable, "-m", "sphinx", "-q", "-W", "--keep-going", "-b", "html", "docs", str(out)]
    done = subprocess.run(words, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return out


def test_every_public_name_has_its_entry(site: Path) -> None:
    from sphinx.util.inventory import InventoryFile

    with (site / "objects.inv").open("rb") as file:
        found = {name for kind in InventoryFile.load(file, "", os.path.join).values() for name in kind}
    drawing = getattr(il, "pl", None)
    wanted = {f"immunolab.{name}" for name in il.__all__ if name != "pl"}
    wanted |= {f"{drawing.__name__}.{name}" for name in getattr(drawing, "__all__", ())}
    assert wanted - found == set()


def _words(page: Path) -> str:
    class Reader(HTMLParser):
        text = ""

        def handle_data(self, data: str) -> None:
            self.text += data

    reader = Reader()
    reader.feed(page.read_text(encoding="utf-8"))
    return reader.text


def test_every_command_has_its_section_and_every_flag_its_row(site: Path) -> None:
    words = _words(site / "generated" / "commands.html")
    parser = cli._parser()
    (commands,) = (action for action in parser._actions if isinstance(action, argparse._SubParsersAction))
    missing = [
        f"{name} {option}"
        for name, one in commands.choices.items()
        for option in ("", *(o for action in one._actions for o in action.option_strings))
        if (option or f"immunolab {name} ") not in words
    ]
    assert missing == []


def test_every_table_column_and_flag_is_on_its_page(site: Path) -> None:
    words = _words(site / "tables.html")
    columns = {column.name for _, topic in pages._TOPICS for table in topic.TABLES for column in table.columns}
    assert {name for name in columns if name not in words} == set()
    words = _words(site / "flags.html")
    assert [flag.value for flag in (*flags.Flag, *flags.Check, *flags.Code) if flag.value not in words] == []


def test_pages_load_nothing_from_elsewhere(site: Path) -> None:
    foreign = []

    class Reader(HTMLParser):
        def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
            named = dict(attributes)
            if tag == "link" and named.get("rel") not in ("stylesheet", "icon", "preload", "shortcut icon"):
                return  # where a page belongs, which no browser fetches
            if re.match(r"(https?:)?//", named.get(_LOADS.get(tag, ""), "") or ""):
                foreign.append((page.name, tag, named))

    for page in site.rglob("*.html"):
        Reader().feed(page.read_text(encoding="utf-8"))
    styles = [
        file.name
        for file in site.rglob("*.css")
        if re.search(r"(@import\s+|url\()[\"']?(https?:)?//", file.read_text())
    ]
    assert foreign == []
    assert styles == []


@pytest.mark.parametrize("width", [1400, 420])
def test_pages_fit_the_screen_and_ask_no_network(site: Path, width: int) -> None:
    with chromium() as browser:
        for name in ("index.html", "quick_tour.html", "generated/api.html", "generated/commands.html", "tables.html"):
            with opened(browser, site / name, width=width) as found:
                assert found.page.evaluate("document.documentElement.scrollWidth <= innerWidth"), name
                assert [one for one in found.requests if not one.startswith("file:")] == [], name
                assert found.problems == [], name


def test_the_citation_names_this_version_and_has_what_its_format_requires() -> None:
    citation = yaml.safe_load((REPOSITORY / "CITATION.cff").read_text(encoding="utf-8"))
    assert {"cff-version", "message", "title", "authors"} <= set(citation)  # required by the schema of 1.2.0
    assert citation["cff-version"] == "1.2.0"
    assert citation["type"] == "software"
    assert all(set(author) & {"name", "family-names", "given-names", "alias"} for author in citation["authors"])
    assert citation["version"] == il.__version__
