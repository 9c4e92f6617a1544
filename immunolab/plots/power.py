"""Power of the next cohort by its size, endpoint by endpoint."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import pandas as pd

from immunolab.plots.labels import EndpointLabel, folded
from immunolab.plots.numbers import number
from immunolab.plots.style import MM, NEUTRAL, SMALL, WIDTH, figure, style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MOST_PANELS = 8  # that fit a printed page beside others; the table has every endpoint
_COLUMNS = 4
_HEIGHT = 52 * MM  # of a row of panels
_TITLE = 26  # characters of a line over a panel


@style()
def power_panels(rows: pd.DataFrame, named: Mapping[str, EndpointLabel]) -> Figure:
    """Draw a panel an endpoint: power at the observed spread, its band between the spread's limits, and assurance.

    Parameters
    ----------
    rows
        Rows of the table ``power_in_family``.
    named
        Label by endpoint id.
    """
    groups = list(rows.groupby("endpoint", sort=False))[:MOST_PANELS]
    n_rows = -(-len(groups) // _COLUMNS)
    fig = figure(WIDTH, _HEIGHT * n_rows + 8 * MM)
    grid = fig.subplots(n_rows, min(_COLUMNS, len(groups)), squeeze=False, sharey=True)
    for ax in grid.ravel()[len(groups) :]:
        ax.set_axis_off()
    for ax, (endpoint, own) in zip(grid.ravel(), groups, strict=False):
        known = named.get(str(endpoint))
        _panel(ax, own.sort_values("n_patients"), known.short if known else str(endpoint))
    for ax in grid[:, 0]:
        ax.set_ylabel("power after adjustment")
    lines, words = grid[0, 0].get_legend_handles_labels()
    fig.legend(lines, words, loc="outside upper left", ncols=3, fontsize=SMALL, frameon=False)
    return fig


def _panel(ax: Axes, own: pd.DataFrame, title: str) -> None:
    n, first = own["n_patients"].to_numpy(dtype=float), own.iloc[0]
    ax.fill_between(n, own["power_low"], own["power_high"], color="#C7D7E8", label="80 % limits of the spread")
    ax.plot(n, own["power"], color="black", marker="o", markersize=3, label="power, observed spread")
    ax.plot(n, own["assurance"], color="#B35806", linestyle="--", marker="s", markersize=2.5, label="assurance")
    ax.axhline(0.8, color=NEUTRAL, linewidth=0.6, linestyle=":")
    ax.set(ylim=(0, 1.02), xticks=n)
    ax.set_xlim(n.min() - 1, n.max() + 1)
    ax.tick_params(labelsize=SMALL)
    needed = first["patients_for_80_assured"]
    ax.set_title(folded(title, _TITLE), fontsize=SMALL)
    many = "over 240" if pd.isna(needed) else str(int(needed))
    text = f"{first['effect_is']} {number(first['effect'], 2)}\nassurance 0.8: {many} patients"
    ax.text(0.97, 0.04, text, transform=ax.transAxes, ha="right", va="bottom", fontsize=SMALL)
    ax.set_xlabel(f"patients (sd of n = {int(first['n_pairs'])})", fontsize=SMALL)
