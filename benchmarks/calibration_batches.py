"""Type I error of every test where a visit's batch moves its values, and of the rank test printed beside.

Eight or thirteen patients at 1 % of 10,000 events, batches that differ by SD 0.3 on the logit, and no change. Layouts:
four batches at random; two batches that go with the visit in four of five samples (80/20); batch the same as visit; and
as many batches as there are pairs. "p" is the share of trials with p below 0.05 among those whose batch can be set
apart from the visit or is passed over without a word; "beside" the same of the sensitivity p; "said" the share of
trials with a code that says that batch is not or cannot be adjusted for.

    python benchmarks/calibration_batches.py [--sims 400]
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd

from immunolab.comparison.plan import Plan
from immunolab.comparison.table import compare_endpoints

sys.path.insert(0, str(Path(__file__).parent))
from calibration import simulate_trials

SEED = 15_06
TESTS = ("t", "wilcoxon", "signflip", "count_weighted", "binomial_mixed", "mixed")
SHARE = {"signflip": 0.5, "binomial_mixed": 0.1, "mixed": 0.5}  # of the simulations: slower methods
SAID = "E_BATCH_ALIASED|E_BATCH_DF|W_BATCH_UNKNOWN"
VISITS = (("baseline", 0), ("on", 1))
MORE_VISITS = (("baseline", 0), ("w2", 1), ("on", 1))


def layouts(rng: np.random.Generator, sims: int, n: int, visits: int) -> dict[str, np.ndarray]:
    """Return the batch of every sample, ``(sims, n, visits)``, by layout."""
    late = np.broadcast_to((np.arange(visits) > 0).astype(int), (sims, n, visits))
    swapped = rng.random((sims, n, visits)) < 0.2
    return {
        "random, 4 batches": rng.integers(0, 4, (sims, n, visits)),
        "80/20 confounded": np.where(swapped, 1 - late, late),
        "batch is visit": late,
        "as many batches as pairs": rng.integers(0, n + 1, (sims, n, visits)),
    }


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sims", type=int, default=400)
    sims = parser.parse_args().sims
    start = time.perf_counter()
    print(f"{'layout':26}{'test':16}{'n':>3}      p  beside   said")
    for n in (8, 13):
        for test in TESTS:
            count = max(int(sims * SHARE.get(test, 1.0)), 20)
            visits = MORE_VISITS if test == "mixed" else VISITS
            rng = np.random.default_rng([SEED, n])
            for layout, batch in layouts(rng, count, n, len(visits)).items():
                rows = simulate_trials(SEED + n, count, n, batch=batch, visits=visits)
                shifts = compare_endpoints(rows, Plan("baseline", "on", test=test)).shifts
                said = shifts["warnings"].fillna("").str.contains(SAID).to_numpy(dtype=bool)
                silent = shifts[~said & shifts["p_value"].notna().to_numpy()]
                found = [
                    float((silent[name] < 0.05).mean()) if len(silent) else np.nan
                    for name in ("p_value", "sensitivity_p_value")
                ]
                text = "".join(f"{'-' if pd.isna(x) else f'{x:.3f}':>7}" for x in (*found, said.mean()))
                print(f"{layout:26}{test:16}{n:3}{text}", flush=True)
    print(f"{time.perf_counter() - start:.0f} s")


if __name__ == "__main__":
    main()
