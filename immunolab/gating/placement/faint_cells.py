"""A border among cells of which some carry a little of the marker: between where negative cells end and where those do.

Activated and peripheral helper cells carry some CXCR3. They are a group around the end of the negative cells and are
about as wide, so that a border there counts half of them as Th1. One that is higher by the reach of such a group counts
hardly any, and loses Th1. No density shows which cells are which: the border is midway, and its interval holds both.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from immunolab.gating.placement.attempt import Attempt

# 95 % of a group that is centred on the negative cells' end, and as wide as they, is below so many of their spreads
_REACH = 1.645


def among_faint_cells(found: Attempt, rng: np.random.Generator | None) -> Attempt:
    """Return a border that negative cells gave, moved up by half the reach of faint cells.

    Parameters
    ----------
    found
        The border of a control or a reference, with the spread of the events behind it. One that the density of the
        events themselves shows stays as it is.
    rng
        Draws where between its two ends the border is, for its interval; None leaves that out.
    """
    if not found.settled or found.groups or not found.cut.spread > 0:
        return found
    reach = _REACH * found.cut.spread
    size = len(found.draws)
    moved = rng.triangular(0.0, reach / 2, reach, size) if rng is not None else np.full(size, reach / 2)
    source = f"{found.source}, midway to where faint cells end"
    return replace(
        found, cut=replace(found.cut, value=found.cut.value + reach / 2), draws=found.draws + moved, source=source
    )
