"""Events on one or two channels, on matplotlib axes in instrument units: density, overlays, gates, what is beyond."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from immunolab.events.transforms import Transform
from immunolab.gating.strategy import Dimension
from immunolab.plots.event_bins import EventBins, bin_values
from immunolab.plots.instrument_axis import instrument_axis, on_display
from immunolab.plots.labels import folded
from immunolab.plots.names import box_in_points
from immunolab.plots.scales import DisplayScale
from immunolab.plots.style import ALARM, NEUTRAL, SMALL

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Array = NDArray[np.float64]
FEW = 5_000  # events up to which each is a dot: a bin of one event is too small to be seen
MOST_DOTS = 2_000  # of an overlay; more hide what is below them
GATE, MEMBER, CONTROL = "#D55E00", "#D55E00", "#0072B2"
FILL, OUTLINE = "#9DB4C8", "#33506B"
DOUBTFUL = "#8A5A00"  # dark amber: readable on white beside the red of what is withheld
INSIDE = (0.5, 0.9, 0.98)  # shares of a control's events inside its contours
_BINS = ((8_000, 64), (60_000, 96), (500_000, 144), (np.inf, 192))  # of an axis up to so many events (judgement)
_COARSE = 32  # bins of an axis for the colour of dots and for contours of a control
_LETTER = 3.9  # points: mean width of a letter of the key
_SMOOTH = 1.3  # bins: standard deviation of the smoothing below contours (judgement)
_CURVED = 48  # points of an edge that is straight on one scale and drawn on another
_LINES, _TALL, _WIDE = 0.115, 0.3, 0.35  # shares of the axes: two lines of text, and a gate that has room for them
_EDGES = {"left": (0.0, 0.5, "<"), "right": (1.0, 0.5, ">"), "bottom": (0.5, 0.0, "v"), "top": (0.5, 1.0, "^")}


def bins_for(n_events: int, n_axes: int) -> int:
    """Return how many bins an axis has: few events need wide ones, and no bin is smaller than can be printed.

    Parameters
    ----------
    n_events
        Events drawn.
    n_axes
        One (a histogram) or two.
    """
    if n_axes == 1:
        return int(np.clip(4.0 * np.cbrt(max(n_events, 1)), 24, 160))
    return next(bins for most, bins in _BINS if n_events < most)


def set_axes(ax: Axes, dimensions: Sequence[Dimension], scales: Sequence[DisplayScale]) -> None:
    """Set one or two axes to instrument units.

    Parameters
    ----------
    ax
        Axes that are changed.
    dimensions, scales
        Of x, and of y where there are two.
    """
    for side, dimension, scale in zip(("x", "y"), dimensions, scales, strict=False):
        instrument_axis(ax, side, dimension.transform, scale)  # type: ignore[arg-type]
    if len(scales) == 2:
        for spine in ax.spines.values():
            spine.set_visible(True)


def draw_density(
    ax: Axes, scales: Sequence[DisplayScale], found: EventBins, points: Array | None, *, grey: bool = False
) -> None:
    """Draw events on two channels: each a dot where there are few, else the density in bins.

    Parameters
    ----------
    ax
        Axes of `set_axes`.
    scales
        Of x and y.
    found
        The events in bins.
    points
        Every event, events x 2 on the display scales; None for the density.
    grey
        Whether it is a background of overlays.
    """
    if points is None:
        extent = (scales[0].low, scales[0].high, scales[1].low, scales[1].high)
        shade = np.ma.masked_equal(np.sqrt(found.counts.astype(np.float64)), 0.0)
        colours = {"cmap": "Greys", "vmin": -0.35 * shade.max()} if grey and shade.count() else {}
        ax.imshow(
            shade,
            extent=extent,
            origin="lower",
            aspect="auto",
            interpolation="nearest",
            transform=on_display(ax),
            **colours,
        )
        return
    inside = np.all([(points[:, i] >= s.low) & (points[:, i] <= s.high) for i, s in enumerate(scales)], axis=0)
    shown = points[inside]
    size = 9.0 if len(shown) < 500 else 4.0
    tint: Any = "#8C8C8C" if grey else _local(shown, scales)
    ax.scatter(shown[:, 0], shown[:, 1], s=size, c=tint, linewidths=0, transform=on_display(ax), zorder=1.5)


def _local(points: Array, scales: Sequence[DisplayScale]) -> Array:
    """Return the root of the number of events in the coarse bin of each event."""
    counts = bin_values(list(points.T), scales, _COARSE).counts
    place = [
        np.clip((value - s.low) / (s.high - s.low) * _COARSE, 0, _COARSE - 1).astype(np.intp)
        for value, s in zip(points.T, scales, strict=True)
    ]
    return np.asarray(np.sqrt(counts[place[1], place[0]].astype(np.float64)))


def draw_dots(ax: Axes, points: Array, scales: Sequence[DisplayScale]) -> None:
    """Draw some events of a population over the others.

    Parameters
    ----------
    ax
        Axes of `set_axes`.
    points
        Events x 2, display scales.
    scales
        Of x and y; events beyond them are not drawn.
    """
    inside = np.all([(points[:, i] >= s.low) & (points[:, i] <= s.high) for i, s in enumerate(scales)], axis=0)
    shown = points[inside]
    ax.scatter(shown[:, 0], shown[:, 1], s=4.0, c=MEMBER, linewidths=0, transform=on_display(ax), zorder=3)


def draw_contours(ax: Axes, scales: Sequence[DisplayScale], found: EventBins) -> None:
    """Draw contours that hold 50, 90 and 98 % of a control's events within the axes.

    Parameters
    ----------
    ax
        Axes of `set_axes`.
    scales
        Of x and y.
    found
        The control's events in bins.
    """
    from scipy.ndimage import gaussian_filter

    smooth = gaussian_filter(found.counts.astype(np.float64), _SMOOTH, mode="constant")
    order = np.argsort(smooth, axis=None, kind="stable")[::-1]
    total = np.cumsum(found.counts.ravel()[order])  # of the events themselves: smoothing spreads them
    if not total[-1]:
        return
    levels = sorted({float(smooth.ravel()[order[np.searchsorted(total, share * total[-1])]]) for share in INSIDE})
    x, y = (np.linspace(s.low, s.high, len(smooth) + 1) for s in scales)
    middle = [(edges[1:] + edges[:-1]) / 2 for edges in (x, y)]
    ax.contour(*middle, smooth, levels=levels, colors=CONTROL, linewidths=1.0, transform=on_display(ax), zorder=4)


def draw_outline(ax: Axes, lines: Sequence[Array], *, colour: str = GATE) -> None:
    """Draw the border of a gate, light below and dark above, so that it is seen on every density.

    Parameters
    ----------
    ax
        Axes of `set_axes`.
    lines
        Runs of (x, y) on the display scales; a line of one number is a border on x.
    colour
        Of the border.
    """
    for tint, width, order in (("white", 2.4, 4.0), (colour, 1.2, 4.1)):
        for line in lines:
            if line.ndim == 1:
                ax.axvline(
                    float(ax.transScale.inverted().transform((line[0], 0.0))[0]),
                    color=tint,
                    linewidth=width,
                    zorder=order,
                )
            else:
                ax.plot(*line.T, color=tint, linewidth=width, transform=on_display(ax), zorder=order)


def on_other_scales(line: Array, own: Sequence[Transform], drawn: Sequence[Transform]) -> Array:
    """Return an outline on other display scales; edges that are straight on its own are bent as they are there.

    Parameters
    ----------
    line
        Runs of (x, y).
    own, drawn
        Scales of the gate, and of the axes it is drawn on.
    """
    if all(a == b for a, b in zip(own, drawn, strict=True)):
        return line
    steps = np.linspace(0.0, 1.0, _CURVED, endpoint=False)
    dense = [a + (b - a) * steps[:, None] for a, b in pairwise(line)]
    dense.append(line[-1:])
    columns = np.concatenate(dense).T
    return np.column_stack([to.apply(of.inverse(column)) for column, of, to in zip(columns, own, drawn, strict=True)])


def write_in_gate(ax: Axes, bounds: tuple[float, float, float, float], text: str, taken: Sequence[Any] = ()) -> Any:
    """Write beside the outermost corner of a gate, inside it, clear of what is written already.

    Parameters
    ----------
    ax
        Axes of `set_axes`.
    bounds
        Left, right, bottom and top of the gate, shares of the axes.
    text
        Its name and numbers.
    taken
        Places of earlier texts, as this function returned them.

    Returns
    -------
    tuple
        Where the text is.
    """
    left, right, bottom, top = (min(max(value, 0.0), 1.0) for value in bounds)
    across, up = (left + right) / 2 > 0.5, (bottom + top) / 2 > 0.4
    small = (min((top - bottom) / _TALL, (right - left) / _WIDE) < 1.0 and bottom > 0.0) or top - bottom < _TALL / 2
    x = right - 0.015 if across else left + 0.015
    if small:  # beside the gate, so that its events are seen
        up = top + _LINES > 1.0
        y = bottom - 0.01 if up else top + 0.01
    else:
        y = top - 0.02 if up else bottom + 0.02
    step = -_LINES if up else _LINES
    while any(abs(y - other) < _LINES and across == side and abs(x - at) < _WIDE for at, other, side in taken):
        y += step
    ax.text(
        x,
        y,
        text,
        transform=ax.transAxes,
        fontsize=SMALL,
        ha="right" if across else "left",
        va="top" if up else "bottom",
        linespacing=1.1,
        zorder=6,
        bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.78, "pad": 0.8},
    )
    return x, y, across


def draw_steps(
    ax: Axes, scale: DisplayScale, heights: Array, *, tint: str = OUTLINE, fill: str | None = FILL, base: float = 0.0
) -> None:
    """Draw a histogram.

    Parameters
    ----------
    ax
        Axes of `set_axes` with one dimension.
    scale
        Of x.
    heights
        Of each bin, above ``base``.
    tint, fill
        Colours of the outline and below it; None fills nothing.
    base
        Height of the lower end.
    """
    edges = np.linspace(scale.low, scale.high, len(heights) + 1)
    order = 2.0 - 1e-3 * base
    if fill is not None:
        ax.stairs(base + heights, edges, baseline=base, fill=True, color=fill, transform=on_display(ax), zorder=order)
    ax.stairs(
        base + heights, edges, baseline=base, color=tint, linewidth=0.9, transform=on_display(ax), zorder=order + 4e-4
    )


def mark_beyond(ax: Axes, found: EventBins) -> None:
    """Mark each edge of the axes that events are beyond.

    Parameters
    ----------
    ax
        Axes of `set_axes`.
    found
        What was drawn.
    """
    for side, n in found.sides.items():
        x, y, shape = _EDGES[side]
        if n:
            ax.plot(
                x,
                y if found.counts.ndim == 2 else 0.04,
                shape,
                color=NEUTRAL,
                markeredgecolor="white",
                markersize=5.5,
                markeredgewidth=0.6,
                transform=ax.transAxes,
                clip_on=False,
                zorder=7,
                label=f"_beyond_{side}",
            )


def head(ax: Axes, title: str, *, entries: Sequence[tuple[str, str, str]] = ()) -> None:
    """Write above the axes what is drawn, with the key of the marks.

    Parameters
    ----------
    ax
        Axes drawn on.
    title
        First line.
    entries
        Kind of mark (``fill``, ``dots``, ``line``, ``beyond``, ``withheld``, ``doubtful``, ``note``), its colour (empty
        for the kind's own) and its words, a line each.
    """
    from matplotlib.lines import Line2D

    room = max(24, int(box_in_points(ax).width / _LETTER))

    looks: dict[str, dict[str, Any]] = {
        "fill": {"marker": "s", "linestyle": "none", "color": "#A6A6A6", "markersize": 5},
        "dots": {"marker": "o", "linestyle": "none", "color": MEMBER, "markersize": 3},
        "line": {"color": CONTROL, "linewidth": 1.2},
        "beyond": {"marker": ">", "linestyle": "none", "color": NEUTRAL, "markersize": 4.5, "markeredgewidth": 0},
        "withheld": {"linestyle": "none", "marker": "x", "color": ALARM, "markersize": 4},
        "doubtful": {"linestyle": "none", "marker": "D", "color": DOUBTFUL, "markersize": 3},
        "note": {"linestyle": "none"},
    }
    handles = [Line2D([], [], **{**looks[kind], **({"color": tint} if tint else {})}) for kind, tint, _ in entries]
    legend = ax.legend(
        handles,
        [folded(words, room) for _, _, words in entries],
        title=folded(title, int(0.8 * room)),
        loc="lower left",
        bbox_to_anchor=(0.0, 1.0),
        alignment="left",
        borderaxespad=0.2,
        borderpad=0.0,
        handlelength=1.0,
        handletextpad=0.5,
        labelspacing=0.25,
        fontsize=SMALL,
        title_fontproperties={"size": 8, "weight": "bold"},
        frameon=False,
    )
    for text, (kind, _, _) in zip(legend.get_texts(), entries, strict=True):
        text.set_color({"withheld": ALARM, "doubtful": DOUBTFUL}.get(kind, "black"))
