"""A run in stretches of equally many events: how many events of each are above fixed levels of each channel.

Levels are quantiles of the whole run. In a steady run the number of a stretch's events above one is binomial whatever
the cells and the scale, so that no transformation and no population is needed to see a change.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from immunolab.events.compensation import weighted_sums
from immunolab.events.tube import Tube

SHORTEST = 500  # events of a stretch: the level of a population of SD 1 is then known within .06 (1.25 / sqrt(n))
_MOST_STRETCHES = 300  # a thirtieth of the run is ten stretches, and a tube of any size takes as long to look through
FEWEST_STRETCHES = 10  # fewer have no steady part to compare with
# events of a stretch that are looked at, evenly over it: a level is then within .04 SD, a tenth of what counts as a
# shift, and a tube of any size takes as long
LONGEST = 1_000
# quantiles: a border between two populations is near one of them; 25 events of the shortest stretch are beyond the
# outer ones, with fewer a count is too skewed for its normal score
_LEVELS = (0.05, 0.25, 0.5, 0.75, 0.95)
_LEVEL_EVENTS = 20_000  # that the quantiles are taken from: each is then within .004 of the run's own
_LEAST_SHARE = 0.02  # a level with fewer events on one side (zeros of mass channels, ties) is not used

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Stretches:
    """The run of a tube in stretches.

    Attributes
    ----------
    edges
        Rows of the events between stretches; one more than there are stretches.
    channels
        Row of the tube's channel of each level.
    above
        Stretches x levels, events above each level.
    looked
        Events of each stretch that were looked at.
    """

    edges: NDArray[np.intp]
    channels: NDArray[np.intp]
    above: NDArray[np.int64]
    looked: NDArray[np.intp]

    @property
    def n(self) -> int:
        """Number of stretches."""
        return len(self.edges) - 1

    @cached_property
    def events(self) -> NDArray[np.intp]:
        """Events of each stretch."""
        return np.diff(self.edges)

    @cached_property
    def scores(self) -> Floats:
        """Stretches x levels: the share above each level as a normal score; a shift of 1 is a population's SD."""
        return normal_score(self.above, self.looked[:, None])

    @cached_property
    def noise(self) -> Floats:
        """SD of each level's score from stretch to stretch: that of counting, or what neighbours differ by where more.

        Neighbours differ by it alone in a run with a step or a slow drift, too.
        """
        whole = float(self.looked.sum())
        counted = score_se(self.above.sum(axis=0), whole) * np.sqrt(whole / self.looked.mean())
        found = np.median(np.abs(np.diff(self.scores, axis=0)), axis=0) / (0.6745 * np.sqrt(2.0))
        return np.maximum(counted, found)


def normal_score(above: NDArray[np.int64], n: NDArray[np.intp]) -> Floats:
    """Return shares as normal scores, the place of a border in a normal population of SD 1.

    Parameters
    ----------
    above, n
        Events above the border, of how many.
    """
    scores: Floats = ndtri((above + 0.5) / (n + 1.0))  # half an event: a share of 0 or 1 has a score, too
    return scores


def score_se(above: NDArray[np.int64], n: float) -> Floats:
    """Return the standard error by counting of each score.

    Parameters
    ----------
    above, n
        As in `normal_score`.
    """
    share = (above + 0.5) / (n + 1.0)
    density = np.exp(-0.5 * ndtri(share) ** 2) / np.sqrt(2.0 * np.pi)
    errors: Floats = np.sqrt(share * (1.0 - share) / n) / density
    return errors


def stretches(tube: Tube) -> Stretches | None:
    """Return the run of a tube in stretches; None for fewer than ten of 500 events.

    Parameters
    ----------
    tube
        In the order of acquisition.
    """
    n = min(tube.n_events // SHORTEST, _MOST_STRETCHES)
    if n < FEWEST_STRETCHES:
        return None
    edges = np.linspace(0, tube.n_events, n + 1).astype(np.intp)
    step = -(-tube.n_events // (n * LONGEST))
    rows, counts = [], []
    names = [channel.name for channel in tube.channels if channel.kind not in ("time", "other")]
    if not names:
        return None
    # compensated: what another dye leaves in a channel blurs its populations
    values = weighted_sums(tube.weights(names), tube.columns[:, ::step])
    at = -(-edges // step)
    for name, column in zip(names, values, strict=True):
        for counted in _counted(column, at):
            rows.append(tube.find(name))
            counts.append(counted)
    return Stretches(edges, np.array(rows, dtype=np.intp), np.array(counts).T, np.diff(at)) if rows else None


def _counted(column: Floats, edges: NDArray[np.intp]) -> list[NDArray[np.int64]]:
    """Return, for each level of a channel, the events of each stretch above it."""
    step = max(1, len(column) // _LEVEL_EVENTS)
    some = column[::step]
    finite = some[np.isfinite(some)]
    found = []
    for level in np.unique(np.quantile(finite, _LEVELS)) if len(finite) else ():
        counted = np.add.reduceat(column > level, edges[:-1], dtype=np.int64)
        if _LEAST_SHARE < counted.sum() / len(column) < 1 - _LEAST_SHARE:
            found.append(counted)
    return found


def time_row(tube: Tube) -> int | None:
    """Return the row of the Time channel; None where the file has none."""
    rows = [row for row, channel in enumerate(tube.channels) if channel.kind == "time"]
    return rows[0] if rows and tube.n_events and np.ptp(tube.columns[rows[0]]) > 0 else None
