"""Borders of CD45RA and CCR7 between naive and memory cells, from counts on a grid.

Naive cells are the one compact group of the four: the border of CD45RA is its edge. CCR7 fades from central to
effector memory without a gap, so that its border is the mean of several readings of the density. Terminally
differentiated and naive cells, which both carry CD45RA, are parted by a border of their own: in CD8 it is higher
than the one between memory cells wherever CD45RA spills into the channel of CCR7.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from immunolab.gating.method_results import Array
from immunolab.gating.placement.binned_density import (
    N_BINS,
    Profile,
    Summit,
    bins,
    crossing,
    deepest_valley,
    depth_at,
    summit,
    two_halves,
)
from immunolab.gating.placement.density import ENOUGH_EVENTS, SEPARATE

_NORMAL_99 = 2.33  # a normal's 99 % in standard deviations: the edge of a group whose standard deviation is known
# furthest that a valley is from the naive mode to be the foot of the naive group, in sd: a normal holds one event in
# 2,000 beyond 3.29. A valley further down parts intermediate cells, of which some are always there, from memory.
_FOOT = 3.29
# density of a valley, as a share of the lower of its summits, below which both groups have ended in it: a normal's at
# its 99 %
_ENDED = float(np.exp(-(_NORMAL_99**2) / 2))
_ROUNDS = 6  # most rounds of placing each border with the others fixed (judgement: two or three settle them)
_SETTLED = 1.0  # cells of the grid by which borders may still move (judgement: the grid shows no less)


@dataclass(frozen=True)
class PairGrid:
    """Counts of events on a grid of two channels: its occupied cells.

    Attributes
    ----------
    x, y
        Centres of the grid's cells on either channel, display scale.
    column, row
        Place of each occupied cell on x and on y.
    counts
        Events of each.
    """

    x: Array
    y: Array
    column: NDArray[np.int64]
    row: NDArray[np.int64]
    counts: Array

    @classmethod
    def of(cls, x: Array, y: Array) -> PairGrid:
        """Return the grid of events.

        Parameters
        ----------
        x, y
            Finite, display scale, at least one event.
        """
        column, centre_x = bins(x)
        row, centre_y = bins(y)
        counts = np.bincount(column * N_BINS + row, minlength=N_BINS**2)
        full = np.flatnonzero(counts)
        return cls(centre_x, centre_y, full // N_BINS, full % N_BINS, counts[full].astype(np.float64))

    def resample(self, rng: np.random.Generator) -> PairGrid:
        """Return the grid with counts redrawn (Poisson bootstrap)."""
        return replace(self, counts=rng.poisson(self.counts).astype(np.float64))

    def on_x(self, rows: NDArray[np.bool_] | None = None) -> Profile:
        """Return the profile of x: of all cells, or of those in some rows."""
        kept = slice(None) if rows is None else rows[self.row]
        return Profile.of(self.x, _sums(self.column[kept], self.counts[kept]))

    def on_y(self, columns: NDArray[np.bool_] | None = None) -> Profile:
        """Return the profile of y: of all cells, or of those in some columns."""
        kept = slice(None) if columns is None else columns[self.column]
        return Profile.of(self.y, _sums(self.row[kept], self.counts[kept]))


def _sums(cells: NDArray[np.int64], counts: Array) -> Array:
    return np.asarray(np.bincount(cells, counts, N_BINS), dtype=np.float64)


@dataclass(frozen=True)
class Borders:
    """Where naive and memory cells part, display scale; NaN where no density shows a border.

    Attributes
    ----------
    x
        Border of CD45RA.
    memory, naive
        Border of CCR7 among cells below and above it.
    x_spread, y_spread
        Standard deviation of the naive cells on x, of the effector memory cells on y.
    apart
        Whether a valley on x shows two groups of cells.
    """

    x: float
    memory: float
    naive: float
    x_spread: float = 0.0
    y_spread: float = 0.0
    apart: bool = True

    def beside(self, quadrant: str) -> float:
        """Return the border of CCR7 of a quadrant: that of its side of CD45RA, else the other side's.

        Parameters
        ----------
        quadrant
            Signs of CD45RA and CCR7; only the first decides.
        """
        own, other = (self.naive, self.memory) if quadrant[0] == "+" else (self.memory, self.naive)
        return own if np.isfinite(own) else other


def find_borders(
    grid: PairGrid,
    reference: Summit | None = None,
    start: Borders | None = None,
    rng: np.random.Generator | None = None,
) -> Borders | None:
    """Return the borders; None where nothing shows which cells are naive.

    A single group on x may be naive or not: then naive cells of another lineage say which, if there are any.

    Parameters
    ----------
    grid
        Events of one lineage.
    reference
        CD45RA of naive cells of another lineage: where its spread is wider, it is taken. Bright naive cells near the
        top of the scale are pressed together, and their own spread would put the border among them.
    start
        Borders of nearly the same events, to go on from.
    rng
        Draws which of the readings of CCR7's border are believed, so that where they disagree resampled borders do.
    """
    whole, all_y = grid.on_x(), grid.on_y()
    of_all = deepest_valley(all_y)
    cut_x = start.x if start else two_halves(whole)
    cut_y = start.memory if start else two_halves(all_y)
    if not np.isfinite(cut_y):
        cut_y = start.naive if start and np.isfinite(start.naive) else -np.inf
    found = None
    for _ in range(_ROUNDS if start is None else 1):
        profile = grid.on_x(grid.y > cut_y)
        apart = start.apart if start else bool(np.isfinite([deepest_valley(profile), deepest_valley(whole)]).any())
        naive = _naive_summit(profile, cut_x, apart, reference)
        if naive is None:
            return None
        edge = _naive_edge(profile, naive)
        memory = grid.on_y(grid.x < edge)
        lower, spread = memory_border(memory, cut_y, of_all, rng)
        upper = _naive_border(grid.on_y(grid.x >= edge), lower, rng)
        found = Borders(edge, lower, upper, naive.sd, spread, apart)
        moved = abs(edge - cut_x) / (grid.x[1] - grid.x[0])
        if np.isfinite(lower):
            moved += abs(lower - cut_y) / (grid.y[1] - grid.y[0])
            cut_y = lower
        cut_x = edge
        if moved < _SETTLED:
            break
    return found


def _naive_summit(profile: Profile, low: float, apart: bool, reference: Summit | None) -> Summit | None:
    """Return the naive group among CCR7+ cells, that of the reference where these have none; None when unknown."""
    own = summit(profile, low=low if apart else -np.inf)
    if reference is None:
        return own if apart else None
    if own is None or (not apart and own.mode < reference.mode - _FOOT * reference.sd):
        return reference
    return Summit(own.mode, max(own.sd, reference.sd))


def _naive_edge(profile: Profile, naive: Summit) -> float:
    """Return the lower edge of the naive group.

    A valley so deep that both groups have ended in it is the border itself; one at the foot of the naive group draws
    the edge half way to it.
    """
    edge, valley = naive.mode - _NORMAL_99 * naive.sd, deepest_valley(profile)
    if valley < naive.mode and depth_at(profile, valley) < _ENDED:
        return valley
    return (edge + valley) / 2 if naive.mode - _FOOT * naive.sd < valley < naive.mode else edge


def memory_border(
    profile: Profile, start: float, of_all: float = np.nan, rng: np.random.Generator | None = None
) -> tuple[float, float]:
    """Return the border of CCR7 among memory cells and the spread of those below it.

    Parameters
    ----------
    profile
        CCR7 of memory cells.
    start
        A border near it.
    of_all
        The valley of CCR7 among naive and memory cells together, or NaN.
    rng
        Draws one of the readings, for which of them is right is not known; None takes their mean.

    Returns
    -------
    tuple of (float, float)
        NaN where neither a valley nor two separate normal groups show that there are two kinds of memory cells.
    """
    if profile.total < ENOUGH_EVENTS:
        return np.nan, 0.0
    lowest, valley = summit(profile, high=start), deepest_valley(profile)
    meeting, separation = crossing(profile, start)
    spread = lowest.sd if lowest else 0.0
    if np.isnan(valley) and not (np.isfinite(meeting) and separation >= SEPARATE):
        return np.nan, spread
    edge = lowest.mode + _NORMAL_99 * lowest.sd if lowest else np.nan
    # a group that ends beyond where the upper one overtakes it is several in one: only valleys can be read then, that
    # of memory cells and, where it parts the same two groups, that of all
    same = lowest is not None and lowest.mode < of_all < meeting
    valleys = (meeting if np.isnan(valley) else valley, of_all if same else np.nan)
    readings = (valley, meeting, edge) if not edge > meeting else valleys
    known = np.array([one for one in readings if np.isfinite(one)])
    return float(np.mean(known) if rng is None else rng.choice(known)), spread


def _naive_border(profile: Profile, memory: float, rng: np.random.Generator | None = None) -> float:
    """Return the border of CCR7 among CD45RA+ cells: a valley, else that of memory cells, never above naive cells.

    Without a valley few terminally differentiated cells are there. The border is then the mean of where they cross
    the naive ones, if the two groups are separate, and of the naive group's end: between where one cell in a hundred is
    lost and where none is.
    """
    valley, naive = deepest_valley(profile), summit(profile)
    if np.isfinite(valley) or naive is None:
        return valley
    reach = (_NORMAL_99 + _FOOT) / 2 if rng is None else rng.uniform(_NORMAL_99, _FOOT)
    meeting, separation = crossing(profile, memory)
    readings = [naive.mode - reach * naive.sd]
    if np.isfinite(meeting) and separation >= SEPARATE:
        readings.append(meeting)
    return float(np.minimum(memory, np.mean(readings) if rng is None else rng.choice(readings)))
