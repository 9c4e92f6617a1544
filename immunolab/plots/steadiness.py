"""A tube's run over time: every channel against the run's level, the rate, and what is cut."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from immunolab.plots.figure_files import png
from immunolab.plots.style import ALARM, BATCH_COLOURS, MM, SMALL, WIDTH, axes, style
from immunolab.quality.clean import removable
from immunolab.quality.steadiness import LEAST_SHIFT, Steadiness

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from immunolab.events.tube import Tube

_NAMED = 3  # channels in colour: the surest to move, which the check names, and those that move most
_DPI = 110  # of a picture on a page: sharp at the page's width, 40 kB
_QUIET = "#BDBDBD"
_SMOOTH = 5  # stretches taken together to choose the level that moves most
_LEAST_HEIGHT = 1.5  # SD, of the axis: a steady run looks steady


@style()
def draw_steadiness(tube: Tube, found: Steadiness, *, ax: Axes | None = None) -> Axes:
    """Draw the level of every channel over the run, the rate above it, and what is cut or off in red.

    Parameters
    ----------
    tube
        The tube, in the file's order.
    found
        What `steadiness` found in it.
    ax
        Axes to draw on; None makes a new figure.
    """
    ax = axes(ax, WIDTH, 62 * MM)
    if found.stretches is None:
        ax.text(0.5, 0.5, "too few events for a course over time", ha="center", va="center", transform=ax.transAxes)
        ax.set_axis_off()
        return ax
    edges, word = _edges(found, found.stretches.edges)
    middles = (edges[1:] + edges[:-1]) / 2
    names, levels = _levels(tube, found)
    moving = _in_colour(tube, found, levels)
    ax.plot(middles, levels, color=_QUIET, linewidth=0.5)
    for tint, row in zip(BATCH_COLOURS, moving, strict=False):
        ax.plot(middles, levels[:, row], color=tint, linewidth=1.1, label=names[row])
    height = max(_LEAST_HEIGHT, 1.15 * float(np.abs(levels).max()))  # of the axis, both ways
    ax.set_ylim(-height, height)
    ax.set_xlim(edges[0], edges[-1])
    for limit in (-LEAST_SHIFT, LEAST_SHIFT):
        ax.axhline(limit, color="#777777", linewidth=0.6, linestyle=":")
    _mark_off(ax, found, edges)
    ax.set_xlabel(word)
    ax.xaxis.set_major_formatter("{x:,.10g}")
    ax.set_ylabel("level of each channel,\nSD of a population")
    ax.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), fontsize=SMALL, frameon=False, title="move most",
              title_fontsize=SMALL)  # fmt: skip
    _draw_rate(ax, found, edges, middles)
    return ax


def course_png(tube: Tube, found: Steadiness) -> bytes:
    """Return the picture of a tube's run for a page.

    Parameters
    ----------
    tube, found
        As `draw_steadiness` takes them.
    """
    return png(draw_steadiness(tube, found).figure, dpi=_DPI)  # type: ignore[arg-type]


def _in_colour(tube: Tube, found: Steadiness, levels: NDArray[np.float64]) -> list[int]:
    """Return the channels in colour: that which the check names, then those that move most."""
    if found.stretches is None:
        return []
    most = np.argsort(-np.abs(levels).max(axis=0)).tolist()
    said = max(found.off, key=lambda part: part.sure).channel if found.off else ""
    names = [tube.channels[row].name for row in np.unique(found.stretches.channels)]
    return sorted(most, key=lambda row: names[row] != said)[:_NAMED]


def _edges(found: Steadiness, rows: NDArray[np.intp]) -> tuple[NDArray[np.float64], str]:
    """Return where stretches begin and end: seconds, or events where the file has no Time channel."""
    clock = found.clock
    if clock is None or not clock.total:
        return rows.astype(np.float64), "events, in the file's order"
    passed = np.concatenate([[0.0], np.cumsum(clock.steps)])
    return passed[
        np.minimum(rows, len(passed) - 1)
    ], "seconds from the first event" if clock.in_seconds else "Time from the first event, ticks of the clock"


def _levels(tube: Tube, found: Steadiness) -> tuple[list[str], NDArray[np.float64]]:
    """Return, of each channel, the score of the level that moves most, against that of the stretches not off."""
    run = found.stretches
    if run is None:
        return [], np.empty((0, 0))
    sound = np.ones(run.n, dtype=bool)
    for part in found.off if found.has_majority else ():
        sound[part.start : part.stop] = False
    scores = run.scores - np.median(run.scores[sound], axis=0)
    rows = np.unique(run.channels)
    channels = [tube.channels[row] for row in rows]
    names = [f"{c.marker} {c.name}" if c.marker else c.name for c in channels]
    window = np.ones(min(_SMOOTH, run.n)) / min(_SMOOTH, run.n)
    smooth = np.apply_along_axis(np.convolve, 0, scores, window, mode="valid")
    moved = np.ptp(smooth, axis=0) / run.noise
    chosen = [own[int(moved[own].argmax())] for own in (np.flatnonzero(run.channels == row) for row in rows)]
    return names, scores[:, chosen]


def _mark_off(ax: Axes, found: Steadiness, edges: NDArray[np.float64]) -> None:
    cut = bool(removable(found))
    for i, part in enumerate(found.off):
        ax.axvspan(edges[part.start], edges[part.stop], color=ALARM, alpha=0.15, linewidth=0)
        if i == 0:
            word = "cut" if cut else "off"
            at = (edges[part.start] + edges[part.stop]) / 2
            ax.annotate(word, (at, 0.97), xycoords=ax.get_xaxis_transform(), ha="center", va="top", fontsize=SMALL,
                        color=ALARM)  # fmt: skip


def _draw_rate(ax: Axes, found: Steadiness, edges: NDArray[np.float64], middles: NDArray[np.float64]) -> None:
    rates = found.clock.rates(found.stretches.edges) if found.clock and found.stretches else None
    if rates is None:
        return
    above = ax.inset_axes((0.0, 1.1, 1.0, 0.26))
    above.plot(middles, rates, color="#333333", linewidth=0.8)
    above.set_xlim(edges[0], edges[-1])
    above.set_ylim(0, max(2.0, 1.1 * float(rates.max())))
    above.set_xticks([])
    above.set_yticks([0, 1])
    above.set_ylabel("rate", fontsize=SMALL)
    for part in found.off:
        above.axvspan(edges[part.start], edges[part.stop], color=ALARM, alpha=0.15, linewidth=0)
