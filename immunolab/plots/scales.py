"""Axes of cytometry figures: positions on the display scale, ticks in instrument units."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from immunolab.errors import InputError, Problem
from immunolab.events.transforms import Asinh, Identity, Linear, Transform
from immunolab.events.tube import Tube
from immunolab.gating.borders import no_place
from immunolab.gating.strategy import Dimension
from immunolab.order_statistics import quantiles

_TOP = 262144.0  # 2^18: the top of most cytometers' scale
# cofactors below zero that an axis begins at: the first that all but a thousandth of the events are above (judgement:
# the noise of zero is above the first, what compensation pushes down within the others)
_BELOW = (1.0, 3.0, 10.0, 30.0)
_NEAR = 0.25  # share of an axis by which it grows to show a border
_BESIDE = 1e-3  # share of an axis beyond its end, where a scale that ends shows it
_INSIDE = 1e-6  # share of an axis: more than the arithmetic of a scale is off by, and no visible place
_APART = 0.16  # share of an axis that two tick labels need
_OUTERMOST = 0.002  # share of the events at either end that an axis need not hold: beyond it outliers press the others
ROOM = 0.02  # share of an axis beyond the ends of its scale, where it is alone
_STEP = 0.05  # share of an axis by which it grows
_SUPERSCRIPT = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")


@dataclass(frozen=True)
class DisplayScale:
    """One axis.

    Attributes
    ----------
    label
        Marker and channel.
    low, high
        Ends on the display scale.
    ticks, tick_labels
        Labelled positions on the display scale, and their instrument values in words.
    minor
        Further positions, without a label.
    marker
        Antigen; empty for a channel without one, and in views that an earlier version kept.
    """

    label: str
    low: float
    high: float
    ticks: tuple[float, ...]
    tick_labels: tuple[str, ...]
    minor: tuple[float, ...] = ()
    marker: str = ""


def scale_of(
    dimension: Dimension, values: NDArray[np.float64], borders: Sequence[float | None], events: Tube
) -> DisplayScale:
    """Return the axis of a gate's dimension.

    The ends come from the transform where it has ends of its own, else from the next power of two
    (linear) or ten (arcsinh) above the events, so that the visits of a patient share one axis; an axis
    grows to a border a little way outside, while a border far away (of a gate open on that side) is cut.

    Parameters
    ----------
    dimension
        Axis of a gate: channel and transform.
    values
        The events on the display scale.
    borders
        Borders of the gate on the display scale; None is an open side.
    events
        The tube, for the range of its channel.

    Returns
    -------
    DisplayScale
        Ends of the axis and its ticks, labelled in instrument units.
    """
    low, high = _ends(dimension.transform, values)
    near = _NEAR * (high - low)
    for border in borders:
        if border is not None and low - near <= border <= high + near:
            low, high = min(low, border), max(high, border)
    return _axis(dimension, events, low, high)


def whole_scale(
    dimension: Dimension,
    values: NDArray[np.float64],
    borders: Sequence[float | None],
    events: Tube,
    *,
    room: float = 0.0,
) -> DisplayScale:
    """Return the axis of `scale_of`, grown to all but the outermost 0.2 % of the events at either end.

    Parameters
    ----------
    dimension, values, borders, events
        See `scale_of`.
    room
        Share of the axis to leave beyond its ends, so that a pile at an end of the instrument is seen beside the edge.

    Returns
    -------
    DisplayScale
        It grows in steps of a twentieth, so that the visits of a patient share one axis.
    """
    scale = scale_of(dimension, values, borders, events)
    finite = np.sort(values[np.isfinite(values)])
    wide = scale.high - scale.low
    first, last = quantiles(finite, [_OUTERMOST, 1 - _OUTERMOST]) if len(finite) else (scale.low, scale.high)
    below = _STEP * np.ceil(max(0.0, scale.low - first) / wide / _STEP)
    above = _STEP * np.ceil(max(0.0, last - scale.high) / wide / _STEP)
    low, high = scale.low - (room + below) * wide, scale.high + (room + above) * wide
    return _axis(dimension, events, float(low), float(high))


def limited_scale(dimension: Dimension, ends: tuple[float, float], events: Tube) -> DisplayScale:
    """Return the axis between two values in instrument units.

    Parameters
    ----------
    dimension
        Channel and transform.
    ends
        Instrument units, ascending.
    events
        The tube, for the label.

    Raises
    ------
    InputError
        An end has no place on the scale.
    """
    faults = [words for end in ends if (words := no_place(dimension, end))]
    if faults:
        raise InputError([Problem("", "limits", words, "give ends that the scale has") for words in faults])
    low, high = (float(end) for end in dimension.transform.apply(np.array(ends, dtype=np.float64)))
    return _axis(dimension, events, low, high)


def _axis(dimension: Dimension, events: Tube, low: float, high: float) -> DisplayScale:
    low, high = _on_scale(dimension.transform, low, high)
    ticks, words, minor = ticks_of(dimension.transform, low, high)  # type: ignore[arg-type]  # scales are frozen records
    marker = "" if dimension.ratio else events.channels[events.find(dimension.name)].marker or ""
    return DisplayScale(channel_label(dimension, events), low, high, ticks, words, minor, marker)


def _on_scale(transform: Transform, low: float, high: float) -> tuple[float, float]:
    """Return ends within what a scale has places for, so that events it sets to its own end are beyond the axis."""
    wide = high - low
    wanted = np.array([low - _BESIDE * wide, high + _BESIDE * wide])
    kept = transform.apply(transform.inverse(wanted))
    if np.isfinite(kept[0]) and kept[0] > wanted[0] + _INSIDE * wide:
        low = max(low, float(kept[0]) + _INSIDE * wide)
    if np.isfinite(kept[1]) and kept[1] < wanted[1] - _INSIDE * wide:
        high = min(high, float(kept[1]) - _INSIDE * wide)
    return low, high


def _ends(transform: Transform, values: NDArray[np.float64]) -> tuple[float, float]:
    finite = values[np.isfinite(values)]
    if isinstance(transform, Identity | Linear | Asinh):
        ends = _ends_by_events(transform, transform.inverse(finite))
        low, high = transform.apply(np.array(ends))
        return float(low), float(high)
    high = float(transform.apply(np.array([getattr(transform, "t", _TOP)]))[0])
    lowest = float(np.quantile(finite, 0.01)) if len(finite) else 0.0
    return (-0.03 if lowest >= -0.03 * high else -0.09) * high, high


def _ends_by_events(transform: Identity | Linear | Asinh, raw: NDArray[np.float64]) -> tuple[float, float]:
    """Return the ends of a scale that has none of its own, in instrument units like the events."""
    top = max(float(np.quantile(raw, 0.999)), 1e-3) if len(raw) else 1.0
    if isinstance(transform, Asinh):
        # an end that cuts one event in a hundred looks like a cut in the tube, and its other visit may have none
        lowest = float(np.quantile(raw, 0.001)) / transform.cofactor if len(raw) else 0.0
        below = next((ends for ends in _BELOW if lowest >= -ends), _BELOW[-1])
        return -below * transform.cofactor, float(10.0 ** np.ceil(np.log10(top)))
    upper = float(2.0 ** np.ceil(np.log2(top)))
    return -upper / 8 if len(raw) and np.quantile(raw, 0.01) < 0 else 0.0, upper


@lru_cache(maxsize=1024)
def ticks_of(
    transform: Transform, low: float, high: float
) -> tuple[tuple[float, ...], tuple[str, ...], tuple[float, ...]]:
    """Return labelled places on the display scale, their instrument values in words, and places without a label.

    Parameters
    ----------
    transform
        Scale of the axis.
    low, high
        Ends on the display scale.
    """
    if isinstance(transform, Identity | Linear):
        return _linear_ticks(transform, low, high)
    upper, lower = range(7, 2, -1), range(2, -3, -1)
    ordered = [(0.0, "0")] + [(10.0**k, _power(k, 1)) for k in upper]
    ordered += [(-(10.0**k), _power(k, -1)) for k in (5, 4, 3, 2)] + [(10.0**k, _power(k, 1)) for k in lower]
    ticks: list[float] = []
    words: list[str] = []
    apart = _APART * (high - low)
    values = np.array([value for value, _ in ordered])
    places = transform.apply(values)
    with np.errstate(invalid="ignore"):  # a value that the scale sets to its own end has no place of its own
        own = np.abs(transform.inverse(places) - values) <= 1e-3 * np.maximum(1.0, np.abs(values))
    places = np.where(own, places, np.nan)
    for place, (_, word) in zip(places.tolist(), ordered, strict=True):
        crowded = any(abs(place - other) < apart for other in ticks)
        if np.isfinite(place) and low <= place <= high and not crowded:
            ticks.append(place)
            words.append(word)
    steps = np.array([m * 10.0**k for k in range(1, 7) for m in range(2, 10)])
    minor = transform.apply(steps)
    inside = minor[np.isfinite(minor) & (minor > low) & (minor < high)]
    return tuple(ticks), tuple(words), tuple(inside.tolist())


def _linear_ticks(
    transform: Transform, low: float, high: float
) -> tuple[tuple[float, ...], tuple[str, ...], tuple[float, ...]]:
    start, stop = (float(v) for v in transform.inverse(np.array([low, high])))
    rough = (stop - start) / 2.5
    power = 10.0 ** np.floor(np.log10(rough))
    step = next((m * power for m in (1, 2, 5) if m * power >= rough), 10 * power)
    values = np.arange(np.ceil(start / step), np.floor(stop / step) + 1) * step
    values = values + 0.0  # no negative zero
    places = transform.apply(values)
    return tuple(map(float, places)), tuple(map(_thousands, values)), ()


def _thousands(value: float) -> str:
    for size, letter in ((1e6, "M"), (1e3, "K")):
        if abs(value) >= size:
            return f"{value / size:g}{letter}"
    return f"{value:g}"


def _power(exponent: int, sign: int) -> str:
    minus = "−" if sign < 0 else ""
    if exponent < 0:
        return f"{minus}{10.0**exponent:g}"
    return minus + ("1" if exponent == 0 else "10" if exponent == 1 else f"10{str(exponent).translate(_SUPERSCRIPT)}")


def channel_label(dimension: Dimension, events: Tube) -> str:
    """Return marker, fluorochrome and channel of an axis, each once: ``CD25 (PE-A)``, ``CD3 (BV421, V450-A)``.

    Parameters
    ----------
    dimension
        Channel, marker or ratio.
    events
        The tube, for its channels.
    """
    if dimension.ratio is not None:
        return f"{dimension.ratio.numerator} / {dimension.ratio.denominator}"
    channel = events.channels[events.find(dimension.name)]
    if not channel.marker or channel.marker == channel.name:
        return channel.name
    dye = (channel.fluorochrome or "") if channel.kind == "fluorescence" else ""
    beside = channel.name if _letters(dye) in _letters(channel.name) else f"{dye}, {channel.name}"
    return f"{channel.marker} ({beside})"


def _letters(name: str) -> str:
    return "".join(letter for letter in name.lower() if letter.isalnum())
