"""Polygons on the picture: corners that move, come and go, and the whole."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

from immunolab.editor.view import Handle, Letter, OnAxes, Place, View, stays_beyond, within
from immunolab.gating.strategy import Polygon

FEWEST_CORNERS = 3
_LETTERS: tuple[Letter, Letter] = ("x", "y")


@dataclass(frozen=True)
class SeenPolygon:
    """A polygon and the picture's axes, which show both of its dimensions."""

    gate: Polygon
    view: View

    @cached_property
    def on(self) -> OnAxes:
        """Which dimension of the gate each axis shows."""
        return self.view.on_axes(self.gate)

    def outline(self) -> list[list[Place]]:
        """Return the closed line through the corners."""
        corners = [(vertex[self.on["x"]], vertex[self.on["y"]]) for vertex in self.gate.vertices]
        return [self.view.bent(self.gate.dimensions, self.on, [*corners, corners[0]])]

    def handles(self) -> list[Handle]:
        """Return a handle for each corner, and one for the whole."""
        places = self._places()
        corners = [
            Handle(f"corner {i}", f"corner {i + 1} of {len(places)}", x, y, "xy", corner=True)
            for i, (x, y) in enumerate(places)
        ]
        x, y = (sum(map(within, ends)) / len(places) for ends in zip(*places, strict=True))
        return [*corners, Handle("whole", "whole polygon", x, y, "xy")]

    def moved(self, handle: Handle, to: Place) -> Polygon:
        """Return the polygon with a corner at another place, or all corners moved as the whole is.

        A corner beyond the picture, of a gate open on that side, stays beyond while it is dragged along the edge.

        Parameters
        ----------
        handle
            One of `handles`.
        to
            Its new place.
        """
        if handle.key == "whole":
            by = (to[0] - handle.x, to[1] - handle.y)
            return replace(self.gate, vertices=tuple(self._vertex((x + by[0], y + by[1])) for x, y in self._places()))
        i = self._corner(handle.key)
        old, new = self.gate.vertices[i], list(self._vertex(to))
        for letter, before, after in zip(_LETTERS, (handle.x, handle.y), to, strict=True):
            if stays_beyond(before, after):
                new[self.on[letter]] = old[self.on[letter]]
        return self._with(i, i + 1, (new[0], new[1]))

    def with_corner(self, key: str) -> Polygon:
        """Return the polygon with one more corner, halfway from a corner to the next."""
        i = self._corner(key)
        places = [(within(x), within(y)) for x, y in self._places()]
        (ax, ay), (bx, by) = places[i], places[(i + 1) % len(places)]
        return self._with(i + 1, i + 1, self._vertex(((ax + bx) / 2, (ay + by) / 2)))

    def without_corner(self, key: str) -> Polygon:
        """Return the polygon with one corner less."""
        i = self._corner(key)
        return self._with(i, i + 1)

    def _with(self, start: int, stop: int, *new: Place) -> Polygon:
        return replace(self.gate, vertices=(*self.gate.vertices[:start], *new, *self.gate.vertices[stop:]))

    def _corner(self, key: str) -> int:
        word, _, number = key.partition(" ")
        if word != "corner" or not number.isdecimal() or int(number) >= len(self.gate.vertices):
            raise KeyError(key)
        return int(number)

    def _places(self) -> list[Place]:
        x, y = self.gate.dimensions[self.on["x"]], self.gate.dimensions[self.on["y"]]
        return [
            (self.view.to_place("x", x, one[self.on["x"]]), self.view.to_place("y", y, one[self.on["y"]]))
            for one in self.gate.vertices
        ]

    def _vertex(self, place: Place) -> Place:
        found = [0.0, 0.0]
        for letter, at in zip(_LETTERS, place, strict=True):
            found[self.on[letter]] = self.view.to_gate(letter, self.gate.dimensions[self.on[letter]], at)
        return found[0], found[1]
