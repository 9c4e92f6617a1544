"""A patient's gates visit beside visit: the same gate on the same axes, at a size that can be read on A4."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from immunolab.plots.gate_views import GateView, read_views
from immunolab.plots.gates import draw_view
from immunolab.plots.names import shortened
from immunolab.plots.numbers import number
from immunolab.plots.panel_canvas import Box, Page, Word, width_of
from immunolab.plots.scales import DisplayScale
from immunolab.plots.style import ALARM, MM, NEUTRAL, SMALL, WIDTH, style
from immunolab.schema.flags import flag, shown, withheld
from immunolab.vocabulary.display_names import display_name, parent_name

if TYPE_CHECKING:
    from matplotlib.figure import Figure

VISITS_ACROSS = 6  # panels of a row on a printed page; more visits are further pages
_ROWS = 6  # gates below each other on A4
_HEAD, _ROW, _FOOT = 12.0, 40.5, 8.0  # mm: title, a row of panels with its words, key
_LEFT, _GAP = 13.0, 4.0  # mm: room for the y axis, and between panels
_WIDEST = 34.0  # mm of a panel
_DOUBTFUL = "#8A5A00"
_KEY = (
    "Shade: density of the parent's events. Orange: the gate, or members of an and/or/not gate. Instrument units, "
    "compensated.",
    "A gate's axes are the same at all visits. Red: withheld, brown: doubtful.",
)


def needed_paths(paths: Sequence[str], populations: Sequence[str]) -> list[str]:
    """Return the paths of populations and of all that they are gated in, in the order of ``paths``.

    Parameters
    ----------
    paths
        Of every gate of a sample.
    populations
        Names; one that no path ends with is left out.
    """
    wanted = [path for path in paths if path.rsplit("/", 1)[-1] in populations]
    return [path for path in dict.fromkeys(paths) if any(f"{end}/".startswith(f"{path}/") for end in wanted)]


def gates_on_page(n_visits: int) -> int:
    """Return how many gates a page holds.

    Parameters
    ----------
    n_visits
        Visits beside each other.
    """
    return _ROWS * _blocks(n_visits)


def _blocks(n_visits: int) -> int:
    """Return how many gates are beside each other: of one visit three, whose names still fit, of two visits two."""
    return 3 if n_visits == 1 else max(1, 4 // n_visits)


@style()
def gating_visits(visits: Mapping[str, Path], gates: Sequence[tuple[str, str]], *, title: str = "") -> Figure:
    """Return a page of a patient: a row of panels a gate, one panel a visit.

    Parameters
    ----------
    visits
        Visit to the file of the sample's views (`save_views`), in order; at most `VISITS_ACROSS`.
    gates
        Path and part of each gate, at most `gates_on_page`; a visit without it has an empty place.
    title
        Above the page.
    """
    views = {visit: {(v.path, v.part): v for v in read_views(path)} for visit, path in visits.items()}
    return _page(views, gates, title).paint()


def _page(
    views: Mapping[str, Mapping[tuple[str, str], GateView]], gates: Sequence[tuple[str, str]], title: str
) -> Page:
    blocks = _blocks(len(views))
    rows = -(-len(gates) // blocks)
    page = Page(WIDTH / MM, _HEAD + rows * _ROW + _FOOT)
    page.write(Word(title, 2.2, page.height - 6.0, 10, bold=True), within=page.width - 4)
    for i, text in enumerate(reversed(_KEY)):
        page.write(Word(text, 2.2, 1.6 + 2.9 * i, colour="#333333"))
    across = (page.width - 2.0) / blocks
    step = (across - _LEFT + _GAP) / len(views)
    width = min(_WIDEST, step - _GAP)
    for i, gate in enumerate(gates):
        own = {visit: one[gate] for visit, one in views.items() if gate in one}
        if not own:
            continue
        top = page.height - _HEAD - _ROW * (i // blocks)
        left = across * (i % blocks) + _LEFT
        _write_name(next(iter(own.values())), page, left, top, across - _LEFT)
        aligned = same_axes(own)
        for place, visit in enumerate(views):
            box = Box(left + place * (width + _GAP), top - _ROW + 9.5, width, _ROW - 19.0)
            if visit in aligned:
                _panel(aligned[visit], own[visit], visit, page, box, first=visit == next(iter(own)))
    return page


def _write_name(view: GateView, page: Page, left: float, top: float, within: float) -> None:
    """Write the gate's name, what it is made of and of, in a line; without the second, or in two lines, if too long."""
    name = f"{display_name(view.name)}{f' ({view.part})' if view.part else ''}"
    share = f"% of {parent_name(view.parent)}"
    for whole in ([f"{name}: {view.note}, {share}"] if view.note else []) + [f"{name}, {share}"]:
        if width_of(whole, 8, bold=True) <= within:
            page.write(Word(whole, left, top - 4.0, 8, bold=True))
            return
    start = left - _LEFT + 2.2  # above the y axis, too
    room = within + left - start
    looks = ((8, True), (SMALL, True))  # names of two gates may differ in their end alone
    size, bold = next((look for look in looks if width_of(name, look[0], bold=look[1]) <= room), (SMALL, False))
    page.write(Word(name, start, top - 1.4, size, bold=bold), within=room)
    page.write(Word(share, start, top - 4.6), within=room)


def same_axes(views: Mapping[str, GateView]) -> dict[str, GateView]:
    """Return the views with the axes that hold all of them; their counts keep the place that they were counted in.

    Parameters
    ----------
    views
        Visit to the view of one gate.
    """
    x = _widest([view.x for view in views.values()])
    y = _widest([view.y for view in views.values() if view.y is not None])
    found = {}
    for visit, view in views.items():
        shared = replace(view, x=x or view.x, y=y if view.y is not None else None)
        found[visit] = replace(shared, lines=tuple(_reaching(line, view, shared) for line in view.lines))
    return found


def _reaching(line: NDArray[np.float64], own: GateView, shared: GateView) -> NDArray[np.float64]:
    """Return a border whose ends at the ends of a view's own axes, where the gate is open, are those of shared axes."""
    if line.ndim != 2 or own.y is None or shared.y is None:
        return line
    reaching = line.copy()
    for column, before, after in ((0, own.x, shared.x), (1, own.y, shared.y)):
        reaching[line[:, column] == before.low, column] = after.low
        reaching[line[:, column] == before.high, column] = after.high
    return reaching


def _widest(scales: Sequence[DisplayScale]) -> DisplayScale | None:
    if not scales:
        return None
    low, high = min(s.low for s in scales), max(s.high for s in scales)
    fullest = max(scales, key=lambda s: s.high - s.low)
    return replace(fullest, low=low, high=high)


def _panel(view: GateView, counted: GateView, visit: str, page: Page, box: Box, *, first: bool) -> None:
    draw_view(view, page, box, counted=counted, room=box.width + _GAP - 1, beside="first" if first else "next")
    share = (
        "no parent events" if view.n_parent == 0 else "withheld" if withheld(view.flag) else f"{number(view.percent)} %"
    )
    page.write(Word(shortened(visit, 12), box.left, box.top + 1.4, colour=NEUTRAL))
    page.write(Word(share, box.right, box.top + 1.4, across="right", bold=True))
    for i, word in enumerate(reversed(shown(view.flag)[:2])):
        tint = ALARM if flag(word).rank == "unusable" else _DOUBTFUL
        page.write(Word(word, box.left + 0.8, box.bottom + 1.0 + 3.0 * i, colour=tint, backed=True), within=box.width)


def pages_of_gates(gates: Sequence[tuple[str, str]], n_visits: int) -> Iterator[Sequence[tuple[str, str]]]:
    """Yield the gates page by page.

    Parameters
    ----------
    gates
        Path and part of each gate.
    n_visits
        Visits beside each other.
    """
    most = gates_on_page(n_visits)
    for start in range(0, len(gates), most):
        yield gates[start : start + most]
