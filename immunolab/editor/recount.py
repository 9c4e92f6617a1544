"""Counts while a gate is dragged: only what depends on it is evaluated again, with the one evaluator."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from immunolab.events.tube import Tube
from immunolab.gating.axes import Axes
from immunolab.gating.evaluate import Mask, members
from immunolab.gating.strategy import Dimension, Gate, Memberships, Strategy


class Recount:
    """The coordinates of one tube's events, each computed once, and counts of gates that are not yet committed."""

    def __init__(self, tube: Tube, strategy: Strategy) -> None:
        self.n_events = len(tube)
        self._block = Axes.of(strategy, tube).block()

    def coordinates(self, dimension: Dimension) -> NDArray[np.float64]:
        """Return every event's place on the scale of a dimension."""
        return self._block.axis(dimension)

    def masks(self, memberships: Memberships, gates: Mapping[str, Gate]) -> dict[str, Mask]:
        """Return the events of populations with other gates, and of each that depends on one.

        Parameters
        ----------
        memberships
            As evaluated before.
        gates
            The new ones, by path.
        """
        masks = dict(memberships.masks)
        found: dict[str, Mask] = {}
        for population in memberships.strategy.populations:
            if population.path in gates:
                population = replace(population, gate=gates[population.path])
            elif population.depends_on.isdisjoint(found):
                continue
            found[population.path] = masks[population.path] = members(population, self._block, masks)
        return found


def counted(masks: Mapping[str, Mask]) -> dict[str, int]:
    """Return the number of events in each population."""
    return {path: int(np.count_nonzero(mask)) for path, mask in masks.items()}
