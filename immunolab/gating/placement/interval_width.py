"""Borders whose intervals hold so many of a gate's events that its percentage depends on where they are put."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from immunolab.gating.placement.density import ENOUGH_EVENTS
from immunolab.gating.placement.placed_gate import Side, TubeBorder
from immunolab.gating.placement.tube_state import TubeState
from immunolab.schema.flags import Flag

# share of the parent's events that are between the ends of a border's interval and within the gate's other borders,
# above which it is flagged (judgement: the percentage is then unsure by some 10 points either way; borders of good
# simulated tubes hold up to 17 %)
_WIDE_SHARE = 0.20


def with_width(tube: TubeState, parent: str, sides: Sequence[Side], borders: Sequence[TubeBorder]) -> list[TubeBorder]:
    """Return the borders, flagged ``wide_interval`` where the gate's percentage depends on where they are put.

    Parameters
    ----------
    tube
        Whose events are counted.
    parent
        Path of the gate's parent.
    sides
        Marker, border and side of each border.
    borders
        One a side, in the same order.
    """
    inside = tube.inside(parent)
    if inside.sum() < ENOUGH_EVENTS:
        return list(borders)
    values = [tube.axis(marker)[inside] for marker, _, _ in sides]
    ends = [(one.placed.value, side == "lower") for one, (_, _, side) in zip(borders, sides, strict=True)]
    within = [(v > at) == lower for v, (at, lower) in zip(values, ends, strict=True)]
    flagged = []
    for i, one in enumerate(borders):
        held = (values[i] > one.placed.ci_low) & (values[i] < one.placed.ci_high)
        for k, mask in enumerate(within):
            held &= mask | (k == i)
        wide = held.mean() > _WIDE_SHARE
        flagged.append(replace(one, own_flags=(*one.own_flags, Flag.WIDE_INTERVAL)) if wide else one)
    return flagged
