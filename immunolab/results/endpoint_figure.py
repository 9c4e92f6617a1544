"""The figure of one endpoint, small or full: pairs, slopes, responders, an event or survival, else its course."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import pandas as pd

from immunolab.plots.calendar import Calendar
from immunolab.plots.estimation import FULL_SIZE, SMALL_SIZE, PairedRows, estimation_plot
from immunolab.plots.events import survival_curve
from immunolab.plots.proportions import event_squares, responders_over_visits
from immunolab.plots.style import HALF, MM, WIDTH, figure, style
from immunolab.plots.trajectories import spaghetti
from immunolab.study.endpoints import Endpoint
from immunolab.vocabulary.display_names import display_name

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SHOWN_IN = ("endpoints", "pairs", "shifts", "time_to_event", "survival", "responders", "event_counts")
_OF_SCORES = "responders"  # names scores, not endpoints


def shown_rows(table: Callable[[str], pd.DataFrame], name: str, endpoint: Endpoint | None) -> dict[str, pd.DataFrame]:
    """Return an endpoint's rows of every table its figure may show.

    Parameters
    ----------
    table
        Gives a table by its name, as `Run.table` does.
    name
        Endpoint id.
    endpoint
        Its declaration; None for what a study measures without declaring it.
    """
    found = {}
    for title in SHOWN_IN:
        rows = table(title)
        if title != _OF_SCORES:
            found[title] = rows[rows["endpoint"] == name]
        else:
            found[title] = _response_rows(rows, endpoint)
    return found


def _response_rows(rows: pd.DataFrame, endpoint: Endpoint | None) -> pd.DataFrame:
    """Return a response at its registered visits, by the score's first criterion."""
    if endpoint is None or endpoint.figure != "response":
        return rows.iloc[:0]
    own = rows[rows["score"] == endpoint.response]
    own = own[own["criterion"] == own["criterion"].iloc[0]] if len(own) else own
    return own[own["visit"].isin(endpoint.visits)] if endpoint.visits else own


@style()
def endpoint_figure(
    name: str,
    endpoint: Endpoint | None,
    panels: Sequence[Mapping[str, pd.DataFrame]],
    plan: Calendar,
    *,
    small: bool = False,
) -> Figure:
    """Return the figure of an endpoint, one panel a cohort.

    Parameters
    ----------
    name
        Endpoint id.
    endpoint
        Its declaration; None for what a study measures without declaring it.
    panels
        For each cohort, rows of the endpoint by the names in `SHOWN_IN`.
    plan
        Calendar of the trial.
    small
        As beside a sentence (3.2 x 2 in); else as a figure of a page.

    Returns
    -------
    Figure
        Drawn as the statistic of the endpoint is shown.
    """
    several = len(panels) > 1
    if any(bool(tables["pairs"]["shift"].notna().any()) for tables in panels):
        what, sides = _slope_words(endpoint, panels)
        changes = [PairedRows(t["endpoints"], t["pairs"], t["shifts"], _cohort(t) if several else "") for t in panels]
        direction = endpoint.direction if endpoint else ""
        return estimation_plot(changes, name, what=what, sides=sides, direction=direction, small=small)
    width, height = SMALL_SIZE if small else _full_size(endpoint)
    fig = figure(width * len(panels), height)
    for ax, tables in zip(fig.subplots(1, len(panels), squeeze=False)[0], panels, strict=True):
        _draw(name, endpoint, tables, plan, ax, small)
        if several:
            ax.set_title(_cohort(tables))
    return fig


def _full_size(endpoint: Endpoint | None) -> tuple[float, float]:
    kind = endpoint.figure if endpoint else "pairs"
    if kind == "survival":
        return WIDTH, 70 * MM
    return (HALF, 62 * MM) if kind == "event" else FULL_SIZE


def _cohort(tables: Mapping[str, pd.DataFrame]) -> str:
    names = (str(name) for table in tables.values() for name in table.get("cohort", pd.Series(dtype=str)).dropna())
    return next(names, "")


def _slope_words(
    endpoint: Endpoint | None, panels: Sequence[Mapping[str, pd.DataFrame]]
) -> tuple[str, tuple[str, str] | None]:
    """Return label and sides of a difference of slopes; nothing for other endpoints, whose own are right."""
    if endpoint is None or not endpoint.slopes:
        return "", None
    unit = next(str(unit) for tables in panels for unit in tables["pairs"]["unit"])
    return f"{display_name(endpoint.fitted)}, slope in {unit}", (str(endpoint.slopes[0]), str(endpoint.slopes[1]))


def _draw(
    name: str, endpoint: Endpoint | None, tables: Mapping[str, pd.DataFrame], plan: Calendar, ax: Axes, small: bool
) -> None:
    kind = endpoint.figure if endpoint else "pairs"
    if kind == "survival" and len(tables["time_to_event"]):
        survival_curve(tables["survival"], tables["time_to_event"].iloc[0], small=small, ax=ax)
    elif kind == "response" and len(tables["responders"]):
        responders_over_visits(tables["responders"], small=small, ax=ax)
    elif kind == "event" and len(tables["event_counts"]):
        event_squares(tables["event_counts"].iloc[0], small=small, ax=ax)
    else:
        spaghetti(tables["endpoints"], name, plan, small=small, ax=ax)


def period_slopes(pairs: pd.DataFrame, periods: tuple[str, str]) -> pd.DataFrame:
    """Return each patient's slopes, one row a patient and period.

    Parameters
    ----------
    pairs
        Rows of the table ``pairs`` of one endpoint that is a difference of slopes.
    periods
        Names of the earlier and of the later period.

    Returns
    -------
    DataFrame
        Columns ``patient_id``, ``period``, ``slope``.
    """
    sides = [
        pairs[["patient_id"]].assign(period=period, slope=pairs[side])
        for period, side in zip(periods, ("before", "after"), strict=True)
    ]
    return pd.concat(sides, ignore_index=True)
