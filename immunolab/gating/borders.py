"""Borders of placed gates on one channel, in instrument units, and the gate with one of them elsewhere."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal

from immunolab.events.scale_ends import displayed, instrument
from immunolab.events.transforms import Auto, Bounded, Log
from immunolab.gating.gates import Boolean, Declared, Dimension, Ellipsoid, Gate, Polygon, Population, Rectangle

Side = Literal["lower", "upper"]
# instrument units beyond which no detector reads: an edge there is the open side of a corner (22 bits, the top of
# spectral cytometers, with a factor of four)
_OPEN = 2.0**24


@dataclass(frozen=True)
class GateBorder:
    """One border of a placed gate.

    Attributes
    ----------
    population
        Whose gate it is a side of.
    axis, dimension
        Which of the gate's dimensions it is on, and that dimension.
    side
        ``lower`` keeps what is above the border.
    value
        Instrument units; NaN where the gate is closed because no border was found.
    """

    population: Population
    axis: int
    dimension: Dimension
    side: Side
    value: float


def on_axis(dimension: Dimension, value: float) -> float:
    """Return an instrument value as a coordinate of a gate's dimension; one of a scale still to be chosen as it is.

    Parameters
    ----------
    dimension
        Its transform is the scale.
    value
        Instrument units.
    """
    if isinstance(dimension.transform, Auto):
        return float(value)
    return float(displayed(dimension.transform, [value])[0])


def off_axis(dimension: Dimension, value: float) -> float:
    """Return a coordinate of a gate's dimension in instrument units.

    Parameters
    ----------
    dimension
        Its transform is the scale.
    value
        A coordinate of the gate.
    """
    return value if isinstance(dimension.transform, Auto) else instrument(dimension.transform, value)


def no_place(dimension: Dimension, value: float) -> str:
    """Return why a value has no place on a dimension's scale; "" where it has.

    Parameters
    ----------
    dimension
        Its transform is the scale.
    value
        Instrument units.
    """
    scale = dimension.transform
    if not math.isfinite(value):
        return f"{value} is not a finite number"
    if isinstance(scale.scale if isinstance(scale, Bounded) else scale, Log) and value <= 0.0:
        return f"{value:g} has no place on the log scale of {dimension.name}, which begins above 0"
    return ""


def gate_borders(population: Population) -> Iterator[GateBorder]:
    """Yield the borders of a placed gate: the sides of a rectangle, the two of a corner; other shapes have none.

    Parameters
    ----------
    population
        With its gate.
    """
    gate = population.gate
    if isinstance(gate, Rectangle):
        for axis, (dimension, low, high) in enumerate(zip(gate.dimensions, gate.lower, gate.upper, strict=True)):
            if dimension.ratio is not None:
                continue
            if low is not None and low == high:
                yield GateBorder(population, axis, dimension, "lower", math.nan)
                continue
            if low is not None:
                yield GateBorder(population, axis, dimension, "lower", off_axis(dimension, low))
            if high is not None:
                yield GateBorder(population, axis, dimension, "upper", off_axis(dimension, high))
    elif isinstance(gate, Polygon) and is_corner(gate):
        x, y = gate.dimensions
        right, up = gate.vertices[3]
        yield GateBorder(population, 0, x, "lower", off_axis(x, right))
        yield GateBorder(population, 1, y, "upper" if gate.vertices[0][1] < up else "lower", off_axis(y, up))


def is_closed(gate: Gate | None) -> bool:
    """Whether a rectangle holds no event, because a border of it was not found."""
    if not isinstance(gate, Rectangle):
        return False
    return any(low is not None and low == high for low, high in zip(gate.lower, gate.upper, strict=True))


def is_corner(gate: Polygon) -> bool:
    """Whether a polygon is a corner as placing makes it: one upright edge, one sloping one, open outwards."""
    if len(gate.vertices) != 4 or any(dimension.ratio is not None for dimension in gate.dimensions):
        return False
    (x0, y0), (x1, y1), (x2, _), (x3, _) = gate.vertices
    if not (x0 == x3 < x1 == x2 and y0 == y1):
        return False
    x, y = gate.dimensions
    return off_axis(x, x1) > _OPEN and abs(off_axis(y, y0)) > _OPEN


def with_border(gate: Gate, border: GateBorder, value: float) -> Gate:
    """Return a gate with one border elsewhere.

    An upright edge of a corner slides along the sloping one; a sloping edge moves parallel to itself.

    Parameters
    ----------
    gate
        Of the border's population, or the same with other borders of it moved.
    border
        One of its borders.
    value
        Where it goes, instrument units.
    """
    if isinstance(gate, Rectangle):
        sides = list(gate.lower if border.side == "lower" else gate.upper)
        sides[border.axis] = on_axis(gate.dimensions[border.axis], value)
        return replace(gate, lower=tuple(sides)) if border.side == "lower" else replace(gate, upper=tuple(sides))
    if not isinstance(gate, Polygon):
        raise TypeError(f"a {type(gate).__name__} has no border")
    (x, out), (far, _), (_, edge), (_, y) = gate.vertices
    new = on_axis(gate.dimensions[border.axis], value)
    if border.axis == 0:
        moved = y + (edge - y) / (far - x) * (new - x)
        return replace(gate, vertices=((new, out), (far, out), (far, edge), (new, moved)))
    return replace(gate, vertices=((x, out), (far, out), (far, edge + new - y), (x, new)))


def in_units(gate: Gate | None) -> str:
    """Return a gate in words, its coordinates in instrument units.

    Parameters
    ----------
    gate
        Of a population; None is one that equals its parent.
    """
    match gate:
        case None:
            return "all of the parent"
        case Declared():
            return _declared(gate)
        case Boolean():
            words = [
                f"{'not ' if flip else ''}{path.rsplit('/', 1)[-1]}"
                for path, flip in zip(gate.operands, gate.complement, strict=True)
            ]
            return f"not {words[0]}" if gate.operator == "not" else f" {gate.operator} ".join(words)
        case Rectangle():
            sides = zip(gate.dimensions, gate.lower, gate.upper, strict=True)
            return ", ".join(_side(dimension, low, high) for dimension, low, high in sides)
        case Polygon():
            x, y = gate.dimensions
            corners = ", ".join(f"({number(off_axis(x, a))}, {number(off_axis(y, b))})" for a, b in gate.vertices[:8])
            more = f" and {len(gate.vertices) - 8} more" if len(gate.vertices) > 8 else ""
            return f"polygon on {x.name} and {y.name}: {corners}{more}"
        case Ellipsoid():
            centre = ", ".join(number(off_axis(d, m)) for d, m in zip(gate.dimensions, gate.mean, strict=True))
            return f"ellipse on {' and '.join(d.name for d in gate.dimensions)} around ({centre})"


def number(value: float) -> str:
    """Return an instrument value with four digits, thousands parted: ``547.6``, ``3,000``.

    Parameters
    ----------
    value
        Instrument units.
    """
    if not math.isfinite(value):
        return "none"
    if abs(value) > _OPEN:
        return "beyond the axis" if value > 0 else "below the axis"
    return f"{value:,.0f}" if abs(float(f"{value:.4g}")) >= 1000 else f"{value:.4g}"


def _side(dimension: Dimension, low: float | None, high: float | None) -> str:
    ends = [None if end is None else number(off_axis(dimension, end)) for end in (low, high)]
    if low is not None and low == high:
        return f"{dimension.name} without a border"
    if ends[0] is None:
        return f"{dimension.name} of any value" if ends[1] is None else f"{dimension.name} below {ends[1]}"
    return f"{dimension.name} from {ends[0]}" + ("" if ends[1] is None else f" to {ends[1]}")


def _declared(gate: Declared) -> str:
    from immunolab.vocabulary.phenotypes import spell_phenotype

    settings = gate.settings
    if gate.kind == "where":
        return spell_phenotype(settings["phenotype"])
    if gate.kind == "threshold":
        place = f" at {number(settings['at'])}" if "at" in settings else ""
        return f"{settings['marker']} {settings['side']} a border{place}"
    return f"{gate.kind} of {settings['x']} and {settings['y']}"
