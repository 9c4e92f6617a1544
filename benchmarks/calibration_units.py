"""What becomes of endpoints without a unit that says a scale, and of those beside a value off its scale.

Two trials that went wrong before: a primary endpoint beside FVC in % of predicted, which may be above 100, and
a column of scores that is within 0..100 without being a percentage. Printed for each: the share of trials in which the
primary endpoint was compared at all, and of the intervals that hold the true mean change in the endpoint's own unit.

    python benchmarks/calibration_units.py [--sims 300]
"""

from __future__ import annotations

import argparse

import numpy as np
import pandas as pd

import immunolab as il
from immunolab.comparison.plan import Plan
from immunolab.comparison.table import compare_endpoints
from immunolab.errors import ImmunolabError

SEED = 15_04
FVC_MEAN, FVC_SD, FVC_VISIT_SD, FVC_CHANGE = 88.0, 14.0, 3.0, -3.0  # % predicted
SCORE_MEAN, SCORE_SD, SCORE_CHANGE = 12.0, 3.0, -5.8  # points of SELENA-SLEDAI


def _pairs(rng: np.random.Generator, n: int, mean: float, sd: float, visit_sd: float, change: float) -> np.ndarray:
    """Return values ``(n, 2)`` before and after."""
    return mean + rng.normal(0, sd, (n, 1)) + rng.normal(0, visit_sd, (n, 2)) + np.array([0.0, change])


def _rows(values: np.ndarray, endpoint: str, population: str, unit: str) -> pd.DataFrame:
    n = len(values)
    rows = pd.DataFrame({"patient_id": np.repeat(np.arange(n), 2).astype(str), "visit": ["W0", "W24"] * n})
    return rows.assign(cohort="", endpoint=endpoint, population=population, unit=unit, value=values.ravel())


def beside_fvc(sims: int, n: int) -> dict[str, object]:
    """Return how often the primary endpoint is compared beside FVC, and how often FVC's interval is right."""
    rng = np.random.default_rng([SEED, n])
    compared, covered = 0, []
    for _ in range(sims):
        fvc = _rows(_pairs(rng, n, FVC_MEAN, FVC_SD, FVC_VISIT_SD, FVC_CHANGE), "fvc", "FVC", "%")
        treg = _rows(np.exp(_pairs(rng, n, 1.6, 0.4, 0.2, 0.4)), "treg", "Treg", "%")
        try:
            shifts = compare_endpoints(pd.concat([fvc, treg], ignore_index=True), Plan("W0", "W24")).shifts
        except ImmunolabError:
            covered.append(False)
            continue
        found = shifts.set_index("endpoint")
        compared += "treg" in found.index
        covered.append("fvc" in found.index and _holds(found.loc["fvc"], FVC_CHANGE))
    share, right = compared / sims, np.mean(covered)
    return {"scenario": "FVC beside a primary", "n": n, "primary compared": share, "covered": right}


def score_without_unit(sims: int, n: int) -> dict[str, object]:
    """Return how often the interval of a score's change, in a table that names no unit, holds the true change."""
    rng = np.random.default_rng([SEED, 1, n])
    covered = []
    for _ in range(sims):
        points = np.clip(np.rint(_pairs(rng, n, SCORE_MEAN, SCORE_SD, 1.5, SCORE_CHANGE)), 0, 105)
        table = pd.DataFrame({"id": range(n), "W0": points[:, 0], "W24": points[:, 1]})
        row = il.compare(table, patient="id", before="W0", after="W24").shifts.iloc[0]
        covered.append(_holds(row, SCORE_CHANGE))
    return {"scenario": "SLEDAI without a unit", "n": n, "primary compared": 1.0, "covered": np.mean(covered)}


def _holds(row: pd.Series, change: float) -> bool:
    return row["estimate_scale"] == "identity" and bool(row["ci_low"] <= change <= row["ci_high"])


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sims", type=int, default=300)
    sims = parser.parse_args().sims
    rows = [one(sims, n) for one in (beside_fvc, score_without_unit) for n in (8, 13)]
    print(pd.DataFrame(rows).to_string(index=False))


if __name__ == "__main__":
    main()
