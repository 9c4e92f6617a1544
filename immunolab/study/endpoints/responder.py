"""The proportion of patients who respond by a score."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

from immunolab.study.endpoints.endpoint import Fault, Figure, Setting
from immunolab.study.endpoints.measured import MeasuredEndpoint


@dataclass(frozen=True, kw_only=True)
class ResponderProportion(MeasuredEndpoint):
    """Responders of the patients: a response has no value before treatment.

    ``reference_rate`` is the percentage they are tested against at the last registered visit.
    """

    reference_rate: float | None = None

    statistic: ClassVar[str] = "responder_proportion"
    paired: ClassVar[bool] = False
    figure: ClassVar[Figure] = "response"

    def faults(self, setting: Setting) -> Iterator[Fault]:
        yield from super().faults(setting)
        if self.reference_rate is not None and not 0 < self.reference_rate < 100:
            yield Fault("reference_rate", f"{self.reference_rate:g} is no rate", "a percentage between 0 and 100")

    @property
    def response(self) -> str | None:
        return self.score

    @property
    def mark(self) -> str:
        return f"{self.score} responder"

    @property
    def label(self) -> str:
        return f"{super().label}, proportion of responders"
