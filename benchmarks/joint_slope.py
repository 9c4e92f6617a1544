"""Slopes of two periods where fast decliners die: each patient's own slopes, the mixed model, the joint model.

ALSFRS-R of the ALS design: values at day 1 and every four weeks to week 48, level 38 (sd 4), slope -0.9 a month (sd
0.6), its change at week 24 ``change`` (sd 0.3), residual 1; the hazard of death is 0.02 a month times exp(-a u), u the
patient's slope in standard deviations. Values end with the patient.

    python benchmarks/joint_slope.py [--sims 500]
"""

from __future__ import annotations

import argparse
import time
import warnings

import numpy as np

from immunolab.comparison.joint_slope import JointRows, joint_change
from immunolab.comparison.paired import paired_t
from immunolab.comparison.slopes import fit_two_slopes

CELLS = ((24, 1.0), (24, 0.0))  # patients, association
_MONTHS = (np.array([0, 12, 24, 36, 48]) - 24) * 7 / 30.4375


def trial(n: int, a: float, change: float, rng: np.random.Generator) -> JointRows:
    """Return values and survival of one simulated cohort."""
    u = rng.normal(size=n)
    hazard = 0.02 * np.exp(-a * u)
    death = rng.exponential(1.0 / hazard) + _MONTHS[0]
    end = np.minimum(death, _MONTHS[-1])
    later = rng.normal(change, 0.3, n)
    level = rng.normal(38, 4, n)
    value = level[:, None] + (-0.9 + 0.6 * u)[:, None] * _MONTHS + later[:, None] * np.maximum(_MONTHS, 0)
    seen = end[:, None] >= _MONTHS
    value += rng.normal(0, 1.0, value.shape)
    at_risk = np.column_stack([np.minimum(end, 0) - _MONTHS[0], np.maximum(end, 0)])
    died = np.where(death > _MONTHS[-1], 0, np.where(death <= 0, 1, 2))
    patient = np.broadcast_to(np.arange(n)[:, None], value.shape)
    months = np.broadcast_to(_MONTHS, value.shape)
    return JointRows(value[seen], months[seen], patient[seen].astype(np.int64), at_risk, died)


def own_slopes(rows: JointRows) -> np.ndarray:
    """Return the change of slope of each patient who has all visits."""
    design = np.column_stack([np.ones(5), _MONTHS, np.maximum(_MONTHS, 0)])
    whole = np.flatnonzero(np.bincount(rows.patient) == 5)
    return np.array([np.linalg.lstsq(design, rows.value[rows.patient == i], rcond=None)[0][2] for i in whole])


def main() -> None:
    """Print the table of docs/validation_statistics.md."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sims", type=int, default=500)
    sims = parser.parse_args().sims
    warnings.simplefilter("ignore")
    for n, a in CELLS:
        rng, started = np.random.default_rng([n, int(a)]), time.monotonic()
        results: dict[str, list[tuple[float, float]]] = {"own": [], "mixed": [], "joint": []}
        for _ in range(sims):
            rows = trial(n, a, 0.0, rng)
            own = paired_t(own_slopes(rows))
            mixed = fit_two_slopes(rows.value, rows.months, rows.patient).contrast({"change": 1.0})
            joint, _, _ = joint_change(rows, with_limits=False)
            for name, found in (("own", own), ("mixed", mixed), ("joint", joint)):
                if np.isfinite(found.p_value):
                    results[name].append((found.p_value, found.estimate))
        cells = []
        for found in results.values():
            p, estimate = np.array(found or [(np.nan, np.nan)]).T
            cells.append(f"{np.mean(p < 0.05):.3f}, {estimate.mean():+.3f} ({len(found) / sims:.2f})")
        print(f"| {n} | {a:g} | {' | '.join(cells)} |  {time.monotonic() - started:.0f} s", flush=True)


if __name__ == "__main__":
    main()
