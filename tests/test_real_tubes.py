"""What docs/validation.md says is reached on real tubes is reached: the study runs of benchmarks/real_tubes.py."""

from __future__ import annotations

import re

import pandas as pd
import pytest
from builders import REPOSITORY, data_folder

PAGE = REPOSITORY / "docs" / "validation.md"
SETS = ("hipc", "hipc_from_CD3", "symphony", "cytoexplorer", "flowsom", "cytof", "catalyst")


def table_under(heading: str) -> list[dict[str, str]]:
    """Return the first table under a heading of the page, a dict a row."""
    text = PAGE.read_text(encoding="utf-8").split(f"### {heading}\n", 1)[1]
    lines = [line for line in text.split("\n## ")[0].split("\n### ")[0].splitlines() if line.startswith("|")]
    rows = [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]
    return [dict(zip(rows[0], row, strict=True)) for row in rows[2:]]


@pytest.mark.parametrize("name", SETS)
def test_lines_that_the_page_says_are_reached_are_reached(name: str) -> None:
    data_folder("flow")
    from real_acceptance import acceptance, silence
    from real_sets import SETS as READERS
    from real_tubes import COLUMNS, run_set

    data = READERS[name]()
    table = pd.DataFrame(run_set(name, data, ("study",))).reindex(columns=COLUMNS)
    found = {row["line"]: row for row in acceptance(table, {name: data}).to_dict("records") if row["set"] == name}
    stated = [row for row in table_under("Lines that are to be reached") if (row["set"], row["run"]) == (name, "study")]
    assert stated
    lost = [found[row["line"]] for row in stated if row["result"] == "pass" and found[row["line"]]["result"] != "pass"]
    assert lost == [], "repair it, or write the page anew and say why: python benchmarks/real_tubes.py --docs"
    silent = table_under("Failures without a flag, and right results with one")
    stated_silent = next(int(row["silent"]) for row in silent if (row["set"], row["run"]) == (name, "study"))
    assert silence(table)["silent"].item() <= stated_silent, silence(table)["silent_ones"].item()


def test_the_search_for_the_best_two_borders_finds_planted_ones() -> None:
    data_folder("flow")
    import numpy as np
    from real_acceptance import best_macro_f1

    rng = np.random.default_rng(0)
    label = np.repeat([0, 1, 2, 3], 500)  # naive, CM, EM, TEMRA: high and high, low and high, low and low, high and low
    x, y = np.where(np.isin(label, (0, 3)), 10.0, 0.0), np.where(np.isin(label, (0, 1)), 10.0, 0.0)
    assert best_macro_f1(x + rng.normal(0, 1, 2000), y + rng.normal(0, 1, 2000), label) == pytest.approx(1, abs=0.02)
    half = best_macro_f1(rng.normal(0, 1, 2000), y + rng.normal(0, 1, 2000), label)
    assert 0.4 < half < 0.6  # one axis says nothing


def test_a_pile_at_the_end_of_an_analogue_channel_makes_no_tube_activated_without_a_flag() -> None:
    """Blood of the ITN study, values 1 to 10,000: CD69 had read up to 100 % of CD4, unflagged."""
    data_folder("flow")
    from real_sets import SETS as READERS
    from real_tubes import run_set

    table = pd.DataFrame(run_set("itn", READERS["itn"](), ("alone", "study")))
    activated = table[table["population"].isin(["CD4_CD69", "CD8_CD69"]) & (table["pct_called"] > 50)]
    assert len(activated)
    silent = activated[activated["rank"].fillna("") == ""]
    assert silent[["run", "tube", "population", "pct_called"]].to_dict("records") == []
