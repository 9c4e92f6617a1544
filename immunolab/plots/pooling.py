"""The forest of several studies: each estimate with its weight, their mean, and what a further study would show."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from immunolab.plots.numbers import bracket, number, p_text
from immunolab.plots.style import MM, NEUTRAL, SMALL, WIDTH, axes, style
from immunolab.schema.csv_files import cell_text

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_LOG = ("log_odds", "log")
_COLUMNS = (0.62, 0.68, 0.86)  # n, estimate, weight: places in axes widths
_PLOT = (0.34, 0.26)  # left edge and width of the plot between the words


def pooling_height(studies: pd.DataFrame) -> float:
    """Return the height in inches at which `pooling_plot` has room for every study.

    Parameters
    ----------
    studies
        The studies it draws.
    """
    return (46 + 9.0 * len(studies)) * MM


@style()
def pooling_plot(studies: pd.DataFrame, pooled: pd.DataFrame, label: str, *, ax: Axes | None = None) -> Axes:
    """Draw a row a study (squares as large as their weight), the mean (diamond) and the prediction interval (bar).

    Parameters
    ----------
    studies, pooled
        Rows of the tables of these names.
    label
        What was measured, for the title.
    ax
        Axes to draw on; None makes a new figure.

    Returns
    -------
    Axes
        The axes drawn on.
    """
    ax = axes(ax, WIDTH, pooling_height(studies))
    ax.set_axis_off()
    plot = ax.inset_axes((_PLOT[0], 0.0, _PLOT[1], 1.0))
    scale, mean = str(studies["estimate_scale"].iloc[0]), pooled.iloc[0]
    reach = _reach(studies, mean)
    for place, row in enumerate(studies.to_dict("records")):
        y = float(place)
        plot.plot([row["ci_low"], row["ci_high"]], [y, y], color=NEUTRAL, linewidth=1.1, zorder=2)
        plot.plot(row["estimate"], y, "s", color="black", markersize=2.0 + 0.5 * np.sqrt(row["weight"]), zorder=3)
        shown = bracket(row["estimate"], row["ci_low"], row["ci_high"], scale)
        _words(ax, plot, y, row["study"], (str(row["n_patients"]), shown, f"{row['weight']:.1f} %"))
        beside = ", ".join(filter(None, (row["contrast"], cell_text(row["cycle_state"]), cell_text(row["definition"]))))
        plot.text(0.0, y + 0.36, _cut(beside, 52), transform=_rows(ax, plot), fontsize=6, color="#666666", va="center")
    y = float(len(studies)) + 0.2
    low, middle, high = (float(mean[name]) for name in ("ci_low", "estimate", "ci_high"))
    plot.fill([low, middle, high, middle], [y, y - 0.28, y, y + 0.28], color="black", zorder=3)
    _words(
        ax,
        plot,
        y,
        "Mean (random effects)",
        (str(mean["n_patients"]), bracket(middle, low, high, scale), "100 %"),
        bold=True,
    )
    bottom = y + 1.0
    if pd.notna(mean["predicted_low"]):
        ends = float(mean["predicted_low"]), float(mean["predicted_high"])
        _prediction(plot, bottom, ends, reach)
        shown = bracket(middle, ends[0], ends[1], scale).partition(" ")[2]
        _words(ax, plot, bottom, "A further study (95 % prediction)", ("", shown, ""))
        bottom += 1.0
    plot.axvline(0.0, color="#777777", linewidth=0.7, zorder=1)
    plot.axvline(middle, color="black", linewidth=0.6, linestyle=":", zorder=1)
    plot.set(xlim=reach, ylim=(bottom - 0.3, -1.6), yticks=[])
    plot.spines["left"].set_visible(False)
    _axis(plot, scale)
    head: dict[str, Any] = {"transform": _rows(ax, plot), "va": "center", "fontsize": SMALL, "weight": "bold"}
    for x, word in zip((0.0, *_COLUMNS), (label, "n", "estimate [95 % CI]", "weight"), strict=True):
        plot.text(x, -1.05, word, **head)
    foot = (
        f"tau {number(mean['tau'])} [{number(mean['tau_low'])}, {number(mean['tau_high'])}], I2 {mean['i2']:.0f} %, "
        f"mean {p_text(mean['p_value'])}"
    )
    plot.text(_COLUMNS[0], bottom - 0.2, foot, transform=_rows(ax, plot), fontsize=SMALL, va="center")
    return ax


def _reach(studies: pd.DataFrame, mean: pd.Series) -> tuple[float, float]:
    """Return the ends of the axis: all intervals of studies and mean, and no change, with room beside."""
    drawn = [0.0, mean["ci_low"], mean["ci_high"], *studies["ci_low"], *studies["ci_high"]]
    low, high = float(min(drawn)), float(max(drawn))
    room = 0.08 * (high - low)
    return low - room, high + room


def _prediction(plot: Axes, y: float, ends: tuple[float, float], reach: tuple[float, float]) -> None:
    """Draw the prediction interval, with an arrow where it goes on beyond the axis."""
    room = 0.03 * (reach[1] - reach[0])
    low, high = max(ends[0], reach[0] + room), min(ends[1], reach[1] - room)
    plot.plot([low, high], [y, y], color="black", linewidth=2.5, solid_capstyle="butt", zorder=3)
    for end, shown, marker in zip(ends, (low, high), "<>", strict=True):
        if end != shown:
            plot.plot(shown, y, marker, color="black", markersize=6, zorder=3)


def _rows(ax: Axes, plot: Axes) -> Any:
    """Return the transform with x across the whole figure and y in rows of the plot."""
    from matplotlib.transforms import blended_transform_factory

    return blended_transform_factory(ax.transAxes, plot.transData)


def _words(ax: Axes, plot: Axes, y: float, name: str, cells: tuple[str, str, str], *, bold: bool = False) -> None:
    beside: dict[str, Any] = {"transform": _rows(ax, plot), "va": "center", "fontsize": SMALL}
    weight = "bold" if bold else "normal"
    for x, word in zip((0.0, *_COLUMNS), (_cut(name, 42), *cells), strict=True):
        plot.text(x, y, word, weight=weight, **beside)


def _cut(text: str, width: int) -> str:
    return text if len(text) <= width else f"{text[: width - 1]}…"


def _axis(plot: Axes, scale: str) -> None:
    """Set ticks: ratios on a log axis, differences as they are."""
    plot.tick_params(labelsize=SMALL)
    if scale not in _LOG:
        plot.set_xlabel("difference, later less earlier visit", fontsize=SMALL)
        return
    low, high = (value / np.log(2.0) for value in plot.get_xlim())
    step = next(step for step in (0.5, 1, 2, 4, 8) if (high - low) / step <= 5 or step == 8)
    ticks = np.arange(np.ceil(low / step), np.floor(high / step) + 1) * step
    plot.set_xticks(ticks * np.log(2.0), [f"{2.0**tick:.3g}" for tick in ticks])
    what = "odds ratio" if scale == "log_odds" else "ratio"
    plot.set_xlabel(f"{what}, later against earlier visit, log axis", fontsize=SMALL)
