"""What the editor shows: one population's events on two axes, the gates there, and the table of all populations."""

from __future__ import annotations

from typing import Any

import numpy as np

from immunolab.editor.axes import EditorAxis, Source, sources
from immunolab.editor.recount import Recount
from immunolab.editor.shapes import handles, is_drawn
from immunolab.editor.shown import BINS, crumbs, gate_shown, picture_shown, rows, scale_shown
from immunolab.editor.view import Letter, View
from immunolab.events.tube import Channel, Tube
from immunolab.gating.axes import same_source
from immunolab.gating.evaluate import Mask
from immunolab.gating.gate_words import crossing_edges
from immunolab.gating.strategy import Dimension, Ellipsoid, Polygon, Population, Rectangle, Strategy
from immunolab.gating.tubes import GatedTube
from immunolab.plots.event_bins import EventBins, bin_values
from immunolab.plots.gate_views import MOST_MEMBERS
from immunolab.plots.scales import whole_scale

Answer = dict[str, Any]


class Scene:
    """The gated tube as it is now, and what is looked at.

    Attributes
    ----------
    original
        As the editor began.
    gated
        With every change so far.
    shown
        Path of the population whose events are in the picture; empty for all events.
    active
        Path of the population whose gate can be dragged; empty for none.
    recount
        Coordinates of all events.
    """

    def __init__(self, gated: GatedTube) -> None:
        self.original = self.gated = gated
        self.recount = Recount(gated.tube, gated.strategy)
        self.shown, self.active = "", ""
        self._axes: dict[Dimension, EditorAxis] = {}
        self._x, self._y = self._usual_axes()
        self._is_sent = False
        first = next((p for p in self.strategy.populations if p.gate is not None), None)
        if first is not None:
            self.to_gate(first.path)

    @property
    def strategy(self) -> Strategy:
        """The geometric strategy with every change so far."""
        return self.gated.strategy

    @property
    def tube(self) -> Tube:
        """All events."""
        return self.gated.tube

    def population(self, path: str) -> Population:
        """Return a population by its path; a KeyError where there is none."""
        for population in self.strategy.populations:
            if population.path == path:
                return population
        raise KeyError(path)

    def view(self) -> View:
        """Return the picture's axes."""
        return View(self._axis(self._x), None if self._y is None else self._axis(self._y), self.tube)

    def sources(self) -> list[Source]:
        """Return what an axis can show."""
        return sources(self.tube, self.strategy)

    def to_strategy(self, strategy: Strategy) -> None:
        """Gate the tube by a changed strategy, from the beginning: what is undone is then as it was, in records too."""
        original = self.original.strategy
        self.gated = self.original if strategy == original else self.original.regate(strategy)

    def to_events(self, path: str) -> None:
        """Show the events of a population; empty for all."""
        if path:
            self.population(path)
        self.shown, self.active, self._is_sent = path, "", False

    def to_gate(self, path: str) -> None:
        """Show the gate of a population on its parent's events, on the gate's axes unless the picture has them."""
        population = self.population(path)
        dimensions = self._dimensions(population)
        self.shown, self.active, self._is_sent = population.parent_path, path, False
        if dimensions and not is_drawn(population.gate, self.view()):
            self._x, self._y = dimensions[0], dimensions[1] if len(dimensions) > 1 else None

    def to_axes(self, x: Dimension | None = None, y: Dimension | None = None, *, histogram: bool = False) -> None:
        """Put a dimension on an axis.

        Parameters
        ----------
        x, y
            None leaves the axis as it is.
        histogram
            No ``y``.
        """
        self._x, self._y = x or self._x, None if histogram else y or self._y
        self._is_sent = False

    def fresh(self) -> None:
        """Send the picture again with the next `state`."""
        self._is_sent = False

    def renamed(self, path: str, new: str) -> None:
        """Follow a population whose path has changed.

        Parameters
        ----------
        path, new
            Before and after.
        """
        self.shown, self.active = (
            new + one[len(path) :] if one == path or one.startswith(f"{path}/") else one
            for one in (self.shown, self.active)
        )

    def binned(self) -> EventBins:
        """Return the events shown, in the bins of the picture."""
        view, inside = self.view(), self._mask(self.shown)
        axes = [view.axis(letter) for letter in view.letters()]
        values = [self.recount.coordinates(axis.dimension)[inside] for axis in axes]
        return bin_values(values, [axis.scale for axis in axes], BINS)

    def gates_here(self) -> list[Population]:
        """Return the populations whose gates are drawn: of those below the one shown, and the active one."""
        below = [p for p in self.strategy.populations if p.parent_path == self.shown]
        view = self.view()
        return [p for p in below if p.path == self.active or is_drawn(p.gate, view)]

    def words_of(self, path: str) -> str:
        """Return a population's events and percentage of its parent in words."""
        count = next(count for count in self.gated.population_counts if count.path == path)
        share = "withheld" if count.percent_of_parent is None else f"{count.percent_of_parent:.2f} %"
        return f"{count.n_events:,} events, {share} of {count.parent}"

    def state(self) -> Answer:
        """Return all that the page shows; the picture only where the page does not have it."""
        self._back_to_what_is_there()
        every = self.sources()
        found: Answer = {
            "type": "state",
            "title": self.gated.sample_id or "tube",
            "strategy": self.strategy.name,
            "shown": self.shown,
            "active": self.active,
            "crumbs": crumbs(self.shown),
            "sources": [{"label": one.label, "scales": one.words} for one in every],
            "axes": {"x": self._axis_shown("x", every), "y": self._axis_shown("y", every)},
            "rows": rows(self.gated, self.original),
            "gates": self._gates(),
            "note": self._note(),
        }
        if not self._is_sent:
            found["picture"] = picture_shown(self.binned())
            self._is_sent = True
        return found

    def _back_to_what_is_there(self) -> None:
        """Go up to what is left where the population shown was removed."""
        paths = {population.path for population in self.strategy.populations}
        while self.shown and self.shown not in paths:
            self.shown, self._is_sent = self.shown.rpartition("/")[0], False
        if self.active not in paths or self.population(self.active).parent_path != self.shown:
            self.active = ""

    def _axis(self, dimension: Dimension) -> EditorAxis:
        if dimension not in self._axes:
            values = self.recount.coordinates(dimension)
            self._axes[dimension] = EditorAxis(
                dimension, whole_scale(dimension, values, self._sides(dimension), self.tube)
            )
        return self._axes[dimension]

    def _sides(self, dimension: Dimension) -> list[float | None]:
        """Return the sides of rectangles on a dimension, which its axis shows; other gates may be cut."""
        gates = [p.gate for p in self.strategy.populations if isinstance(p.gate, Rectangle)]
        on = [(gate, i) for gate in gates for i, one in enumerate(gate.dimensions) if one == dimension]
        return [end for gate, i in on for end in (gate.lower[i], gate.upper[i])]

    def _usual_axes(self) -> tuple[Dimension, Dimension | None]:
        """Return the areas of scatter, or the first two markers of a file without; time where there is no other."""
        firsts = [source.dimensions[0] for source in self.sources() if source.dimensions[0].ratio is None]
        wanted = sorted(firsts, key=lambda one: _rank(self.tube.channel(one.name)))
        return wanted[0], wanted[1] if len(wanted) > 1 else None

    def _mask(self, path: str) -> Mask:
        return self.gated.memberships.masks[path] if path else np.ones(len(self.tube), dtype=np.bool_)

    def _dimensions(self, population: Population) -> tuple[Dimension, ...]:
        """Return the axes to show a gate on; for a combined one the first two of the populations it combines."""
        gate = population.gate
        if isinstance(gate, Rectangle | Polygon | Ellipsoid):
            return tuple(gate.dimensions)
        found: list[Dimension] = []
        for path in sorted(population.depends_on - {population.parent_path, ""}):
            for one in self._dimensions(self.population(path)):
                if not any(same_source(one, other, self.tube) for other in found):
                    found.append(one)
        return tuple(found[:2])

    def _gates(self) -> list[Answer]:
        view = self.view()
        counts = {count.path: count for count in self.gated.population_counts}
        return [
            gate_shown(p, view, counts[p.path].n_events, counts[p.path].percent_of_parent, p.path == self.active)
            | {"members": self._members(p, view)}
            for p in self.gates_here()
        ]

    def _members(self, population: Population, view: View) -> list[tuple[float, float]]:
        """Return places of some events of the active population, where it has no border to draw."""
        if population.path != self.active or view.y is None or view.on_axes(population.gate):
            return []
        inside = np.flatnonzero(self._mask(population.path))
        inside = inside[:: max(1, -(-len(inside) // MOST_MEMBERS))]
        x, y = (axis.places(self.recount.coordinates(axis.dimension)[inside]) for axis in (view.x, view.y))
        seen = (x >= 0) & (x <= 1) & (y >= 0) & (y <= 1)
        return list(zip(x[seen].tolist(), y[seen].tolist(), strict=True))

    def _axis_shown(self, letter: Letter, every: list[Source]) -> Answer | None:
        dimension = self._x if letter == "x" else self._y
        if dimension is None:
            return None
        place = next(i for i, one in enumerate(every) if same_source(one.dimensions[0], dimension, self.tube))
        transforms = [one.transform for one in every[place].dimensions]
        scale = transforms.index(dimension.transform) if dimension.transform in transforms else 0
        return {"source": place, "scale": scale} | scale_shown(self._axis(dimension))

    def _note(self) -> str:
        if not self.active:
            return ""
        gate, view = self.population(self.active).gate, self.view()
        if isinstance(gate, Polygon) and crossing_edges(gate) is not None:
            return "The edges cross: an event that the line goes around twice is outside (even-odd rule)."
        if handles(gate, view):
            return ""
        if isinstance(gate, Ellipsoid) and len(gate.dimensions) == 2 and is_drawn(gate, view):
            return "Set both axes to the scale that the ellipse was drawn on to change it."
        return "This gate has no border on these axes that can be dragged."


def _rank(channel: Channel) -> int:
    """Return how soon a channel is looked at: areas of scatter, other scatter, markers, the rest, time."""
    if channel.kind == "scatter":
        return 0 if channel.name.endswith("-A") else 1
    return 9 if channel.kind == "time" else 2 if channel.marker else 3
