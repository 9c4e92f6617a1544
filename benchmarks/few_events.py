"""Type I error and coverage of rare subsets: half an event added and the t against what a run does now.

Levels differ between patients (sd 0.5 on the log), responses (0.15) and visits (0.2); parents have log sd 0.6, and the
earlier visit has ``ratio`` times the cells of the later one, which expects ``events`` of the subset. In the scenario
"inflated" a fifth of the samples is empty whatever is expected. ``fold`` is on the odds.

    python benchmarks/few_events.py [--sims 1000] [-o benchmarks/results/few_events.json]
"""

from __future__ import annotations

import argparse
import json
import math
import time
from pathlib import Path

import numpy as np
import pandas as pd

from immunolab.comparison.paired import paired_t
from immunolab.comparison.plan import Plan
from immunolab.comparison.scales import from_counts
from immunolab.comparison.table import compare_endpoints

PATIENTS = (8, 12, 20, 40)
CELLS: tuple[dict[str, float], ...] = (
    {"events": 0.33, "ratio": 3},
    {"events": 3.5, "ratio": 1},
    {"events": 3.5, "ratio": 3},
    {"events": 10, "ratio": 3},
    {"events": 18, "ratio": 3},
    {"events": 6, "ratio": 3, "inflated": 0.2},
    {"events": 6, "ratio": 3, "fold": 2.0},
)
_SHARE = 0.001


def simulate(
    seed: int, sims: int, n: int, *, events: float, ratio: float = 1.0, inflated: float = 0.0, fold: float = 1.0
) -> tuple[np.ndarray, np.ndarray]:
    """Return events and parents ``(sims, n, 2)``, before and after."""
    rng = np.random.default_rng(seed)
    shape = (sims, n, 2)
    after = np.array([0.0, 1.0])
    level = math.log(_SHARE) + rng.normal(0, 0.5, (sims, n, 1)) + rng.normal(0, 0.2, shape)
    level = level + after * (math.log(fold) + rng.normal(0, 0.15, (sims, n, 1)))
    depth = events / _SHARE * np.array([ratio, 1.0])
    parents = np.maximum(np.rint(depth * np.exp(rng.normal(0, 0.6, shape))), 10).astype(int)
    counts = rng.binomial(parents, 1 / (1 + np.exp(-level)))
    return np.where(rng.random(shape) < inflated, 0, counts), parents


def endpoint_rows(events: np.ndarray, parents: np.ndarray) -> pd.DataFrame:
    """Return endpoint rows of trials, each its own endpoint."""
    s, p, v = (axis.ravel() for axis in np.indices(events.shape))
    rows = pd.DataFrame({"endpoint": s.astype(str), "patient_id": p, "visit": np.array(["W0", "W24"])[v]})
    rows = rows.assign(n_events=events.ravel(), n_parent=parents.ravel(), cohort="", unit="%")
    return rows.assign(value=100 * rows["n_events"] / rows["n_parent"])


def with_half(events: np.ndarray, parents: np.ndarray, fold: float) -> dict[str, float]:
    """Return type I error (power) and coverage of the t on log odds with half an event added."""
    level = from_counts(events, parents, "logit")
    found = [paired_t(own) for own in level[..., 1] - level[..., 0]]
    covers = [one.ci_low <= math.log(fold) <= one.ci_high for one in found]
    return {"rejected": float(np.mean([one.p_value < 0.05 for one in found])), "coverage": float(np.mean(covers))}


def compared(events: np.ndarray, parents: np.ndarray, fold: float, test: str = "auto") -> dict[str, float]:
    """Return the same of a comparison, among trials it tests, and how many those are."""
    rows = endpoint_rows(events, parents)
    plan = Plan("W0", "W24", roles=dict.fromkeys(rows["endpoint"], "primary"), test=test, moderated=False)
    shifts = compare_endpoints(rows, plan).shifts
    tested = shifts["p_value"].notna()
    low = shifts["ci_low"].fillna(-math.inf).to_numpy(float)
    high = shifts["ci_high"].fillna(math.inf).to_numpy(float)
    covers = ((low <= math.log(fold)) & (math.log(fold) <= high))[tested]
    return {
        "tested": float(tested.mean()),
        "rejected": float((shifts["p_value"][tested] < 0.05).mean()),
        "coverage": float(covers.mean()) if tested.any() else math.nan,
        "by_counts": float(shifts["method"].str.startswith("conditional count model").mean()),
    }


def main() -> None:
    """Run all cells."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sims", type=int, default=1000)
    parser.add_argument("-o", "--out", type=Path)
    arguments = parser.parse_args()
    rows = []
    for cell in CELLS:
        for n in PATIENTS:
            start = time.perf_counter()
            events, parents = simulate(n, arguments.sims, n, **cell)
            fold = cell.get("fold", 1.0)
            row = {**cell, "n": n, "sims": arguments.sims, "before": with_half(events, parents, fold)}
            row["now"] = compared(events, parents, fold)
            if cell.get("inflated"):
                row["count_weighted"] = compared(events, parents, fold, "count_weighted")
            rows.append(row)
            print(row, f"{time.perf_counter() - start:.0f} s", flush=True)
    if arguments.out:
        arguments.out.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
