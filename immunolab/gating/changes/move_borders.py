"""Borders on one marker elsewhere, in one population or in all that share them."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any

from immunolab.errors import InputError
from immunolab.gating.borders import GateBorder, gate_borders, in_units, number, with_border
from immunolab.gating.changes.edits import population_named
from immunolab.gating.changes.move_parts import (
    Ends,
    Same,
    Tree,
    are_ends,
    bordered,
    fault,
    how_to_move,
    listed,
    on_scale,
    replaced,
)
from immunolab.gating.changes.move_rules import with_rule
from immunolab.gating.gates import Declared, Gate, Polygon, Population, PopulationTree, Rectangle
from immunolab.gating.strategy_faults import one_of

_FEW = 4  # names that a hint repeats (judgement: a line)


def with_borders(tree: Tree, name: str, to: float | Ends, population: str | Sequence[str] | None, same: Same) -> Tree:
    """Return the tree with a marker's border elsewhere.

    Parameters
    ----------
    tree
        Any strategy.
    name
        Marker or channel, or a population with a border on one marker.
    to
        Its place, or both ends of gates with two, instrument units.
    population
        Whose border; None where the marker has only one.
    same
        Gives one name to a channel and its marker.

    Raises
    ------
    InputError
        There is no such border, there are several, or the place is none.
    """
    marker, among = _meant(tree, name, population, same)
    declared = [p for p in among if isinstance(p.gate, Declared) and _on_marker([p], marker, same)]
    borders = [b for p in among for b in gate_borders(p) if same(b.dimension.name) == same(marker)]
    if declared and not borders:
        return with_rule(tree, marker, to, declared)
    if declared:
        raise _partly_placed(tree, marker, declared, borders)
    if are_ends(to):
        if population is None and not _are_alike(borders):
            raise _unlike(tree, marker, borders)
        return _with_ends(tree, marker, to, borders)
    value = float(to)  # type: ignore[arg-type]
    closed = [border.population.name for border in borders if math.isnan(border.value)]
    if closed:
        message = f"no border on it was found for {listed(closed)}, and which side of it to keep is open"
        hint = f"to=({value:g}, None) keeps what is above, to=(None, {value:g}) what is below"
        raise fault(tree, marker, message, hint)
    if len({f"{border.value:.9g}" for border in borders}) > 1 and not _is_one_each(borders, population):
        raise _several(tree, marker, borders)
    return _moved(tree, borders, value)


def _meant(
    tree: PopulationTree, name: str, population: str | Sequence[str] | None, same: Same
) -> tuple[str, Sequence[Population]]:
    """Return the marker, and the populations whose border on it moves."""
    if population is None and not _on_marker(tree.populations, name, same):
        return _only_border(tree, name, same)
    if population is None:
        return name, tree.populations
    wanted = [population] if isinstance(population, str) else population
    if not wanted:
        raise fault(tree, name, "population= names none", "leave it out, or name at least one")
    chosen = [population_named(tree, one) for one in wanted]
    lacking = [one.name for one in chosen if not _on_marker([one], name, same)]
    if lacking and _on_marker(tree.populations, name, same):
        having = [p.name for p in tree.populations if _on_marker([p], name, same)]
        raise fault(tree, name, f"{listed(lacking)} has no border on it", f"these have: {', '.join(having)}")
    if lacking:
        raise _no_border(tree, name, same)
    return name, chosen


def _on_marker(populations: Iterable[Population], marker: str, same: Same) -> bool:
    return any(same(name) == same(marker) for p in populations for name in bordered(p))


def _only_border(tree: PopulationTree, name: str, same: Same) -> tuple[str, list[Population]]:
    """Return the one marker that a population has a border on, and the population."""
    if not any(name in (p.name, p.path) for p in tree.populations):
        raise _no_border(tree, name, same)
    chosen = population_named(tree, name, "move")
    markers = [same(one) for one in bordered(chosen)]
    if len(markers) == 1:
        return markers[0], [chosen]
    if markers:
        hint = f"name the marker: move('{markers[0]}', to=..., population='{name}')"
        raise fault(tree, name, f"its gate has borders on {listed(markers)}", hint)
    raise fault(tree, name, f"its gate has no border on one marker: {in_units(chosen.gate)}", how_to_move(chosen))


def _no_border(tree: PopulationTree, marker: str, same: Same) -> InputError:
    drawn = [p for p in tree.populations for d in getattr(p.gate, "dimensions", ()) if same(d.name) == same(marker)]
    if drawn:
        message = f"it is an axis of {listed(p.name for p in drawn)}, without a straight border on it"
        return fault(tree, marker, message, how_to_move(drawn[0]))
    names = dict.fromkeys(same(name) for p in tree.populations for name in bordered(p))
    hint = one_of("borders are on", names, marker).replace("borders are on:", "borders are on")
    return fault(tree, marker, f"no gate has a border on '{marker}', and no population is called so", hint)


def _is_one_each(borders: Sequence[GateBorder], population: object) -> bool:
    """Whether populations were named, and each has one border."""
    paths = [border.population.path for border in borders]
    return population is not None and len(set(paths)) == len(paths)


def _several(tree: PopulationTree, marker: str, borders: Sequence[GateBorder]) -> InputError:
    """Return the error of a marker that has borders at several places: each with its populations."""
    digits: Callable[[float], str] = number
    if len({number(b.value) for b in borders}) < len({_exactly(b.value) for b in borders}):
        digits = _exactly  # placed apart, and alike to four digits
    names = [p.name for p in tree.populations]
    owners: dict[str, list[str]] = {}
    for path in dict.fromkeys(b.population.path for b in borders):
        own = [b for b in borders if b.population.path == path]
        called = own[0].population.name
        place = " to ".join(digits(b.value) for b in own)
        owners.setdefault(place, []).append(called if names.count(called) == 1 else path)
    words = "; ".join(f"{place} ({', '.join(names)})" for place, names in owners.items())
    every = list(dict.fromkeys(name for names in owners.values() for name in names))
    hint = _which(marker, next(iter(owners.values())), every, "(low, high)" if " to " in words else "...")
    return fault(tree, marker, f"it has borders at several places: {words}", hint)


def _are_alike(borders: Sequence[GateBorder]) -> bool:
    """Whether every population has borders on the same sides at the same places; what was not found has no place."""
    sides: dict[str, list[tuple[str, str]]] = {}
    for border in borders:
        sides.setdefault(border.population.path, []).append((border.side, f"{border.value:.9g}"))
    unknown = any(math.isnan(border.value) for border in borders)
    return len(sides) < 2 or (not unknown and len({tuple(own) for own in sides.values()}) == 1)


def _unlike(tree: PopulationTree, marker: str, borders: Sequence[GateBorder]) -> InputError:
    """Return the error of both ends given to gates that keep different sides, or have borders at several places."""
    gates = {b.population.path: b.population for b in borders}
    words = "; ".join(f"{p.name}: {in_units(p.gate)}" for p in gates.values())
    names = [p.name for p in tree.populations]
    called = [p.name if names.count(p.name) == 1 else p.path for p in gates.values()]
    hint = _which(marker, called[:1], called, "(low, high)")
    return fault(tree, marker, f"both ends would go to gates that are not alike: {words}", hint)


def _partly_placed(
    tree: PopulationTree, marker: str, declared: Sequence[Population], borders: Sequence[GateBorder]
) -> InputError:
    """Return the error of a marker with drawn borders and with some that data have yet to place."""
    drawn = list(dict.fromkeys(b.population.name for b in borders))
    message = f"it is drawn for {listed(drawn)}, and data have yet to place it for {listed(p.name for p in declared)}"
    return fault(
        tree, marker, message, f"move the drawn: move('{marker}', to=..., population={drawn!r}), then the others"
    )


def _exactly(value: float) -> str:
    return f"{value:,.9g}"


def _which(marker: str, first: list[str], every: list[str], place: str) -> str:
    """Return the hint that names the populations of one border, and of all where these are few."""
    if len(every) == 1:
        return f"give both ends: to={place}"
    one = repr(first[0]) if len(first) == 1 else repr(first)
    hint = f"say which: move('{marker}', to={place}, population={one})"
    return f"{hint}, or for all: population={every!r}" if len(every) <= _FEW else hint


def _with_ends(tree: Tree, marker: str, to: Ends, borders: Sequence[GateBorder]) -> Tree:
    """Return the tree with both ends of rectangles on a marker elsewhere."""
    moved: dict[str, Gate] = {}
    for border in borders:
        population = border.population
        if not isinstance(population.gate, Rectangle):
            hint = f"give one number: move('{marker}', to=..., population='{population.name}')"
            raise fault(tree, marker, f"the gate of {population.name} has one border on it", hint)
        moved[population.path] = ends_set(tree, population.gate, border.axis, to)
    wholly = {path for path in moved if len({b.axis for b in gate_borders(tree[path])}) == 1}
    return replaced(tree, moved, wholly)


def ends_set(tree: PopulationTree, gate: Rectangle, axis: int, to: Ends) -> Rectangle:
    """Return a rectangle with both ends on one axis elsewhere.

    Parameters
    ----------
    tree
        Named in errors.
    gate
        The rectangle.
    axis
        Which of its dimensions.
    to
        Low and high end in instrument units; None for an open one.

    Raises
    ------
    InputError
        An end has no place on the scale, or the low one is not below the high one.
    """
    dimension = gate.dimensions[axis]
    low, high = (None if end is None else on_scale(tree, dimension, float(end)) for end in to)
    if low is not None and high is not None and low >= high:
        message = f"the low end {to[0]:g} is not below the high end {to[1]:g}"
        raise fault(tree, dimension.name, message, "give to=(low, high)")
    lower, upper = list(gate.lower), list(gate.upper)
    lower[axis], upper[axis] = low, high
    return replace(gate, lower=tuple(lower), upper=tuple(upper))


def _moved(tree: Tree, borders: Sequence[GateBorder], value: float) -> Tree:
    """Return the tree with borders at one value."""
    gates: dict[str, Gate] = {}
    for border in borders:
        path, gate = border.population.path, border.population.gate
        if isinstance(gate, Rectangle | Polygon):
            on_scale(tree, border.dimension, value)
            gates[path] = with_border(gates.get(path, gate), border, value)
            _check_ends(tree, gates[path], border, value)
    wholly = {path for path in gates if _is_whole(tree[path], borders)}
    return replaced(tree, gates, wholly)


def _check_ends(tree: PopulationTree, gate: Any, border: GateBorder, value: float) -> None:
    if not isinstance(gate, Rectangle):
        return
    low, high = gate.lower[border.axis], gate.upper[border.axis]
    if low is not None and high is not None and low >= high:
        message = f"{value:g} is beyond the other end of {border.population.name}: {in_units(border.population.gate)}"
        raise fault(tree, border.dimension.name, message, "give both ends: to=(low, high)")


def _is_whole(population: Population, borders: Sequence[GateBorder]) -> bool:
    """Whether every border of a population is among those that move; a corner is one gate of two."""
    own = {(one.axis, one.side) for one in gate_borders(population)}
    moved = {(one.axis, one.side) for one in borders if one.population.path == population.path}
    return isinstance(population.gate, Polygon) or own <= moved
