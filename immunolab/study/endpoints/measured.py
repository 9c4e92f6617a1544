"""Endpoints that the clinic measures: variables of the measurements, and scores made of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from immunolab.study.endpoints.endpoint import Endpoint, Needs

if TYPE_CHECKING:
    import pandas as pd

SUPPRESSION_ASSAY = "Treg_suppression"
_SIGNED = frozenset({SUPPRESSION_ASSAY})  # in %, but below 0 where Treg make the others divide more: no logit


@dataclass(frozen=True, kw_only=True)
class MeasuredEndpoint(Endpoint):
    """A value of the clinic: that of a score, a variable, or a variable named like the endpoint."""

    variable: str | None = None
    variables: tuple[str, ...] = ()
    score: str | None = None

    @property
    def needs(self) -> Needs:
        if self.score:
            return Needs(scores=(self.score,))
        return Needs(variables=self.variables or (self.variable or self.id,))

    @property
    def fitted(self) -> str:
        return self.score or self.variable or self.id

    @property
    def label(self) -> str:
        return self.variable or self.score or self.id

    @property
    def scale(self) -> Literal["identity"] | None:
        """Identity for a percentage that can be below 0."""
        return "identity" if self.variable in _SIGNED else None

    def _names(self) -> tuple[str | None, ...]:
        return self.variable, self.score

    def _incomplete(self) -> str:
        named = sum(map(bool, (self.variable, self.variables, self.score)))
        return "name one of population, numerator, variable, variables, score, assay" if named > 1 else ""

    def expanded(self) -> Iterator[Endpoint]:
        if not self.variables:
            yield self
        for name in self.variables:
            yield replace(self, id=f"{self.id}_{name}", variable=name, variables=())

    def records(self, measurements: pd.DataFrame, scores: pd.DataFrame) -> tuple[str, pd.DataFrame]:
        if self.score:
            return self.score, scores[scores["score"] == self.score]
        name = self.variable or self.id
        return name, measurements[measurements["variable"] == name]
