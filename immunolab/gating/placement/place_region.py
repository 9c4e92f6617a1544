"""Placing a region of two channels in a pool of tubes, and the borders it has."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, get_args

import numpy as np

from immunolab.errors import GatingError
from immunolab.gating.method_registry import Method
from immunolab.gating.method_results import Corner, Quadrants, Region
from immunolab.gating.placement.inputs import Lacking, Request, provide
from immunolab.gating.placement.placed import Placed, interval, saturation
from immunolab.gating.placement.run_method import RESAMPLES, call_method, on_scale
from immunolab.schema.flags import Flag


@dataclass(frozen=True)
class PlacedRegion:
    """A region and, of a `Corner` or `Quadrants`, its borders on x and y."""

    region: Region
    borders: tuple[Placed, ...] = ()


def place_region(
    chosen: Method, request: Request, settings: Mapping[str, Any], rng: np.random.Generator | None
) -> PlacedRegion | Lacking:
    """Return the region that a method of two channels gives, or what the tubes lack.

    Parameters
    ----------
    chosen
        A registered method whose card asks for two channels.
    request
        The pool, the population, and the channels x and y.
    settings
        Keywords of the method.
    rng
        Resamples the borders of a corner for their interval, where the method can; None leaves it out.

    Raises
    ------
    GatingError
        The method failed or returned no region.
    """
    given = provide(chosen.card, request)
    if isinstance(given, Lacking):
        return given
    name = chosen.card.name
    scales = [request.pool.tubes[0].dimension(channel).transform for channel in request.channels]
    arguments = given.arguments
    if chosen.card.linear:
        arguments = tuple(scale.inverse(values) for scale, values in zip(scales, arguments, strict=True))
    region = call_method(chosen, arguments, settings, request.path)
    if not isinstance(region, Region):
        kinds = ", ".join(kind.__name__ for kind in get_args(Region))
        what = f"threshold method '{name}' returned {type(region).__name__}"
        raise GatingError(what, request.path, f"a method of two channels returns one of {kinds}")
    if not isinstance(region, (Corner, Quadrants)):
        return PlacedRegion(region)
    draws = np.empty(0), np.empty(0)
    if chosen.resample is not None and rng is not None:
        x, y, reference = (*arguments, None)[:3]
        draws = chosen.resample(x, y, reference, region, rng, RESAMPLES)
    if chosen.card.linear and isinstance(region, Corner):
        draws = scales[0].apply(draws[0]), scales[1].apply(draws[1])
        region = replace(region, x=on_scale(region.x, scales[0]), y=on_scale(region.y, scales[1]))
    borders = []
    for marker, cut, drawn in zip(request.channels, (region.x, region.y), draws, strict=True):
        low, high = interval(cut.value, drawn)
        missing = (Flag.NO_BORDER,) if np.isnan(cut.value) else ()
        flags = (*cut.flags, *missing, *saturation(request.pool, request.path, marker))
        borders.append(
            Placed(marker, cut.value, name, given.control, low, high, flags, given.source, cut.spread, drawn)
        )
    return PlacedRegion(region, tuple(borders))
