"""The axis of measured values: linear from zero, or log2 with ticks where they can be read."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from immunolab.plots.labels import EndpointLabel, folded, is_low

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_LABEL_WIDTH = 28  # characters of a line of the label beside a figure of half a page
_ROUND = (
    (1, 1.2, 1.5, 2, 2.5, 3, 4, 5, 6, 8),
    (1, 1.5, 2, 3, 5, 7),
    (1, 2, 5),
    (1, 3),
    (1,),
)  # of a decade, densest first


def value_axis(ax: Axes, named: EndpointLabel, values: ArrayLike, *, room: float = 0.08) -> None:
    """Set scale, limits and label of the y axis for an endpoint's values.

    Ratios and concentrations are on log2, as long as all are above zero; other values on a linear
    axis from zero, or around their range when some are negative. ``room`` is left free above, as a
    share of the axis.

    Parameters
    ----------
    ax
        Axes whose y axis is set.
    named
        Label of the endpoint; gives scale and unit.
    values
        Values drawn, in the endpoint's unit; missing ones are ignored.
    room
        Share of the axis left free above the highest value.
    """
    ax.set_ylabel(folded(named.axis, 40))
    present = np.asarray(values, dtype=float).ravel()
    present = present[np.isfinite(present)]
    if not present.size:
        return
    low, high = float(present.min()), float(present.max())
    if named.axis_scale == "log2" and low > 0:
        _log2(ax, low, high, room)
    elif low >= 0:
        ax.set_ylim(0, high * (1 + room) or 1.0)
    else:
        span = (high - low) or abs(high) or 1.0
        ax.set_ylim(low - 0.08 * span, high + room * span)


def value_strip(rows: pd.DataFrame, named: EndpointLabel, *, ax: Axes) -> Axes:
    """Draw an endpoint's values at one visit: every sample a point, open where it cannot be quantified, and the median.

    Parameters
    ----------
    rows
        ENDPOINTS rows of one endpoint and visit, each with a value.
    named
        Label of the endpoint.
    ax
        Axes to draw on.
    """
    ordered = rows.sort_values("value")
    for x, value, flag in zip(np.linspace(-0.12, 0.12, len(rows)), ordered["value"], ordered["flag"], strict=True):
        face = "white" if is_low(flag) else named.colour
        ax.plot(x, value, "o", color=named.colour, markerfacecolor=face, markersize=4)
    ax.plot([-0.25, 0.25], [ordered["value"].median()] * 2, color="black", linewidth=2, zorder=4)
    ax.set_xticks([0], [f"{ordered['visit'].iloc[0]}\n{n_of_patients(rows)}"])
    ax.set_xlim(-0.6, 0.6)
    value_axis(ax, named, ordered["value"])
    ax.set_ylabel(folded(named.axis, _LABEL_WIDTH))
    ax.set_title("described, not compared")
    return ax


def n_of_patients(rows: pd.DataFrame) -> str:
    """Return ``n = 6 patients``, with the number of samples where that is another.

    Parameters
    ----------
    rows
        ENDPOINTS rows, one a sample.
    """
    n = rows["patient_id"].nunique()
    return f"n = {n} patients" + (f", {len(rows)} samples" if len(rows) != n else "")


def log_ticks(low: float, high: float, most: int = 6) -> list[float]:
    """Return round values (the densest series of a decade that fits, 1 among them) between the ends of a log axis.

    Parameters
    ----------
    low, high
        Ends of the axis, above 0.
    most
        Largest number of ticks.
    """
    from matplotlib.ticker import MaxNLocator

    tens = range(int(np.floor(np.log10(low))), int(np.ceil(np.log10(high))) + 1)
    found = [
        [float(f"{step}e{ten}") for ten in tens for step in steps if low <= float(f"{step}e{ten}") <= high]
        for steps in _ROUND
    ]
    ticks = next((some for some in found if len(some) <= most), found[-1][:: max(1, -(-len(found[-1]) // most))])
    if len(ticks) < 3:  # less than half a decade
        ticks = [
            float(f"{tick:.6g}")
            for tick in MaxNLocator(5, steps=[1, 2, 5, 10]).tick_values(low, high)
            if low <= tick <= high
        ]
    return ticks


def _log2(ax: Axes, low: float, high: float, room: float) -> None:
    from matplotlib.ticker import FixedLocator, NullLocator

    octaves = np.log2(high / low)
    margin = max(0.25, 0.1 * octaves)
    bottom, top = low / 2**margin, high * 2 ** (margin + room * octaves)
    ax.set_yscale("log", base=2)
    ax.set_ylim(bottom, top)
    ax.yaxis.set_major_locator(FixedLocator(log_ticks(bottom, top)))
    ax.yaxis.set_minor_locator(NullLocator())
    ax.yaxis.set_major_formatter(lambda value, _: f"{value:.4g}" if value < 10_000 else f"{value:.0f}")
