"""What a gating figure needs of a tube, as small arrays: drawn later, without the events.

A worker that holds the events makes the views; whoever draws them needs neither the events nor the
gates. Axes depend on the scale and not on the tube, so that a patient's visits can be compared.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields, replace
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from immunolab.events.subsample import drawn_rows
from immunolab.events.tube import Tube
from immunolab.gating.strategy import (
    ROOT,
    Boolean,
    Dimension,
    Ellipsoid,
    Memberships,
    Polygon,
    Population,
    Rectangle,
    Strategy,
)
from immunolab.plots.event_bins import bin_values
from immunolab.plots.gate_outlines import gate_borders, gate_lines, step_note, within_borders
from immunolab.plots.scales import DisplayScale, scale_of

BINS = 96  # of an axis: about one a printed half millimetre
MOST_EVENTS = 20_000  # drawn of a population; more change no pixel but take disk
MOST_MEMBERS = 400  # drawn as single points over the density
Array = NDArray[np.float64]
Axis = Callable[[Dimension], Array]


@dataclass(frozen=True)
class GateView:
    """One panel of a gating figure.

    Attributes
    ----------
    sample_id, path, name, parent
        What is gated, and in what.
    part
        ``1 of 2`` when a gate has more than two dimensions and is drawn in steps.
    x, y
        Axes; ``y`` is None for a histogram.
    counts
        Events of the parent in each bin, ``(BINS, BINS)`` with y first, or ``(BINS,)``; without those beyond the axes.
    lines
        The gate's border as runs of (x, y) points on the display scale; a histogram's has x only.
    members
        (x, y) of some members, for a gate without a border on these axes (and, or, not); a histogram's have y 0.
    n_events, n_parent
        Events inside and in the parent, of all events, not of those drawn.
    n_drawn
        Events of the parent that were drawn, those beyond the axes among them.
    flag
        Words that qualify the gate.
    note
        What the panel does not show by itself.
    """

    sample_id: str
    path: str
    name: str
    parent: str
    x: DisplayScale
    y: DisplayScale | None
    counts: NDArray[np.uint32]
    lines: tuple[Array, ...]
    n_events: int
    n_parent: int
    n_drawn: int
    members: Array
    part: str = ""
    flag: str = ""
    note: str = ""

    @property
    def n_beyond(self) -> int:
        """Events, of those drawn, that are beyond the axes."""
        return self.n_drawn - int(self.counts.sum())

    def without_lines(self) -> GateView:
        """Return the view without the gate's border."""
        return replace(self, lines=())

    @property
    def percent(self) -> float:
        """Percent of the parent; NaN for an empty parent."""
        return 100.0 * self.n_events / self.n_parent if self.n_parent else float("nan")


def gate_views(strategy: Strategy, events: Tube, memberships: Memberships, *, seed: int = 0) -> list[GateView]:
    """Return one view (or more, for gates of over two dimensions) for each gated population.

    Parameters
    ----------
    strategy
        A geometric strategy; populations without a gate have no view.
    events
        The tube.
    memberships
        The strategy evaluated on the tube.
    seed
        Of the subsample: at most 20,000 events of each parent are drawn.
    """
    views: list[GateView] = []
    drawn: dict[str, _Drawn] = {}
    for population in strategy.populations:
        dimensions = gate_dimensions(population, strategy)
        if not dimensions:
            continue
        if population.parent_path not in drawn:
            drawn[population.parent_path] = _draw(population.parent_path, strategy, events, memberships, seed)
        views += _panels(population, dimensions, drawn[population.parent_path], events, memberships)
    return views


def save_views(views: Sequence[GateView], path: Path) -> None:
    """Write views to one npz file: points and counts end to end, words and axes as JSON; same views, same bytes.

    Parameters
    ----------
    views
        Views of one sample.
    path
        File to write.
    """
    words = []
    for view in views:
        plain = {f.name: getattr(view, f.name) for f in fields(view) if f.name not in ("counts", "lines", "members")}
        axes = {"x": vars(view.x), "y": vars(view.y) if view.y else None}
        words.append(plain | axes | {"lines": [line.shape for line in view.lines], "members": len(view.members)})
    flat = [line.ravel() for view in views for line in view.lines]
    arrays: dict[str, Any] = {
        "words": np.array(json.dumps(words)),
        "lines": np.concatenate(flat) if flat else np.empty(0),
        "members": np.concatenate([view.members for view in views]) if views else np.empty((0, 2)),
        "densities": np.array([v.counts for v in views if v.y], dtype=np.uint32).reshape(-1, BINS, BINS),
        "histograms": np.array([v.counts for v in views if not v.y], dtype=np.uint32).reshape(-1, BINS),
    }
    with path.open("wb") as handle:
        np.savez_compressed(handle, **arrays)


def read_views(path: Path) -> list[GateView]:
    """Return the views that `save_views` wrote.

    Parameters
    ----------
    path
        File that `save_views` wrote.
    """
    with np.load(path) as stored:
        arrays = {name: stored[name] for name in stored.files}
    counts = {True: iter(arrays["densities"]), False: iter(arrays["histograms"])}
    points, members = _Taker(arrays["lines"]), _Taker(arrays["members"])
    views = []
    for plain in json.loads(str(arrays["words"])):
        plain["x"], plain["y"] = _scale(plain["x"]), _scale(plain["y"]) if plain["y"] else None
        plain["lines"] = tuple(points.take(prod(shape)).reshape(shape) for shape in plain["lines"])
        plain["members"] = members.take(plain["members"])
        views.append(GateView(counts=next(counts[plain["y"] is not None]), **plain))
    return views


class _Taker:
    """Hands out an array piece by piece."""

    def __init__(self, array: Array) -> None:
        self.array, self.start = array, 0

    def take(self, n: int) -> Array:
        self.start += n
        return self.array[self.start - n : self.start]


def _scale(plain: dict[str, Any]) -> DisplayScale:
    words: dict[str, Any] = {name: tuple(value) if isinstance(value, list) else value for name, value in plain.items()}
    return DisplayScale(**words)


@dataclass(frozen=True)
class _Drawn:
    """A subsample of one parent's events."""

    rows: NDArray[np.intp]
    n_parent: int
    axis: Axis


def _draw(path: str, strategy: Strategy, events: Tube, memberships: Memberships, seed: int) -> _Drawn:
    rows = np.flatnonzero(memberships.masks[path]) if path else np.arange(events.n_events)
    from immunolab.gating.evaluate import coordinates  # with numba; whoever draws stored views needs neither

    n_parent = len(rows)
    rows = drawn_rows(rows, MOST_EVENTS, [seed, zlib.crc32(path.encode())])
    return _Drawn(rows, n_parent, coordinates(strategy, events.take(rows)))


def gate_dimensions(population: Population, strategy: Strategy) -> tuple[Dimension, ...]:
    """Return the axes to draw a gate on; for a boolean gate those of its first geometric operand.

    Parameters
    ----------
    population
        Of the strategy.
    strategy
        Geometric.
    """
    gate = population.gate
    if isinstance(gate, Rectangle | Polygon | Ellipsoid):
        return tuple(gate.dimensions)
    if isinstance(gate, Boolean):
        for operand in gate.operands:
            dimensions = gate_dimensions(strategy[operand], strategy)
            if dimensions:
                return dimensions[:2]
    return ()


def _panels(
    population: Population, dimensions: tuple[Dimension, ...], drawn: _Drawn, events: Tube, memberships: Memberships
) -> Iterator[GateView]:
    """Yield a view for each two dimensions of a gate; each shows the events inside the borders of those before it."""
    gate = population.gate
    steps = [dimensions[i : i + 2] for i in range(0, len(dimensions), 2)]
    inside = np.ones(len(drawn.rows), dtype=np.bool_)
    member = memberships.masks[population.path]
    for step, pair in enumerate(steps):
        values = [drawn.axis(dimension) for dimension in pair]
        borders = gate_borders(gate, 2 * step, len(pair))
        scales = [
            scale_of(dimension, value, border, events)
            for dimension, value, border in zip(pair, values, borders, strict=True)
        ]
        is_boolean = isinstance(gate, Boolean)
        counted = bin_values([value[inside] for value in values], scales, BINS)
        yield GateView(
            sample_id=events.sample_id,
            path=population.path,
            name=population.name,
            parent=population.parent if population.parent_path else ROOT,
            x=scales[0],
            y=scales[1] if len(pair) == 2 else None,
            counts=counted.counts,
            lines=tuple(gate_lines(gate, 2 * step, scales)),
            n_events=int(np.count_nonzero(member)),
            n_parent=drawn.n_parent,
            n_drawn=int(np.count_nonzero(inside)),
            members=_some(values, member[drawn.rows]) if is_boolean else np.empty((0, 2)),
            part=f"{step + 1} of {len(steps)}" if len(steps) > 1 else "",
            flag=population.flag,
            note=step_note(gate, step, len(steps)),
        )
        if isinstance(gate, Rectangle):
            inside &= within_borders(values, borders)


def _some(values: list[Array], member: NDArray[np.bool_]) -> Array:
    rows = np.flatnonzero(member)
    step = max(1, -(-len(rows) // MOST_MEMBERS))
    x = values[0][rows[::step]]
    return np.column_stack([x, values[1][rows[::step]] if len(values) == 2 else np.zeros_like(x)])
