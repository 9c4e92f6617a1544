"""Brightness of landmark populations over the batches: one panel a marker, with the batch at which it steps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from immunolab.plots.names import box_in_points, shortened, widest
from immunolab.plots.style import ALARM, BATCH_COLOURS, MM, NEUTRAL, SMALL, WIDTH, axes, figure, style
from immunolab.vocabulary.display_names import display_name

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MARKERS_ON_PAGE = 24  # panels of a printed page, four in a row
_ACROSS = 4
_NAMED = len(BATCH_COLOURS) - 1  # populations with a colour of their own; the last colour is that of all others
_BATCH = 8  # characters of a batch's name: two of them fit under a panel
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
    height = 24 + 30 * rows
    fig = figure(WIDTH, height * MM, layout=None)
    grid = fig.add_gridspec(
        rows, _ACROSS, left=0.105, right=0.97, bottom=13 / height, top=1 - 15 / height, wspace=0.38, hspace=0.45
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
        _batch_ticks(ax, batches)
        if i % _ACROSS == 0:
            ax.set_ylabel("median less its\nmean, asinh", fontsize=SMALL)
    handles = [
        fig.axes[0].plot([], [], ".-", color=BATCH_COLOURS[k], label=display_name(name))[0]
        for k, name in enumerate(populations[:_NAMED])
    ]
    if len(populations) > _NAMED:
        handles += fig.axes[0].plot([], [], ".-", color=NEUTRAL, label="the marker's brightest")
    fig.legend(handles=handles, loc="upper center", ncols=min(len(handles), 4), fontsize=SMALL, frameon=False)
    fig.text(0.53, 1.5 / height, "batches, as they were acquired", fontsize=8, ha="center", va="bottom")
    return fig


def _batch_ticks(ax: Axes, batches: Sequence[str]) -> None:
    """Name the first batch, the last, and as many between them as there is room for."""
    names = [shortened(batch, _BATCH) for batch in batches]
    room = int(box_in_points(ax).width // (widest(ax, names) + SMALL))
    shown = np.unique(np.linspace(0, len(batches) - 1, max(2, min(len(batches), room))).round().astype(int))
    ax.set_xticks(list(shown), [names[k] for k in shown], fontsize=SMALL)


def _in_order(drift: pd.DataFrame) -> list[str]:
    """Return batches in an order that every series of the table keeps."""
    longest = max((rows["batch"].tolist() for _, rows in drift.groupby(["marker", "population"])), key=len)
    missing = [batch for batch in dict.fromkeys(drift["batch"]) if batch not in longest]
    return [str(batch) for batch in (*longest, *missing)]
