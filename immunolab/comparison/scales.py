"""Scales on which a shift is taken, and the counting variance of a shift on each.

Counts y of N enter as log((y + 0.5) / (N - y + 0.5)) (Haldane 1956, Ann Hum Genet 20:309), percentages
(0..100) as log(p / (100 - p)), with half the smallest distance from the border standing in for 0 and 100.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from immunolab.comparison.plan import Scale

Array = NDArray[np.float64]

ESTIMATE_SCALE: dict[Scale, str] = {
    "logit": "log_odds",
    "log": "log",
    "arcsine": "arcsine",
    "identity": "identity",
}
"""Scale of the values -> scale of the estimate, as the column ``estimate_scale`` names it."""
_PLAIN = ("yes/no", "0/1", "bool", "cm")  # units whose values are compared as differences
MULTIPLICATIVE: frozenset[Scale] = frozenset({"logit", "log"})
"""Scales on which exp(shift) is a ratio: of odds, or of values."""


def default_scale(unit: str, values: ArrayLike) -> Scale:
    """Return the scale of an endpoint by its unit.

    Percentages take the logit; points (scores), visual analogue scales (cm), doses a day, slopes a month and
    signed quantities stay as they are, for 0 is an ordinary value of theirs; everything else (ratios,
    concentrations, absolute counts, intensities) takes the log.

    Parameters
    ----------
    unit
        As written in the table.
    values
        ``(n,)`` of the endpoint; NaN where missing.
    """
    word = unit.strip().lower()
    if word in ("%", "percent") or word.startswith(("% ", "percent ")):
        return "logit"
    numbers = np.asarray(values, dtype=float)
    plain = "point" in word or "slope" in word or word in _PLAIN or word.endswith(("/day", "/d", "/month"))
    return "identity" if plain or np.any(numbers < 0) else "log"


def from_counts(n_events: ArrayLike, n_parent: ArrayLike, scale: Scale, *, ratio: bool = False) -> Array:
    """Return counts on a scale.

    Parameters
    ----------
    n_events, n_parent
        Events, same shape; with ``ratio`` the numerator and the denominator of a ratio of two populations of
        one tube.
    scale
        Logit of the proportion, log of it (or of the ratio), arcsine of its root (radians), identity (percent,
        or the ratio).
    ratio
        Whether the counts are of two populations; else n_events are part of n_parent.
    """
    y, n = np.asarray(n_events, dtype=float), np.asarray(n_parent, dtype=float)
    if ratio:
        share = (y + 0.5) / (n + 0.5)
        return np.log(share) if scale == "log" else share
    with np.errstate(divide="ignore", invalid="ignore"):
        if scale == "logit":
            return np.log((y + 0.5) / (n - y + 0.5))
        if scale == "log":
            return np.log((y + 0.5) / (n + 1.0))
        return np.arcsin(np.sqrt(y / n)) if scale == "arcsine" else 100.0 * y / n


def from_values(values: ArrayLike, scale: Scale) -> tuple[Array, int]:
    """Return measured values on a scale, and how many were on a border where the scale has no value.

    On the logit (percent 0..100) a 0 or 100 becomes half the smallest distance any other value has from
    that border; on the log a 0 becomes half the smallest positive value. NaN stays NaN.

    Parameters
    ----------
    values
        ``(n,)`` in the endpoint's unit.
    scale
        Where they go.
    """
    x = np.asarray(values, dtype=float)
    if scale == "identity":
        return x.copy(), 0
    if scale == "arcsine":
        return np.arcsin(np.sqrt(x / 100.0)), 0
    low, n_low = _off_zero(x)
    if scale == "log":
        return np.log(low), n_low
    high, n_high = _off_zero(100.0 - x)
    return np.log(low) - np.log(high), n_low + n_high


def _off_zero(distance: Array) -> tuple[Array, int]:
    at_border = distance == 0
    count = int(at_border.sum())
    if not count:
        return distance, 0
    inside = distance[distance > 0]
    return np.where(at_border, inside.min() / 2.0 if inside.size else 0.5, distance), count


def counting_variance(events: Array, parents: Array, inverse: Array, scale: Scale, *, ratio: bool = False) -> Array:
    """Return the counting variance of after minus before, with one proportion for both visits.

    A common proportion keeps the weight of a pair free of its own shift.

    Parameters
    ----------
    events, parents
        ``(..., 2)`` events and denominator summed over the visits of each side.
    inverse
        ``(..., 2)`` mean of 1/N over the visits of a side, divided by their number; 1/N for one visit.
    scale
        Of the shift.
    ratio
        Numerator and denominator of a ratio, see `from_counts`; then ``inverse`` is not used.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        if ratio:
            terms = 1.0 / (events + 0.5) + 1.0 / (parents + 0.5)
            return terms.sum(axis=-1)
        p = (events.sum(axis=-1) + 1.0) / (parents.sum(axis=-1) + 2.0)
        width = inverse.sum(axis=-1)
        if scale == "logit":
            return width / (p * (1.0 - p))
        if scale == "log":
            return width * (1.0 - p) / p
        return width / 4.0 if scale == "arcsine" else 1e4 * p * (1.0 - p) * width


def single_variance(n_events: ArrayLike, n_parent: ArrayLike, scale: Scale, *, ratio: bool = False) -> Array:
    """Return the counting variance of one sample on a scale.

    Parameters
    ----------
    n_events, n_parent, scale, ratio
        As in `from_counts`.
    """
    y, n = np.asarray(n_events, dtype=float), np.asarray(n_parent, dtype=float)
    with np.errstate(divide="ignore", invalid="ignore"):
        if ratio:
            return 1.0 / (y + 0.5) + 1.0 / (n + 0.5)
        if scale == "logit":
            return 1.0 / (y + 0.5) + 1.0 / (n - y + 0.5)
        if scale == "log":
            return 1.0 / (y + 0.5) - 1.0 / (n + 1.0)
        return 0.25 / n if scale == "arcsine" else 1e4 * (y / n) * (1.0 - y / n) / n
