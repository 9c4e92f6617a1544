"""What all moves of gates share: where a value is on an axis, which channels are the same, flags of what moved."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from numbers import Real
from typing import Any, TypeGuard, TypeVar

from immunolab.errors import InputError, Problem
from immunolab.gating.borders import gate_borders, in_units, is_closed, no_place, on_axis
from immunolab.gating.gates import Declared, Dimension, Ellipsoid, Gate, Polygon, Population, PopulationTree, Rectangle
from immunolab.schema.flags import Flag, split

Tree = TypeVar("Tree", bound=PopulationTree)
Ends = tuple[float | None, float | None]
Place = float | Ends | Sequence[Sequence[float]] | Mapping[str, float | Ends]
Same = Callable[[str], str]
_KEPT = frozenset({Flag.EXCLUSION_MISSING})  # says what the panel lacks, wherever the gate is


def as_named(name: str) -> str:
    """Return a channel's name as a strategy without a tube has it: as it is."""
    return name


def is_one(value: Any) -> TypeGuard[float]:
    """Whether a place is one number."""
    return isinstance(value, Real) and not isinstance(value, bool)


def are_ends(value: Any) -> TypeGuard[Ends]:
    """Whether a place is two numbers, None for an open end."""
    is_pair = isinstance(value, Sequence) and not isinstance(value, str) and len(value) == 2
    return is_pair and all(end is None or is_one(end) for end in value)


def listed(names: Iterable[str]) -> str:
    """Return names as ``A, B and C``, each once."""
    found = list(dict.fromkeys(names))
    return found[0] if len(found) == 1 else f"{', '.join(found[:-1])} and {found[-1]}"


def fault(tree: PopulationTree, what: str, message: str, hint: str = "") -> InputError:
    """Return the error of a move that cannot be made.

    Parameters
    ----------
    tree
        Named in it.
    what
        The marker or population that was to move.
    message, hint
        What is wrong, and how to fix it.
    """
    return InputError(Problem(tree.name, f"move {what}", message, hint))


def on_scale(tree: PopulationTree, dimension: Dimension, value: float) -> float:
    """Return an instrument value as a coordinate, where it has a place on the scale.

    Parameters
    ----------
    tree
        Named in the error.
    dimension
        Of a gate.
    value
        Instrument units.

    Raises
    ------
    InputError
        It has none.
    """
    if words := no_place(dimension, value):
        hint = "give a number in instrument units that the scale has, or None for an open side"
        raise fault(tree, dimension.name, words, hint)
    return on_axis(dimension, value)


def bordered(population: Population) -> list[str]:
    """Return the markers on which a population's gate has a border of its own.

    Parameters
    ----------
    population
        Placed, or yet to be placed.
    """
    gate = population.gate
    if not isinstance(gate, Declared):
        return list(dict.fromkeys(border.dimension.name for border in gate_borders(population)))
    if gate.kind == "where":
        return [marker for marker, _ in gate.settings["phenotype"]]
    if gate.kind == "threshold":
        return [str(gate.settings["marker"])]
    return [str(gate.settings[axis]) for axis in ("x", "y") if gate.settings.get(axis)]


def how_to_move(population: Population) -> str:
    """Return the hint how a gate without a border on one marker is moved.

    Parameters
    ----------
    population
        With its gate.
    """
    name = population.name
    match population.gate:
        case Polygon():
            return f"give a corner, move('{name}', vertex=1, to=(x, y)), or all of them, to=[(x, y), ...]"
        case Ellipsoid():
            return f"give its centre: move('{name}', to=(x, y))"
        case Declared():
            return "data have yet to place it: gate a tube, then move it there: il.gate(tube, strategy).move(...)"
        case Rectangle():
            return f"give its sides: move('{name}', to={{'{population.gate.dimensions[0].name}': (low, high)}})"
    return f"move the gates that it is made of: {in_units(population.gate)}"


def replaced(tree: Tree, gates: Mapping[str, Gate], wholly: Iterable[str]) -> Tree:
    """Return the tree with other gates, flagged ``by_hand``.

    Parameters
    ----------
    tree
        Any strategy.
    gates
        The new gate of each path.
    wholly
        Paths whose gate moved as a whole: no word of where it was before is left.
    """
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
