"""Several courses on one time axis: scores with steroid and blood values, and each patient's slopes by period."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from immunolab.plots.calendar import Calendar, name_visits, shade, shade_words, week_ticks
from immunolab.plots.labels import EndpointLabel, folded, labels
from immunolab.plots.names import shortened
from immunolab.plots.numbers import number
from immunolab.plots.style import ALARM, MM, NEUTRAL, SMALL, WIDTH, axes, figure, style
from immunolab.plots.trajectories import PATIENT, patient_lines, visit_days, visit_medians, visit_order
from immunolab.plots.values import value_axis

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MOST_PATIENTS = 30  # panels of `slope_panels` on one page
_PERIOD_COLOURS = ("#0072B2", "#D55E00")
_MONTH = 30.4375  # days, a twelfth of a Julian year
_ACROSS = 5  # panels of a row on a printed page


@style()
def course_panels(
    rows: pd.DataFrame,
    plan: Calendar,
    *,
    levels: Mapping[str, Sequence[tuple[float, str]]] | None = None,
) -> Figure:
    """Return courses below each other on one axis of study days: patients grey, median and quartiles in colour.

    Parameters
    ----------
    rows
        ENDPOINTS rows of one cohort with at least one value and day; endpoints from the top in order of
        appearance.
    plan
        Doses, phases and planned visits.
    levels
        Population (score or variable) to the values that a rule turns on, each with its meaning.
    """
    known = rows.dropna(subset=["value", "study_day"])
    named = labels(known)
    height = 22 + 29 * len(named)
    fig = figure(WIDTH, height * MM, layout=None)
    grid = fig.subplots(len(named), 1, squeeze=False, sharex=True)[:, 0]
    fig.subplots_adjust(0.1, 10 / height, 0.99, 1 - 15 / height, hspace=0.42)
    days = [*known["study_day"], *plan.doses]
    for name, ax in zip(named, grid, strict=True):
        own = known[known["endpoint"] == name]
        _course_panel(axes(ax), own, named[name], plan, (levels or {}).get(named[name].population, ()))
    week_ticks(grid[-1], min(days), max(days))
    grid[-1].set_xlim(min(days) - 4, max(days) + 8)
    name_visits(grid[0], visit_days(known, visit_order(known, plan)), above=17)
    fig.text(0.99, 1 - 1 / height, shade_words(plan), fontsize=SMALL, color="#555555", ha="right", va="top")
    return fig


def _course_panel(
    ax: Axes, rows: pd.DataFrame, named: EndpointLabel, plan: Calendar, levels: Sequence[tuple[float, str]]
) -> None:
    visits = visit_order(rows, plan)
    shade(ax, plan)
    patient_lines(ax, rows, visits, PATIENT, 0.7)
    visit_medians(ax, rows, visits, named.colour)
    values = rows["value"].to_numpy(dtype=float)
    value_axis(ax, named, np.append(values, [level for level, _ in levels]))
    for level, _ in levels:
        ax.axhline(level, color=ALARM, linewidth=0.8, linestyle=(0, (4, 2)), zorder=3)
    words = ", ".join(f"{meaning} {level:g}" for level, meaning in levels)
    ax.set_title(f"dashed: {words}" if words else "", loc="center", fontsize=SMALL, color=ALARM)
    ax.set_ylabel(folded(named.quantity, 20), fontsize=SMALL)
    ax.yaxis.set_label_coords(-0.07, 0.5)
    ax.set_title(named.display, loc="left", weight="bold")
    counts = rows.groupby("visit")["patient_id"].nunique()
    n = f"{counts.min()}" if counts.nunique() == 1 else f"{counts.min()} to {counts.max()}"
    ax.set_title(f"n = {n} patients a visit", loc="right", fontsize=SMALL, color=NEUTRAL)


@style()
def slope_panels(
    scores: pd.DataFrame,
    slopes: pd.DataFrame,
    what: str,
    unit: str,
    periods: tuple[str, str],
    knot: str,
    plan: Calendar,
) -> Figure:
    """Return one panel a patient: the score over study days, cycles shaded, and the fitted line of each period.

    The two lines are those whose slopes are given, joined at the visit ``knot`` where the least squares fit
    puts them; a patient without slopes has points only.

    Parameters
    ----------
    scores
        patient_id, visit, study_day, value.
    slopes
        patient_id, period, slope (points a month of 30.4375 days).
    what, unit
        The score, and its unit.
    periods
        Earlier and later, as in ``slopes``.
    knot
        Visit at which the two lines meet.
    plan
        Doses, phases and planned visits.
    """
    patients = list(dict.fromkeys(scores["patient_id"]))
    down = -(-len(patients) // _ACROSS)
    height = 22 + 34 * down
    fig = figure(WIDTH, height * MM, layout=None)
    grid = fig.subplots(down, _ACROSS, squeeze=False, sharex=True, sharey=True)
    fig.subplots_adjust(0.075, 11 / height, 0.99, 1 - 18 / height, wspace=0.12, hspace=0.42)
    wide = slopes.pivot(index="patient_id", columns="period", values="slope").reindex(columns=list(periods))
    for patient, ax in zip(patients, grid.flat, strict=False):
        own = scores[scores["patient_id"] == patient].dropna(subset=["value", "study_day"]).sort_values("study_day")
        both = wide.loc[patient].to_numpy(dtype=float) if patient in wide.index else np.full(2, np.nan)
        _slope_panel(axes(ax), own, both, knot, plan, str(patient))
    for ax in grid.flat[len(patients) :]:
        ax.set_axis_off()
    values, days = scores["value"].dropna(), [*scores["study_day"].dropna(), *plan.doses]
    room = 0.08 * max(1.0, float(values.max() - values.min()))
    grid[0, 0].set_ylim(float(values.min()) - room, float(values.max()) + room)
    grid[0, 0].set_xlim(min(days) - 6, max(days) + 10)
    for ax in grid.flat:
        week_ticks(ax, 1, max(days), most=4)
        ax.set_xlabel("")
    fig.text(0.53, 1.2 / height, "week of the study (from actual study day)", fontsize=8, ha="center", va="bottom")
    fig.text(0.012, 0.5, f"{what}, {unit}", fontsize=8, rotation=90, ha="left", va="center")
    _slope_legend(fig, periods, height, plan)
    return fig


def _slope_panel(ax: Axes, own: pd.DataFrame, slopes: np.ndarray, knot: str, plan: Calendar, patient: str) -> None:
    shade(ax, plan, patient)
    days, values = own["study_day"].to_numpy(dtype=float), own["value"].to_numpy(dtype=float)
    ax.plot(days, values, "o", color="black", markersize=3, zorder=4)
    at = own.loc[own["visit"] == knot, "study_day"].to_numpy(dtype=float)
    if np.isfinite(slopes).all() and at.size:
        months = (days - at[0]) / _MONTH
        level = float((values - slopes[0] * np.minimum(months, 0) - slopes[1] * np.maximum(months, 0)).mean())
        ends = (days.min(), at[0], days.max())
        heights = [
            level + slope * (end - at[0]) / _MONTH for slope, end in zip((slopes[0], 0, slopes[1]), ends, strict=True)
        ]
        for (x, y), tint in zip(zip(pairwise(ends), pairwise(heights), strict=True), _PERIOD_COLOURS, strict=True):
            ax.plot(x, y, color=tint, linewidth=1.6, zorder=3)
    words = " → ".join(number(slope, 2) for slope in slopes) if np.isfinite(slopes).all() else "no slopes"
    ax.set_title(f"{shortened(patient, 16)}\n{words}", fontsize=SMALL, loc="left")


def _slope_legend(fig: Figure, periods: tuple[str, str], height: float, plan: Calendar) -> None:
    from matplotlib.lines import Line2D

    handles = [Line2D([], [], color=tint, linewidth=1.6) for tint in _PERIOD_COLOURS]
    names = [f"slope {period}" for period in periods]
    fig.legend(handles, names, loc="upper left", bbox_to_anchor=(0.06, 1 - 0.5 / height), ncols=2, fontsize=SMALL)
    fig.text(0.99, 1 - 1.6 / height, shade_words(plan), fontsize=SMALL, color="#555555", ha="right", va="top")
