"""Weighted sums of channels: the arithmetic of compensation, in double precision on float32 columns."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
from numpy.typing import NDArray

from immunolab.compiled import compiled

_BLOCK = 1024  # events made float64 at once: twenty channels of them (160 kB) stay in a core's cache
_PLAIN_BLOCK = 4096  # the same for numpy, whose calls cost more: judgement
_WORTH_COMPILING = 5_000_000  # products; with fewer, loading numba takes longer than numpy does: judgement


def weighted_sums(
    weights: NDArray[np.float64], columns: NDArray[np.float32], out: NDArray[np.float64] | None = None
) -> NDArray[np.float64]:
    """Return ``weights @ columns`` with every product and sum in double precision.

    Parameters
    ----------
    weights
        Results x channels; channels of weight 0 are not touched, so their NaN do not spread.
    columns
        Channels x events.
    out
        Where the results go, when given.

    Returns
    -------
    array
        Results x events, float64. Terms are added in the order of the channels, so that a value does not depend on
        the block of events it is computed in, nor on whether the loop is compiled.
    """
    result = np.empty((weights.shape[0], columns.shape[1])) if out is None else out
    mixed = []
    for target, row in enumerate(weights):
        sources = np.flatnonzero(row)
        if len(sources) == 1 and row[sources[0]] == 1.0:
            result[target] = columns[sources[0]]
        else:
            mixed.append(target)
    n_terms = int(np.count_nonzero(weights[mixed])) * columns.shape[1]
    loop = _loop if n_terms >= _WORTH_COMPILING or "numba" in sys.modules else _plain
    loop(weights, columns, np.array(mixed, dtype=np.int64), result)
    return result


@compiled
def _loop(weights: Any, columns: Any, targets: Any, result: Any) -> None:
    """Widen each block once, then add four channels at a time, so that a sum is read and written once for four."""
    n_channels, n_events = columns.shape
    wide = np.empty((n_channels, _BLOCK))
    used = np.zeros(n_channels, dtype=np.bool_)
    for target in targets:
        used |= weights[target] != 0.0
    for first in range(0, n_events, _BLOCK):
        n = min(_BLOCK, n_events - first)
        for source in np.flatnonzero(used):
            for event in range(n):
                wide[source, event] = columns[source, first + event]
        for target in targets:
            sums = result[target, first : first + n]
            sums[:] = 0.0
            sources = np.flatnonzero(weights[target])
            in_fours = sources.shape[0] // 4 * 4
            for place in range(0, in_fours, 4):
                w0, v0 = weights[target, sources[place]], wide[sources[place]]
                w1, v1 = weights[target, sources[place + 1]], wide[sources[place + 1]]
                w2, v2 = weights[target, sources[place + 2]], wide[sources[place + 2]]
                w3, v3 = weights[target, sources[place + 3]], wide[sources[place + 3]]
                for event in range(n):
                    sums[event] = sums[event] + w0 * v0[event] + w1 * v1[event] + w2 * v2[event] + w3 * v3[event]
            for source in sources[in_fours:]:
                weight, values = weights[target, source], wide[source]
                for event in range(n):
                    sums[event] += weight * values[event]


def _plain(
    weights: NDArray[np.float64], columns: NDArray[np.float32], targets: NDArray[np.int64], result: NDArray[np.float64]
) -> None:
    result[targets] = 0.0
    for first in range(0, columns.shape[1], _PLAIN_BLOCK):
        block = slice(first, first + _PLAIN_BLOCK)
        for target in targets:
            for source in np.flatnonzero(weights[target]):
                result[target, block] += weights[target, source] * columns[source, block]
