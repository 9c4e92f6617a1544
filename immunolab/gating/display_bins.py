"""How many events a population may have where another program gates on the bins of its display."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from immunolab.events.tube import Tube
from immunolab.gating import geometry
from immunolab.gating.axes import Axes, Block
from immunolab.gating.evaluate import members
from immunolab.gating.exchange.edge_conversion import ellipse_corners
from immunolab.gating.exchange.workspace_model import BinnedGate
from immunolab.gating.strategy import Boolean, Ellipsoid, Population, Strategy

_ONE_BIN = 1.0  # half a bin where an event is put into its bin, half where a corner is
_Mask = NDArray[np.bool_]


def bin_bounds(strategy: Strategy, binned: Mapping[str, BinnedGate], tube: Tube) -> dict[str, tuple[int, int]]:
    """Return the fewest and most events that bins can leave in each population that they touch.

    An event within one bin of a gate's edge may be on either side of it; populations below the gate and booleans
    over it inherit what is open.

    Parameters
    ----------
    strategy
        Every gate can be evaluated on the tube.
    binned
        The gates drawn on bins, by path.
    tube
        The events.

    Returns
    -------
    dict
        By path; a population without a gate on bins in its lineage is absent.
    """
    certain: dict[str, _Mask] = {}
    possible: dict[str, _Mask] = {}
    bounds: dict[str, tuple[int, int]] = {}
    block = Axes.of(strategy, tube).block()
    for population in strategy.populations:
        path = population.path
        certain[path], possible[path] = _either(population, binned.get(path), block, certain, possible)
        if path in binned or any(above in bounds for above in _needs(population)):
            bounds[path] = int(np.count_nonzero(certain[path])), int(np.count_nonzero(possible[path]))
    return bounds


def _either(
    population: Population,
    binned: BinnedGate | None,
    block: Block,
    certain: Mapping[str, _Mask],
    possible: Mapping[str, _Mask],
) -> tuple[_Mask, _Mask]:
    """Return the events that are in a population on whatever side of an edge they fall, and those that may be."""
    above = population.parent_path
    surely = certain[above] if above else np.ones(block.n_events, dtype=np.bool_)
    maybe = possible[above] if above else surely
    gate = population.gate
    if binned is not None:
        code = _on_bins(binned, block, maybe)
        return surely & (code == geometry.INSIDE), code != geometry.OUTSIDE
    if isinstance(gate, Boolean):
        pairs = [
            (~possible[path], ~certain[path]) if flip else (certain[path], possible[path])
            for path, flip in zip(gate.operands, gate.complement, strict=True)
        ]
        if gate.operator == "not":
            return ~pairs[0][1] & surely, ~pairs[0][0] & maybe
        join = np.logical_and.reduce if gate.operator == "and" else np.logical_or.reduce
        return join([low for low, _ in pairs]) & surely, join([high for _, high in pairs]) & maybe
    inside = members(population, block, possible)
    return inside & surely, inside


def _on_bins(binned: BinnedGate, block: Block, within: _Mask) -> NDArray[np.uint8]:
    """Return INSIDE, OUTSIDE, or UNSURE within one bin of an edge."""
    gate = binned.gate
    corners = np.asarray(ellipse_corners(gate) if isinstance(gate, Ellipsoid) else gate.vertices)
    x, y = (block.axis(axis) / width for axis, width in zip(gate.dimensions, binned.widths, strict=True))
    return geometry.in_polygon(x, y, corners / np.asarray(binned.widths), within, _ONE_BIN)


def _needs(population: Population) -> tuple[str, ...]:
    operands = population.gate.operands if isinstance(population.gate, Boolean) else ()
    return (population.parent_path, *operands)
