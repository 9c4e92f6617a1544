"""Borders on which a gate's percentage depends: by their interval, or by how far the tube's own border is."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from immunolab.gating.method_results import Array
from immunolab.gating.placement.density import ENOUGH_EVENTS
from immunolab.gating.placement.placed_gate import Side, TubeBorder
from immunolab.gating.placement.tube_state import Mask, TubeState
from immunolab.schema.flags import Flag

# share of the parent's events that are between the ends of a border's interval and within the gate's other borders,
# above which it is flagged (judgement: the percentage is then unsure by some 10 points either way; borders of good
# simulated tubes hold up to 17 %)
_WIDE_SHARE = 0.20
# change of a gate's events by the tube's own border from which the shared one is doubtful: F1 of the two is then .9,
# and a subset stained twice differs by a tenth (judgement, 2026-11-26)
_DRIFT_SHARE = 0.20


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
    flagged = []
    for one, values, others in _in_turn(tube, parent, sides, borders):
        held = others & (values > one.placed.ci_low) & (values < one.placed.ci_high)
        wide = len(values) >= ENOUGH_EVENTS and held.mean() > _WIDE_SHARE
        flagged.append(replace(one, own_flags=(*one.own_flags, Flag.WIDE_INTERVAL)) if wide else one)
    return flagged


def with_drift(tube: TubeState, parent: str, sides: Sequence[Side], borders: Sequence[TubeBorder]) -> list[TubeBorder]:
    """Return the borders, flagged ``drift`` where the tube's own border would change the gate's events by a fifth.

    The smaller of the border's two groups, whatever the gate's other borders, must change by as much.

    Parameters
    ----------
    tube
        Whose events are counted.
    parent
        Path of the gate's parent.
    sides
        Marker, border and side of each border.
    borders
        One a side, in the same order; those further from the tube's own than chance allows have its value.
    """
    flagged = []
    for i, (one, values, others) in enumerate(_in_turn(tube, parent, sides, borders)):
        shared, own = ((values > at) == (sides[i][2] == "lower") for at in (one.placed.value, one.own_value))
        moved = shared != own
        in_gate = np.count_nonzero(others & moved) > _DRIFT_SHARE * np.count_nonzero(others & shared)
        smaller = min(np.count_nonzero(shared), np.count_nonzero(~shared))
        drifts = np.isfinite(one.own_value) and in_gate and np.count_nonzero(moved) > _DRIFT_SHARE * smaller
        flagged.append(replace(one, own_flags=(*one.own_flags, Flag.DRIFT)) if drifts else one)
    return flagged


def _in_turn(
    tube: TubeState, parent: str, sides: Sequence[Side], borders: Sequence[TubeBorder]
) -> Iterator[tuple[TubeBorder, Array, Mask]]:
    """Yield each border, the parent's events on its marker, and which of them are within the gate's other borders."""
    inside = tube.inside(parent)
    values = [tube.axis(marker)[inside] for marker, _, _ in sides]
    ends = [(one.placed.value, side == "lower") for one, (_, _, side) in zip(borders, sides, strict=True)]
    within = [(v > at) == lower for v, (at, lower) in zip(values, ends, strict=True)]
    for i, one in enumerate(borders):
        others = [mask for k, mask in enumerate(within) if k != i]
        yield one, values[i], np.logical_and.reduce(others) if others else np.ones(len(values[i]), dtype=np.bool_)
