"""Gates of two channels that one method places: polygon, ellipse, a corner's cloud, a quadrant."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from immunolab.gating.method_results import Band, Cloud, Corner, Quadrants
from immunolab.gating.placement.inputs import Lacking, Request
from immunolab.gating.placement.method_lookup import method
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
from immunolab.gating.placement.rules import Scope
from immunolab.gating.placement.tube_state import TubePool, TubeState
from immunolab.gating.strategy import Declared, Dimension, Ellipsoid, Gate, Polygon, Population, Rectangle
from immunolab.schema.flags import Flag

_OPEN = 100.0  # a corner is open outwards: its polygon ends this many spreads of the reference away
_NO_SETTING = ("x", "y", "of", "on", "scope")


def place_region_gate(
    population: Population,
    gate: Declared,
    pool: TubePool,
    members: Sequence[TubeState],
    rng: Generators,
    resample: bool,
) -> dict[str, PlacedGate]:
    """Return the placed gate of every member of a pool by sample_id.

    Parameters
    ----------
    population
        Whose gate is placed.
    gate
        Its kind is a method of two channels; settings x, y, of, on, and the method's own.
    pool
        Tubes that share the region.
    members
        Tubes that get a gate; the pool or some of it.
    rng
        Returns a generator for words.
    resample
        Whether borders get intervals, alternatives and a drift alarm.
    """
    chosen, settings = method(gate.kind), gate.settings
    channels = (str(settings["x"]), str(settings["y"]))
    on = pool.path_of(str(settings["on"])) if settings.get("on") else None
    path = population.parent_path if on is None else on
    request = Request(pool, path, channels, str(settings.get("of", "")))
    own = {key: value for key, value in settings.items() if key not in _NO_SETTING}
    generator = rng(population.path, *(tube.sample_id for tube in pool.tubes)) if resample else None
    found = place_region(chosen, request, own, generator)
    placed = {}
    for tube in members:
        axes = (tube.dimension(channels[0]), tube.dimension(channels[1]))
        if isinstance(found, Lacking):
            placed[tube.sample_id] = _withheld(population, tube, channels, axes, found, pool.scope)
        elif isinstance(found.region, Corner):
            borders = _in_tube(tube, request, gate.kind, own, found, resample)
            placed[tube.sample_id] = _corner_gate(population, tube, axes, found.region, borders, rng, resample)
        elif isinstance(found.region, Quadrants):
            sides: list[Side] = [
                (name, "pos", "lower" if sign == "+" else "upper")
                for name, sign in zip(channels, found.region.quadrant, strict=True)
            ]
            borders = tuple(TubeBorder(one, pool.scope) for one in found.borders)
            placed[tube.sample_id] = rectangle_gate(population, tube, sides, borders, rng)
        else:
            placed[tube.sample_id] = PlacedGate(_shape(axes, found.region), found.region.flags)
    return placed


def _in_tube(
    tube: TubeState, request: Request, kind: str, own: Mapping[str, Any], pooled: PlacedRegion, resample: bool
) -> tuple[TubeBorder, ...]:
    """Return a shared corner's borders as one tube has them: how far its own corner is, flagged beyond chance."""
    tubes, corner, scope = request.pool.tubes, pooled.region, request.pool.scope
    shared = tuple(TubeBorder(one, scope) for one in pooled.borders)
    few = tube.inside(request.path).sum() < FEWEST_FOR_DRIFT
    if not resample or len(tubes) < 2 or few or not isinstance(corner, Corner) or corner.start is None:
        return shared
    alone = replace(request, pool=TubePool((tube,), request.pool.controls, "sample"))
    found = place_region(method(kind), alone, {**own, "start": corner.start}, None)
    if isinstance(found, Lacking) or not isinstance(found.region, Corner) or found.region.start is None:
        return shared
    drift = (Flag.DRIFT,) if far_from(found.region.x.value, pooled.borders[0], len(tubes)) else ()
    values = (found.region.x.value, found.region.y.value)
    return tuple(
        TubeBorder(one, scope, drift, drift_sd(value, one, len(tubes)))
        for one, value in zip(pooled.borders, values, strict=True)
    )


def _withheld(
    population: Population,
    tube: TubeState,
    channels: tuple[str, str],
    axes: tuple[Dimension, Dimension],
    lacking: Lacking,
    scope: Scope,
) -> PlacedGate:
    """Return an empty gate whose records say what the tubes lack."""
    flags = (*lacking.flags, Flag.NO_BORDER)
    nothing = np.empty(0)
    reason = f"no region could be placed; {lacking.note}"
    rows = tuple(
        threshold_record(
            population,
            tube,
            TubeBorder(Placed(name, np.nan, "none", "fixed", np.nan, np.nan, flags, reason, 0.0, nothing), scope),
        )
        for name in channels
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
    return PlacedGate(
        _corner_shape(axes, corner, corner.x.value, corner.y.value),
        tuple(dict.fromkeys((*corner.flags, *borders[0].own_flags))),
        tuple(threshold_record(population, tube, border) for border in borders),
        tuple(_corner_shape(axes, corner, x, y) for x, y in zip(x_draws, y_draws, strict=True)) if resample else (),
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
