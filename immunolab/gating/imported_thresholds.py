"""Thresholds of gates that were drawn, not placed by data: the sides of rectangles."""

from __future__ import annotations

from collections.abc import Iterator

from immunolab.events.transforms import scale_in_words
from immunolab.events.tube import Tube
from immunolab.gating.strategy import Dimension, Population, Rectangle, Strategy
from immunolab.gating.tube_gates import Threshold
from immunolab.schema.flags import Flag, split


def imported_thresholds(strategy: Strategy, events: Tube) -> tuple[Threshold, ...]:
    """Return every closed side of a geometric strategy's rectangles.

    Polygons, ellipses and booleans have no one-dimensional border; sides of ratio axes are left out.

    Parameters
    ----------
    strategy
        All its gates geometric.
    events
        The tube whose channels and sample_id the records name.
    """
    return tuple(
        drawn_border(population, dimension, side, events)
        for population in strategy.populations
        if isinstance(population.gate, Rectangle)
        for dimension, side in _sides(population.gate)
    )


def _sides(gate: Rectangle) -> Iterator[tuple[Dimension, float]]:
    for dimension, *sides in zip(gate.dimensions, gate.lower, gate.upper, strict=True):
        if dimension.ratio is None:
            yield from ((dimension, side) for side in sides if side is not None)


def drawn_border(population: Population, dimension: Dimension, side: float, events: Tube) -> Threshold:
    """Return the record of one border that was drawn.

    Parameters
    ----------
    population
        Whose gate it is a side of.
    dimension
        Of the gate.
    side
        Coordinate of the border on the dimension's scale.
    events
        The tube whose channels and sample_id the record names.
    """
    channel = events.channels[events.find(dimension.name)]
    return Threshold(
        sample_id=events.sample_id,
        population=population.name,
        marker=channel.marker,
        channel=channel.name,
        threshold=side,
        threshold_raw=float(dimension.transform.inverse([side])[0]),
        method="drawn",
        control="fixed" if Flag.BY_HAND in split(population.flag) else "imported",
        scope="sample",
        flag=population.flag or None,
        scale=scale_in_words(dimension.transform),
    )
