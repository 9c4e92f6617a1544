"""A value that a laboratory assay gives."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

from immunolab.study.endpoints.endpoint import Endpoint, Needs
from immunolab.study.endpoints.measured import SUPPRESSION_ASSAY

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, kw_only=True)
class Assay(Endpoint):
    """A variable of the measurements, under the assay's name or else the endpoint's id.

    Attributes
    ----------
    assay
        Its name.
    population, parent
        What single cells, where the study has them, answer it by: the share of a population, and
    signatures
        the mean scores of signatures of the vocabulary in its cells.
    """

    assay: str | None = None
    population: str = ""
    parent: str = ""
    signatures: tuple[str, ...] = ()

    statistic: ClassVar[str] = "assay"

    @property
    def needs(self) -> Needs:
        return Needs(assays=(self.assay or self.id,))

    @property
    def label(self) -> str:
        return self.assay or self.id

    @property
    def scale(self) -> Literal["identity"] | None:
        """Identity for inhibition, which is in % and can be below 0."""
        return "identity" if SUPPRESSION_ASSAY in (self.assay, self.id) else None

    def _names(self) -> tuple[str | None, ...]:
        return (self.assay,)

    def _incomplete(self) -> str:
        named = bool(self.population), bool(self.parent)
        if any(named) != all(named) or (self.signatures and not self.population):
            return "single cells answer it by population and parent, and by signatures in that population"
        return ""

    def records(self, measurements: pd.DataFrame, scores: pd.DataFrame) -> tuple[str, pd.DataFrame]:
        own = measurements["variable"] == (self.assay or self.id)
        if own.any():
            return self.assay or self.id, measurements[own]
        return self.id, measurements[measurements["variable"] == self.id]
