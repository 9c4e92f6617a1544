"""A border above cells that carry a little of a lineage marker: where the bright group of its own cells begins.

CD4 T cells that are activated or at the end of their course carry dim CD8. The valley of CD8 among all T cells is amid
them: their CD8 fades without a gap. Cells with as much CD8 as CD8 T cells have are none of them, nor is a group with
both markers that is set apart.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from immunolab.gating.method_results import Array
from immunolab.gating.placement.attempt import Attempt
from immunolab.gating.placement.binned_density import Profile, summit
from immunolab.gating.placement.density import ENOUGH_EVENTS, finite
from immunolab.gating.placement.known_cells import Among, narrowed
from immunolab.gating.placement.methods.valley import valleys
from immunolab.gating.placement.run_method import RESAMPLES
from immunolab.gating.placement.tube_state import TubePool

_NORMAL_99 = 2.33  # a normal's 99 % in standard deviations: the edge of a group whose standard deviation is known


def beyond_dim_cells(
    pool: TubePool, path: str, marker: str, carrier: str, found: Attempt, rng: np.random.Generator | None
) -> Attempt:
    """Return a valley, or the lower edge of the bright group where that is above it.

    Parameters
    ----------
    pool, path, marker
        The tubes, the population whose events place the border, and whose border it is.
    carrier
        Marker of cells that may carry a little of this one: the bright group is looked for among the others; ""
        for none.
    found
        The valley.
    rng
        Resamples the edge for its interval; None leaves that out.
    """
    if not carrier or not found.settled:
        return found
    others = narrowed(pool, path, Among(f"{carrier}-"))
    values = finite(others.values(marker, path))
    if others is pool or np.count_nonzero(values > found.cut.value) < ENOUGH_EVENTS:
        return found
    profile, valley = Profile.of_events(values), found.cut.value
    edge, spread = _edge(profile, valley)
    own = narrowed(pool, path, Among(f"{carrier}+"))
    if not edge > valley or own is pool or not _fade(finite(own.values(marker, path)), valley, edge):
        return found
    drawn = np.array([_edge(one, valley)[0] for one in _resamples(profile, rng)])
    source = f"{found.source}, above {carrier}+ cells with a little {marker}"
    return replace(
        found, cut=replace(found.cut, value=edge, spread=spread), draws=drawn[np.isfinite(drawn)], source=source
    )


def _fade(values: Array, low: float, high: float) -> bool:
    """Whether events between two borders are the tail of a group below: no valley, and fewer in the upper half."""
    if any(at < high for at, _ in valleys(values)):
        return False
    lower, upper = np.histogram(values, [low, (low + high) / 2, high])[0]
    return bool(lower > upper)


def _resamples(profile: Profile, rng: np.random.Generator | None) -> list[Profile]:
    """Return profiles of redrawn counts (Poisson bootstrap); none without a generator."""
    rounds = range(RESAMPLES if rng is not None else 0)
    return [
        Profile.of(profile.centres, rng.poisson(profile.counts).astype(np.float64)) for _ in rounds if rng is not None
    ]


def _edge(profile: Profile, valley: float) -> tuple[float, float]:
    """Return the lower edge of the highest summit above a valley, and the standard deviation of its group."""
    group = summit(profile, low=valley)
    return (group.mode - _NORMAL_99 * group.sd, group.sd) if group is not None else (np.nan, 0.0)
