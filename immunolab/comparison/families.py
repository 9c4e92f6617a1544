"""Many endpoints: adjustment within the family an endpoint was declared in."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]


def benjamini_hochberg(p_values: ArrayLike) -> Array:
    """Return false-discovery-rate adjusted p (Benjamini and Hochberg 1995); NaN stays NaN and is not counted."""
    return _adjusted(p_values, lambda p, m: np.minimum.accumulate((p * m / np.arange(1, m + 1))[::-1])[::-1])


def holm(p_values: ArrayLike) -> Array:
    """Return family-wise adjusted p (Holm 1979); NaN stays NaN and is not counted."""
    return _adjusted(p_values, lambda p, m: np.maximum.accumulate(p * np.arange(m, 0, -1)))


def fixed_sequence(p_values: ArrayLike) -> Array:
    """Return adjusted p of hypotheses tested in the order given: the largest p so far.

    An endpoint without p stops the sequence: those after it get NaN.
    """
    p = np.asarray(p_values, dtype=float)
    return np.maximum.accumulate(p)  # NaN propagates


def _adjusted(p_values: ArrayLike, rule: Callable[[Array, int], Array]) -> Array:
    p = np.asarray(p_values, dtype=float)
    adjusted = np.full(p.shape, np.nan)
    tested = np.flatnonzero(np.isfinite(p))
    if tested.size:
        order = tested[np.argsort(p[tested], kind="stable")]
        adjusted[order] = np.minimum(rule(p[order], order.size), 1.0)
    return adjusted
