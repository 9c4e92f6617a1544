"""One patient's page: courses of his own endpoints, his calendar, what is said of each change."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import pandas as pd

from immunolab.plots.calendar import Calendar, shade, shade_words, week_ticks
from immunolab.plots.labels import EndpointLabel, folded
from immunolab.plots.marks import end_line, mark_strip, strip_height
from immunolab.plots.names import box_in_points, shortened
from immunolab.plots.numbers import back, interval, number, scale_word
from immunolab.plots.panel_canvas import width_of
from immunolab.plots.style import MM, NEUTRAL, SMALL, VERDICT_COLOURS, VERDICT_SYMBOLS, WIDTH, axes, figure, style
from immunolab.plots.trajectories import patient_lines
from immunolab.plots.values import value_axis

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_MOST_PANELS = 8  # of a page: half percentages and ratios, half measurements and scores, as far as there are so many
_PANEL_NAME = 40  # characters of the name over a panel of a patient's page
_NAME = 8  # points: letters of such a name, the size of titles in the house style
_NOTHING = pd.DataFrame({"patient_id": [], "study_day": [], "what": [], "kind": []})


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
    fig: Figure | None = None,
) -> Figure:
    """Return one page of one patient: what happened, and every endpoint with its verdict, over study days and doses.

    It is drawn from the patient's own rows: a job for a worker holds no one else's.

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
        What happened: patient_id, study_day, what, kind (of `immunolab.plots.marks.KINDS`); None for nothing known.
    fig
        An empty figure to draw on, whose size is set; None makes a new one.
    """
    chosen = _page_endpoints(own, named)
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
        What happened to the patient, see `patient_page`.
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


def _page_endpoints(rows: pd.DataFrame, named: Mapping[str, EndpointLabel]) -> list[str]:
    have = [name for name in named if (rows["endpoint"] == name).any()]
    counted = set(rows.loc[rows["n_events"].notna(), "endpoint"])
    first_of: dict[str, str] = {}
    for name in have:
        if named[name].unit in ("%", "ratio") and name in counted:
            first_of.setdefault(named[name].population, name)
    shares, others = list(first_of.values()), [name for name in have if name not in counted]
    n_others = min(len(others), max(_MOST_PANELS - len(shares), _MOST_PANELS // 2))
    chosen = [*shares[: _MOST_PANELS - n_others], *others[:n_others]]
    rest = [name for name in have if name not in chosen]
    shown = {*chosen, *rest[: _MOST_PANELS - len(chosen)]}
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
            change = interval(row["shift"], row["ci_low"], row["ci_high"], row["shift_scale"])
            words += f": {change.replace('odds ratio', 'OR')}"  # the line has no room for the words beside a long name
        ax.set_title(words, color=tint, fontsize=SMALL, loc="right")
        _fit_beside(ax, words)


def _fit_beside(ax: Axes, words: str) -> None:
    """Shorten the name over a panel to the room that the call at the line's right end leaves."""
    name = ax.get_title(loc="left")
    room = box_in_points(ax).width - width_of(f"{words}  ") * MM * 72
    fits = (n for n in range(_PANEL_NAME, 8, -1) if width_of(shortened(name, n), _NAME, bold=True) * MM * 72 <= room)
    ax.set_title(shortened(name, next(fits, 8)), loc="left", weight="bold")
