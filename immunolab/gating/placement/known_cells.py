"""Cells of the tube itself that are known to lack or to carry a marker: they show which of its humps is negative."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from immunolab.gating.method_results import Array
from immunolab.gating.placement.density import ENOUGH_EVENTS, main_mode
from immunolab.gating.placement.methods.known_negatives import separate
from immunolab.gating.placement.rules import carried_by_either, negatives_of
from immunolab.gating.placement.tube_state import Mask, TubePool
from immunolab.gating.strategy import Declared, Gate

_OPPOSITE = {"+": "neg", "-": "pos"}
_SIDES = {"above": "pos", "below": "neg"}
# share of a parent's events that carry one of two exclusive markers and not the other, from which the parent is taken
# for T cells (judgement, 2026-11-26: 90 % and more of T cells do, a third of other leukocytes)
_ONE_OF_TWO = 0.8


@dataclass(frozen=True)
class KnownNegatives:
    """Events that lack a marker.

    Attributes
    ----------
    values
        Of the marker, display scale, tube after tube.
    cells
        Which they are, as the rules name them: ``CD3-``.
    """

    values: Array
    cells: str


class Among(NamedTuple):
    """Among which of a population's events a border is placed.

    Attributes
    ----------
    cells
        Side of another marker: ``CD8-``; "" for all events.
    only
        Whether never among the others; else only where those fill the valley.
    dim
        Marker of the gate's own cells, which may carry a little of the one whose border it is; "" for none.
    of_others
        Whether the gate itself is of the others: the border may not be amid their group.
    parted
        Whether the border is placed among all events, and is no higher than where two groups of these cross.
    faint
        Whether some of these carry a little of the marker.
    naive
        Whether naive cells show the border of a marker that leads a cloud of two.
    """

    cells: str = ""
    only: bool = False
    dim: str = ""
    of_others: bool = False
    parted: bool = False
    faint: bool = False
    naive: bool = False


EVERYWHERE = Among()


def known_negatives(pool: TubePool, path: str, marker: str) -> KnownNegatives | None:
    """Return events of the tubes that lack a marker, from other lineages; None where none are known.

    The first cells that the rules name are taken, unless others read clearly less: they then hold positive cells.

    Parameters
    ----------
    pool
        Whose tubes are searched.
    path
        The population whose border is placed; "" for root.
    marker
        The marker that the events lack.
    """
    found = []
    for cells in negatives_of(marker):
        masks = _events(pool, path, cells)
        if masks is None or sum(int(mask.sum()) for mask in masks) < ENOUGH_EVENTS:
            continue
        values = [tube.axis(marker)[mask] for tube, mask in zip(pool.tubes, masks, strict=True)]
        found.append(KnownNegatives(np.concatenate(values), cells))
    groups = [_main_group(one.values) for one in found]
    lowest = min(groups, default=(0.0, 0.0))
    return next((one for one, group in zip(found, groups, strict=True) if not separate(*group, *lowest)), None)


def _main_group(values: Array) -> tuple[float, float]:
    """Return the main mode and the standard deviation of its narrower half: other events widen one half only."""
    mode, below = main_mode(values)
    return mode, min(below, main_mode(values, side="below")[1])


def narrowed(pool: TubePool, path: str, among: Among) -> TubePool:
    """Return the pool with a population narrowed to events on one side of another marker's valley.

    The pool is as it was where the marker is missing, or has no valley among the population's events.

    Parameters
    ----------
    pool, path
        The tubes, and the population.
    among
        Which side of which marker.
    """
    masks = _parted(pool, path, among.cells[:-1], among.cells[-1]) if among.cells else None
    if masks is None or sum(int(mask.sum()) for mask in masks) < ENOUGH_EVENTS:
        return pool
    return replace(pool, narrowed={**pool.narrowed, path: masks})


def shown_by_either(pool: TubePool, path: str, marker: str) -> bool:
    """Whether nearly all events of a population carry one of two markers whose cells carry this one.

    Parameters
    ----------
    pool, path
        The tubes, and the population whose border is placed.
    marker
        Whose border it is.
    """
    pair = carried_by_either(marker)
    if not pair:
        return False
    carried = [_parted(pool, path, name, "+") for name in pair]
    if carried[0] is None or carried[1] is None:
        return False
    one = sum(int((a ^ b).sum()) for a, b in zip(carried[0], carried[1], strict=True))
    return one >= _ONE_OF_TWO * sum(int(mask.sum()) for mask in pool.inside(path))


def _events(pool: TubePool, path: str, cells: str) -> tuple[Mask, ...] | None:
    """Return the events of such cells as ``CD3-``, in the population or beside one of its ancestors."""
    name, sign = cells[:-1], cells[-1]
    for beside in lineage(path):
        level = _level(pool, beside, name)
        if level == _OPPOSITE[sign]:
            above = beside.rsplit("/", 1)[0]
            if np.isnan(pool.valley(name, above)):
                return None  # one hump: what is beside its border is its tail, not cells that lack the marker
            if _only_condition(pool, beside):
                pairs = zip(pool.inside(above), pool.inside(beside), strict=True)
                return tuple(outer & ~inner for outer, inner in pairs)
            return _parted(pool, above, name, sign)
    for base in (*lineage(path), ""):
        masks = _parted(pool, base, name, sign)
        if masks is not None:
            return masks
    return None


def _parted(pool: TubePool, path: str, name: str, sign: str) -> tuple[Mask, ...] | None:
    """Return a population's events on one side of a marker's valley; None where there is no such valley."""
    if not all(tube.has(name) for tube in pool.tubes):
        return None
    cut = pool.valley(name, path)
    if np.isnan(cut):
        return None
    masks = pool.inside(path)
    return tuple(
        mask & ((tube.axis(name) > cut) == (sign == "+")) for tube, mask in zip(pool.tubes, masks, strict=True)
    )


def lineage(path: str) -> Iterator[str]:
    """Return a population's path and those of its ancestors, nearest first, root ("") left out."""
    while path:
        yield path
        path = path.rsplit("/", 1)[0] if "/" in path else ""


def is_gated_on(pool: TubePool, path: str, cells: str) -> bool:
    """Whether a population, or one that it is within, was gated as such cells.

    Parameters
    ----------
    pool, path
        The tubes, and the population.
    cells
        Marker and side: ``CXCR5+``.
    """
    level = "pos" if cells.endswith("+") else "neg"
    return any(_level(pool, one, cells[:-1]) == level for one in lineage(path))


def _gate(pool: TubePool, path: str) -> Gate | None:
    populations = pool.tubes[0].strategy.populations
    return next((population.gate for population in populations if population.path == path), None)


def _conditions(gate: Gate | None) -> dict[str, str]:
    """Return marker -> level of a phenotype or a threshold; nothing for other gates."""
    if not isinstance(gate, Declared):
        return {}
    if gate.kind == "where":
        return dict(gate.settings["phenotype"])
    return {str(gate.settings["marker"]): _SIDES.get(gate.settings["side"], "")} if gate.kind == "threshold" else {}


def _level(pool: TubePool, path: str, name: str) -> str:
    return _conditions(_gate(pool, path)).get(name, "")


def _only_condition(pool: TubePool, path: str) -> bool:
    return len(_conditions(_gate(pool, path))) == 1
