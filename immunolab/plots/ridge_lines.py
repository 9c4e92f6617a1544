"""Histograms of one channel below each other, a row a tube."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from immunolab.gating.strategy import Dimension
from immunolab.plots.event_bins import EventBins, share_words
from immunolab.plots.event_panels import GATE, OUTLINE, draw_steps, head, set_axes
from immunolab.plots.instrument_axis import on_display
from immunolab.plots.names import shortened
from immunolab.plots.numbers import number
from immunolab.plots.scales import DisplayScale
from immunolab.plots.style import MM, NEUTRAL, SMALL

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_HIGH = 0.86  # of a row's height that its highest bin takes
_FEWEST = 20  # events of a row that has a histogram; fewer are drawn one by one


@dataclass(frozen=True, eq=False)
class Ridge:
    """One row.

    Attributes
    ----------
    name
        At its left.
    found
        The events in bins.
    median
        On the display scale; None without events.
    borders
        Borders of gates, display scale.
    """

    name: str
    found: EventBins
    median: float | None
    borders: tuple[float, ...] = ()


def ridges_height(n: int) -> float:
    """Return the height in inches at which so many rows can be read.

    Parameters
    ----------
    n
        Rows.
    """
    return (26 + 10 * n) * MM


def draw_ridges(ax: Axes, rows: Sequence[Ridge], dimension: Dimension, scale: DisplayScale, *, title: str) -> Axes:
    """Draw rows below each other, each scaled to its highest bin.

    Parameters
    ----------
    ax
        Axes drawn on.
    rows
        From the top.
    dimension, scale
        Of the axis.
    title
        Above the rows.

    Returns
    -------
    Axes
        The axes drawn on; a row is at y = 0, -1, -2 ...
    """
    set_axes(ax, [dimension], [scale])
    beside = ax.get_yaxis_transform()
    on = on_display(ax)
    for place, row in enumerate(rows):
        base = -float(place)
        counts = row.found.counts.astype(np.float64)
        if 0 < row.found.n_events < _FEWEST:
            edges = np.linspace(scale.low, scale.high, len(counts) + 1)
            at = np.repeat((edges[1:] + edges[:-1]) / 2, row.found.counts)
            ax.plot(at, np.full(len(at), base + 0.12), "|", color=OUTLINE, markersize=6, transform=on)
            ax.axhline(base, color=OUTLINE, linewidth=0.6)
        else:
            draw_steps(ax, scale, counts / max(1.0, counts.max()) * _HIGH, base=base)
        for border in row.borders:
            ax.plot([border] * 2, [base, base + _HIGH], color=GATE, linewidth=1.1, transform=on, zorder=4)
        if row.median is not None and scale.low <= row.median <= scale.high:
            ax.plot([row.median] * 2, [base, base + 0.22], color="black", linewidth=1.4, transform=on, zorder=5)
        ax.text(1.015, base + 0.40, f"{row.found.n_events:,}", transform=beside, fontsize=SMALL, va="center")
        words = "no events" if row.median is None else _median_words(row, dimension)
        ax.text(1.015, base + 0.12, words, transform=beside, fontsize=SMALL, va="center", color=NEUTRAL)
    ax.set_yticks([-place + 0.25 for place in range(len(rows))], [shortened(row.name, 22) for row in rows])
    ax.tick_params(axis="y", length=0)
    ax.spines["left"].set_visible(False)
    ax.set_ylim(-len(rows) + 0.96, 1.0)
    borders = [("line", GATE, "border of a gate")] if any(row.borders for row in rows) else []
    head(ax, title, entries=[("line", "black", "median; right: events, median, share beyond the axis"), *borders])
    return ax


def _median_words(row: Ridge, dimension: Dimension) -> str:
    value = float(dimension.transform.inverse(np.array([row.median]))[0])
    beyond = f", {share_words(row.found.n_beyond, row.found.n_events)} beyond" if row.found.n_beyond else ""
    return f"{number(value)}{beyond}"
