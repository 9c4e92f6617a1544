"""One gate of a tree elsewhere: a border, a vertex, all corners, or the centre of an ellipse, in instrument units."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from immunolab.errors import InputError, Problem
from immunolab.gating.borders import gate_borders, in_units, no_place, on_axis
from immunolab.gating.changes.edits import population_named
from immunolab.gating.changes.move_borders import ends_set, with_borders
from immunolab.gating.changes.move_parts import (
    Ends,
    Place,
    Same,
    Tree,
    are_ends,
    as_named,
    fault,
    how_to_move,
    is_one,
    listed,
    replaced,
)
from immunolab.gating.gate_words import shape_faults
from immunolab.gating.gates import Dimension, Ellipsoid, Gate, Polygon, Population, PopulationTree, Rectangle


def move_gate(
    tree: Tree,
    name: str,
    *,
    to: Place,
    population: str | Sequence[str] | None = None,
    vertex: int | None = None,
    same: Same = as_named,
) -> Tree:
    """Return the tree with a gate elsewhere; what moved is flagged ``by_hand``.

    Parameters
    ----------
    tree
        Any strategy.
    name
        A marker or channel whose border moves, or a population whose gate does.
    to
        Where to, in instrument units (`Strategy.move`).
    population
        Which populations' border on the marker; None where it is only one border, or all share it.
    vertex
        Which corner of a polygon, from 1.
    same
        Gives one name to a channel and its marker.

    Raises
    ------
    InputError
        Everything that is wrong: an unknown name, several borders, a place that is none.
    """
    if isinstance(to, str):
        raise fault(tree, name, f"{to!r} is text", "give a number in instrument units: to=3000")
    if isinstance(to, np.ndarray):
        to = to.tolist()
    if vertex is None and (is_one(to) or (are_ends(to) and not _is_ellipse(tree, name))):
        return with_borders(tree, name, to, population, same)
    if population is not None:
        hint = f"name the population whose gate it is: move({population!r}, to=...)"
        raise fault(tree, name, "population= goes with the border of a marker, not with a whole gate", hint)
    if vertex is not None:
        return _with_vertex(tree, population_named(tree, name, "move"), vertex, to)
    if isinstance(to, Mapping):
        return _with_sides(tree, population_named(tree, name, "move"), to, same)
    return _with_shape(tree, population_named(tree, name, "move"), to)


def _is_ellipse(tree: PopulationTree, name: str) -> bool:
    return any(name in (p.name, p.path) and isinstance(p.gate, Ellipsoid) for p in tree.populations)


def _with_sides(tree: Tree, population: Population, to: Mapping[str, Any], same: Same) -> Tree:
    """Return the tree with sides of a population's rectangle elsewhere; a gate without borders becomes one."""
    gate = population.gate
    if not to:
        raise fault(tree, population.name, "to= names no side", how_to_move(population))
    axes = getattr(gate, "dimensions", ())
    unknown = [name for name in to if not any(same(name) == same(d.name) for d in axes)]
    if unknown or not axes or not (isinstance(gate, Rectangle) or (isinstance(gate, Polygon) and not unknown)):
        names = [same(d.name) for d in axes]
        message = f"its gate has no axis {listed(unknown)}" if unknown else f"it is no rectangle: {in_units(gate)}"
        raise fault(tree, population.name, message, f"its axes: {', '.join(names) or 'none'}")
    if isinstance(gate, Polygon):
        return _with_corner(tree, population, to, same)
    for name, value in to.items():
        axis = next(i for i, d in enumerate(axes) if same(d.name) == same(name))
        gate = ends_set(tree, gate, axis, value if are_ends(value) else _side_of(tree, population, axis, value))
    whole = {axis for axis in range(len(axes)) if any(same(axes[axis].name) == same(name) for name in to)}
    wholly = [population.path] if len(whole) == len(axes) else []
    return replaced(tree, {population.path: gate}, wholly)


def _side_of(tree: PopulationTree, population: Population, axis: int, value: Any) -> Ends:
    """Return both ends of a side that has one border, from its new place."""
    borders = [b for b in gate_borders(population) if b.axis == axis and not math.isnan(b.value)]
    if len(borders) != 1 or not is_one(value):
        hint = "give both ends: (low, high), None for an open side"
        raise fault(tree, population.name, f"{value!r} is not one border", hint)
    return (float(value), None) if borders[0].side == "lower" else (None, float(value))


def _with_corner(tree: Tree, population: Population, to: Mapping[str, Any], same: Same) -> Tree:
    moved = tree
    for name, value in to.items():
        moved = with_borders(moved, name, value, population.path, same)
    return moved


def _with_vertex(tree: Tree, population: Population, vertex: int, to: Any) -> Tree:
    gate = population.gate
    n = len(gate.vertices) if isinstance(gate, Polygon) else 0
    if not isinstance(gate, Polygon) or vertex not in range(1, n + 1):
        message = f"there is no corner {vertex!r}" if n else f"its gate has no corners: {in_units(gate)}"
        hint = f"the polygon has corners 1 to {n}" if n else how_to_move(population)
        raise fault(tree, population.name, message, hint)
    corners = list(gate.vertices)
    corners[vertex - 1] = _points(tree, population, gate.dimensions, [to])[0]
    return _shaped(tree, population, replace(gate, vertices=tuple(corners)))


def _with_shape(tree: Tree, population: Population, to: Any) -> Tree:
    """Return the tree with a polygon of other corners, or an ellipse around another centre."""
    gate = population.gate
    if isinstance(gate, Ellipsoid) and are_ends(to):
        (centre,) = _points(tree, population, gate.dimensions, [to])
        return _shaped(tree, population, replace(gate, mean=centre))
    if isinstance(gate, Polygon) and not is_one(to):
        corners = _points(tree, population, gate.dimensions, to)
        if len(corners) < 3:
            message = f"a polygon of {len(corners)} corners holds nothing"
            raise fault(tree, population.name, message, "give at least 3 points (x, y)")
        return _shaped(tree, population, replace(gate, vertices=tuple(corners)))
    message = f"its gate cannot go to {to!r}: {in_units(gate)}"
    raise fault(tree, population.name, message, how_to_move(population))


def _points(
    tree: PopulationTree, population: Population, axes: Sequence[Dimension], points: Any
) -> list[tuple[float, float]]:
    """Return points in instrument units as coordinates on the axes of a gate."""
    found: list[tuple[float, float]] = []
    problems: list[Problem] = []
    where = f"move {population.name}"
    for place, point in enumerate(points, start=1):
        values = [float(value) for value in point if value is not None] if are_ends(point) else []
        if len(values) != 2:
            problems.append(Problem(tree.name, where, f"point {place}, {point!r}, is not two numbers", "give (x, y)"))
            continue
        pairs = list(zip(axes, values, strict=True))
        faults = [words for dimension, value in pairs if (words := no_place(dimension, value))]
        problems += [
            Problem(tree.name, where, f"point {place}: {words}", "give two finite numbers") for words in faults
        ]
        if not faults:
            x, y = (on_axis(dimension, value) for dimension, value in pairs)
            found.append((x, y))
    if problems:
        raise InputError(problems)
    return found


def _shaped(tree: Tree, population: Population, gate: Gate) -> Tree:
    faults = shape_faults(gate)
    if faults:
        raise InputError([Problem(tree.name, f"move {population.name}", f.message, f.hint) for f in faults])
    return replaced(tree, {population.path: gate}, [population.path])
