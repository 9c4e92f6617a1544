"""Display scales: one frozen record a scale, with its arithmetic and its inverse.

Parameters are Gating-ML 2.0's. Logicle, biex and hyperlog map to 0..1 (FlowKit's scale; flowCore's
logicle is 4.5 times that). All arithmetic is in double precision.
"""

from __future__ import annotations

import ast
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Protocol

import numpy as np
from flowutils import transforms as _c
from numpy.typing import ArrayLike, NDArray

from immunolab.events.interpolation import Tabulated, tabulate

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
        """Return display values of instrument values, same shape."""
        return np.asarray(values, dtype=np.float64)

    def inverse(self, values: ArrayLike) -> Array:
        """Return instrument values of display values, same shape."""
        return np.asarray(values, dtype=np.float64)


@dataclass(frozen=True)
class Auto:
    """A scale that data have yet to choose (`immunolab.events.scales`); until then values are in instrument units."""

    def apply(self, values: ArrayLike) -> Array:
        """Return instrument values as they are, same shape."""
        return np.asarray(values, dtype=np.float64)

    def inverse(self, values: ArrayLike) -> Array:
        """Return instrument values as they are, same shape."""
        return np.asarray(values, dtype=np.float64)


@dataclass(frozen=True)
class Linear:
    """Gating-ML flin: (x + a) / (t + a)."""

    t: float
    a: float = 0.0

    def apply(self, values: ArrayLike) -> Array:
        """Return display values of instrument values, same shape."""
        return (np.asarray(values, dtype=np.float64) + self.a) / (self.t + self.a)

    def inverse(self, values: ArrayLike) -> Array:
        """Return instrument values of display values, same shape."""
        return np.asarray(values, dtype=np.float64) * (self.t + self.a) - self.a


@dataclass(frozen=True)
class Log:
    """Gating-ML flog: log10(x / t) / m + 1; values at or below zero become NaN and -inf."""

    t: float
    m: float

    def apply(self, values: ArrayLike) -> Array:
        """Return display values of instrument values, same shape."""
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.log10(np.asarray(values, dtype=np.float64) / self.t) / self.m + 1.0

    def inverse(self, values: ArrayLike) -> Array:
        """Return instrument values of display values, same shape."""
        return self.t * 10.0 ** ((np.asarray(values, dtype=np.float64) - 1.0) * self.m)


@dataclass(frozen=True)
class ScaledAsinh:
    """Gating-ML fasinh with top t, m decades and a further negative decades."""

    t: float
    m: float
    a: float = 0.0

    def apply(self, values: ArrayLike) -> Array:
        """Return display values of instrument values, same shape."""
        decades, lift = self.m * np.log(10.0), self.a * np.log(10.0)
        scaled = np.asarray(values, dtype=np.float64) * (np.sinh(decades) / self.t)
        return np.asarray((np.arcsinh(scaled) + lift) / (decades + lift))

    def inverse(self, values: ArrayLike) -> Array:
        """Return instrument values of display values, same shape."""
        decades, lift = self.m * np.log(10.0), self.a * np.log(10.0)
        display = np.asarray(values, dtype=np.float64)
        return np.asarray(np.sinh(display * (decades + lift) - lift) * (self.t / np.sinh(decades)))


@dataclass(frozen=True)
class Asinh:
    """arcsinh(x / cofactor), the scale of mass cytometry (cofactor 5) and of many flow pipelines."""

    cofactor: float

    def apply(self, values: ArrayLike) -> Array:
        """Return display values of instrument values, same shape."""
        return np.arcsinh(np.asarray(values, dtype=np.float64) / self.cofactor)

    def inverse(self, values: ArrayLike) -> Array:
        """Return instrument values of display values, same shape."""
        return np.sinh(np.asarray(values, dtype=np.float64)) * self.cofactor


@dataclass(frozen=True)
class Logicle:
    """Logicle of Moore and Parks 2012 (Cytometry A 81A:273), 0..1 for 0..t."""

    t: float = 262144.0
    w: float = 0.5
    m: float = 4.5
    a: float = 0.0

    def apply(self, values: ArrayLike) -> Array:
        """Return display values of instrument values, same shape."""
        return _apply(self, np.asarray(values, dtype=np.float64))

    def exact(self, values: Array) -> Array:
        """Return display values by the reference arithmetic, without a table."""
        return _exact(_c.logicle, values, t=self.t, m=self.m, w=self.w, a=self.a)

    def inverse(self, values: ArrayLike) -> Array:
        """Return instrument values of display values, same shape."""
        return _columnwise(_c.logicle_inverse, values, t=self.t, m=self.m, w=self.w, a=self.a)


@dataclass(frozen=True)
class Hyperlog:
    """Hyperlog of Gating-ML 2.0, 0..1 for 0..t."""

    t: float
    w: float
    m: float
    a: float = 0.0

    def apply(self, values: ArrayLike) -> Array:
        """Return display values of instrument values, same shape."""
        return _apply(self, np.asarray(values, dtype=np.float64))

    def exact(self, values: Array) -> Array:
        """Return display values by the reference arithmetic, without a table."""
        return _exact(_c.hyperlog, values, t=self.t, m=self.m, w=self.w, a=self.a)

    def inverse(self, values: ArrayLike) -> Array:
        """Return instrument values of display values, same shape."""
        return _columnwise(_c.hyperlog_inverse, values, t=self.t, m=self.m, w=self.w, a=self.a)


@dataclass(frozen=True)
class Biex:
    """FlowJo 10's biexponential scale, 0..1: 4,096 channels interpolated from a table, clipped at its ends.

    ``width`` is FlowJo's (negative) width basis, ``negative`` and ``positive`` its extra decades.
    """

    negative: float = 0.0
    width: float = -10.0
    positive: float = 4.418540
    t: float = 262144.000029

    def apply(self, values: ArrayLike) -> Array:
        """Return display values of instrument values, same shape."""
        knots, channels = _biex_table(self.negative, self.width, self.positive, self.t)
        return np.interp(np.asarray(values, dtype=np.float64), knots, channels)

    def inverse(self, values: ArrayLike) -> Array:
        """Return instrument values of display values, same shape."""
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
    """A scale whose display values are clipped to low and high (Gating-ML boundMin and boundMax).

    What has no logarithm is set to the low end, as FlowJo's log axis does.
    """

    scale: Transform
    low: float = -np.inf
    high: float = np.inf

    def apply(self, values: ArrayLike) -> Array:
        """Return display values of instrument values, same shape."""
        shown = np.clip(self.scale.apply(values), self.low, self.high)
        return np.where(np.asarray(values) <= 0.0, self.low, shown) if isinstance(self.scale, Log) else shown

    def inverse(self, values: ArrayLike) -> Array:
        """Return instrument values of display values, same shape."""
        return self.scale.inverse(np.clip(np.asarray(values, dtype=np.float64), self.low, self.high))


_TOP = 262_144.0  # instrument units at which a scale without an end of its own is logarithmic: that of 18 bits
_NEAR_ZERO = 1e-5  # of the end, where every scale with a linear part is linear
_MOST_LINEAR = 0.05  # of the end: a scale that is linear further has no logarithmic part (judgement)


def noise_cofactor(scale: Transform) -> float | None:
    """Return the cofactor of the arcsinh that a scale is like near zero; None where it is not linear there alone.

    Logicle, hyperlog and FlowJo's biex are linear around zero and logarithmic far from it, as arcsinh(x / cofactor) is:
    the cofactor is the display distance of a factor e at the end, over the slope at zero.

    Parameters
    ----------
    scale
        Of a channel.
    """
    if isinstance(scale, Asinh):
        return scale.cofactor
    end = float(getattr(scale, "t", getattr(getattr(scale, "scale", None), "t", _TOP)))
    near = _NEAR_ZERO * end
    below, zero, above, lower, top = (float(y) for y in scale.apply(np.array([-near, 0.0, near, end / np.e, end])))
    rise, fall = above - zero, zero - below
    if not np.isfinite([rise, fall, lower, top]).all() or min(rise, fall) <= 0.5 * max(rise, fall):
        return None
    cofactor = (top - lower) / (rise + fall) * 2.0 * near
    return cofactor if 0.0 < cofactor < _MOST_LINEAR * end else None


def scale_from_text(text: str) -> Transform | None:
    """Return a scale from its ``repr``, as ``var["transform"]`` of an AnnData holds it; None for other words.

    Parameters
    ----------
    text
        Such as ``Asinh(cofactor=150.0)``.
    """
    try:
        return _scale_of_call(ast.parse(text, mode="eval").body)
    except (SyntaxError, ValueError, TypeError):
        return None


def _scale_of_call(node: ast.expr) -> Transform:
    """Return the scale that a call names; of anything else ValueError."""
    kinds: dict[str, Any] = {
        one.__name__: one for one in (Identity, Linear, Log, ScaledAsinh, Asinh, Logicle, Hyperlog, Biex, Bounded)
    }
    if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in kinds):
        raise ValueError("no scale")
    given = {str(one.arg): _argument(one.value) for one in node.keywords}
    made: Transform = kinds[node.func.id](**given)
    return made


def _argument(node: ast.expr) -> Transform | float:
    """Return a parameter: a number, also infinite or of numpy (``np.float64(150.0)``), or the scale inside another."""
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
        return _scale_of_call(node)
    return float(ast.unparse(node.args[0] if isinstance(node, ast.Call) and node.args else node))


def scale_in_words(scale: Transform) -> str:
    """Return a scale's name and parameters, as ``arcsinh(x / 150)``."""
    if isinstance(scale, Identity):
        return "linear"
    if isinstance(scale, Auto):
        return "chosen by data"
    if isinstance(scale, Asinh):
        return f"arcsinh(x / {scale.cofactor:g})"
    if isinstance(scale, Bounded):
        return f"{scale_in_words(scale.scale)} cut to {scale.low:g} to {scale.high:g}"
    numbers = {name: value for name, value in vars(scale).items() if isinstance(value, int | float)}
    parameters = ", ".join(f"{name.upper()} = {value:g}" for name, value in numbers.items())
    return f"{type(scale).__name__.lower()} with {parameters}" if parameters else type(scale).__name__.lower()


TABLE_ERROR = 1e-10  # most that a table may be off, on the display scale: 1e-10 of a logicle axis is no visible place
_LARGEST = 1e38  # the end of float32; beyond it the reference arithmetic gives no result


def _apply(scale: Logicle | Hyperlog, values: Array) -> Array:
    table = _table(scale)
    return scale.exact(values) if table is None else table(values)


@lru_cache(maxsize=64)
def _table(scale: Logicle | Hyperlog) -> Tabulated | None:
    """Return the table of a scale, or None where it is further than 1e-10 from the exact arithmetic."""
    if not (scale.t > 0 and np.isfinite([scale.t, scale.m, scale.w, scale.a]).all() and 0 < scale.m < 30):
        return None
    top = int(np.ceil(np.log2(scale.t)))
    bottom = int(np.floor(np.log2(scale.t) - scale.m * np.log2(10.0))) - 8
    table = tabulate(scale.exact, bottom, top + 4)
    magnitudes = np.exp2(np.linspace(bottom - 1, top + 4, 4001))
    probes = np.concatenate([magnitudes, -magnitudes])
    sound = np.abs(table(probes) - scale.exact(probes)).max() <= TABLE_ERROR
    return table if sound else None


def _exact(function: Any, values: Array, **parameters: float) -> Array:
    within = np.clip(values, -_LARGEST, _LARGEST)
    return np.where(np.isnan(values), np.nan, _columnwise(function, within, **parameters))


def _columnwise(function: Any, values: ArrayLike, **parameters: float) -> Array:
    array = np.asarray(values, dtype=np.float64)
    column = np.array(array.reshape(-1, 1), dtype=np.float64, order="C")
    return np.asarray(function(column, [0], **parameters), dtype=np.float64).reshape(array.shape)
