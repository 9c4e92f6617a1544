"""Words on figures: what an endpoint is, and of what."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from types import MappingProxyType
from typing import Literal

import pandas as pd

from immunolab.plots.style import colour
from immunolab.schema.csv_files import cell_text
from immunolab.schema.endpoints import BY_SCORE, MOSTLY, POINTS, SCORE
from immunolab.schema.flags import UNQUANTIFIED, split
from immunolab.vocabulary.display_names import display_name, parent_name, unit_name
from immunolab.vocabulary.populations import definitions as all_definitions

_CONCENTRATIONS = ("/ml", "/l", "/dl", "/ul", "/µl", "/mm3")
_SIGNS = {"pos": "+", "neg": "-"}


@dataclass(frozen=True)
class EndpointLabel:
    """How an endpoint is written on figures and in the report.

    Attributes
    ----------
    endpoint
        Endpoint id.
    population
        Subset or variable measured.
    definition
        The gate in markers (``CD25hi CD127lo``); empty when the table names none.
    parent
        Denominator as the table names it; empty when there is none.
    unit
        Unit of the value.
    """

    endpoint: str
    population: str
    definition: str
    parent: str
    unit: str

    @property
    def display(self) -> str:
        """``effector Tfh``: population or variable as the vocabulary writes it; of a score ``Treg core in Treg``."""
        of = display_name(self.population)
        return f"{display_name(self.definition)} in {of}" if self._scored else of

    @property
    def name(self) -> str:
        """``Treg (CD25hi CD127lo)``."""
        return f"{self.display} ({self.definition})" if self.definition and not self._scored else self.display

    @property
    def _scored(self) -> bool:
        """Whether the value is the score of a signature, which ``definition`` then names, in a population's cells."""
        return self.unit == SCORE and bool(self.definition)

    @property
    def quantity(self) -> str:
        """``% of CD4+ T cells``, ``ratio``, ``pg/ml``."""
        if self.unit == POINTS and self.parent:
            return f"points of % of {parent_name(self.parent)}, stimulated less unstimulated"
        if self.unit != "%" or not self.parent:
            return unit_name(self.unit)
        return f"% of {parent_name(self.parent)}"

    @property
    def axis(self) -> str:
        """``Treg (CD25hi CD127lo), % of CD4+ T cells``."""
        return f"{self.name}, {self.quantity}" if self.quantity else self.name

    @property
    def measured(self) -> str:
        """``Treg, % of CD4+ T cells``: for an axis whose caption holds the definition."""
        return f"{self.display}, {self.quantity}" if self.quantity else self.display

    @property
    def short(self) -> str:
        """``Treg, % of CD4``: for crowded figures; the caption holds the long form."""
        if self.unit == "%" and self.parent:
            return f"{self.display}, % of {self.parent}"
        if self.unit == POINTS and self.parent:
            return f"{self.display}, stim. - unstim."
        return self.display if self.unit in ("ratio", "") else f"{self.display}, {unit_name(self.unit)}"

    @property
    def axis_scale(self) -> Literal["linear", "log2"]:
        """Ratios and concentrations are read on a log2 axis, everything else from zero."""
        return "log2" if self.unit == "ratio" or self.unit.lower().endswith(_CONCENTRATIONS) else "linear"

    @property
    def colour(self) -> str:
        """The subset's fixed colour."""
        return colour(self.population)


@cache
def definition_words() -> Mapping[str, str]:
    """Return every definition of the vocabulary in markers: ``Treg.CD25hiCD127lo`` is ``CD25hi CD127lo``."""
    words = {}
    for definition in all_definitions():
        ways = [
            " ".join(f"{marker}{_SIGNS.get(level, level)}" for marker, level in way) for way in definition.phenotypes
        ]
        outside = f"not {' or '.join(map(display_name, definition.exclude))}" if definition.exclude else ""
        words[definition.id] = ", ".join(part for part in (" or ".join(ways), outside) if part)
    return MappingProxyType(words)


def definition_ids(text: object) -> list[str]:
    """Return the definition ids of a cell: one, or those of a ratio (``A / B``).

    Parameters
    ----------
    text
        A cell of the column ``definition``; may be missing.
    """
    return [part for part in re.split(r";| / ", cell_text(text)) if part]


def label(row: Mapping[str, object] | pd.Series, definitions: Mapping[str, str] | None = None) -> EndpointLabel:
    """Return the label of one ENDPOINTS row; ``definitions`` maps ids to markers (None: the vocabulary's).

    Parameters
    ----------
    row
        A row of the table ``endpoints``.
    definitions
        Definition id to markers in words; None takes the vocabulary's.
    """
    words = definition_words() if definitions is None else definitions
    population = cell_text(row["population"])
    unit = cell_text(row["unit"])
    parts = [
        words.get(part) or _of_cells(part.removeprefix(f"{population} "), unit)
        for part in definition_ids(row.get("definition"))
    ]
    return EndpointLabel(cell_text(row["endpoint"]), population, " / ".join(parts), cell_text(row.get("parent")), unit)


def _of_cells(part: str, unit: str) -> str:
    """Return what defines a population, cluster or score of single cells in words; other definitions as they are."""
    if part.startswith(BY_SCORE):
        return part.removeprefix(BY_SCORE) if unit == SCORE else "by a score of genes"
    return f"{MOSTLY}{display_name(part.removeprefix(MOSTLY))}" if part.startswith(MOSTLY) else part


def labels(endpoints: pd.DataFrame, definitions: Mapping[str, str] | None = None) -> dict[str, EndpointLabel]:
    """Return the label of every endpoint of an ENDPOINTS table.

    An endpoint whose samples follow different definitions, denominators or units says so in its
    name instead of hiding all but one.

    Parameters
    ----------
    endpoints
        The table ``endpoints``.
    definitions
        Definition id to markers in words; None takes the vocabulary's.
    """
    found: dict[str, EndpointLabel] = {}
    columns = ["endpoint", "population", "definition", "parent", "unit"]
    kinds = endpoints[columns].drop_duplicates()
    for endpoint, rows in kinds.groupby("endpoint", sort=False):
        first = label(rows.iloc[0], definitions)
        if len(rows) > 1:
            mixed = [column for column in columns[1:] if rows[column].nunique(dropna=False) > 1]
            first = EndpointLabel(
                first.endpoint, first.population, f"MIXED {' and '.join(mixed)}", first.parent, first.unit
            )
        found[str(endpoint)] = first
    return found


def folded(text: str, width: int) -> str:
    """Return text broken into lines of at most so many characters.

    Parameters
    ----------
    text
        One line.
    width
        Most characters of a line.
    """
    return "\n".join(textwrap.wrap(text, width))


def is_low(flag: object) -> bool:
    """Whether a flag says that a value is outside what the assay can quantify.

    Parameters
    ----------
    flag
        A cell of a column ``flag``; may be missing.
    """
    return not UNQUANTIFIED.isdisjoint(split(flag))
