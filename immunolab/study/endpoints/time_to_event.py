"""The time from the first dose to an event, read from outcomes.csv."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from immunolab.study.endpoints.endpoint import Endpoint, Figure, Needs


@dataclass(frozen=True, kw_only=True)
class TimeToEvent(Endpoint):
    """Kaplan-Meier from day 1; ``visits`` are the days at which the curve is read."""

    statistic: ClassVar[str] = "time_to_event"
    paired: ClassVar[bool] = False
    figure: ClassVar[Figure] = "survival"

    @property
    def needs(self) -> Needs:
        return Needs(outcomes=(self.id,))

    @property
    def label(self) -> str:
        return f"{self.id}, time to event"
