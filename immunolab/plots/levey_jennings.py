"""Levey-Jennings charts: a bridging control run after run, with its mean and limits of two and three sd."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from immunolab.plots.figure_files import png
from immunolab.plots.names import name_ticks, shortened
from immunolab.plots.style import ALARM, HALF, MM, NEUTRAL, SMALL, WIDTH, axes, figure, style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

CHARTS_ON_PAGE = 12  # charts of a printed page, three in a row
_ACROSS = 3
_TITLE = 34  # characters over a chart: what its width holds of these letters
_LINES = {"centre": "-", "low_2s": ":", "high_2s": ":", "low_3s": "--", "high_3s": "--"}
_RUNS_NAMED = 8  # batches named below a small chart (judgement: their names overlap beyond)


@style()
def levey_jennings(runs: pd.DataFrame, *, label: str, ax: Axes | None = None) -> Axes:
    """Draw one chart: each run's value, the mean, limits of 2 sd (dotted) and 3 sd (dashed), far runs in red.

    A run without a value is a cross on the axis.

    Parameters
    ----------
    runs
        One row a run: ``batch``, ``run``, ``value``, ``status``, and the limits ``centre``, ``low_2s``, ``high_2s``,
        ``low_3s``, ``high_3s``, which are missing where there are too few runs.
    label
        Of the y axis.
    ax
        Axes to draw on; None makes a new figure.
    """
    ax = axes(ax, HALF, 62 * MM)
    rows = runs.sort_values("run")
    _draw(ax, rows)
    name_ticks(ax, [str(batch) for batch in rows["batch"]], "batches, in run order")
    if not ax.get_xlabel():
        ax.set_xlabel(_key([rows]), fontsize=SMALL)
    ax.set_ylabel(label)
    return ax


@style()
def levey_jennings_png(runs: pd.DataFrame, label: str) -> bytes:
    """Return the picture of one chart for a page.

    Parameters
    ----------
    runs, label
        As `levey_jennings` takes them.
    """
    fig = figure(HALF, 58 * MM)
    levey_jennings(runs, label=label, ax=fig.add_subplot())
    return png(fig, dpi=150)


def _key(charts: Sequence[pd.DataFrame]) -> str:
    """Return what the axis of batches and the lines of some charts are."""
    limits = any(runs["low_2s"].notna().any() for runs in charts)
    return "batches, in run order; dotted: 2 SD, dashed: 3 SD" if limits else "batches, in run order"


def _draw(ax: Axes, rows: pd.DataFrame) -> None:
    for name, dashes in _LINES.items():
        places = rows[name].dropna()
        if len(places):
            ax.axhline(float(places.iloc[0]), linestyle=dashes, linewidth=0.7, color=NEUTRAL)
    values = rows["value"].to_numpy(dtype=float, na_value=np.nan)
    known, far = np.isfinite(values), (rows["status"] == "warn").to_numpy()
    ax.plot(np.flatnonzero(known), values[known], "-", color="#BBBBBB", linewidth=0.7)
    ax.plot(np.flatnonzero(known & ~far), values[known & ~far], "o", color="#000000", markersize=3)
    missing = np.flatnonzero(~known)  # their batches stay in sight
    ax.plot(missing, np.zeros(len(missing)), "x", color=NEUTRAL, markersize=4, transform=ax.get_xaxis_transform(),
            clip_on=False)  # fmt: skip
    ax.plot(np.flatnonzero(far), values[far], "X", color=ALARM, markersize=5)
    ax.set_xlim(-0.6, max(len(values), 1) - 0.4)


@style()
def levey_jennings_page(charts: Sequence[tuple[str, pd.DataFrame]]) -> Figure:
    """Return small charts, three in a row, each under its title.

    Parameters
    ----------
    charts
        Title and rows of each, as `levey_jennings` takes them.
    """
    n_rows = max(1, -(-len(charts) // _ACROSS))
    height = 12 + 42 * n_rows
    fig = figure(WIDTH, height * MM, layout=None)
    grid = fig.add_gridspec(
        n_rows, _ACROSS, left=0.07, right=0.99, bottom=12 / height, top=1 - 7 / height, wspace=0.3, hspace=0.6
    )
    for i, (title, runs) in enumerate(charts):
        ax = axes(fig.add_subplot(grid[i]))
        rows = runs.sort_values("run")
        _draw(ax, rows)
        names = [shortened(str(batch), 8) for batch in rows["batch"]]
        ax.set_xticks(range(len(names)), names if len(names) <= _RUNS_NAMED else [""] * len(names), fontsize=SMALL)
        ax.tick_params(axis="y", labelsize=SMALL)
        ax.set_title(shortened(title, _TITLE), fontsize=SMALL)
    fig.text(0.53, 2 / height, _key([runs for _, runs in charts]), fontsize=8, ha="center", va="bottom")
    return fig
