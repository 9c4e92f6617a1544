"""Values over the study: every patient's course, with doses, cycles and follow-up under it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from immunolab.plots.calendar import Calendar, name_visits, shade, week_ticks
from immunolab.plots.labels import EndpointLabel, folded, is_low, labels
from immunolab.plots.marks import shapes, strip_lines
from immunolab.plots.names import shortened
from immunolab.plots.style import MM, WIDTH, axes, style
from immunolab.plots.values import value_axis
from immunolab.study.visit_order import visits_in_order

if TYPE_CHECKING:
    from matplotlib.axes import Axes

PATIENT = "#B5B5B5"


@style()
def spaghetti(
    endpoints: pd.DataFrame,
    endpoint: str,
    plan: Calendar,
    *,
    definitions: Mapping[str, str] | None = None,
    small: bool = False,
    ax: Axes | None = None,
) -> Axes:
    """Draw every patient's course over actual study days, and the cohort's median and quartiles a visit.

    A line runs from a visit to the next planned one; a missed visit leaves a gap. Under the axis is
    how many patients have a value at each visit.

    Parameters
    ----------
    endpoints
        ENDPOINTS rows of one cohort.
    endpoint
        Endpoint id (a subset, a measurement or a score).
    plan
        Doses, phases and planned visits.
    definitions
        Definition id to markers in words.
    small
        Whether it is set for a small figure.
    ax
        Axes to draw on; None makes a new figure.
    """
    ax = axes(ax, WIDTH, 70 * MM)
    rows = endpoints[endpoints["endpoint"] == endpoint].dropna(subset=["value", "study_day"])
    named = labels(rows, definitions).get(endpoint) or EndpointLabel(endpoint, endpoint, "", "", "")
    visits = visit_order(rows, plan)
    shade(ax, plan)
    patient_lines(ax, rows, visits, PATIENT, 0.7)
    visit_medians(ax, rows, visits, named.colour)
    value_axis(ax, named, rows["value"].to_numpy(dtype=float))
    ax.set_ylabel(folded(named.measured, 26 if small else 34))
    days = [*rows["study_day"], *plan.doses]
    if days:
        room = 0.03 * (max(days) - min(days)) + 3
        ax.set_xlim(min(days) - room, max(days) + room)
        week_ticks(ax, min(days), max(days), most=5 if small else 12)
    if small:
        ax.set_xlabel("week")
    name_visits(ax, visit_days(rows, visits), counts=visit_counts(rows))
    return ax


def visit_days(rows: pd.DataFrame, visits: Sequence[str]) -> dict[str, float]:
    """Return the median study day of each visit, in the order of ``visits``.

    Parameters
    ----------
    rows
        Rows of the table ``endpoints``.
    visits
        Those wanted; one without a row is left out.
    """
    days = rows.groupby("visit")["study_day"].median()
    return {visit: float(days[visit]) for visit in visits if visit in days.index}


def visit_counts(rows: pd.DataFrame) -> dict[str, int]:
    """Return how many patients have a value at each visit.

    Parameters
    ----------
    rows
        Rows of one endpoint of the table ``endpoints``, each with a value.
    """
    return {str(visit): int(n) for visit, n in rows.groupby("visit")["patient_id"].nunique().items()}


def visit_order(rows: pd.DataFrame, plan: Calendar) -> list[str]:
    """Return the visits an endpoint has values at, by planned day, or by the median of their real days.

    Parameters
    ----------
    rows
        Rows of one endpoint of the table ``endpoints``.
    plan
        Calendar of the trial.
    """
    return visits_in_order(rows[["patient_id", "visit", "study_day"]].itertuples(index=False), plan.visits)


def patient_lines(ax: Axes, rows: pd.DataFrame, visits: Sequence[str], tint: str, width: float) -> None:
    """Draw patients: points, open where beyond quantification, and lines only between visits that follow each other.

    Parameters
    ----------
    ax
        Axes whose x axis is study days.
    rows
        Rows of one endpoint of the table ``endpoints``.
    visits
        Visits in order; a line joins neighbours only.
    tint
        Colour of lines and points.
    width
        Width of the lines in points.
    """
    from matplotlib.collections import LineCollection

    ordered = rows.sort_values(["patient_id", "study_day"], kind="stable")
    place = ordered["visit"].astype(str).map({visit: i for i, visit in enumerate(visits)}).to_numpy()
    points = ordered[["study_day", "value"]].to_numpy(dtype=float)
    who = ordered["patient_id"].to_numpy()
    joined = (who[1:] == who[:-1]) & (np.abs(np.diff(place)) <= 1)
    segments = np.stack([points[:-1], points[1:]], axis=1)[joined]
    ax.add_collection(LineCollection(list(segments), colors=tint, linewidths=width, zorder=2))
    low = ordered["flag"].map(is_low).to_numpy(dtype=bool)
    for part, face in ((points[~low], tint), (points[low], "white")):
        if len(part):
            ax.plot(part[:, 0], part[:, 1], "o", color=tint, markersize=2.6, markerfacecolor=face, zorder=2)


def visit_medians(ax: Axes, rows: pd.DataFrame, visits: Sequence[str], tint: str) -> None:
    """Draw median and quartiles over patients at each visit's median day.

    Parameters
    ----------
    ax
        Axes whose x axis is study days.
    rows
        Rows of one endpoint of the table ``endpoints``.
    visits
        Visits in order.
    tint
        Colour of the median.
    """
    places, middles = [], []
    for visit in visits:
        own = rows[rows["visit"] == visit]
        if own.empty:
            continue
        low, middle, high = np.quantile(own["value"].to_numpy(dtype=float), [0.25, 0.5, 0.75])
        day = float(own["study_day"].median())
        ax.plot([day, day], [low, high], color=tint, linewidth=3.2, alpha=0.35, solid_capstyle="butt", zorder=3)
        places.append(day)
        middles.append(float(middle))
    ax.plot(places, middles, "-o", color=tint, linewidth=1.8, markersize=4.5, zorder=4)


@style()
def swimmer(
    plan: Calendar,
    patients: Sequence[str],
    marks: pd.DataFrame,
    *,
    last_day: Mapping[str, float] | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw one lane a patient: treatment, and what happened when (response, relapse ...).

    Parameters
    ----------
    plan
        Planned or real doses.
    patients
        In order from the top.
    marks
        patient_id, study_day, what (in words), kind (of `immunolab.plots.marks.KINDS`).
    last_day
        patient_id to the last day of observation.
    ax
        Axes to draw on; None makes a new figure.
    """
    ax = axes(ax, WIDTH, (18 + 5.5 * len(patients)) * MM)
    ends = dict(last_day or {})
    for lane, patient in enumerate(patients):
        own = marks[marks["patient_id"] == patient]
        days = plan.days(patient)
        end = max([1.0, ends.get(patient, 1.0), *own["study_day"].astype(float), *map(float, days)])
        ax.plot([1, end], [lane, lane], color="#C9CED6", linewidth=4.5, solid_capstyle="butt", zorder=1)
        ax.plot(days, [lane] * len(days), "|", color="#8A5A00", markersize=6, markeredgewidth=0.7, zorder=2)
    words, drawn = strip_lines(marks), shapes(marks)
    aside = np.linspace(-0.2, 0.2, len(words)) if len(words) > 1 else np.zeros(1)  # marks of one day stay apart
    for what, shift in zip(words, aside, strict=False):
        shape, tint = drawn[what]
        own = marks[(marks["what"] == what) & marks["patient_id"].isin(list(patients))]
        lanes = [list(patients).index(p) + shift for p in own["patient_id"]]
        label = f"{folded(what, 24)} (n = {own['patient_id'].nunique()})"
        ax.plot(own["study_day"].to_numpy(dtype=float), lanes, shape, color=tint, markersize=5, label=label, zorder=3)
    ax.plot([], [], "|", color="#8A5A00", label="dose" if plan.patient_doses else "planned dose")
    ax.set_yticks(range(len(patients)), [shortened(patient, 24) for patient in patients])
    ax.set_ylim(len(patients) - 0.4, -0.6)
    low, high = ax.get_xlim()
    week_ticks(ax, max(low, 1), high)
    ax.legend(loc="upper left", bbox_to_anchor=(1, 1))
    return ax
