"""Display scales: one frozen record a scale, with its arithmetic and its inverse.

Parameters are Gating-ML 2.0's. Logicle, biex and hyperlog map to 0..1 (FlowKit's scale; flowCore's
logicle is 4.5 times that). All arithmetic is in double precision.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Protocol

import numpy as np
from flowutils import transforms as _c
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]


class Transform(Protocol):
    """A monotone map from instrument units to the display scale."""

    def apply(self, values: ArrayLike) -> Array:
        """Return display values of instrument values, same shape, float64."""
        ...

    def inverse(self, values: ArrayLike) -> Array:
        """Return instrument values of display values, same shape, float64."""
        ...


@dataclass(frozen=True)
class Identity:
    """Instrument units as they are."""

    def apply(self, values: ArrayLike) -> Array:
        return np.asarray(values, dtype=np.float64)

    def inverse(self, values: ArrayLike) -> Array:
        return np.asarray(values, dtype=np.float64)


@dataclass(frozen=True)
class Linear:
    """Gating-ML flin: (x + a) / (t + a)."""

    t: float
    a: float = 0.0

    def apply(self, values: ArrayLike) -> Array:
        return (np.asarray(values, dtype=np.float64) + self.a) / (self.t + self.a)

    def inverse(self, values: ArrayLike) -> Array:
        return np.asarray(values, dtype=np.float64) * (self.t + self.a) - self.a


@dataclass(frozen=True)
class Log:
    """Gating-ML flog: log10(x / t) / m + 1; values at or below zero become NaN and -inf."""

    t: float
    m: float

    def apply(self, values: ArrayLike) -> Array:
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.log10(np.asarray(values, dtype=np.float64) / self.t) / self.m + 1.0

    def inverse(self, values: ArrayLike) -> Array:
        return self.t * 10.0 ** ((np.asarray(values, dtype=np.float64) - 1.0) * self.m)


@dataclass(frozen=True)
class ScaledAsinh:
    """Gating-ML fasinh with top t, m decades and a further negative decades."""

    t: float
    m: float
    a: float = 0.0

    def apply(self, values: ArrayLike) -> Array:
        decades, lift = self.m * np.log(10.0), self.a * np.log(10.0)
        scaled = np.asarray(values, dtype=np.float64) * (np.sinh(decades) / self.t)
        return (np.arcsinh(scaled) + lift) / (decades + lift)

    def inverse(self, values: ArrayLike) -> Array:
        decades, lift = self.m * np.log(10.0), self.a * np.log(10.0)
        return np.sinh(np.asarray(values, dtype=np.float64) * (decades + lift) - lift) * (self.t / np.sinh(decades))


@dataclass(frozen=True)
class Asinh:
    """arcsinh(x / cofactor), the scale of mass cytometry (cofactor 5) and of many flow pipelines."""

    cofactor: float

    def apply(self, values: ArrayLike) -> Array:
        return np.arcsinh(np.asarray(values, dtype=np.float64) / self.cofactor)

    def inverse(self, values: ArrayLike) -> Array:
        return np.sinh(np.asarray(values, dtype=np.float64)) * self.cofactor


@dataclass(frozen=True)
class Logicle:
    """Logicle of Moore and Parks 2012 (Cytometry A 81A:273), 0..1 for 0..t."""

    t: float = 262144.0
    w: float = 0.5
    m: float = 4.5
    a: float = 0.0

    def apply(self, values: ArrayLike) -> Array:
        return _columnwise(_c.logicle, values, t=self.t, m=self.m, w=self.w, a=self.a)

    def inverse(self, values: ArrayLike) -> Array:
        return _columnwise(_c.logicle_inverse, values, t=self.t, m=self.m, w=self.w, a=self.a)


@dataclass(frozen=True)
class Hyperlog:
    """Hyperlog of Gating-ML 2.0, 0..1 for 0..t."""

    t: float
    w: float
    m: float
    a: float = 0.0

    def apply(self, values: ArrayLike) -> Array:
        return _columnwise(_c.hyperlog, values, t=self.t, m=self.m, w=self.w, a=self.a)

    def inverse(self, values: ArrayLike) -> Array:
        return _columnwise(_c.hyperlog_inverse, values, t=self.t, m=self.m, w=self.w, a=self.a)


@dataclass(frozen=True)
class Biex:
    """FlowJo 10's biexponential scale, 0..1: 4,096 channels interpolated from a table, held at its ends.

    ``width`` is FlowJo's (negative) width basis, ``negative`` and ``positive`` its extra decades.
    """

    negative: float = 0.0
    width: float = -10.0
    positive: float = 4.418540
    t: float = 262144.000029

    def apply(self, values: ArrayLike) -> Array:
        knots, channels = _biex_table(self.negative, self.width, self.positive, self.t)
        return np.interp(np.asarray(values, dtype=np.float64), knots, channels)

    def inverse(self, values: ArrayLike) -> Array:
        knots, channels = _biex_table(self.negative, self.width, self.positive, self.t)
        return np.interp(np.asarray(values, dtype=np.float64), channels, knots)


@lru_cache(maxsize=256)
def _biex_table(negative: float, width: float, positive: float, t: float) -> tuple[Array, Array]:
    """Return the instrument value and the display value of every channel of a biex scale."""
    n = 4096
    half_width = np.log10(-width) / 2.0
    below = max(negative, 0.0) + half_width
    decades = positive - half_width
    zero = min(int(below * n / (below + decades)), n // 2)
    if zero > 0:
        decades = below * n / zero
    linear = half_width / decades
    rise = np.log(10.0) * decades
    fall = _biex_fall(rise, linear)
    steps = np.arange(n + 1) / (n + 1)
    growth = np.exp(steps * rise)
    decay = np.exp(-steps * fall) * np.exp((rise + fall) * (linear + below / decades))
    knots = growth - decay
    knots = t / np.exp(rise) * (knots - knots[zero])
    knots[:zero] = -knots[2 * zero - np.arange(zero)]
    return knots, np.arange(n + 1) / n


def _biex_fall(rise: float, linear: float) -> float:
    """Return the root d in (0, rise] of 2 ln(d / rise) + linear (d + rise) = 0."""
    low, high = 0.0, rise
    while linear > 0.0:
        middle = (low + high) / 2.0
        if middle in (low, high):
            break
        too_low = 2.0 * np.log(middle / rise) + linear * (middle + rise) < 0.0
        low, high = (middle, high) if too_low else (low, middle)
    return high


@dataclass(frozen=True)
class Bounded:
    """A scale whose display values are held between low and high (Gating-ML boundMin and boundMax)."""

    scale: Transform
    low: float = -np.inf
    high: float = np.inf

    def apply(self, values: ArrayLike) -> Array:
        return np.clip(self.scale.apply(values), self.low, self.high)

    def inverse(self, values: ArrayLike) -> Array:
        return self.scale.inverse(np.clip(np.asarray(values, dtype=np.float64), self.low, self.high))


def _columnwise(function: Any, values: ArrayLike, **parameters: float) -> Array:
    array = np.asarray(values, dtype=np.float64)
    column = np.array(array.reshape(-1, 1), dtype=np.float64, order="C")
    return np.asarray(function(column, [0], **parameters), dtype=np.float64).reshape(array.shape)
