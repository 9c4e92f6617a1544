"""A population in cells per microlitre of blood."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from immunolab.schema.flags import Flag
from immunolab.study.endpoints.counts import LYMPHOCYTES, CountedValue, SampleCounts, flags, gate_error
from immunolab.study.endpoints.endpoint import Endpoint, Needs

_UNIT = "cells/uL"


@dataclass(frozen=True, kw_only=True)
class AbsoluteCount(Endpoint):
    """The share of the lymphocytes times the day's blood count of lymphocytes per microlitre."""

    population: str = ""

    statistic: ClassVar[str] = "absolute_count"
    counted: ClassVar[bool] = True
    noise_parts: ClassVar[int] = 1

    @property
    def needs(self) -> Needs:
        return Needs(populations=(self.population,), blood_count=True)

    @property
    def parts(self) -> tuple[str, str]:
        return self.population, LYMPHOCYTES

    @property
    def label(self) -> str:
        return f"{self.population}, {_UNIT} of blood"

    def _names(self) -> tuple[str, ...]:
        return (self.population,)

    def _incomplete(self) -> str:
        return "" if self.population else "absolute_count needs population"

    def joint_pairs(self) -> tuple[tuple[str, str], ...]:
        return (self.parts,) if self.population else ()

    def value_of(self, n_events: int, n_parent: int, lymphocytes_per_ul: float | None = None) -> float | None:
        return None if lymphocytes_per_ul is None or not n_parent else lymphocytes_per_ul * n_events / n_parent

    def measure(self, counts: SampleCounts) -> CountedValue | None:
        """Return the cells per microlitre; empty and flagged ``no_lymphocyte_count`` without a blood count."""
        (name, of), per_ul = self.parts, counts.lymphocytes_per_ul
        if name not in counts or of not in counts:
            return None
        n, n_parent = counts.within(name, of), counts.n(of)
        return CountedValue(
            population=name,
            parent=None,
            definition=counts.definition(name) or None,
            value=self.value_of(n, n_parent, per_ul),
            unit=_UNIT,
            n_events=n,
            n_parent=n_parent,
            flag=flags(counts.flag(name, of=of), Flag.NO_LYMPHOCYTE_COUNT if per_ul is None else ""),
            one_event=self.value_of(1, n_parent, per_ul),
        )

    def with_limits(self, value: CountedValue, gate_sd: Mapping[tuple[str, str], float]) -> CountedValue:
        """Return the count with the limits of the gates; counting error of the blood count is not known."""
        if value.value is None or value.value <= 0:
            return value
        return value.with_gates(math.log(value.value), gate_error(gate_sd, self.population, None), math.exp)
