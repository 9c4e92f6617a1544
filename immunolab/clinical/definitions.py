"""What the scores are: items, weights, ranges and thresholds, each with its source."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from typing import Literal

from immunolab.config import build, read_package_yaml


@dataclass(frozen=True)
class ResponseRule:
    """Where a definition comes from, and whether it was checked against that."""

    source: str
    verified: bool


@dataclass(frozen=True)
class ClinicalScale(ResponseRule):
    """A score that is a sum of items, or a total the clinic computes.

    Attributes
    ----------
    range : smallest and largest total.
    weights : for items that are present or absent, what a present one adds.
    items, item_range : for graded items, their names and smallest and largest grade.
    alternatives : items of which exactly one of several forms is asked.
    percent_of_maximum : the total is 100 sum / largest sum.
    domains : first and last item of each part that has a score of its own.
    """

    range: tuple[float, float]
    direction: Literal["lower_better", "higher_better"]
    weights: dict[str, float] = field(default_factory=dict)
    items: tuple[str, ...] = ()
    item_range: tuple[float, ...] = ()
    alternatives: dict[str, tuple[str, ...]] = field(default_factory=dict)
    percent_of_maximum: bool = False
    domains: dict[str, tuple[int, int]] = field(default_factory=dict)
    note: str = ""

    @property
    def item_names(self) -> tuple[str, ...]:
        """Names of the items; empty when only the total is known, or the protocol names them."""
        return self.items or tuple(self.weights)

    @property
    def open_items(self) -> bool:
        """Whether the items are named by the protocol (muscles)."""
        return bool(self.item_range) and not self.items


@dataclass(frozen=True)
class Sri4(ResponseRule):
    """Thresholds of the SLE responder index."""

    sledai_fall: float
    pga_rise_below: float
    new_a: int
    new_b: int


@dataclass(frozen=True)
class SleRelapse(ResponseRule):
    """Thresholds of the relapse endpoint."""

    low_activity_below: float
    within_weeks: int


@dataclass(frozen=True)
class ImacsDoi(ResponseRule):
    """Thresholds of the definition of improvement."""

    improved_percent: float
    improved_at_least: int
    worsened_percent: float
    worsened_at_most: int


@dataclass(frozen=True)
class TotalImprovement(ResponseRule):
    """Points of the total improvement score."""

    bins: dict[str, tuple[tuple[float, float], ...]]
    scale_ranges: dict[str, float]
    categories: dict[str, float]


@dataclass(frozen=True)
class PmrAs(ResponseRule):
    """Thresholds of relapse by PMR-AS."""

    relapse_from: float
    relapse_rise: float


@dataclass(frozen=True)
class Definitions:
    """All scores."""

    schema: Literal["immunolab.scores/2"]
    scales: dict[str, ClinicalScale]
    sri_4: Sri4
    sle_relapse: SleRelapse
    imacs_doi: ImacsDoi
    total_improvement: TotalImprovement
    pmr_as: PmrAs

    def rule(self, score: str) -> ResponseRule:
        """Return the rule of a composite score."""
        rules: dict[str, ResponseRule] = {
            "SRI_4": self.sri_4,
            "SLE_relapse": self.sle_relapse,
            "IMACS_DOI": self.imacs_doi,
            "ACR_EULAR_2016_TIS": self.total_improvement,
            "PMR_AS": self.pmr_as,
            "PMR_relapse": self.pmr_as,
        }
        return rules[score]

    def levels(self, score: str) -> tuple[tuple[float, str], ...]:
        """Return the values of a score that a rule turns on, each with what it means; none for most scores."""
        return {
            "PMR_AS": ((self.pmr_as.relapse_from, "relapse from"),),
            "SELENA_SLEDAI": ((self.sle_relapse.low_activity_below, "low activity below"),),
            "ACR_EULAR_2016_TIS": tuple((least, name) for name, least in self.total_improvement.categories.items()),
        }.get(score, ())


@lru_cache(maxsize=1)
def definitions() -> Definitions:
    """Return every score's definition."""
    return build(Definitions, read_package_yaml("immunolab.clinical", "scores.yaml"))
