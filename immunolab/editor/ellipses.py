"""Ellipses on the picture, as the eye sees them: centre, half axes and turn in shares of the picture."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from immunolab.editor.view import Handle, OnAxes, Place, View
from immunolab.gating.strategy import Ellipsoid

Array = NDArray[np.float64]
_RIM = 96  # corners of an outline: no corner is seen
_THINNEST = 0.004  # share of the picture that a half axis keeps: about two pixels
_BEYOND_END = 0.08  # share of the picture from the end of the long axis to the handle that turns the ellipse


@dataclass(frozen=True)
class SeenEllipse:
    """An ellipse, or the shadow of an ellipsoid of more dimensions, and the picture's axes."""

    gate: Ellipsoid
    view: View

    @cached_property
    def on(self) -> OnAxes:
        """Which dimension of the gate each axis shows."""
        return self.view.on_axes(self.gate)

    @property
    def is_whole(self) -> bool:
        """Whether it can be dragged: of two dimensions on the axes' own scales, so that it is an ellipse there too."""
        same = all(self.view.is_on_scale(letter, self.gate.dimensions[i]) for letter, i in self.on.items())
        return len(self.gate.dimensions) == len(self.on) == 2 and same

    def outline(self) -> list[list[Place]]:
        """Return the rim."""
        turn = np.linspace(0.0, 2.0 * np.pi, _RIM + 1)
        circle = np.column_stack([np.cos(turn), np.sin(turn)]) @ np.linalg.cholesky(self._spread).T
        rim = [(float(x), float(y)) for x, y in circle + np.asarray(self.gate.mean)[self._pair]]
        return [self.view.bent(self.gate.dimensions, self.on, rim)]

    def handles(self) -> list[Handle]:
        """Return handles of the centre, of an end of each axis, and of the rotation."""
        if not self.is_whole:
            return []
        seen = self._drawn
        ends = (
            ("whole", "centre of the ellipse", seen.centre),
            ("first", "end of the long axis", seen.centre + seen.first * seen.along),
            ("second", "end of the short axis", seen.centre + seen.second * seen.across),
            ("turn", "rotation of the ellipse", seen.centre - (seen.first + _BEYOND_END) * seen.along),
        )
        return [Handle(key, label, float(x), float(y), "xy") for key, label, (x, y) in ends]

    def moved(self, handle: Handle, to: Place) -> Ellipsoid:
        """Return the ellipse with a handle at another place: an end changes its own axis, the rotation turns both.

        Parameters
        ----------
        handle
            One of `handles`.
        to
            Its new place.
        """
        seen = self._drawn.dragged(handle.key, to)
        low, size = self._frame
        halves = ((seen.along, seen.first), (seen.across, seen.second))
        spread: Array = np.sum([np.outer(direction, direction) * half**2 for direction, half in halves], axis=0)
        order = np.argsort(self._pair)
        wide = (spread * np.outer(size, size) / self.gate.distance_square)[np.ix_(order, order)]
        mean = (seen.centre * size + low)[order]
        covariance = tuple(tuple(map(float, row)) for row in wide)
        return replace(self.gate, mean=tuple(map(float, mean)), covariance=covariance)

    @property
    def _pair(self) -> NDArray[np.intp]:
        return np.array([self.on["x"], self.on["y"]])

    @property
    def _spread(self) -> Array:
        both = np.ix_(self._pair, self._pair)
        return np.asarray(self.gate.covariance, dtype=np.float64)[both] * self.gate.distance_square

    @property
    def _frame(self) -> tuple[Array, Array]:
        """Lower ends of the axes and their lengths, on the display scales."""
        scales = (self.view.x.scale, self.view.axis("y").scale)
        low = np.array([scale.low for scale in scales])
        return low, np.array([scale.high for scale in scales]) - low

    @property
    def _drawn(self) -> _EllipseSeen:
        low, size = self._frame
        squares, directions = np.linalg.eigh(self._spread / np.outer(size, size))
        centre = (np.asarray(self.gate.mean)[self._pair] - low) / size
        x, y = directions[:, 1] if directions[0, 1] >= 0.0 else -directions[:, 1]
        return _EllipseSeen(centre, float(np.sqrt(squares[1])), float(np.sqrt(squares[0])), float(np.arctan2(y, x)))


@dataclass(frozen=True)
class _EllipseSeen:
    centre: Array
    first: float
    second: float
    turn: float  # of the first axis, radians from x

    @property
    def along(self) -> Array:
        return np.array([np.cos(self.turn), np.sin(self.turn)])

    @property
    def across(self) -> Array:
        return np.array([-np.sin(self.turn), np.cos(self.turn)])

    def dragged(self, key: str, to: Place) -> _EllipseSeen:
        off = np.asarray(to) - self.centre
        if key == "whole":
            return replace(self, centre=np.asarray(to, dtype=np.float64))
        if key == "first":
            return replace(self, first=max(_THINNEST, abs(float(off @ self.along))))
        if key == "second":
            return replace(self, second=max(_THINNEST, abs(float(off @ self.across))))
        return replace(self, turn=float(np.arctan2(-off[1], -off[0])))
