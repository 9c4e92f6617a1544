"""The end of the main summit, where positive events are its tail."""

from __future__ import annotations

import numpy as np

from immunolab.gating.method_registry import Parameter, threshold_method
from immunolab.gating.method_results import Array, Cut, Window
from immunolab.gating.placement.density import FEWEST_EVENTS, clip, few, finite, main_mode
from immunolab.gating.placement.shared_parameters import SIDE, THEN_REFERENCE_THEN_DENSITY, WITHIN
from immunolab.schema.flags import Flag

# distance from the mode in sd (judgement: one negative event in 740 above it, against dim positives lost)
_K = 3.0
# where the scale bends on which the summit is symmetric, in sd of the noise (judgement, 2026-11-26: at 1 the border of
# CD69 was beyond most activated cells of four mouse tubes, at 10 resting cells came in)
_BEND = 3.0


@threshold_method(
    "tail",
    wants="parent",
    control="density",
    assumes="the main summit is symmetric and the positives are its tail",
    parameters=(Parameter("k", _K, "standard deviations", "distance from the mode"), SIDE, WITHIN),
    reference="Finak et al. 2014, PLoS Comput Biol 10:e1003806 (openCyto)",
    instead=THEN_REFERENCE_THEN_DENSITY,
    bend=_BEND,
)
def tail(values: Array, *, k: float = _K, side: str = "above", within: Window = None) -> Cut:
    """Return the main mode plus (or minus) k standard deviations of the half facing away from the tail.

    After the tail gate of openCyto (Finak et al. 2014). Of a single hump the border may be beyond every event: it is
    then brought back to just beyond the last one, which parts these events alike, and flagged ``beyond_data``. It
    never leaves the window ``within`` (low and high end, display scale).

    Parameters
    ----------
    values
        Display scale.
    k
        Robust standard deviations beyond the mode.
    side
        Side of the mode on which the tail is, ``above`` or ``below``.
    within
        Low and high end of the border, display scale.
    """
    values = finite(values)
    if len(values) < FEWEST_EVENTS:
        return Cut(np.nan, few(values))
    mode, spread = main_mode(values, side=side)
    value = clip(mode + k * spread * (1 if side == "above" else -1), within)
    low, high = float(values.min()), float(np.nextafter(values.max(), np.inf))
    if low <= value <= high:
        return Cut(value, few(values), spread)
    return Cut(clip(clip(value, (low, high)), within), (*few(values), Flag.BEYOND_DATA), spread)
