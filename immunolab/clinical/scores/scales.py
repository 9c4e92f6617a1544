"""Scores that add up items, or that the clinic totals: their items, weights and ranges."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from types import MappingProxyType
from typing import Literal

from immunolab.clinical.scores.method import ResponseRule, facts


@dataclass(frozen=True)
class ClinicalScale(ResponseRule):
    """A score that is a sum of items, or a total the clinic computes.

    Attributes
    ----------
    range
        Smallest and largest total.
    weights
        For items that are present or absent, what a present one adds.
    items, item_range
        For graded items, their names and smallest and largest grade.
    alternatives
        Items of which exactly one of several forms is asked.
    percent_of_maximum
        The total is 100 sum / largest sum.
    domains
        First and last item of each part that has its own score.
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
class _ScaleFile:
    schema: Literal["immunolab.scores/2"]
    scales: dict[str, ClinicalScale]


@lru_cache(maxsize=1)
def scales() -> Mapping[str, ClinicalScale]:
    """Return the scores of scales.yaml by name."""
    return MappingProxyType(facts(_ScaleFile, "scales").scales)
