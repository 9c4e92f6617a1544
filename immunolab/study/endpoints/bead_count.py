"""A population in cells per microlitre of blood, by counting beads in the same tube (single platform)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from immunolab.intervals import NORMAL_95
from immunolab.schema.flags import Flag
from immunolab.study.endpoints.counts import CountedValue, SampleCounts, flags, gate_error
from immunolab.study.endpoints.endpoint import Endpoint, Needs

_UNIT = "cells/uL"
_ALL = "root"


@dataclass(frozen=True, kw_only=True)
class BeadCount(Endpoint):
    """Cells over beads, times the beads in the tube over the blood that was stained."""

    population: str = ""

    statistic: ClassVar[str] = "bead_count"
    counted: ClassVar[bool] = True
    noise_parts: ClassVar[int] = 1
    by_beads: ClassVar[bool] = True

    @property
    def needs(self) -> Needs:
        return Needs(populations=(self.population,), beads=True)

    @property
    def parts(self) -> tuple[str, str]:
        return self.population, _ALL

    @property
    def label(self) -> str:
        return f"{self.population}, {_UNIT} of blood by beads"

    def _names(self) -> tuple[str, ...]:
        return (self.population,)

    def _incomplete(self) -> str:
        return "" if self.population else "bead_count needs population"

    def value_of(self, n_events: int, n_parent: int, lymphocytes_per_ul: float | None = None) -> float | None:
        """Return the cells per microlitre; the last number is what all events of the tube would make."""
        return None if lymphocytes_per_ul is None or not n_parent else lymphocytes_per_ul * n_events / n_parent

    def measure(self, counts: SampleCounts) -> CountedValue | None:
        """Return the cells per microlitre; empty and flagged ``no_beads`` where the tube has none."""
        if self.population not in counts or _ALL not in counts:
            return None
        beads, n, n_parent = counts.beads, counts.n(self.population), counts.n(_ALL)
        per_ul = None if beads is None or beads.each is None else beads.each * n_parent
        return CountedValue(
            population=self.population,
            parent=None,
            definition=counts.definition(self.population) or None,
            value=self.value_of(n, n_parent, per_ul),
            unit=_UNIT,
            n_events=n,
            n_parent=n_parent,
            flag=flags(counts.flag(self.population), Flag.NO_BEADS if beads is None else beads.flag),
            one_event=None if beads is None else beads.each,
            bead_error=0.0 if beads is None or not beads.n else 1 / math.sqrt(beads.n),
            **_limits(n, self.value_of(n, n_parent, per_ul), counts),
        )

    def with_limits(self, value: CountedValue, gate_sd: Mapping[tuple[str, str], float]) -> CountedValue:
        """Return the count with limits of the gates, to which the beads' own counting error is added.

        A lot's error is common to the tubes of the lot and takes no part in a change: it is in the limits of counting.
        """
        if value.value is None or value.value <= 0:
            return value
        error = math.hypot(gate_error(gate_sd, self.population, None) or 0.0, value.bead_error)
        return value.with_gates(math.log(value.value), error, math.exp)


def _limits(n: int, value: float | None, counts: SampleCounts) -> dict[str, float]:
    """Return the limits of counting: cells, beads and the stated error of the lot."""
    beads = counts.beads
    if value is None or beads is None or not n:
        return {}
    error = NORMAL_95 * math.sqrt(1 / n + 1 / beads.n + beads.cv**2)
    return {"count_low": value * math.exp(-error), "count_high": value * math.exp(error)}
