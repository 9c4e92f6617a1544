"""Gates of a tube on matplotlib axes: outline, percent of the parent, count, and what qualifies them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from immunolab.gating.axes import source_key
from immunolab.gating.counts import PopulationCount
from immunolab.gating.strategy import ROOT, Dimension, Ellipsoid, Gate, Polygon, Population, Rectangle
from immunolab.gating.tubes import GatedTube
from immunolab.plots.event_panels import draw_outline, on_other_scales, write_in_gate
from immunolab.plots.gate_outlines import gate_lines
from immunolab.plots.numbers import number
from immunolab.plots.scales import DisplayScale
from immunolab.schema.flags import withheld

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class GateOnAxes:
    """A gate as it is drawn on one or two axes.

    Attributes
    ----------
    count
        The row of the table of counts.
    lines
        Outline on the display scales of the axes.
    bounds
        Left, right, bottom and top of the gate, shares of the axes.
    """

    count: PopulationCount
    lines: tuple[Array, ...]
    bounds: tuple[float, float, float, float]

    @property
    def words(self) -> str:
        """Name, percent of the parent, and count of how many."""
        return (
            f"{self.count.population} {percent_words(self.count)}\n{self.count.n_events:,} of {self.count.n_parent:,}"
        )


def percent_words(count: PopulationCount) -> str:
    """Return a population's percent of its parent in words; never a number that is withheld."""
    if withheld(count.flag or ""):
        return "withheld"
    return "no parent events" if count.percent_of_parent is None else f"{number(count.percent_of_parent)} %"


def gates_between(
    gated: GatedTube, within: str, dimensions: Sequence[Dimension], scales: Sequence[DisplayScale]
) -> list[GateOnAxes]:
    """Return the gates of a population that are on these axes alone.

    Parameters
    ----------
    gated
        The tube.
    within
        Name or path of the parent; empty for the gates of all events.
    dimensions, scales
        Of x, and of y where there are two. A gate on one channel is on two axes where it is on one of them.
    """
    parent = path_of(gated, within)
    counts = {count.path: count for count in gated.population_counts}
    found = []
    for population in gated.strategy.populations:
        if population.parent_path == parent and population.gate is not None:
            lines = _on(population.gate, gated, dimensions, scales)
            if lines is not None:
                found.append(GateOnAxes(counts[population.path], *lines))
    return found


def path_of(gated: GatedTube, within: str) -> str:
    """Return the path of a population, empty for all events.

    Parameters
    ----------
    gated
        The tube, which has such a population.
    within
        Name or path; empty or ``root`` for all events.
    """
    if within in ("", ROOT, "/"):
        return ""
    paths = [p.path for p in gated.strategy.populations]
    return within if within in paths else next(p for p in paths if p.rsplit("/", 1)[-1] == within)


def _on(
    gate: Gate, gated: GatedTube, dimensions: Sequence[Dimension], scales: Sequence[DisplayScale]
) -> tuple[tuple[Array, ...], tuple[float, float, float, float]] | None:
    """Return outline and bounds of a gate, or None where it is on other channels, or on these compensated otherwise."""
    if not isinstance(gate, Rectangle | Polygon | Ellipsoid) or any(d.ratio for d in gate.dimensions):
        return None
    own = [gated.tube.channel(d.name).name for d in gate.dimensions]
    drawn = [gated.tube.channel(d.name).name for d in dimensions]
    on_axes = {source_key(d, gated.tube) for d in gate.dimensions} <= {source_key(d, gated.tube) for d in dimensions}
    if not on_axes or len(set(own)) != len(own):
        return None
    if isinstance(gate, Rectangle):
        return _rectangle(gate, own, drawn, dimensions, scales)
    if len(own) != 2 or len(drawn) != 2:
        return None
    swapped = own != drawn
    lines = []
    for line in gate_lines(gate, 0, list(scales)):
        shown = on_other_scales(
            line[:, ::-1] if swapped else line,
            [d.transform for d in (reversed(gate.dimensions) if swapped else gate.dimensions)],
            [d.transform for d in dimensions],
        )
        lines.append(shown)
    every = np.concatenate(lines)
    shares = [_along(scale, column) for scale, column in zip(scales, every.T, strict=True)]
    (left, right), (bottom, top) = ((float(s.min()), float(s.max())) for s in shares)
    return tuple(lines), (left, right, bottom, top)


def _rectangle(
    gate: Rectangle,
    own: Sequence[str],
    drawn: Sequence[str],
    dimensions: Sequence[Dimension],
    scales: Sequence[DisplayScale],
) -> tuple[tuple[Array, ...], tuple[float, float, float, float]]:
    """Return the sides of a rectangle on the axes: those of each channel are where its borders are on that axis."""
    from immunolab.plots.gate_outlines import rectangle_sides

    borders: list[tuple[float | None, float | None]] = []
    bounds: list[float] = []
    for name, dimension, scale in zip(drawn, dimensions, scales, strict=True):
        lower, upper = (None, None)
        if name in own:
            place = own.index(name)
            of = gate.dimensions[place].transform
            lower, upper = (_moved(side[place], of, dimension.transform) for side in (gate.lower, gate.upper))
        borders.append((lower, upper))
        ends = np.array([scale.low if lower is None else lower, scale.high if upper is None else upper])
        bounds += [float(share) for share in _along(scale, ends)]
    if len(dimensions) == 1:
        lines = [np.array([edge]) for edge in borders[0] if edge is not None]
        return tuple(lines), (bounds[0], bounds[1], 0.0, 1.0)
    return tuple(rectangle_sides(borders, scales)), (bounds[0], bounds[1], bounds[2], bounds[3])


def _moved(border: float | None, of: Any, to: Any) -> float | None:
    if border is None:
        return None
    return float(border) if of == to else float(to.apply(of.inverse(np.array([border])))[0])


def _along(scale: DisplayScale, values: Array) -> Array:
    return (values - scale.low) / (scale.high - scale.low)


def draw_gates(ax: Axes, gates: Sequence[GateOnAxes]) -> None:
    """Draw gates with their names and numbers.

    Parameters
    ----------
    ax
        Axes in instrument units.
    gates
        As `gates_between` gives them.
    """
    taken: list[Any] = []
    for one in gates:
        draw_outline(ax, one.lines)
        taken.append(write_in_gate(ax, one.bounds, one.words, taken))


def parent_words(population: Population) -> str:
    """Return the name of a population's parent, ``all events`` at the top."""
    return population.parent if population.parent_path else "all events"
