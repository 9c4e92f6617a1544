"""How often a tipping point is beyond the truth: studies whose mean shift is 0 because the lost are unlike the rest.

    python benchmarks/tipping.py --sims 4000

The distance at which the interval includes no change must be at most the true one in 97.5 % of studies. "Before"
filled in one value for each lost patient and took the t of all (until version 0.2); "now" is `tipping_point`.
"""

from __future__ import annotations

import argparse

import numpy as np
import pandas as pd
from scipy.stats import t

from immunolab.comparison.missing_visits import tipping_point


def studies(sims: int, n: int, share: float, distance: float, seed: int) -> np.ndarray:
    """Return shifts ``(sims, n)`` with SD 1, NaN where a patient was lost; the lost are lower by ``distance``."""
    draw = np.random.default_rng(seed)
    lost = draw.random((sims, n)) < share
    kept = (~lost).sum(axis=1)
    found = np.where(lost, np.nan, draw.normal(distance * share, 1.0, lost.shape))
    return found[(kept >= 3) & (kept < n)]


def before(shifts: np.ndarray, distance: float) -> float:
    """Return the share of studies whose interval is above 0 with each lost patient at the mean less ``distance``."""
    mean = np.nanmean(shifts, axis=1, keepdims=True)
    whole = np.where(np.isnan(shifts), mean - distance, shifts)
    half = t.ppf(0.975, whole.shape[1] - 1) * whole.std(axis=1, ddof=1) / np.sqrt(whole.shape[1])
    return float((whole.mean(axis=1) > half).mean())


def now(shifts: np.ndarray, distance: float) -> float:
    """Return the share of studies whose tipping point is beyond ``distance``."""
    long = pd.DataFrame({"endpoint": np.repeat(np.arange(len(shifts)), shifts.shape[1]), "shift": shifts.ravel()})
    found = tipping_point(long.assign(cohort="", shift_scale="identity", before=1.0, after=long["shift"]))
    beyond = found["tipping_sd"].fillna(np.inf).to_numpy() * np.nanstd(shifts, axis=1, ddof=1)
    return float((beyond > distance).mean())


def main() -> None:
    """Print a row a scenario."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sims", type=int, default=4000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    print("| patients | lost | distance, SD | before | now |\n|---|---|---|---|---|")
    for n, share in ((8, 0.25), (12, 0.25), (12, 0.4), (20, 0.2)):
        for distance in (0.25, 1.0, 2.0):
            found = studies(options.sims, n, share, distance, options.seed)
            print(f"| {n} | {share:.0%} | {distance} | {before(found, distance):.3f} | {now(found, distance):.3f} |")


if __name__ == "__main__":
    main()
