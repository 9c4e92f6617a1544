"""The share of a population in a stimulated tube less that in its unstimulated control."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from immunolab.study.endpoints.endpoint import Endpoint, Needs


@dataclass(frozen=True, kw_only=True)
class StimulatedMinusUnstimulated(Endpoint):
    """100 n / n of the parent, stimulated less unstimulated, of one patient, visit and panel.

    Attributes
    ----------
    population, parent
        Names of gated populations.
    stimulation
        The stimulus, as the sheet spells it; may be left out where the sheet has one.
    """

    population: str = ""
    parent: str = ""
    stimulation: str = ""

    statistic: ClassVar[str] = "stimulated_minus_unstimulated"
    counted: ClassVar[bool] = True

    @property
    def needs(self) -> Needs:
        return Needs(populations=(self.population, self.parent))

    @property
    def scale(self) -> Literal["identity"]:
        return "identity"

    @property
    def label(self) -> str:
        after = f"{self.stimulation} less unstimulated" if self.stimulation else "stimulated less unstimulated"
        return f"{self.population}, % of {self.parent}, {after}"

    def _names(self) -> tuple[str, ...]:
        return self.population, self.parent, self.stimulation

    def _incomplete(self) -> str:
        return "" if self.population and self.parent else f"{self.statistic} needs population and parent"

    def joint_pairs(self) -> tuple[tuple[str, str], ...]:
        return ((self.population, self.parent),) if self.population and self.parent else ()
