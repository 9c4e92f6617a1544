"""Where patients and samples went: a chart in the manner of CONSORT, from sheet to pairs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pandas as pd

from immunolab.plots.labels import folded
from immunolab.plots.style import ALARM, MM, NEUTRAL, SMALL, WIDTH, axes, style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.text import Text

_ACROSS = 8  # boxes of a row that stay readable on a printed page
_PAD = 0.5  # of a box around its words, in letters
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
    ax.set(xlim=(0, 1), ylim=(-len(levels) + 0.5, 0.5))
    above: list[Text] = []
    for level, rows in enumerate(levels):
        boxes = [_box(ax, (place + 0.5) / len(rows), -float(level), row) for place, row in enumerate(rows)]
        same_step = level > 0 and rows[0]["step"] == levels[level - 1][0]["step"]
        if not same_step:  # further rows of the same visits do not come from those above them
            _arrows(ax, above, boxes)
        above = [*above, *boxes] if same_step else boxes
    return ax


def _box(ax: Axes, x: float, y: float, row: dict[str, Any]) -> Text:
    words, lost = _text(row)
    edge = {"boxstyle": f"round,pad={_PAD}", "facecolor": "#F5F7F9", "edgecolor": ALARM if lost else NEUTRAL}
    return ax.text(
        x, y, words, ha="center", va="center", fontsize=SMALL, linespacing=1.3, bbox=edge | {"linewidth": 0.8}
    )


def _arrows(ax: Axes, above: list[Text], below: list[Text]) -> None:
    """Join every box above with every box below: from the edge of one to the edge of the other."""
    for start in above:
        for end in below:
            ax.annotate(
                "",
                end.get_position(),
                start.get_position(),
                arrowprops={
                    "arrowstyle": "-|>", "color": NEUTRAL, "linewidth": 0.7, "patchA": start.get_bbox_patch(),
                    "patchB": end.get_bbox_patch(), "shrinkA": 0, "shrinkB": 0.5, "mutation_scale": 8,
                },
                zorder=4,
            )  # fmt: skip


def flow_chart_height(counts: pd.DataFrame) -> float:
    """Return the height in inches at which `flow_chart` gives every row of boxes room.

    Parameters
    ----------
    counts
        The table that `flow_chart` draws.
    """
    return _ROW * len(_levels(counts)) * MM


def _levels(counts: pd.DataFrame) -> list[list[dict[str, Any]]]:
    """Return the boxes row by row; many visits take several rows."""
    levels = []
    for step in ("sheet", "visit", "pairs"):
        rows = counts[counts["step"] == step].to_dict("records")
        across = _ACROSS if step == "visit" else 3
        levels += [rows[start : start + across] for start in range(0, len(rows), across)]
    return levels


def _text(row: dict[str, Any]) -> tuple[str, int]:
    """Return a box's words, and how many were lost on the way to it."""
    if row["step"] == "pairs":
        lost = int(row["n_failed"])
        both = _number(row["n_patients"], "patient")
        return f"{folded(row['name'], 40)}\nboth visits: n = {both}\nwithout a pair: {lost}", lost
    lost = int(row["n_failed"]) + int(row["n_not_run"])
    left = [f"failed: {row['n_failed']}"] + ([f"not run: {row['n_not_run']}"] if row["n_not_run"] else [])
    if row["step"] == "sheet":
        more = f" ({row['name']})" if row["name"] else ""
        patients, samples = _number(row["n_patients"], "patient"), _number(row["n_samples"], "sample")
        head = f"in the sheet: {patients}{more}, {samples}"
        rest = f"measured: {row['n_measured']}, {', '.join(left)}; with a quality warning: {row['n_warned']}"
        return f"{head}\n{rest}", lost
    return "\n".join([row["name"], _number(row["n_samples"], "sample"), f"measured: {row['n_measured']}", *left]), lost


def _number(n: int, what: str) -> str:
    return f"{n} {what}{'' if n == 1 else 's'}"
