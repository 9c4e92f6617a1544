"""Small pictures of one gate in every tube: the same axes for all, so that a patient's visits can be compared."""

from __future__ import annotations

from base64 import b64encode
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from immunolab.gating.gates import Gate
from immunolab.plots.gate_outlines import gate_lines
from immunolab.plots.scales import DisplayScale
from immunolab.review.blinding import Pixels
from immunolab.review.stored_views import ReadView

BINS = 48  # of an axis of a small picture: two of the 96 that are stored
_DIGITS = 4  # of a place: finer than a pixel of a small picture
_FEWEST_TICKS = 2  # that two axes have in common, from which their scales can be compared
_SAME = 1e-6  # share of an axis: less than a pixel by far, more than rounding
Array = NDArray[np.float64]


def pictures(views: Mapping[str, ReadView], moved: Mapping[str, Gate]) -> dict[str, dict[str, Any]]:
    """Return the picture of a gate in each tube, as JSON holds it.

    Parameters
    ----------
    views
        The gate's view by tube.
    moved
        The gate by tube where it is not that of the view any more.
    """
    if not views:
        return {}
    every = list(views.values())
    x = _Shared([view.stored.x for view in every])
    y = _Shared([view.stored.y for view in every if view.stored.y is not None])
    found = {}
    for tube, view in views.items():
        stored = view.stored
        axes = (x.axis(stored.x), *(() if stored.y is None else (y.axis(stored.y),)))
        lines = view.lines
        if tube in moved:
            lines = tuple(gate_lines(moved[tube], 0, [stored.x, *([stored.y] if stored.y else [])]))
        found[tube] = {
            "x": _axis_words(axes[0]),
            "y": _axis_words(axes[1]) if stored.y else None,
            "density": _density(view, axes),
            "lines": [_places(line, axes) for line in lines],
            "members": _places(view.members, axes) if len(view.members) else [],
            "histogram": stored.y is None,
            "note": stored.note,
        }
    return found


class _Shared:
    """The axis that all tubes on one scale share: from the lowest of their ends to the highest."""

    def __init__(self, scales: Sequence[DisplayScale]) -> None:
        groups: list[tuple[dict[str, float], list[DisplayScale]]] = []
        for scale, _ in Counter(scales).most_common():
            ticks = dict(zip(scale.tick_labels, scale.ticks, strict=True))
            group = next((g for g in groups if g[1][0].label == scale.label and _same_scale(g[0], ticks)), None)
            if group is None:
                groups.append((ticks, [scale]))
            else:
                group[1].append(scale)
                group[0].update(ticks)
        self._of = {scale: _union(alike) for _, alike in groups for scale in alike}

    def axis(self, scale: DisplayScale) -> DisplayScale:
        """Return the axis that a tube's scale is shown on."""
        return self._of[scale]


def _same_scale(ticks: Mapping[str, float], others: Mapping[str, float]) -> bool:
    """Return whether instrument values that both axes label have the same places on the display scale."""
    both = ticks.keys() & others.keys()
    apart = max((abs(ticks[label] - others[label]) for label in both), default=0.0)
    width = max((abs(a) for a in ticks.values()), default=1.0) or 1.0
    return len(both) >= min(_FEWEST_TICKS, len(ticks), len(others)) and apart <= _SAME * width


def _union(scales: Sequence[DisplayScale]) -> DisplayScale:
    ticks: dict[float, str] = {}
    widest = max(scales, key=lambda one: one.high - one.low)
    for tick, label in zip(widest.ticks, widest.tick_labels, strict=True):
        ticks[tick] = label
    low, high = min(one.low for one in scales), max(one.high for one in scales)
    return DisplayScale(widest.label, low, high, tuple(ticks), tuple(ticks.values()), widest.minor)


def _axis_words(axis: DisplayScale) -> dict[str, Any]:
    return {
        "label": axis.label,
        "ticks": [
            {"at": _place(tick, axis), "text": text} for tick, text in zip(axis.ticks, axis.tick_labels, strict=True)
        ],
    }


def _place(value: float, axis: DisplayScale) -> float:
    return round((value - axis.low) / (axis.high - axis.low), _DIGITS)


def _places(points: Array, axes: Sequence[DisplayScale]) -> list[list[float]]:
    """Return points as places from the lower left; a border of a histogram is a line over its whole height."""
    columns = np.atleast_2d(points.T) if points.ndim == 2 else points[None, :]
    shares = [(one - axis.low) / (axis.high - axis.low) for one, axis in zip(columns, axes, strict=False)]
    if len(axes) == 1:
        value = round(float(shares[0][0]), _DIGITS)
        return [[value, 0.0], [value, 1.0]]
    found: list[list[float]] = np.round(np.column_stack(shares), _DIGITS).tolist()
    return found


def _density(view: ReadView, axes: Sequence[DisplayScale]) -> Pixels:
    """Return the shades of a view on the shared axes; row 0 is the lowest."""
    counts = view.counts.astype(np.float64)
    for place, (own, axis) in enumerate(zip((view.stored.x, view.stored.y), axes, strict=False)):
        if own is not None:
            moved = _overlap(own.low, own.high, axis.low, axis.high, counts.shape[-1 - place])
            counts = counts @ moved.T if place == 0 else moved @ counts
    return Pixels(b64encode(shades(counts).tobytes()).decode())


def shades(counts: Array) -> NDArray[np.uint8]:
    """Return 0..255 by the logarithm of the events in a bin, 0 where there are none; of a histogram the heights.

    Parameters
    ----------
    counts
        Events, ``(bins, bins)`` or ``(bins,)``.
    """
    shown = counts if counts.ndim == 1 else np.log1p(counts)
    shares = shown / max(1e-9, float(shown.max(initial=0.0)))  # the highest is one to its last digit: 256 has no shade
    found: NDArray[np.uint8] = np.ceil(255.0 * shares).astype(np.uint8)
    return found


def _overlap(low: float, high: float, new_low: float, new_high: float, bins: int) -> Array:
    """Return the share of each old bin that is in each new one, ``(BINS, bins)``: no event is lost or doubled."""
    old = np.linspace(low, high, bins + 1)
    new = np.linspace(new_low, new_high, BINS + 1)
    lower = np.maximum(old[None, :-1], new[:-1, None])
    upper = np.minimum(old[None, 1:], new[1:, None])
    found: Array = np.clip(upper - lower, 0.0, None) / (old[1] - old[0])
    return found
