"""The lower end of a hump that is above the noise of zero: without its metal a mass channel reads zero."""

from __future__ import annotations

import numpy as np

from immunolab.gating.method_registry import DISPLAY_SCALE, Parameter, threshold_method
from immunolab.gating.method_results import Array, Cut
from immunolab.gating.placement.density import FEWEST_EVENTS, few, finite, robust_sd, smoothed_density, zero_noise
from immunolab.schema.flags import Flag


@threshold_method(
    "above_zero",
    wants="parent",
    control="density",
    assumes="a channel without signal reads zero, as in mass cytometry: a hump above the noise of zero is positive",
    parameters=(Parameter("noise", None, DISPLAY_SCALE, "upper end of the noise of zero", automatic=zero_noise),),
)
def above_zero(values: Array, *, noise: float) -> Cut:
    """Return where the density is lowest between the noise of zero and the main hump above it.

    Parameters
    ----------
    values
        The parent's events, display scale.
    noise
        Upper end of what a channel without signal reads, display scale; the border is never below it.

    Returns
    -------
    Cut
        A NaN border where the main hump is within the noise: positive events are then a tail that nothing sets apart.
    """
    values = finite(values)
    if len(values) < FEWEST_EVENTS:
        return Cut(np.nan, few(values))
    grid, density, _ = smoothed_density(values)
    mode = float(grid[int(np.argmax(density))])
    if mode <= noise:
        return Cut(np.nan, few(values))
    between = (grid >= noise) & (grid <= mode)
    lowest = float(grid[between][int(np.argmin(density[between]))])
    border = noise if values.min() >= lowest else lowest
    return Cut(border, (*few(values), Flag.UNIMODAL), robust_sd(values[values >= border]))
