"""A linear model for each gene's counts: log-CPM weighted by the trend of its variance, variances shrunk over genes.

This is the usual path of limma: TMM factors (Robinson and Oshlack 2010, Genome Biol 11:R25), voom's weights (Law et al.
2014, Genome Biol 15:R29) and the moderated t (Smyth 2004, SAGMB 3:3). tests/test_expression.py holds it against R.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtr, stdtrit
from scipy.stats import rankdata

from immunolab.comparison.estimate import ALPHA
from immunolab.comparison.moderation import variance_prior

Array = NDArray[np.float64]

_RATIO_TRIM, _LEVEL_TRIM = 0.3, 0.05  # shares of genes left out of TMM at either end (edgeR's defaults)
_SPAN = 0.5  # share of genes in each local fit of the trend (voom's default in limma 3.54)
_SPACING = 0.01  # of the range of levels, within which the trend is interpolated (R's lowess)
_GENES_AT_ONCE = 1_000  # of the weighted fits: their normal equations are held together


@dataclass(frozen=True)
class GeneFits:
    """The last coefficient of every gene, arrays ``(G,)``, on the log2 scale.

    Attributes
    ----------
    estimate, se, ci_low, ci_high, t, p_value, df
        Moderated; ``se`` and limits with the shrunk variance, ``df`` the residual ones and the prior's.
    level
        Mean log2 of counts per million.
    prior_df, prior_variance
        What variances were shrunk to.
    """

    estimate: Array
    se: Array
    ci_low: Array
    ci_high: Array
    t: Array
    p_value: Array
    df: Array
    level: Array
    prior_df: float
    prior_variance: float


def fit_genes(counts: Array, design: Array) -> GeneFits:
    """Return the last coefficient of a design for every gene.

    Parameters
    ----------
    counts
        ``(G, S)`` counts of genes in samples; every gene with some, every sample with some.
    design
        ``(S, p)``, of full rank, with a residual degree of freedom; the last column is tested.
    """
    library = counts.sum(axis=0) * tmm_factors(counts)
    y = np.log2((counts + 0.5) / (library + 1.0) * 1e6)
    weights = _voom_weights(y, counts, library, design)
    beta, unscaled, s2 = _weighted(y, weights, design)
    residual = float(design.shape[0] - design.shape[1])
    df = np.full(len(y), residual)
    prior, prior_df = variance_prior(s2, df) if len(y) > 1 else (float(s2[0]), 0.0)
    posterior = np.full_like(s2, prior) if np.isinf(prior_df) else (prior_df * prior + df * s2) / (prior_df + df)
    total = np.minimum(prior_df + df, df.sum())
    se = np.sqrt(posterior * unscaled)
    t = beta / se
    half = stdtrit(total, 1.0 - ALPHA / 2.0) * se
    p = 2.0 * stdtr(total, -np.abs(t))
    return GeneFits(beta, se, beta - half, beta + half, t, p, total, y.mean(axis=1), prior_df, prior)


def tmm_factors(counts: Array) -> Array:
    """Return what multiplies each library's size: trimmed means of log ratios to one sample, of product 1.

    A few genes that one library is full of make all others in it look low; the trimmed mean leaves them out.

    Parameters
    ----------
    counts
        ``(G, S)`` counts.
    """
    some = counts[counts.any(axis=1)]
    library = some.sum(axis=0)
    upper = np.quantile(some, 0.75, axis=0) / library
    like_most = np.argmin(np.abs(upper - upper.mean()))
    chosen = int(like_most if np.median(upper) > 1e-20 else np.argmax(np.sqrt(some).sum(axis=0)))
    shares, variance = some / library, (library - some) / library / np.maximum(some, 1e-300)
    ratios = [
        _log_ratio(shares[:, s], shares[:, chosen], variance[:, s] + variance[:, chosen]) for s in range(len(library))
    ]
    factors = np.exp2(np.array(ratios))
    return np.asarray(factors / np.exp(np.log(factors).mean()))


def _log_ratio(share: Array, reference: Array, variance: Array) -> float:
    """Return the trimmed mean log2 ratio of a sample to the reference, weighted by counting variance."""
    both = (share > 0) & (reference > 0)
    share, reference, variance = share[both], reference[both], variance[both]
    ratio = np.log2(share / reference)  # of the quotient, so that equal ratios are ties
    level = (np.log2(share) + np.log2(reference)) / 2.0
    if not ratio.size or np.abs(ratio).max() < 1e-6:
        return 0.0
    kept = _inner(ratio, _RATIO_TRIM) & _inner(level, _LEVEL_TRIM)
    return float(np.sum(ratio[kept] / variance[kept]) / np.sum(1.0 / variance[kept])) if kept.any() else 0.0


def _inner(values: Array, trimmed: float) -> NDArray[np.bool_]:
    first = np.floor(values.size * trimmed) + 1
    rank = rankdata(values)
    return np.asarray((rank >= first) & (rank <= values.size + 1 - first))


def _voom_weights(y: Array, counts: Array, library: Array, design: Array) -> Array:
    """Return the precision of each log-CPM by the trend of residual standard deviations over mean log counts."""
    from statsmodels.nonparametric.smoothers_lowess import lowess

    beta = np.linalg.lstsq(design, y.T, rcond=None)[0]
    fitted = (design @ beta).T
    sigma = np.sqrt(((y - fitted) ** 2).sum(axis=1) / (design.shape[0] - design.shape[1]))
    level = y.mean(axis=1) + np.log2(library + 1.0).mean() - np.log2(1e6)
    some = counts.any(axis=1)
    trend = lowess(np.sqrt(sigma[some]), level[some], frac=_SPAN, it=3, delta=_SPACING * float(np.ptp(level[some])))
    x, first = np.unique(trend[:, 0], return_index=True)
    of_counts = np.log2(np.exp2(fitted) * 1e-6 * (library + 1.0))
    return np.asarray(np.interp(of_counts, x, trend[first, 1]) ** -4.0)


def _weighted(y: Array, weights: Array, design: Array) -> tuple[Array, Array, Array]:
    """Return the last coefficient of every gene, its unscaled variance, and the residual variance."""
    beta, unscaled, s2 = (np.empty(len(y)) for _ in range(3))
    residual = design.shape[0] - design.shape[1]
    for start in range(0, len(y), _GENES_AT_ONCE):
        own = slice(start, start + _GENES_AT_ONCE)
        weighted = weights[own, :, None] * design
        inverse = np.linalg.inv(np.swapaxes(weighted, 1, 2) @ design)
        every = np.einsum("gij,gsj,gs->gi", inverse, weighted, y[own])
        beta[own], unscaled[own] = every[:, -1], inverse[:, -1, -1]
        s2[own] = (weights[own] * (y[own] - every @ design.T) ** 2).sum(axis=1) / residual
    return beta, unscaled, s2
