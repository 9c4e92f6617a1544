"""95 % limits that several rooms need: the normal quantile and two intervals of a proportion, each kept here once."""

from __future__ import annotations

import math

NORMAL_95 = 1.959963984540054  # 97.5 % quantile of the standard normal: two-sided 95 % limits are -+ this many sd


def jeffreys_percent(n: int, of: int) -> tuple[float, float]:
    """Return Jeffreys' 95 % interval of a percentage: the uncertainty that counting alone leaves.

    Parameters
    ----------
    n
        Events of the population, 0 to ``of``.
    of
        Events of its denominator.

    Returns
    -------
    tuple of (float, float)
        Lower and upper limit, 0..100; 0 for no event, 100 when all are, NaN for an empty denominator.

    Notes
    -----
    Brown, Cai and DasGupta 2001, Stat Sci 16:101. Quantiles of the beta distribution by scipy: statsmodels'
    ``proportion_confint`` takes the upper one from the other tail, which moves its last digit.
    """
    from scipy.special import betaincinv

    if of == 0:
        return math.nan, math.nan
    low, high = betaincinv(n + 0.5, of - n + 0.5, [0.025, 0.975])
    return 100.0 * float(low) if n else 0.0, 100.0 * float(high) if n < of else 100.0


def clopper_pearson_percent(n: int, of: int) -> tuple[float, float]:
    """Return the exact 95 % interval of a percentage of patients.

    Parameters
    ----------
    n
        Patients with the property, 0 to ``of``.
    of
        Patients assessed.

    Returns
    -------
    tuple of (float, float)
        Lower and upper limit, 0..100; NaN for ``of`` 0.

    Notes
    -----
    Clopper and Pearson 1934, Biometrika 26:404, by statsmodels.
    """
    from statsmodels.stats.proportion import proportion_confint

    if of == 0:
        return math.nan, math.nan
    low, high = proportion_confint(n, of, alpha=1.0 - 0.95, method="beta")
    return 100.0 * float(low), 100.0 * float(high)
