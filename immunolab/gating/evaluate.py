"""Evaluation of a geometric strategy on one tube, and the tables made of it.

The tube is walked in blocks of events that fit the processor's cache. In a block every gate tests
only the parent's events, and a channel is compensated and transformed once, when the first gate needs it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from immunolab.errors import GatingError
from immunolab.events.tube import Tube
from immunolab.gating import geometry
from immunolab.gating.axes import Axes, Block, error_of
from immunolab.gating.strategy import (
    ROOT,
    Boolean,
    Declared,
    Dimension,
    Ellipsoid,
    Memberships,
    Polygon,
    Population,
    Rectangle,
    Strategy,
)
from immunolab.gating.validation import problems
from immunolab.schema.tables import COUNTS

_BLOCK = 32_768  # events; a block of twenty channels stays in the cache, and workers seldom wait for each other
LIMIT_OF_DETECTION, LIMIT_OF_QUANTIFICATION = 20, 50
Mask = NDArray[np.bool_]
Shape = Rectangle | Polygon | Ellipsoid


def evaluate(strategy: Strategy, events: Tube) -> Memberships:
    """Return which events of a tube are in which population.

    Raises
    ------
    GatingError
        A gate cannot be evaluated on this tube (absent channel, unknown matrix, not fitted yet);
        the message names the gate's path. `soundness.sound` drops such gates instead.
    """
    for problem in problems(strategy, events):
        raise GatingError(problem.message, f"{problem.file} {problem.place}".strip(), problem.hint)
    masks = {population.path: np.zeros(events.n_events, dtype=np.bool_) for population in strategy.populations}
    axes = Axes.of(strategy, events)
    for start in range(0, events.n_events, _BLOCK):
        block = axes.block(start, start + _BLOCK)
        here = {path: mask[start : start + _BLOCK] for path, mask in masks.items()}
        for population in strategy.populations:
            here[population.path][:] = members(population, block, here)
    return Memberships(strategy, masks)


def coordinates(strategy: Strategy, events: Tube) -> Callable[[Dimension], NDArray[np.float64]]:
    """Return a function that gives every event's coordinate on a gate's dimension, each computed once."""
    return Axes.of(strategy, events).block().axis


def on_channels(strategy: Strategy, events: Tube) -> Strategy:
    """Return the strategy with every dimension naming the tube's channel instead of its marker, for export."""

    def channel(name: str) -> str:
        return events.channels[events.find(name)].name

    def renamed(dimension: Dimension) -> Dimension:
        ratio = dimension.ratio
        if ratio is None:
            return replace(dimension, name=channel(dimension.name))
        sides = channel(ratio.numerator), channel(ratio.denominator)
        return replace(dimension, ratio=replace(ratio, numerator=sides[0], denominator=sides[1]))

    populations = []
    for population in strategy.populations:
        gate = population.gate
        if isinstance(gate, Rectangle | Polygon | Ellipsoid):
            moved: Any = tuple(renamed(dimension) for dimension in gate.dimensions)
            population = replace(population, gate=replace(gate, dimensions=moved))
        populations.append(population)
    return replace(strategy, populations=tuple(populations))


def counts_table(memberships: Memberships, sample_id: str) -> pd.DataFrame:
    """Return rows of `COUNTS`, root first (path ``/``), then every population in the strategy's order.

    Flags: ``empty_parent`` (no percentage), ``below_lod`` (fewer than 20 events), ``below_loq`` (fewer than 50).
    """
    return COUNTS.frame(count_rows(memberships, sample_id))


def count_rows(memberships: Memberships, sample_id: str) -> list[dict[str, object]]:
    """Return what `counts_table` makes a table of."""
    populations = memberships.strategy.populations
    total = len(memberships.masks[populations[0].path]) if populations else 0
    n_events = {"": total} | {path: int(np.count_nonzero(mask)) for path, mask in memberships.masks.items()}
    rows: list[dict[str, object]] = [_row(sample_id, ROOT, None, "/", "", total, total, "")]
    rows += [
        _row(sample_id, p.name, p.parent, p.path, p.definition, n_events[p.path], n_events[p.parent_path], p.flag)
        for p in populations
    ]
    return rows


def memberships_frame(memberships: Memberships) -> pd.DataFrame:
    """Return one bool column a population, one row an event in file order.

    A column is the population's name, or its path with ``|`` between names where the name is not unique.
    """
    names = [population.name for population in memberships.strategy.populations]
    columns = {
        p.name if names.count(p.name) == 1 else p.path[1:].replace("/", "|"): memberships.masks[p.path]
        for p in memberships.strategy.populations
    }
    return pd.DataFrame(columns, copy=False)


def _row(
    sample_id: str, name: str, parent: str | None, path: str, definition: str, n: int, n_parent: int, flag: str
) -> dict[str, object]:
    words = flag.split(";") if flag else []
    if n_parent == 0:
        words.append("empty_parent")
    if n < LIMIT_OF_DETECTION:
        words.append("below_lod")
    elif n < LIMIT_OF_QUANTIFICATION:
        words.append("below_loq")
    return {
        "sample_id": sample_id,
        "population": name,
        "parent": parent,
        "path": path,
        "definition": definition or None,
        "n_events": n,
        "n_parent": n_parent,
        "percent_of_parent": 100.0 * n / n_parent if n_parent else None,
        "flag": ";".join(words) or None,
    }


def members(population: Population, block: Block, masks: Mapping[str, Mask]) -> Mask:
    """Return which events of a block are in a population; a parent without events costs nothing.

    Events nearer to an edge than a tabulated scale is exact are tested again on exact coordinates.

    Parameters
    ----------
    population : with a geometric gate, or none.
    block : some or all events of a tube.
    masks : path -> the block's events, of the parent and of operands.
    """
    gate = population.gate
    parent = masks[population.parent_path] if population.parent_path else np.ones(block.n_events, dtype=np.bool_)
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
    return np.logical_and.reduce(terms) if gate.operator == "and" else np.logical_or.reduce(terms)


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
