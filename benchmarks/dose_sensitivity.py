"""Type I error of a shift where a concomitant drug is tapered: as it is, and given an unchanged dose.

Prednisone falls by 5 mg/day (sd 4, steps of 2.5) and each mg/day moves the log odds of a subset by ``effect``; the drug
under trial does nothing. Shifts vary by 0.3 beside.

    python benchmarks/dose_sensitivity.py [--sims 2000]
"""

from __future__ import annotations

import argparse

import numpy as np

from immunolab.comparison.adjustment import Adjusters, adjusted_t
from immunolab.comparison.paired import paired_t

PATIENTS = (8, 12, 24)
EFFECTS = (0.0, 0.02, 0.05)  # log odds a mg/day


def rates(n: int, effect: float, sims: int) -> tuple[float, float]:
    """Return type I error of the paired t and of the shift given an unchanged dose."""
    rng = np.random.default_rng([n, int(1000 * effect)])
    plain = adjusted = 0
    for _ in range(sims):
        change = 2.5 * np.round(rng.normal(-5, 4, n) / 2.5)
        shifts = effect * change + rng.normal(0, 0.3, n)
        plain += paired_t(shifts).p_value < 0.05
        found = adjusted_t(shifts, Adjusters(change[:, None], ("covariates",)))
        adjusted += found is not None and found.p_value < 0.05
    return plain / sims, adjusted / sims


def main() -> None:
    """Print the table of docs/validation_statistics.md."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sims", type=int, default=2000)
    sims = parser.parse_args().sims
    for effect in EFFECTS:
        cells = ["{:.3f} / {:.3f}".format(*rates(n, effect, sims)) for n in PATIENTS]
        print(f"| {effect:g} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
