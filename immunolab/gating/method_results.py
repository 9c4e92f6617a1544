"""What a threshold method gives back: a border on one axis, or a region of two channels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Pair = tuple[Array, Array]  # the same events on two channels
Window = Sequence[float] | None  # low and high end of a search, display scale


@dataclass(frozen=True)
class Cut:
    """A border on one axis.

    Attributes
    ----------
    value
        Display scale; NaN when the method found none.
    flags
        Words that qualify it: a `Flag`, or a word of the method itself.
    spread
        Standard deviation of the events just behind the border, display scale; 0 when unknown.
    """

    value: float
    flags: tuple[str, ...] = ()
    spread: float = 0.0


@dataclass(frozen=True)
class Band:
    """A polygon; vertices as (x, y) on the display scale."""

    vertices: tuple[tuple[float, float], ...]
    flags: tuple[str, ...] = ()


@dataclass(frozen=True)
class Cloud:
    """An ellipse around one group of events, display scale; ``distance_square`` is a squared Mahalanobis radius."""

    mean: tuple[float, float]
    covariance: tuple[tuple[float, float], tuple[float, float]]
    distance_square: float
    flags: tuple[str, ...] = ()


@dataclass(frozen=True)
class Corner:
    """The cloud in a corner: x above its border, y below (or above) a border that rises along x.

    Attributes
    ----------
    x, y
        The borders; y's is the value where x has its border.
    slope
        Rise of the y border per unit of x, display scale.
    y_side
        ``lo``: y below its border; ``hi``: above.
    start
        Handed back as the keyword ``start`` when the method runs again on nearly the same events.
        A pooled gate without one gets no drift alarm.
    """

    x: Cut
    y: Cut
    slope: float = 0.0
    y_side: Literal["lo", "hi"] = "lo"
    flags: tuple[str, ...] = ()
    start: Any = None


@dataclass(frozen=True)
class Quadrants:
    """One border on each axis, and which of the four quadrants is meant.

    Attributes
    ----------
    x, y
        The borders.
    quadrant
        ``++``, ``+-``, ``-+``, ``--`` (x, then y).
    start
        Handed to the method's ``resample`` as a field of the region.
    """

    x: Cut
    y: Cut
    quadrant: str = "++"
    start: Any = None


Region = Band | Cloud | Corner | Quadrants
