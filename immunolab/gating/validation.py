"""Which gates of a strategy can be evaluated on a tube, found without looking at an event."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from immunolab.errors import ImmunolabError, Problem
from immunolab.events.tube import Tube
from immunolab.gating.axes import Axes, channels_of
from immunolab.gating.strategy import Boolean, Declared, Dimension, Ellipsoid, Population, Strategy

_Fault = tuple[str, str]  # what is wrong, and how to fix it


def evaluable(strategy: Strategy, tube: Tube) -> tuple[Strategy, tuple[Problem, ...]]:
    """Return the strategy without the gates that cannot be evaluated on a tube, and one problem for each.

    Populations under a dropped gate, and booleans over it, are dropped with it.

    Parameters
    ----------
    strategy
        From any source; gates without a place are dropped too.
    tube
        Its channels and matrices decide.
    """
    found = tuple(gate_problems(strategy, tube))
    bad = {problem.place for problem in found}
    kept = tuple(population for population in strategy.populations if population.path not in bad)
    return replace(strategy, populations=kept), found


def gate_problems(strategy: Strategy, tube: Tube) -> Iterator[Problem]:
    """Yield one problem for each population that cannot be evaluated on the tube; ``place`` is its path.

    Parameters
    ----------
    strategy
        From any source.
    tube
        Its channels and matrices decide.
    """
    known: set[str] = set()
    listed = {population.path for population in strategy.populations}
    where = tube.sample_id or tube.file
    axes = _CheckedAxes(strategy, tube)
    for population in strategy.populations:
        fault = _lineage_fault(population, known, listed) or _gate_fault(population, axes)
        if fault:
            yield Problem(where, population.path, *fault)
        else:
            known.add(population.path)


def _lineage_fault(population: Population, known: set[str], listed: set[str]) -> _Fault | None:
    needed = [population.parent_path] if population.parent_path else []
    if isinstance(population.gate, Boolean):
        needed += population.gate.operands
    for path in needed:
        if path not in listed:
            return f"the gate needs population '{path}', which the strategy does not have", "check its path"
        if path not in known:
            return f"the gate needs population '{path}', which cannot be evaluated", "fix that gate first"
    return None


def _gate_fault(population: Population, axes: _CheckedAxes) -> _Fault | None:
    gate = population.gate
    if isinstance(gate, Declared):
        return f"the {gate.kind} gate has no coordinates yet", "place the gates on the tube first"
    if gate is None or isinstance(gate, Boolean):
        return None
    if isinstance(gate, Ellipsoid) and np.linalg.matrix_rank(np.asarray(gate.covariance)) < len(gate.covariance):
        return "the ellipsoid's covariance is singular", "draw the gate again"
    return next((fault for dimension in gate.dimensions if (fault := axes.fault(dimension))), None)


class _CheckedAxes:
    """Whether a tube has what dimensions name; each compensated channel is looked up once."""

    def __init__(self, strategy: Strategy, tube: Tube) -> None:
        self._axes = Axes(tube, strategy.matrices)
        self._faults: dict[tuple[tuple[str, ...], str], _Fault | None] = {}

    def fault(self, dimension: Dimension) -> _Fault | None:
        """Return why the dimension cannot be computed, and how to fix it."""
        key = channels_of(dimension), dimension.compensation
        if key not in self._faults:
            self._faults[key] = None
            try:
                self._axes.weights_of(*key)
            except ImmunolabError as error:
                self._faults[key] = error.message, error.hint
        return self._faults[key]
