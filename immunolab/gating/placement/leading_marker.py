"""Gates of two markers of which one leads: the cloud of FOXP3 says where CD25 is, and what a CD25 border removes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from immunolab.gating.placement.attempt import Attempt
from immunolab.gating.placement.methods.positive_cloud import border_over, positive_cloud, share_lost
from immunolab.gating.placement.placed_gate import Side, TubeBorder
from immunolab.gating.placement.rules import NAIVE, Border, takes_defaults
from immunolab.gating.placement.tube_state import TubePool, TubeState
from immunolab.schema.flags import Flag

LEADING, PARTNER = "FOXP3", "CD25"
# share of the leading marker's cloud under the partner's border above which it is flagged (judgement: the border then
# removes most of what the population is named for)
_MOST = 0.5
_OF_NAIVE: Side = ("CD45RA", "pos", "lower")


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


def is_of_naive(marker: str, sides: Sequence[Side]) -> bool:
    """Whether a border is that of FOXP3 in a gate of naive cells, which carry less of it than other Treg.

    Parameters
    ----------
    marker
        Whose border it is.
    sides
        All sides of the gate.
    """
    return marker == LEADING and _both(sides) and _OF_NAIVE in sides


def among_naive(pool: TubePool, path: str, found: Attempt, rng: np.random.Generator | None) -> Attempt:
    """Return the border of FOXP3 as naive cells over CD25's border show it.

    Naive Treg carry less FOXP3 than others, and activated cells of some CD25 and FOXP3, which raise the border of all
    CD4 cells, are not naive: that border loses a ninth of the naive Treg. CD25's border is that of all CD4 cells, whose
    cloud is larger.

    Parameters
    ----------
    pool, path
        The tubes, and the gate's parent; naive cells are a population below it.
    found
        The border among all events. It is returned where naive cells show too few positive ones.
    rng
        Resamples the border for its interval; None leaves that out.
    """
    naive = pool.path_of(NAIVE)
    if found.method != positive_cloud.__name__ or not found.settled or not (naive or "").startswith(f"{path}/"):
        return found
    scales = [pool.tubes[0].dimension(name).transform for name in (LEADING, PARTNER)]
    (x, y), (naive_x, naive_y) = (
        [scale.inverse(pool.values(name, one)) for name, scale in zip((LEADING, PARTNER), scales, strict=True)]
        for one in (path, str(naive))
    )
    partner = positive_cloud(x, y).y.value
    border, draws = border_over(naive_x, naive_y, partner, rng if len(found.draws) else None, len(found.draws))
    if not np.isfinite(border) or len(draws) < min(1, len(found.draws)):
        return found
    source = f"{found.source}, as naive cells over the border of {PARTNER} show it"
    at = float(scales[0].apply([border])[0])
    return replace(found, cut=replace(found.cut, value=at), draws=scales[0].apply(draws), source=source)


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
