"""The picture as gates see it: axes, handles, and places, which are shares of it from (0, 0) at the lower left."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import numpy as np

from immunolab.editor.axes import EditorAxis
from immunolab.events.tube import Tube
from immunolab.gating.axes import same_source
from immunolab.gating.strategy import Dimension, Ellipsoid, Gate, Polygon, Rectangle

Place = tuple[float, float]
Letter = Literal["x", "y"]
OnAxes = dict[Letter, int]  # which dimension of a gate each axis shows
_STEPS = 24  # pieces of an edge that is bent, for its gate was drawn on another scale
_AT_EDGE = 0.002  # share of the picture: about one pixel


@dataclass(frozen=True)
class Handle:
    """A point of a gate that can be dragged.

    Attributes
    ----------
    key
        Names it among the handles of its gate.
    label
        What it is, in words.
    x, y
        Its place, which may be beyond the picture.
    along
        The axes along which it moves.
    line
        An edge by which it can be dragged too.
    corner
        Whether it is a corner that can be taken away, or get a neighbour.
    """

    key: str
    label: str
    x: float
    y: float
    along: Literal["x", "y", "xy"]
    line: tuple[Place, Place] | None = None
    corner: bool = False


@dataclass(frozen=True)
class View:
    """The picture's axes; ``y`` is None for a histogram."""

    x: EditorAxis
    y: EditorAxis | None
    tube: Tube

    def axis(self, letter: Letter) -> EditorAxis:
        """Return an axis that the picture has; others are a KeyError."""
        axis = self.x if letter == "x" else self.y
        if axis is None:
            raise KeyError(letter)
        return axis

    def letters(self) -> tuple[Letter, ...]:
        """Return the axes that the picture has."""
        return ("x",) if self.y is None else ("x", "y")

    def on_axes(self, gate: Gate | None) -> OnAxes:
        """Return which dimension of a gate each axis shows."""
        if not isinstance(gate, Rectangle | Polygon | Ellipsoid):
            return {}
        found: OnAxes = {}
        for letter in self.letters():
            own = self.axis(letter).dimension
            hits = [i for i, one in enumerate(gate.dimensions) if same_source(one, own, self.tube)]
            if hits:
                found[letter] = hits[0]
        return found

    def is_on_scale(self, letter: Letter, dimension: Dimension) -> bool:
        """Return whether an axis has the very scale that a gate's dimension is on.

        Parameters
        ----------
        letter
            Of the axis.
        dimension
            Of the gate, on this axis.
        """
        return dimension.transform == self.axis(letter).dimension.transform

    def to_place(self, letter: Letter, dimension: Dimension, coordinate: float) -> float:
        """Return the place of a gate's coordinate, whatever scale the gate is on.

        Parameters
        ----------
        letter
            Of the axis.
        dimension
            Of the gate, on this axis.
        coordinate
            On the dimension's scale.
        """
        if self.is_on_scale(letter, dimension):
            return self.axis(letter).place(coordinate)
        return self.axis(letter).place_of_value(float(dimension.transform.inverse(np.array([coordinate]))[0]))

    def to_gate(self, letter: Letter, dimension: Dimension, place: float) -> float:
        """Return a gate's coordinate of a place, rounded in instrument units: what a handle reads is what it has.

        Parameters
        ----------
        letter
            Of the axis.
        dimension
            Of the gate, on this axis.
        place
            On the axis.
        """
        return float(dimension.transform.apply(np.array([self.axis(letter).value(place)]))[0])

    def bent(self, dimensions: Sequence[Dimension], on: OnAxes, corners: Sequence[Place]) -> list[Place]:
        """Return a line through coordinates of a gate as places, in small pieces where a scale bends it.

        Parameters
        ----------
        dimensions
            Of the gate.
        on
            Which of them each axis shows.
        corners
            Coordinates on these, that of x first.
        """
        x, y = dimensions[on["x"]], dimensions[on["y"]]
        straight = self.is_on_scale("x", x) and self.is_on_scale("y", y)
        steps = np.linspace(0.0, 1.0, 2 if straight else _STEPS + 1)[1:].tolist()
        points = [corners[0]]
        for (ax, ay), (bx, by) in pairwise(corners):
            points += [(ax + t * (bx - ax), ay + t * (by - ay)) for t in steps]
        return [(self.to_place("x", x, px), self.to_place("y", y, py)) for px, py in points]


def within(place: float) -> float:
    """Return a place with what is beyond the picture at its end."""
    return min(1.0, max(0.0, place))


def stays_beyond(before: float, after: float) -> bool:
    """Return whether a place beyond the picture stays at that end: it was dragged along the edge.

    Parameters
    ----------
    before, after
        The place and where it was dragged to.
    """
    return (before < 0.0 and after <= _AT_EDGE) or (before > 1.0 and after >= 1.0 - _AT_EDGE)
