"""What is recorded of a carried gate: each of its edges, where it was drawn and where it is now."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from immunolab.events.tube import Tube
from immunolab.gating.following.move_gate import SHAPES, Shape, edges_of
from immunolab.gating.method_results import Array
from immunolab.gating.placement.placed import interval
from immunolab.gating.placement.rules import Scope
from immunolab.gating.strategy import Dimension, Population
from immunolab.gating.tube_gates import Threshold


@dataclass(frozen=True)
class CarriedGate:
    """A gate in a tube.

    Attributes
    ----------
    population
        With the carried gate.
    drawn
        The gate as it was drawn.
    draws
        The carried gate on resampled events.
    template
        Whose gate it is.
    scope
        Which tubes share the move.
    misfit
        Share of events out of place; None where nothing could be fitted.
    """

    population: Population
    drawn: Shape
    draws: tuple[Shape, ...]
    template: str
    scope: Scope
    misfit: float | None

    def edges(self) -> Iterator[tuple[Dimension, str, float, float, Array]]:
        """Yield axis, side, place, place where it was drawn and places on resampled events of each closed edge."""
        gate = self.population.gate
        if not isinstance(gate, SHAPES):
            return
        now, before, others = edges_of(gate), edges_of(self.drawn), [edges_of(one) for one in self.draws]
        for axis, dimension in enumerate(gate.dimensions):
            for side, word in enumerate(("lower", "upper")):
                place, drawn = now[axis][side], before[axis][side]
                if place is not None and drawn is not None:
                    yield dimension, word, place, drawn, np.array([one[axis][side] for one in others], dtype=np.float64)


def edge_records(carried: CarriedGate, tube: Tube) -> tuple[Threshold, ...]:
    """Return a record of every closed side; of a polygon or ellipse its outermost edges on each axis.

    Parameters
    ----------
    carried
        The gate.
    tube
        Where it is used; gives channels.
    """
    like = "too few events to move it"
    if carried.misfit is not None:
        like = f"{100 * carried.misfit:.0f} % of events out of place"
    rows = []
    for dimension, side, place, drawn, draws in carried.edges():
        if dimension.ratio is not None:
            continue
        channel = tube.channel(dimension.name)
        low, high = interval(place, draws)
        rows.append(
            Threshold(
                sample_id=tube.sample_id,
                population=carried.population.name,
                marker=channel.marker,
                channel=channel.name,
                threshold=place,
                threshold_raw=float(dimension.transform.inverse([place])[0]),
                method="follow",
                control="template",
                scope=carried.scope,
                ci_low=low,
                ci_high=high,
                flag=carried.population.flag or None,
                reason=f"{side} edge, drawn at {drawn:.6g} on {carried.template}; {like}",
            )
        )
    return tuple(rows)
