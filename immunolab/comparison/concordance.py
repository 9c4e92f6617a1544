"""How far two measurements of the same things agree: Lin's concordance, Cohen's kappa, the CV between them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from immunolab.intervals import clopper_pearson_percent

Array = NDArray[np.float64]
_FEWEST = 3  # pairs: the variance of the concordance divides by n - 2


@dataclass(frozen=True)
class Agreement:
    """An index of agreement with its 95 % interval; NaN where there is none."""

    value: float
    low: float
    high: float
    n: int


def lin_concordance(first: ArrayLike, second: ArrayLike) -> Agreement:
    """Return Lin's concordance correlation of two measurements, with an interval on Fisher's z.

    Parameters
    ----------
    first, second
        One value a thing; pairs with a missing one are left out.

    Returns
    -------
    Agreement
        1 where all pairs are equal; without a value where neither varies, without an interval below three pairs.

    References
    ----------
    Lin 1989, Biometrics 45:255; the variance as corrected in Lin 2000, Biometrics 56:324.
    """
    x, y = _pairs(first, second)
    n = len(x)
    if n < 2:
        return Agreement(np.nan, np.nan, np.nan, n)
    sx, sy, apart = float(x.var()), float(y.var()), float(y.mean() - x.mean())
    together = float(np.mean((x - x.mean()) * (y - y.mean())))
    whole = sx + sy + apart**2
    if whole == 0.0:
        return Agreement(np.nan, np.nan, np.nan, n)
    value = 2.0 * together / whole
    if n < _FEWEST or sx == 0.0 or sy == 0.0 or together == 0.0 or abs(value) >= 1.0:
        alone = value if n >= _FEWEST and abs(value) >= 1.0 else np.nan  # pairs all equal leave nothing to estimate
        return Agreement(value, alone, alone, n)
    r = together / np.sqrt(sx * sy)
    u2 = apart**2 / np.sqrt(sx * sy)
    p2 = value**2
    variance = (
        (1 - r**2) * p2 * (1 - p2) / r**2 + 2 * value**3 * (1 - value) * u2 / r - p2**2 * u2**2 / (2 * r**2)
    ) / (n - 2)
    half = float(stats.norm.ppf(0.975)) * np.sqrt(max(variance, 0.0)) / (1 - p2)
    middle = np.arctanh(value)
    return Agreement(value, float(np.tanh(middle - half)), float(np.tanh(middle + half)), n)


def cohen_kappa(table: ArrayLike) -> Agreement:
    """Return Cohen's kappa of two raters, with the exact interval of the share on which they agree.

    Parameters
    ----------
    table
        Counts, categories x categories: rows are the first rater's.

    Returns
    -------
    Agreement
        Without a value where chance alone would agree on everything: both raters use one and the same category.

    Notes
    -----
    Agreement by chance is taken as known, as in Cohen's own error. The large-sample error of Fleiss, Cohen and Everitt
    (1969, Psychol Bull 72:323) is 0 where all agree: of 8 to 20 decisions its interval holds a kappa of 0.8 in 46 to
    94 %, this one in 98 to 99 %.

    References
    ----------
    Cohen 1960, Educ Psychol Meas 20:37; Clopper and Pearson 1934, Biometrika 26:404.
    """
    counts = np.asarray(table, dtype=np.float64)
    n = int(counts.sum())
    if not n:
        return Agreement(np.nan, np.nan, np.nan, 0)
    share = counts / n
    observed, chance = float(np.trace(share)), float(share.sum(axis=1) @ share.sum(axis=0))
    if chance >= 1.0:
        return Agreement(np.nan, np.nan, np.nan, n)
    limits = clopper_pearson_percent(round(np.trace(counts)), n)
    low, high = ((limit / 100.0 - chance) / (1 - chance) for limit in limits)
    return Agreement((observed - chance) / (1 - chance), max(-1.0, low), min(1.0, high), n)


def cv_between(first: ArrayLike, second: ArrayLike) -> float:
    """Return the coefficient of variation between two measurements of the same things, percent.

    Parameters
    ----------
    first, second
        Positive values; pairs with a missing value or a mean of zero are left out.

    Returns
    -------
    float
        100 times the root of the mean of d² / (2 m²), d the difference and m the mean of a pair: the root mean square
        method for duplicates (Bland, "How should I calculate a within-subject coefficient of variation?", 2006).
    """
    x, y = _pairs(first, second)
    middle = (x + y) / 2.0
    known = middle > 0
    if not known.any():
        return float("nan")
    return float(100.0 * np.sqrt(np.mean((x[known] - y[known]) ** 2 / (2.0 * middle[known] ** 2))))


def _pairs(first: ArrayLike, second: ArrayLike) -> tuple[Array, Array]:
    x, y = (np.asarray(values, dtype=np.float64) for values in (first, second))
    known = np.isfinite(x) & np.isfinite(y)
    return x[known], y[known]
