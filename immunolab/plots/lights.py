"""Pictures of traffic lights: small, so that a page of many tubes shows each fault at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from immunolab.plots.figure_files import png
from immunolab.plots.gate_views import GateView
from immunolab.plots.gates import draw_view, mark_axis
from immunolab.plots.panel_canvas import Box, Page, Word, steps
from immunolab.plots.style import ALARM, HALF, MM, NEUTRAL, style
from immunolab.schema.flags import Check

Array = NDArray[np.float64]
_DPI = 150  # of a picture on a page: sharp where two stand side by side
_WIDTH, _HEIGHT = HALF / MM, 58.0  # mm: half a page's width, so that two stand side by side
_BOX = Box(17.0, 12.0, _WIDTH - 23.0, _HEIGHT - 18.0)
_PALE, _OTHERS = "#D5DEE6", "#9AA5AF"  # the tube's own events, and the other tubes
_ROOM_RIGHT = 0.6  # share of the axis up to which a limit's words go right of its line
_BINS = 60  # of a histogram beside others: 1,500 events have 25 a bin
_KEY = {  # what the red line is
    Check.DEAD: "red: dead are right of it",
    Check.DEBRIS: "red: debris is left of it",
    Check.DOUBLETS: "red: two cells are above it",
    Check.MARGIN: "red: the highest value",
    Check.SATURATION: "red: the highest value",
    Check.HYPER_NEGATIVE: "red: zero",
    Check.RESIDUAL_SPILLOVER: "red: what the dye adds; grey: nothing",
    Check.COMPENSATION: "red: what the dye adds; grey: nothing",
}


def _page() -> Page:
    return Page(_WIDTH, _HEIGHT)


def _picture(page: Page) -> bytes:
    return png(page.paint(), dpi=_DPI)


def _frame(page: Page) -> None:
    corners = [(_BOX.left, _BOX.top), (_BOX.left, _BOX.bottom), (_BOX.right, _BOX.bottom)]
    page.line(np.array(corners), "black", 0.6)


def _say(page: Page, text: str) -> None:
    page.write(Word(text, _BOX.left, _HEIGHT - 4.0, colour="#333333"), within=_WIDTH - _BOX.left - 1.0)


@style()
def view_png(view: GateView) -> bytes:
    """Return the picture of a check that one or two channels of the tube show.

    Parameters
    ----------
    view
        Of `light_views`.
    """
    page = _page()
    draw_view(view.without_lines(), page, _BOX, counted=view, room=_BOX.width)
    for i, line in enumerate(view.lines):
        tint = NEUTRAL if i else ALARM
        if view.y is None:
            x = _BOX.left + (float(line[0]) - view.x.low) / (view.x.high - view.x.low) * _BOX.width
            page.line(np.array([(x, _BOX.bottom), (x, _BOX.top)]), tint, 1.2, _BOX)
            continue
        low, high = np.array([(view.x.low, view.y.low), (view.x.high, view.y.high)])
        points = (_BOX.left, _BOX.bottom) + (line - low) / (high - low) * (_BOX.width, _BOX.height)
        page.line(points, "white", 2.6, _BOX)
        page.line(points, tint, 1.4, _BOX)
    key = _KEY.get(Check(view.name), "") if view.lines else ""
    _say(page, "; ".join(filter(None, (view.parent, key))))
    return _picture(page)


@style()
def beside_png(marker: str, own: Array, others: Sequence[Array]) -> bytes:
    """Return the picture of a stain in a tube beside the same stain in the panel's other tubes.

    Parameters
    ----------
    marker
        Of the channel.
    own, others
        Events of the tube and of each other one, asinh.
    """
    page = _page()
    ends = np.quantile(np.concatenate([own, *others]), [0.002, 0.998])
    low, high = float(ends[0]) - 0.3, float(ends[1]) + 0.3
    counts = [np.histogram(values, _BINS, (low, high))[0] / max(len(values), 1) for values in (own, *others)]
    top = 1.05 * max(float(one.max()) for one in counts)
    outline = steps(counts[0], _BOX, top)
    page.fills.append((outline, _PALE))
    for one in counts[1:]:
        page.line(steps(one, _BOX, top), _OTHERS, 0.5, _BOX)
    page.line(outline, ALARM, 1.3, _BOX)
    _frame(page)
    places = np.arange(np.ceil(low), np.floor(high) + 1)
    words = [f"{place:g}" for place in places]
    mark_axis(page, _BOX, (places - low) / (high - low), words, np.empty(0), upward=False)
    page.write(Word(f"{marker}, asinh", _BOX.left + _BOX.width / 2, _BOX.bottom - 6.7, across="center"))
    page.write(Word("share of events", _BOX.left - 3.0, _BOX.bottom + _BOX.height / 2, across="center", upward=True))
    _say(page, f"red: this tube; grey: {len(others)} other tubes")
    return _picture(page)


@style()
def among_png(value: float, others: Sequence[float], limit: float | None, label: str) -> bytes:
    """Return the picture of a tube's value among those of the others, with the limit.

    Parameters
    ----------
    value, others
        Of the tube, and of each other one.
    limit
        Of the check; None without one.
    label
        What the value is.
    """
    page = _page()
    known = np.array([value, *others, *([] if limit is None else [limit])], dtype=np.float64)
    on_log = known.min() > 0 and known.max() > 30 * known.min()
    places = np.log10(known) if on_log else known
    low, high = (float(places.min()), float(places.max())) if on_log else (min(0.0, float(places.min())), places.max())
    room = 0.06 * (high - low or 1.0)
    low, high = (low - room if on_log or low < 0 else low), float(high) + room
    shares = (places - low) / (high - low)
    x = _BOX.left + shares * _BOX.width
    heights = _BOX.bottom + _BOX.height * (0.15 + 0.6 * _spread(len(others)))
    page.dots.append((np.column_stack([x[1 : 1 + len(others)], heights]), _OTHERS))
    if limit is not None:
        page.line(np.array([(x[-1], _BOX.bottom), (x[-1], _BOX.top)]), NEUTRAL, 0.9)
        text, up = f"limit {limit:,.6g}", _BOX.top - 2.0
        goes_right = shares[-1] < _ROOM_RIGHT
        word = Word(text, float(x[-1]) + 0.8, up, backed=True)
        page.write(word if goes_right else replace(word, x=float(x[-1]) - 0.8, across="right"), within=30.0)
    page.line(np.array([(x[0], _BOX.bottom), (x[0], _BOX.bottom + 0.86 * _BOX.height)]), ALARM, 1.8)
    _frame(page)
    ticks, words = _ticks(low, high, on_log)
    mark_axis(page, _BOX, (ticks - low) / (high - low), words, np.empty(0), upward=False)
    page.write(Word(label, _BOX.left + _BOX.width / 2, _BOX.bottom - 6.7, across="center"), within=_WIDTH - 2)
    _say(page, f"red: this tube; dots: {len(others)} others" if others else "red: this tube")
    return _picture(page)


def _spread(n: int) -> Array:
    """Return heights of dots, shares of the room, so that near values stand apart: the golden ratio's steps."""
    return np.asarray((np.arange(n) * 0.618034) % 1.0)


def _ticks(low: float, high: float, on_log: bool) -> tuple[Array, list[str]]:
    from matplotlib.ticker import MaxNLocator

    if on_log:
        ticks = np.arange(np.ceil(low), np.floor(high) + 1)
        return ticks, [f"{10**tick:,.6g}" for tick in ticks]
    ticks = np.asarray(MaxNLocator(nbins=5).tick_values(low, high))
    ticks = ticks[(ticks >= low) & (ticks <= high)]
    return ticks, [f"{tick:,.6g}" for tick in ticks]


@style()
def rows_png(rows: Sequence[tuple[str, Sequence[tuple[float, float, str]]]], label: str, key: str) -> bytes:
    """Return the picture of values row by row, each with its error: a dot a value.

    Parameters
    ----------
    rows
        Name of a row, and its values: value, standard error, colour.
    label
        Of the axis.
    key
        What the colours are.
    """
    page = _page()
    ends = [value + k * 2 * error for _, values in rows for value, error, _ in values for k in (-1, 1)] + [0.0]
    room = 0.05 * (max(ends) - min(ends) or 1.0)
    low, high = min(ends) - room, max(ends) + room
    box = Box(_BOX.left + 8.0, _BOX.bottom, _BOX.width - 8.0, _BOX.height)

    def across(value: float) -> float:
        return box.left + (value - low) / (high - low) * box.width

    step = box.height / max(len(rows), 1)
    for i, (name, values) in enumerate(rows):
        middle = box.top - (i + 0.5) * step
        page.write(Word(name, box.left - 1.5, middle - 0.9, across="right"))
        for k, (value, error, tint) in enumerate(values):
            y = middle + (0.5 * (len(values) - 1) - k) * min(2.2, step / (len(values) + 1))
            page.line(np.array([(across(value - 2 * error), y), (across(value + 2 * error), y)]), tint, 0.9)
            spot = across(value)
            page.line(np.array([(spot - 0.6, y), (spot + 0.6, y)]), tint, 3.6)
    page.line(np.array([(across(0.0), box.bottom), (across(0.0), box.top)]), _OTHERS, 0.6)
    page.line(np.array([(box.left, box.top), (box.left, box.bottom), (box.right, box.bottom)]), "black", 0.6)
    ticks, words = _ticks(low, high, on_log=False)
    mark_axis(page, box, (ticks - low) / (high - low), words, np.empty(0), upward=False)
    page.write(Word(label, box.left + box.width / 2, box.bottom - 6.7, across="center"), within=_WIDTH - 2)
    _say(page, key)
    return _picture(page)


@style()
def nearer_png(own: Array, others: Array) -> bytes:
    """Return the picture of a tube that looks more like another patient than like its own.

    Parameters
    ----------
    own
        Distance from the patient's other visits, and from the nearest other patient's.
    others
        The same of the other tubes, tubes x 2.
    """
    page = _page()
    high = 1.08 * float(max(own.max(), others.max(initial=0.0), 1e-9))

    def placed(points: Array) -> Array:
        return np.asarray((_BOX.left, _BOX.bottom) + points / high * (_BOX.width, _BOX.height))

    page.line(placed(np.array([(0.0, 0.0), (high, high)])), _OTHERS, 0.8, _BOX)
    if len(others):
        page.dots.append((placed(others), NEUTRAL))
    x, y = placed(own)
    page.line(np.array([(x - 1.0, y), (x + 1.0, y)]), ALARM, 5.6)
    _frame(page)
    ticks, words = _ticks(0.0, high, on_log=False)
    mark_axis(page, _BOX, ticks / high, words, np.empty(0), upward=False)
    mark_axis(page, _BOX, ticks / high, words, np.empty(0), upward=True)
    middle = _BOX.left + _BOX.width / 2
    page.write(Word("distance from the patient's other visits", middle, _BOX.bottom - 6.7, across="center"))
    page.write(
        Word("from the nearest other", _BOX.left - 9.0, _BOX.bottom + _BOX.height / 2, across="center", upward=True)
    )
    _say(page, "red: this tube; below the line: nearer to another patient")
    return _picture(page)
