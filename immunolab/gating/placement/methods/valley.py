"""The deepest valley of the smoothed density between negative and positive events."""

from __future__ import annotations

import numpy as np

from immunolab.events.transforms import Transform
from immunolab.gating.method_registry import DISPLAY_SCALE, Parameter, threshold_method
from immunolab.gating.method_results import Array, Cut, Window
from immunolab.gating.placement.density import FEWEST_EVENTS, few, finite, robust_sd, smoothed_density
from immunolab.gating.placement.shared_parameters import THEN_REFERENCE_THEN_DENSITY
from immunolab.gating.placement.smoothing import summits
from immunolab.schema.flags import Flag

# least drop, share of the lower summit (judgement: shallower ones are ripples, deeper limits lose dim positives)
_DEPTH = 0.1
# least drop in standard deviations of its counting noise (judgement, 2026-11-22: at 3 a hump of few events has no
# valleys of chance)
_SIGNIFICANT = 3.0
# density in a valley, share of the lower summit, up to which it parts two groups without much overlap (judgement,
# 2026-11-26: CD4 of T cells has 0.01 in eight real tubes with clear groups, 0.3 in one where CD8 cells fill it)
_CLEAN = 0.2
# density at a border, share of the highest summit, above which the border is amid events and not at a group's foot
# (judgement: a normal falls to 0.3 at 1.55 sd, where a border cuts off 6 % of the group; a higher limit is silent on
# smears that reach over the border, a lower one speaks where one of the groups is merely small)
_AMID = 0.3


def _above_zero(scale: Transform) -> tuple[float, float]:
    """Return where valleys are searched: one below zero signal is compensation noise."""
    return float(scale.apply([0.0])[0]), np.inf


@threshold_method(
    "valley",
    wants="parent",
    control="density",
    assumes="negative and positive events form two summits",
    parameters=(
        Parameter("within", None, DISPLAY_SCALE, "low and high end of the search", "range", automatic=_above_zero),
        Parameter("bandwidth", 1.0, "times Silverman's rule", "smoothing"),
        Parameter("depth", _DEPTH, "share of the lower summit", "least drop that counts as a valley"),
    ),
    reference="Silverman 1986, Density Estimation; Malek et al. 2015, Bioinformatics 31:606 (flowDensity)",
    instead=THEN_REFERENCE_THEN_DENSITY,
)
def valley(values: Array, *, within: Window = None, bandwidth: float = 1.0, depth: float = _DEPTH) -> Cut:
    """Return the deepest valley of the smoothed density (Silverman 1986; flowDensity, Malek et al. 2015).

    Of all valleys the one with the greatest persistence wins: the drop from the lower of its two neighbouring
    summits, which must exceed ``depth`` and three times its counting noise.

    Parameters
    ----------
    values
        The parent's events, display scale.
    within
        Low and high end of the search, display scale; None searches everywhere.
    bandwidth
        Smoothing, in units of Silverman's rule.
    depth
        Least drop, as a share of the lower summit.

    Returns
    -------
    Cut
        A NaN border flagged ``no_valley;unimodal`` when no valley is deep enough.
    """
    values = finite(values)
    if len(values) < FEWEST_EVENTS:
        return Cut(np.nan, few(values))
    found = valleys(values, within=within, bandwidth=bandwidth, depth=depth)
    if not found:
        return Cut(np.nan, (*few(values), Flag.NO_VALLEY, Flag.UNIMODAL))
    return Cut(found[0][0], few(values), robust_sd(values[values < found[0][0]]))


def valleys(
    values: Array, *, within: Window = None, bandwidth: float = 1.0, depth: float = _DEPTH
) -> tuple[tuple[float, float], ...]:
    """Return where all valleys are that are deep enough, and their drop, the deepest first.

    Parameters
    ----------
    values
        Finite, display scale, at least one.
    within, bandwidth, depth
        See `valley`.

    Returns
    -------
    tuple of (float, float)
        Place on the display scale, and drop from the lower of its two summits, in units of density.
    """
    grid, density, width = smoothed_density(values, bandwidth)
    # events that a kernel of this width sees, per unit of density: its noise is that of their number
    seen = len(values) * 2 * np.sqrt(np.pi) * width
    found = []
    for low in summits(-density):
        summit = min(density[:low].max(), density[low:].max())
        inside = within is None or within[0] <= grid[low] <= within[1]
        chance = _SIGNIFICANT * np.sqrt(summit / seen) if seen > 0 else 0.0
        if inside and summit - density[low] > max(depth * summit, chance):
            found.append((float(grid[low]), float(summit - density[low])))
    return tuple(sorted(found, key=lambda one: -one[1]))


def is_clean(values: Array, border: float) -> bool:
    """Whether next to no events are at a valley between two groups: their density falls to a fifth of the lower summit.

    Parameters
    ----------
    values
        Finite, display scale, at least one.
    border
        Where the valley is, display scale.
    """
    grid, density, _ = smoothed_density(values)
    below, above = (float(density[side].max(initial=0.0)) for side in (grid < border, grid >= border))
    return float(np.interp(border, grid, density)) <= _CLEAN * min(below, above)


def amid_group(values: Array, border: float) -> bool:
    """Whether a border that other events gave is amid these: their density is high there, and has no valley.

    Parameters
    ----------
    values
        Events of one tube, display scale.
    border
        Display scale.
    """
    grid, density, _ = smoothed_density(finite(values))
    here = float(np.interp(border, grid, density, left=0.0, right=0.0))
    below, above = (float(density[side].max(initial=0.0)) for side in (grid < border, grid >= border))
    return here > _AMID * max(below, above) and here > (1 - _DEPTH) * min(below, above)
