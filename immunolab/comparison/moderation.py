"""Variance borrowed over endpoints: the moderated t, with one prior or averaged over the priors that fit.

With few endpoints of few patients the prior itself is badly known. Taken at its best estimate it makes tests liberal:
of twenty endpoints of five patients with unequal noise at least one was false in 8 % (benchmarks/families.py). So
p-values and limits are averaged over priors, each weighted by how well it explains the variances. Priors are one scaled
inverse chi-square distribution (Smyth 2004), or a mixture of two, for endpoints of which some are noisier than others
(Lu and Stephens 2016, Bioinformatics 32:3428, mix such distributions likewise).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import digamma, gammaln, polygamma, stdtr, stdtrit

from immunolab.comparison.estimate import ALPHA

Array = NDArray[np.float64]

_LEAST_PRIOR = 1e-3  # excess variance that is shared at least, so that no endpoint's scale is counting alone
_PRIOR_DF = np.array([1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 1e5])  # from near none to equal variances, by doublings
_SKEPTICAL = 2.0  # a prior's weight falls with its df to the power of this over the df of a share (as the next)
_SHARED = 1.0  # endpoints correlate, the less visibly the fewer df: their likelihood is tempered by 1 less this over df
# (judgement, benchmarks/families.py at 5 patients with unequal noise and 8 with equal)
_SCALES = np.linspace(-2.5, 2.5, 25)  # log of prior variance over the median one: a factor of 12 either way
_SHARES = np.array([0.2, 0.5, 0.8])  # of endpoints in the quieter group of two
_ONE_GROUP = 0.5  # weight of priors without groups before the variances are seen
_MOST_STEPS = 50  # of Newton for a limit; ten are enough
_CLOSE = 1e-12  # relative: a step below it changes no digit that is written


@dataclass(frozen=True)
class Moderated:
    """Moderated t of every endpoint.

    Attributes
    ----------
    estimate, ci_low, ci_high, p_value, df
        ``(K,)`` mean shift, its 95 % limits, two-sided p and degrees of freedom (averaged: their harmonic mean).
    prior_df, prior_variance
        The prior that variances were shrunk to (averaged: harmonic and geometric mean over priors and endpoints).
    """

    estimate: Array
    ci_low: Array
    ci_high: Array
    p_value: Array
    df: Array
    prior_df: float
    prior_variance: float


@dataclass(frozen=True)
class Spread:
    """What each endpoint's estimate is worth by its own data, ``(K,)`` each.

    Attributes
    ----------
    estimate
        Mean shift.
    variance, df
        Residual variance of the shifts and its degrees of freedom.
    unscaled
        Squared standard error of the estimate over `variance`; 1 / n for a mean.
    counting
        Mean counting variance of the shifts; NaN where it is not known.
    """

    estimate: Array
    variance: Array
    df: Array
    unscaled: Array
    counting: Array

    @property
    def expected(self) -> Array:
        """What counting alone makes unequal: the counting variance plus the median excess over it; 1 without counts."""
        if not np.isfinite(self.counting).all():
            return np.ones_like(self.variance)
        return self.counting + max(_LEAST_PRIOR, float(np.median(self.variance - self.counting)))


def spread_of(shifts: ArrayLike, variances: ArrayLike | None = None) -> Spread:
    """Return the spread of shifts.

    Parameters
    ----------
    shifts
        ``(n, K)`` patients x endpoints; NaN where a patient lacks a pair. At least 2 a column.
    variances
        ``(n, K)`` counting variances of the shifts; None where they are not known.
    """
    d = np.asarray(shifts, dtype=float)
    n = np.isfinite(d).sum(axis=0)
    counting = np.full(d.shape[1], np.nan)
    if variances is not None:
        counting = np.nanmean(np.where(np.isfinite(d), np.asarray(variances, dtype=float), np.nan), axis=0)
    return Spread(np.nanmean(d, axis=0), np.nanvar(d, axis=0, ddof=1), n - 1.0, 1.0 / n, counting)


def averaged_moderated_t(spread: Spread) -> Moderated:
    """Return moderated t tests averaged over the priors that explain the variances.

    Parameters
    ----------
    spread
        Of 2 endpoints or more, no variance 0.
    """
    expected = spread.expected
    ratio = spread.variance / expected
    scale = float(np.median(ratio)) * np.exp(_SCALES)
    weights = _prior_weights(_log_densities(ratio, spread.df, scale), float(spread.df.mean()))  # (priors, K)
    prior_df = np.repeat(_PRIOR_DF, scale.size)[:, None]
    prior_variance = np.tile(scale, _PRIOR_DF.size)[:, None]
    total = prior_df + spread.df
    se = np.sqrt((prior_df * prior_variance * expected + spread.df * spread.variance) / total * spread.unscaled)
    p = (weights * 2.0 * stdtr(total, -np.abs(spread.estimate) / se)).sum(axis=0)
    half = _half_width(weights, total, se)
    return Moderated(
        spread.estimate,
        spread.estimate - half,
        spread.estimate + half,
        p,
        1.0 / (weights / total).sum(axis=0),
        float(1.0 / (weights / prior_df).sum(axis=0).mean()),
        float(np.exp((weights * np.log(prior_variance)).sum(axis=0).mean())),
    )


def _log_densities(ratio: Array, df: Array, scale: Array) -> Array:
    """Return the log density of log variances under each prior, ``(degrees of freedom, scales, K)``: scaled F."""
    d0 = _PRIOR_DF[:, None, None]
    f = ratio / scale[None, :, None]
    found = gammaln((df + d0) / 2.0) - gammaln(d0 / 2.0) - gammaln(df / 2.0) + df / 2.0 * np.log(df * f / d0)
    return np.asarray(found - (df + d0) / 2.0 * np.log1p(df * f / d0), dtype=np.float64)


def _prior_weights(log_density: Array, df: float) -> Array:
    """Return for each endpoint how much each prior counts, ``(df x scale, K)``, after all variances were seen."""
    tempered = 1.0 - _SHARED / df
    log_density = log_density - log_density.max(axis=(0, 1))  # a constant of each endpoint
    first, second = np.triu_indices(log_density.shape[1], 1)
    share = _SHARES[None, :, None]
    parts, logs = [], []
    for own in np.exp(log_density):  # one prior df at a time: (scales, K)
        quiet, noisy = share * own[first][:, None], (1.0 - share) * own[second][:, None]
        both = np.maximum(quiet + noisy, np.finfo(float).tiny)
        parts.append((quiet / both, noisy / both))
        logs.append(np.log(both).sum(axis=-1))
    prior = _PRIOR_DF ** (-_SKEPTICAL / df)
    one, two = tempered * log_density.sum(axis=-1), tempered * np.array(logs)
    top = max(float(one.max()), float(two.max()))
    one = _ONE_GROUP * np.exp(one - top) * prior[:, None] / _SCALES.size
    two = (1.0 - _ONE_GROUP) * np.exp(two - top) * prior[:, None, None] / (first.size * _SHARES.size)
    found = np.repeat(one[..., None], log_density.shape[-1], axis=-1)
    for k, (quiet, noisy) in enumerate(parts):
        weight = two[k][..., None]
        np.add.at(found[k], first, (weight * quiet).sum(axis=1))
        np.add.at(found[k], second, (weight * noisy).sum(axis=1))
    found = found.reshape(-1, found.shape[-1])
    return np.asarray(found / found.sum(axis=0), dtype=np.float64)


def _half_width(weights: Array, df: Array, se: Array) -> Array:
    """Return half the width of each 95 % interval: where the averaged two-sided p is 0.05.

    The tail is convex and falls, so that Newton's steps from the narrowest interval never go too far.
    """
    peak = np.exp(gammaln((df + 1.0) / 2.0) - gammaln(df / 2.0)) / np.sqrt(df * np.pi) / se
    half = (stdtrit(df, 1.0 - ALPHA / 2.0) * se).min(axis=0)
    for _ in range(_MOST_STEPS):
        t = half / se
        excess = (weights * 2.0 * stdtr(df, -t)).sum(axis=0) - ALPHA
        step = excess / (weights * 2.0 * peak * (1.0 + t * t / df) ** (-(df + 1.0) / 2.0)).sum(axis=0)
        half = half + step
        if (np.abs(step) <= _CLOSE * half).all():
            break
    return np.asarray(half, dtype=np.float64)


def moderated_t(shifts: ArrayLike, variances: ArrayLike | None = None) -> Moderated:
    """Return t tests whose variances are shrunk towards one prior at its best estimate (Smyth 2004, SAGMB 3:3).

    This is limma's; `averaged_moderated_t` is what a comparison takes. With counting variances the prior is common only
    after what counting makes unequal has been divided out.

    Parameters
    ----------
    shifts, variances
        As in `spread_of`.
    """
    spread = spread_of(shifts, variances)
    expected, df, s2 = spread.expected, spread.df, spread.variance
    prior_variance, prior_df = variance_prior(s2 / expected, df)
    if np.isinf(prior_df):
        posterior = expected * prior_variance
    else:
        posterior = (expected * prior_df * prior_variance + df * s2) / (prior_df + df)
    total = np.minimum(prior_df + df, df.sum())
    se = np.sqrt(posterior * spread.unscaled)
    half = stdtrit(total, 1.0 - ALPHA / 2.0) * se
    mean = spread.estimate
    p = 2.0 * stdtr(total, -np.abs(mean) / se)
    return Moderated(mean, mean - half, mean + half, p, total, prior_df, prior_variance)


def variance_prior(s2: Array, df: Array) -> tuple[float, float]:
    """Return scale and df of the prior by the moments of log variances; df is inf when they spread no wider.

    Parameters
    ----------
    s2, df
        ``(K,)`` variances and their degrees of freedom, above 0.
    """
    x = np.maximum(s2, 1e-5 * float(np.median(s2)))
    e = np.log(x) - digamma(df / 2.0) + np.log(df / 2.0)
    excess = float(np.var(e, ddof=1) - polygamma(1, df / 2.0).mean())
    if excess <= 0:
        return float(x.mean()), float("inf")
    prior_df = 2.0 * _trigamma_inverse(excess)
    return float(np.exp(e.mean() + digamma(prior_df / 2.0) - np.log(prior_df / 2.0))), prior_df


def _trigamma_inverse(value: float) -> float:
    y = 0.5 + 1.0 / value  # Newton on 1 / trigamma converges monotonically from here
    for _ in range(50):
        trigamma = float(polygamma(1, y))
        step = trigamma * (1.0 - trigamma / value) / float(polygamma(2, y))
        y += step
        if -step / y < 1e-10:
            break
    return y
