"""Tests between two groups of patients: Welch, Mann-Whitney, analysis of covariance, mixed-model interaction."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtr, ndtri, stdtrit

from immunolab.comparison.arm_variances import contrast_by_arm
from immunolab.comparison.estimate import ALPHA, Estimate, t_estimate, untested
from immunolab.comparison.linear import least_squares
from immunolab.comparison.mixed import fit_mixed
from immunolab.comparison.paired import midranks
from immunolab.schema.flags import Code

Array = NDArray[np.float64]

_MOST_EXACT_PATIENTS = 60  # of both groups; the exact distribution above takes long and adds no digit that is printed


def welch(first: ArrayLike, second: ArrayLike) -> Estimate:
    """Return mean of first minus mean of second with Welch's t (1947, Biometrika 34:28).

    Parameters
    ----------
    first, second
        ``(n,)`` and ``(m,)`` values without NaN, two at least.
    """
    a, b = np.asarray(first, dtype=float), np.asarray(second, dtype=float)
    difference, n, method = float(a.mean() - b.mean()), a.size + b.size, "Welch t of shifts"
    va, vb = a.var(ddof=1) / a.size, b.var(ddof=1) / b.size
    if va + vb <= 0:
        return Estimate(difference, np.nan, np.nan, np.nan, np.nan, method, n, (Code.W_IDENTICAL,))
    df = float((va + vb) ** 2 / (va**2 / (a.size - 1) + vb**2 / (b.size - 1)))
    return t_estimate(difference, float(np.sqrt(va + vb)), df, method, n)


def mann_whitney(first: ArrayLike, second: ArrayLike) -> Estimate:
    """Return the Hodges-Lehmann difference of first and second with the rank-sum test.

    Exact with mid-ranks up to 60 patients (`scipy.stats.mannwhitneyu` is exact without ties only); the
    interval is the exact one without ties (Hollander, Wolfe and Chicken 2014, section 4.3).

    Parameters
    ----------
    first, second
        ``(n,)`` and ``(m,)`` values without NaN.
    """
    a, b = np.asarray(first, dtype=float), np.asarray(second, dtype=float)
    n = a.size + b.size
    ranks = midranks(np.concatenate([a, b]))
    total = float(ranks[: a.size].sum())
    differences = np.sort((a[:, None] - b[None, :]).ravel())
    codes = (Code.W_TIES,) if np.unique(ranks).size < n else ()
    if n > _MOST_EXACT_PATIENTS:
        p, method = _normal_rank_sum(ranks, a.size, total), "Mann-Whitney, normal approximation"
        k = int(np.floor(a.size * b.size / 2.0 + ndtri(ALPHA / 2.0) * np.sqrt(a.size * b.size * (n + 1) / 12.0)))
    else:
        density = _rank_sum_density(np.rint(2.0 * ranks).astype(np.int64), a.size)
        place = int(np.rint(2.0 * total))
        p = float(min(1.0, 2.0 * min(density[: place + 1].sum(), density[place:].sum())))
        method = "exact Mann-Whitney"
        untied = np.cumsum(_rank_sum_density(np.arange(1, n + 1, dtype=np.int64), a.size))
        k = int(np.searchsorted(untied, ALPHA / 2.0)) - a.size * (a.size + 1) // 2
    reachable = 1 <= k <= differences.size
    low, high = (differences[k - 1], differences[-k]) if reachable else (np.nan, np.nan)
    center = float(np.median(differences))
    return Estimate(center, float(low), float(high), p, np.nan, method, n, codes, location="Hodges-Lehmann")


def _rank_sum_density(ranks: NDArray[np.int64], size: int) -> Array:
    """Return P(sum of the ranks of ``size`` patients drawn without replacement = k), k = 0..sum."""
    ways = np.zeros((size + 1, int(ranks.sum()) + 1))
    ways[0, 0] = 1.0
    for rank in ranks:
        ways[1:, rank:] += ways[:-1, : ways.shape[1] - rank].copy()
    counts: Array = ways[size] / ways[size].sum()
    return counts


def _normal_rank_sum(ranks: Array, size: int, total: float) -> float:
    n = ranks.size
    variance = size * (n - size) / n * ranks.var(ddof=1)
    distance = abs(total - size * (n + 1) / 2.0)
    z = max(distance - 0.5, 0.0) / np.sqrt(variance)
    return float(min(1.0, 2.0 * ndtr(-z)))


def ancova_by_arm(before: ArrayLike, after: ArrayLike, treated: ArrayLike) -> Estimate:
    """Return the difference between arms after treatment, adjusted for the level before, a variance for each arm.

    Less noisy than a difference of shifts, and free of regression to the mean when arms differ before
    (Vickers and Altman 2001, BMJ 323:1123). Arms of unequal size and spread keep its type I error, see `arm_variances`.

    Parameters
    ----------
    before, after
        ``(n,)`` levels on the endpoint's scale, one a patient, without NaN.
    treated
        ``(n,)`` bool, True for the arm whose excess is estimated.
    """
    x, y, arm = np.asarray(before, dtype=float), np.asarray(after, dtype=float), np.asarray(treated, dtype=bool)
    design = np.column_stack([np.ones(y.size), x - x.mean(), arm])
    return _by_arm(design, y, arm, "ANCOVA on the level before, a variance for each arm")


def shifts_by_arm(shifts: ArrayLike, treated: ArrayLike, columns: Array, what: str) -> Estimate:
    """Return the difference of shifts between arms, adjusted for what else changed, a variance for each arm.

    Parameters
    ----------
    shifts
        ``(n,)`` without NaN.
    treated
        ``(n,)`` bool, True for the arm whose excess is estimated.
    columns
        ``(n, k)`` change of what is adjusted for.
    what
        That in words.
    """
    d, arm = np.asarray(shifts, dtype=float), np.asarray(treated, dtype=bool)
    design = np.column_stack([np.ones(d.size), columns, arm])
    return _by_arm(design, d, arm, f"difference of shifts adjusted for {what}, a variance for each arm")


def _by_arm(design: Array, response: Array, arm: NDArray[np.bool_], method: str) -> Estimate:
    weights = np.zeros(design.shape[1])
    weights[-1] = 1.0
    rank = np.linalg.matrix_rank(design)
    if rank < design.shape[1] and np.linalg.matrix_rank(design[:, :-1]) == rank:
        return untested(response.size, "not estimable: the arms differ by what is adjusted for")
    estimate, se, df = contrast_by_arm(design, response, arm, weights)
    if not np.isfinite(se) or se <= 0:
        return Estimate(estimate, np.nan, np.nan, np.nan, df, method, response.size, (Code.W_IDENTICAL,))
    return t_estimate(estimate, se, df, method, response.size)


def difference_of_estimates(first: Estimate, second: Estimate, method: str) -> Estimate:
    """Return first less second of two independent estimates with intervals, which may be lopsided.

    Each limit takes the standard error of that side of both intervals (method of variance estimates recovery, Zou and
    Donner 2008, Stat Med 27:1693); degrees of freedom are Satterthwaite's, p that of the side towards zero. Of two
    paired t it is Welch's t.

    Parameters
    ----------
    first, second
        With 95 % limits; without degrees of freedom they have those of a paired t of n.
    method
        In words.
    """
    n = first.n + second.n
    if not np.isfinite([first.ci_low, first.ci_high, second.ci_low, second.ci_high]).all():
        return untested(n, "not tested: the change of one arm has no interval")
    dfs = [one.df if np.isfinite(one.df) else one.n - 1.0 for one in (first, second)]
    quantiles = stdtrit(np.array(dfs), 1.0 - ALPHA / 2.0)
    below = np.array([first.estimate - first.ci_low, second.ci_high - second.estimate]) / quantiles
    above = np.array([first.ci_high - first.estimate, second.estimate - second.ci_low]) / quantiles
    difference = first.estimate - second.estimate
    low, high = (_side(difference, errors, dfs, method, n) for errors in (below, above))
    near = low if difference > 0 else high
    return replace(near, ci_low=low.ci_low, ci_high=high.ci_high, half_count=False)


def _side(difference: float, errors: Array, dfs: Sequence[float], method: str, n: int) -> Estimate:
    """Return the estimate whose standard error is that of one side of both intervals."""
    variances = errors**2
    df = float(variances.sum() ** 2 / (variances**2 / np.array(dfs)).sum())
    return t_estimate(difference, float(np.sqrt(variances.sum())), df, method, n)


def ancova(before: ArrayLike, after: ArrayLike, treated: ArrayLike) -> Estimate:
    """Return what `ancova_by_arm` does with one variance for both arms, as shown beside it.

    Where the smaller arm varies more its type I error is up to 0.25 (benchmarks/calibration_arms.py).

    Parameters
    ----------
    before, after
        ``(n,)`` levels on the endpoint's scale, one a patient, without NaN.
    treated
        ``(n,)`` bool, True for the arm whose excess is estimated.
    """
    x, y = np.asarray(before, dtype=float), np.asarray(after, dtype=float)
    arm = np.asarray(treated, dtype=float)
    fit = least_squares(np.column_stack([np.ones(y.size), x - x.mean(), arm]), y)
    estimate, method = float(fit.beta[2]), "ANCOVA on the level before, one variance"
    if fit.df < 1 or not fit.sigma2 > 0:
        return Estimate(estimate, np.nan, np.nan, np.nan, float(fit.df), method, y.size, (Code.W_IDENTICAL,))
    return t_estimate(estimate, float(np.sqrt(fit.covariance[2, 2])), float(fit.df), method, y.size)


def mixed_interaction(before: ArrayLike, after: ArrayLike, treated: ArrayLike) -> Estimate:
    """Return the visit-by-arm interaction of a random-intercept model.

    Parameters
    ----------
    before, after
        ``(n,)`` levels on the endpoint's scale; NaN for a visit that is missing: the other one still counts.
    treated
        ``(n,)`` bool, True for the arm whose excess is estimated.
    """
    level = np.concatenate([np.asarray(before, dtype=float), np.asarray(after, dtype=float)])
    arm = np.tile(np.asarray(treated, dtype=float), 2)
    visit = np.repeat([0.0, 1.0], arm.size // 2)
    there = np.isfinite(level)
    patient = np.unique(np.tile(np.arange(arm.size // 2), 2)[there], return_inverse=True)[1]
    design = np.column_stack([np.ones(level.size), visit, arm, visit * arm])[there]
    fit = fit_mixed(level[there], design, patient, np.ones((int(there.sum()), 1)))
    estimate, se, df = fit.contrast(np.array([0.0, 0.0, 0.0, 1.0]))
    codes = () if fit.converged else (Code.W_NOCONV,)
    return t_estimate(estimate, se, df, "mixed-model interaction", int(patient.max()) + 1, codes=codes)
