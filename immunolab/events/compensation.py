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
    compiles = "numba" in sys.modules or np.count_nonzero(weights) * columns.shape[1] >= _WORTH_COMPILING
    loop = _loop if compiles else _plain
    if (
        not columns.flags.c_contiguous
    ):  # of a block of events: its rows side by side, so that the loop takes several at once
        used = np.flatnonzero(weights.any(axis=0))
        weights, columns = np.ascontiguousarray(weights[:, used]), columns[used]
    loop(weights, columns, np.arange(weights.shape[0]), result)
    return result


@compiled
def _loop(weights: Any, columns: Any, targets: Any, result: Any) -> None:
    """Widen each block once, then add up four results that are sums of the same channels at a time, or one by one.

    Four results read a channel once for all of them. Each sum has its terms in the order of the channels either way.
    """
    n_channels, n_events = columns.shape
    wide = np.empty((n_channels, _BLOCK))
    used = np.zeros(n_channels, dtype=np.bool_)
    same = np.full(weights.shape[0], -1)  # the channel that a result is, or -1
    for target in targets:
        sources = np.flatnonzero(weights[target])
        if sources.shape[0] == 1 and weights[target, sources[0]] == 1.0:
            same[target] = sources[0]
        else:
            used |= weights[target] != 0.0
    for first in range(0, n_events, _BLOCK):
        n = min(_BLOCK, n_events - first)
        for source in np.flatnonzero(used):
            for event in range(n):
                wide[source, event] = columns[source, first + event]
        place = 0
        while place < targets.shape[0]:
            target = targets[place]
            if same[target] >= 0:
                for event in range(n):
                    result[target, first + event] = columns[same[target], first + event]
                place += 1
                continue
            sources = np.flatnonzero(weights[target])
            alike = place + 4 <= targets.shape[0]
            if alike:
                for other in targets[place + 1 : place + 4]:
                    alike = alike and same[other] < 0 and np.all((weights[other] != 0.0) == (weights[target] != 0.0))
            if alike:
                t1, t2, t3 = targets[place + 1], targets[place + 2], targets[place + 3]
                s0, s1 = result[target, first : first + n], result[t1, first : first + n]
                s2, s3 = result[t2, first : first + n], result[t3, first : first + n]
                s0[:] = s1[:] = s2[:] = s3[:] = 0.0
                in_twos = sources.shape[0] // 2 * 2
                for pair in range(0, in_twos, 2):
                    a, b = sources[pair], sources[pair + 1]
                    va, vb = wide[a], wide[b]
                    a0, a1, a2, a3 = weights[target, a], weights[t1, a], weights[t2, a], weights[t3, a]
                    b0, b1, b2, b3 = weights[target, b], weights[t1, b], weights[t2, b], weights[t3, b]
                    for event in range(n):
                        s0[event] = s0[event] + a0 * va[event] + b0 * vb[event]
                        s1[event] = s1[event] + a1 * va[event] + b1 * vb[event]
                        s2[event] = s2[event] + a2 * va[event] + b2 * vb[event]
                        s3[event] = s3[event] + a3 * va[event] + b3 * vb[event]
                for source in sources[in_twos:]:
                    w0, w1, w2, w3 = (
                        weights[target, source],
                        weights[t1, source],
                        weights[t2, source],
                        weights[t3, source],
                    )
                    for event in range(n):
                        s0[event] += w0 * wide[source, event]
                        s1[event] += w1 * wide[source, event]
                        s2[event] += w2 * wide[source, event]
                        s3[event] += w3 * wide[source, event]
                place += 4
                continue
            sums = result[target, first : first + n]
            sums[:] = 0.0
            in_fours = sources.shape[0] // 4 * 4
            for four in range(0, in_fours, 4):
                w0, v0 = weights[target, sources[four]], wide[sources[four]]
                w1, v1 = weights[target, sources[four + 1]], wide[sources[four + 1]]
                w2, v2 = weights[target, sources[four + 2]], wide[sources[four + 2]]
                w3, v3 = weights[target, sources[four + 3]], wide[sources[four + 3]]
                for event in range(n):
                    sums[event] = sums[event] + w0 * v0[event] + w1 * v1[event] + w2 * v2[event] + w3 * v3[event]
            for source in sources[in_fours:]:
                weight, values = weights[target, source], wide[source]
                for event in range(n):
                    sums[event] += weight * values[event]
            place += 1


def _plain(
    weights: NDArray[np.float64], columns: NDArray[np.float32], targets: NDArray[np.int64], result: NDArray[np.float64]
) -> None:
    for target in targets:
        sources = np.flatnonzero(weights[target])
        if len(sources) == 1 and weights[target, sources[0]] == 1.0:
            result[target] = columns[sources[0]]
            continue
        result[target] = 0.0
        for first in range(0, columns.shape[1], _PLAIN_BLOCK):
            block = slice(first, first + _PLAIN_BLOCK)
            for source in sources:
                result[target, block] += weights[target, source] * columns[source, block]
