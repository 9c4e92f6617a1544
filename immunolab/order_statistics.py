"""Medians and quantiles of events, to the last bit those of numpy: placing asks for thousands of them.

One sort serves all quantiles of the same events; numpy looks for each of them anew, which takes several times longer.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def median(values: Array) -> float:
    """Return the median of values without NaN, at least one.

    Parameters
    ----------
    values
        In any order.
    """
    half = len(values) // 2
    parted = np.partition(values, half)
    upper = float(parted[half])
    return upper if len(values) % 2 else (float(parted[:half].max()) + upper) / 2


def quantiles(ordered: Array, shares: Sequence[float]) -> list[float]:
    """Return quantiles of values in rising order, linear between neighbours (type 7 of Hyndman and Fan 1996).

    Parameters
    ----------
    ordered
        Rising, without NaN, at least one.
    shares
        Each from 0 to 1.
    """
    return [_quantile(ordered, share * (len(ordered) - 1)) for share in shares]


def _quantile(ordered: Array, place: float) -> float:
    below = int(place)
    low, high = float(ordered[below]), float(ordered[min(below + 1, len(ordered) - 1)])
    beyond = place - below
    # from the nearer neighbour, as numpy does: rounding then never leaves the two
    return low + (high - low) * beyond if beyond < 0.5 else high - (high - low) * (1 - beyond)
