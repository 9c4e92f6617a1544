"""Which tubes share the borders that a value depends on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pandas as pd

_SCOPES = ("sample", "patient", "batch", "study")  # from the narrowest on
_BY_DATA = (
    "fmo",
    "unstained",
    "internal",
    "density",
    "others",
)  # controls of borders that data placed; others have no error


@dataclass(frozen=True)
class SampleScopes:
    """The scopes of one sample's borders.

    Attributes
    ----------
    paths
        Lineage of each population.
    scopes
        Narrowest scope of each population's own borders.
    """

    paths: Mapping[str, str]
    scopes: Mapping[str, str]

    def of(self, population: str, parent: str) -> str | None:
        """Return the narrowest scope of the borders between a population and its denominator; None without any.

        Parameters
        ----------
        population
            Its name; of a ratio, both names with "/" between.
        parent
            The denominator; borders above it touch both alike.
        """
        above = set(self.paths.get(parent, "").split("/"))
        names = {name for one in population.split("/") for name in self.paths.get(one, "").split("/")} - above
        return min((self.scopes[name] for name in names if name in self.scopes), key=_SCOPES.index, default=None)


def gate_scopes(counts: pd.DataFrame, thresholds: pd.DataFrame) -> dict[str, SampleScopes]:
    """Return the scopes of every sample's borders.

    Parameters
    ----------
    counts, thresholds
        Tables of the study's samples.
    """
    placed = thresholds[thresholds["control"].isin(_BY_DATA)]
    own: dict[str, dict[str, str]] = {}
    for sample, population, scope in zip(placed["sample_id"], placed["population"], placed["scope"], strict=True):
        known = own.setdefault(sample, {})
        known[population] = min(known.get(population, scope), scope, key=_SCOPES.index)
    return {
        str(sample): SampleScopes(dict(zip(rows["population"], rows["path"], strict=True)), own.get(str(sample), {}))
        for sample, rows in counts.groupby("sample_id", sort=False)
    }
