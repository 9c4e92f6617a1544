"""Rows of the quality table about events that are in a file twice: a file appended to itself, a faulty export."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from immunolab.events.tube import Tube
from immunolab.quality.rows import Row, row
from immunolab.schema.flags import Check

_MOST_REPEATED = 1.0  # percent of events (judgement: a count is then off by no more than it is by chance)
# bits by which two events differ, channels taken for independent: of 150 real files those with 39 and more have .05 %
# of repeated events at most, those of analogue instruments and few channels up to 5 % by chance
_LEAST_BITS = 40.0
_BITS_FROM = 20_000  # events that the bits are counted from, evenly over the file
_FEWEST = 500  # events: 1 % is then a handful
# odd constants of a 64-bit hash (Steele, Lea and Flood 2014, OOPSLA 453); two of a million events share a value by
# chance once in 40 million files
_FACTOR, _SHIFT = np.uint64(0x9E3779B97F4A7C15), np.uint64(29)


def repeated_rows(tube: Tube) -> Iterator[Row]:
    """Yield the row of events that are copies of an earlier one in every channel but Time.

    None for few events, and where so little is measured that events are alike by chance.

    Parameters
    ----------
    tube
        Values as acquired.
    """
    rows = [i for i, channel in enumerate(tube.channels) if channel.kind not in ("time", "other")]
    if tube.n_events < _FEWEST or _bits(tube.columns, rows) < _LEAST_BITS:
        return
    share = 100.0 * (1.0 - len(np.unique(_hashes(tube.columns, rows))) / tube.n_events)
    bad = share > _MOST_REPEATED
    text = f"{share:.2g} % of the events are copies of an earlier one"
    if bad:
        text += " in every channel: the file holds events twice, and counts are too high"
    yield row(tube, Check.REPEATED_EVENTS, share, _MOST_REPEATED, "warn" if bad else "ok", text)


def copies(tube: Tube) -> NDArray[np.bool_]:
    """Return which events are copies of an earlier one in every channel but Time.

    Parameters
    ----------
    tube
        Values as acquired.
    """
    rows = [i for i, channel in enumerate(tube.channels) if channel.kind not in ("time", "other")]
    found = np.ones(tube.n_events, dtype=bool)
    found[np.unique(_hashes(tube.columns, rows), return_index=True)[1]] = False
    return found


def _hashes(columns: NDArray[np.float32], rows: Sequence[int]) -> NDArray[np.uint64]:
    """Return a number an event that is the same for the same values."""
    found = np.zeros(columns.shape[1], dtype=np.uint64)
    for i in rows:
        found ^= np.ascontiguousarray(columns[i], dtype=np.float32).view(np.uint32)
        found *= _FACTOR
        found ^= found >> _SHIFT
    return found


def _bits(columns: NDArray[np.float32], rows: Sequence[int]) -> float:
    """Return minus the log2 of the chance that two events have the same values, channels taken for independent."""
    step = max(1, columns.shape[1] // _BITS_FROM)
    bits = 0.0
    for i in rows:
        _, counts = np.unique(columns[i, ::step], return_counts=True)
        bits -= float(np.log2(((counts / counts.sum()) ** 2).sum()))
        if bits >= _LEAST_BITS:
            break
    return bits
