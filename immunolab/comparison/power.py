"""What the next cohort could see, by the spread this one has shown."""

from __future__ import annotations

from functools import cache

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import chdtri, ndtr, stdtrit

from immunolab.comparison.estimate import ALPHA
from immunolab.comparison.scales import MULTIPLICATIVE

_MOST_PATIENTS = 1_000  # beyond what any cohort of this field holds
_QUADRATURE = 200  # Gauss-Legendre nodes: power to 1e-5 of the noncentral t
_LEAST_PAIRS = 3  # as in `cohort_tests`
_WIDE = 0.8  # one-sided confidence of the spread used for the cautious power
_FOLDS = (
    1.2,
    1.5,
    2.0,
)  # odds ratios (logit) or ratios (log) to be seen: small, usual and large
_PATIENTS = (8, 13, 20, 40)  # sizes of the next cohort (judgement: from a pilot's to a confirming trial's)
POWER_WANTED = 0.8
"""Power for which the number of patients is given, as trials of this field are planned."""


def paired_power(shift: float, sd: float, n: int) -> float:
    """Return the power of a two-sided paired t at `ALPHA` to see a mean shift.

    Parameters
    ----------
    shift, sd
        Mean shift to be seen and standard deviation of the shifts, same scale.
    n
        Pairs.
    """
    if n < 2:
        return 0.0
    limit = float(stdtrit(n - 1.0, 1.0 - ALPHA / 2.0))
    noncentral = abs(shift) / sd * np.sqrt(n)
    # the noncentral t mixed over its denominator: stable however far out, unlike its distribution function
    nodes, weights = _quadrature()
    spread = limit * np.sqrt(chdtri(n - 1.0, (1.0 - nodes) / 2.0) / (n - 1.0))
    return float((weights / 2.0) @ (ndtr(noncentral - spread) + ndtr(-noncentral - spread)))


@cache
def _quadrature() -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    nodes, weights = np.polynomial.legendre.leggauss(_QUADRATURE)
    return nodes, weights


def patients_needed(shift: float, sd: float) -> int | None:
    """Return the least number of pairs that reaches `POWER_WANTED`; None above 1,000.

    Parameters
    ----------
    shift, sd
        As in `paired_power`.
    """
    low, high = 2, _MOST_PATIENTS
    if shift == 0 or paired_power(shift, sd, high) < POWER_WANTED:
        return None
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if paired_power(shift, sd, middle) >= POWER_WANTED else (middle + 1, high)
    return low


def power_table(pairs: pd.DataFrame) -> pd.DataFrame:
    """Return power by fold and number of patients, from the spread of the shifts at hand.

    Parameters
    ----------
    pairs
        Rows of `tables.PAIRS`; endpoints on the logit or log scale with 3 pairs or more are used.

    Returns
    -------
    DataFrame
        Rows of `schema.comparison.POWER`; it has ``power_low`` because the spread of a small cohort is badly known.
    """
    rows = []
    usable = pairs[pairs["shift"].notna() & pairs["shift_scale"].isin(MULTIPLICATIVE)]
    for (cohort, endpoint), group in usable.groupby(["cohort", "endpoint"], sort=False, dropna=False):
        d = group["shift"].to_numpy(dtype=float)
        sd = float(d.std(ddof=1)) if d.size >= _LEAST_PAIRS else 0.0
        if sd <= 1e-12:
            continue
        wide = sd * float(np.sqrt((d.size - 1) / chdtri(d.size - 1, _WIDE)))
        for fold in _FOLDS:
            shift = float(np.log(fold))
            needed = patients_needed(shift, sd)
            for n in _PATIENTS:
                power = paired_power(shift, sd, n)
                cautious = paired_power(shift, wide, n)
                rows.append([cohort, endpoint, fold, n, power, cautious, sd, d.size, needed])
    columns = ["cohort", "endpoint", "fold", "n_patients", "power", "power_low", "sd", "n_pairs", "patients_for_80"]
    return pd.DataFrame(rows, columns=columns).astype({"patients_for_80": "Int64"})
