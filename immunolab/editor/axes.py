"""Axes of the editor's picture: which channels and scales there are, and places along an axis."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from immunolab.events.transforms import Asinh, Identity, Transform, scale_in_words
from immunolab.events.tube import MASS_COFACTOR, Channel, Tube
from immunolab.gating.axes import source_key
from immunolab.gating.strategy import Dimension, Ellipsoid, Polygon, Rectangle, Strategy
from immunolab.plots.scales import DisplayScale, channel_label

Array = NDArray[np.float64]
_DIGITS = 4  # significant digits of a border that is dragged: finer than a pixel, and short enough to be written down
_COFACTOR = 150.0  # of arcsinh for fluorescence (events/scales.py has its source)


@dataclass(frozen=True)
class EditorAxis:
    """One axis of the picture: places run from 0 (left or bottom) to 1 (right or top)."""

    dimension: Dimension
    scale: DisplayScale

    def place(self, shown: float) -> float:
        """Return the place of a value of the display scale."""
        return (shown - self.scale.low) / (self.scale.high - self.scale.low)

    def places(self, shown: Array) -> Array:
        """Return the place of each value of the display scale."""
        return (shown - self.scale.low) / (self.scale.high - self.scale.low)

    def shown(self, place: float) -> float:
        """Return the value of the display scale at a place."""
        return self.scale.low + place * (self.scale.high - self.scale.low)

    def value(self, place: float) -> float:
        """Return instrument units at a place, to four significant digits."""
        raw = float(self.dimension.transform.inverse(np.array([self.shown(place)]))[0])
        return float(f"{raw:.{_DIGITS - 1}e}")

    def place_of_value(self, value: float) -> float:
        """Return the place of a value in instrument units."""
        return self.place(float(self.dimension.transform.apply(np.array([value]))[0]))


@dataclass(frozen=True)
class Source:
    """What an axis can show: a channel as compensated for some gates, or a ratio, with the scales in use for it.

    Attributes
    ----------
    label
        For a menu.
    dimensions
        One for each scale, the usual one first.
    """

    label: str
    dimensions: tuple[Dimension, ...]

    @property
    def words(self) -> list[str]:
        """The scales in words."""
        return [scale_in_words(dimension.transform) for dimension in self.dimensions]


def sources(tube: Tube, strategy: Strategy) -> list[Source]:
    """Return everything an axis can show: each channel of the tube, and what gates are on besides.

    Parameters
    ----------
    tube
        Gives the channels.
    strategy
        Scales of its gates come before the usual ones.
    """
    gates = [p.gate for p in strategy.populations if isinstance(p.gate, Rectangle | Polygon | Ellipsoid)]
    used: dict[object, list[Dimension]] = {}
    for dimension in (dimension for gate in gates for dimension in gate.dimensions):
        used.setdefault(source_key(dimension, tube), []).append(dimension)
    names = dict(zip((channel.name for channel in tube.channels), tube.names, strict=True))
    found = []
    for channel in tube.channels:
        own: list[object] = [key for key in used if isinstance(key, tuple) and key[0] == channel.name]
        for key in own or [channel]:
            dimensions = used.get(key, []) or [Dimension(names[channel.name], channel.usual_scale)]
            several = f", compensation {dimensions[0].compensation}" if len(own) > 1 else ""
            found.append(Source(channel_label(dimensions[0], tube) + several, _with_usual(dimensions, channel)))
    ratios = [dimensions for key, dimensions in used.items() if not isinstance(key, tuple)]
    return found + [Source(channel_label(dimensions[0], tube), tuple(_distinct(dimensions))) for dimensions in ratios]


def _with_usual(dimensions: Sequence[Dimension], channel: Channel) -> tuple[Dimension, ...]:
    cofactor = MASS_COFACTOR if channel.kind == "mass" else _COFACTOR
    usual: tuple[Transform, ...] = (channel.usual_scale, Identity())
    if channel.kind in ("fluorescence", "mass"):
        usual = (*usual, Asinh(cofactor))
    return tuple(_distinct([*dimensions, *(replace(dimensions[0], transform=scale) for scale in usual)]))


def _distinct(dimensions: Sequence[Dimension]) -> list[Dimension]:
    return list({dimension.transform: dimension for dimension in reversed(dimensions)}.values())[::-1]
