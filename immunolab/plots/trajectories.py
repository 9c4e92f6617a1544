"""Values over the study: every patient's course, with doses, cycles and follow-up under it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from immunolab.plots.calendar import Calendar, name_visits, shade, shade_words, week_ticks
from immunolab.plots.labels import EndpointLabel, folded, is_low, labels
from immunolab.plots.marks import end_line, mark_strip, shapes, strip_height, strip_lines
from immunolab.plots.names import box_in_points, shortened
from immunolab.plots.numbers import back, bracket, number, scale_word
from immunolab.plots.panel_canvas import width_of
from immunolab.plots.style import MM, NEUTRAL, SMALL, VERDICT_COLOURS, VERDICT_SYMBOLS, WIDTH, axes, figure, style
from immunolab.plots.values import value_axis

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

PATIENT = "#B5B5B5"
_PANEL_NAME = 40  # characters of the name over a panel of a patient's page
_NAME = 8  # points: letters of such a name, the size of titles in the house style
_NOTHING = pd.DataFrame({"patient_id": [], "study_day": [], "what": [], "kind": []})


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
    days = rows.groupby("visit")["study_day"].median()
    return sorted(map(str, days.index), key=lambda v: (plan.visits.get(v, days[v]), v))


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
def one_pager(
    endpoints: pd.DataFrame,
    pairs: pd.DataFrame,
    patient: str,
    plan: Calendar,
    *,
    definitions: Mapping[str, str] | None = None,
    marks: pd.DataFrame | None = None,
    most: int = 8,
) -> Figure:
    """Return one page of one patient: what happened, and every endpoint with its verdict, over study days and doses.

    Parameters
    ----------
    endpoints, pairs
        Declared tables of the cohort; the visits of an endpoint are those of all its patients.
    patient
        Coded id.
    plan
        Doses (the patient's own where they are known), phases, visits.
    definitions
        Definition id to markers in words.
    marks
        What happened: patient_id, study_day, what, kind (of `immunolab.plots.marks.KINDS`); None for nothing known.
    most
        Panels on the page: half of them percentages and ratios (one a population), the others measurements and
        scores, in the order of the table; where there are few of one kind, more of the other.
    """
    values = endpoints.dropna(subset=["value", "study_day"])
    visits = {str(name): visit_order(rows, plan) for name, rows in values.groupby("endpoint")}
    own, own_pairs = values[values["patient_id"] == patient], pairs[pairs["patient_id"] == patient]
    return patient_page(own, own_pairs, patient, plan, labels(endpoints, definitions), visits, marks=marks, most=most)


@style()
def patient_page(
    own: pd.DataFrame,
    pairs: pd.DataFrame,
    patient: str,
    plan: Calendar,
    named: Mapping[str, EndpointLabel],
    visits: Mapping[str, Sequence[str]],
    *,
    marks: pd.DataFrame | None = None,
    most: int = 8,
    fig: Figure | None = None,
) -> Figure:
    """Return the page that `one_pager` draws, from the patient's own rows: a job for a worker holds no one else's.

    Parameters
    ----------
    own, pairs
        Rows of the patient; those of ``own`` have a value and a study day.
    patient
        Coded id.
    plan
        Doses (the patient's own where they are known), phases, visits.
    named, visits
        Label and visits in order of every endpoint of the cohort.
    marks
        What happened, see `one_pager`.
    most
        Panels on the page, see `one_pager`.
    fig
        An empty figure to draw on, whose size is set; None makes a new one.
    """
    chosen = _page_endpoints(own, named, most)
    happened = _NOTHING if marks is None else marks[marks["patient_id"] == patient]
    rows, strip = max(1, -(-len(chosen) // 2)), strip_height(happened)
    height = 33 + strip + 35 * rows
    fig = figure(WIDTH, height * MM, layout=None) if fig is None else fig
    fig.set_size_inches(WIDTH, height * MM)
    grid = fig.subplots(rows, 2, squeeze=False, sharex=True)
    fig.subplots_adjust(0.085, 12 / height, 0.99, 1 - (18 + strip) / height, wspace=0.2, hspace=0.36)
    days = [*own.loc[own["endpoint"].isin(chosen), "study_day"], *plan.days(patient), *happened["study_day"]]
    for name, ax in zip(chosen, grid.flat, strict=False):  # a last panel may stay empty
        _patient_panel(axes(ax), own[own["endpoint"] == name], named[name], visits[name], plan, patient)
        _verdict_words(ax, pairs[pairs["endpoint"] == name])
        end_line(ax, happened)
    for ax in list(grid.flat)[len(chosen) :]:
        ax.set_axis_off()
    if days:
        week_ticks(grid[0, 0], min(days), max(days))
        grid[0, 0].set(xlim=(min(days) - 4, max(days) + 6), xlabel="")
    if strip and days:
        _strip(fig, happened, plan, patient, (1 - 12.5 / height, (strip - 8) / height), days)
    for ax in list(grid.flat)[max(0, len(chosen) - 2) : len(chosen)]:
        ax.set_xlabel("week (from actual study day)")
        ax.tick_params(labelbottom=True)
    fig.text(0.012, 1 - 2 / height, shortened(patient, 60), fontsize=10, weight="bold", va="top")
    text = f"{shade_words(plan, patient)}; open: below quantification"
    fig.text(0.012, 1 - 7.5 / height, text, fontsize=SMALL, va="top", color="#555555")
    return fig


@style()
def patient_panel(
    own: pd.DataFrame,
    pairs: pd.DataFrame,
    patient: str,
    plan: Calendar,
    named: EndpointLabel,
    visits: Sequence[str],
    *,
    marks: pd.DataFrame,
    ax: Axes,
) -> Axes:
    """Draw one endpoint of a patient over study days, with doses and the call of its change.

    Parameters
    ----------
    own, pairs
        Rows of the patient and endpoint; those of ``own`` have a value and a study day.
    patient
        Coded id.
    plan
        Doses (the patient's own where they are known), phases, visits.
    named, visits
        Label of the endpoint, and its visits in order.
    marks
        What happened to the patient, see `one_pager`.
    ax
        Axes to draw on.

    Returns
    -------
    Axes
        The axes drawn on.
    """
    _patient_panel(ax, own, named, visits, plan, patient)
    _verdict_words(ax, pairs)
    end_line(ax, marks)
    days = [*own["study_day"], *plan.days(patient)]
    week_ticks(ax, min(days), max(days))
    ax.set_xlim(min(days) - 4, max(days) + 6)
    return ax


def _strip(
    fig: Figure,
    happened: pd.DataFrame,
    plan: Calendar,
    patient: str,
    place: tuple[float, float],
    days: Sequence[float],
) -> None:
    """Draw what happened above the panels; ``place`` is the upper edge and the height, of the figure's."""
    top, high = place
    ax = axes(fig.add_axes((0.27, top - high, 0.72, high)))
    mark_strip(ax, happened, plan, patient)
    end_line(ax, happened)
    week_ticks(ax, min(days), max(days))
    ax.set(xlim=(min(days) - 4, max(days) + 6), xlabel="")
    ax.tick_params(axis="y", length=0)
    ax.spines["left"].set_visible(False)


def _page_endpoints(rows: pd.DataFrame, named: Mapping[str, EndpointLabel], most: int) -> list[str]:
    have = [name for name in named if (rows["endpoint"] == name).any()]
    counted = set(rows.loc[rows["n_events"].notna(), "endpoint"])
    first_of: dict[str, str] = {}
    for name in have:
        if named[name].unit in ("%", "ratio") and name in counted:
            first_of.setdefault(named[name].population, name)
    shares, others = list(first_of.values()), [name for name in have if name not in counted]
    n_others = min(len(others), max(most - len(shares), most // 2))
    chosen = [*shares[: most - n_others], *others[:n_others]]
    rest = [name for name in have if name not in chosen]
    shown = {*chosen, *rest[: most - len(chosen)]}
    return [name for name in have if name in shown]


def _patient_panel(
    ax: Axes, rows: pd.DataFrame, named: EndpointLabel, visits: Sequence[str], plan: Calendar, patient: str
) -> None:
    shade(ax, plan, patient)
    patient_lines(ax, rows, visits, named.colour, 1.4)
    value_axis(ax, named, rows["value"].to_numpy(dtype=float), room=0.2)
    ax.set_ylabel(folded(named.quantity, 22), fontsize=SMALL)
    ax.set_title(shortened(named.display, _PANEL_NAME), loc="left", weight="bold", color=named.colour)


def _verdict_words(ax: Axes, pairs: pd.DataFrame) -> None:
    for _, row in pairs.iterrows():
        verdict = str(row["verdict"])
        tint = VERDICT_COLOURS[verdict] if verdict in ("rise", "fall") else NEUTRAL
        words = f"{VERDICT_SYMBOLS[verdict]} {verdict.replace('_', ' ')}"
        if not pd.isna(row["shift"]) and pd.isna(row["ci_low"]):  # nothing is known of its noise, so there is no call
            words = f"{scale_word(row['shift_scale'])} {number(back(row['shift'], row['shift_scale']))}"
        elif not pd.isna(row["shift"]):
            change = bracket(row["shift"], row["ci_low"], row["ci_high"], row["shift_scale"])
            words += f": {change}"
        ax.set_title(words, color=tint, fontsize=SMALL, loc="right")
        _fit_beside(ax, words)


def _fit_beside(ax: Axes, words: str) -> None:
    """Shorten the name over a panel to the room that the call at the line's right end leaves."""
    name = ax.get_title(loc="left")
    room = box_in_points(ax).width - width_of(f"{words}  ") * MM * 72
    fits = (n for n in range(_PANEL_NAME, 8, -1) if width_of(shortened(name, n), _NAME, bold=True) * MM * 72 <= room)
    ax.set_title(shortened(name, next(fits, 8)), loc="left", weight="bold")


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
    ax.plot([], [], "|", color="#8A5A00", label="dose")
    ax.set_yticks(range(len(patients)), [shortened(patient, 24) for patient in patients])
    ax.set_ylim(len(patients) - 0.4, -0.6)
    low, high = ax.get_xlim()
    week_ticks(ax, max(low, 1), high)
    ax.legend(loc="upper left", bbox_to_anchor=(1, 1))
    return ax
