"""Values beyond an assay's limits, and values at an end of a scale that has no place for them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from immunolab.comparison import scales
from immunolab.comparison.plan import Scale
from immunolab.schema.flags import Flag, split

Array = NDArray[np.float64]

_HALF = 0.5  # event that an absolute count of 0 is taken for (Haldane 1956, as shares)


@dataclass(frozen=True)
class PlacedValues:
    """One endpoint's values on its scale.

    Attributes
    ----------
    level
        ``(n,)`` on the scale; the limit of a value beyond it.
    beyond
        ``(n,)`` -1 below the level, 1 above it, 0 the value itself.
    unlimited
        ``(n,)`` at an end of the scale without a limit that is known: the level is the nearest other value's, of use
        for a cohort only, and the patient has no change.
    """

    level: Array
    beyond: NDArray[np.int64]
    unlimited: NDArray[np.bool_]


def beyond_limits(flags: pd.Series) -> NDArray[np.int64]:
    """Return -1 where a flag says below the assay's limit, 1 above it, else 0.

    Parameters
    ----------
    flags
        Words joined by ``;``.
    """
    words = {text: split(text) for text in flags.unique()}
    sides = {text: int(Flag.ABOVE_LIMIT in own) - int(Flag.BELOW_LIMIT in own) for text, own in words.items()}
    return flags.map(sides).to_numpy(dtype=np.int64)


def placed_values(values: Array, scale: Scale, beyond: NDArray[np.int64], one_event: Array) -> PlacedValues:
    """Return measured values on a scale.

    A value at an end of the scale (0 on the log, 0 or 100 % on the logit) takes what limits it: half an event where it
    was counted, else the assay's limit where another value of the endpoint names one. Without either it has no place.

    Parameters
    ----------
    values
        ``(n,)`` in the endpoint's unit, NaN where missing.
    scale
        Where they go.
    beyond
        ``(n,)`` as `beyond_limits` gives them; the value is then the limit.
    one_event
        ``(n,)`` what one event makes, of absolute counts; else NaN.
    """
    x, beyond = values.copy(), beyond.copy()
    unlimited = np.zeros(x.size, dtype=bool)
    if scale in scales.MULTIPLICATIVE:
        ends = (0.0, 100.0) if scale == "logit" else (0.0,)
        for end, side in zip(ends, (-1, 1), strict=False):
            at_end = x == end
            counted = at_end & np.isfinite(one_event) & (side == -1)
            x[counted] = _HALF * one_event[counted]
            left = at_end & ~counted
            limits = x[(beyond == side) & ~at_end]
            inside = x[(x > 0) & (x < 100.0 if scale == "logit" else np.isfinite(x))]
            middle = 50.0 if scale == "logit" else 1.0  # with no value within, nothing is estimated: any place will do
            nearest = (inside.min() if side < 0 else inside.max()) if inside.size else middle
            known = (limits.max() if side < 0 else limits.min()) if limits.size else np.nan
            x[left] = known if limits.size else nearest
            beyond[left] = side
            unlimited |= left & (not limits.size)
    return PlacedValues(scales.from_values(x, scale), np.where(np.isfinite(x), beyond, 0), unlimited)
