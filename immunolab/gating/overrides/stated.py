"""The gates that an override means on one tube's strategy: as drawn, or with borders at the places written by hand."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from immunolab.errors import InputError, Problem
from immunolab.events.transforms import Auto
from immunolab.events.tube import Tube
from immunolab.gating.borders import GateBorder, gate_borders, in_units, no_place, number, on_axis, with_border
from immunolab.gating.gates import (
    Boolean,
    Declared,
    Dimension,
    Ellipsoid,
    Gate,
    Polygon,
    Population,
    PopulationTree,
    Rectangle,
    is_unscaled,
)
from immunolab.gating.overrides.override import Override, StatedBorder
from immunolab.gating.strategy_faults import one_of

_FEW = 4  # borders that a message repeats (judgement: a line)


@dataclass(frozen=True)
class Meant:
    """Resolves overrides on a tube's automatic gates.

    Attributes
    ----------
    automatic
        The strategy without overrides: which gates share a border is read from it.
    tube
        Gives one name to a channel and its marker, and the usual scale of a channel without a gate.
    """

    automatic: PopulationTree
    tube: Tube

    def same(self, name: str) -> str:
        """Return one name for a channel and its marker, see `Tube.one_name`."""
        return self.tube.one_name(name)

    def gates(self, override: Override, now: Mapping[str, Gate | None]) -> dict[str, Gate]:
        """Return the gates that an override gives, by path.

        Parameters
        ----------
        override
            A whole gate, or borders.
        now
            The gates by path as earlier overrides left them.

        Raises
        ------
        InputError
            It means no gate of this tube; the message says why.
        """
        if override.gate is not None:
            population = self.automatic[override.path]
            if isinstance(population.gate, Boolean):
                words = f"'{population.name}' combines other populations: {in_units(population.gate)}"
                raise _fault(words, "override those")
            return {population.path: self._on_scales(override.gate, population)}
        found: dict[str, Gate] = {}
        for border in override.borders:
            for population in self._having(border, override.path):
                gate = found.get(population.path, now[population.path])
                found[population.path] = self._moved(replace(population, gate=gate), border)
        return found

    def _having(self, border: StatedBorder, path: str) -> list[Population]:
        """Return the populations whose border is meant: the one that is named, or all that share the border."""
        among = [self.automatic[path]] if path else list(self.automatic.populations)
        found = [population for population in among if any(self._on(population, border.marker))]
        if not found:
            raise _fault(*self._absent(border.marker, among))
        places = {place: population.name for population in found for place in self._places(population, border)}
        if len(places) > 1 and not path:
            listed = ", ".join(f"{place} ({name})" for place, name in list(places.items())[:_FEW])
            raise _fault(f"{border.marker} has several borders: {listed}", "name the population whose border moves")
        return found

    def _places(self, population: Population, border: StatedBorder) -> Iterator[str]:
        """Yield where a population has the border now, in words; both ends as one where both are stated."""
        values = [number(one.value) for one in self._on(population, border.marker)]
        yield from [" to ".join(values)] if len(border.at) > 1 else values

    def _on(self, population: Population, marker: str) -> Iterator[GateBorder]:
        return (one for one in gate_borders(population) if self.same(one.dimension.name) == self.same(marker))

    def _absent(self, marker: str, among: list[Population]) -> tuple[str, str]:
        drawn = [p for p in among for d in getattr(p.gate, "dimensions", ()) if self.same(d.name) == self.same(marker)]
        if drawn:
            words = f"{marker} is an axis of {drawn[0].name} without a straight border: {in_units(drawn[0].gate)}"
            return words, "write the whole gate: gate: {polygon: {x: ..., y: ..., points: [...]}}"
        if any(isinstance(p.gate, Declared) for p in among):
            return f"data have not placed a border on {marker}", "write the whole gate: gate: {rectangle: {...}}"
        names = dict.fromkeys(self.same(one.dimension.name) for p in among for one in gate_borders(p))
        return f"no gate has a border on {marker}", one_of("borders are on", names, marker)

    def _moved(self, population: Population, border: StatedBorder) -> Gate:
        """Return a population's gate with a border where it is stated."""
        gate, borders = population.gate, list(self._on(population, border.marker))
        if gate is None or not borders:
            raise _fault(*self._absent(border.marker, [population]))
        for value in border.at:
            if value is not None and (words := no_place(borders[0].dimension, value)):
                raise _fault(words, "give a number in instrument units that the scale has")
        if len(border.at) > 1:
            return self._with_ends(population, gate, borders[0], border)
        (value,) = border.at
        if math.isnan(borders[0].value):
            hint = f"{{{border.marker}: [{value:g}, null]}} keeps what is above, [null, {value:g}] what is below"
            raise _fault(f"no border on it was found for {population.name}, and which side to keep is open", hint)
        if len(borders) > 1:
            ends = " and ".join(number(one.value) for one in borders)
            hint = f"write both: {{{border.marker}: [low, high]}}"
            raise _fault(f"{population.name} has two borders on {border.marker}: {ends}", hint)
        return _sound(with_border(gate, borders[0], float(value or 0.0)), population, border.marker)

    def _with_ends(self, population: Population, gate: Gate, at: GateBorder, border: StatedBorder) -> Gate:
        if not isinstance(gate, Rectangle):
            words = f"{population.name} has one sloping border, not two ends on {border.marker}"
            raise _fault(words, f"write one number: {{{border.marker}: 3000}}")
        low, high = (None if end is None else on_axis(at.dimension, end) for end in border.at)
        lower, upper = list(gate.lower), list(gate.upper)
        lower[at.axis], upper[at.axis] = low, high
        return _sound(replace(gate, lower=tuple(lower), upper=tuple(upper)), population, border.marker)

    def _on_scales(self, gate: Gate, population: Population) -> Gate:
        """Return a gate that was written by hand, in instrument units, on the scales of the tube's gates."""
        if not is_unscaled(gate) or not isinstance(gate, Rectangle | Polygon):
            return gate
        axes: Any = tuple(self._dimension(one, population) for one in gate.dimensions)
        if isinstance(gate, Polygon):
            x, y = axes
            corners = tuple((on_axis(x, a), on_axis(y, b)) for a, b in gate.vertices)
            return Polygon(axes, corners)
        lower, upper = (
            tuple(None if end is None else on_axis(axis, end) for axis, end in zip(axes, ends, strict=True))
            for ends in (gate.lower, gate.upper)
        )
        return Rectangle(axes, lower, upper)

    def _dimension(self, stated: Dimension, population: Population) -> Dimension:
        """Return a channel's axis as the population's own gate has it, or another gate of the tube."""
        if not isinstance(stated.transform, Auto):
            return stated
        shapes = [p.gate for p in (population, *self.automatic.populations)]
        drawn = [gate for gate in shapes if isinstance(gate, Rectangle | Polygon | Ellipsoid)]
        axes = (one for gate in drawn for one in gate.dimensions if one.ratio is None)
        found = next((one for one in axes if self.same(one.name) == self.same(stated.name)), None)
        if found is not None or len(self.tube.rows_of(stated.name)) != 1:
            return found or stated
        return replace(stated, transform=self.tube.channel(stated.name).usual_scale)


def _sound(gate: Gate, population: Population, marker: str) -> Gate:
    if isinstance(gate, Rectangle):
        for low, high in zip(gate.lower, gate.upper, strict=True):
            if low is not None and high is not None and low >= high:
                raise _fault(f"the border on {marker} would pass the other one of {population.name}", "write both ends")
    return gate


def _fault(message: str, hint: str = "") -> InputError:
    return InputError(Problem("", "", message, hint))
