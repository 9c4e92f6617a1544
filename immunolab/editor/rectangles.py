"""Rectangles and thresholds on the picture: edges that move alone, and the whole that moves all of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from immunolab.editor.view import Handle, Letter, OnAxes, Place, View, within
from immunolab.gating.strategy import Rectangle


@dataclass(frozen=True)
class SeenRectangle:
    """A rectangle and the picture's axes; its sides on other axes stay as they are."""

    gate: Rectangle
    view: View

    @cached_property
    def on(self) -> OnAxes:
        """Which dimension of the gate each axis shows."""
        return self.view.on_axes(self.gate)

    def outline(self) -> list[list[Place]]:
        """Return the closed sides that are on the picture's axes."""
        return [[*edge.line] for edge in self._edges() if edge.line]

    def handles(self) -> list[Handle]:
        """Return a handle for each closed side, and one for all of them where there are several."""
        edges = list(self._edges())
        return edges if len(edges) < 2 else [*edges, self._whole(edges)]

    def moved(self, handle: Handle, to: Place) -> Rectangle:
        """Return the rectangle with one side, or all, moved as a handle is; a side does not pass the one opposite.

        Parameters
        ----------
        handle
            One of `handles`.
        to
            Its new place.
        """
        by = {"x": to[0] - within(handle.x), "y": to[1] - within(handle.y)}
        keys = self._keys() if handle.key == "whole" else [handle.key]
        ends = {"lower": list(self.gate.lower), "upper": list(self.gate.upper)}
        for key in keys:
            letter, word = _parts(key)
            place = self._place(letter, word)
            start = place if handle.key == "whole" else within(place)
            dimension = self.gate.dimensions[self.on[letter]]
            ends[word][self.on[letter]] = self.view.to_gate(letter, dimension, start + by[letter])
        for i in self.on.values():
            low, high = ends["lower"][i], ends["upper"][i]
            if low is not None and high is not None and low >= high:
                ends["lower"][i], ends["upper"][i] = self.gate.lower[i], self.gate.upper[i]
        return replace(self.gate, lower=tuple(ends["lower"]), upper=tuple(ends["upper"]))

    def _keys(self) -> list[str]:
        sides = (("lower", self.gate.lower), ("upper", self.gate.upper))
        return [f"{letter} {word}" for letter, i in self.on.items() for word, ends in sides if ends[i] is not None]

    def _place(self, letter: Letter, word: str) -> float:
        i = self.on[letter]
        end = (self.gate.lower if word == "lower" else self.gate.upper)[i]
        if end is None:
            raise KeyError(f"{letter} {word}")
        return self.view.to_place(letter, self.gate.dimensions[i], float(end))

    def bounds(self) -> tuple[float, float, float, float]:
        """Return left, right, bottom and top within the picture; an open side is at its end."""
        places = {key: within(self._place(*_parts(key))) for key in self._keys()}
        left, right = places.get("x lower", 0.0), places.get("x upper", 1.0)
        return left, right, places.get("y lower", 0.0), places.get("y upper", 1.0)

    def _edges(self) -> Iterator[Handle]:
        places = {key: self._place(*_parts(key)) for key in self._keys()}
        left, right, bottom, top = self.bounds()
        spans: dict[Letter, tuple[float, float]] = {"x": (left, right), "y": (bottom, top)}
        for key, place in places.items():
            letter, word = _parts(key)
            low, high = spans["y" if letter == "x" else "x"]
            middle, label = (low + high) / 2, f"{word} border of {self.view.axis(letter).dimension.name}"
            if letter == "x":
                yield Handle(key, label, place, middle, "x", ((place, low), (place, high)))
            else:
                yield Handle(key, label, middle, place, "y", ((low, place), (high, place)))

    def _whole(self, edges: Sequence[Handle]) -> Handle:
        middle: dict[Letter, float] = {"x": 0.5, "y": 0.5}
        for letter in self.on:
            own = {edge.key: within(edge.x if letter == "x" else edge.y) for edge in edges if edge.along == letter}
            middle[letter] = (own.get(f"{letter} lower", 0.0) + own.get(f"{letter} upper", 1.0)) / 2
        return Handle(
            "whole", "whole gate", middle["x"], middle["y"], "xy" if len(self.on) == 2 else next(iter(self.on))
        )


def _parts(key: str) -> tuple[Letter, str]:
    letter, word = key.split()
    return ("x" if letter == "x" else "y"), word
