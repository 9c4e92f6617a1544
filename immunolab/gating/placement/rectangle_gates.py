"""Gates of borders on single markers: a phenotype, or above, below, between; they become rectangles."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

from immunolab.events.transforms import scale_in_words
from immunolab.gating.placement.flank import flank_flags
from immunolab.gating.placement.interval_width import with_drift, with_width
from immunolab.gating.placement.known_cells import EVERYWHERE, Among
from immunolab.gating.placement.leading_marker import is_of_naive, leading_rule, with_loss
from immunolab.gating.placement.lineage_rules import beside_partner, placing_path, rests_on_doubt, with_own_naive
from immunolab.gating.placement.methods.valley import amid_group
from immunolab.gating.placement.other_pools import OtherPools, SharedBorder
from immunolab.gating.placement.place_border import place_border
from immunolab.gating.placement.placed import Placed, drift_sd, far_from
from immunolab.gating.placement.placed_gate import (
    FEWEST_FOR_DRIFT,
    Generators,
    PlacedGate,
    Pools,
    Side,
    TubeBorder,
    moved_draws,
    threshold_record,
)
from immunolab.gating.placement.rules import Border, Rule, dim_on, exclusive_of, faint_among, parted_among, rule_for
from immunolab.gating.placement.tube_state import TubePool, TubeState
from immunolab.gating.strategy import Declared, Population, Rectangle
from immunolab.schema.flags import Flag

_LEVELS: dict[str, tuple[tuple[Border, Literal["lower", "upper"]], ...]] = {
    "pos": (("pos", "lower"),),
    "neg": (("pos", "upper"),),
    "hi": (("hi", "lower"),),
    "lo": (("lo", "upper"),),
    "int": (("pos", "lower"), ("hi", "upper")),
}
# what is doubtful of the events over the border beside a known negative group, and not of that group
_OF_POSITIVES = (Flag.NO_VALLEY, Flag.UNIMODAL, Flag.NO_POSITIVES)
_SIDES = {"above": "pos", "below": "neg", "between": "int"}


@dataclass(frozen=True)
class _Asked:
    """A border that a gate asks for; ``among`` says among which of the parent's events it is placed."""

    parent: str
    marker: str
    border: Border
    rule: Rule
    among: Among = EVERYWHERE


class RectangleGates:
    """Places such gates; keeps borders that several gates share."""

    def __init__(self, thresholds: Mapping[str, Any], rng: Generators, resample: bool, others: OtherPools) -> None:
        self._thresholds = thresholds
        self._others = others
        self._rng = rng
        self._resample = resample
        self._placed: dict[tuple[object, ...], Placed] = {}

    def place(
        self, population: Population, gate: Declared, tubes: Sequence[TubeState], pools: Pools
    ) -> dict[str, PlacedGate]:
        """Return the placed gate of every tube by sample_id.

        Parameters
        ----------
        population
            Whose gate is placed.
        gate
            Its sides, and the rules that are the gate's own.
        tubes
            All tubes that get a gate.
        pools
            Returns the pools of a scope, each with its members among the tubes.
        """
        sides, own = _sides_and_rule(gate)
        borders: dict[str, list[TubeBorder]] = {tube.sample_id: [] for tube in tubes}
        for marker, border, _ in sides:
            rule = rule_for(
                self._thresholds, marker, border, own or leading_rule(self._thresholds, marker, border, sides)
            )
            rule = beside_partner(rule, marker, sides)
            asked = _Asked(population.parent_path, marker, border, rule, _among(sides, marker, border))
            for pool, members, shared in self._shared(asked, pools):
                for tube in members:
                    borders[tube.sample_id].append(self._in_tube(tube, pool, asked, shared))
        gates = {}
        for tube in tubes:
            here = with_loss(tube, population.parent_path, sides, borders[tube.sample_id])
            here = with_width(tube, population.parent_path, sides, here)
            here = with_drift(tube, population.parent_path, sides, here)
            gates[tube.sample_id] = rectangle_gate(population, tube, sides, here, self._rng)
        return gates

    def _shared(self, asked: _Asked, pools: Pools) -> list[tuple[TubePool, tuple[TubeState, ...], SharedBorder]]:
        """Return a border of every pool of its scope, those that its events do not show from the other pools.

        A lineage marker's border that is withheld stays so: no cell of the tube says which hump is negative.
        """
        served = pools(asked.rule.scope)
        found = [(_key(asked, pool), pool, self._border(pool, asked, self._resample)) for pool, _ in served]
        withheld = [asked.rule.by == "valley" and not np.isfinite(placed.value) for _, _, placed in found]
        compared = [
            SharedBorder(placed, pool.scope) if none else one
            for none, one, (_, pool, placed) in zip(withheld, self._others.compare(found), found, strict=True)
        ]
        return [(pool, members, one) for (pool, members), one in zip(served, compared, strict=True)]

    def _border(self, pool: TubePool, asked: _Asked, resample: bool) -> Placed:
        where = placing_path(asked.rule, pool, asked.parent)
        rule = with_own_naive(asked.rule, pool, asked.parent)
        marker, border = asked.marker, asked.border
        ids = tuple(tube.sample_id for tube in pool.tubes)
        key = (resample, marker, border, repr(rule), where, ids, asked.among)
        if key not in self._placed:
            rng = self._rng(marker, border, where, *ids) if resample else None
            self._placed[key] = place_border(pool, where, marker, border, rule, rng, among=asked.among)
        return self._placed[key]

    def _in_tube(self, tube: TubeState, pool: TubePool, asked: _Asked, shared: SharedBorder) -> TubeBorder:
        """Return a shared border as one tube has it.

        It is flagged where a valley of the pool, or of others, is amid the tube's events; the tube's own border is kept
        where it is further from the shared one than chance allows.
        """
        found, where = shared.placed, placing_path(asked.rule, pool, asked.parent)
        doubt = rests_on_doubt(found.method, with_own_naive(asked.rule, pool, asked.parent), pool, where)
        flags = (Flag.DOUBTFUL_REFERENCE,) * doubt
        elsewhere = not f"{asked.parent}/".startswith(f"{where}/")
        here = TubeBorder(found, shared.scope, flags, usual=shared.usual, elsewhere=elsewhere)
        if shared.borrowed:
            values = tube.axis(found.marker)[tube.inside(where)]
            amid = asked.rule.by == "valley" and amid_group(values, found.value)
            return replace(here, own_flags=(*flags, Flag.NO_VALLEY)) if amid else here
        if len(pool.tubes) < 2 or not len(found.draws) or tube.inside(asked.parent).sum() < FEWEST_FOR_DRIFT:
            return here
        alone = TubePool((tube,), pool.controls, "sample")
        own = self._border(alone, asked, False)
        if own.method == found.method:
            far = far_from(own.value, found, len(pool.tubes))
            beyond = drift_sd(own.value, found, len(pool.tubes))
            return replace(here, drift_sd=beyond, own_value=own.value if far else np.nan)
        where = placing_path(asked.rule, alone, asked.parent)
        amid = found.method == "valley" and amid_group(alone.values(found.marker, where), found.value)
        return replace(here, own_flags=(*flags, Flag.NO_VALLEY)) if amid else here


def _key(asked: _Asked, pool: TubePool) -> tuple[str, ...]:
    """Return words that name a border in every pool of a study."""
    where = placing_path(asked.rule, pool, asked.parent)
    rule = with_own_naive(asked.rule, pool, asked.parent)
    scale = scale_in_words(pool.tubes[0].dimension(asked.marker).transform)
    return (where, asked.marker, asked.border, repr(rule), repr(tuple(asked.among)), scale)


def _among(sides: Sequence[Side], marker: str, border: Border) -> Among:
    """Return among which events a border is placed: all where the gate asks for no exclusive marker."""
    dim = dim_on(marker)
    if dim and border == "pos" and {(dim, "pos", "lower"), (marker, "pos", "upper")} <= set(sides):
        return Among(dim=dim)
    if border == "pos" and is_of_naive(marker, sides):
        return Among(naive=True)
    parted, (faint, _) = parted_among(marker), faint_among(marker)
    if border == "pos" and _asks_for(sides, parted):
        return Among(parted, parted=True)
    if border == "pos" and _asks_for(sides, faint):
        return Among(faint, faint=True)
    partner, sign = exclusive_of(marker)
    own = next((side for name, level, side in sides if name == partner and level == "pos"), None)
    if own is None or border != "pos":
        return EVERYWHERE
    side = "+" if own == "lower" else "-"
    return Among(f"{partner}{sign}", of_others=side != sign) if sign else Among(f"{partner}{side}", only=True)


def _asks_for(sides: Sequence[Side], cells: str) -> bool:
    """Whether a gate asks for such cells as ``CCR6+``; for none where the word is empty."""
    return bool(cells) and (cells[:-1], "pos", "lower" if cells.endswith("+") else "upper") in sides


def rectangle_gate(
    population: Population, tube: TubeState, sides: Sequence[Side], borders: Sequence[TubeBorder], rng: Generators
) -> PlacedGate:
    """Return the rectangle of borders, one for each side, in one tube.

    Parameters
    ----------
    population
        Whose gate it is.
    tube
        Where the gate is used.
    sides
        (marker, border, ``lower`` or ``upper``) of each border.
    borders
        One a side, in the same order.
    rng
        Returns a generator for words.
    """
    placed = tuple(border.placed for border in borders)
    draws = np.column_stack(moved_draws(rng, population, tube, borders))
    varied = any(len(one.draws) for one in placed)
    flags = [
        flag
        for border, (_, _, side) in zip(borders, sides, strict=True)
        for flag in (*border.placed.loud_flags, *border.own_flags)
        if not (side == "upper" and border.placed.negatives_known and flag in _OF_POSITIVES)
    ]
    # over the tail of negative events there is nothing to count; below its border their group is
    empty = [
        side == "lower" and Flag.NO_POSITIVES in one.flags for (_, _, side), one in zip(sides, placed, strict=True)
    ]
    if any(empty):
        flags.append(Flag.NO_BORDER)
        varied = False
    values = [np.nan if nothing else one.value for nothing, one in zip(empty, placed, strict=True)]
    gate = _box(tube, sides, values)
    is_unlike = any(np.isfinite(border.usual) for border in borders)
    if not any(empty):
        flags += flank_flags(tube, population.parent_path, gate, placed, [one.elsewhere for one in borders])
    return PlacedGate(
        gate,
        tuple(dict.fromkeys(flags)),
        tuple(threshold_record(population, tube, border) for border in borders),
        tuple(_box(tube, sides, row) for row in draws.tolist()) if varied else (),
        _box(tube, sides, [border.usual_value for border in borders]) if is_unlike and not any(empty) else None,
    )


def _sides_and_rule(gate: Declared) -> tuple[list[Side], Mapping[str, Any]]:
    """Return the rectangle's sides, and the rule that the gate itself gives."""
    settings = gate.settings
    if gate.kind == "where":
        return [(marker, *side) for marker, level in settings["phenotype"] for side in _LEVELS[level]], {}
    marker = str(settings["marker"])
    sides: list[Side] = [(marker, *side) for side in _LEVELS[_SIDES[settings["side"]]]]
    if "low" in settings:
        unit = {"by": "fixed", "numbers": settings.get("numbers", "display")}
        return sides, {"pos": {**unit, "at": settings["low"]}, "hi": {**unit, "at": settings["high"]}}
    return sides, {key: value for key, value in settings.items() if key not in ("marker", "side", "low", "high")}


def _box(tube: TubeState, sides: Sequence[Side], values: Sequence[float]) -> Rectangle:
    """Return the rectangle of borders; a border that could not be placed closes it."""
    lower: dict[str, float | None] = {}
    upper: dict[str, float | None] = {}
    for (marker, _, side), value in zip(sides, values, strict=True):
        if math.isnan(value):
            lower[marker] = upper[marker] = 0.0
        elif side == "lower":
            lower[marker] = float(value)
        else:
            floor = lower.get(marker)
            upper[marker] = float(value if floor is None else max(value, floor))
    names = dict.fromkeys(marker for marker, _, _ in sides)
    ends = (tuple(map(side.get, names)) for side in (lower, upper))
    return Rectangle(tuple(map(tube.dimension, names)), *ends)
