"""Which gates of a strategy a tube can answer, found without looking at an event."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from immunolab.errors import ImmunolabError, Problem
from immunolab.events.tube import Tube
from immunolab.gating.axes import Axes, channels_of
from immunolab.gating.strategy import Boolean, Declared, Dimension, Ellipsoid, Population, Strategy


def sound(strategy: Strategy, events: Tube) -> tuple[Strategy, tuple[Problem, ...]]:
    """Return the strategy without the gates that this tube cannot answer, and one problem for each.

    Populations under a dropped gate, and booleans over it, are dropped with it.
    """
    found = tuple(problems(strategy, events))
    bad = {problem.place for problem in found}
    kept = tuple(population for population in strategy.populations if population.path not in bad)
    return replace(strategy, populations=kept), found


def problems(strategy: Strategy, events: Tube) -> Iterator[Problem]:
    """Yield one problem for each population that cannot be evaluated on the tube; ``place`` is its path."""
    known: set[str] = set()
    listed = {population.path for population in strategy.populations}
    where = events.sample_id or events.file
    axes = _CheckedAxes(strategy, events)
    for population in strategy.populations:
        fault = _lineage_fault(population, known, listed) or _gate_fault(population, axes)
        if fault:
            yield Problem(where, population.path, *fault)
        else:
            known.add(population.path)


def _lineage_fault(population: Population, known: set[str], listed: set[str]) -> tuple[str, str] | None:
    needed = [population.parent_path] if population.parent_path else []
    if isinstance(population.gate, Boolean):
        needed += population.gate.operands
    for path in needed:
        if path not in listed:
            return f"the gate rests on population '{path}', which the strategy does not have", "check its path"
        if path not in known:
            return f"the gate rests on population '{path}', which cannot be evaluated", "mend that gate first"
    return None


def _gate_fault(population: Population, axes: _CheckedAxes) -> tuple[str, str] | None:
    gate = population.gate
    if isinstance(gate, Declared):
        return f"the {gate.kind} gate has no coordinates yet", "fit the strategy to the tube first"
    if gate is None or isinstance(gate, Boolean):
        return None
    if isinstance(gate, Ellipsoid) and not _invertible(gate.covariance):
        return "the ellipsoid's covariance is singular", "draw the gate again"
    return next((fault for dimension in gate.dimensions if (fault := axes.fault(dimension))), None)


class _CheckedAxes:
    """Whether a tube has what dimensions name; each compensated channel is looked up once."""

    def __init__(self, strategy: Strategy, tube: Tube) -> None:
        self._axes = Axes(tube, strategy.matrices)
        self._faults: dict[tuple[tuple[str, ...], str], tuple[str, str] | None] = {}

    def fault(self, dimension: Dimension) -> tuple[str, str] | None:
        """Return why the dimension cannot be computed, and how to fix it."""
        key = channels_of(dimension), dimension.compensation
        if key not in self._faults:
            self._faults[key] = None
            try:
                self._axes.weights_of(*key)
            except ImmunolabError as error:
                self._faults[key] = error.message, error.hint
        return self._faults[key]


def _invertible(covariance: tuple[tuple[float, ...], ...]) -> bool:
    return bool(np.linalg.matrix_rank(np.asarray(covariance, dtype=np.float64)) == len(covariance))
