"""Shares of patients: responders over the visits, and an event among those who could have it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from immunolab.plots.labels import folded
from immunolab.plots.style import ALARM, HALF, MISSING, MM, NEUTRAL, SMALL, axes, style
from immunolab.vocabulary.display_names import display_name

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_RESPONSE = "#0072B2"
_ACROSS = 20  # squares of a row: patients of an event
_SQUARES = (  # column of event_counts, what its patients are, colour of the square
    ("n_with_event", "with the event", ALARM),
    ("n_late", "after the window", "#E9A98C"),
    ("n_without", "without", "#7FA8C9"),
    ("n_not_followed", "not followed", "white"),
    ("n_not_at_risk", "could not have it", MISSING),
    ("n_unknown", "not known", "#F3F3F3"),
)


@style()
def responders_over_visits(rows: pd.DataFrame, *, small: bool = False, ax: Axes | None = None) -> Axes:
    """Draw the share of responders at each visit with its 95 % interval; under the axis responders and denominator.

    Filled: of the patients who can be evaluated. Open, where some cannot: of all patients enrolled, a missing
    response counted as none.

    Parameters
    ----------
    rows
        Rows of the table ``responders`` of one cohort, score and criterion, in the order of the visits.
    small
        Whether only every visit's fraction is written, without words.
    ax
        Axes to draw on; None makes a new figure.
    """
    ax = axes(ax, HALF, 75 * MM)
    some_lack = bool((rows["n_evaluable"] < rows["n_patients"]).any())
    series = [("percent", "ci_low", "ci_high", "evaluable", -0.08 if some_lack else 0.0)]
    if some_lack:
        series.append(("percent_worst_case", "worst_case_ci_low", "worst_case_ci_high", "all enrolled", 0.08))
    places = np.arange(len(rows))
    for column, low, high, words, aside in series:
        face = _RESPONSE if column == "percent" else "white"
        middle, lower, upper = (rows[name].to_numpy(dtype=float) for name in (column, low, high))
        for x, a, b in zip(places + aside, lower, upper, strict=True):
            ax.plot([x, x], [a, b], color=_RESPONSE, linewidth=1.3, solid_capstyle="butt", zorder=2)
        ax.plot(places + aside, middle, "o", color=_RESPONSE, markerfacecolor=face, markersize=5, label=words, zorder=3)
    counts = zip(rows["visit"], rows["n_responders"], rows["n_evaluable"], strict=True)
    ax.set_xticks(places, [f"{folded(str(visit), 10)}\n{yes}/{n}" for visit, yes, n in counts])
    ax.set_xlim(-0.5, len(rows) - 0.5)
    ax.set_ylim(-3, 104)  # a mark of 0 % is drawn whole
    ax.set_yticks([0, 25, 50, 75, 100])
    ax.set_ylabel("responders, %")
    if some_lack and not small:
        ax.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=2, borderaxespad=0.1)
    return ax


@style()
def event_squares(row: pd.Series, *, small: bool = False, ax: Axes | None = None) -> Axes:
    """Draw every patient as a square by what became of an event, and its share with the 95 % interval below.

    An event that was first seen after the registered window is a square of its own and not in the share. The thin
    line is how far the share goes if those who were not followed, or were seen late, had the event in time, or not.

    Parameters
    ----------
    row
        A row of the table ``event_counts``.
    small
        Whether the words are set for a small figure.
    ax
        Axes to draw on; None makes a new figure.
    """
    ax = axes(ax, HALF, 62 * MM)
    inside, percent, limits = _in_window(row)
    late = int(row["n_with_event"]) - inside
    without = int(row["n_followed"]) - int(row["n_with_event"])
    counts = row.to_dict() | {"n_with_event": inside, "n_late": late, "n_without": without}
    event = display_name(str(row["endpoint"]))
    named = {"n_with_event": folded(event, 24), "n_without": f"no {folded(event, 20)}"}
    kinds = [(int(counts[name]), named.get(name, words), tint) for name, words, tint in _SQUARES if int(counts[name])]
    _squares(ax, kinds)
    top = -(-sum(n for n, _, _ in kinds) // _ACROSS)
    if not pd.isna(percent):
        of = int(row["n_followed"]) + int(row["n_not_followed"])
        span = 100 * inside / of, row["percent_if_lost_had_it"]
        at = -1.6
        ax.plot([_place(x) for x in span], [at, at], color=ALARM, linewidth=0.7, zorder=2)
        ax.plot([_place(x) for x in limits], [at, at], color=ALARM, linewidth=2.2, zorder=3,
                solid_capstyle="butt")  # fmt: skip
        ax.plot(_place(percent), at, "o", color="black", markersize=5, zorder=4)
    if pd.isna(percent):  # a scale of percents under squares alone would be read as theirs
        ax.set_xticks([])
        ax.spines["bottom"].set_visible(False)
        ax.set_xlabel("nobody who could have it was followed: no share")
    else:
        ax.set_xticks([_place(x) for x in (0, 25, 50, 75, 100)], ["0", "25", "50", "75", "100 %"])
        ax.set_xlabel(f"{inside} of {row['n_followed']} who could have it and were followed")
    ax.set(xlim=(-0.5, _ACROSS + 0.5), ylim=(-2.6, top + 0.4), yticks=[])
    ax.spines["left"].set_visible(False)
    ax.legend(
        loc="lower left", bbox_to_anchor=(0, 1), ncols=2, borderaxespad=0.1, handlelength=0.9, columnspacing=1.0,
        fontsize=SMALL, labelspacing=0.25 if small else 0.5,
    )  # fmt: skip
    return ax


def _in_window(row: pd.Series) -> tuple[int, float, tuple[float, float]]:
    """Return the events in the registered window, their share in percent and its limits; all events without one."""
    if "n_in_window" not in row or pd.isna(row["n_in_window"]):
        return int(row["n_with_event"]), float(row["percent"]), (row["ci_low"], row["ci_high"])
    return int(row["n_in_window"]), float(row["percent_in_window"]), (row["in_window_ci_low"], row["in_window_ci_high"])


def _place(percent: float) -> float:
    return float(percent) / 100 * _ACROSS


def _squares(ax: Axes, kinds: list[tuple[int, str, str]]) -> None:
    total = sum(n for n, _, _ in kinds)
    rows = -(-total // _ACROSS)
    done = 0
    for n, words, tint in kinds:
        at = np.arange(done, done + n)
        ax.bar(
            at % _ACROSS + 0.5, 0.86, width=0.86, bottom=rows - 1 - at // _ACROSS + 0.07, color=tint, edgecolor=NEUTRAL,
            linewidth=0.5, label=f"{words}: {n}",
        )  # fmt: skip
        done += n
