"""Template tubes: those that gates were drawn on, and their gates on the channels of another tube."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np

from immunolab.errors import GatingError, Problem
from immunolab.events.tube import Spillover, Tube
from immunolab.gating.axes import Axes, Block, channels_of
from immunolab.gating.evaluate import Mask, members
from immunolab.gating.following.fit_warp import Clouds, fit_moves, shares_at
from immunolab.gating.following.mixture import fit_mixture
from immunolab.gating.following.move_gate import SHAPES, Shape
from immunolab.gating.method_results import Array
from immunolab.gating.placement.scales import measure_scales, on_scales
from immunolab.gating.strategy import Dimension, Strategy
from immunolab.gating.tube_gates import TubeGates
from immunolab.gating.validation import evaluable

EVENTS = 4000  # events of the template that describe its clouds (judgement: time; eight clouds of 500 events)
FEWEST = 100  # events of a parent under which nothing is fitted to it (judgement: a cloud of 50 has a mean to 0.14 sd)
_SAME_MATRIX = 1e-3  # largest difference of spillover matrices that are one, rounded by two programs


@dataclass
class GatedEvents:
    """A tube whose gates are evaluated one after the other.

    Attributes
    ----------
    tube
        Its events.
    strategy
        Gates on its channels.
    masks
        path -> bool, one value an event, for each population placed.
    """

    tube: Tube
    strategy: Strategy
    masks: dict[str, Mask] = field(default_factory=dict)

    @cached_property
    def block(self) -> Block:
        """Coordinates of all events."""
        return Axes.of(self.strategy, self.tube).block()

    def has(self, path: str) -> bool:
        """Whether the tube can have a population."""
        return any(population.path == path for population in self.strategy.populations)

    def gate_of(self, path: str) -> Shape | None:
        """Return the gate of a population on the tube's channels, where it has one with coordinates."""
        gates = (population.gate for population in self.strategy.populations if population.path == path)
        return next((gate for gate in gates if isinstance(gate, SHAPES)), None)

    def values(self, path: str, dimensions: Sequence[Dimension], most: int, seed: int) -> Array:
        """Return at most so many events of a population on some axes, events x axes, finite.

        Parameters
        ----------
        path
            Of a population placed, or "" for all events.
        dimensions
            The axes.
        most, seed
            Events drawn without replacement.
        """
        rows = np.flatnonzero(self.masks[path]) if path else np.arange(self.tube.n_events)
        found = np.stack([self.block.axis(dimension)[rows] for dimension in dimensions], axis=1)
        found = found[np.isfinite(found).all(axis=1)]
        return found[np.random.default_rng(seed).permutation(len(found))[:most]]


class Template(GatedEvents):
    """A tube with the gates that were drawn on it, and its clouds under each parent."""

    def __init__(self, tube: Tube, gates: TubeGates) -> None:
        strategy, faults = evaluable(on_scales(measure_scales(gates.strategy, [tube]), tube), tube)
        if not strategy.populations:
            first = faults[0] if faults else Problem("", "", "it has no gate")
            raise GatingError(f"the gates cannot be evaluated on the template: {first.message}", tube.file, first.hint)
        super().__init__(tube, strategy)
        for population in strategy.populations:
            self.masks[population.path] = members(population, self.block, self.masks)
        self._clouds: dict[tuple[str, tuple[Dimension, ...]], tuple[Clouds, Array, Array] | None] = {}

    @property
    def name(self) -> str:
        """What the template is called in tables."""
        return self.tube.sample_id

    def clouds(self, path: str, dimensions: tuple[Dimension, ...], seed: int) -> tuple[Clouds, Array, Array] | None:
        """Return a parent's clouds, the moves that are fitted to its own events, and the events; None for too few.

        Parameters
        ----------
        path
            The parent.
        dimensions
            Axes of the gates below it.
        seed
            Of the events drawn.
        """
        key = path, dimensions
        if key not in self._clouds:
            events = self.values(path, dimensions, EVENTS, seed)
            scale = events.std(axis=0) if len(events) else np.zeros(len(dimensions))
            if len(events) < FEWEST or not np.all(scale > 0):
                self._clouds[key] = None
                return None
            centre = np.median(events, axis=0)
            standard = (events - centre) / scale
            mixture = fit_mixture(standard, np.random.default_rng(seed))
            low, high = np.quantile(standard, [0.005, 0.995], axis=0)
            clouds = Clouds(mixture, centre, scale, low, np.maximum(high, low + 1e-3))
            start = shares_at(clouds, np.zeros_like(clouds.knots), [standard])
            self._clouds[key] = clouds, fit_moves(clouds, [standard], start).moves, standard
        return self._clouds[key]


def on_tube(template: Template, tube: Tube, own: Strategy | None) -> tuple[Strategy, tuple[Problem, ...]]:
    """Return the template's gates on the channels and the compensation of another tube, and gates it cannot have.

    A channel is found by the marker that it has in the template; the spillover matrix is the one that the gate file has
    for the tube, else the tube's own where the template's gates are on the template's own, else the template's.

    Parameters
    ----------
    template
        With its gates.
    tube
        Another tube.
    own
        What the gate file has for the tube; None where it has nothing.
    """
    matrices = {name: _matrix(name, template, tube, own) for name in template.strategy.matrices}
    kept, faults, bad = [], [], set()
    for population in template.strategy.populations:
        gate = population.gate
        if isinstance(gate, SHAPES):
            try:
                dimensions = tuple(_dimension(one, template.tube, tube, matrices) for one in gate.dimensions)
            except GatingError as error:
                faults.append(Problem(tube.sample_id, population.path, error.message, error.hint))
                bad.add(population.path)
                continue
            changed: Shape = replace(gate, dimensions=dimensions)  # type: ignore[arg-type]
            population = replace(population, gate=changed)
        kept.append(population)
    used = {name: matrix for name, matrix in matrices.items() if matrix is not None}
    strategy, further = evaluable(replace(template.strategy, populations=tuple(kept), matrices=used), tube)
    return strategy, (*faults, *(one for one in further if one.place not in bad))


def _dimension(dimension: Dimension, template: Tube, tube: Tube, matrices: Mapping[str, Spillover | None]) -> Dimension:
    names = {name: _channel(name, template, tube) for name in channels_of(dimension)}
    own = dimension.compensation in matrices and matrices[dimension.compensation] is None
    changed = replace(dimension, compensation="sample") if own else dimension
    if dimension.ratio is None:
        return replace(changed, name=names[dimension.name])
    ratio = dimension.ratio
    return replace(
        changed, ratio=replace(ratio, numerator=names[ratio.numerator], denominator=names[ratio.denominator])
    )


def _channel(name: str, template: Tube, tube: Tube) -> str:
    """Return the tube's channel for a channel or marker of the template."""
    drawn = template.channel(name)
    same = [channel for channel in tube.channels if channel.name == drawn.name]
    if same and (drawn.marker is None or same[0].marker in (None, drawn.marker)):
        return same[0].name
    if drawn.marker is not None and drawn.marker in tube:
        return tube.channel(drawn.marker).name
    there = f"it is {same[0].marker} there" if same else "the tube has no such channel"
    message = f"the template's {drawn.name} is {drawn.marker or 'without a marker'}, {there}"
    raise GatingError(message, tube.sample_id, "give a template of the tube's panel, or name its markers")


def _matrix(name: str, template: Template, tube: Tube, own: Strategy | None) -> Spillover | None:
    """Return a tube's matrix in place of the template's; None is the tube's own."""
    drawn = template.strategy.matrices[name]
    if own is not None and own.matrices:
        return own.matrices.get(name, next(iter(own.matrices.values())))
    acquired = template.tube.spillover
    is_acquired = (
        acquired is not None
        and acquired.channels == drawn.channels
        and np.allclose(acquired.matrix, drawn.matrix, atol=_SAME_MATRIX)
    )
    return None if is_acquired or not all(channel in tube for channel in drawn.channels) else drawn
