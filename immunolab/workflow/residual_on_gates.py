"""What a fault of compensation does to a tube's populations: the same gates on its events with the fault taken off."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from immunolab.gating.tubes import gate_tube
from immunolab.quality.matrix_error import matrix_error, matrix_is_off
from immunolab.quality.rows import Row, row
from immunolab.schema.flags import Check

if TYPE_CHECKING:
    from immunolab.events.tube import Tube
    from immunolab.gating.tube_gates import TubeGates
    from immunolab.gating.tubes import GatedTube
    from immunolab.quality.residual_spillover import SpillingPair

_MOST = 5.0  # percent of a population's own share: less is within what placing gates anew does (judgement)
_FEWEST = 100  # events of a population: of fewer, five that cross a border are more than the limit


def residual_on_gates(gated: GatedTube, gates: TubeGates, shown: Sequence[SpillingPair]) -> Iterator[Row]:
    """Yield the row of `QUALITY` of a tube in which compensation leaves a dye; none for the others.

    Parameters
    ----------
    gated
        The tube, gated.
    gates
        Its gates: they stay where they are.
    shown
        The pairs whose spillover its cells show.
    """
    left = [pair for pair in shown if pair.is_off] or (matrix_error(shown)[1] if matrix_is_off(shown) else [])
    if not left:
        return
    shares = _shares(gate_tube(_without(gated.tube, left), gates))
    changes = [
        (100.0 * (shares[path] / share - 1.0), path)
        for path, share in _shares(gated, _FEWEST).items()
        if path in shares and share
    ]
    change, path = max(changes, key=lambda one: abs(one[0]), default=(0.0, ""))
    named = path.rsplit("/", 1)[-1]
    if abs(change) <= _MOST:
        text = f"what compensation leaves changes no population of {_FEWEST} events by {_MOST:g} % under the same gates"
        yield row(gated.tube, Check.RESIDUAL_ON_GATES, abs(change), _MOST, "ok", text)
        return
    more = "more" if change > 0 else "fewer"
    text = f"{named} would be {abs(change):.2g} % {more} with what compensation leaves taken off, under the same gates"
    yield row(gated.tube, Check.RESIDUAL_ON_GATES, abs(change), _MOST, "warn", text)


def _without(tube: Tube, left: Sequence[SpillingPair]) -> Tube:
    """Return the tube with a matrix that takes off what was left."""
    if tube.spillover is None:
        return tube  # no pair is without one
    names = list(tube.spillover.channels)
    more = np.eye(len(names))
    for pair in left:
        more[names.index(pair.dye), names.index(pair.detector)] = pair.line.slope
    entries = np.asarray(tube.spillover.matrix) / np.diag(tube.spillover.matrix)[:, None]
    return replace(tube, spillover=replace(tube.spillover, matrix=more @ entries), _inverse={})


def _shares(gated: GatedTube, fewest: int = 0) -> dict[str, float]:
    """Return the percentage of its parent of each population that has one, by path."""
    return {
        count.path: count.percent_of_parent
        for count in gated.population_counts
        if count.percent_of_parent is not None and count.n_events >= fewest
    }
