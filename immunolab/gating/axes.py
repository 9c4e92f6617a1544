"""Coordinates of events on the axes of gates: compensated and transformed once, exactly where it matters."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from immunolab.errors import GatingError
from immunolab.events.compensation import weighted_sums
from immunolab.events.transforms import TABLE_ERROR, Bounded, Hyperlog, Logicle, Transform
from immunolab.events.tube import Spillover, Tube
from immunolab.gating.gates import Dimension, Ellipsoid, Polygon, PopulationTree, Rectangle

Array = NDArray[np.float64]
Tree = TypeVar("Tree", bound=PopulationTree)


def error_of(scale: Transform) -> float:
    """Return how far `Transform.apply` may be from the exact arithmetic, on the display scale."""
    inner = scale.scale if isinstance(scale, Bounded) else scale
    return TABLE_ERROR if isinstance(inner, Logicle | Hyperlog) else 0.0


def _shown(scale: Transform, values: Array, exact: bool) -> Array:
    if exact and isinstance(scale, Logicle | Hyperlog):
        return scale.exact(values)
    if exact and isinstance(scale, Bounded):
        return np.clip(_shown(scale.scale, values, exact), scale.low, scale.high)
    return scale.apply(values)


@dataclass
class Axes:
    """The axes of gates on one tube: which channels each compensation needs, and their weights.

    Attributes
    ----------
    tube
        Whose events are gated.
    matrices
        Spillover matrices that dimensions name by id.
    dimensions
        Axes whose channels are compensated together; any other one is compensated when asked for.
    """

    tube: Tube
    matrices: Mapping[str, Spillover]
    dimensions: tuple[Dimension, ...] = ()

    @classmethod
    def of(cls, strategy: PopulationTree, tube: Tube) -> Axes:
        """Return the axes that a strategy's gates are on.

        Parameters
        ----------
        strategy
            Any; gates that are not placed yet have no axes.
        tube
            Gives the channels.
        """
        gates = [p.gate for p in strategy.populations if isinstance(p.gate, Rectangle | Polygon | Ellipsoid)]
        return cls(tube, strategy.matrices, tuple(dimension for gate in gates for dimension in gate.dimensions))

    @cached_property
    def weights(self) -> dict[str, tuple[dict[str, int], Array]]:
        """Compensation -> (row by channel, weights as `Tube.weights` gives them)."""
        names: dict[str, dict[str, int]] = {}
        for dimension in self.dimensions:
            rows = names.setdefault(dimension.compensation, {})
            for name in channels_of(dimension):
                rows.setdefault(name, len(rows))
        return {key: (rows, self.weights_of(tuple(rows), key)) for key, rows in names.items()}

    def weights_of(self, names: tuple[str, ...], compensation: str) -> Array:
        """Return what compensation multiplies the tube's channels with, names x channels.

        Parameters
        ----------
        names
            Channels or markers.
        compensation
            ``none``, ``sample`` (the tube's own matrix), or the name of a matrix of the strategy.

        Raises
        ------
        GatingError
            A channel is not in the tube, or there is no matrix of that name.
        """
        if compensation == "none":
            weights = np.zeros((len(names), len(self.tube.channels)))
            weights[np.arange(len(names)), [self.tube.find(name) for name in names]] = 1.0
            return weights
        if compensation == "sample":
            return self.tube.weights(names)
        if compensation not in self.matrices:
            hint = f"the strategy has: {', '.join(self.matrices) or 'none'}"
            raise GatingError(f"spillover matrix '{compensation}' is unknown", self.tube.sample_id, hint)
        return self.tube.weights(names, self.matrices[compensation])

    def block(self, start: int = 0, stop: int | None = None) -> Block:
        """Return the events from start to stop; all of them by default.

        Parameters
        ----------
        start, stop
            Event numbers, from 0; ``stop`` is not among them.
        """
        return Block(self, self.tube.columns[:, start:stop])


def channels_of(dimension: Dimension) -> tuple[str, ...]:
    """Return the channels (or markers) a dimension is made of."""
    ratio = dimension.ratio
    return (dimension.name,) if ratio is None else (ratio.numerator, ratio.denominator)


def same_source(one: Dimension, other: Dimension, tube: Tube) -> bool:
    """Return whether two dimensions are the same quantity, on whatever scale.

    Parameters
    ----------
    one, other
        Of gates or axes.
    tube
        Gives the channel of each marker.
    """
    return source_key(one, tube) == source_key(other, tube)


def source_key(dimension: Dimension, tube: Tube) -> object:
    """Return what a dimension is of, without its scale: a ratio, or a channel and what compensates it.

    Parameters
    ----------
    dimension
        Of a gate or an axis.
    tube
        Gives the channel of each marker, and says which channels its matrix leaves as they are.
    """
    if dimension.ratio is not None:
        return dimension.ratio
    channel = tube.channel(dimension.name).name
    matrix = tube.spillover
    untouched = dimension.compensation in ("sample", "none") and (matrix is None or channel not in matrix.channels)
    return channel, "none" if untouched else dimension.compensation


def on_channels(strategy: Tree, tube: Tube) -> Tree:
    """Return the strategy with every dimension naming the tube's channel instead of its marker, for export.

    Parameters
    ----------
    strategy
        With markers or channels as dimensions.
    tube
        Gives the channel of each marker.

    Raises
    ------
    GatingError
        The tube has no such channel, or several channels share a marker.
    """

    def renamed(dimension: Dimension) -> Dimension:
        ratio = dimension.ratio
        if ratio is None:
            return replace(dimension, name=tube.channel(dimension.name).name)
        top, bottom = (tube.channel(name).name for name in (ratio.numerator, ratio.denominator))
        return replace(dimension, ratio=replace(ratio, numerator=top, denominator=bottom))

    populations = []
    for population in strategy.populations:
        gate = population.gate
        if isinstance(gate, Rectangle | Polygon | Ellipsoid):
            moved: Any = tuple(renamed(dimension) for dimension in gate.dimensions)
            population = replace(population, gate=replace(gate, dimensions=moved))
        populations.append(population)
    return replace(strategy, populations=tuple(populations))


@dataclass
class Block:
    """Some events of a tube, with each axis computed once; ``exact`` ones without tables."""

    axes: Axes
    columns: NDArray[np.float32]
    exact: bool = False
    _linear: dict[str, Array] = field(default_factory=dict)
    _shown: dict[Dimension, Array] = field(default_factory=dict)

    @property
    def n_events(self) -> int:
        """Number of events."""
        return int(self.columns.shape[1])

    def only(self, events: NDArray[np.intp]) -> Block:
        """Return some of the events, to be computed exactly."""
        return Block(self.axes, np.ascontiguousarray(self.columns[:, events]), exact=True)

    def axis(self, dimension: Dimension) -> Array:
        """Return the coordinate of every event on a dimension's scale."""
        if dimension not in self._shown:
            self._shown[dimension] = _shown(dimension.transform, self._untransformed(dimension), self.exact)
        return self._shown[dimension]

    def _untransformed(self, dimension: Dimension) -> Array:
        ratio = dimension.ratio
        if ratio is None:
            return self._channel(dimension.name, dimension.compensation)
        top = self._channel(ratio.numerator, dimension.compensation) - ratio.b
        bottom = self._channel(ratio.denominator, dimension.compensation) - ratio.c
        with np.errstate(divide="ignore", invalid="ignore"):
            return ratio.a * (top / bottom)

    def _channel(self, name: str, compensation: str) -> Array:
        rows, weights = self.axes.weights.get(compensation, ({}, np.empty((0, 0))))
        if name not in rows:
            return np.asarray(weighted_sums(self.axes.weights_of((name,), compensation), self.columns)[0])
        if compensation not in self._linear:
            self._linear[compensation] = weighted_sums(weights, self.columns)
        return np.asarray(self._linear[compensation][rows[name]])
