"""Genes of a subset at two visits: how far each changed against how sure that is."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from immunolab.plots.style import MM, NEUTRAL, SMALL, WIDTH, axes, style

if TYPE_CHECKING:
    from matplotlib.axes import Axes

UP, DOWN = "#B2182B", "#2166AC"  # red and blue of ColorBrewer's RdBu, which the colour-blind distinguish
VOLCANO = (WIDTH * 0.72, 84 * MM)
_SURE = 0.05  # q
_NAMED = 8  # genes named at either side: what fits the height at 7 points
_LEAST_P = 1e-300
_MARGIN = 0.25  # of the width of the points, at either side for names


@style()
def volcano(table: pd.DataFrame, *, names: int = _NAMED, ax: Axes | None = None) -> Axes:
    """Draw log2 fold changes against p, the surest genes of both directions named at the sides.

    Parameters
    ----------
    table
        Rows of ``expression_*`` of one cohort; genes that were not tested are not drawn.
    names
        Genes named at either side.
    ax
        Axes to draw on; None makes a new figure.

    Returns
    -------
    Axes
        The axes drawn on.
    """
    ax = axes(ax, *VOLCANO)
    tested = table[table["p_value"].notna()]
    if tested.empty:
        why = str(table["method"].iloc[0]) if len(table) else "no patient has enough cells at both visits"
        ax.text(0.5, 0.5, why, ha="center", va="center", transform=ax.transAxes, wrap=True)
        ax.set_axis_off()
        return ax
    fold = tested["log2_fold"].to_numpy(dtype=float)
    height = -np.log10(np.maximum(tested["p_value"].to_numpy(dtype=float), _LEAST_P))
    sure = (tested["q_value"] < _SURE).to_numpy()
    for inside, colour, word in (
        (~sure, NEUTRAL, f"q ≥ {_SURE}"),
        (sure & (fold > 0), UP, "higher"),
        (sure & (fold < 0), DOWN, "lower"),
    ):
        label = f"{word} ({int(inside.sum()):,})"
        ax.scatter(fold[inside], height[inside], s=5, linewidths=0, color=colour, label=label, rasterized=True)
    low, high = min(float(fold.min()), -1.0), max(float(fold.max()), 1.0)
    room = _MARGIN * (high - low)
    ax.set(xlim=(low - room, high + room), ylim=(0.0, max(float(height.max()), 1.0) * 1.06))
    genes = tested["gene"].to_numpy(dtype=object)
    for side, place, colour in ((1.0, high + 0.25 * room, UP), (-1.0, low - 0.25 * room, DOWN)):
        own = np.flatnonzero(sure & (fold * side > 0))
        _name(ax, genes, fold, height, own[np.argsort(-height[own], kind="stable")][:names], place, colour)
    if sure.any():
        below = float(height[~sure & (height < height[sure].min())].max(initial=0.0))
        ax.axhline((float(height[sure].min()) + below) / 2.0, color=NEUTRAL, linewidth=0.6, linestyle=":")
    first = tested.iloc[0]
    ax.set_xlabel(f"log2 fold change, {first['contrast']} ({int(first['n_pairs'])} pairs)")
    ax.set_ylabel("-log10 p")
    ax.legend(loc="upper center", bbox_to_anchor=(0.5, 1.1), ncols=3, frameon=False, fontsize=SMALL, markerscale=2)
    return ax


def _name(
    ax: Axes,
    genes: NDArray[np.object_],
    fold: NDArray[np.float64],
    height: NDArray[np.float64],
    chosen: NDArray[np.int64],
    place: float,
    colour: str,
) -> None:
    """Write names in a column beside the points, from the highest down, each with a line to its point."""
    step = ax.get_ylim()[1] / (2.0 * _NAMED)
    ceiling = ax.get_ylim()[1] - step / 2.0
    for i in chosen:
        if ceiling < step / 2.0:
            break  # no room below
        y = max(min(height[i], ceiling), step / 2.0)
        ceiling = y - step
        ax.annotate(
            str(genes[i]),
            (fold[i], height[i]),
            (place, y),
            fontsize=SMALL,
            va="center",
            ha="left" if place > 0 else "right",
            color=colour,
            arrowprops={"arrowstyle": "-", "linewidth": 0.4, "color": colour, "shrinkA": 1, "shrinkB": 1},
        )
