"""Type I error where patients are selected by a high value: change from the selected visit, and from another.

Between patients sd 2.5, within 2; chosen where the screening value is above ``cut`` standard deviations of all values
over the mean. The drug does nothing.

    python benchmarks/regression_to_mean.py [--sims 2000]
"""

from __future__ import annotations

import argparse

import numpy as np

from immunolab.comparison.paired import paired_t

PATIENTS = (8, 12, 24)
CUTS = (0.0, 0.5, 1.0)


def rates(n: int, cut: float, sims: int) -> tuple[float, float]:
    """Return type I error of the change from the selected visit, and from the unselected one."""
    rng = np.random.default_rng([n, int(10 * cut)])
    false = np.zeros(2)
    for _ in range(sims):
        mean = rng.normal(0, 2.5, 60 * n)
        screening, baseline, after = mean + rng.normal(0, 2.0, (3, mean.size))
        kept = np.flatnonzero(screening > cut * np.hypot(2.5, 2.0))[:n]
        false += [paired_t(after[kept] - before[kept]).p_value < 0.05 for before in (screening, baseline)]
    return float(false[0] / sims), float(false[1] / sims)


def main() -> None:
    """Print the table of docs/validation_statistics.md."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sims", type=int, default=2000)
    sims = parser.parse_args().sims
    for cut in CUTS:
        cells = ["{:.3f} / {:.3f}".format(*rates(n, cut, sims)) for n in PATIENTS]
        print(f"| {cut:g} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
