"""Type I error of repeated cycles: the dose-time model against one number a patient, patients differing in response.

The SLE calendar: before the drug, then peak and trough of three cycles (no trough after the last). Patients differ in
level (sd 0.5), in what peaks (0.25) and troughs (0.2, correlated 0.7) do, and in trend per cycle (0.08); a measurement
varies by 0.2; ``lost`` of the visits are missing. The drug does nothing on average.

    python benchmarks/cycles.py [--sims 1000]
"""

from __future__ import annotations

import argparse
import warnings

import numpy as np
import pandas as pd

from immunolab.comparison.dose_time import cycle_rows

PATIENTS = (8, 12, 24)
CELLS: tuple[tuple[float, float], ...] = ((0.0, 1.0), (0.15, 1.0), (0.15, 0.0))  # visits lost, size of random slopes
_STATES = ("pre_dose", "peak", "trough", "peak", "trough", "peak")
_CYCLES = np.array([np.nan, 1, 1, 2, 2, 3])
_DAYS = np.array([1, 15, 29, 43, 57, 71])


def trial(n: int, lost: float, size: float, rng: np.random.Generator) -> pd.DataFrame:
    """Return levels of one simulated cohort, as `table.Comparison.levels`."""
    responses = rng.multivariate_normal((0, 0), [[0.0625, 0.035], [0.035, 0.04]], n) * size
    trend = rng.normal(0, 0.08, n) * size
    rows = []
    for i in range(n):
        level = rng.normal(0, 0.5)
        for state, cycle, day in zip(_STATES, _CYCLES, _DAYS, strict=True):
            moved = 0.0 if state == "pre_dose" else responses[i, int(state == "trough")] + trend[i] * (cycle - 2)
            if day == 1 or rng.random() >= lost:
                rows.append((f"P{i}", day, state, cycle, level + moved + rng.normal(0, 0.2)))
    columns = ["patient_id", "study_day", "cycle_state", "cycle", "level"]
    return pd.DataFrame(rows, columns=columns).assign(cohort="", endpoint="x", scale="log")


def main() -> None:
    """Print the table of docs/validation_statistics.md: of each measure, type I error of model and summary."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sims", type=int, default=1000)
    sims = parser.parse_args().sims
    warnings.simplefilter("ignore")
    for lost, size in CELLS:
        for n in PATIENTS:
            rng = np.random.default_rng([n, int(100 * lost), int(size)])
            found = pd.concat([cycle_rows(trial(n, lost, size, rng)) for _ in range(sims)])
            found["model"] = found["method"].str.startswith("REML").map({True: "model", False: "summary"})
            tested = found[found["p_value"].notna()]
            rate = tested.assign(false=tested["p_value"] < 0.05).groupby(["measure", "model"])["false"].mean()
            counts = tested.groupby(["measure", "model"]).size() / sims
            cells = [f"{m} {k} {rate[m, k]:.3f} ({counts[m, k]:.2f})" for m, k in rate.index]
            print(f"| {lost:g} | {size:g} | {n} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
