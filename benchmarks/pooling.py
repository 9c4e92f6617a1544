"""Coverage of the mean of a few small studies and of the interval for a further one.

Studies of 8, 12, 13, 20 and 40 pairs in turn, whose shifts have an SD of 0.5; their true means differ by ``tau``. Each
study's standard error is estimated from its own shifts, as a run gives it. "covers" is the Hartung-Knapp interval with
its floor, "wald" the mean -+ 1.96 SE of the same weights, "covers_common" that of one shared effect, "predicts" how
often the prediction interval holds the true mean of a further study.

    python benchmarks/pooling.py [--sims 4000] [-o benchmarks/results/pooling.json]
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np

from immunolab.comparison.meta_analysis import pooled

CELLS: tuple[dict[str, float], ...] = tuple({"studies": k, "tau": tau} for k in (2, 3, 5, 8) for tau in (0.0, 0.1, 0.3))
_PAIRS = (8, 12, 13, 20, 40)
_SD, _MEAN = 0.5, 0.6


def measure(seed: int, sims: int, cell: dict[str, float]) -> dict[str, float]:
    """Return coverage of the mean by three intervals, and of a further study."""
    rng = np.random.default_rng(seed)
    k, tau = int(cell["studies"]), cell["tau"]
    n = np.array([_PAIRS[i % len(_PAIRS)] for i in range(k)])
    held = {"covers": [], "paule_mandel": [], "wald": [], "covers_common": [], "predicts": []}
    for _ in range(sims):
        true = _MEAN + rng.normal(0, tau, k + 1) if tau else np.full(k + 1, _MEAN)
        shifts = [rng.normal(mean, _SD, size) for mean, size in zip(true, n, strict=False)]
        y = [own.mean() for own in shifts]
        se = [own.std(ddof=1) / np.sqrt(own.size) for own in shifts]
        found, other, common = pooled(y, se), pooled(y, se, "paule_mandel"), pooled(y, se, "common")
        held["covers"].append(found.ci_low <= _MEAN <= found.ci_high)
        held["paule_mandel"].append(other.ci_low <= _MEAN <= other.ci_high)
        plain = 1.96 * found.se / np.sqrt(max(1.0, found.factor))
        held["wald"].append(abs(found.estimate - _MEAN) <= plain)
        held["covers_common"].append(common.ci_low <= _MEAN <= common.ci_high)
        held["predicts"].append(found.predicted_low <= true[-1] <= found.predicted_high)
    return {**cell, "sims": sims} | {name: float(np.mean(values)) for name, values in held.items()}


def main() -> None:
    """Run all cells."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sims", type=int, default=2000)
    parser.add_argument("-o", "--out", type=Path)
    arguments = parser.parse_args()
    rows = []
    for seed, cell in enumerate(CELLS):
        rows.append(measure(seed, arguments.sims, cell))
        print({k: round(v, 4) for k, v in rows[-1].items()}, flush=True)
    if arguments.out:
        arguments.out.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
