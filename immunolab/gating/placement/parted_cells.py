"""A border no higher than where positive cells overtake negative ones, among cells that show both groups.

The border of a marker is where a reference of negative cells ends. Where that reference spreads wider than the cells
that are gated (spillover, a bright lot), its end is amid their positive cells. CD4 memory cells with CCR6 are of two
groups by CXCR3, Th17 and Th1/17, which show by themselves where they part.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from immunolab.gating.placement.attempt import Attempt
from immunolab.gating.placement.binned_density import Profile, crossing
from immunolab.gating.placement.density import ENOUGH_EVENTS, SEPARATE, finite
from immunolab.gating.placement.known_cells import Among, narrowed
from immunolab.gating.placement.run_method import RESAMPLES
from immunolab.gating.placement.tube_state import TubePool


def below_crossing(
    pool: TubePool, path: str, marker: str, among: Among, found: Attempt, rng: np.random.Generator | None
) -> Attempt:
    """Return a border, or where two separate groups cross where that is below it.

    Parameters
    ----------
    pool, path, marker
        The tubes, the population whose events place the border, and whose border it is.
    among
        Which of the population's events are of two groups.
    found
        The border that a control or a reference gave.
    rng
        Resamples the crossing for its interval; None leaves that out.
    """
    cells = narrowed(pool, path, among)
    if cells is pool or not found.settled or found.groups:
        return found
    values = finite(cells.values(marker, path))
    if min(np.count_nonzero(values > found.cut.value), np.count_nonzero(values <= found.cut.value)) < ENOUGH_EVENTS:
        return found
    profile = Profile.of_events(values)
    meeting, above = _meeting(profile, found.cut.value), found.cut.value
    if not np.isfinite(meeting):
        return found
    draws = found.draws
    if rng is not None and len(draws):
        counts = rng.poisson(profile.counts, (RESAMPLES, len(profile.counts))).astype(np.float64)
        again = np.array([_meeting(Profile.of(profile.centres, one), above) for one in counts])
        draws = np.fmin(np.resize(draws, RESAMPLES), again)
    if meeting >= above:
        return replace(found, draws=draws)
    source = f"{found.source}, no higher than where {among.cells} cells part"
    return replace(found, cut=replace(found.cut, value=meeting), draws=draws, source=source)


def _meeting(profile: Profile, start: float) -> float:
    """Return where the upper of two groups overtakes the lower; NaN where they are not separate."""
    at, separation = crossing(profile, start)
    return at if separation >= SEPARATE else np.nan
