"""Where patients and samples went: a chart in the manner of CONSORT, from sheet to pairs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from immunolab.plots.labels import folded
from immunolab.plots.style import ALARM, MM, NEUTRAL, SMALL, WIDTH, axes, style

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_ACROSS = 8  # boxes of a row that stay readable on a printed page
_ROW = 24.0  # mm, box and the gap under it


@style()
def flow_chart(counts: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """Draw boxes from the sheet over each visit to the pairs compared, every number with its unit.

    Parameters
    ----------
    counts
        Step (sheet, visit, pairs), name, n_patients, n_samples, n_failed, n_not_run, n_measured, n_warned.
    ax
        Axes to draw on; None makes a new figure.
    """
    ax = axes(ax, WIDTH, flow_chart_height(counts))
    ax.set_axis_off()
    levels = _levels(counts)
    height = len(levels)
    ax.set(xlim=(0, 1), ylim=(-height + 0.5, 0.5))
    for level, rows in enumerate(levels):
        y = -float(level)
        for place, row in enumerate(rows):
            x = (place + 0.5) / len(rows)
            text, lost = _text(row)
            ax.text(
                x, y, text, ha="center", va="center", fontsize=SMALL, linespacing=1.3,
                bbox={"boxstyle": "round,pad=0.5", "facecolor": "#F5F7F9", "edgecolor": ALARM if lost else NEUTRAL,
                      "linewidth": 0.8},
            )  # fmt: skip
        if level + 1 < height:
            ax.annotate(
                "",
                (0.5, y - 0.66),
                (0.5, y - 0.36),
                arrowprops={"arrowstyle": "-|>", "color": NEUTRAL, "linewidth": 0.8},
            )
    return ax


def flow_chart_height(counts: pd.DataFrame) -> float:
    """Return the height in inches at which `flow_chart` gives every row of boxes room.

    Parameters
    ----------
    counts
        The table that `flow_chart` draws.
    """
    return _ROW * len(_levels(counts)) * MM


def _levels(counts: pd.DataFrame) -> list[list[dict]]:
    """Return the boxes row by row; many visits take several rows."""
    levels = []
    for step in ("sheet", "visit", "pairs"):
        rows = counts[counts["step"] == step].to_dict("records")
        across = _ACROSS if step == "visit" else 3
        levels += [rows[start : start + across] for start in range(0, len(rows), across)]
    return levels


def _text(row: dict) -> tuple[str, int]:
    """Return a box's words, and how many were lost on the way to it."""
    if row["step"] == "pairs":
        lost = int(row["n_failed"])
        return f"{folded(row['name'], 40)}\nboth visits: n = {row['n_patients']} patients\nwithout a pair: {lost}", lost
    lost = int(row["n_failed"]) + int(row["n_not_run"])
    left = [f"failed: {row['n_failed']}"] + ([f"not run: {row['n_not_run']}"] if row["n_not_run"] else [])
    if row["step"] == "sheet":
        head = f"in the sheet: {row['n_patients']} patients, {row['n_samples']} samples"
        rest = f"measured: {row['n_measured']}, {', '.join(left)}; with a quality warning: {row['n_warned']}"
        return f"{head}\n{rest}", lost
    return "\n".join([row["name"], f"{row['n_samples']} samples", f"measured: {row['n_measured']}", *left]), lost
