"""One tube in two gatings: both gates on the same events, and the events on which the gatings differ."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from immunolab.events.removed import kept_events
from immunolab.gating.evaluate import coordinates
from immunolab.gating.strategy import Dimension, Ellipsoid, Polygon, Rectangle
from immunolab.gating.tubes import GatedTube
from immunolab.plots.event_bins import bin_values
from immunolab.plots.event_panels import bins_for, draw_density, draw_outline, draw_steps, head, mark_beyond, set_axes
from immunolab.plots.gate_views import gate_dimensions
from immunolab.plots.gates_on_axes import GateOnAxes, gates_between, percent_words
from immunolab.plots.instrument_axis import on_display
from immunolab.plots.scales import ROOM, whole_scale
from immunolab.plots.style import HALF, MM, WIDTH, figure, style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FIRST, SECOND = "#D55E00", "#0072B2"  # of the first and the second gating; Okabe and Ito
_HIGH = 82 * MM  # inches: the axes are nearly square beside each other on a printed page
_MOST_DOTS = 1_000  # of each kind drawn; more hide the density
Array = NDArray[np.float64]
Mask = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class GateOf:
    """A population in one of two gatings: what the gating is called, the tube, and the population's path."""

    word: str
    gated: GatedTube
    path: str
    colour: str

    @property
    def parent(self) -> str:
        """Path of the parent; empty for all events."""
        return self.path.rsplit("/", 1)[0]

    @property
    def in_file(self) -> Mask:
        """Which events of the file are in the population."""
        return self.gated.tube.in_file(self.gated.memberships.masks[self.path])

    def own(self, whole: Mask) -> Mask:
        """Return a mask of the file's events as one of the events that this gating kept."""
        return whole[kept_events(len(whole), self.gated.tube.removed)] if self.gated.tube.removed else whole


@style()
def two_gates(a: GatedTube, b: GatedTube, path_a: str, path_b: str, words: tuple[str, str]) -> Figure:
    """Draw a population's parent with its gate in both gatings; on axes of each where these differ.

    Parameters
    ----------
    a, b
        The tube in either gating.
    path_a, path_b
        The population's paths.
    words
        What the gatings are called.
    """
    first, second = GateOf(words[0], a, path_a, FIRST), GateOf(words[1], b, path_b, SECOND)
    shared = len(_outlines(first, second)) == 2 or not is_drawn(first.gated, path_a)
    fig = figure(HALF if shared else WIDTH, _HIGH)
    panels = fig.subplots(1, 1 if shared else 2, squeeze=False)[0]
    _panel(panels[0], first, second)
    if not shared:
        _panel(panels[1], second, first)
    return fig


def is_drawn(gated: GatedTube, path: str) -> bool:
    """Return whether a gate has an outline; a combination of others has none, and follows from them.

    Parameters
    ----------
    gated
        The tube.
    path
        Of the population.
    """
    return isinstance(gated.strategy[path].gate, Rectangle | Polygon | Ellipsoid)


def _dimensions(one: GateOf) -> tuple[Dimension, ...]:
    return gate_dimensions(one.gated.strategy[one.path], one.gated.strategy)[:2]


def _outlines(one: GateOf, other: GateOf) -> list[tuple[GateOf, GateOnAxes]]:
    """Return the gates of both gatings that are on the axes of the first."""
    dimensions = _dimensions(one)
    if not dimensions:
        return []
    scales = [whole_scale(d, v, (), one.gated.tube, room=ROOM) for d, v in zip(dimensions, _values(one), strict=True)]
    found = []
    for gate in (one, other):
        if all(_has(gate, d) for d in dimensions):
            drawn = gates_between(gate.gated, gate.parent, dimensions, scales)
            found += [(gate, own) for own in drawn if own.count.path == gate.path]
    return found


def _has(one: GateOf, dimension: Dimension) -> bool:
    names = {name for channel in one.gated.tube.channels for name in (channel.name, channel.marker)}
    return dimension.ratio is None and dimension.name in names


def _values(one: GateOf) -> list[Array]:
    """Return the coordinates of all events on the axes of a gate, display scale."""
    axis = coordinates(one.gated.strategy, one.gated.tube)
    return [axis(dimension) for dimension in _dimensions(one)]


def _panel(ax: Axes, one: GateOf, other: GateOf) -> None:
    """Draw the parent's events in one gating, the gates of both that are on these axes, and where they differ."""
    dimensions, values = _dimensions(one), _values(one)
    parent = one.gated.memberships.masks[one.parent] if one.parent else np.ones(len(one.gated.tube), dtype=np.bool_)
    outlines = _outlines(one, other)
    only = [one.own(mask) for mask in (one.in_file & ~other.in_file, other.in_file & ~one.in_file)]
    entries = [("line", gate.colour, _words(gate)) for gate in (one, other)]
    name = one.parent.rsplit("/", 1)[-1] or "all events"
    if not dimensions:
        ax.set_axis_off()
        ax.text(0.5, 0.5, "no gate on axes", ha="center", transform=ax.transAxes)
    else:
        inside = [value[parent] for value in values]
        scales = [whole_scale(d, v, (), one.gated.tube, room=ROOM) for d, v in zip(dimensions, inside, strict=True)]
        set_axes(ax, dimensions, scales)
        found = bin_values(inside, scales, bins_for(len(inside[0]), len(dimensions)))
        if len(dimensions) == 1:
            draw_steps(ax, scales[0], found.counts.astype(np.float64))
            ax.set_ylabel("events")
        else:
            few = np.column_stack(inside) if len(inside[0]) < 2_000 else None
            draw_density(ax, scales, found, few, grey=True)
            for gate, mask in zip((one, other), only, strict=True):
                rows = np.flatnonzero(mask & parent)
                rows = rows[:: max(1, -(-len(rows) // _MOST_DOTS))]
                x, y = (value[rows] for value in values)
                ax.scatter(x, y, s=3.0, c=gate.colour, linewidths=0, transform=on_display(ax), zorder=3)
        mark_beyond(ax, found)
        for gate, outline in outlines:
            draw_outline(ax, outline.lines, colour=gate.colour)
    counts = [int(np.count_nonzero(mask)) for mask in only]
    entries.append(("note", "", f"only {one.word}: {counts[0]:,}; only {other.word}: {counts[1]:,} events"))
    head(ax, f"{one.gated.sample_id}: {one.path.rsplit('/', 1)[-1]} in {name}", entries=entries)


def _words(one: GateOf) -> str:
    count = next(c for c in one.gated.population_counts if c.path == one.path)
    return f"{one.word}: {percent_words(count)}, {count.n_events:,} of {count.n_parent:,}"
