"""One shift a patient, one result a cohort: paired t, exact signed rank, exact sign flip.

All take the patients' shifts on a scale, ``(n,)`` without NaN, and return an `Estimate`.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtr

from immunolab.comparison.estimate import ALPHA, Estimate, is_constant, not_zero, t_estimate
from immunolab.intervals import NORMAL_95
from immunolab.schema.flags import Code

Array = NDArray[np.float64]

_MOST_EXACT_RANKS = 200  # patients; above, the normal approximation agrees to more digits than are printed
_MOST_EXACT_FLIPS = 13  # patients: 8,192 sign vectors
_MONTE_CARLO_FLIPS = 9_999  # with the identity 10,000: p in steps of 0.0001
_BLOCK = 2_000_000  # numbers of sign vectors that are multiplied at a time, 16 MB: all of them to 200 patients
_TIE = 1e-10  # relative to the largest value: closer values share their rank
_AS_EXTREME = 1e-9  # relative: a flipped mean this close to the observed one is as extreme


def paired_t(shifts: ArrayLike, *, method: str = "paired t") -> Estimate:
    """Return the mean shift with Student's one-sample t. Identical shifts give no p value and no interval.

    Parameters
    ----------
    shifts
        ``(n,)``, n at least 1.
    method
        Name for the column ``method``.
    """
    d = np.asarray(shifts, dtype=float)
    mean, df = float(d.mean()), d.size - 1.0
    if d.size < 2 or is_constant(d):
        return Estimate(mean, np.nan, np.nan, np.nan, df, method, d.size, (Code.W_IDENTICAL,))
    sd = float(d.std(ddof=1))
    return t_estimate(mean, float(sd / np.sqrt(d.size)), df, method, d.size, residual_variance=sd**2)


def midranks(values: Array) -> Array:
    """Return ranks 1..n of values ``(n,)``, ties sharing their mean rank.

    Values equal up to rounding are ties, which `scipy.stats.rankdata` would rank apart.
    """
    order = np.argsort(values, kind="stable")
    ranked = values[order]
    tolerance = _TIE * max(1.0, float(np.abs(ranked).max(initial=0.0)))
    group = np.concatenate([[0], np.cumsum(np.diff(ranked) > tolerance)])
    last = np.cumsum(np.bincount(group))
    mean_rank = last - (np.bincount(group) - 1) / 2.0
    ranks = np.empty(values.size)
    ranks[order] = mean_rank[group]
    return ranks


def _signed_rank_sum_density(doubled: NDArray[np.int64]) -> Array:
    """Return P(sum of the doubled ranks with a positive sign = k), k = 0..sum, each sign a fair coin."""
    density = np.zeros(int(doubled.sum()) + 1)
    density[0] = 1.0
    top = 0
    for rank in doubled:
        shifted = density[: top + 1].copy()
        density[: top + 1] *= 0.5
        density[rank : top + rank + 1] += 0.5 * shifted
        top += int(rank)
    return density


def wilcoxon(shifts: ArrayLike) -> Estimate:
    """Return the signed-rank test with the Hodges-Lehmann shift and interval.

    Zero shifts are dropped first, as R's ``wilcox.test`` does; p is exact with mid-ranks for ties, by the
    full distribution of the rank sum, which `scipy.stats.wilcoxon` has without ties only. The interval is
    the exact one of the Walsh averages (Hollander, Wolfe and Chicken 2014, section 3.2); below six shifts
    it does not reach 95 % and is left empty. Without the zeros the shift is that of the patients who changed: of scores
    in whole points (mean change 0.6, sd 1.2, eight patients) it is half as far again from zero as that of all.

    Parameters
    ----------
    shifts
        ``(n,)``.
    """
    d = np.asarray(shifts, dtype=float)
    kept = d[not_zero(d)]
    codes: tuple[Code, ...] = (Code.W_ZERO_DIFF,) if kept.size < d.size else ()
    if not kept.size:
        return Estimate(0.0, np.nan, np.nan, np.nan, np.nan, "exact signed rank", 0, codes)
    ranks = midranks(np.abs(kept))
    if np.any(ranks != np.round(ranks)) or np.unique(ranks).size < ranks.size:
        codes += (Code.W_TIES,)
    positive = float(ranks[kept > 0].sum())
    exact = kept.size <= _MOST_EXACT_RANKS
    p = _exact_rank_p(ranks, positive) if exact else _normal_rank_p(ranks, positive)
    center, low, high = hodges_lehmann(kept)
    method = "exact signed rank" if exact else "signed rank, normal approximation"
    return Estimate(center, low, high, p, np.nan, method, kept.size, codes, location="Hodges-Lehmann")


def _exact_rank_p(ranks: Array, positive: float) -> float:
    doubled = np.rint(2.0 * ranks).astype(np.int64)
    density = _signed_rank_sum_density(doubled)
    smaller = min(positive, ranks.sum() - positive)
    return float(min(1.0, 2.0 * density[: int(np.rint(2.0 * smaller)) + 1].sum()))


def _normal_rank_p(ranks: Array, positive: float) -> float:
    distance = abs(positive - ranks.sum() / 2.0)
    z = (distance - 0.5 * np.sign(distance)) / np.sqrt((ranks**2).sum() / 4.0)
    return float(min(1.0, 2.0 * ndtr(-z)))


@lru_cache(maxsize=_MOST_EXACT_RANKS)
def _untied_cumulative(n: int) -> Array:
    return np.cumsum(_signed_rank_sum_density(np.arange(1, n + 1, dtype=np.int64)))


def hodges_lehmann(shifts: ArrayLike) -> tuple[float, float, float]:
    """Return the median Walsh average of shifts ``(n,)`` and its 95 % limits (NaN where n is too small for 95 %)."""
    d = np.asarray(shifts, dtype=float)
    n = d.size
    walsh = np.concatenate([(d[i] + d[i:]) / 2.0 for i in range(n)]) if n else d  # by the square of the patients
    walsh.sort()
    center = float(np.median(walsh))
    if n <= _MOST_EXACT_RANKS:
        cumulative = _untied_cumulative(n)
        k = int(np.searchsorted(cumulative, ALPHA / 2.0, side="left"))
        if k == 0 and cumulative[0] > ALPHA / 2.0:
            return center, np.nan, np.nan
        k = max(k, 1)
    else:
        mean, sd = n * (n + 1) / 4.0, np.sqrt(n * (n + 1) * (2 * n + 1) / 24.0)
        k = max(int(np.floor(mean - NORMAL_95 * sd)), 1)
    return center, float(walsh[k - 1]), float(walsh[walsh.size - k])


def sign_vectors(n: int, seed: int = 0) -> tuple[NDArray[np.int8], bool]:
    """Return sign vectors ``(B, n)`` of -1 and 1, the identity first, and whether they are all 2^n of them.

    Parameters
    ----------
    n
        Pairs.
    seed
        Of the Monte Carlo draws beyond the number of pairs that is enumerated.
    """
    if n <= _MOST_EXACT_FLIPS:
        codes = np.arange(2**n)[:, None] >> np.arange(n)[None, :]
        return (1 - 2 * (codes & 1)).astype(np.int8), True
    drawn = np.random.default_rng(seed).integers(0, 2, size=(_MONTE_CARLO_FLIPS, n), dtype=np.int8)
    signs = np.ones((_MONTE_CARLO_FLIPS + 1, n), dtype=np.int8)
    signs[1:] -= 2 * drawn
    return signs, False


def in_blocks(signs: NDArray[np.int8]) -> Iterator[NDArray[np.int8]]:
    """Yield sign vectors some at a time, for numpy widens them all where they are multiplied.

    Parameters
    ----------
    signs
        ``(B, n)``.
    """
    n = max(_BLOCK // max(signs.shape[1], 1), 1)
    yield from (signs[first : first + n] for first in range(0, len(signs), n))


def sign_flip(shifts: ArrayLike, *, seed: int = 0) -> Estimate:
    """Return the mean shift with the sign-flip test and the interval that inverts it.

    A sign vector splits the patients in two; its flipped mean is as far from zero as the observed one
    under a trial shift m just when m is between the means of the two parts, so the limits are order
    statistics of those means (Hartigan 1969, JASA 64:1303). Exact to 13 patients, else 9,999 flips.

    Parameters
    ----------
    shifts
        ``(n,)``.
    seed
        Of the draws above 13 patients.
    """
    d = np.asarray(shifts, dtype=float)
    signs, exact = sign_vectors(d.size, seed)
    mean = float(d.mean())
    flipped = np.abs(np.concatenate([some @ d for some in in_blocks(signs)])) / d.size
    p = float(np.mean(flipped >= abs(mean) * (1.0 - _AS_EXTREME)))
    kept = (signs > 0).sum(axis=1)
    kept_sum, turned_sum = (
        np.concatenate([of @ d for of in parts])
        for parts in ((some > 0 for some in in_blocks(signs)), (some < 0 for some in in_blocks(signs)))
    )
    with np.errstate(invalid="ignore", divide="ignore"):
        kept_mean = np.where(kept > 0, kept_sum / kept, -np.inf)
        turned_mean = np.where(kept < d.size, turned_sum / (d.size - kept), np.inf)
    trivial = (kept == d.size) | (kept == 0)
    lower = np.sort(np.where(trivial, -np.inf, np.minimum(kept_mean, turned_mean)))
    upper = np.sort(np.where(trivial, np.inf, np.maximum(kept_mean, turned_mean)))[::-1]
    k = int(np.floor(ALPHA * lower.size * (1.0 + 1e-12)))  # 5 % of the vectors, rounding apart
    low, high = (float(v[k]) if np.isfinite(v[k]) else np.nan for v in (lower, upper))
    method = "exact sign flip" if exact else f"sign flip, {_MONTE_CARLO_FLIPS} draws, seed {seed}"
    codes = (Code.W_IDENTICAL,) if d.size and is_constant(d) else ()
    return Estimate(mean, low, high, p, np.nan, method, d.size, codes)


def smallest_p(n: int) -> float:
    """Return the smallest two-sided p an exact signed-rank or sign-flip test can reach with n shifts."""
    return float(min(1.0, 2.0 ** (1 - n)))
