"""What taking over the borders of other patients does: simulated studies of few events, gated with and without it.

``python benchmarks/other_patients.py [-o FOLDER] [--seed S] [--studies N] [--patients N] [--events N]`` simulates
studies in two designs (one centre; four centres with drift), places the shipped gates of each study twice, as a study
and with every patient for itself, on the same scales, and writes ``other_patients.md``: F1, error of the percentage of
CD4 and coverage of all values, and of those whose gates the two ways place differently.
"""

from __future__ import annotations

import argparse
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
from gating_accuracy import STRATEGY, TRIAL, groups_of, read_study, score
from interval_coverage import markdown

from immunolab.gating.placement.fit import fit
from immunolab.gating.placement.uncertainty import percent_intervals
from immunolab.gating.strategy_file import builtin_strategy
from immunolab.simulation import Options, simulate

DESIGNS = {"one centre": Options(), "4 centres and drift": Options(centres=4, drift=0.12)}
NO_OTHERS = {}  # nothing is usual: every patient's border is its own
_LEAST = 0.02  # percentage points added to both sides of a ratio: a subset of no cells has one


def study(design: str, seed: int, patients: int, events: int) -> pd.DataFrame:
    """Return one row a tube, subset and way (own, study): F1, true and called percentage, its interval, flags."""
    options = replace(DESIGNS[design], events=events)
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder) / "study"
        simulate(
            TRIAL, patients=patients, seed=seed, folder=place, visits=("W0", "W10"), events=events, null=False,
            options=options,
        )  # fmt: skip
        tubes = read_study(place, "surface")
    parts = []
    for way, usuals in (("own", NO_OTHERS), ("study", None)):
        members = list(tubes.tubes.values())
        fitted = fit(builtin_strategy(STRATEGY["surface"]), members, groups=groups_of(tubes), usuals=usuals)
        rows = score(tubes, fitted.strategies)
        limits = pd.concat([percent_intervals(fitted, t.sample_id, t, denominators=["CD4"]) for t in members])
        limits = limits[limits["denominator"] == "CD4"].set_index(["sample_id", "path"])
        populations = [fitted.strategies[s][name] for s, name in zip(rows["sample_id"], rows["subset"], strict=True)]
        kept = limits.loc[[(s, p.path) for s, p in zip(rows["sample_id"], populations, strict=True)]]
        rows = rows.assign(
            way=way, study=seed, flag=[p.flag or "" for p in populations],
            low=kept["gate_low"].to_numpy(), high=kept["gate_high"].to_numpy(),
        )  # fmt: skip
        parts.append(rows)
    return pd.concat(parts)


def summary(rows: pd.DataFrame) -> pd.DataFrame:
    """Return a row a subset, over all values and over those that the two ways call differently by a tenth."""
    log = np.log((rows["called"] + _LEAST) / (rows["true"] + _LEAST))
    rows = rows.assign(error=log, inside=(rows["low"] <= rows["true"]) & (rows["true"] <= rows["high"]))
    called = rows.pivot_table(index=["study", "sample_id", "subset"], columns="way", values="called")
    moved = np.log((called["study"] + _LEAST) / (called["own"] + _LEAST)).abs() > np.log(1.1)
    rows = rows.join(moved.rename("moved"), on=["study", "sample_id", "subset"])
    found = []
    for subset, part in rows.groupby("subset", sort=False):
        for values, chosen in (("all", part), ("changed", part[part["moved"]])):
            row = {"subset": subset, "values": values, "n": len(chosen) // 2}
            for way, own in chosen.groupby("way"):
                row |= {
                    f"F1, {way}": own["f1"].mean(), f"lowest, {way}": own["f1"].min(),
                    f"rms error of log, {way}": np.sqrt((own["error"] ** 2).mean()),
                    f"coverage %, {way}": 100 * own["inside"].mean(),
                }  # fmt: skip
            if len(chosen):
                found.append(row)
    return pd.DataFrame(found)


def main() -> None:
    """Run the benchmark from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-o", "--out", type=Path, default=Path("benchmarks/results"))
    parser.add_argument("--seed", type=int, default=9700)
    parser.add_argument("--studies", type=int, default=6)
    parser.add_argument("--patients", type=int, default=12)
    parser.add_argument("--events", type=int, default=3000)
    given = parser.parse_args()
    designs = list(DESIGNS)
    rows = pd.concat(
        study(designs[n % len(designs)], given.seed + n, given.patients, given.events) for n in range(given.studies)
    )
    table = summary(rows)
    flagged = rows[(rows["way"] == "study") & rows["flag"].str.contains("outlying")]
    few = f"{len(flagged)} of {len(rows) // 2} values are flagged `outlying`, mean F1 {flagged['f1'].mean():.3g}.\n"
    given.out.mkdir(parents=True, exist_ok=True)
    (given.out / "other_patients.md").write_text(markdown(table) + "\n" + few)
    print(table.to_string(index=False, float_format="%.3g"), few, sep="\n")


if __name__ == "__main__":
    main()
