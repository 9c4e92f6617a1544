"""What the picture of a traffic light needs of a tube, as small arrays: the channels that a check names, in bins.

Views are made where the events are held, and drawn later for the tubes that are flagged. Doublets, dead and debris
are kept of every tube: whether they are many is known only beside the other tubes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from immunolab.events.transforms import Asinh, Identity, Transform
from immunolab.events.tube import Channel, Tube
from immunolab.gating.strategy import Dimension
from immunolab.plots.event_bins import bin_values
from immunolab.plots.gate_views import BINS, GateView
from immunolab.plots.scales import DisplayScale, ticks_of, whole_scale
from immunolab.quality.cell_shares import Kinds, dye_cofactor, pulse_channels, scatter_channel
from immunolab.quality.clock import read_clock
from immunolab.quality.repeated_events import copies
from immunolab.quality.residual_spillover import pairs_uncompensated
from immunolab.quality.rows import Row
from immunolab.quality.spillover_lines import unstained
from immunolab.quality.stretches import time_row
from immunolab.quality.topics import light
from immunolab.schema.flags import Check

LIGHTS = "lights.npz"
"""File of a tube's views in its folder of a run."""
Array = NDArray[np.float64]
_KEPT = frozenset({Check.DOUBLETS, Check.DEAD, Check.DEBRIS})  # of every tube
_CLOCK = (Check.TIME_GAP, Check.TIME_SET_BACK, Check.TIME_STUCK)
_OF_ALL = frozenset({Check.NOT_A_NUMBER, *_CLOCK})  # checked before anything is cut
_MOST_OF_CLOCK = 20_000  # events whose times are drawn: more change no pixel
_ROOM = 0.03  # share of an axis beyond its ends: a pile at the end of a detector is seen beside the edge
_POINTS = 200  # of a line that is straight in instrument units


def light_views(whole: Tube, tube: Tube, kinds: Kinds, rows: Sequence[Row]) -> list[GateView]:
    """Return a view for each flagged check that one or two channels show, named by the check.

    Parameters
    ----------
    whole, tube
        All events, and without what was cut.
    kinds
        What the latter are.
    rows
        The checks of the tube.
    """
    found: list[GateView] = []
    for row in rows:
        check = Check(str(row["check"]))
        flagged = light(check, str(row["status"])) != "ok"
        if check in _MAKERS and tube.n_events and (flagged or check in _KEPT):
            found += _MAKERS[check](whole if check in _OF_ALL else tube, kinds, row)
    return found


def _view(
    tube: Tube,
    row: Row,
    axes: Sequence[tuple[DisplayScale, Array]],
    *,
    lines: Sequence[Array] = (),
    of: str = "all events",
) -> Iterator[GateView]:
    """Yield the view of some events on one or two axes."""
    scales = [scale for scale, _ in axes]
    counted = bin_values([values for _, values in axes], scales, BINS)
    yield GateView(
        sample_id=tube.sample_id,
        path="",
        name=str(row["check"]),
        parent=of,
        x=scales[0],
        y=scales[1] if len(scales) == 2 else None,
        counts=counted.counts,
        lines=tuple(lines),
        n_events=0,
        n_parent=counted.n_events,
        n_drawn=counted.n_events,
        members=np.empty((0, 2)),
    )


def _axis(
    tube: Tube, channel: Channel, values: Array, borders: Sequence[float] = ()
) -> tuple[DisplayScale, Array, Transform]:
    """Return the axis of a channel, its values on it, and the transform; values and borders in instrument units."""
    stained = channel.kind in ("fluorescence", "mass")
    transform: Transform = Asinh(dye_cofactor(channel)) if stained else Identity()
    shown = transform.apply(values)
    marks = [float(mark) for mark in transform.apply(np.array(borders, dtype=np.float64))]
    scale = whole_scale(Dimension(channel.name, transform), shown, marks, tube, room=_ROOM)
    return scale, shown, transform


def _whole_channel(tube: Tube, kinds: Kinds, row: Row) -> Iterator[GateView]:
    """Yield the histogram of the channel that a check names, as acquired."""
    if not row["channel"]:
        return
    channel = tube.channel(str(row["channel"]))
    values = tube.raw(channel.name)[kinds.rows].astype(np.float64)
    scale, shown, transform = _axis(tube, channel, values)
    known = values[np.isfinite(values)]
    top = [transform.apply(known.max(keepdims=True))] if row["check"] != Check.NO_SIGNAL and len(known) else []
    yield from _view(tube, row, [(scale, shown)], lines=top)


def _far_below(tube: Tube, kinds: Kinds, row: Row) -> Iterator[GateView]:
    """Yield the histogram of a compensated channel with zero, which cells are far below."""
    channel = tube.channel(str(row["channel"]))
    cells = tube.take(kinds.rows[kinds.single_living])
    scale, shown, transform = _axis(tube, channel, cells.compensated(channel.name).astype(np.float64))
    zero = transform.apply(np.zeros(1))
    yield from _view(tube, row, [(scale, shown)], lines=[zero], of="single living cells")


def _pair(tube: Tube, kinds: Kinds, row: Row) -> Iterator[GateView]:
    """Yield the two channels of a pair, the line along which the dye adds to the detector, and the level without it."""
    if not row["channel"]:
        return
    dye, detector = str(row["channel"]).split(" > ")
    as_acquired = row["check"] == Check.COMPENSATION
    rows = kinds.rows[kinds.single_living]
    slope = pairs_uncompensated(tube, rows)[0].slope if as_acquired else float(str(row["value"]))
    cells = tube.take(rows)
    take = cells.raw if as_acquired else cells.compensated
    values = [take(name).astype(np.float64) for name in (dye, detector)]
    (x, along, to_x), (y, across, to_y) = (
        _axis(tube, tube.channel(name), of) for name, of in zip((dye, detector), values, strict=True)
    )
    dim, level = (unstained(of[np.isfinite(of)])[0] for of in values)
    signal = np.linspace(dim, float(to_x.inverse(np.array([x.high]))[0]), _POINTS)
    found = np.column_stack([to_x.apply(signal), to_y.apply(level + slope / 100.0 * (signal - dim))])
    flat = np.column_stack([(x.low, x.high), np.repeat(to_y.apply(np.array([level])), 2)])
    yield from _view(
        tube, row, [(x, along), (y, across)], lines=[found, flat], of="as acquired" if as_acquired else "compensated"
    )


def _doublets(tube: Tube, kinds: Kinds, row: Row) -> Iterator[GateView]:
    """Yield area against height with the line above which an event is two."""
    pulses = pulse_channels(tube)
    if pulses is None or kinds.doublets is None:
        return
    area, height = (tube.columns[i, kinds.rows].astype(np.float64) for i in pulses)
    y, up, _ = _axis(tube, tube.channels[pulses[0]], area[kinds.cells])
    x, across, _ = _axis(tube, tube.channels[pulses[1]], height[kinds.cells])
    sound = kinds.doublets & (height > 0)
    lines = []
    if sound.any():
        ratio = float((area[sound] / height[sound]).min())
        lines = [np.array([(0.0, 0.0), (x.high, ratio * x.high)])]
    yield from _view(tube, row, [(x, across), (y, up)], lines=lines, of="cells")


def _dead(tube: Tube, kinds: Kinds, row: Row) -> Iterator[GateView]:
    """Yield the viability dye of single cells with the border of the dead."""
    if kinds.dead is None:
        return
    channel = tube.channels[tube.rows_of("Viability")[0]]
    values = tube.take(kinds.rows).compensated(channel.name).astype(np.float64)
    border = [float(values[kinds.dead].min())] if kinds.dead.any() else []
    scale, shown, transform = _axis(tube, channel, values[kinds.single], border)
    lines = [transform.apply(np.array(border))] if border else []
    yield from _view(tube, row, [(scale, shown)], lines=lines, of="single cells")


def _debris(tube: Tube, kinds: Kinds, row: Row) -> Iterator[GateView]:
    """Yield forward scatter with the border below which events are no cells."""
    forward = scatter_channel(tube, "FSC", "A")
    if forward is None or kinds.debris is None:
        return
    values = tube.columns[forward, kinds.rows].astype(np.float64)
    scale, shown, _ = _axis(tube, tube.channels[forward], values)
    yield from _view(
        tube, row, [(scale, shown)], lines=[values[kinds.debris].max(keepdims=True)] if kinds.debris.any() else []
    )


def _not_finite(tube: Tube, _: Kinds, row: Row) -> Iterator[GateView]:
    finite = np.asarray(np.isfinite(tube.columns).all(axis=0))
    yield from _in_file(tube, row, ~finite, "events that hold NaN or infinity")


def _repeated(tube: Tube, _: Kinds, row: Row) -> Iterator[GateView]:
    yield from _in_file(tube, row, copies(tube), "copies of an earlier event")


def _in_file(tube: Tube, row: Row, bad: NDArray[np.bool_], of: str) -> Iterator[GateView]:
    """Yield where in the file some events are."""
    yield from _view(tube, row, [(_places(tube), np.flatnonzero(bad).astype(np.float64))], of=of)


def _places(tube: Tube, where: str = "in the file") -> DisplayScale:
    end = float(tube.n_events)
    return DisplayScale(f"place {where}, events", 0.0, end, *ticks_of(Identity(), 0.0, end))


def _clock(tube: Tube, _: Kinds, row: Row) -> Iterator[GateView]:
    """Yield Time over the run: a jump is a pause, a fall a clock set back, a flat part one that stood still."""
    at, clock = time_row(tube), read_clock(tube)
    if at is None or clock is None:
        return
    rows = np.linspace(0, tube.n_events - 1, min(tube.n_events, _MOST_OF_CLOCK)).astype(np.intp)
    shuffled = clock.order is not None  # pauses were looked for in the order of Time
    times = tube.columns[at, rows if clock.order is None else clock.order[rows]].astype(np.float64)
    places = _places(tube, "in order of Time" if shuffled else "in the file")
    low, high = float(times.min()), float(times.max())
    high = high if high > low else low + 1.0
    scale = DisplayScale(tube.channels[at].name, low, high, *ticks_of(Identity(), low, high))
    yield from _view(tube, row, [(places, rows.astype(np.float64)), (scale, times)])


_MAKERS: Mapping[Check, Callable[[Tube, Kinds, Row], Iterator[GateView]]] = {
    Check.MARGIN: _whole_channel,
    Check.SATURATION: _whole_channel,
    Check.NO_SIGNAL: _whole_channel,
    Check.NOT_A_NUMBER: _not_finite,
    **dict.fromkeys(_CLOCK, _clock),
    Check.REPEATED_EVENTS: _repeated,
    Check.HYPER_NEGATIVE: _far_below,
    Check.RESIDUAL_SPILLOVER: _pair,
    Check.COMPENSATION: _pair,
    Check.DOUBLETS: _doublets,
    Check.DEAD: _dead,
    Check.DEBRIS: _debris,
}
