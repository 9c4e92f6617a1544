"""Matplotlib axes in instrument units on a display scale: ``ax.axvline(3000)`` is at 3,000 of the instrument.

Ticks follow the limits that are shown, so that an axis that is zoomed keeps readable ones.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from matplotlib.ticker import Formatter, Locator

from immunolab.events.transforms import Transform
from immunolab.plots.scales import DisplayScale, ticks_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_MINOR = 0.012  # share of an axis that two small ticks are apart at least; nearer ones run into a black bar


class _Ticks(Locator):
    """Places of ticks in instrument units; ``small`` ones have no label."""

    def __init__(self, transform: Transform, small: bool) -> None:
        self.transform, self.small = transform, small

    def __call__(self) -> Sequence[float]:
        assert self.axis is not None  # noqa: S101  # set by the axis that asks
        return self.tick_values(*self.axis.get_view_interval())

    def tick_values(self, vmin: float, vmax: float) -> Sequence[float]:
        """Return the places of ticks between two values in instrument units."""
        low, high = sorted(self.transform.apply(np.array([vmin, vmax])))
        if not np.isfinite([low, high]).all() or low == high:
            return []
        ticks, _, minor = ticks_of(self.transform, float(low), float(high))  # type: ignore[arg-type]  # frozen records
        places = _apart(minor, _MINOR * (high - low)) if self.small else list(ticks)
        return [float(value) for value in self.transform.inverse(np.array(places))]


class _Words(Formatter):
    """Words of the ticks that `_Ticks` places."""

    def __init__(self, transform: Transform) -> None:
        self.transform = transform

    def __call__(self, x: float, pos: int | None = None) -> str:
        """Return the word of one tick; of a place between ticks (the mouse) its value."""
        assert self.axis is not None  # noqa: S101  # set by the axis that asks
        vmin, vmax = self.axis.get_view_interval()
        low, high = sorted(self.transform.apply(np.array([vmin, vmax])))
        ticks, words, _ = ticks_of(self.transform, float(low), float(high))  # type: ignore[arg-type]  # frozen records
        place = float(self.transform.apply(np.array([x]))[0])
        near = [word for tick, word in zip(ticks, words, strict=True) if abs(tick - place) < 1e-6 * (high - low)]
        return near[0] if near and pos is not None else f"{x:,.4g}"


def _apart(places: Sequence[float], least: float) -> list[float]:
    kept: list[float] = []
    for place in sorted(places):
        if not kept or place - kept[-1] >= least:
            kept.append(place)
    return kept


def instrument_axis(ax: Axes, side: Literal["x", "y"], transform: Transform, scale: DisplayScale) -> None:
    """Set an axis of ``ax`` to instrument units on a display scale.

    Parameters
    ----------
    ax
        Axes that are changed.
    side
        Which axis.
    transform
        Scale from instrument units to the display.
    scale
        Its ends on the display scale, and its label.
    """
    axis = ax.xaxis if side == "x" else ax.yaxis
    ax.set(**{f"{side}scale": "linear"})
    low, high = (float(end) for end in transform.inverse(np.array([scale.low, scale.high])))
    getattr(ax, f"set_{side}scale")("function", functions=(transform.apply, transform.inverse))
    getattr(ax, f"set_{side}lim")(low, high)
    axis.set_major_locator(_Ticks(transform, small=False))
    axis.set_minor_locator(_Ticks(transform, small=True))
    axis.set_major_formatter(_Words(transform))
    axis.set_minor_formatter("")
    getattr(ax, f"set_{side}label")(scale.label)


def on_display(ax: Axes) -> Any:
    """Return the transform of ``ax`` from places on its display scales to the screen.

    What is drawn with it is straight on the display, and stays in place when the limits are changed.

    Parameters
    ----------
    ax
        Axes of `instrument_axis`.
    """
    return ax.transLimits + ax.transAxes
