"""Type I error, coverage and bias where patients are lost by what an interim visit showed.

Levels differ between patients (sd 0.5 on the logit), responses (0.15; in the scenario "grows" 0.45 at the last visit,
half of it at the interim one) and visits (0.2); counts are binomial, 5 % of 20,000. A third of the patients has no
last visit: those with the smallest change at the interim visit ("lost") or with the smallest sum of that change and a
noise of sd 0.35 ("mostly lost"). Nothing changes on average, so every p below 0.05 is false.

    python benchmarks/missing_visits.py [--sims 1000] [-o benchmarks/results/missing_visits.json]
"""

from __future__ import annotations

import argparse
import json
import math
import time
from pathlib import Path

import numpy as np
import pandas as pd

from immunolab.comparison.plan import Plan
from immunolab.comparison.table import Comparison, compare_endpoints

PATIENTS = (8, 12, 20, 40)
SCENARIOS = {
    "mostly lost": {"noise": 0.35},
    "lost": {"noise": 0.0},
    "lost, response grows": {"noise": 0.0, "grows": True},
    "none lost, response grows": {"lost": False, "grows": True},
}


def simulate(
    seed: int, sims: int, n: int, *, noise: float = 0.0, lost: bool = True, grows: bool = False, between: int = 1
) -> pd.DataFrame:
    """Return endpoint rows of ``sims`` trials with ``between`` interim visits, each trial its own endpoint."""
    rng = np.random.default_rng(seed)
    visits = between + 2
    time_on = np.arange(visits) / (visits - 1)
    response = rng.normal(0, 0.15, (sims, n, 1)) * (3 * time_on if grows else np.sign(time_on))
    level = math.log(0.05 / 0.95) + rng.normal(0, 0.5, (sims, n, 1)) + response + rng.normal(0, 0.2, (sims, n, visits))
    middle = visits // 2
    change = level[:, :, middle] - level[:, :, 0] + rng.normal(0, 1, (sims, n)) * noise
    there = np.ones(level.shape, dtype=bool)
    if lost:
        there[:, :, middle + 1 :] = (change.argsort(axis=1).argsort(axis=1) >= n // 3)[:, :, None]
    events = rng.binomial(20_000, 1 / (1 + np.exp(-level)))
    s, p, v = np.nonzero(there)
    labels = np.array(["W0", *(f"I{i}" for i in range(1, between + 1)), "W24"])
    rows = pd.DataFrame({"endpoint": s.astype(str), "patient_id": p, "visit": labels[v], "study_day": 1 + 24 * v})
    rows = rows.assign(n_events=events[s, p, v], n_parent=20_000, cohort="", unit="%")
    return rows.assign(value=100 * rows["n_events"] / rows["n_parent"])


def compared(rows: pd.DataFrame, test: str) -> Comparison:
    """Return the comparison of W24 with W0, every trial's endpoint a primary one."""
    return compare_endpoints(
        rows, Plan("W0", "W24", roles=dict.fromkeys(rows["endpoint"], "primary"), test=test, moderated=False)
    )


def row_of(found: Comparison) -> dict[str, float]:
    """Return type I error, coverage of no change, mean estimate, and how often the mixed model was the result."""
    shifts = found.shifts
    low, high = shifts["ci_low"].to_numpy(dtype=float), shifts["ci_high"].to_numpy(dtype=float)
    return {
        "type_i": float((shifts["p_value"] < 0.05).mean()),
        "coverage": float(((low <= 0) & (high >= 0))[np.isfinite(low)].mean()),
        "bias": float(shifts["estimate"].mean()),
        "by_model": float(shifts["method"].str.startswith("mixed model").mean()),
    }


def main() -> None:
    """Run all scenarios."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sims", type=int, default=1000)
    parser.add_argument("-o", "--out", type=Path)
    arguments = parser.parse_args()
    rows = []
    for name, options in SCENARIOS.items():
        for between in (1, 3):
            for n in PATIENTS:
                start = time.perf_counter()
                trials = simulate(n, arguments.sims, n, between=between, **options)
                where = {"scenario": name, "between": between, "n": n, "sims": arguments.sims}
                for test in ("t", "auto"):
                    rows.append(where | {"test": test} | row_of(compared(trials, test)))
                print(rows[-2], rows[-1], f"{time.perf_counter() - start:.0f} s", flush=True)
    if arguments.out:
        arguments.out.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
