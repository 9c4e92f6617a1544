"""A gate as a user writes it in Python, in the words of a strategy file and in instrument units."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from numbers import Real
from typing import Any, TypedDict

import numpy as np

from immunolab.errors import InputError, Problem
from immunolab.events.transforms import scale_in_words
from immunolab.events.tube import Channel
from immunolab.gating.borders import on_axis
from immunolab.gating.gates import Boolean, Declared, Dimension, Ellipsoid, Gate, Polygon, Population, Rectangle
from immunolab.gating.placement.rules import display_scale
from immunolab.gating.strategy_faults import StrategyFault
from immunolab.gating.strategy_parser import GateReader

Point = Sequence[float]
Ends = Sequence[float | None]


class PolygonWords(TypedDict):
    """A polygon: two channels or markers, and its corners in instrument units."""

    x: str
    y: str
    points: Sequence[Point]


class EllipseWords(TypedDict):
    """An ellipse: two channels or markers, its centre, and where its two half axes end, in instrument units."""

    x: str
    y: str
    center: Point
    ends: Sequence[Point]


class ThresholdWords(TypedDict, total=False):
    """A border on one marker: ``at`` a place (of ``between``: ``low`` and ``high``), or placed ``by`` a method."""

    marker: str
    at: float
    low: float
    high: float
    by: str


class GateWords(TypedDict, total=False):
    """One gate in the words of a strategy file (docs/strategy_file.md); numbers are in instrument units."""

    where: str
    above: ThresholdWords | str
    below: ThresholdWords | str
    between: ThresholdWords
    rectangle: Mapping[str, Ends]
    polygon: PolygonWords
    ellipse: EllipseWords
    all_of: Sequence[str] | str
    any_of: Sequence[str] | str


def gate_of(
    words: Gate | GateWords | Mapping[str, Any] | str,
    populations: Sequence[Population],
    transform: Mapping[str, Any],
    thresholds: Mapping[str, Any],
) -> Gate:
    """Return the gate that a user wrote.

    Parameters
    ----------
    words
        A gate, a phenotype such as ``CD25hi CD127lo``, or a mapping as an entry of a strategy file.
    populations
        Those that a boolean gate may name.
    transform, thresholds
        Blocks of the strategy: scales, and rules of borders.

    Raises
    ------
    InputError
        Everything that is wrong with it.
    """
    if isinstance(words, Rectangle | Polygon | Ellipsoid | Boolean) or not isinstance(words, Mapping | str):
        gate, faults = _as_given(words, populations)
    else:
        paths = {p.name: p.path for p in populations} | {p.path: p.path for p in populations}
        reader = GateReader(transform, thresholds, paths, "instrument")
        gate = reader.gate({"where": words} if isinstance(words, str) else _plain(words), ())
        faults = list(reader.faults)
        if isinstance(gate, Declared):
            gate = as_drawn(gate, transform)
        if isinstance(gate, Boolean):
            gate = Boolean(gate.operator, tuple(paths[name] for name in gate.operands), gate.complement)
    if not faults and gate is not None:
        faults = shape_faults(gate)
    if faults or gate is None:
        raise InputError([Problem("", _place(fault), fault.message, fault.hint) for fault in faults])
    return gate


def as_drawn(gate: Declared, transform: Mapping[str, Any]) -> Gate:
    """Return a border at a place that is given as the rectangle it is; any other gate as it came.

    Parameters
    ----------
    gate
        As it was read.
    transform
        Scales, as a strategy has them.
    """
    settings = gate.settings
    if gate.kind != "threshold" or not ({"low", "high"} <= settings.keys() or settings.get("by") == "fixed"):
        return gate
    dimension = Dimension(settings["marker"], display_scale(transform, Channel(settings["marker"])))
    if "low" in settings:
        ends = (settings["low"], settings["high"])
    else:
        ends = (settings["at"], None) if settings["side"] == "above" else (None, settings["at"])
    low, high = (None if end is None else on_axis(dimension, float(end)) for end in ends)
    return Rectangle((dimension,), (low,), (high,))


def shape_faults(gate: Gate) -> list[StrategyFault]:
    """Return what is wrong with the coordinates of a gate: values without a place on its scale, edges that cross.

    Parameters
    ----------
    gate
        With coordinates; others have no fault.
    """
    hint = "give finite numbers in instrument units"
    if isinstance(gate, Polygon):
        faults = [StrategyFault(("polygon", "points"), text, hint) for text in _values(gate.dimensions, gate.vertices)]
        return faults or _crossings(gate)
    if isinstance(gate, Rectangle):
        texts = _values(gate.dimensions, [gate.lower, gate.upper])
        faults = [StrategyFault((), text, f"{hint}, or None for an open side") for text in texts]
        sides = zip(gate.dimensions, gate.lower, gate.upper, strict=True)  # equal ends: a border was not found
        reversed_ = [d.name for d, low, high in sides if low is not None and high is not None and low > high]
        return faults or [
            StrategyFault((), f"the low end on {name} is above the high end", "give the lower one first")
            for name in reversed_
        ]
    if isinstance(gate, Ellipsoid):
        return [StrategyFault(("ellipse",), text, hint) for text in _values(gate.dimensions, [gate.mean])]
    return []


def _values(dimensions: Sequence[Dimension], points: Sequence[Sequence[float | None]]) -> list[str]:
    """Return, for each dimension, what is wrong with a coordinate on it that is no finite number."""
    columns = zip(dimensions, zip(*points, strict=True), strict=True)
    bad = [d for d, values in columns if any(v is not None and not np.isfinite(v) for v in values)]
    return [f"a number has no place on {_axis(dimension)}" for dimension in bad]


def _axis(dimension: Dimension) -> str:
    scale = scale_in_words(dimension.transform)
    return f"the scale of {dimension.name} ({scale})" + (", which begins above 0" if scale.startswith("log ") else "")


def _crossings(gate: Polygon) -> list[StrategyFault]:
    """Return a fault for the first two edges that cross: by the even-odd rule part of the inside would be outside."""
    found = crossing_edges(gate)
    if found is None:
        return []
    edges = " and ".join(f"{i + 1}-{(i + 1) % len(gate.vertices) + 1}" for i in found)
    message = f"the polygon crosses itself: its edges {edges} meet"
    return [StrategyFault(("polygon", "points"), message, "give the corners in the order around the gate")]


def crossing_edges(gate: Polygon) -> tuple[int, int] | None:
    """Return the first two edges of a polygon that cross, each by the corner it begins at, from 0; None where none do.

    Parameters
    ----------
    gate
        Neighbours share a corner and do not cross.
    """
    corners = np.asarray(gate.vertices, dtype=float)
    n = len(corners)
    ends = np.roll(corners, -1, axis=0)
    for i in range(n):
        for j in range(i + 2, n):
            if (j + 1) % n != i and _cross(corners[i], ends[i], corners[j], ends[j]):
                return i, j
    return None


def _cross(a: Any, b: Any, c: Any, d: Any) -> bool:
    def side(p: Any, q: Any, r: Any) -> float:
        return float(np.sign((q[0] - p[0]) * (r[1] - p[1]) - (q[1] - p[1]) * (r[0] - p[0])))

    return side(a, b, c) * side(a, b, d) < 0 and side(c, d, a) * side(c, d, b) < 0


def _as_given(gate: Any, populations: Sequence[Population]) -> tuple[Gate | None, list[StrategyFault]]:
    known = {p.path for p in populations}
    if isinstance(gate, Boolean):
        absent = [path for path in gate.operands if path not in known]
        hint = f"give paths, of: {', '.join(sorted(known))}"
        return gate, [StrategyFault(("operands",), f"unknown population '{path}'", hint) for path in absent]
    if isinstance(gate, Gate):
        return gate, []
    hint = "give a phenotype ('CD25hi CD127lo') or a mapping, {'polygon': {'x': 'CD25', 'y': 'CD127', 'points': [...]}}"
    return None, [StrategyFault((), f"{type(gate).__name__} is no gate", hint)]


def _plain(value: Any) -> Any:
    """Return what a user wrote as a reader of YAML would give it: arrays and tuples are lists, numbers are Python's."""
    if isinstance(value, Mapping):
        return {str(key): _plain(one) for key, one in value.items()}
    if isinstance(value, np.ndarray):
        return _plain(value.tolist())
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_plain(one) for one in value]
    return float(value) if isinstance(value, Real) and not isinstance(value, bool) else value


def _place(fault: StrategyFault) -> str:
    steps = [f"[{step}]" if isinstance(step, int) else f".{step}" for step in fault.place]
    return "".join(steps).lstrip(".")
