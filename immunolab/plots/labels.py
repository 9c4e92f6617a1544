"""Words on figures: what an endpoint is and of what, and how p, intervals and n are written."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from types import MappingProxyType
from typing import Literal

import numpy as np
import pandas as pd

from immunolab.plots.style import colour
from immunolab.schema.flags import UNQUANTIFIED, split
from immunolab.vocabulary.populations import definitions as all_definitions

DENOMINATORS = {
    "CD4": "CD4+ T cells",
    "CD8": "CD8+ T cells",
    "CD3": "CD3+ T cells",
    "CD4_mem": "memory CD4+ T cells",
    "Tconv": "CD4+ T cells without Treg",
    "lymphocytes": "viable single lymphocytes",
    "viable": "viable single events",
    "singlets": "single events",
    "root": "all events",
}
_CONCENTRATIONS = ("/ml", "/l", "/dl", "/ul", "/µl", "/mm3")
_SCALE_WORDS = {
    "log_odds": "odds ratio",
    "logit": "odds ratio",
    "log": "fold",
    "identity": "difference",
    "arcsine": "difference on the arcsine scale",
}
_SUPERSCRIPT = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
_SIGNS = {"pos": "+", "neg": "-"}


@dataclass(frozen=True)
class EndpointLabel:
    """How an endpoint is written on figures and in the report.

    Attributes
    ----------
    endpoint : endpoint id.
    population : subset or variable measured.
    definition : the gate in markers (``CD25hi CD127lo``); empty when the table names none.
    parent : denominator as the table names it; empty when there is none.
    unit : unit of the value.
    """

    endpoint: str
    population: str
    definition: str
    parent: str
    unit: str

    @property
    def name(self) -> str:
        """``Treg (CD25hi CD127lo)``."""
        return f"{self.population} ({self.definition})" if self.definition else self.population

    @property
    def quantity(self) -> str:
        """``% of CD4+ T cells``, ``ratio``, ``pg/ml``."""
        if self.unit != "%" or not self.parent:
            return self.unit
        return f"% of {denominator(self.parent)}"

    @property
    def axis(self) -> str:
        """``Treg (CD25hi CD127lo), % of CD4+ T cells``."""
        return f"{self.name}, {self.quantity}" if self.quantity else self.name

    @property
    def short(self) -> str:
        """``Treg, % of CD4``: for crowded figures; the caption holds the long form."""
        if self.unit == "%" and self.parent:
            return f"{self.population}, % of {self.parent}"
        return self.population if self.unit in ("ratio", "") else f"{self.population}, {self.unit}"

    @property
    def axis_scale(self) -> Literal["linear", "log2"]:
        """Ratios and concentrations are read on a log2 axis, everything else from zero."""
        return "log2" if self.unit == "ratio" or self.unit.lower().endswith(_CONCENTRATIONS) else "linear"

    @property
    def colour(self) -> str:
        """The subset's fixed colour."""
        return colour(self.population)


def denominator(parent: str) -> str:
    """Return a parent's name in words (``CD4`` is ``CD4+ T cells``).

    Parameters
    ----------
    parent
        Population name; upper and lower case are alike.

    Returns
    -------
    str
        Its name in words, or the name itself where none is known.
    """
    known = {name.lower(): words for name, words in DENOMINATORS.items()}
    return known.get(parent.lower(), parent)


@cache
def definition_words() -> Mapping[str, str]:
    """Return every definition of the vocabulary in markers: ``Treg.CD25hiCD127lo`` is ``CD25hi CD127lo``."""
    words = {}
    for definition in all_definitions():
        ways = [
            " ".join(f"{marker}{_SIGNS.get(level, level)}" for marker, level in way) for way in definition.phenotypes
        ]
        outside = f"not {' or '.join(definition.exclude)}" if definition.exclude else ""
        words[definition.id] = ", ".join(part for part in (" or ".join(ways), outside) if part)
    return MappingProxyType(words)


def definition_ids(text: object) -> list[str]:
    """Return the definition ids of a cell: one, or those of a ratio (``A / B``).

    Parameters
    ----------
    text
        A cell of the column ``definition``; may be missing.

    Returns
    -------
    list of str
        Ids of `vocabulary.populations`; empty for a missing cell.
    """
    return [part for part in re.split(r";| / ", _text(text)) if part]


def label(row: Mapping[str, object] | pd.Series, definitions: Mapping[str, str] | None = None) -> EndpointLabel:
    """Return the label of one ENDPOINTS row; ``definitions`` maps ids to markers (None: the vocabulary's).

    Parameters
    ----------
    row
        A row of the table ``endpoints``.
    definitions
        Definition id to markers in words; None takes the vocabulary's.

    Returns
    -------
    EndpointLabel
        How the endpoint is written.
    """
    words = definition_words() if definitions is None else definitions
    population = _text(row["population"])
    parts = [words.get(part, part.removeprefix(f"{population} ")) for part in definition_ids(row.get("definition"))]
    return EndpointLabel(
        _text(row["endpoint"]),
        population,
        " / ".join(parts),
        _text(row.get("parent")),
        _text(row["unit"]),
    )


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

    Returns
    -------
    dict
        Endpoint id to label, in order of appearance.
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


def number(value: float, digits: int = 3) -> str:
    """Return a number with so many significant digits, without an exponent where it can be read without.

    Parameters
    ----------
    value
        Any number; missing and infinite ones are written in words and signs.
    digits
        Significant digits.

    Returns
    -------
    str
        The number as text, with a true minus sign.
    """
    if pd.isna(value):
        return "not available"
    if not np.isfinite(value):
        return "∞" if value > 0 else "-∞"
    if value == 0 or 1e-4 <= abs(value) < 10**6:
        rounded = float(f"{value:.{digits - 1}e}")
        places = max(0, digits - 1 - int(np.floor(np.log10(abs(rounded))))) if rounded else 0
        return f"{rounded:.{places}f}".replace("-", "−")
    return _power(value, digits)


def p_text(p_value: float, symbol: str = "p") -> str:
    """Return ``p = 0.0078``: the number itself, never stars or a threshold.

    Parameters
    ----------
    p_value
        Between 0 and 1, or missing.
    symbol
        ``p`` or ``q``.

    Returns
    -------
    str
        Symbol and number, or that it was not computed.
    """
    if pd.isna(p_value):
        return f"{symbol} not computed"
    return f"{symbol} = {p_number(p_value)}"


def p_number(p_value: float) -> str:
    """Return a p or q value with two significant digits (three above 0.1).

    Parameters
    ----------
    p_value
        Between 0 and 1, or missing.

    Returns
    -------
    str
        The number; a dash where it is missing.
    """
    if pd.isna(p_value):
        return "–"
    if p_value >= 0.001:
        return f"{p_value:.3f}" if p_value >= 0.1 else number(p_value, 2)
    return "0" if p_value == 0 else _power(p_value, 2)


def scale_word(scale: str) -> str:
    """Return what an estimate on a scale is called once it is turned back: odds ratio, fold, difference.

    Parameters
    ----------
    scale
        ``log_odds``, ``logit``, ``log``, ``identity`` or ``arcsine``.

    Returns
    -------
    str
        The word; an unknown scale is its own word.
    """
    return _SCALE_WORDS.get(scale, scale)


def interval(estimate: float, low: float, high: float, scale: str) -> str:
    """Return ``odds ratio 2.11 [1.71, 2.60]`` from an estimate and 95 % limits on a scale.

    Parameters
    ----------
    estimate, low, high
        Estimate and 95 % limits on ``scale``.
    scale
        As for `scale_word`.

    Returns
    -------
    str
        Kind of change, estimate and limits.
    """
    return f"{scale_word(scale)} {bracket(estimate, low, high, scale)}"


def bracket(estimate: float, low: float, high: float, scale: str) -> str:
    """Return ``2.11 [1.71, 2.60]``, turned back from log odds or log.

    Parameters
    ----------
    estimate, low, high
        Estimate and 95 % limits on ``scale``; limits may be missing.
    scale
        As for `scale_word`.

    Returns
    -------
    str
        Estimate and limits, or that it is not estimable.
    """
    if pd.isna(estimate):
        return "not estimable"
    values = [back(value, scale) for value in (estimate, low, high)]
    limits = (
        f" [{number(values[1])}, {number(values[2])}]" if not pd.isna(low) and not pd.isna(high) else " [no interval]"
    )
    return number(values[0]) + limits


def back(value: float, scale: str) -> float:
    """Return exp(value) on log scales, the value itself on others.

    Parameters
    ----------
    value
        Estimate or limit on ``scale``.
    scale
        As for `scale_word`.

    Returns
    -------
    float
        Odds ratio, ratio or difference.
    """
    return float(np.exp(value)) if scale in ("log_odds", "logit", "log") else float(value)


def folded(text: str, width: int) -> str:
    """Return text broken into lines of at most so many characters.

    Parameters
    ----------
    text
        One line.
    width
        Most characters of a line.

    Returns
    -------
    str
        The text with line breaks.
    """
    return "\n".join(textwrap.wrap(text, width))


def is_low(flag: object) -> bool:
    """Whether a flag says that a value is outside what the assay can quantify.

    Parameters
    ----------
    flag
        A cell of a column ``flag``; may be missing.

    Returns
    -------
    bool
        True where the point is drawn as an open symbol.
    """
    return not UNQUANTIFIED.isdisjoint(split(flag))


def span(values: pd.Series) -> str:
    """Return ``71`` or, when the values differ, ``69 to 73``.

    Parameters
    ----------
    values
        Numbers, some of them missing.

    Returns
    -------
    str
        The value or the range in words; ``unknown`` where all are missing.
    """
    present = values.dropna()
    if present.empty:
        return "unknown"
    low, high = f"{present.min():g}", f"{present.max():g}"
    return (low if low == high else f"{low} to {high}").replace("-", "−")


def _power(value: float, digits: int) -> str:
    mantissa, exponent = f"{value:.{digits - 1}e}".split("e")
    return f"{mantissa} × 10{str(int(exponent)).translate(_SUPERSCRIPT)}".replace("-", "−")


def _text(value: object) -> str:
    return "" if value is None or pd.isna(value) else str(value)  # type: ignore[call-overload]
