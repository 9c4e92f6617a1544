"""How many patients have an event that a score finds at a visit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from immunolab.study.endpoints.endpoint import Figure
from immunolab.study.endpoints.measured import MeasuredEndpoint


@dataclass(frozen=True, kw_only=True)
class EventCount(MeasuredEndpoint):
    """Patients with the event (a relapse), by a score that is 1 or 0."""

    statistic: ClassVar[str] = "event_count"
    paired: ClassVar[bool] = False
    figure: ClassVar[Figure] = "event"

    @property
    def mark(self) -> str:
        return self.id

    @property
    def label(self) -> str:
        return f"{super().label}, patients with the event"
