"""Corners as placing makes them, on the picture: an upright and a sloping border, open outwards."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from immunolab.editor.polygons import SeenPolygon
from immunolab.editor.view import Handle, Letter, OnAxes, Place, View
from immunolab.gating.borders import gate_borders, with_border
from immunolab.gating.strategy import Polygon, Population


@dataclass(frozen=True)
class SeenCorner:
    """A corner (`immunolab.gating.borders.is_corner`); it stays one, however it is dragged."""

    gate: Polygon
    view: View

    @cached_property
    def on(self) -> OnAxes:
        """Which dimension of the gate each axis shows."""
        return self.view.on_axes(self.gate)

    def outline(self) -> list[list[Place]]:
        """Return the closed line through its corners, two of them far beyond the picture."""
        return SeenPolygon(self.gate, self.view).outline()

    def handles(self) -> list[Handle]:
        """Return the point where the borders meet; dragged along one axis alone it is that border."""
        x, y = self._place("x"), self._place("y")
        return [Handle("meet", "where the two borders meet", x, y, "xy")]

    def moved(self, handle: Handle, to: Place) -> Polygon:
        """Return the corner elsewhere: the sloping border moves parallel to itself.

        Parameters
        ----------
        handle
            One of `handles`.
        to
            Its new place.
        """
        places = {"x": (handle.x, to[0]), "y": (handle.y, to[1])}
        gate = self.gate
        for border in gate_borders(
            Population("/corner", gate)
        ):  # in this order, for the upright border slides along the sloping one
            letter = next(letter for letter, i in self.on.items() if i == border.axis)
            before, after = places[letter]
            value = border.value if before == after else self.view.axis(letter).value(after)
            moved = with_border(gate, border, value)
            gate = moved if isinstance(moved, Polygon) else gate
        return gate

    def _place(self, letter: Letter) -> float:
        i = self.on[letter]
        return self.view.to_place(letter, self.gate.dimensions[i], self.gate.vertices[3][i])
