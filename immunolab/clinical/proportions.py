"""Proportions of patients with exact intervals."""

from __future__ import annotations

import math
from dataclasses import dataclass

from immunolab.intervals import clopper_pearson_percent


@dataclass(frozen=True)
class Proportion:
    """A proportion of patients in percent with its exact 95 % interval; NaN for n = 0.

    Attributes
    ----------
    n_responders, n
        Patients with the property, and patients assessed.
    percent, ci_low, ci_high
        The share and its limits, 0..100.
    """

    n_responders: int
    n: int
    percent: float
    ci_low: float
    ci_high: float


def proportion(n_responders: int, n: int) -> Proportion:
    """Return a proportion with its Clopper-Pearson interval, see `intervals.clopper_pearson_percent`.

    Parameters
    ----------
    n_responders, n
        Patients with the property, and patients assessed.

    Raises
    ------
    ValueError
        ``n_responders`` is not within 0..n.
    """
    if not 0 <= n_responders <= n:
        raise ValueError(f"{n_responders} of {n} is no proportion")
    low, high = clopper_pearson_percent(n_responders, n)
    return Proportion(n_responders, n, 100 * n_responders / n if n else math.nan, low, high)
