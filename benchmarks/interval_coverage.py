"""How often 95 % gate intervals hold the truth: simulated studies with centres, lots and drift, many seeds.

``python benchmarks/interval_coverage.py [-o FOLDER] [--seed S] [--studies N] [--patients N] [--jobs N]`` simulates
studies that differ in design (see ``DESIGNS``), places the shipped gates patient by patient as ``immunolab run``
does, and counts how often the interval of the gates holds the percentage of CD4 among the tube's own cells. It
writes ``interval_coverage.csv``, a row a tube and subset, and ``interval_coverage.md``. Seeds from 9500 up were never
used while the methods were developed.
"""

from __future__ import annotations

import argparse
import tempfile
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
from gating_accuracy import TRIAL, Scenario, gate_default, read_study, score
from scipy.special import logit

from immunolab.simulation import Options, simulate

SUBSETS = ("Treg", "Th17", "Tfh_eff", "Tfh_CXCR5", "Teff", "Th1", "CD4_naive")
_PLAIN = Options(events=20_000)
# one design after the other: study number modulo their number
DESIGNS = {
    "plain": _PLAIN,
    "4 centres": replace(_PLAIN, centres=4),
    "lots": replace(_PLAIN, batches="months", lot_change=True),
    "drift": replace(_PLAIN, drift=0.12),
    "centres, lots and drift": replace(_PLAIN, centres=4, batches="months", lot_change=True, drift=0.12),
}


def study(number: int, seed: int, patients: int) -> pd.DataFrame:
    """Return one row a tube and subset: truth, percentage called, limits, and z, the miss in the interval's own sd."""
    design = list(DESIGNS)[number % len(DESIGNS)]
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder) / "study"
        scenario = Scenario(design, patients, DESIGNS[design])
        simulate(
            TRIAL, patients=patients, seed=seed + number, folder=place, visits=scenario.visits,
            events=scenario.options.events, null=False, options=scenario.options,
        )  # fmt: skip
        tubes = read_study(place, "surface")
        strategies, intervals = gate_default(tubes)
        truth = score(tubes, strategies).set_index(["sample_id", "subset"])
    of_cd4 = intervals[intervals["denominator"] == "CD4"].set_index(["sample_id", "path"])
    rows = []
    for sample_id, strategy in strategies.items():
        for subset in SUBSETS:
            row = of_cd4.loc[(sample_id, strategy[subset].path)]
            rows.append(
                {
                    "study": number, "design": design, "sample_id": sample_id, "subset": subset,
                    "true": truth.loc[(sample_id, subset), "true"],
                    "expected": truth.loc[(sample_id, subset), "expected"],
                    "flag": strategy[subset].flag,
                    **row[["percent", "gate_low", "gate_high", "low", "high"]],
                }
            )  # fmt: skip
    return pd.DataFrame(rows)


def summary(rows: pd.DataFrame) -> pd.DataFrame:
    """Return coverage of tube and blood, bias and the ratio of real to stated error, a row a subset and design."""
    few = np.clip(rows[["percent", "gate_low", "gate_high", "true"]] / 100, 1e-5, 1 - 1e-5)
    error = logit(few["percent"]) - logit(few["true"])
    stated = (logit(few["gate_high"]) - logit(few["gate_low"])) / (2 * 1.96)
    rows = rows.assign(
        inside=(rows["gate_low"] <= rows["true"]) & (rows["true"] <= rows["gate_high"]),
        blood=(rows["low"] <= rows["expected"]) & (rows["expected"] <= rows["high"]),
        error=error, stated=stated,
    )  # fmt: skip

    def one(part: pd.DataFrame) -> pd.Series:
        by_study = part.groupby("study")["inside"].mean()
        return pd.Series(
            {
                "tubes": len(part), "coverage %": 100 * part["inside"].mean(), "worst study %": 100 * by_study.min(),
                "blood %": 100 * part["blood"].mean(), "bias (logit)": part["error"].mean(),
                "sd of error": part["error"].std(), "stated sd": part["stated"].median(),
            }
        )  # fmt: skip

    whole = rows.groupby("subset", sort=False).apply(one, include_groups=False).assign(design="all")
    parts = rows.groupby(["subset", "design"], sort=False).apply(one, include_groups=False).reset_index("design")
    return pd.concat([whole, parts]).reset_index().sort_values(["subset", "design"], kind="stable")


def markdown(table: pd.DataFrame) -> str:
    """Return the summary as a Markdown table."""
    rows = [[f"{cell:.3g}" if isinstance(cell, float) else str(cell) for cell in row] for row in table.to_numpy()]
    lines = [list(table.columns), ["---"] * len(table.columns), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def main() -> None:
    """Run the benchmark from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-o", "--out", type=Path, default=Path("benchmarks/results"))
    parser.add_argument("--seed", type=int, default=9500)
    parser.add_argument("--studies", type=int, default=40)
    parser.add_argument("--patients", type=int, default=6)
    parser.add_argument("--design", choices=DESIGNS, help="only studies of this design")
    parser.add_argument("--jobs", type=int, default=1)
    given = parser.parse_args()
    numbers = [n for n in range(given.studies) if given.design in (None, list(DESIGNS)[n % len(DESIGNS)])]
    with ProcessPoolExecutor(given.jobs) as pool:
        rows = pd.concat(pool.map(study, numbers, [given.seed] * len(numbers), [given.patients] * len(numbers)))
    given.out.mkdir(parents=True, exist_ok=True)
    rows.to_csv(given.out / "interval_coverage.csv", index=False)
    table = summary(rows)
    (given.out / "interval_coverage.md").write_text(markdown(table))
    print(table.to_string(index=False, float_format="%.3g"))


if __name__ == "__main__":
    main()
