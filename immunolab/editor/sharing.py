"""A border that several gates share moves in all of them, as `Strategy.move` does: the gates that a drag changes."""

from __future__ import annotations

from collections.abc import Iterator

from immunolab.editor.rectangles import SeenRectangle
from immunolab.editor.shapes import moved, seen
from immunolab.editor.view import Letter, Place, View
from immunolab.gating.borders import GateBorder, gate_borders, with_border
from immunolab.gating.strategy import Gate, Population, Rectangle, Strategy


def shared_by(strategy: Strategy, view: View, population: Population, key: str) -> list[Population]:
    """Return the other populations with a border at the very place of a handle's, on the same channel.

    Parameters
    ----------
    strategy
        With all populations.
    view
        The picture's axes.
    population
        Whose handle it is.
    key
        Of the handle; only one that is a single border is shared.
    """
    return list(dict.fromkeys(border.population for border in _partners(strategy, view, population, key)))


def drag_gates(
    strategy: Strategy, view: View, population: Population, key: str, to: Place, together: bool
) -> dict[str, Gate]:
    """Return the gates that a drag changes, by path.

    Parameters
    ----------
    strategy
        With all populations.
    view
        The picture's axes.
    population
        Whose handle is dragged.
    key
        Of the handle.
    to
        Its new place.
    together
        Whether a border at the very same place moves in other gates too.
    """
    gate = moved(population.gate, view, key, to)
    found = {population.path: gate}
    own = _border(population, view, key)
    if not together or own is None:
        return found
    after = {(b.axis, b.side): b.value for b in gate_borders(Population(population.path, gate))}
    value = after[own.axis, own.side]
    for border in _partners(strategy, view, population, key):
        other = border.population
        now = found.get(other.path, other.gate)
        if now is not None:
            found[other.path] = _elsewhere(now, border, value)
    return found


def _elsewhere(gate: Gate, border: GateBorder, value: float) -> Gate:
    """Return a gate with a border at a value; one that would pass the opposite side stays where it is."""
    new = with_border(gate, border, value)
    if isinstance(new, Rectangle):
        low, high = new.lower[border.axis], new.upper[border.axis]
        if low is not None and high is not None and low >= high:
            return gate
    return new


def _partners(strategy: Strategy, view: View, population: Population, key: str) -> Iterator[GateBorder]:
    own = _border(population, view, key)
    if own is None:
        return
    channel = view.tube.channel(own.dimension.name).name
    for other in strategy.populations:
        for border in gate_borders(other) if other.path != population.path else ():
            same = view.tube.channel(border.dimension.name).name == channel
            if same and f"{border.value:.9g}" == f"{own.value:.9g}":
                yield border


def _border(population: Population, view: View, key: str) -> GateBorder | None:
    """Return the single border that a handle of a rectangle moves; None for other handles and closed gates."""
    on_picture = seen(population.gate, view)
    letter, _, side = key.partition(" ")
    if not isinstance(on_picture, SeenRectangle) or letter not in on_picture.on:
        return None
    axis = on_picture.on[_letter(letter)]
    return next((b for b in gate_borders(population) if (b.axis, b.side) == (axis, side)), None)


def _letter(word: str) -> Letter:
    return "x" if word == "x" else "y"
