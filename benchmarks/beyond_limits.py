"""Coverage and type I error of assay values beyond a limit: the limit in their place against censored pairs.

Logs of a concentration: patients differ (sd 0.7), and visits (0.35) and responses (0.2); ``share`` of all values are
below the assay's limit. The true ratio of both visits is ``ratio``.

    python benchmarks/beyond_limits.py [--sims 1000] [-o benchmarks/results/beyond_limits.json]
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
from immunolab.comparison.table import compare_endpoints

PATIENTS = (8, 12, 20, 40)
CELLS: tuple[dict[str, float], ...] = (
    {"share": 0.4, "ratio": 0.5},
    {"share": 0.4, "ratio": 1.0},
    {"share": 0.2, "ratio": 0.5},
    {"share": 0.4, "ratio": 0.25},
)


def simulate(seed: int, sims: int, n: int, *, share: float, ratio: float) -> pd.DataFrame:
    """Return endpoint rows of trials, each its own endpoint, with values below the limit held at it and flagged."""
    rng = np.random.default_rng(seed)
    level = rng.normal(0, 0.7, (sims, n, 1)) + rng.normal(0, 0.35, (sims, n, 2))
    level[..., 1] += math.log(ratio) + rng.normal(0, 0.2, (sims, n))
    limit = np.quantile(level, share)
    s, p, v = (axis.ravel() for axis in np.indices(level.shape))
    rows = pd.DataFrame({"endpoint": s.astype(str), "patient_id": p, "visit": np.array(["W0", "W24"])[v]})
    rows = rows.assign(cohort="", unit="pg/mL", value=np.exp(np.maximum(level, limit)).ravel())
    return rows.assign(flag=np.where(level.ravel() < limit, "below_limit", ""))


def row_of(rows: pd.DataFrame, ratio: float, test: str) -> dict[str, float]:
    """Return coverage and rejections among the trials tested, and how many those are."""
    plan = Plan("W0", "W24", roles=dict.fromkeys(rows["endpoint"], "primary"), test=test)
    shifts = compare_endpoints(rows, plan).shifts
    tested = shifts["p_value"].notna()
    low = shifts["ci_low"].fillna(-math.inf).to_numpy(float)
    high = shifts["ci_high"].fillna(math.inf).to_numpy(float)
    covers = ((low <= math.log(ratio)) & (math.log(ratio) <= high))[tested]
    return {
        "tested": float(tested.mean()),
        "coverage": float(covers.mean()),
        "rejected": float((shifts["p_value"][tested] < 0.05).mean()),
        "mean": float(shifts["estimate"][tested].mean()),
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
            trials = simulate(n, arguments.sims, n, **cell)
            tests = {name: row_of(trials, cell["ratio"], test) for name, test in (("before", "t"), ("now", "auto"))}
            rows.append({**cell, "n": n, "sims": arguments.sims, **tests})
            print(rows[-1], f"{time.perf_counter() - start:.0f} s", flush=True)
    if arguments.out:
        arguments.out.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
