"""Gates on one or two axes: their borders, and the lines that are drawn for them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from immunolab.gating.strategy import (
    Boolean,
    Ellipsoid,
    Polygon,
    Rectangle,
)
from immunolab.plots.scales import DisplayScale
from immunolab.vocabulary.display_names import display_name

Array = NDArray[np.float64]


def gate_borders(gate: object, first: int, count: int) -> list[tuple[float | None, ...]]:
    """Return the finite coordinates of the gate on each axis of a step, so that axes include them.

    Parameters
    ----------
    gate
        Any; one without coordinates has no borders.
    first, count
        The first dimension of the step, and how many it has.
    """
    if isinstance(gate, Rectangle):
        return [(gate.lower[i], gate.upper[i]) for i in range(first, first + count)]
    if isinstance(gate, Polygon):
        return [tuple(vertex[i] for vertex in gate.vertices) for i in range(2)]
    if isinstance(gate, Ellipsoid):
        reach = [float(np.sqrt(gate.covariance[i][i] * gate.distance_square)) for i in range(len(gate.mean))]
        return [(gate.mean[i] - reach[i], gate.mean[i] + reach[i]) for i in range(first, first + count)]
    return [() for _ in range(count)]


def within_borders(values: list[Array], borders: list[tuple[float | None, ...]]) -> NDArray[np.bool_]:
    """Return which events are inside the borders of a rectangle.

    Parameters
    ----------
    values
        Coordinates, an array a dimension.
    borders
        Lower and upper of each; None is an open side.
    """
    inside = np.ones(len(values[0]), dtype=np.bool_)
    for value, (lower, upper) in zip(values, borders, strict=True):
        inside &= (value >= (-np.inf if lower is None else lower)) & (value < (np.inf if upper is None else upper))
    return inside


def gate_lines(gate: object, first: int, scales: Sequence[DisplayScale]) -> Iterator[Array]:
    """Yield the outline of a gate as runs of (x, y) on the display scale; on one axis each border as one number.

    Parameters
    ----------
    gate
        Geometric.
    first
        The first dimension that is drawn.
    scales
        One or two axes.
    """
    if isinstance(gate, Polygon):
        yield np.array([*gate.vertices, gate.vertices[0]], dtype=np.float64)
    elif isinstance(gate, Ellipsoid) and len(scales) == 2:
        yield _ellipse(gate, first)
    elif isinstance(gate, Rectangle | Ellipsoid):
        borders = gate_borders(gate, first, len(scales))
        if len(scales) == 1:
            yield from (np.array([edge], dtype=np.float64) for edge in borders[0] if edge is not None)
        else:
            yield from rectangle_sides(borders, scales)


def _ellipse(gate: Ellipsoid, first: int) -> Array:
    """Return the outline of an ellipsoid's shadow on two of its axes."""
    pair = slice(first, first + 2)
    covariance = np.asarray(gate.covariance, dtype=np.float64)[pair, pair]
    turn = np.linspace(0.0, 2.0 * np.pi, 121)
    circle = np.column_stack([np.cos(turn), np.sin(turn)]) * np.sqrt(gate.distance_square)
    return np.asarray(np.asarray(gate.mean[pair]) + circle @ np.linalg.cholesky(covariance).T)


def rectangle_sides(borders: Sequence[tuple[float | None, ...]], scales: Sequence[DisplayScale]) -> Iterator[Array]:
    """Yield the closed sides of a rectangle; an open side reaches the end of its axis and has no line.

    Parameters
    ----------
    borders
        Lower and upper on x and y, display scale.
    scales
        The axes.
    """
    (left, right), (bottom, top) = borders
    x_low, x_high = (scales[0].low if left is None else left), (scales[0].high if right is None else right)
    y_low, y_high = (scales[1].low if bottom is None else bottom), (scales[1].high if top is None else top)
    corners = [(x_low, y_low), (x_high, y_low), (x_high, y_high), (x_low, y_high), (x_low, y_low)]
    for (start, end), closed in zip(pairwise(corners), (bottom, right, top, left), strict=True):
        if closed is not None:
            yield np.array([start, end], dtype=np.float64)


def step_note(gate: object, step: int, steps: int) -> str:
    """Return what a panel of a gate does not show by itself.

    Parameters
    ----------
    gate
        Geometric, or a combination of others.
    step, steps
        Which panel, counted from 0, of how many.
    """
    if isinstance(gate, Boolean):
        names = [display_name(operand.rsplit("/", 1)[-1]) for operand in gate.operands]
        terms = [f"not {name}" if flip else name for name, flip in zip(names, gate.complement, strict=True)]
        return f"not {terms[0]}" if gate.operator == "not" else f" {gate.operator} ".join(terms)
    if isinstance(gate, Ellipsoid) and len(gate.mean) > 2:
        return "shadow of the ellipsoid"
    return f"events inside step {step}" if steps > 1 and step else ""
