"""Proportions of responders: exact intervals and two-by-two tests, each named."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Proportion:
    """A proportion in percent with its exact (Clopper-Pearson) 95 % interval; empty for n = 0."""

    n_responders: int
    n: int
    percent: float
    ci_low: float
    ci_high: float


@dataclass(frozen=True)
class TwoProportions:
    """Two proportions compared, two-sided: Pearson's chi-square without correction, and Fisher's exact test."""

    pearson_p_value: float
    fisher_p_value: float


def proportion(n_responders: int, n: int, level: float = 0.95) -> Proportion:
    """Return a proportion with its Clopper-Pearson interval (Clopper and Pearson 1934).

    Raises
    ------
    ValueError
        ``n_responders`` is not within 0..n.
    """
    from scipy.special import betaincinv

    if not 0 <= n_responders <= n:
        raise ValueError(f"{n_responders} of {n} is no proportion")
    if n == 0:
        return Proportion(0, 0, math.nan, math.nan, math.nan)
    tail = (1 - level) / 2
    low = 0.0 if n_responders == 0 else float(betaincinv(n_responders, n - n_responders + 1, tail))
    high = 1.0 if n_responders == n else float(betaincinv(n_responders + 1, n - n_responders, 1 - tail))
    return Proportion(n_responders, n, 100 * n_responders / n, 100 * low, 100 * high)


def compare_proportions(first: tuple[int, int], second: tuple[int, int]) -> TwoProportions:
    """Return the p-values of responders of n in two groups.

    Pearson's test is empty when a row or column of the table is all zero.
    """
    from scipy.stats import chi2_contingency, fisher_exact

    table = [[k, n - k] for k, n in (first, second)]
    columns = [sum(column) for column in zip(*table, strict=True)]
    degenerate = 0 in columns or 0 in (first[1], second[1])
    pearson = math.nan if degenerate else float(chi2_contingency(table, correction=False).pvalue)
    return TwoProportions(pearson, float(fisher_exact(table).pvalue))
