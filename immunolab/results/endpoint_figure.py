"""The figure of one endpoint in one cohort: its pairs, its slopes, its survival curve, else its course."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import pandas as pd

from immunolab.plots.calendar import Calendar
from immunolab.plots.clinical import slope_pairs
from immunolab.plots.events import survival_curve
from immunolab.plots.shifts import paired_lines
from immunolab.plots.style import HALF, MM, WIDTH, figure
from immunolab.plots.trajectories import spaghetti
from immunolab.study.endpoints import Endpoint

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SHOWN_IN = ("endpoints", "pairs", "shifts", "time_to_event", "survival")


def endpoint_figure(
    name: str, endpoint: Endpoint | None, panels: Sequence[Mapping[str, pd.DataFrame]], plan: Calendar
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

    Returns
    -------
    Figure
        Drawn as the statistic of the endpoint is shown.
    """
    wide = endpoint is not None and endpoint.figure == "survival"
    fig = figure((WIDTH if wide else HALF) * len(panels), 92 * MM)
    for ax, tables in zip(fig.subplots(1, len(panels), squeeze=False)[0], panels, strict=True):
        _draw(name, endpoint, tables, plan, ax)
    return fig


def _draw(name: str, endpoint: Endpoint | None, tables: Mapping[str, pd.DataFrame], plan: Calendar, ax: Axes) -> None:
    paired = bool(tables["pairs"]["shift"].notna().any())
    if endpoint is not None and endpoint.figure == "survival" and len(tables["time_to_event"]):
        survival_curve(tables["survival"], tables["time_to_event"].iloc[0], ax=ax)
    elif endpoint is not None and endpoint.slopes and paired:
        names = str(endpoint.slopes[0]), str(endpoint.slopes[1])
        unit = str(tables["pairs"]["unit"].iloc[0])
        slope_pairs(period_slopes(tables["pairs"], names), f"{endpoint.fitted}, slope in {unit}", names, ax=ax)
    elif paired:
        paired_lines(tables["endpoints"], tables["pairs"], tables["shifts"], name, ax=ax)
    else:
        spaghetti(tables["endpoints"], name, plan, ax=ax)


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
