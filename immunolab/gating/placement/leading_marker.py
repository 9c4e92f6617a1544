"""Gates of two markers of which one leads: the cloud of FOXP3 says where CD25 is, and what a CD25 border removes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from immunolab.gating.placement.methods.positive_cloud import positive_cloud, share_lost
from immunolab.gating.placement.placed_gate import Side, TubeBorder
from immunolab.gating.placement.rules import Border, takes_defaults
from immunolab.gating.placement.tube_state import TubeState
from immunolab.schema.flags import Flag

LEADING, PARTNER = "FOXP3", "CD25"
# share of the leading marker's cloud under the partner's border above which it is flagged (judgement: the border then
# removes most of what the population is named for)
_MOST = 0.5


def leading_rule(thresholds: Mapping[str, Any], marker: str, border: Border, sides: Sequence[Side]) -> dict[str, Any]:
    """Return the rule of FOXP3 and CD25 in a gate of both that leaves their borders to the defaults; else nothing.

    Parameters
    ----------
    thresholds
        The strategy's block ``thresholds``, marker to rule.
    marker, border
        Which border is placed.
    sides
        All sides of the gate.
    """
    pair = (LEADING, PARTNER)
    if border != "pos" or marker not in pair or not _both(sides) or not takes_defaults(thresholds, *pair):
        return {}
    return {"by": positive_cloud.__name__, "partner": pair[marker == LEADING]}


def with_loss(tube: TubeState, parent: str, sides: Sequence[Side], borders: Sequence[TubeBorder]) -> list[TubeBorder]:
    """Return the borders; one of CD25 that removes most of the tube's FOXP3 cloud is flagged.

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
    if not _both(sides):
        return list(borders)
    inside = tube.inside(parent)
    x, y = (tube.dimension(name).transform.inverse(tube.axis(name)[inside]) for name in (LEADING, PARTNER))
    scale = tube.dimension(PARTNER).transform
    found = []
    for (marker, _, side), one in zip(sides, borders, strict=True):
        checked = marker == PARTNER and side == "lower" and np.isfinite(one.placed.value)
        removed = share_lost(x, y, float(scale.inverse([one.placed.value])[0])) if checked else 0.0
        found.append(replace(one, own_flags=(*one.own_flags, Flag.CUTS_CLOUD)) if removed > _MOST else one)
    return found


def _both(sides: Sequence[Side]) -> bool:
    return {LEADING, PARTNER} <= {marker for marker, _, side in sides if side == "lower"}
