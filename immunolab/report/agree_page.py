"""agreement.html: two gatings of the same tubes on one page."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from immunolab.plots.numbers import number
from immunolab.report.document import document
from immunolab.version import VERSION
from immunolab.vocabulary.display_names import display_name

_HOW = (
    "Bias and limits of agreement: mean of the second less the first gating, and 1.96 standard deviations to either "
    "side, in percentage points of the parent, and as a ratio where both percents are above zero (Bland and Altman "
    "1986, 1999); brackets are 95 % intervals. Concordance: Lin 1989, interval of 2000. CV: between the two gatings, "
    "root mean square over tubes. F1: twice the events in both over the events of each, all tubes together; the lowest "
    "tube in brackets. Kappa (Cohen 1960) is of this gate alone: over the events that both gatings have in the parent. "
    "Several tubes of one patient count as separate tubes: the limits are those of a further tube. A percent is of the "
    "parent in its own gating: where the parents are different populations, percents differ though the events agree."
)
_NAMED = 4  # tubes or populations named in a line; all are in the table
_FEW = 0.9  # F1 below which a population is named first (judgement; good is what two experts reach, about .9)


@dataclass(frozen=True)
class PagePicture:
    """A picture of the page: its PNG, what is seen on it, and the words below it."""

    png: bytes
    alt: str
    caption: str

    @property
    def picture(self) -> str:
        """The PNG as text."""
        return b64encode(self.png).decode()


def agree_page(
    populations: pd.DataFrame,
    unmatched: pd.DataFrame,
    words: tuple[str, str],
    *,
    n_tubes: int,
    overview: Sequence[PagePicture],
    differences: Sequence[PagePicture],
    worst: Sequence[PagePicture],
) -> str:
    """Return the page as HTML text; every text from outside is escaped.

    Parameters
    ----------
    populations, unmatched
        Rows of `GATING_AGREEMENT` and `UNMATCHED`.
    words
        What the gatings are called.
    n_tubes
        Tubes that were compared.
    overview, differences, worst
        Pictures of the three sections.
    """
    sections = [
        ("overview", "At a glance", overview),
        ("differences", "Difference against mean", differences),
        ("worst", "Where the gatings differ most", worst),
    ]
    context = {
        "title": f"Agreement of {words[0]} and {words[1]}",
        "said": in_words(populations, words, n_tubes),
        "concern": _concern(populations),
        "made": f"immunolab {VERSION}. The same numbers are in agreement_populations.csv and agreement_tubes.csv.",
        "how": _HOW,
        "contents": [
            ("h-populations", "Populations"),
            *((i, h) for i, h, _ in sections),
            ("h-unmatched", "Not compared"),
        ],
        "sections": sections,
        "table": _table(populations),
        "unmatched": unmatched_lines(unmatched),
    }
    return document(context, "agree.html.j2")


def unmatched_lines(unmatched: pd.DataFrame) -> list[str]:
    """Return what was not compared, a line for all that have one reason.

    Parameters
    ----------
    unmatched
        Rows of `UNMATCHED`.
    """
    lines = []
    for (what, reason), own in unmatched.groupby(["what", "reason"], sort=False):
        names = list(map(str, own["name"]))
        more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
        counted = "" if len(names) == 1 or what == "events" else f"{len(names)} "
        plural = "s" if len(names) > 1 and what != "events" else ""
        lines.append(f"{counted}{what}{plural}: {reason}: {', '.join(names[:_NAMED])}{more}")
    return lines


def in_words(populations: pd.DataFrame, words: tuple[str, str], n_tubes: int) -> str:
    """Return in a sentence or two how far two gatings agree.

    Parameters
    ----------
    populations
        Rows of `GATING_AGREEMENT`.
    words
        What the gatings are called.
    n_tubes
        Tubes that were compared.
    """
    n = len(populations)
    tubes, populated = (f"{k} {word}{'' if k == 1 else 's'}" for k, word in ((n_tubes, "tube"), (n, "population")))
    text = f"{tubes}, {populated} in both {words[0]} and {words[1]}."
    if not n:
        return text
    ratio = populations["ratio"].astype(float)
    # a mean ratio of 1 is not enough: tubes with twice and half as much make it, too
    if (populations["n_tubes"] > 0).any() and (populations["cv"].astype(float).fillna(0.0) == 0.0).all():
        of_both = "" if (populations["n_withheld"] == 0).all() else " that both have"
        text += f" All percents{of_both} are equal."
    elif ratio.notna().any():
        far = populations.loc[np.log(ratio).abs().idxmax()]
        concordance = populations["concordance"].astype(float)
        if concordance.notna().any():
            text += f" Median of Lin's concordance {number(float(concordance.median()))}."
        text += (
            " The mean ratio of percents is farthest from 1 in "
            f"{display_name(str(far['population']))}: {number(float(far['ratio']))}."
        )
    if populations["f1"].notna().any():
        low = populations.loc[populations["f1"].astype(float).idxmin()]
        median = number(float(populations["f1"].astype(float).median()))
        lowest = f"{number(float(low['f1']))} ({display_name(str(low['population']))})"
        text += f" F1 of events: median {median}, lowest {lowest}."
    return text


def _concern(populations: pd.DataFrame) -> str:
    low = populations[populations["f1"].astype(float) < _FEW]
    if low.empty:
        return ""
    names = ", ".join(display_name(str(name)) for name in low.sort_values("f1")["population"].head(6))
    more = f" and {len(low) - 6} more" if len(low) > 6 else ""
    return f"F1 below {_FEW:g} in {len(low)} of {len(populations)} populations: {names}{more}."


@dataclass(frozen=True)
class _Table:
    headings: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def _table(populations: pd.DataFrame) -> _Table:
    headings = (
        "Population", "Tubes", "Mean, first (%)", "Mean, second (%)", "Bias (points)", "Limits (points)", "Ratio",
        "Limits (ratio)", "Concordance", "CV (%)", "F1 (lowest)", "Kappa of the gate",
    )  # fmt: skip
    return _Table(headings, tuple(_cells(row) for row in populations.to_dict("records")))


def _cells(row: dict[str, object]) -> tuple[str, ...]:
    def text(name: str) -> str:
        value = float("nan") if pd.isna(row[name]) else float(str(row[name]))  # type: ignore[call-overload]
        return number(value) if np.isfinite(value) else ""

    def pair(low: str, high: str) -> str:
        return f"{text(low)} to {text(high)}" if text(low) and text(high) else ""

    def bracket(value: str, low: str, high: str) -> str:
        ends = pair(low, high)
        return f"{text(value)} [{ends}]" if ends else text(value)

    def of(value: str, count: str) -> str:
        """Return a value with its own number of tubes where that is another than the row's."""
        n = 0 if pd.isna(row[count]) else int(str(row[count]))  # type: ignore[call-overload]
        return f"{value}, {n} tube{'' if n == 1 else 's'}" if value and n != row["n_tubes"] else value

    lowest = f" ({text('f1_lowest')})" if text("f1_lowest") else ""
    withheld = f" ({row['n_withheld']} without)" if row["n_withheld"] else ""
    return (
        display_name(str(row["population"])),
        f"{row['n_tubes']}{withheld}",
        text("mean_a"),
        text("mean_b"),
        bracket("bias", "bias_ci_low", "bias_ci_high"),
        pair("limit_low", "limit_high"),
        of(bracket("ratio", "ratio_ci_low", "ratio_ci_high"), "n_ratio"),
        pair("ratio_limit_low", "ratio_limit_high"),
        bracket("concordance", "concordance_ci_low", "concordance_ci_high"),
        text("cv"),
        of(f"{text('f1')}{lowest}", "n_event_tubes"),
        text("kappa"),
    )
