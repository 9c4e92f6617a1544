"""Automatic gates beside experts' on real tubes: every set, each tube alone and all tubes of a set as one study.

``python benchmarks/real_tubes.py [--only SET ...] [-o FOLDER] [--alone | --study] [--docs]`` prints, for each
population and tube, events of the expert and of the gates, F1 where the expert's events are known, percent of the
parent of both, flags with their rank; then the acceptance lines, and which failures were silent. ``-o`` writes
``real_tubes.csv`` and ``real_tubes.md``, ``--docs`` the page docs/validation.md.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
from real_acceptance import acceptance, silence
from real_set import Expected, RealSet
from real_sets import SETS
from validation_page import write_page

import immunolab as il
from immunolab.errors import ImmunolabError
from immunolab.gating.tubes import GatedTube
from immunolab.schema.flags import flag, split

MOST_OF_THE_TUBE = 0.8  # share of events that are compared: where fewer are, agreement says little of the others
RANKS = ("unusable", "doubtful", "note")
COLUMNS = [
    "set", "run", "tube", "population", "of", "n_expert", "n_called", "f1", "ratio", "pct_expert", "pct_called",
    "n_parent", "ctla4_ratio", "outcome", "rank", "flags",
]  # fmt: skip


def compare(name: str, run: str, data: RealSet, tube_id: str, gated: GatedTube | str) -> Iterator[dict]:
    """Yield a row for each population of a tube; ``gated`` is the message where gating was refused."""
    expected = list(data.expected.get(tube_id, ()))
    expected += [Expected(shown, "", 0, 0) for shown in data.shown]
    for one in expected:
        row = {"set": name, "run": run, "tube": tube_id, "population": one.population, "of": one.of}
        if one.of:
            row |= {"n_expert": one.n, "pct_expert": 100 * one.n / one.n_of if one.n_of else np.nan}
        if isinstance(gated, str):
            yield row | {"outcome": "refused", "flags": gated[:60], "rank": "unusable"}
        elif one.population not in gated:
            yield row | {"outcome": "left out", "flags": _why(gated, one.population), "rank": "unusable"}
        else:
            yield row | called(gated, one)


def called(gated: GatedTube, one: Expected) -> dict:
    """Return what the gates make of an expectation."""
    mask = gated.mask(one.population)
    within = np.ones(len(mask), bool) if one.within is None else one.within
    n = int((mask & within).sum())
    count = gated.counts.set_index("population").loc[one.population]
    words = split(count["flag"])
    rank = next((r for r in RANKS if any(flag(word).rank == r for word in words)), "")
    found = {"n_called": n, "flags": ";".join(words), "rank": rank, "pct_called": count["percent_of_parent"]}
    found["n_parent"] = count["n_parent"]
    if not one.of:
        return found | {"outcome": "", "ctla4_ratio": ctla4_ratio(gated, one.population)}
    if one.of in gated:
        base = gated.mask(one.of) & within
        withheld = gated.is_withheld(one.population) or pd.isna(count["percent_of_parent"])
        found["pct_called"] = np.nan if withheld or not base.any() else 100 * (mask & base).sum() / base.sum()
    ratio = n / one.n if one.n else np.nan if n == 0 else np.inf
    f1 = np.nan
    if one.events is not None and one.events.any():
        f1 = 2 * int((mask & one.events & within).sum()) / (n + int((one.events & within).sum()))
    word = outcome(f1, ratio)
    surely = one.within is not None and within.mean() < MOST_OF_THE_TUBE
    return found | {"f1": f1, "ratio": ratio, "outcome": "between" if surely and word == "right" else word}


def ctla4_ratio(gated: GatedTube, name: str) -> float:
    """Return the mean CTLA-4 of a population as a multiple of its parent's other cells."""
    parent = gated.counts.set_index("population").loc[name, "parent"]
    inside, others = gated.mask(name), gated.mask(parent) & ~gated.mask(name)
    if "CTLA-4" not in gated.tube or not inside.any() or not others.any():
        return np.nan
    values = gated.tube["CTLA-4"]
    return float(values[inside].mean() / values[others].mean())


def outcome(f1: float, ratio: float) -> str:
    """Return right (F1 of .9 or more), wrong (F1 under .5, or under half or over twice the expert's) or between."""
    if np.isnan(ratio):  # neither found one
        return "between"
    if f1 < 0.5 or not 0.5 <= ratio <= 2:
        return "wrong"
    return "right" if f1 >= 0.9 else "between"


def _why(gated: GatedTube, name: str) -> str:
    found = [p.message for p in gated.left_out if p.place.rsplit("/", 1)[-1] == name]
    return (found[0] if found else "not in the strategy")[:60]


def run_set(name: str, data: RealSet, runs: tuple[str, ...]) -> list[dict]:
    """Gate a set and compare it."""
    rows = []
    for run in runs:
        gated: dict[str, GatedTube | str] = {}
        if run == "alone":
            for tube in data.tubes:
                gated[tube.sample_id] = _gate(tube, data)
        else:
            found = _gate(data.tubes, data)
            ids = [tube.sample_id for tube in data.tubes]
            gated = dict.fromkeys(ids, found) if isinstance(found, str) else dict(zip(ids, found, strict=True))
        for tube_id, one in gated.items():
            rows += compare(name, run, data, tube_id, one)
    return rows


def _gate(tubes, data: RealSet):
    several = isinstance(tubes, list)
    groups = {"patients": data.patients, "batches": data.batches} if several else {}
    try:
        return il.gate(tubes, data.strategy, **groups)
    except ImmunolabError as error:
        return str(error).replace("\n", " ")


def markdown(table: pd.DataFrame) -> str:
    """Return a table as markdown with short numbers."""
    shown = table.copy()
    for column in shown.columns:
        if shown[column].dtype == float:
            digits = 0 if column.startswith("n_") else 1 if column.startswith("pct") else 2
            shown[column] = [("" if pd.isna(v) else f"{v:.{digits}f}") for v in shown[column]]
    shown = shown.fillna("")
    lines = ["| " + " | ".join(shown.columns) + " |", "|" + "---|" * len(shown.columns)]
    return "\n".join(lines + ["| " + " | ".join(map(str, row)) + " |" for row in shown.to_numpy()])


def main() -> None:
    """Run the sets asked for, print and write the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=list(SETS), default=list(SETS))
    parser.add_argument("-o", "--output", type=Path, default=None)
    parser.add_argument("--alone", action="store_true", help="only each tube alone")
    parser.add_argument("--study", action="store_true", help="only all tubes of a set as one study")
    parser.add_argument("--docs", action="store_true", help="write docs/validation.md; runs every set")
    options = parser.parse_args()
    if options.docs and (options.only != list(SETS) or options.alone or options.study):
        parser.error("--docs is of every set and both runs: leave out --only, --alone and --study")
    runs = tuple(run for run, other in (("alone", options.study), ("study", options.alone)) if not other)
    rows, sets = [], {}
    for name in options.only:
        started = time.perf_counter()
        sets[name] = SETS[name]()
        rows += run_set(name, sets[name], runs)
        print(f"{name}: {time.perf_counter() - started:.1f} s", flush=True)
    table = pd.DataFrame(rows).reindex(columns=COLUMNS)
    parts = {
        "Populations": table,
        "Acceptance": acceptance(table, sets),
        "Failures and false alarms": silence(table),
    }
    if options.docs:
        write_page(table, parts["Acceptance"], parts["Failures and false alarms"], markdown)
    text = "\n\n".join(f"## {head}\n\n{markdown(part)}" for head, part in parts.items())
    print(text)
    if options.output:
        options.output.mkdir(parents=True, exist_ok=True)
        table.to_csv(options.output / "real_tubes.csv", index=False)
        (options.output / "real_tubes.md").write_text(f"# Automatic gates on real tubes\n\n{text}\n", encoding="utf-8")


if __name__ == "__main__":
    main()
