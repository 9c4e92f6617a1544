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
    result = np.empty((weights.shape[0], columns.shape[1]))
    mixed = []
    for target, row in enumerate(weights):
        sources = np.flatnonzero(row)
        if len(sources) == 1 and row[sources[0]] == 1.0:
            result[target] = columns[sources[0]]
        else:
            mixed.append(target)
    n_terms = int(np.count_nonzero(weights[mixed])) * columns.shape[1]
    loop = _compiled() if n_terms >= _WORTH_COMPILING or "numba" in sys.modules else _plain
    loop(weights, columns, np.array(mixed, dtype=np.int64), result)
    return result


def _loop(weights: Any, columns: Any, targets: Any, result: Any) -> None:
    """Widen each block once, then take four results at a time, so that a value is read once for four of them."""
    n_channels, n_events = columns.shape
    wide, sums = np.empty((n_channels, _BLOCK)), np.empty((4, _BLOCK))
    used = np.zeros(n_channels, dtype=np.bool_)
    for target in targets:
        used |= weights[target] != 0.0
    for first in range(0, n_events, _BLOCK):
        n = min(_BLOCK, n_events - first)
        for source in range(n_channels):
            if used[source]:
                for event in range(n):
                    wide[source, event] = columns[source, first + event]
        for start in range(0, targets.shape[0], 4):
            four = targets[start : start + 4]
            sums[:] = 0.0
            for source in range(n_channels):
                n_used = 0
                for target in four:
                    n_used += weights[target, source] != 0.0
                if n_used == 4:
                    w0, w1 = weights[four[0], source], weights[four[1], source]
                    w2, w3 = weights[four[2], source], weights[four[3], source]
                    for event in range(n):
                        value = wide[source, event]
                        sums[0, event] += w0 * value
                        sums[1, event] += w1 * value
                        sums[2, event] += w2 * value
                        sums[3, event] += w3 * value
                elif n_used > 0:
                    for place in range(four.shape[0]):
                        weight = weights[four[place], source]
                        if weight != 0.0:
                            for event in range(n):
                                sums[place, event] += weight * wide[source, event]
            for place in range(four.shape[0]):
                for event in range(n):
                    result[four[place], first + event] = sums[place, event]


@cache
def _compiled() -> Callable[..., None]:
    from numba import njit

    return njit(cache=True, nogil=True)(_loop)  # type: ignore[no-any-return]


def _plain(
    weights: NDArray[np.float64], columns: NDArray[np.float32], targets: NDArray[np.int64], result: NDArray[np.float64]
) -> None:
    result[targets] = 0.0
    for first in range(0, columns.shape[1], _PLAIN_BLOCK):
        block = slice(first, first + _PLAIN_BLOCK)
        for target in targets:
            for source in np.flatnonzero(weights[target]):
                result[target, block] += weights[target, source] * columns[source, block]
