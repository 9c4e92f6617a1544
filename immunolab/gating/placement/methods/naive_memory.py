"""Naive and memory cells by CD45RA and CCR7, with a border of CCR7 of its own on either side of CD45RA's."""

from __future__ import annotations

from typing import Literal

import numpy as np

from immunolab.gating.method_registry import DENSITY, Parameter, threshold_method
from immunolab.gating.method_results import Array, Cut, Pair, Quadrants
from immunolab.gating.placement.binned_density import Profile, Summit, summit
from immunolab.gating.placement.density import ENOUGH_EVENTS, few
from immunolab.gating.placement.naive_memory import Borders, PairGrid, find_borders
from immunolab.schema.flags import Flag

Quadrant = Literal["++", "-+", "--", "+-"]


def naive_memory_draws(
    x: Array, y: Array, reference: Pair | None, found: Quadrants, rng: np.random.Generator, rounds: int
) -> tuple[Array, Array]:
    """Return the x and y borders of resampled events, each of length ``rounds`` or fewer."""
    if not isinstance(found.start, Borders):
        return np.empty(0), np.empty(0)
    grid, spread = PairGrid.of(*_usable(x, y)), _naive_spread(reference)
    drawn = [find_borders(grid.resample(rng), spread, found.start, rng) for _ in range(rounds)]
    borders = np.array([(one.x, one.beside(found.quadrant)) for one in drawn if one is not None]).reshape(-1, 2)
    if np.isfinite(found.y.value):
        borders = borders[np.isfinite(borders[:, 1])]
    return borders[:, 0], borders[np.isfinite(borders[:, 1]), 1]


@threshold_method(
    "naive_memory",
    wants="pair_and_reference",
    control="density",
    assumes="naive cells are one compact group, high on both channels",
    parameters=(
        Parameter("quadrant", "-+", "", "the quadrant meant, CD45RA then CCR7", choices=("++", "-+", "--", "+-")),
    ),
    reference="Sallusto 1999, Nature 401:708; Maecker 2012, Nat Rev Immunol 12:191 (the four subsets)",
    channels=("CD45RA", "CCR7"),
    borders=True,
    outside_reference=True,
    instead=("valley", "internal_reference", DENSITY),
    resample=naive_memory_draws,
)
def naive_memory(x: Array, y: Array, reference: Pair | None = None, *, quadrant: Quadrant = "-+") -> Quadrants:
    """Return the borders of naive, central memory, effector memory and terminally differentiated cells.

    CD45RA's border is the lower edge of the naive group. CCR7's border among memory cells is the mean of the deepest
    valley, of where two normal groups cross, and of the upper edge of the lower group; where that edge is beyond the
    crossing, of the valleys among memory cells and among all cells. Among CD45RA+ cells it is the valley between naive
    and terminally differentiated cells, and the border of memory cells where there is none.

    Parameters
    ----------
    x, y
        CD45RA and CCR7 of one lineage, display scale.
    reference
        The same of naive cells of another lineage: a wider spread of CD45RA there is taken, and a single group of
        cells is naive where these are.
    quadrant
        Decides which border of CCR7 is given: ``++`` and ``+-`` the one beside naive cells.

    Returns
    -------
    Quadrants
        NaN borders, flagged ``no_valley`` and ``unimodal``, where nothing shows which cells are naive.
    """
    x, y = _usable(x, y)
    flags = few(x)
    grid = PairGrid.of(x, y) if len(x) >= ENOUGH_EVENTS else None
    found = find_borders(grid, _naive_spread(reference)) if grid is not None else None
    if found is None:
        nothing = Cut(np.nan, (*flags, Flag.NO_VALLEY, Flag.UNIMODAL))
        return Quadrants(nothing, nothing, quadrant)
    border = found.beside(quadrant)
    y_flags = flags if np.isfinite(border) else (*flags, Flag.NO_VALLEY, Flag.UNIMODAL)
    return Quadrants(Cut(found.x, flags, found.x_spread), Cut(border, y_flags, found.y_spread), quadrant, found)


def _usable(x: Array, y: Array) -> Pair:
    usable = np.isfinite(x) & np.isfinite(y)
    return x[usable], y[usable]


def _naive_spread(reference: Pair | None) -> Summit | None:
    """Return the naive group of another lineage on x; None where there are too few."""
    values = reference[0][np.isfinite(reference[0])] if reference is not None else np.empty(0)
    return summit(Profile.of_events(values)) if len(values) >= ENOUGH_EVENTS else None
