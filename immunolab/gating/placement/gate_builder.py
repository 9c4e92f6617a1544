"""From placed borders to gates, table rows and the same gates on resampled events."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from immunolab.gating.method_registry import Array
from immunolab.gating.placement.borders import Corner, lymphocytes, quadrants, singlets
from immunolab.gating.placement.borders_of_gates import RESAMPLES, Placed, place_border, place_corner
from immunolab.gating.placement.rules import Border, Rule, rule_for
from immunolab.gating.placement.tube_state import TubePool, TubeState
from immunolab.gating.strategy import Declared, Dimension, Ellipsoid, Gate, Polygon, Population, Rectangle
from immunolab.gating.tube_gates import Threshold

Pools = Callable[[str], list[tuple[TubePool, tuple[TubeState, ...]]]]
Side = tuple[str, Border, str]  # marker, border, lower or upper
# how far a border may stand from where it belongs beyond what resampling shows, in units of the
# spread of the events it holds off: calibrated once on simulated tubes, see benchmarks/gating_accuracy.py
PLACEMENT_SD = 0.16
_DRIFT_FLOOR = 0.3
_FEWEST_FOR_DRIFT = 200
_LEVEL_SIDES: dict[str, tuple[tuple[Border, str], ...]] = {
    "pos": (("pos", "lower"),),
    "neg": (("pos", "upper"),),
    "hi": (("hi", "lower"),),
    "lo": (("lo", "upper"),),
    "int": (("pos", "lower"), ("hi", "upper")),
}


@dataclass(frozen=True)
class PlacedGate:
    """A declared gate placed for one tube."""

    gate: Gate
    flags: tuple[str, ...] = ()
    rows: tuple[Threshold, ...] = ()
    alternatives: tuple[Gate, ...] = ()


class Builder:
    """Places declared gates; remembers borders that several gates share."""

    def __init__(
        self, thresholds: Mapping[str, Any], rng: Callable[..., np.random.Generator], resample: bool = True
    ) -> None:
        self.thresholds = thresholds
        self.rng = rng
        self.resample = resample
        self._known: dict[tuple[object, ...], Placed] = {}

    def draw(
        self, population: Population, gate: Declared, tubes: Sequence[TubeState], pools: Pools
    ) -> dict[str, PlacedGate]:
        """Return the placed gate of every tube by sample_id."""
        if gate.kind == "where":
            sides = [(m, *side) for m, level in gate.settings["phenotype"] for side in _LEVEL_SIDES[level]]
            return self._rectangles(population, sides, {}, tubes, pools)
        if gate.kind == "threshold":
            return self._threshold(population, gate.settings, tubes, pools)
        place = {"diagonal": self._corner, "quadrants": self._quadrant}.get(gate.kind, self._region)
        found: dict[str, PlacedGate] = {}
        for pool, members in pools(str(gate.settings.get("scope", "patient"))):
            found |= place(population, gate, pool, members)
        return found

    # --- borders on single markers

    def _threshold(
        self, population: Population, settings: Mapping[str, Any], tubes: Sequence[TubeState], pools: Pools
    ) -> dict[str, PlacedGate]:
        marker, side = str(settings["marker"]), settings["side"]
        own = {key: value for key, value in settings.items() if key not in ("marker", "side", "low", "high")}
        if "low" in settings:
            fixed = {"pos": {"by": "fixed", "at": settings["low"]}, "hi": {"by": "fixed", "at": settings["high"]}}
            return self._rectangles(population, [(marker, *s) for s in _LEVEL_SIDES["int"]], fixed, tubes, pools)
        sides = {"above": _LEVEL_SIDES["pos"], "below": _LEVEL_SIDES["neg"], "between": _LEVEL_SIDES["int"]}[side]
        return self._rectangles(population, [(marker, *s) for s in sides], own, tubes, pools)

    def _rectangles(
        self,
        population: Population,
        sides: Sequence[Side],
        own: Mapping[str, Any],
        tubes: Sequence[TubeState],
        pools: Pools,
    ) -> dict[str, PlacedGate]:
        placed: dict[str, list[tuple[Side, Placed, str, bool]]] = {tube.sample_id: [] for tube in tubes}
        for side in sides:
            marker, border, _ = side
            rule = rule_for(self.thresholds, marker, border, own)
            for pool, members in pools(rule.scope):
                found = self._border(pool, population.parent_path, marker, border, rule)
                for tube in members:
                    drift = self._drifts(tube, pool, population.parent_path, marker, border, rule, found)
                    placed[tube.sample_id].append((side, found, pool.scope, drift))
        return {tube.sample_id: self._rectangle(population, tube, placed[tube.sample_id]) for tube in tubes}

    def _border(
        self, pool: TubePool, parent: str, marker: str, border: Border, rule: Rule, *, resample: bool = True
    ) -> Placed:
        where = (pool.path_of(rule.on) if rule.on else None) or parent
        key = (resample, marker, border, repr(rule), where, tuple(tube.sample_id for tube in pool.tubes))
        if key not in self._known:
            words = (marker, border, where, *(tube.sample_id for tube in pool.tubes))
            rng = self.rng(*words) if resample and self.resample else None
            self._known[key] = place_border(pool, where, marker, border, rule, rng)
        return self._known[key]

    def _drifts(
        self, tube: TubeState, pool: TubePool, parent: str, marker: str, border: Border, rule: Rule, found: Placed
    ) -> bool:
        """Whether a tube's own optimum lies further from the pooled border than chance allows."""
        if len(pool.tubes) < 2 or not len(found.draws) or tube.inside(parent).sum() < _FEWEST_FOR_DRIFT:
            return False
        alone = TubePool((tube,), pool.controls, "sample")
        own = self._border(alone, parent, marker, border, rule, resample=False)
        return own.method == found.method and _far(own.value, found, len(pool.tubes))

    def _rectangle(
        self, population: Population, tube: TubeState, placed: Sequence[tuple[Side, Placed, str, bool]]
    ) -> PlacedGate:
        sides = [side for side, _, _, _ in placed]
        gate = _box(tube, sides, [p.value for _, p, _, _ in placed])
        jitter = self.rng("placement", population.path, tube.patient).normal(
            0.0, PLACEMENT_SD, (RESAMPLES, len(placed))
        )
        draws = np.column_stack([_spread_draws(p, jitter[:, i]) for i, (_, p, _, _) in enumerate(placed)])
        rows = tuple(_row(population, tube, p, scope, ("drift",) if drift else ()) for _, p, scope, drift in placed)
        flags = [flag for _, p, _, drift in placed for flag in (*p.loud_flags, *(("drift",) if drift else ()))]
        varied = any(len(p.draws) for _, p, _, _ in placed)
        others = tuple(_box(tube, sides, row) for row in draws) if varied else ()
        return PlacedGate(gate, tuple(dict.fromkeys(flags)), rows, others)

    # --- regions in two channels

    def _corner(
        self, population: Population, gate: Declared, pool: TubePool, members: Sequence[TubeState]
    ) -> dict[str, PlacedGate]:
        s, parent = gate.settings, population.parent_path
        on = pool.path_of(str(s["on"])) if s.get("on") else None
        where = parent if on is None else on
        options = {key: s[key] for key in ("slope", "y_side") if key in s}
        rng = self.rng(population.path, *(tube.sample_id for tube in pool.tubes)) if self.resample else None
        corner, both = place_corner(pool, where, s["x"], s["y"], str(s.get("of", "")), options, rng)
        found = {}
        for tube in members:
            drift = self.resample and self._corner_drifts(tube, pool, where, s, options, corner, both)
            flags = (*corner.flags, *(("drift",) if drift else ()))
            rows = tuple(_row(population, tube, p, pool.scope, ("drift",) if drift else ()) for p in both)
            jitter = self.rng("placement", population.path, tube.patient).normal(0.0, PLACEMENT_SD, (RESAMPLES, 2))
            a, b = (_spread_draws(p, jitter[:, i]) for i, p in enumerate(both))
            moved = zip(a, b, strict=True) if self.resample else ()
            others = tuple(_corner_gate(tube, s, corner, x, y) for x, y in moved)
            placed = _corner_gate(tube, s, corner, corner.x.value, corner.y.value)
            found[tube.sample_id] = PlacedGate(placed, tuple(dict.fromkeys(flags)), rows, others)
        return found

    def _corner_drifts(
        self,
        tube: TubeState,
        pool: TubePool,
        where: str,
        settings: Mapping[str, Any],
        options: dict[str, object],
        corner: Corner,
        both: tuple[Placed, Placed],
    ) -> bool:
        if len(pool.tubes) < 2 or tube.inside(where).sum() < _FEWEST_FOR_DRIFT or corner.mixture is None:
            return False
        alone = TubePool((tube,), pool.controls, "sample")
        start = {**options, "start": corner.mixture}
        own, _ = place_corner(alone, where, settings["x"], settings["y"], str(settings.get("of", "")), start, None)
        return own.mixture is not None and _far(own.x.value, both[0], len(pool.tubes))

    def _quadrant(
        self, population: Population, gate: Declared, pool: TubePool, members: Sequence[TubeState]
    ) -> dict[str, PlacedGate]:
        s, parent = gate.settings, population.parent_path
        found = quadrants(pool.values(s["x"], parent), pool.values(s["y"], parent))
        sides: list[Side] = [
            (s[axis], "pos", "lower" if sign == "+" else "upper")
            for axis, sign in zip("xy", s["quadrant"], strict=True)
        ]
        placed = [
            Placed(side[0], cut.value, "quadrants", "density", np.nan, np.nan, cut.flags, "", cut.spread, np.empty(0))
            for side, cut in zip(sides, (found.x, found.y), strict=True)
        ]
        return {
            t.sample_id: self._rectangle(
                population, t, [(a, b, pool.scope, False) for a, b in zip(sides, placed, strict=True)]
            )
            for t in members
        }

    def _region(
        self, population: Population, gate: Declared, pool: TubePool, members: Sequence[TubeState]
    ) -> dict[str, PlacedGate]:
        s, parent = gate.settings, population.parent_path
        values = pool.values(s["x"], parent), pool.values(s["y"], parent)
        options = {key: value for key, value in s.items() if key not in ("x", "y", "of", "on", "scope")}
        found = {}
        region = singlets(*values, **options) if gate.kind == "singlets" else lymphocytes(*values, **options)
        for tube in members:
            axes = tube.dimension(s["x"]), tube.dimension(s["y"])
            shape: Gate
            if hasattr(region, "vertices"):
                shape = Polygon(axes, region.vertices)
            else:
                shape = Ellipsoid(axes, region.mean, region.covariance, region.distance_square)
            found[tube.sample_id] = PlacedGate(shape, region.flags)
        return found


def _far(value: float, pooled: Placed, n_tubes: int) -> bool:
    if np.isnan(value) or np.isnan(pooled.value) or len(pooled.draws) < 2:
        return False
    sd = float(np.std(pooled.draws, ddof=1))
    allowed = max(1.96 * sd, 3.0 * sd * np.sqrt(n_tubes), _DRIFT_FLOOR * pooled.spread)
    return bool(abs(value - pooled.value) > allowed)


def _spread_draws(placed: Placed, jitter: Array) -> Array:
    """Return the border on resampled events, each moved by the placement error; constant when fixed."""
    if not len(placed.draws):
        return np.full(len(jitter), placed.value)
    return np.resize(placed.draws, len(jitter)) + jitter * placed.spread


def _box(tube: TubeState, sides: Sequence[Side], values: Sequence[float]) -> Rectangle:
    """Return the rectangle of borders; a border that could not be placed closes it."""
    dimensions: dict[str, Dimension] = {}
    lower: dict[str, float | None] = {}
    upper: dict[str, float | None] = {}
    for (marker, _, side), value in zip(sides, values, strict=True):
        dimensions.setdefault(marker, tube.dimension(marker))
        if np.isnan(value):
            lower[marker] = upper[marker] = 0.0
        elif side == "lower":
            lower[marker] = float(value)
        else:
            floor = lower.get(marker)
            upper[marker] = float(value if floor is None else max(value, floor))
    names = list(dimensions)
    return Rectangle(tuple(dimensions.values()), tuple(lower.get(n) for n in names), tuple(upper.get(n) for n in names))


def _corner_gate(tube: TubeState, settings: Mapping[str, Any], corner: Corner, x: float, y: float) -> Gate:
    axes = tube.dimension(settings["x"]), tube.dimension(settings["y"])
    low = corner.y_side == "lo"
    if corner.slope == 0.0:
        return Rectangle(axes, (float(x), None if low else float(y)), (None, float(y) if low else None))
    far = float(x) + 100.0 * max(corner.x.spread, 1e-6)
    edge = float(y) + corner.slope * (far - float(x))
    out = float(y) + (-1 if low else 1) * 100.0 * max(corner.y.spread, 1e-6)
    return Polygon(axes, ((float(x), out), (far, out), (far, edge), (float(x), float(y))))


def _row(population: Population, tube: TubeState, placed: Placed, scope: str, more: tuple[str, ...]) -> Threshold:
    channel = tube.channel(placed.marker)
    scale = tube.dimension(placed.marker).transform
    known = np.isfinite(placed.value)
    return Threshold(
        sample_id=tube.sample_id,
        population=population.name,
        marker=channel.marker,
        channel=channel.name,
        threshold=float(placed.value) if known else None,
        threshold_raw=float(scale.inverse([placed.value])[0]) if known else None,
        method=placed.method,
        control=placed.control,
        scope=scope,
        ci_low=float(placed.ci_low) if np.isfinite(placed.ci_low) else None,
        ci_high=float(placed.ci_high) if np.isfinite(placed.ci_high) else None,
        flag=";".join(dict.fromkeys((*placed.flags, *more))) or None,
        reason=placed.reason,
    )
