"""The proportion of patients who respond by a score."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from immunolab.study.endpoints.endpoint import Figure
from immunolab.study.endpoints.measured import MeasuredEndpoint


@dataclass(frozen=True, kw_only=True)
class ResponderProportion(MeasuredEndpoint):
    """Responders of the patients: a response has no value before treatment."""

    statistic: ClassVar[str] = "responder_proportion"
    paired: ClassVar[bool] = False
    figure: ClassVar[Figure] = "response"

    @property
    def response(self) -> str | None:
        return self.score

    @property
    def mark(self) -> str:
        return f"{self.score} responder"

    @property
    def label(self) -> str:
        return f"{super().label}, proportion of responders"
