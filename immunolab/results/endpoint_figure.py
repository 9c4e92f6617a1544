"""The figure of one endpoint in one cohort: its pairs, its slopes, its survival curve, else its course."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import pandas as pd

from immunolab.plots.calendar import Calendar
from immunolab.plots.clinical import slope_pairs
from immunolab.plots.events import survival_curve
from immunolab.plots.shifts import paired_lines
from immunolab.plots.trajectories import spaghetti
from immunolab.study.endpoints import Endpoint

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SHOWN_IN = ("endpoints", "pairs", "shifts", "time_to_event", "survival")


def draw_endpoint(
    name: str, endpoint: Endpoint | None, tables: Mapping[str, pd.DataFrame], unit: str, plan: Calendar, ax: Axes
) -> None:
    """Draw one endpoint of one cohort on axes, as the statistic of the endpoint is shown.

    Parameters
    ----------
    name
        Endpoint id.
    endpoint
        Its declaration; None for what a study measures without declaring it.
    tables
        Rows of the endpoint and cohort, by the names in `SHOWN_IN`.
    unit
        Unit of its values.
    plan
        Calendar of the trial.
    ax
        Axes to draw on.
    """
    paired = bool(tables["pairs"]["shift"].notna().any())
    if endpoint is not None and endpoint.figure == "survival" and len(tables["time_to_event"]):
        survival_curve(tables["survival"], tables["time_to_event"].iloc[0], ax=ax)
    elif endpoint is not None and endpoint.slopes and paired:
        names = str(endpoint.slopes[0]), str(endpoint.slopes[1])
        slopes = period_slopes(tables["pairs"], names)
        slope_pairs(slopes, f"{endpoint.fitted}, slope in {unit}", names, ax=ax)
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
