"""Stimulated less unstimulated, patient by patient: the difference with its interval and the call."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from immunolab.plots.numbers import number
from immunolab.plots.style import BATCH_COLOURS, MISSING, MM, NEUTRAL, SMALL, WIDTH, axes, style

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_WIDE = 30.0  # times: a range of differences beyond which the axis is logarithmic outside its middle
_ROW = 4.4  # mm of a line: text of 7 points and room between
_FRAME = 24.0  # mm of the axis, its label and the legend


def stimulation_height(rows: pd.DataFrame) -> float:
    """Return the height in inches at which `stimulation_plot` has room for every patient and visit.

    Parameters
    ----------
    rows
        The rows it draws.
    """
    lines = rows["visit"].nunique() * max(2, rows["patient_id"].nunique())
    return float(_FRAME + _ROW * lines) * MM


@style()
def stimulation_plot(rows: pd.DataFrame, label: str, *, ax: Axes | None = None) -> Axes:
    """Draw each patient's stimulated less unstimulated share at each visit, with its 95 % interval.

    Filled points are responses (the interval is above 0), open ones are not; the numbers are the shares in both tubes.

    Parameters
    ----------
    rows
        Rows of the table ``stimulation`` of one endpoint.
    label
        Of the axis.
    ax
        Axes to draw on; None makes a new figure.

    Returns
    -------
    Axes
        The axes drawn on.
    """
    ax = axes(ax, WIDTH, stimulation_height(rows))
    patients, visits = list(dict.fromkeys(rows["patient_id"])), list(dict.fromkeys(rows["visit"]))
    steps = (np.arange(len(visits)) + 0.5) / len(visits) - 0.5
    _scale(ax, rows)
    for row in rows.to_dict("records"):
        at = visits.index(row["visit"])
        y = patients.index(row["patient_id"]) + steps[at]
        tint = BATCH_COLOURS[at % len(BATCH_COLOURS)]
        if pd.isna(row["difference"]):
            ax.text(0.01, y, f"{row['visit']}: {row['reason']}", transform=_rows(ax), fontsize=SMALL, va="center")
            continue
        ax.plot([row["ci_low"], row["ci_high"]], [y, y], color=tint, linewidth=1.1)
        face = tint if row["call"] == "response" else "white"
        ax.plot(row["difference"], y, "o", color=tint, markerfacecolor=face, markersize=4)
        shares = f"{number(row['stimulated'])} - {number(row['unstimulated'])} %"
        ax.text(1.02, y, shares, transform=_rows(ax), fontsize=SMALL, va="center")
    for y in range(1, len(patients)):
        ax.axhline(y - 0.5, color=MISSING, linewidth=0.5, zorder=0)
    ax.axvline(0.0, color=NEUTRAL, linewidth=0.7, zorder=1)
    ax.set_yticks(range(len(patients)), patients)
    ax.set_ylim(len(patients) - 0.4, -0.6)
    ax.set_xlabel(label)
    ax.text(1.02, 1.0, "stimulated - unstimulated", transform=ax.transAxes, fontsize=SMALL, weight="bold", va="bottom")
    _legend(ax, visits, rows)
    return ax


def _rows(ax: Axes):  # type: ignore[no-untyped-def]
    """Return the transform with x across the axes and y in data."""
    return ax.get_yaxis_transform()


def _scale(ax: Axes, rows: pd.DataFrame) -> None:
    """Choose a linear axis, or one that is linear about 0 and logarithmic beyond where differences span decades."""
    drawn = rows[["difference", "ci_low", "ci_high"]].to_numpy(dtype=float)
    size = np.abs(rows["difference"].to_numpy(dtype=float))
    some = size[size > 0]
    if some.size and np.nanmax(np.abs(drawn)) > _WIDE * float(np.median(some)):
        ax.set_xscale("symlog", linthresh=float(np.median(some)))


def _legend(ax: Axes, visits: list[str], rows: pd.DataFrame) -> None:
    for at, visit in enumerate(visits):
        own = rows[rows["visit"] == visit]
        tint, found = BATCH_COLOURS[at % len(BATCH_COLOURS)], int((own["call"] == "response").sum())
        text = f"{visit}: {found} of {int((own['call'] != 'not_evaluable').sum())} respond"
        ax.plot([], [], "o", color=tint, markersize=4, label=text)
    ax.legend(loc="lower left", bbox_to_anchor=(0.0, 1.0), ncols=min(4, len(visits)), borderaxespad=0.2)
