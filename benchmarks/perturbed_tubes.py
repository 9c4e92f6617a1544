"""Gates on real tubes as other stainings, instruments and donors would have given them: what fails, and what says so.

``python benchmarks/perturbed_tubes.py [--only SET ...] [--kind WORD] [-o FOLDER]`` applies the changes of
``perturbations.py`` to tubes whose events experts have labelled, gates each changed tube alone, and prints for each
kind of change how many populations are wrong (F1 under .5, or under half or over twice as many), how many of those
carry no flag of rank unusable or doubtful, how many are right (F1 of .9 or more), and how many of those carry one.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd
from labelled_tube import Labelled, compensated
from perturbations import changes
from real_set import RealSet
from real_sets import SETS
from real_tubes import _gate, compare, markdown

# events that may be called of a population of which none is left, share of those that were removed: as many as the
# gates of a right population (F1 of .98 and more) hold that are not the expert's
NONE_LEFT = 0.02


@dataclass(frozen=True)
class Trial:
    """Which markers of a set are changed, which populations are removed, and which tubes are tried."""

    markers: tuple[str, ...]
    populations: tuple[str, ...]
    tubes: tuple[int, ...]
    displayed: bool = False
    scatter: bool = True


_HEAD = """Each tube alone. Wrong, right, flagged: as above; where no event of a population is left, it is wrong if more
than 2 % of those removed are called. The last column names set, what was changed, population, and in how many tubes.

Two reagents exchanged are found where cells show it (flag `staining`): two that the same cells carry, or that nothing
in the panel tells apart, are not. That is so of CD4 and CD8, or of CD8 and NK1.1, in mouse tubes, and of CD38 with
CD45RA or CCR7. A right result that is flagged in a tube whose antibody is missing or exchanged is no false alarm of the
tube. Values of HIPC are on a display scale without a known zero: noise and a missing CCR7 leave a border among negative
cells there.
"""

TRIALS = {
    "hipc_from_CD3": Trial(
        ("CD4", "CD8", "CD45RA", "CCR7", "HLA-DR", "CD38"), ("CD4", "CD8"), (0, 3, 6, 7), displayed=True, scatter=False
    ),
    "symphony": Trial(("CD3", "CD4", "CD8", "Viability"), ("CD3", "CD4", "CD8"), (1, 2, 4)),
    "cytoexplorer": Trial(("Va2", "CD11c", "CD4", "CD8", "CD69"), ("T", "CD4", "CD8"), (0, 2)),
    "flowsom": Trial(("NK1.1", "CD3", "CD19", "TCRb", "TCRgd", "CD4", "CD8"), ("T", "B", "CD4", "CD8"), (0,)),
    "cytof": Trial(("CD3", "CD4", "CD8"), ("CD3", "CD4", "T_CD8"), (0,), scatter=False),
}
"""Set to what is tried on it."""


def run_trial(name: str, data: RealSet, trial: Trial, kinds: str = "") -> Iterator[dict]:
    """Yield a row for each changed tube and population of a set."""
    for number in trial.tubes:
        tube = compensated(data.tubes[number])
        start = Labelled(tube, tuple(data.expected[tube.sample_id]), trial.displayed)
        for kind, what, change in changes(trial.markers, trial.populations, trial.scatter):
            if kinds not in kind:
                continue
            one = change(start)
            if not len(one.tube):
                continue
            before = {expected.population: expected.n for expected in start.expected}
            for row in gate_changed(name, data, one):
                yield row | {"kind": kind, "what": what, "outcome": outcome_of(row, before[row["population"]])}


def gate_changed(name: str, data: RealSet, one: Labelled) -> Iterator[dict]:
    """Yield a row for each population of a changed tube that is gated alone."""
    tube = one.tube
    changed = replace(data, tubes=[tube], expected={tube.sample_id: list(one.expected)}, shown=())
    return compare(name, "alone", changed, tube.sample_id, _gate(tube, changed))


def outcome_of(row: dict, before: int) -> str:
    """Return the outcome; where no event is left, a few called ones are none."""
    if row["outcome"] == "wrong" and row["n_expert"] == 0:
        return "none left" if row["n_called"] <= NONE_LEFT * before else "wrong"
    return row["outcome"]


def summary(table: pd.DataFrame) -> pd.DataFrame:
    """Return failures and false alarms by kind of change, and which populations failed in silence."""
    spoken = table["rank"].isin(["unusable", "doubtful"])
    wrong, right = table["outcome"] == "wrong", table["outcome"] == "right"
    kinds = {"results": True, "wrong": wrong, "silent": wrong & ~spoken, "right": right, "flagged": right & spoken}
    frame = table[["kind"]].assign(**kinds)
    found = frame.groupby("kind", sort=False).sum().astype(int)
    found.loc["all"] = found.sum()
    silent = table[wrong & ~spoken]
    named = silent.groupby("kind")[["set", "what", "population"]].apply(
        lambda rows: ", ".join(f"{s} {w} {p}".replace("  ", " ") + (f" ({n})" if n > 1 else "")
                               for (s, w, p), n in rows.value_counts(sort=False).items())
    )  # fmt: skip
    return found.reset_index().assign(silent_ones=[named.get(kind, "") for kind in found.index])


def main() -> None:
    """Run the benchmark from the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=list(TRIALS), default=list(TRIALS))
    parser.add_argument("--kind", default="", help="kinds of change whose name holds this word")
    parser.add_argument("-o", "--output", type=Path, default=None)
    options = parser.parse_args()
    rows = []
    for name in options.only:
        started = time.perf_counter()
        rows += run_trial(name, SETS[name](), TRIALS[name], options.kind)
        print(f"{name}: {time.perf_counter() - started:.0f} s", flush=True)
    table = pd.DataFrame(rows)
    text = markdown(summary(table))
    print(text)
    if options.output:
        options.output.mkdir(parents=True, exist_ok=True)
        table.to_csv(options.output / "perturbed_tubes.csv", index=False)
        (options.output / "perturbed_tubes.md").write_text(f"{_HEAD}\n{text}\n", encoding="utf-8")


if __name__ == "__main__":
    main()
