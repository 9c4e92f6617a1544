"""Weighted sums of channels: the arithmetic of compensation, in double precision on float32 columns."""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

_BLOCK = 512
_PLAIN_BLOCK = 4096
_WORTH_COMPILING = 5_000_000


def weighted_sums(weights: NDArray[np.float64], columns: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return ``weights @ columns`` with every product and sum in double precision.

    Parameters
    ----------
    weights : results x channels; channels of weight 0 are not touched, so their NaN do not spread.
    columns : channels x events.

    Returns
    -------
    Results x events, float64. Terms are added in the order of the channels, so that a value does
    not depend on the block of events it is computed in, nor on whether the loop is compiled.
    """
    result = np.zeros((weights.shape[0], columns.shape[1]))
    n_terms = int(np.count_nonzero(weights)) * columns.shape[1]
    loop = _compiled() if n_terms >= _WORTH_COMPILING or "numba" in sys.modules else _plain
    loop(weights, columns, result)
    return result


def _loop(weights: Any, columns: Any, result: Any) -> None:
    """Take four results at a time: each value is then read from the cache once for four of them."""
    n_results, n_channels = weights.shape
    n_events = columns.shape[1]
    sums = np.empty((4, _BLOCK))
    for first in range(0, n_events, _BLOCK):
        n = min(_BLOCK, n_events - first)
        for target in range(0, n_results, 4):
            n_here = min(4, n_results - target)
            sums[:] = 0.0
            for source in range(n_channels):
                values = columns[source, first : first + n]
                some = weights[target : target + n_here, source]
                if n_here == 4 and some.all():
                    for event in range(n):
                        value = np.float64(values[event])
                        sums[0, event] += some[0] * value
                        sums[1, event] += some[1] * value
                        sums[2, event] += some[2] * value
                        sums[3, event] += some[3] * value
                    continue
                for place in range(n_here):
                    if some[place] != 0.0:
                        for event in range(n):
                            sums[place, event] += some[place] * np.float64(values[event])
            for place in range(n_here):
                result[target + place, first : first + n] = sums[place, :n]


@cache
def _compiled() -> Callable[..., None]:
    from numba import njit

    return njit(cache=True, nogil=True)(_loop)  # type: ignore[no-any-return]


def _plain(weights: NDArray[np.float64], columns: NDArray[np.float32], result: NDArray[np.float64]) -> None:
    for first in range(0, columns.shape[1], _PLAIN_BLOCK):
        block = slice(first, first + _PLAIN_BLOCK)
        for target, source in zip(*np.nonzero(weights), strict=True):
            result[target, block] += weights[target, source] * columns[source, block]
