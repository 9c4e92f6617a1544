"""How well the power of a next cohort is known from a small one: planned sizes against the power they really have.

A first cohort of ``pairs`` patients and five secondary endpoints (Holm) whose shifts have an SD of 0.5 and correlations
of 0.3; a fold of 1.5 is planned for. True power is that of 20,000 cohorts with the true spread. "held" is how often the
range from power_low to power_high holds it (nominal 0.6), "reached" how often the size planned for 0.8 really has it,
planned by the observed spread or by assurance.

    python benchmarks/family_power.py [--sims 400] [-o benchmarks/results/family_power.json]
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.special import stdtr

from immunolab.comparison.family_power import adjusted_rows, family_power
from immunolab.study.next_cohort import NextCohort

_ENDPOINTS, _SD, _CORRELATION, _FOLD = 5, 0.5, 0.3, 1.5
_ROOT = np.linalg.cholesky(np.full((_ENDPOINTS, _ENDPOINTS), _CORRELATION) + (1 - _CORRELATION) * np.eye(_ENDPOINTS))
_SIZES = (8, 13, 20, 40)


def first_cohort(rng: np.random.Generator, pairs: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return pairs and shifts of a study, as far as power depends on them."""
    shifts = _SD * rng.standard_normal((pairs, _ENDPOINTS)) @ _ROOT.T + np.log(_FOLD)
    names = [f"e{k}" for k in range(_ENDPOINTS)]
    long = pd.DataFrame(shifts, columns=names).rename_axis("patient_id").reset_index().melt("patient_id", names)
    rows = long.rename(columns={"variable": "endpoint", "value": "shift"}).assign(cohort="", shift_scale="logit")
    row = {"cohort": "", "role": "secondary", "p_value": 0.5, "method": "paired t", "estimate_scale": "log_odds"}
    row["adjustment"] = f"Holm over {_ENDPOINTS} secondary endpoints"
    return rows, pd.DataFrame([row | {"endpoint": name} for name in names])


def true_power(n: int, sims: int = 20_000, seed: int = 1) -> float:
    """Return the power of an endpoint with the true spread."""
    rng, found = np.random.default_rng(seed), []
    for _ in range(sims // 1000):
        x = _SD * rng.standard_normal((1000, n, _ENDPOINTS)) @ _ROOT.T + np.log(_FOLD)
        t = x.mean(axis=1) / (x.std(axis=1, ddof=1) / np.sqrt(n))
        found.append((adjusted_rows(2 * stdtr(n - 1.0, -np.abs(t)), "holm") < 0.05).mean())
    return float(np.mean(found))


def measure(seed: int, sims: int, pairs: int) -> dict[str, float]:
    """Return what plans from first cohorts of so many pairs are worth."""
    rng = np.random.default_rng(seed)
    true = {n: true_power(n) for n in range(4, 61)}
    frames = []
    for k in range(sims):
        found = family_power(*first_cohort(rng, pairs), NextCohort(_FOLD, {}, _SIZES), seed=k)
        frames.append(found[found["endpoint"] == "e0"])
    table = pd.concat(frames, ignore_index=True)
    table["true"] = table["n_patients"].astype(int).map(true)
    thirteen = table[table["n_patients"] == 13]
    row: dict[str, float] = {"pairs": pairs, "sims": sims, "true_13": true[13]}
    for name in ("power", "assurance"):
        row[f"mean_{name}_13"] = float(thirteen[name].mean())
    row["held"] = float(thirteen["true"].between(thirteen["power_low"], thirteen["power_high"]).mean())
    for name in ("patients_for_80", "patients_for_80_assured"):
        planned = thirteen[name].fillna(60).astype(int).clip(4, 60)
        row[f"median_{name}"] = float(planned.median())
        row[f"reached_{name}"] = float((planned.map(true) >= 0.795).mean())
    return row


def main() -> None:
    """Run first cohorts of 5, 8, 13 and 20 pairs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sims", type=int, default=100)
    parser.add_argument("-o", "--out", type=Path)
    arguments = parser.parse_args()
    rows = []
    for pairs in (5, 8, 13, 20):
        rows.append(measure(pairs, arguments.sims, pairs))
        print({k: round(v, 4) for k, v in rows[-1].items()}, flush=True)
    if arguments.out:
        arguments.out.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
