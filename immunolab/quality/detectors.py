"""Rows of the quality table about detectors: events at the top of one, and populations that pile up there."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from immunolab.events.tube import Tube
from immunolab.quality.rows import Row, row
from immunolab.schema.flags import Check

_MOST_MARGIN = 5.0  # percent of events at the top of one detector: more, and its voltage was too high (judgement)


def detector_rows(tube: Tube) -> Iterator[Row]:
    """Yield the rows of a tube's detectors.

    Parameters
    ----------
    tube
        As acquired.
    """
    rows = [i for i, channel in enumerate(tube.channels) if channel.kind == "fluorescence"]
    if not rows or not tube.n_events:
        return
    shares = [_share_at_top(tube.columns[i]) for i in rows]
    worst = int(np.argmax(shares))
    name = tube.channels[rows[worst]].name
    status = "warn" if shares[worst] > _MOST_MARGIN else "ok"
    message = f"at most {shares[worst]:.2g} % of events at the top of a detector ({name})"
    yield row(tube, Check.MARGIN, shares[worst], _MOST_MARGIN, status, message, name)


def _share_at_top(column: NDArray[np.float32]) -> float:
    """Return the percent of events that share the highest value; one alone is no pile."""
    n = int(np.count_nonzero(column == column.max()))
    return 100.0 * n / column.size if n > 1 else 0.0
