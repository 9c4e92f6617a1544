"""What became of each patient's change once treatment ended."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from immunolab.plots.labels import folded
from immunolab.plots.numbers import number
from immunolab.plots.style import MM, NEUTRAL, SMALL, WIDTH, axes, colour, figure, style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_ACROSS = 3  # panels of a row on a printed page


@style()
def rebound(changes: pd.DataFrame) -> Figure:
    """Return one panel an endpoint: each patient's change from baseline at the later visit and in follow-up.

    Parameters
    ----------
    changes
        patient_id, endpoint, label, change_as (what the change is), visit_before, visit_after, visit_later,
        change_after, change_later; endpoints in order of appearance.
    """
    names = list(dict.fromkeys(changes["endpoint"]))
    down, across = -(-len(names) // _ACROSS), min(_ACROSS, len(names))
    height = 6 + 56 * down
    fig = figure(WIDTH * max(across, 2) / _ACROSS, height * MM, layout=None)
    grid = fig.subplots(down, across, squeeze=False)
    left = 0.085 * _ACROSS / max(across, 2)
    fig.subplots_adjust(left, 11 / height, 0.985, 1 - 11 / height, wspace=0.42, hspace=0.5)
    for name, ax in zip(names, grid.flat, strict=False):
        _panel(axes(ax), changes[changes["endpoint"] == name])
    for ax in grid.flat[len(names) :]:
        ax.set_axis_off()
    return fig


def _panel(ax: Axes, rows: pd.DataFrame) -> None:
    first = rows.iloc[0]
    tint = colour(str(first["label"]).split(",")[0])
    ax.axhline(0, color="#777777", linewidth=0.6)
    for start, end in zip(rows["change_after"], rows["change_later"], strict=True):
        ax.plot([0, 1], [start, end], "-o", color=tint, markersize=3, alpha=0.65, linewidth=0.8)
    for x, column in ((0, "change_after"), (1, "change_later")):
        middle = float(rows[column].median())
        ax.plot([x - 0.14, x + 0.14], [middle, middle], color="black", linewidth=2, zorder=4)
        ax.text(
            x + (-0.2 if x == 0 else 0.2), middle, number(middle, 2), fontsize=SMALL, va="center",
            ha="right" if x == 0 else "left", color=NEUTRAL, zorder=5,
            bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 0.6},
        )  # fmt: skip
    ax.set_xlim(-0.65, 1.65)
    ax.set_xticks([0, 1], [str(first["visit_after"]), str(first["visit_later"])])
    ax.set_ylabel(f"{first['change_as']} against {first['visit_before']}", fontsize=SMALL)
    ax.set_title(f"{folded(str(first['label']), 32)}\nn = {len(rows)} patients", fontsize=SMALL)
