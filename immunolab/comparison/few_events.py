"""How many events a comparison can expect of a pair, and what may be made of that many."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from immunolab.comparison.pairing import Paired

Array = NDArray[np.float64]
Enough = Literal["too few", "few", "enough"]

_TOO_FEW = 3.0  # expected events at the poorer visit: below, samples are empty by chance (benchmarks/few_events.py)
_FEW = 20.0  # likewise: from here on half an event is under 3 % of what is counted (limit of detection)
_QUARTILE = 25.0  # percent of the pairs that may have fewer before all are counted as few (judgement)


@dataclass(frozen=True)
class PairCounts:
    """Events of the pairs of one endpoint.

    Attributes
    ----------
    events, parents
        ``(n, 2)`` before and after. Of a ratio: events of the numerator, and of both populations. Of an absolute
        count: its events, and the events that one cell per microlitre makes.
    exposures
        Whether the parents are such events.
    """

    events: Array
    parents: Array
    exposures: bool = False

    @cached_property
    def expected(self) -> Array:
        """Events that each pair's poorer visit would have if all samples had one share, ``(n,)``.

        The rarer of the events and of the others counts, so that 99 % is as rare as 1 %.
        """
        share = float(self.events.sum() / self.parents.sum())
        expected: Array = self.parents.min(axis=1) * (share if self.exposures else min(share, 1.0 - share))
        return expected

    @property
    def enough(self) -> Enough:
        """Whether shifts of them can be tested as they are (enough), by a count model (few), or not at all."""
        if float(np.median(self.expected)) < _TOO_FEW:
            return "too few"
        return "few" if float(np.percentile(self.expected, _QUARTILE)) < _FEW else "enough"


def pair_counts(paired: Paired, e: int, complete: NDArray[np.bool_]) -> PairCounts | None:
    """Return the counts of an endpoint's pairs; None where it is not counted.

    Parameters
    ----------
    paired
        Both sides of every patient.
    e
        Number of the endpoint.
    complete
        ``(P,)`` patients with both visits.
    """
    if not complete.any():
        return None
    if paired.absolute[e]:
        exposures = paired.exposures[e, complete]
        return PairCounts(paired.events[e, complete], exposures, True) if np.isfinite(exposures).all() else None
    if not paired.counted[e]:
        return None
    events, others = paired.events[e, complete], paired.parents[e, complete]
    return PairCounts(events, events + others if paired.ratio[e] else others)
