"""Gating figures: the contact sheet of a sample."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from immunolab.events.tube import Tube
from immunolab.gating.strategy import Memberships, Strategy
from immunolab.plots.event_bins import share_words
from immunolab.plots.gate_views import GateView, gate_views
from immunolab.plots.numbers import number
from immunolab.plots.panel_canvas import Box, Page, Word, steps, width_of
from immunolab.plots.scales import DisplayScale
from immunolab.plots.style import ALARM, MM, WIDTH, style
from immunolab.schema.flags import Flag, flag, shown, withheld

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_GATE, _MEMBER = "#D55E00", "#D55E00"
_RUG = 0.5  # mm above the axis of a histogram: members of a gate that has no border on it
_SAID = 0.005  # share of the events beyond the axes from which a panel says it
_MINOR = 0.8  # mm, least distance of two small ticks
_DOUBTFUL = "#8A5A00"  # dark amber: readable on white beside the red of what is withheld


def contact_sheet(
    strategy: Strategy, events: Tube, memberships: Memberships, *, title: str = "", seed: int = 0
) -> Figure:
    """Return one page with every gate of a sample; see `gate_views` and `draw_contact_sheet`.

    Parameters
    ----------
    strategy
        Geometric gates of the sample.
    events
        The sample's tube.
    memberships
        Which events are in which population.
    title
        Heading of the page.
    seed
        Of the events drawn where there are too many to show.

    Returns
    -------
    Figure
        One panel a gate, axes in instrument units.
    """
    return draw_contact_sheet(gate_views(strategy, events, memberships, seed=seed), title=title)


@style()
def draw_contact_sheet(views: Sequence[GateView], *, title: str = "") -> Figure:
    """Return one page with a panel for each view.

    Parameters
    ----------
    views
        Of one sample, in the order of the strategy.
    title
        Above the page; the sample_id when empty.
    """
    return contact_page(views, title=title).paint()


def contact_page(views: Sequence[GateView], *, title: str = "") -> Page:
    """Return what `draw_contact_sheet` draws, as marks on a page.

    Parameters
    ----------
    views
        Views of one sample.
    title
        Heading of the page.
    """
    columns = 4 if len(views) <= 20 else 5
    across, down = (45.4, 47.0) if columns == 4 else (35.6, 42.0)
    rows = max(1, -(-len(views) // columns))
    page = Page(WIDTH / MM, 20 + rows * down)
    page.write(Word(title or (views[0].sample_id if views else ""), 2.2, page.height - 5.6, 10, bold=True))
    for i, text in enumerate(reversed(_legend(views))):
        page.write(Word(text, 2.2, 2.9 + 2.9 * i, colour="#333333"))
    width, height = across / 1.55, down / 1.85
    for i, view in enumerate(views):
        left = 11.9 + across * (i % columns)
        box = Box(left, page.height - 20 - height - down * (i // columns), width, height)
        _panel(view, page, box, across)
    return page


def _panel(view: GateView, page: Page, box: Box, across: float) -> None:
    draw_view(view, page, box, counted=view, room=across - 2)
    _heading(view, page, box, across)


def draw_view(
    view: GateView, page: Page, box: Box, *, counted: GateView, room: float, beside: Literal["", "first", "next"] = ""
) -> None:
    """Draw one gate's events, border and axes on a page.

    Parameters
    ----------
    view
        The gate, with the axes to draw.
    page
        Drawn on.
    box
        Place of the axes on the page.
    counted
        The view with the axes that its events were counted on, which may be narrower.
    room
        Width for the label below, mm.
    beside
        Which of several panels of one gate beside each other it is: only the first has a labelled y axis, and
        histograms are scaled to their highest bins. Empty: it is alone.
    """
    frame = np.array([(box.left, box.bottom), (box.right, box.bottom), (box.right, box.top), (box.left, box.top)])
    if view.y is None:
        _draw_histogram(view, page, box, counted, beside)
        page.line(np.array([(box.left, box.top), (box.left, box.bottom), (box.right, box.bottom)]), "black", 0.6)
    else:
        _draw_density(view, view.y, page, box, counted)
        page.line(np.vstack([frame, frame[:1]]), "black", 0.6)
        words = view.y.tick_labels if beside != "next" else [""] * len(view.y.ticks)
        mark_axis(page, box, _along(view.y, view.y.ticks), words, _along(view.y, view.y.minor), upward=True)
    if view.y is not None and beside != "next":
        widest = max(map(width_of, view.y.tick_labels), default=0.0)
        left = max(3.0, box.left - 3.6 - widest)
        label = Word(view.y.label, left, box.bottom + box.height / 2, across="center", upward=True)
        page.write(label, within=box.height + 8)
    mark_axis(page, box, _along(view.x, view.x.ticks), view.x.tick_labels, _along(view.x, view.x.minor), upward=False)
    below = Word(view.x.label, box.left + box.width / 2, box.bottom - 6.7, across="center")
    page.write(below, within=room)


def _legend(views: Sequence[GateView]) -> tuple[str, ...]:
    if not views:
        return ("No gate was evaluated on this sample.",)
    most = max((view.n_drawn for view in views), default=0)
    return (
        f"Shade: density of the parent's events (at most {most:,} drawn; counts and percentages are of all events; "
        "events beyond the",
        "axes are not drawn: their share is at the lower right). Orange: gate, or members of an and/or/not gate. "
        "Instrument units,",
        "compensated. Flags: red withheld, brown doubtful.",
    )


def _along(scale: DisplayScale, values: Sequence[float] | NDArray[np.float64]) -> NDArray[np.float64]:
    """Return positions as shares of an axis."""
    return (np.asarray(values, dtype=np.float64) - scale.low) / (scale.high - scale.low)


def _draw_density(view: GateView, y: DisplayScale, page: Page, box: Box, counted: GateView) -> None:
    def placed(points: NDArray[np.float64]) -> NDArray[np.float64]:
        x = box.left + _along(view.x, points[:, 0]) * box.width
        return np.column_stack([x, box.bottom + _along(y, points[:, 1]) * box.height])

    own = np.array([(counted.x.low, getattr(counted.y, "low", 0.0)), (counted.x.high, getattr(counted.y, "high", 1.0))])
    (left, bottom), (right, top) = placed(own)
    place = Box(float(left), float(bottom), float(right - left), float(top - bottom))
    page.images.append((np.ma.masked_equal(np.sqrt(view.counts.astype(np.float64)), 0.0), place))
    for line in view.lines:
        page.line(placed(line), "white", 2.2, box)
    for line in view.lines:
        page.line(placed(line), _GATE, 1.2, box)
    if len(view.members):
        ends = np.array([(view.x.low, y.low), (view.x.high, y.high)])
        within = ((view.members >= ends[0]) & (view.members <= ends[1])).all(axis=1)
        page.dots.append((placed(view.members[within]), _MEMBER))


def _draw_histogram(view: GateView, page: Page, box: Box, counted: GateView, beside: str) -> None:
    from matplotlib.ticker import MaxNLocator

    top = max(1.0, 1.05 * float(view.counts.max(initial=0)))
    left, right = box.left + _along(view.x, [counted.x.low, counted.x.high]) * box.width
    outline = steps(view.counts, Box(float(left), box.bottom, float(right - left), box.height), top)
    page.fills.append((outline, "#9DB4C8"))
    page.line(outline, "#33506B", 0.6)
    for line in view.lines:
        x = box.left + _along(view.x, [float(line[0])])[0] * box.width
        page.line(np.array([(x, box.bottom), (x, box.top)]), _GATE, 1.2, box)
    members = _along(view.x, view.members[:, 0])
    within = members[(members >= 0.0) & (members <= 1.0)]
    if len(within):
        x = box.left + within * box.width
        page.dots.append((np.column_stack([x, np.full_like(x, box.bottom + _RUG)]), _MEMBER))
    if beside:
        if beside == "first":
            page.write(
                Word("share of highest bin", box.left - 2.2, box.bottom + box.height / 2, across="center", upward=True)
            )
        return
    ticks = [tick for tick in MaxNLocator(nbins=3, integer=True).tick_values(0, top) if 0 <= tick <= top]
    labels = [f"{tick:g}" for tick in ticks]
    mark_axis(page, box, np.array(ticks) / top, labels, np.empty(0), upward=True)
    far = box.left - 3.0 - max(map(width_of, labels), default=0.0)
    page.write(Word("events", far, box.bottom + box.height / 2, across="center", upward=True))


def mark_axis(
    page: Page,
    box: Box,
    places: NDArray[np.float64],
    labels: Sequence[str],
    minor: NDArray[np.float64],
    *,
    upward: bool,
) -> None:
    """Mark an axis at shares of its length; marks cross the edge by half.

    Parameters
    ----------
    page, box
        Drawn on, and the place of the axes.
    places, labels
        Labelled marks, shares of the axis.
    minor
        Marks without a label.
    upward
        Whether it is the y axis.
    """
    length = box.height if upward else box.width
    for shares, half in ((_apart(minor, _MINOR / length), 0.4), (places, 1.0)):
        for share in shares:
            if upward:
                y = box.bottom + share * box.height
                page.line(np.array([(box.left - half, y), (box.left + half, y)]), "black", 0.5)
            else:
                x = box.left + share * box.width
                page.line(np.array([(x, box.bottom - half), (x, box.bottom + half)]), "black", 0.5)
    for share, label in zip(places, labels, strict=True):
        if upward:
            page.write(Word(label, box.left - 1.4, box.bottom + share * box.height - 0.9, across="right"))
        else:
            page.write(Word(label, box.left + share * box.width, box.bottom - 3.4, across="center"))


def _apart(shares: NDArray[np.float64], least: float) -> list[float]:
    """Return the marks that are at least so far from the one before: closer ones run into a black bar."""
    kept: list[float] = []
    for share in np.sort(shares):
        if not kept or share - kept[-1] >= least:
            kept.append(float(share))
    return kept


def _heading(view: GateView, page: Page, box: Box, across: float) -> None:
    room = min(across, page.width - box.left) - 1.0
    share = "no parent events" if view.n_parent == 0 else f"{number(view.percent)} % of {view.parent}"
    share = "withheld" if withheld(view.flag) else share
    part = f" ({view.part})" if view.part else ""
    page.write(Word(view.name + part, box.left, box.top + 8.0, 8, bold=True), within=room)
    page.write(Word(share, box.left, box.top + 4.2), within=room)
    page.write(Word(f"{view.n_events:,} of {view.n_parent:,}", box.left, box.top + 1.3))
    lowest = box.bottom + 1.2
    if view.n_beyond >= _SAID * max(1, view.n_drawn):
        words = f"{share_words(view.n_beyond, view.n_drawn)} beyond"
        at = Word(words, box.right - 0.8, lowest, across="right", colour="#444444", backed=True)
        page.write(replace(at, x=at.x - width_of(words), across="left"))
        lowest += 3.0
    flags = shown(view.flag if view.n_parent else f"{Flag.EMPTY_PARENT};{view.flag}")
    for i, word in enumerate(reversed(flags[:3])):
        colour = ALARM if flag(word).rank == "unusable" else _DOUBTFUL
        page.write(Word(word, box.left + 0.9, lowest + 3.0 * i, colour=colour, backed=True))
    for i, text in enumerate(textwrap.wrap(view.note, 18)[:3]):
        page.write(Word(text, box.left + 0.9, box.top - 3.0 - 3.0 * i, colour="#222222", backed=True))
