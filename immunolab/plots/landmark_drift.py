"""Brightness of landmark populations over the batches: one panel a marker, with the batch at which it steps."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from immunolab.plots.names import shortened
from immunolab.plots.style import ALARM, BATCH_COLOURS, MM, NEUTRAL, SMALL, WIDTH, axes, figure, style

MARKERS_ON_PAGE = 24  # panels of a printed page, four in a row
_ACROSS = 4
_NAMED = len(BATCH_COLOURS) - 1  # populations with a colour of their own; the last colour is that of all others
_MOST_TICKS = 8  # names of batches under a panel; more would not be read
_LEAST_RANGE = 0.6  # asinh, of a panel's height: so that what is steady looks steady


@style()
def landmark_drift(drift: pd.DataFrame) -> Figure:
    """Return the median of each marker by batch, a line for each landmark population from that population's mean.

    A red line marks the batch from which on the marker's level is another one.

    Parameters
    ----------
    drift
        DRIFT rows of one panel, batches in the order they were acquired.
    """
    markers = list(dict.fromkeys(drift["marker"]))
    batches = _in_order(drift)
    populations = list(dict.fromkeys(drift["population"]))
    rows = max(1, -(-len(markers) // _ACROSS))
    height = 22 + 30 * rows
    fig = figure(WIDTH, height * MM, layout=None)
    grid = fig.add_gridspec(
        rows, _ACROSS, left=0.085, right=0.99, bottom=13 / height, top=1 - 13 / height, wspace=0.35, hspace=0.45
    )
    for i, marker in enumerate(markers):
        ax = axes(fig.add_subplot(grid[i]))
        own = drift[drift["marker"] == marker]
        for population, some in own.groupby("population", sort=False):
            number = populations.index(population)
            tint = BATCH_COLOURS[number] if number < _NAMED else NEUTRAL
            places = [batches.index(batch) for batch in some["batch"]]
            ax.plot(places, some["median"] - some["median"].mean(), ".-", color=tint, markersize=4, linewidth=0.7)
        for batch in dict.fromkeys(own.loc[own["change_point"] == "yes", "batch"]):
            ax.axvline(batches.index(batch) - 0.5, color=ALARM, linewidth=1.0)
        low, high = ax.get_ylim()
        middle, half = (low + high) / 2, max(high - low, _LEAST_RANGE) / 2
        ax.set_ylim(middle - half, middle + half)
        ax.set_xlim(-0.5, len(batches) - 0.5)
        ax.axhline(0.0, color=NEUTRAL, linewidth=0.5, zorder=0)
        ax.set_title(shortened(str(marker), 24), fontsize=SMALL)
        shown = np.unique(np.linspace(0, len(batches) - 1, min(len(batches), _MOST_TICKS)).round().astype(int))
        ax.set_xticks(list(shown), [shortened(batches[k], 6) for k in shown], fontsize=SMALL)
        if i % _ACROSS == 0:
            ax.set_ylabel("median less its\nmean, asinh", fontsize=SMALL)
    handles = [
        fig.axes[0].plot([], [], ".-", color=BATCH_COLOURS[k], label=name)[0]
        for k, name in enumerate(populations[:_NAMED])
    ]
    if len(populations) > _NAMED:
        handles += fig.axes[0].plot([], [], ".-", color=NEUTRAL, label="the marker's brightest")
    fig.legend(handles=handles, loc="upper center", ncols=min(len(handles), 6), fontsize=SMALL, frameon=False)
    fig.text(0.53, 1.5 / height, "batches, as they were acquired", fontsize=8, ha="center", va="bottom")
    return fig


def _in_order(drift: pd.DataFrame) -> list[str]:
    """Return batches in an order that every series of the table keeps."""
    longest = max((rows["batch"].tolist() for _, rows in drift.groupby(["marker", "population"])), key=len)
    missing = [batch for batch in dict.fromkeys(drift["batch"]) if batch not in longest]
    return [str(batch) for batch in (*longest, *missing)]
