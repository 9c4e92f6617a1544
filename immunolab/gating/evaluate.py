"""Evaluation of a geometric strategy on one tube: the one evaluator, also of placing.

The tube is walked in blocks of events that fit the processor's cache. In a block every gate tests
only the parent's events, and a channel is compensated and transformed once, when the first gate needs it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from immunolab.errors import GatingError
from immunolab.events.tube import Tube
from immunolab.gating import geometry
from immunolab.gating.axes import Axes, Block, error_of
from immunolab.gating.strategy import (
    Boolean,
    Declared,
    Dimension,
    Ellipsoid,
    Gate,
    Memberships,
    Polygon,
    Population,
    Rectangle,
    Strategy,
)
from immunolab.gating.validation import gate_problems

_BLOCK = 16_384  # events; a block of twenty channels stays in the cache, and workers seldom wait for each other
Mask = NDArray[np.bool_]
Shape = Rectangle | Polygon | Ellipsoid


def evaluate(strategy: Strategy, events: Tube, known: Mapping[str, Mask] | None = None) -> Memberships:
    """Return which events of a tube are in which population.

    Parameters
    ----------
    strategy
        All its gates placed.
    events
        The whole tube, linear scale.
    known
        Path to the events of populations that need no evaluation.

    Raises
    ------
    GatingError
        A gate cannot be evaluated on this tube (absent channel, unknown matrix, not placed yet);
        the message names the gate's path. `validation.evaluable` drops such gates instead.
    """
    _refuse(strategy, events)
    given = known or {}
    fresh = tuple(population for population in strategy.populations if population.path not in given)
    needed = {path: given[path] for path in {path for p in fresh for path in p.depends_on} if path in given}
    n_bytes = -(-events.n_events // 8)
    packed = {
        p.path: np.packbits(given[p.path]) if p.path in given else np.zeros(n_bytes, dtype=np.uint8)
        for p in strategy.populations
    }
    axes = Axes.of(replace(strategy, populations=fresh), events)
    step = -(-_BLOCK // 8) * 8  # events whose masks are whole bytes
    for start in range(0, events.n_events if fresh else 0, step):
        block = axes.block(start, start + step)
        here = {path: mask[start : start + step] for path, mask in needed.items()}
        for population in fresh:
            mask = here[population.path] = members(population, block, here)
            bits = np.packbits(mask)
            packed[population.path][start // 8 : start // 8 + len(bits)] = bits
    return Memberships(strategy, _PackedMasks(packed, events.n_events))


def count_each(strategies: Sequence[Strategy], events: Tube) -> list[dict[str, int]]:
    """Return how many events are in each population, by path, of each of several strategies.

    Where an event is on an axis is computed once for all of them, not once for each as `evaluate` does.

    Parameters
    ----------
    strategies
        All their gates placed; strategies with other borders on the same axes cost little.
    events
        The whole tube, linear scale.

    Raises
    ------
    GatingError
        As `evaluate` does.
    """
    for strategy in strategies:
        _refuse(strategy, events)
    found = [dict.fromkeys((p.path for p in strategy.populations), 0) for strategy in strategies]
    axes = [Axes.of(strategy, events) for strategy in strategies[:1]]
    for start in range(0, events.n_events if axes else 0, _BLOCK):
        block = axes[0].block(start, start + _BLOCK)
        for strategy, counts in zip(strategies, found, strict=True):
            here: dict[str, Mask] = {}
            for population in strategy.populations:
                here[population.path] = members(population, block, here)
                counts[population.path] += int(np.count_nonzero(here[population.path]))
    return found


def _refuse(strategy: Strategy, events: Tube) -> None:
    for problem in gate_problems(strategy, events):
        raise GatingError(problem.message, f"{problem.file} {problem.place}".strip(), problem.hint)


class _PackedMasks(Mapping[str, Mask]):
    """Masks kept as a bit an event: all populations of a tube take less than one of its channels."""

    def __init__(self, packed: Mapping[str, NDArray[np.uint8]], n_events: int) -> None:
        self._packed = packed
        self._n_events = n_events

    def __getitem__(self, path: str) -> Mask:
        return np.unpackbits(self._packed[path], count=self._n_events).view(np.bool_)

    def __iter__(self) -> Iterator[str]:
        return iter(self._packed)

    def __len__(self) -> int:
        return len(self._packed)


def coordinates(strategy: Strategy, events: Tube) -> Callable[[Dimension], NDArray[np.float64]]:
    """Return a function that gives every event's coordinate on a gate's dimension, each computed once.

    Parameters
    ----------
    strategy
        Gives the scales and matrices of its dimensions.
    events
        The whole tube, linear scale.

    Returns
    -------
    callable
        Dimension to coordinates on the gate's scale, of shape (events,).
    """
    return Axes.of(strategy, events).block().axis


def members(population: Population, block: Block, masks: Mapping[str, Mask]) -> Mask:
    """Return which events of a block are in a population; a parent without events costs nothing.

    Events nearer to an edge than a tabulated scale is exact are tested again on exact coordinates.

    Parameters
    ----------
    population
        With a geometric gate, or none.
    block
        Some or all events of a tube.
    masks
        Path -> the block's events, of the parent and of operands.
    """
    parent = masks[population.parent_path] if population.parent_path else np.ones(block.n_events, dtype=np.bool_)
    return in_gate(population.gate, parent, block, masks)


def in_gate(gate: Gate | None, parent: Mask, block: Block, masks: Mapping[str, Mask]) -> Mask:
    """Return which of a parent's events are in a gate.

    Parameters
    ----------
    gate
        Geometric; None keeps the parent.
    parent
        The block's events that are looked at.
    block
        Some or all events of a tube.
    masks
        Path -> the block's events, of the gate's operands.
    """
    if gate is None or not parent.any():
        return parent
    if isinstance(gate, Boolean):
        return _combine(gate, masks) & parent
    if isinstance(gate, Declared):
        raise TypeError(f"the {gate.kind} gate has no coordinates yet")
    error = max(error_of(dimension.transform) for dimension in gate.dimensions)
    code = _codes(gate, block, parent, error)
    if error > 0.0:
        near = np.flatnonzero(code == geometry.UNSURE)
        if near.size:
            code[near] = _codes(gate, block.only(near), np.ones(near.size, dtype=np.bool_), 0.0)
    return code.view(np.bool_)


def _combine(gate: Boolean, masks: Mapping[str, Mask]) -> Mask:
    terms = [~masks[path] if flip else masks[path] for path, flip in zip(gate.operands, gate.complement, strict=True)]
    if gate.operator == "not":
        return ~terms[0]
    return np.asarray(np.logical_and.reduce(terms) if gate.operator == "and" else np.logical_or.reduce(terms))


def _codes(gate: Shape, block: Block, within: Mask, error: float) -> NDArray[np.uint8]:
    if isinstance(gate, Polygon):
        x, y = (block.axis(dimension) for dimension in gate.dimensions)
        return geometry.in_polygon(x, y, gate.vertices, within, error)
    if isinstance(gate, Ellipsoid):
        coordinates = np.stack([block.axis(dimension) for dimension in gate.dimensions])
        return geometry.in_ellipsoid(coordinates, gate.mean, gate.covariance, gate.distance_square, within, error)
    code = within.view(np.uint8)
    for dimension, lower, upper in zip(gate.dimensions, gate.lower, gate.upper, strict=True):
        code = geometry.in_interval(block.axis(dimension), lower, upper, code, error)
    return code
