"""docs/howto/bridging.md: its commands run as they are written, its tables are there, its numbers are the package's."""

from __future__ import annotations

import re
from pathlib import Path

import matplotlib.pyplot as plt
import pytest
from builders import REPOSITORY

import immunolab as il
from immunolab.cli import main
from immunolab.comparison.bridge_charts import FEWEST_RUNS
from immunolab.gating.following import bridge_checks
from immunolab.gating.following.channel_move import ENOUGH
from immunolab.gating.following.landmarks import LANDMARK_EVENTS

PAGE = (REPOSITORY / "docs" / "howto" / "bridging.md").read_text(encoding="utf-8")
SMALL = ["--patients", "3", "--events", "1500", "--visits", "W0,W10"]  # in place of the page's, for the time it takes
GATES = """strategy: drawn
transform: {default: {asinh: {cofactor: 150}}, scatter: linear}
populations:
  - {name: lymphocytes, parent: root, rectangle: {FSC-A: [4e4, 1.3e5], SSC-A: [0, 6e4]}}
  - {name: CD4, parent: lymphocytes, rectangle: {CD3: [2.5, null], CD4: [2.5, null]}}
  - {name: CD4_naive, parent: CD4, rectangle: {CD45RA: [2.5, null], CCR7: [2.5, null]}}
  - {name: Treg, parent: CD4, rectangle: {CD25: [2.8, null], CD127: [null, 2.5]}}
"""


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page's two commands, on a small study with the page's lines in study.yaml and gates that are drawn."""
    folder = tmp_path_factory.mktemp("page")
    simulate, run = (line.split()[1:] for block in blocks("sh") for line in block.strip().splitlines())
    with pytest.MonkeyPatch.context() as at:
        at.chdir(folder)
        assert main([*simulate, *SMALL]) == 0
        (Path("trial") / "gates.yaml").write_text(GATES)
        study = "study: page\npanels: {surface: {strategy: gates.yaml}}\n"
        share = "{id: treg_pct_cd4, population: Treg, statistic: percent_of_parent, parent: CD4, source: page}"
        study += f"comparison: {{before: W0, after: W10}}\nendpoints: [{share}]\n{blocks('yaml')[0]}"
        (Path("trial") / "study.yaml").write_text(study)
        assert main([*run, "--tables-only"]) == 0
    return folder


def test_the_tables_that_the_page_names_are_there(place: Path) -> None:
    for name in set(re.findall(r"`(?:out/tables/)?(bridge\w*)\.csv`", PAGE)):
        assert (place / "out" / "tables" / f"{name}.csv").exists(), name


def test_the_charts_are_drawn_as_the_page_writes(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(place)
    (code,) = blocks("python")
    exec(code, {"il": il})  # a page of the repository
    labels = [plt.figure(n).axes[0].get_ylabel() for n in plt.get_fignums()]
    plt.close("all")
    assert labels[-2].startswith("treg_pct_cd4")
    assert labels[-1].startswith("CD25")


def test_the_numbers_of_the_page_are_those_of_the_package() -> None:
    words = {3: "three", 4: "four"}
    assert f"Fewer than {words[FEWEST_RUNS]} runs give no limits" in PAGE
    assert f"fewer than {ENOUGH:,} events" in PAGE
    assert f"more than chance and {bridge_checks.TOLERANCE:.1f}".replace("0.", ".") in PAGE
    assert f"fewer than {words[bridge_checks._FEWEST]} patients' tubes" in PAGE
    assert f"where a tube has {LANDMARK_EVENTS} events of it" in PAGE
