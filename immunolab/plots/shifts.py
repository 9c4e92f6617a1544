"""The cohort's change of every endpoint side by side: the forest."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from immunolab.plots.labels import EndpointLabel
from immunolab.plots.numbers import back, bracket, p_number
from immunolab.plots.panel_canvas import width_of
from immunolab.plots.style import MM, SMALL, WIDTH, axes, style

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_ROLE_TITLES = {
    "primary": "PRIMARY",
    "secondary": "Secondary",
    "exploratory": "Exploratory (no claim)",
}
_BLANK = {"facecolor": "white", "edgecolor": "none", "pad": 1}


@style()
def forest(
    shifts: pd.DataFrame,
    named: Mapping[str, EndpointLabel],
    *,
    controls: Collection[str] = (),
    ax: Axes | None = None,
) -> Axes:
    """Draw the cohort's shift of every endpoint with its 95 % interval, families kept apart.

    Primary endpoints come first and are marked. Odds ratios and folds share a log2 axis with a
    line at 1; differences on other scales are printed, not drawn, because they have no place on it.

    Parameters
    ----------
    shifts
        Rows of the table ``shifts`` of one cohort.
    named
        Label by endpoint id.
    controls
        Endpoints that are negative controls; marked as such.
    ax
        Axes to draw on; None makes a new figure.

    Returns
    -------
    Axes
        The axes drawn on.
    """
    ax = axes(ax, WIDTH, forest_height(shifts))
    ax.set_axis_off()
    plot = ax.inset_axes((_LEFT, 0.0, _RIGHT - _LEFT, 1.0))
    y, drawn = 0.0, [1.0]
    for role, title in _ROLE_TITLES.items():
        family = shifts[shifts["role"] == role]
        if family.empty:
            continue
        plot.text(0.0, y, title, transform=_row_places(ax, plot), weight="bold", fontsize=8, va="center")
        for place, (_, row) in enumerate(family.iterrows(), start=1):
            control = row["endpoint"] in controls
            drawn += _forest_row(ax, plot, y + place, row, named, " · control" if control else "")
        y += len(family) + 1.5
    _forest_axis(ax, plot, drawn, y)
    return ax


_LEFT, _RIGHT = 0.30, 0.56  # the plot's place between the columns of words, in axes widths
_NAME_ROOM = (_LEFT - 0.022) * WIDTH / MM  # mm of a name
_COLUMNS = (0.575, 0.61, 0.80, 0.90)  # n, estimate, p, q


def forest_height(shifts: pd.DataFrame) -> float:
    """Return the height in inches at which `forest` has room for every row.

    Parameters
    ----------
    shifts
        The rows that `forest` draws.
    """
    return float(26 + 5.5 * (len(shifts) + 1.5 * shifts["role"].nunique())) * MM


def _row_places(ax: Axes, plot: Axes) -> Any:
    """Return the transform with x across the whole figure and y in rows of the plot."""
    from matplotlib.transforms import blended_transform_factory

    return blended_transform_factory(ax.transAxes, plot.transData)


def _forest_row(
    ax: Axes, plot: Axes, y: float, row: pd.Series, named: Mapping[str, EndpointLabel], mark: str
) -> list[float]:
    known = named.get(str(row["endpoint"]))
    primary = row["role"] == "primary"
    beside: dict[str, Any] = {"transform": _row_places(ax, plot), "va": "center", "fontsize": SMALL}
    plot.text(
        0.015,
        y,
        _cut(known.short if known else str(row["endpoint"]), mark, bold=primary),
        weight="bold" if primary else "normal",
        **beside,
    )
    words = (
        str(int(row["n_pairs"])),
        bracket(row["estimate"], row["ci_low"], row["ci_high"], row["estimate_scale"]),
        p_number(row["p_value"]),
        p_number(row["q_value"]),
    )
    for x, word in zip(_COLUMNS, words, strict=True):
        plot.text(x, y, word, **beside)
    if row["estimate_scale"] not in ("log_odds", "log"):
        plot.text(
            (_LEFT + _RIGHT) / 2, y, "difference: see number", ha="center", color="#666666", bbox=_BLANK, **beside
        )
        return []
    if pd.isna(row["estimate"]):
        return []
    tint = known.colour if known else "black"
    values = [back(row[column], row["estimate_scale"]) for column in ("estimate", "ci_low", "ci_high")]
    if np.isfinite(values[1:]).all():
        plot.plot(values[1:], [y, y], color=tint, linewidth=1.3, solid_capstyle="butt", zorder=2)
    plot.plot(values[0], y, "D" if primary else "s", color=tint, markersize=6 if primary else 4, zorder=3)
    return [value for value in values if np.isfinite(value)]


def _cut(text: str, mark: str, *, bold: bool) -> str:
    """Return a name with its mark that ends before the plot, as `forest` places both on a page."""
    ends = (text, *(f"{text[:n].rstrip()}…" for n in range(len(text) - 1, 0, -1)))
    return next((end + mark for end in ends if width_of(end + mark, bold=bold) <= _NAME_ROOM), mark)


def _forest_axis(ax: Axes, plot: Axes, drawn: list[float], bottom: float) -> None:
    reach = max(1.0, float(np.abs(np.log2(drawn)).max()) * 1.08)
    plot.set_xscale("log", base=2)
    plot.set_xlim(2**-reach, 2**reach)
    step = max(1, int(reach) // 3)
    ticks = [2.0**k for k in range(-step * (int(reach) // step), int(reach) + 1, step)]
    # far from 1 a decimal is so long that neighbours run into each other
    plot.set_xticks(ticks, [f"1/{1 / tick:g}" if tick < 1 < step else f"{tick:g}" for tick in ticks])
    plot.minorticks_off()
    plot.tick_params(labelsize=SMALL)
    plot.axvline(1, color="#777777", linewidth=0.7, zorder=1)
    plot.set(ylim=(bottom, -1.6), yticks=[])
    plot.spines["left"].set_visible(False)
    plot.set_xlabel("after / before, log2 axis; 1 = no change\nodds ratio for %, fold for ratios", fontsize=SMALL)
    head = {"transform": _row_places(ax, plot), "va": "center", "fontsize": SMALL, "weight": "bold"}
    for x, word in zip(_COLUMNS, ("n", "estimate [95 % CI]", "p", "q"), strict=True):
        plot.text(x, -1.0, word, **head)
