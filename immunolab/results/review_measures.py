"""How unlike the others each of a study's tubes is, in bits: robust, and with the tube itself left out."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

Array = NDArray[np.float64]
_MAD_TO_SD = 1.4826  # of a normal
_MOST_RIGHT = 0.8  # share of the tubes that are right, at the least (judgement: twice the planted share of the issue)
_Q80_TO_SD = 1.281552  # of a normal, the 80th percentile of sizes in sd
_HALF = 0.5  # count added to each side of the odds (Haldane 1956)
_FEWEST = 3  # tubes beside one's own: fewer have no spread


def bits(deviation: Array, scale: Array, others: Array) -> Array:
    """Return how surprising a deviation is: log2 of Student's density at zero over that at the deviation.

    Few others make a heavy tail, so that nothing is far from two of them.

    Parameters
    ----------
    deviation, scale
        Its ratio is Student's t; NaN is no surprise.
    others
        Tubes that centre and scale are of.
    """
    freedom = np.maximum(others - 1.0, 1.0)
    with np.errstate(divide="ignore", invalid="ignore"):
        t = np.where(deviation == 0.0, 0.0, deviation / scale)
        found = (freedom + 1.0) / 2.0 * np.log2(1.0 + np.minimum(t * t, _MOST) / freedom)
    return np.where(np.isfinite(found) & (others >= _FEWEST), found, 0.0)


_MOST = 1e6  # square of t; beyond, a scale of nothing: the order is by other measures


def left_out_median(values: Array) -> Array:
    """Return for each value the median of the others; NaN values are no others.

    Parameters
    ----------
    values
        One a tube.
    """
    known = np.isfinite(values)
    n = int(known.sum()) - 1
    found = np.full(len(values), np.nan)
    if n < 1:
        return found
    order = np.argsort(values[known], kind="stable")
    ordered = values[known][order]
    rank = np.empty(n + 1, dtype=np.intp)
    rank[order] = np.arange(n + 1)
    low, high = (n - 1) // 2, n // 2  # of the n others
    found[known] = (ordered[low + (rank <= low)] + ordered[high + (rank <= high)]) / 2.0
    whole = np.median(ordered)
    found[~known] = whole
    return found


def from_others(values: Array, groups: Sequence[Hashable]) -> tuple[Array, Array]:
    """Return each value less the median of the others of its group, and how many these are.

    Parameters
    ----------
    values
        One a tube.
    groups
        Of each tube.
    """
    deviation, others = np.full(len(values), np.nan), np.zeros(len(values))
    codes = pd.factorize(np.asarray(groups))[0]
    for rows in pd.Series(codes).groupby(codes, sort=False).indices.values():
        own = values[rows]
        deviation[rows] = own - left_out_median(own)
        others[rows] = np.isfinite(own).sum() - np.isfinite(own)
    return deviation, others


def spread(deviation: Array) -> Array:
    """Return for each tube the robust sd of the others' deviations, of which a fifth may be wrong.

    The greater of what the median and what the 80th percentile of their sizes say: tails are heavier than a normal's.

    Parameters
    ----------
    deviation
        From a centre.
    """
    size = np.abs(deviation)
    known = size[np.isfinite(size)]
    if len(known) < _FEWEST:
        return np.full(len(size), np.nan)
    outer = float(np.quantile(known, _MOST_RIGHT)) / _Q80_TO_SD
    return np.asarray(np.maximum(_MAD_TO_SD * left_out_median(size), outer), dtype=np.float64)


def without_course(values: Array, course: Array) -> Array:
    """Return values less their robust line on a course of the same tubes (Theil 1950, incomplete method).

    Parameters
    ----------
    values, course
        One a tube; where either is missing the value stays as it is less the others' median.
    """
    known = np.flatnonzero(np.isfinite(values) & np.isfinite(course))
    plain = values - np.nanmedian(values) if np.isfinite(values).any() else values
    if len(known) < 2 * _FEWEST:
        return plain
    known = known[np.argsort(course[known], kind="stable")]
    half = len(known) // 2
    first, second = known[:half], known[-half:]
    run = course[second] - course[first]
    if not (run > 0).any():
        return plain
    slope = float(np.median((values[second] - values[first])[run > 0] / run[run > 0]))
    left = values - slope * (course - np.nanmedian(course[known]))
    left = left - np.nanmedian(left[known])
    return np.asarray(np.where(np.isfinite(left), left, plain), dtype=np.float64)


def logit(n: Array, of: Array) -> tuple[Array, Array]:
    """Return the log odds of counts and their counting variance.

    Parameters
    ----------
    n, of
        Events, and of how many.
    """
    inside, outside = n + _HALF, of - n + _HALF
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.log(inside / outside), 1.0 / inside + 1.0 / outside


def beyond_noise(deviation: Array, variance: Array) -> Array:
    """Return the sd that a deviation is judged by: what the others spread beyond their noise, and its own noise.

    Parameters
    ----------
    deviation
        From a centre.
    variance
        Of each deviation by noise alone.
    """
    more = np.maximum(spread(deviation) ** 2 - left_out_median(variance), 0.0)
    return np.sqrt(more + variance)
