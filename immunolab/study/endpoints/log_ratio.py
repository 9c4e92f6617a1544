"""The ratio of two populations of one tube, compared on the log scale."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from immunolab.schema.flags import Flag
from immunolab.study.endpoints.counts import CountedValue, SampleCounts, flags
from immunolab.study.endpoints.endpoint import Endpoint, Needs

_HALF = 0.5  # event added to both counts, so that an empty population stays finite (Haldane 1956, Ann Hum Genet 20:309)


@dataclass(frozen=True, kw_only=True)
class LogRatio(Endpoint):
    """(n + 0.5) / (m + 0.5) of a numerator and a denominator, both within ``parent``."""

    numerator: str = ""
    denominator: str = ""
    parent: str = ""

    statistic: ClassVar[str] = "log_ratio"
    counted: ClassVar[bool] = True
    noise_parts: ClassVar[int] = 2

    @property
    def needs(self) -> Needs:
        return Needs(populations=(self.numerator, self.denominator, self.parent))

    @property
    def ratio(self) -> tuple[str, str]:
        return self.numerator, self.denominator

    @property
    def parts(self) -> tuple[str, str]:
        return self.ratio

    @property
    def label(self) -> str:
        return f"{self.numerator} / {self.denominator}, both in {self.parent}, log scale"

    def _names(self) -> tuple[str, ...]:
        return self.parent, self.numerator, self.denominator

    def _incomplete(self) -> str:
        stated = self.numerator and self.denominator and self.parent
        return "" if stated else "log_ratio needs numerator, denominator and parent"

    def value_of(self, n_events: int, n_parent: int, lymphocytes_per_ul: float | None = None) -> float | None:
        return (n_events + _HALF) / (n_parent + _HALF) if n_events + n_parent else None

    def measure(self, counts: SampleCounts) -> CountedValue | None:
        """Return the ratio in a sample: ``zero_events`` flags an empty population, no value two of them."""
        top, bottom = self.numerator, self.denominator
        if top not in counts or bottom not in counts:
            return None
        n, m = counts.n(top), counts.n(bottom)
        return CountedValue(
            population=f"{top}/{bottom}",  # names of populations hold no "/"
            parent=self.parent,
            definition=" / ".join(counts.definition(name) or name for name in (top, bottom)),
            value=self.value_of(n, m),
            unit="ratio",
            n_events=n,
            n_parent=m,
            flag=flags(counts.flag(top), counts.flag(bottom), "" if n and m else Flag.ZERO_EVENTS),
        )

    def with_limits(self, value: CountedValue, gate_sd: Mapping[tuple[str, str], float]) -> CountedValue:
        """Return the ratio with the limits of the gates, both populations' errors taken as independent."""
        errors = [gate_sd.get((name, self.parent)) for name in (self.numerator, self.denominator)]
        if value.value is None or None in errors:
            return value
        return value.with_gates(math.log(value.value), math.hypot(*errors), math.exp)  # type: ignore[arg-type]
