"""A population in percent of its parent."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import ClassVar

from immunolab.intervals import jeffreys_percent
from immunolab.schema.flags import Flag
from immunolab.study.endpoints.absolute_count import AbsoluteCount
from immunolab.study.endpoints.bead_count import BeadCount
from immunolab.study.endpoints.counts import CountedValue, SampleCounts, flags, gate_error
from immunolab.study.endpoints.endpoint import Endpoint, Needs

CONVENTIONAL = "Tconv"  # CD4 without Treg: a denominator that a rise of Treg does not dilute
_TREG_FAMILY = ("Treg", "Tfr", "Tconv")
_SHORT = {"lymphocytes": "lymph"}  # in ids of co-reported denominators


@dataclass(frozen=True, kw_only=True)
class PercentOfParent(Endpoint):
    """100 n / n of the parent.

    Attributes
    ----------
    population, parent
        Names of gated populations.
    co_report
        Further denominators of the same population: other populations, or ``absolute_count``.
    """

    population: str = ""
    parent: str = ""
    co_report: tuple[str, ...] = ()

    statistic: ClassVar[str] = "percent_of_parent"
    counted: ClassVar[bool] = True
    noise_parts: ClassVar[int] = 1

    @property
    def needs(self) -> Needs:
        return Needs(populations=(self.population, self.parent))

    @property
    def share(self) -> tuple[str, str]:
        return self.population, self.parent

    @property
    def parts(self) -> tuple[str, str]:
        return self.share

    @property
    def label(self) -> str:
        return f"{self.population}, % of {self.parent}"

    def _names(self) -> tuple[str, ...]:
        return self.population, self.parent

    def _incomplete(self) -> str:
        return "" if self.population and self.parent else "percent_of_parent needs population and parent"

    def expanded(self) -> Iterator[Endpoint]:
        """Yield one endpoint a denominator; a co-reported one is exploratory.

        The same subset over two denominators is one hypothesis: the registered one is tested.
        """
        yield replace(self, co_report=())
        beside = {"role": "exploratory", "parent_source": f"beside {self.id}"}
        stem = self.population.lower()
        for parent in self.co_report:
            if parent == AbsoluteCount.statistic:
                yield AbsoluteCount(**self._stated(id=f"{stem}_per_ul", **beside), population=self.population)
            else:
                name = f"{stem}_pct_{_SHORT.get(parent, parent.lower())}"
                yield PercentOfParent(**self._stated(id=name, **beside), population=self.population, parent=parent)

    def companions(self, *, absolute: bool, beads: bool = False) -> Iterator[Endpoint]:
        """Yield a subset of CD4 once more of CD4 without Treg, and in cells per microlitre, each exploratory.

        Shares of one parent sum to 100 %, so a rise of Treg lowers every other share of CD4.

        Parameters
        ----------
        absolute
            Whether lymphocytes were counted, so that there are cells per microlitre.
        beads
            Whether tubes hold counting beads, so that there are cells per microlitre by them.
        """
        if self.parent != "CD4" or not self.population:
            return
        beside = {"role": "exploratory", "note": "guards against closure"}
        if not self.population.startswith(_TREG_FAMILY):
            yield replace(self, id=f"{self.id}_of_{CONVENTIONAL}", parent=CONVENTIONAL, co_report=(), **beside)  # type: ignore[arg-type]
        if absolute:
            yield AbsoluteCount(**self._stated(id=f"{self.id}_absolute", **beside), population=self.population)
        if beads:
            yield BeadCount(**self._stated(id=f"{self.id}_beads", **beside), population=self.population)

    def joint_pairs(self) -> tuple[tuple[str, str], ...]:
        return (self.share,) if all(self.share) else ()

    def value_of(self, n_events: int, n_parent: int, lymphocytes_per_ul: float | None = None) -> float | None:
        return 100.0 * n_events / n_parent if n_parent else None

    def measure(self, counts: SampleCounts) -> CountedValue | None:
        """Return the percentage in a sample; empty and flagged ``empty_parent`` when the parent holds no event."""
        if self.population not in counts or self.parent not in counts:
            return None
        n, n_parent = counts.within(self.population, self.parent), counts.n(self.parent)
        return CountedValue(
            population=self.population,
            parent=self.parent,
            definition=counts.definition(self.population) or None,
            value=self.value_of(n, n_parent),
            unit="%",
            n_events=n,
            n_parent=n_parent,
            flag=flags(counts.flag(self.population, of=self.parent), "" if n_parent else Flag.EMPTY_PARENT),
        )

    def with_limits(self, value: CountedValue, gate_sd: Mapping[tuple[str, str], float]) -> CountedValue:
        if value.value is None:
            return value
        n, of = value.n_events, value.n_parent
        low, high = jeffreys_percent(n, of)
        log_odds = math.log((n + 0.5) / (of - n + 0.5))
        error = gate_error(gate_sd, self.population, self.parent)
        limited = replace(value, count_low=low, count_high=high)
        return limited.with_gates(log_odds, error, lambda x: 100.0 / (1.0 + math.exp(-x)))
