"""Stretches of a run that were cut from a tube, and the numbers that its events have in the file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

CLEAN = "immunolab.quality.clean"  # imported when a tube is cleaned: the checks are above the tubes that they look at


@dataclass(frozen=True)
class RemovedStretch:
    """Events in a row that were cut from a tube.

    Attributes
    ----------
    first, last
        Rows in the file, counted from 0; ``last`` is cut, too.
    percent
        Share of the file's events.
    reason
        What was wrong, a word of ``REMOVAL_REASONS``.
    channel
        Where it was worst; empty where it is not of one channel.
    shift
        Of that channel against the rest of the run, SD of a population.
    from_second, to_second
        When, from the file's first event; None without a Time channel in seconds.
    message
        In words.
    """

    first: int
    last: int
    percent: float
    reason: str
    channel: str
    shift: float | None
    from_second: float | None
    to_second: float | None
    message: str

    def __len__(self) -> int:
        return self.last - self.first + 1


def events_removed(removed: Sequence[RemovedStretch]) -> int:
    """Return how many events some stretches hold.

    Parameters
    ----------
    removed
        Stretches that do not overlap.
    """
    return sum(len(stretch) for stretch in removed)


def kept_events(n: int, removed: Sequence[RemovedStretch]) -> NDArray[np.bool_]:
    """Return which of a file's events are left.

    Parameters
    ----------
    n
        Events in the file.
    removed
        What was cut.
    """
    kept = np.ones(n, dtype=bool)
    for stretch in removed:
        kept[stretch.first : stretch.last + 1] = False
    return kept
