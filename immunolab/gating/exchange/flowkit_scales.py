"""FlowKit's transforms and this package's scales, both ways, with exact coordinates."""

from __future__ import annotations

import math
from typing import Any

from immunolab.errors import GatingError
from immunolab.events.transforms import (
    Asinh,
    Biex,
    Bounded,
    Hyperlog,
    Identity,
    Linear,
    Log,
    Logicle,
    ScaledAsinh,
    Transform,
)
from immunolab.gating.exchange.scales import asinh_parameters, asinh_scale

_BIEX_CHANNELS = 4096.0  # FlowKit's biex runs over FlowJo's 4,096 channels, `Biex` from 0 to 1; a power of two: exact


def scale_of(transform: Any) -> Transform:
    """Return the scale that a ``flowkit.transforms`` object is (None: instrument units).

    Raises
    ------
    GatingError
        The transform is of a class of the user's.
    """
    from flowkit import transforms as fk

    match transform:
        case None:
            return Identity()
        case fk.LinearTransform():
            return Linear(transform.param_t, transform.param_a)
        case fk.LogTransform():
            return Log(transform.param_t, transform.param_m)
        case fk.AsinhTransform():
            return asinh_scale(transform.param_t, transform.param_m, transform.param_a)
        case fk.LogicleTransform():
            return Logicle(transform.param_t, transform.param_w, transform.param_m, transform.param_a)
        case fk.HyperlogTransform():
            return Hyperlog(transform.param_t, transform.param_w, transform.param_m, transform.param_a)
        case fk.WSPLogTransform():
            return Bounded(Log(transform.offset * 10.0**transform.decades, transform.decades), low=0.0)
        case fk.WSPBiexTransform():
            return Biex(transform.negative, transform.width, transform.positive, transform.max_value)
    raise GatingError(
        f"transforms of class {type(transform).__name__} are not supported",
        hint="supported are the transforms of flowkit.transforms",
    )


def transform_of(scale: Transform) -> Any:
    """Return the ``flowkit.transforms`` object that a scale is; None for instrument units.

    Raises
    ------
    GatingError
        FlowKit has no such scale.
    """
    from flowkit import transforms as fk

    match scale:
        case Identity():
            return None
        case Linear(t, a):
            return fk.LinearTransform(t, a)
        case Log(t, m):
            return fk.LogTransform(t, m)
        case Asinh():
            return fk.AsinhTransform(*asinh_parameters(scale))
        case ScaledAsinh(t, m, a):
            return fk.AsinhTransform(t, m, a)
        case Logicle(t, w, m, a):
            return fk.LogicleTransform(t, w, m, a)
        case Hyperlog(t, w, m, a):
            return fk.HyperlogTransform(t, w, m, a)
        case Biex(negative, width, positive, t):
            return fk.WSPBiexTransform(negative, width, positive, t)
        case Bounded(Log(t, m), low, high) if low == 0.0 and high == math.inf:
            return fk.WSPLogTransform(t / 10.0**m, m)
    raise GatingError(
        f"FlowKit has no scale {type(scale).__name__} with display values held at bounds",
        hint="draw the gate on the scale without bounds",
    )


def display_units(scale: Transform) -> float:
    """Return by how much FlowKit's coordinates on a scale are larger than this package's."""
    return _BIEX_CHANNELS if isinstance(scale, Biex) else 1.0
