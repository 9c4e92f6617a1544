"""Borders that follow a bridging control from one batch to another: the border moves, no event does.

The same material was stained in both batches, so where its cells are on a channel says how far a border on that channel
has to move. Scatter and viability are of the sample and not of the stain: those gates stay each tube's own.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from immunolab.errors import GatingError
from immunolab.events.tube import Tube
from immunolab.gating.axes import source_key
from immunolab.gating.evaluate import Mask, members
from immunolab.gating.following.channel_move import ENOUGH, ChannelMove, channel_move
from immunolab.gating.following.move_gate import SHAPES, Shape, edges_of, moved_gate
from immunolab.gating.following.template import GatedEvents
from immunolab.gating.following.warp import Warp
from immunolab.gating.strategy import Dimension, Gate, Polygon, Population, Strategy
from immunolab.gating.validation import evaluable

_STAINED = ("fluorescence", "mass")  # kinds of channel that antibodies are on
_NOT_STAINED = ("Viability",)  # of the sample: how many cells are dead, and how dead


class BridgeRefused(Exception):
    """Why a border cannot follow the bridge, in words."""


def gated_events(tube: Tube, strategy: Strategy) -> GatedEvents:
    """Return a tube with the gates that were placed on it, evaluated.

    Parameters
    ----------
    tube
        Events, or a sample of them.
    strategy
        Geometric; gates that the tube does not allow are left out.
    """
    gated = GatedEvents(tube, evaluable(strategy, tube)[0])
    for population in gated.strategy.populations:
        gated.masks[population.path] = members(population, gated.block, gated.masks)
    return gated


def is_stain(dimension: Dimension, tube: Tube) -> bool:
    """Return whether an axis is of an antibody: a channel with a marker, no scatter, no viability dye.

    Parameters
    ----------
    dimension
        Of a gate.
    tube
        Gives the channel.
    """
    if dimension.ratio is not None or dimension.name not in tube:
        return False
    channel = tube.channel(dimension.name)
    return channel.kind in _STAINED and channel.marker is not None and channel.marker not in _NOT_STAINED


@dataclass
class BridgeMoves:
    """The moves of every channel from one batch to another, by one material's tubes of both.

    Attributes
    ----------
    before, after
        The material's tube in either batch, with its own gates.
    further
        Channel -> standard errors added to its moves.
    """

    before: GatedEvents
    after: GatedEvents
    further: Mapping[str, float] = field(default_factory=dict)
    _moves: dict[tuple[str, object], ChannelMove | None] = field(default_factory=dict)
    _carried: dict[str, Mask] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Carry the first tube's gates to the second, from the top of the tree down."""
        own = {p.path: p for p in self.after.strategy.populations}
        for population in self.before.strategy.populations:
            try:
                placed = self.carried(population, own.get(population.path))
                self._carried[population.path] = members(placed, self.after.block, self._carried)
            except (BridgeRefused, GatingError, KeyError):
                continue  # who asks for a move below it gets that of the population above

    @property
    def masks(self) -> Mapping[str, Mask]:
        """Events of the second tube in the first one's populations, their borders carried, by path."""
        return self._carried

    def nudged(self, name: str, errors: float) -> BridgeMoves:
        """Return the same moves with standard errors added on one channel.

        Parameters
        ----------
        name
            Of the channel, as a gate names it.
        errors
            How many.
        """
        other = copy.copy(self)
        other.further = {name: errors}
        return other

    def move(self, path: str, dimension: Dimension) -> ChannelMove:
        """Return the move of an axis, among the events of a population or of the nearest one above with enough.

        Parameters
        ----------
        path
            Of the population; "" for all events.
        dimension
            The axis.

        Raises
        ------
        BridgeRefused
            A tube of the bridge lacks the marker, or has too few events of every population above.
        """
        for tube in (self.before.tube, self.after.tube):
            if dimension.name not in tube:
                raise BridgeRefused(f"the bridge ({tube.sample_id}) lacks {dimension.name}")
        source = source_key(dimension, self.before.tube)
        lineage = _lineage(path)
        for place in lineage:
            found = self._measured(place, dimension, source)
            if found is not None and self._n(place) >= ENOUGH:
                return found
        most = max(self._n(place) for place in lineage if place in self._carried or not place)
        raise BridgeRefused(f"the bridge has {most:,} events to place {dimension.name} by, where {ENOUGH:,} are needed")

    def _n(self, place: str) -> int:
        if not place:
            return min(self.before.tube.n_events, self.after.tube.n_events)
        return int(min(self.before.masks[place].sum(), self._carried[place].sum()))

    def _measured(self, place: str, dimension: Dimension, source: object) -> ChannelMove | None:
        if place and (place not in self.before.masks or place not in self._carried):
            return None
        if (place, source) not in self._moves:
            first, second = self.before.block.axis(dimension), self.after.block.axis(dimension)
            if place:
                first, second = first[self.before.masks[place]], second[self._carried[place]]
            self._moves[place, source] = channel_move(first, second)
        return self._moves[place, source]

    def carried(self, population: Population, own: Population | None) -> Population:
        """Return a population with its gate where the second batch has it.

        Parameters
        ----------
        population
            With its gate in the first batch.
        own
            The same population of a tube of the second batch, whose gate stays where nothing of it is a stain; None
            where that tube has none.
        """
        gate = population.gate
        if not isinstance(gate, SHAPES):
            return population
        stained = [is_stain(dimension, self.before.tube) for dimension in gate.dimensions]
        if not any(stained):
            return replace(population, gate=own.gate) if own is not None else population
        moves = [
            self.move(population.parent_path, dimension).further(self.further.get(dimension.name, 0.0))
            if by_stain
            else None
            for dimension, by_stain in zip(gate.dimensions, stained, strict=True)
        ]
        return replace(population, gate=moved_gate(gate, _warp(moves)))


def _lineage(path: str) -> list[str]:
    """Return a path and those above it, nearest first; "" is all events."""
    parts = path.strip("/").split("/") if path.strip("/") else []
    return ["/" + "/".join(parts[:n]) for n in range(len(parts), 0, -1)] + [""]


def _warp(moves: Sequence[ChannelMove | None]) -> Warp:
    n = max((len(move.knots) for move in moves if move is not None), default=2)
    knots = [move.knots if move is not None else np.linspace(0.0, 1.0, n) for move in moves]
    return Warp(np.stack(knots), np.stack([move.moves if move is not None else np.zeros(n) for move in moves]))


def followed(anchor: Strategy, own: Strategy, moves: BridgeMoves) -> Strategy:
    """Return the gates of a patient's tube with the borders of another batch, moved as the bridge says.

    Parameters
    ----------
    anchor
        The patient's gates in the first batch.
    own
        The gates of the tube itself: those of scatter and viability stay, and what the first batch has not.
    moves
        From the first batch to the tube's.

    Raises
    ------
    BridgeRefused
        A border cannot follow the bridge.
    """
    there = {p.path: p for p in anchor.populations}
    placed = []
    for population in own.populations:
        first = there.get(population.path)
        if first is None or not _same_axes(first.gate, population.gate):
            placed.append(population)
            continue
        placed.append(replace(population, gate=moves.carried(first, population).gate))
    return replace(own, populations=tuple(placed))


def _same_axes(first: Gate | None, second: Gate | None) -> bool:
    if not isinstance(first, SHAPES) or not isinstance(second, SHAPES):
        return False
    return [d.name for d in first.dimensions] == [d.name for d in second.dimensions]


def stain_edges(gated: GatedEvents) -> dict[tuple[str, str], tuple[Dimension, float]]:
    """Return (path, marker) -> the axis and the place of a border: of a shape, the mean edge among the events.

    Parameters
    ----------
    gated
        A tube with its gates.
    """
    found: dict[tuple[str, str], tuple[Dimension, float]] = {}
    for population in gated.strategy.populations:
        gate = population.gate
        if not isinstance(gate, SHAPES):
            continue
        for axis, dimension in enumerate(gate.dimensions):
            if is_stain(dimension, gated.tube):
                place = _place(gate, axis, gated, population.parent_path, dimension)
                found[population.path, str(gated.tube.channel(dimension.name).marker)] = dimension, place
    return found


def _place(gate: Shape, axis: int, gated: GatedEvents, parent: str, dimension: Dimension) -> float:
    """Return the mean of a gate's edges on an axis that are among the parent's events."""
    edges = [vertex[axis] for vertex in gate.vertices] if isinstance(gate, Polygon) else list(edges_of(gate)[axis])
    values = gated.block.axis(dimension)
    values = values[gated.masks[parent]] if parent in gated.masks else values
    values = values[np.isfinite(values)]
    low, high = np.quantile(values, [0.001, 0.999]) if len(values) else (-np.inf, np.inf)
    inside = [edge for edge in edges if edge is not None and low <= edge <= high]
    return float(np.mean(inside)) if inside else float("nan")
