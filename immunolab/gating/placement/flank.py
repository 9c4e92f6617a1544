"""Whether a population has a group of events of its own, or is the flank of its neighbour."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from immunolab.gating.method_results import Array
from immunolab.gating.placement.density import smoothed_density
from immunolab.gating.placement.placed import Placed
from immunolab.gating.placement.tube_state import Mask, TubeState
from immunolab.gating.strategy import Rectangle
from immunolab.schema.flags import LIMIT_OF_DETECTION, Flag

# density at a border, as a share of the population's highest, from which the population is a flank (judgement,
# 2026-11-26: nine in ten wrong populations of benchmarks/real_tubes.py are over 0.95, none with F1 over .9 over 0.81)
_FLANK = 0.9
# of a method that reads two channels also: density at the border, share of the highest on either side, from which a
# population without a summit of its own is a flank (a normal falls to that at 1.4 sd, where a border cuts off 8 %;
# chosen on HIPC's tubes whose CD45RA or CCR7 was spread out evenly, 2026-11-27: six of nine wrong results without a
# flag are over it, and one of 133 right ones of tubes as they are, with another gain, or of 2,000 events)
_AMID = 0.37
# the others say where a border is by other events than the population's: a control, a reference, a second channel
_BY_DENSITY = frozenset({"valley", "tail", "mixture", "quantile", "above_zero", "known_negatives"})
_BY_TWO_DENSITIES = frozenset({"naive_memory"})


def flank_flags(
    tube: TubeState, parent: str, gate: Rectangle, placed: Sequence[Placed], elsewhere: Sequence[bool] = ()
) -> tuple[str, ...]:
    """Return the flag of a gate one of whose borders is where its own population is densest, or nothing.

    The density is that of the events inside the gate's other borders: a shoulder of all events may be a group of its
    own there, and a clear valley of all events may be amid this population.

    Parameters
    ----------
    tube
        Where the gate is used.
    parent
        Path of the population that is gated.
    gate
        The rectangle in this tube.
    placed
        Its borders; only those placed by the density of events, on one channel or on two, are looked at.
    elsewhere
        Which borders were placed on other cells, as that of PD-1 on Tfh for peripheral helper cells: they are looked at
        however they were placed, for nothing else says whether the parent has such a group. () for none.
    """
    inside = tube.inside(parent)
    axes = {side.name: tube.axis(side.name)[inside] for side in gate.dimensions}
    within = {
        side.name: (axes[side.name] >= (-np.inf if low is None else low))
        & (axes[side.name] < (np.inf if high is None else high))
        for side, low, high in zip(gate.dimensions, gate.lower, gate.upper, strict=True)
    }
    for border, of_others in zip(placed, elsewhere or [False] * len(placed), strict=True):
        by_two = border.method in _BY_TWO_DENSITIES
        if not (by_two or of_others or border.method in _BY_DENSITY) or not np.isfinite(border.value):
            continue
        others = [mask for name, mask in within.items() if name != border.marker]
        kept = np.logical_and.reduce(others) if others else np.ones(int(inside.sum()), dtype=np.bool_)
        least = _AMID if by_two else 0.0
        if _is_flank(axes[border.marker][kept], border.value, within[border.marker][kept], least):
            return (Flag.NO_PEAK,)
    return ()


def _is_flank(values: Array, border: float, members: Mask, least: float) -> bool:
    """Whether the density at a border is nearly the members' highest, and not low; not where they are hardly any."""
    if np.count_nonzero(members) < LIMIT_OF_DETECTION:
        return False
    grid, density, _ = smoothed_density(values)
    low, high = float(values[members].min()), float(values[members].max())
    inside = (grid >= low) & (grid <= high)
    top = float(density[inside].max(initial=0.0))
    return float(np.interp(border, grid, density)) > max(_FLANK * top, least * float(density.max()))
