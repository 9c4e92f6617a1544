"""Gates of two channels that one method places: polygon, ellipse, a corner's cloud, a quadrant."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from immunolab.events.transforms import scale_in_words
from immunolab.gating.method_results import Band, Cloud, Corner, Cut, Quadrants
from immunolab.gating.placement.inputs import Lacking, Request
from immunolab.gating.placement.method_lookup import method
from immunolab.gating.placement.other_pools import OtherPools, SharedBorder
from immunolab.gating.placement.place_region import PlacedRegion, place_region
from immunolab.gating.placement.placed import Placed, drift_sd, far_from
from immunolab.gating.placement.placed_gate import (
    FEWEST_FOR_DRIFT,
    Generators,
    PlacedGate,
    Side,
    TubeBorder,
    moved_draws,
    threshold_record,
)
from immunolab.gating.placement.rectangle_gates import rectangle_gate
from immunolab.gating.placement.tube_state import TubePool, TubeState
from immunolab.gating.strategy import Declared, Dimension, Ellipsoid, Gate, Polygon, Population, Rectangle
from immunolab.schema.flags import Flag

_OPEN = 100.0  # a corner is open outwards: its polygon ends this many spreads of the reference away
_NO_SETTING = ("x", "y", "of", "on", "scope")


def place_region_gates(
    population: Population,
    gate: Declared,
    pools: Sequence[tuple[TubePool, tuple[TubeState, ...]]],
    rng: Generators,
    resample: bool,
    others: OtherPools,
) -> dict[str, PlacedGate]:
    """Return the placed gate of every tube by sample_id.

    Parameters
    ----------
    population
        Whose gate is placed.
    gate
        Its kind is a method of two channels; settings x, y, of, on, and the method's own.
    pools
        Tubes that share the region, and those of them that get a gate.
    rng
        Returns a generator for words.
    resample
        Whether borders get intervals, alternatives and a drift alarm.
    others
        Gives the corner that a pool's own events do not show.
    """
    settings = {key: value for key, value in gate.settings.items() if key not in _NO_SETTING}
    regions = []
    for pool, _ in pools:
        request = _request(population, gate, pool)
        generator = rng(population.path, *(tube.sample_id for tube in pool.tubes)) if resample else None
        regions.append((request, place_region(method(gate.kind), request, settings, generator)))
    corners = iter(_compared(gate, settings, regions, others))
    placed = {}
    for (_, members), (request, found) in zip(pools, regions, strict=True):
        shared = next(corners) if isinstance(found, PlacedRegion) and isinstance(found.region, Corner) else ()
        for tube in members:
            axes = (tube.dimension(request.channels[0]), tube.dimension(request.channels[1]))
            if isinstance(found, Lacking):
                placed[tube.sample_id] = _withheld(population, tube, axes, found, request)
            elif isinstance(found.region, Corner):
                region = _with_borders(found.region, shared)
                borders = _in_tube(tube, request, gate.kind, settings, region, shared, resample)
                placed[tube.sample_id] = _corner_gate(population, tube, axes, region, borders, rng, resample)
            else:
                placed[tube.sample_id] = _other_gate(population, tube, axes, found.region, found.borders, request, rng)
    return placed


def _request(population: Population, gate: Declared, pool: TubePool) -> Request:
    settings = gate.settings
    on = pool.path_of(str(settings["on"])) if settings.get("on") else None
    path = population.parent_path if on is None else on
    return Request(pool, path, (str(settings["x"]), str(settings["y"])), str(settings.get("of", "")))


def _compared(
    gate: Declared,
    settings: Mapping[str, Any],
    regions: Sequence[tuple[Request, PlacedRegion | Lacking]],
    others: OtherPools,
) -> list[tuple[SharedBorder, SharedBorder]]:
    """Return x and y of each corner, those of other pools where there is no cloud."""
    found = [
        ((request.path, gate.kind, marker, axis, repr(settings), scale_in_words(scale)), request.pool, border)
        for request, region in regions
        if isinstance(region, PlacedRegion) and isinstance(region.region, Corner)
        for marker, axis, border in zip(request.channels, "xy", region.borders, strict=True)
        for scale in (request.pool.tubes[0].dimension(marker).transform,)
    ]
    both = others.compare(found)
    pairs = list(zip(both[::2], both[1::2], strict=True))
    own = [tuple(SharedBorder(one[2], one[1].scope) for one in found[i : i + 2]) for i in range(0, len(found), 2)]
    # one border without the other would be a corner of no pool
    return [pair if pair[0].borrowed == pair[1].borrowed else (a, b) for pair, (a, b) in zip(pairs, own, strict=True)]


def _with_borders(corner: Corner, shared: Sequence[SharedBorder]) -> Corner:
    """Return the corner with the borders of other pools, where they gave them."""
    if not shared[0].borrowed:
        return corner
    x, y = (Cut(one.placed.value, one.placed.flags, one.placed.spread) for one in shared)
    return replace(corner, x=x, y=y, flags=tuple(dict.fromkeys((*x.flags, *y.flags))), start=None)


def _other_gate(
    population: Population,
    tube: TubeState,
    axes: tuple[Dimension, Dimension],
    region: Band | Cloud | Quadrants,
    placed: Sequence[Placed],
    request: Request,
    rng: Generators,
) -> PlacedGate:
    """Return a quadrant, a band or an ellipse."""
    if not isinstance(region, Quadrants):
        return PlacedGate(_shape(axes, region), region.flags)
    sides: list[Side] = [
        (name, "pos", "lower" if sign == "+" else "upper")
        for name, sign in zip(request.channels, region.quadrant, strict=True)
    ]
    borders = tuple(TubeBorder(one, request.pool.scope) for one in placed)
    return rectangle_gate(population, tube, sides, borders, rng)


def _in_tube(
    tube: TubeState,
    request: Request,
    kind: str,
    own: Mapping[str, Any],
    corner: Corner,
    pooled: Sequence[SharedBorder],
    resample: bool,
) -> tuple[TubeBorder, ...]:
    """Return a shared corner's borders as one tube has them: how far its own corner is, flagged beyond chance."""
    tubes = request.pool.tubes
    shared = tuple(TubeBorder(one.placed, one.scope, usual=one.usual) for one in pooled)
    few = tube.inside(request.path).sum() < FEWEST_FOR_DRIFT
    if not resample or len(tubes) < 2 or few or corner.start is None:
        return shared
    alone = replace(request, pool=TubePool((tube,), request.pool.controls, "sample"))
    found = place_region(method(kind), alone, {**own, "start": corner.start}, None)
    if isinstance(found, Lacking) or not isinstance(found.region, Corner) or found.region.start is None:
        return shared
    drift = (Flag.DRIFT,) if far_from(found.region.x.value, pooled[0].placed, len(tubes)) else ()
    values = (found.region.x.value, found.region.y.value)
    return tuple(
        replace(one, own_flags=drift, drift_sd=drift_sd(value, one.placed, len(tubes)))
        for one, value in zip(shared, values, strict=True)
    )


def _withheld(
    population: Population,
    tube: TubeState,
    axes: tuple[Dimension, Dimension],
    lacking: Lacking,
    request: Request,
) -> PlacedGate:
    """Return an empty gate whose records say what the tubes lack."""
    flags = (*lacking.flags, Flag.NO_BORDER)
    nothing = np.empty(0)
    reason = f"no region could be placed; {lacking.note}"
    rows = tuple(
        threshold_record(
            population,
            tube,
            TubeBorder(
                Placed(name, np.nan, "none", "fixed", np.nan, np.nan, flags, reason, 0.0, nothing), request.pool.scope
            ),
        )
        for name in request.channels
    )
    return PlacedGate(Rectangle(axes, (0.0, 0.0), (0.0, 0.0)), flags, rows)


def _corner_gate(
    population: Population,
    tube: TubeState,
    axes: tuple[Dimension, Dimension],
    corner: Corner,
    borders: tuple[TubeBorder, ...],
    rng: Generators,
    resample: bool,
) -> PlacedGate:
    x_draws, y_draws = moved_draws(rng, population, tube, borders)
    is_unlike = any(np.isfinite(one.usual) for one in borders)
    return PlacedGate(
        _corner_shape(axes, corner, corner.x.value, corner.y.value),
        tuple(dict.fromkeys((*corner.flags, *borders[0].own_flags))),
        tuple(threshold_record(population, tube, border) for border in borders),
        tuple(_corner_shape(axes, corner, x, y) for x, y in zip(x_draws, y_draws, strict=True)) if resample else (),
        _corner_shape(axes, corner, *(one.usual_value for one in borders)) if is_unlike else None,
    )


def _corner_shape(axes: tuple[Dimension, Dimension], corner: Corner, x: float, y: float) -> Gate:
    if np.isnan(x) or np.isnan(y):
        return Rectangle(axes, (0.0, 0.0), (0.0, 0.0))
    low = corner.y_side == "lo"
    if corner.slope == 0.0:
        return Rectangle(axes, (float(x), None if low else float(y)), (None, float(y) if low else None))
    far = float(x) + _OPEN * max(corner.x.spread, 1e-6)
    edge = float(y) + corner.slope * (far - float(x))
    out = float(y) + (-1 if low else 1) * _OPEN * max(corner.y.spread, 1e-6)
    return Polygon(axes, ((float(x), out), (far, out), (far, edge), (float(x), float(y))))


def _shape(axes: tuple[Dimension, Dimension], region: Band | Cloud) -> Gate:
    if isinstance(region, Band):
        return Polygon(axes, region.vertices)
    return Ellipsoid(axes, region.mean, region.covariance, region.distance_square)
