"""One gate of a tree elsewhere: a border, a vertex, all corners, or the centre of an ellipse, in instrument units."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from numbers import Real
from typing import Any, TypeVar

from immunolab.errors import InputError, Problem
from immunolab.gating.borders import (
    GateBorder,
    gate_borders,
    in_units,
    is_closed,
    no_place,
    number,
    on_axis,
    with_border,
)
from immunolab.gating.gate_words import shape_faults
from immunolab.gating.gates import Declared, Dimension, Ellipsoid, Gate, Polygon, Population, PopulationTree, Rectangle
from immunolab.gating.strategy_edits import population_named
from immunolab.gating.strategy_faults import one_of
from immunolab.schema.flags import Flag, split

Tree = TypeVar("Tree", bound=PopulationTree)
Ends = tuple[float | None, float | None]
Place = float | Ends | Sequence[Sequence[float]] | Mapping[str, float | Ends]
Same = Callable[[str], str]
_KEPT = frozenset({Flag.EXCLUSION_MISSING})  # says what the panel lacks, wherever the gate is


def as_named(name: str) -> str:
    """Return a channel's name as a strategy without a tube has it: as it is."""
    return name


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
    if isinstance(to, Mapping):
        return _with_sides(tree, population_named(tree, name, "move"), to, same)
    if vertex is not None:
        return _with_vertex(tree, population_named(tree, name, "move"), vertex, to)
    if _is_number(to) or (_is_ends(to) and not _is_ellipse(tree, name)):
        return _with_borders(tree, name, to, population, same)
    return _with_shape(tree, population_named(tree, name, "move"), to)


def _is_number(value: Any) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool)


def _is_ends(value: Any) -> bool:
    is_pair = isinstance(value, Sequence) and not isinstance(value, str) and len(value) == 2
    return is_pair and all(end is None or _is_number(end) for end in value)


def _is_ellipse(tree: PopulationTree, name: str) -> bool:
    return any(name in (p.name, p.path) and isinstance(p.gate, Ellipsoid) for p in tree.populations)


# ---- borders on one marker


def _with_borders(tree: Tree, name: str, to: Any, population: str | Sequence[str] | None, same: Same) -> Tree:
    marker, borders, declared = _borders_named(tree, name, population, same)
    if declared and not borders:
        return _with_rule(tree, marker, to, declared)
    if _is_ends(to):
        return _with_ends(tree, marker, to, borders)
    if any(math.isnan(border.value) for border in borders):
        closed = [border.population.name for border in borders if math.isnan(border.value)]
        message = f"no border on {marker} was found for {_listed(closed)}, and which side of it to keep is open"
        hint = f"give both ends: to=({to:g}, None) keeps what is above, to=(None, {to:g}) what is below"
        raise InputError(Problem(tree.name, f"move {marker}", message, hint))
    groups = _grouped(borders)
    if len(groups) > 1:
        raise InputError(_several(tree, marker, groups))
    return _moved(tree, borders, float(to))


def _borders_named(
    tree: PopulationTree, name: str, population: str | Sequence[str] | None, same: Same
) -> tuple[str, list[GateBorder], list[Population]]:
    """Return the marker, its borders in the populations meant, and those whose border data have yet to place."""
    wanted = [population] if isinstance(population, str) else population
    chosen = None if wanted is None else [population_named(tree, one) for one in wanted]
    marker = name
    if not _on_marker(tree.populations, name, same) and chosen is None:
        marker, chosen = _only_border(tree, name, same)
    among = tree.populations if chosen is None else chosen
    lacking = [one.name for one in among if not _on_marker([one], marker, same)] if chosen is not None else []
    if lacking or not _on_marker(among, marker, same):
        raise InputError(_no_border(tree, marker, lacking, same))
    borders = [b for p in among for b in gate_borders(p) if same(_name(b)) == same(marker)]
    return marker, borders, [p for p in among if isinstance(p.gate, Declared) and _on_marker([p], marker, same)]


def _on_marker(populations: Iterable[Population], marker: str, same: Same) -> bool:
    return any(same(name) == same(marker) for p in populations for name in bordered(p))


def bordered(population: Population) -> list[str]:
    """Return the markers on which a population's gate has a border of its own.

    Parameters
    ----------
    population
        Placed, or yet to be placed.
    """
    gate = population.gate
    if not isinstance(gate, Declared):
        return list(dict.fromkeys(_name(border) for border in gate_borders(population)))
    if gate.kind == "where":
        return [marker for marker, _ in gate.settings["phenotype"]]
    return [str(gate.settings["marker"])] if gate.kind == "threshold" else []


def _name(border: GateBorder) -> str:
    return border.dimension.name


def _only_border(tree: PopulationTree, name: str, same: Same) -> tuple[str, list[Population]]:
    """Return the one marker that a population has a border on, and the population."""
    if not any(name in (p.name, p.path) for p in tree.populations):
        raise InputError(_no_border(tree, name, [], same))
    chosen = population_named(tree, name, "move")
    markers = bordered(chosen)
    if len(markers) == 1:
        return markers[0], [chosen]
    where = f"move {name}"
    if markers:
        hint = f"name the marker: move('{markers[0]}', to=..., population='{name}')"
        raise InputError(Problem(tree.name, where, f"its gate has borders on {_listed(markers)}", hint))
    raise InputError(
        Problem(tree.name, where, f"its gate has no border on one marker: {in_units(chosen.gate)}", _how(chosen))
    )


def _how(population: Population) -> str:
    name = population.name
    match population.gate:
        case Polygon():
            return f"give a corner, move('{name}', vertex=1, to=(x, y)), or all of them, to=[(x, y), ...]"
        case Ellipsoid():
            return f"give its centre: move('{name}', to=(x, y))"
        case Declared():
            return "data have yet to place it: gate a tube, then move it there: il.gate(tube, strategy).move(...)"
        case _:
            return "move the gates that it is made of"


def _no_border(tree: PopulationTree, marker: str, lacking: Sequence[str], same: Same) -> Problem:
    names = dict.fromkeys(name for p in tree.populations for name in bordered(p))
    if lacking and _on_marker(tree.populations, marker, same):
        having = [p.name for p in tree.populations if _on_marker([p], marker, same)]
        return Problem(
            tree.name, f"move {marker}", f"{_listed(lacking)} has no border on it", f"these have: {', '.join(having)}"
        )
    drawn = [p for p in tree.populations for d in getattr(p.gate, "dimensions", ()) if same(d.name) == same(marker)]
    if drawn:
        message = f"it is an axis of {_listed([p.name for p in drawn])}, which has no straight border on it"
        return Problem(tree.name, f"move {marker}", message, _how(drawn[0]))
    hint = one_of("borders are on", [*names, *(p.name for p in tree.populations if p.name in lacking)], marker)
    return Problem(
        tree.name, f"move {marker}", f"no gate has a border on '{marker}', and no population is called so", hint
    )


def _listed(names: Sequence[str]) -> str:
    names = list(dict.fromkeys(names))
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _grouped(borders: Iterable[GateBorder]) -> dict[str, list[GateBorder]]:
    groups: dict[str, list[GateBorder]] = {}
    for border in borders:
        groups.setdefault(f"{border.value:.9g}", []).append(border)
    return groups


def _several(tree: PopulationTree, marker: str, groups: Mapping[str, list[GateBorder]]) -> Problem:
    words = [
        f"{number(one[0].value)} ({', '.join(dict.fromkeys(b.population.name for b in one))})"
        for one in groups.values()
    ]
    first = next(iter(groups.values()))
    names = list(dict.fromkeys(b.population.name for b in first))
    if len({b.population.path for one in groups.values() for b in one}) == 1:
        hint = "give both ends: to=(low, high)"
    else:
        shown = repr(names[0]) if len(names) == 1 else repr(names)
        hint = f"say of which populations: move('{marker}', to=..., population={shown})"
    return Problem(tree.name, f"move {marker}", f"it has {len(groups)} borders: {'; '.join(words)}", hint)


def _with_ends(tree: Tree, marker: str, to: Ends, borders: Sequence[GateBorder]) -> Tree:
    """Return the tree with both ends of rectangles on a marker elsewhere."""
    moved: dict[str, Gate] = {}
    for border in borders:
        population = border.population
        if not isinstance(population.gate, Rectangle):
            message = f"the gate of {population.name} has one border on it"
            hint = f"give one number: move('{marker}', to=..., population='{population.name}')"
            raise InputError(Problem(tree.name, f"move {marker}", message, hint))
        moved[population.path] = _ends_set(tree, population.gate, border.axis, to)
    wholly = {path for path in moved if len({b.axis for b in gate_borders(tree[path])}) == 1}
    return _replaced(tree, moved, wholly)


def _ends_set(tree: PopulationTree, gate: Rectangle, axis: int, to: Ends) -> Rectangle:
    dimension = gate.dimensions[axis]
    low, high = (None if end is None else _checked(tree, dimension, float(end)) for end in to)
    if low is not None and high is not None and low >= high:
        message = f"the lower end {to[0]:g} is not below the upper end {to[1]:g}"
        raise InputError(Problem(tree.name, f"move {dimension.name}", message, "give to=(low, high)"))
    lower, upper = list(gate.lower), list(gate.upper)
    lower[axis], upper[axis] = low, high
    return replace(gate, lower=tuple(lower), upper=tuple(upper))


def _checked(tree: PopulationTree, dimension: Dimension, value: float) -> float:
    """Return an instrument value as a coordinate, where it has a place on the scale."""
    if fault := no_place(dimension, value):
        hint = "give a number in instrument units that the scale has, or None for an open side"
        raise InputError(Problem(tree.name, f"move {dimension.name}", fault, hint))
    return on_axis(dimension, value)


def _moved(tree: Tree, borders: Sequence[GateBorder], value: float) -> Tree:
    """Return the tree with borders at one value."""
    gates: dict[str, Gate] = {}
    for border in borders:
        path, gate = border.population.path, border.population.gate
        if not isinstance(gate, Rectangle | Polygon):
            continue
        _checked(tree, gate.dimensions[border.axis], value)
        gates[path] = with_border(gates.get(path, gate), border, value)
        _check_ends(tree, gates[path], border, value)
    wholly = {path for path in gates if _is_whole(tree[path], borders)}
    return _replaced(tree, gates, wholly)


def _check_ends(tree: PopulationTree, gate: Gate, border: GateBorder, value: float) -> None:
    if not isinstance(gate, Rectangle):
        return
    low, high = gate.lower[border.axis], gate.upper[border.axis]
    if low is None or high is None or low < high:
        return
    name = gate.dimensions[border.axis].name
    ends = f"{in_units(border.population.gate)}"
    message = f"{value:g} is beyond the other end of {border.population.name} ({ends})"
    raise InputError(Problem(tree.name, f"move {name}", message, "give both ends: to=(low, high)"))


def _is_whole(population: Population, borders: Sequence[GateBorder]) -> bool:
    """Whether every border of a population is among those that move; a corner is one gate of two."""
    own = [(one.axis, one.side) for one in gate_borders(population)]
    moved = [(one.axis, one.side) for one in borders if one.population.path == population.path]
    return isinstance(population.gate, Polygon) or set(own) <= set(moved)


def _replaced(tree: Tree, gates: Mapping[str, Gate], wholly: Iterable[str]) -> Tree:
    """Return the tree with other gates, flagged; a gate that moved wholly keeps no word of where it was."""
    whole = set(wholly)
    populations = tuple(
        replace(p, gate=gates[p.path], flag=_flag(p, gates[p.path], p.path in whole), reason="")
        if p.path in gates
        else p
        for p in tree.populations
    )
    return replace(tree, populations=populations)


def _flag(population: Population, gate: Gate, whole: bool) -> str:
    words = [word for word in split(population.flag) if word != Flag.BY_HAND]
    if whole:
        words = [word for word in words if word in _KEPT]
    elif not is_closed(gate):
        words = [word for word in words if word != Flag.NO_BORDER]
    return ";".join([*words, Flag.BY_HAND])


# ---- rules of borders that data have yet to place


_LEVEL = {"pos": "pos", "neg": "pos", "hi": "hi", "lo": "lo"}


def _with_rule(tree: Tree, marker: str, to: Any, populations: Sequence[Population]) -> Tree:
    """Return the tree with a marker's border fixed where data would have placed it."""
    if _is_ends(to):
        message = "data have yet to place the gate"
        raise InputError(
            Problem(tree.name, f"move {marker}", message, "give one number, or gate a tube and move it there")
        )
    if not math.isfinite(to):
        raise InputError(Problem(tree.name, f"move {marker}", f"{to} is not a finite number"))
    fixed = {"by": "fixed", "at": float(to), "numbers": "instrument"}
    levels = {level for p in populations for level in _levels(p, marker)}
    every = [p for p in tree.populations if isinstance(p.gate, Declared) and marker in bordered(p)]
    sharing = [p for p in every if levels & _levels(p, marker)]
    if len(levels) > 1:
        raise InputError(_several_levels(tree, marker, levels, populations))
    alone = [p for p in populations if isinstance(p.gate, Declared) and p.gate.kind == "threshold"]
    if len(alone) == len(populations):
        gates: dict[str, Gate] = {p.path: Declared("threshold", {**_place_of(p), **fixed}) for p in populations}
        return replace(tree, populations=tuple(replace(p, gate=gates.get(p.path, p.gate)) for p in tree.populations))
    if {p.path for p in sharing} - {p.path for p in populations} or alone:
        others = [p.name for p in sharing if p.path not in {one.path for one in populations}] or [p.name for p in alone]
        message = f"data place one border for {_listed([p.name for p in populations])} and for {_listed(others)}"
        hint = "move it for all, or gate a tube and move it there: il.gate(tube, strategy).move(...)"
        raise InputError(Problem(tree.name, f"move {marker}", message, hint))
    thresholds = dict(tree.settings.get("thresholds", {}))
    (level,) = levels
    thresholds[marker] = {**thresholds.get(marker, {}), level: fixed}
    return replace(tree, settings={**tree.settings, "thresholds": thresholds})


def _levels(population: Population, marker: str) -> set[str]:
    """Return the words of the borders that a declared gate has on a marker."""
    gate = population.gate
    if not isinstance(gate, Declared):
        return set()
    if gate.kind == "where":
        levels = [level for name, level in gate.settings["phenotype"] if name == marker]
        return {word for level in levels for word in ("pos", "hi") if level == "int"} | {
            _LEVEL[level] for level in levels if level in _LEVEL
        }
    return {"pos"} | ({"hi"} if gate.settings.get("side") == "between" else set())


def _place_of(population: Population) -> dict[str, Any]:
    gate = population.gate
    return {key: gate.settings[key] for key in ("marker", "side")} if isinstance(gate, Declared) else {}


def _several_levels(tree: PopulationTree, marker: str, levels: set[str], populations: Sequence[Population]) -> Problem:
    words = [
        f"{level} ({', '.join(p.name for p in populations if level in _levels(p, marker))})" for level in sorted(levels)
    ]
    first = [p.name for p in populations if _levels(p, marker) == {sorted(levels)[0]}]
    hint = f"say of which populations: move('{marker}', to=..., population={first})"
    return Problem(tree.name, f"move {marker}", f"it has {len(levels)} borders: {'; '.join(words)}", hint)


# ---- shapes of one population


def _with_sides(tree: Tree, population: Population, to: Mapping[str, Any], same: Same) -> Tree:
    """Return the tree with sides of a population's rectangle elsewhere; a gate without borders becomes one."""
    gate = population.gate
    axes = getattr(gate, "dimensions", ())
    unknown = [name for name in to if not any(same(name) == same(d.name) for d in axes)]
    if unknown or not axes or not (isinstance(gate, Rectangle) or (isinstance(gate, Polygon) and not unknown)):
        names = [d.name for d in axes]
        message = f"its gate has no axis {_listed(unknown)}" if unknown else f"it is no rectangle: {in_units(gate)}"
        raise InputError(
            Problem(tree.name, f"move {population.name}", message, f"its axes: {', '.join(names) or 'none'}")
        )
    if isinstance(gate, Polygon):
        return _with_corner(tree, population, to, same)
    for name, value in to.items():
        axis = next(i for i, d in enumerate(axes) if same(d.name) == same(name))
        gate = _ends_set(tree, gate, axis, value if _is_ends(value) else _side_of(tree, population, axis, value))
    whole = {axis for axis in range(len(axes)) if any(same(axes[axis].name) == same(name) for name in to)}
    wholly = [population.path] if len(whole) == len(axes) else []
    return _replaced(tree, {population.path: gate}, wholly)


def _side_of(tree: PopulationTree, population: Population, axis: int, value: Any) -> Ends:
    """Return both ends of a side that has one border, from its new place."""
    borders = [b for b in gate_borders(population) if b.axis == axis and not math.isnan(b.value)]
    if len(borders) != 1 or not _is_number(value):
        hint = "give both ends: (low, high), None for an open side"
        raise InputError(Problem(tree.name, f"move {population.name}", f"{value!r} is not one border", hint))
    return (float(value), None) if borders[0].side == "lower" else (None, float(value))


def _with_corner(tree: Tree, population: Population, to: Mapping[str, Any], same: Same) -> Tree:
    moved = tree
    for name, value in to.items():
        moved = _with_borders(moved, name, value, population.path, same)
    return moved


def _with_vertex(tree: Tree, population: Population, vertex: int, to: Any) -> Tree:
    gate = population.gate
    n = len(gate.vertices) if isinstance(gate, Polygon) else 0
    if not 1 <= vertex <= n or not isinstance(gate, Polygon):
        message = f"there is no corner {vertex}" if n else f"its gate has no corners: {in_units(gate)}"
        hint = f"the polygon has corners 1 to {n}" if n else _how(population)
        raise InputError(Problem(tree.name, f"move {population.name}", message, hint))
    corners = list(gate.vertices)
    corners[vertex - 1] = _points(tree, population, gate.dimensions, [to])[0]
    return _shaped(tree, population, replace(gate, vertices=tuple(corners)))


def _with_shape(tree: Tree, population: Population, to: Any) -> Tree:
    """Return the tree with a polygon of other corners, or an ellipse around another centre."""
    gate = population.gate
    if isinstance(gate, Ellipsoid) and _is_ends(to):
        (centre,) = _points(tree, population, gate.dimensions, [to])
        return _shaped(tree, population, replace(gate, mean=centre))
    if isinstance(gate, Polygon) and not _is_number(to):
        corners = _points(tree, population, gate.dimensions, to)
        if len(corners) < 3:
            message = f"a polygon of {len(corners)} corners holds nothing"
            raise InputError(Problem(tree.name, f"move {population.name}", message, "give at least 3 points (x, y)"))
        return _shaped(tree, population, replace(gate, vertices=tuple(corners)))
    message = f"its gate cannot go to {to!r}: {in_units(gate)}"
    raise InputError(Problem(tree.name, f"move {population.name}", message, _how(population)))


def _points(
    tree: PopulationTree, population: Population, axes: Sequence[Dimension], points: Any
) -> list[tuple[float, float]]:
    found: list[tuple[float, float]] = []
    problems = []
    where = f"move {population.name}"
    for place, point in enumerate(points, start=1):
        if not (_is_ends(point) and None not in point):
            problems.append(Problem(tree.name, where, f"point {place}, {point!r}, is not two numbers", "give (x, y)"))
            continue
        faults = [fault for d, value in zip(axes, point, strict=True) if (fault := no_place(d, float(value)))]
        problems += [Problem(tree.name, where, f"point {place}: {fault}") for fault in faults]
        if not faults:
            x, y = (on_axis(d, float(value)) for d, value in zip(axes, point, strict=True))
            found.append((x, y))
    if problems:
        raise InputError(problems)
    return found


def _shaped(tree: Tree, population: Population, gate: Gate) -> Tree:
    faults = shape_faults(gate)
    if faults:
        raise InputError([Problem(tree.name, f"move {population.name}", f.message, f.hint) for f in faults])
    return _replaced(tree, {population.path: gate}, [population.path])
