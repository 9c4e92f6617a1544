"""Where a lineage marker's positive events overtake those of the same tube that are known to lack it."""

from __future__ import annotations

import numpy as np

from immunolab.gating.method_registry import DENSITY, Parameter, threshold_method
from immunolab.gating.method_results import Array, Cut
from immunolab.gating.placement.density import FEWEST_EVENTS, SEPARATE, few, finite, main_mode, smoothed_density
from immunolab.schema.flags import Flag

_REACH = 3.5  # sd from their mode within which known negatives are taken for negative (judgement: strays are positive)
# least distance of the border from the mode of known negatives, in sd (judgement: where the parent has next to none, a
# border amid their like would serve badly in tubes and gates that have more; half and double change no line of the real
# tubes, three times cuts dim cells off, benchmarks/constant_ranges.py, 2026-11-26)
_LEAST_OVER = 0.5
_K = 3.0  # sd from the mode to the border over a negative main group (judgement: as of `tail`)
# distance of the median positive from that border, in sd, from which positives are a group and not the negatives'
# tail (judgement, 2026-11-26: a normal's tail beyond 3 sd has 0.2, a skewed one up to 0.7)
_APART = 1.0
_TAIL_SHARE = 0.01  # share of the parent beyond the border that any tail may hold (judgement)


@threshold_method(
    "known_negatives",
    wants="parent_and_negatives",
    control="internal",
    parameters=(Parameter("carried", False, "", "true: nearly all cells of a usual parent carry the marker"),),
    assumes="cells of other lineages in the tube show where the marker's negative events are",
    reference="Efron 2004, JASA 99:96 (local false discovery rate)",
    instead=(DENSITY,),
    even_noise=True,
)
def known_negatives(values: Array, negatives: Array, *, carried: bool = False) -> Cut:
    """Return where the parent's density is twice that of its negative part (local false discovery rate, Efron 2004).

    The negative part has the shape of known negatives; its share is that of the events below their mode. Where the
    parent's main group is itself the negative one, the border is three standard deviations over its mode.

    Parameters
    ----------
    values
        The parent's events, display scale.
    negatives
        Events of the same tube that lack the marker, display scale.
    carried
        Nearly all cells of a usual parent carry the marker: a main group above the known negatives is then positive,
        also where the two overlap.

    Returns
    -------
    Cut
        Flagged ``no_positives`` where the main group is negative and what is beyond it is no group of its own.
    """
    values, negatives = finite(values), finite(negatives)
    if min(len(values), len(negatives)) < FEWEST_EVENTS:
        return Cut(np.nan, few(values))
    zero, below = main_mode(negatives)
    mode, spread = main_mode(values)
    # another group below the main one widens its lower half only
    spread = min(spread, main_mode(values, side="below")[1])
    if not separate(mode, spread, zero, below) and not (carried and mode > zero + _LEAST_OVER * below):
        return over_negative_hump(values)
    near = negatives[np.abs(negatives - zero) <= _REACH * below]
    share = min(1.0, float(np.mean(values <= zero)) / max(float(np.mean(near <= zero)), 1e-9))
    grid, density, _ = smoothed_density(values)
    negative_grid, negative_density, _ = smoothed_density(near)
    negative = share * np.interp(grid, negative_grid, negative_density, left=0.0, right=0.0)
    between = (grid >= zero) & (grid <= mode)
    ahead = between & (negative > density / 2)
    border = float(grid[ahead].max()) if ahead.any() else zero
    return Cut(max(border, zero + _LEAST_OVER * below), few(values), below)


def separate(mode: float, spread: float, other_mode: float, other_spread: float) -> bool:
    """Whether a group is above another one and cleanly separated from it by Ashman's D.

    Parameters
    ----------
    mode, spread
        Mode and standard deviation of the group, display scale.
    other_mode, other_spread
        Those of the other group.
    """
    return mode - other_mode > SEPARATE * float(np.sqrt((spread**2 + other_spread**2) / 2))


def over_negative_hump(values: Array) -> Cut:
    """Return the border over a main group that is negative; flagged where what is beyond it is only its tail.

    Parameters
    ----------
    values
        The parent's events, display scale, at least one.
    """
    mode, spread = main_mode(values)
    border = mode + _K * spread
    beyond = values[values > border]
    flags = (*few(values), Flag.NO_VALLEY, Flag.UNIMODAL)
    group = len(beyond) and float(np.median(beyond)) - border > _APART * spread
    if len(beyond) > _TAIL_SHARE * len(values) and not group:
        return Cut(border, (*flags, Flag.NO_POSITIVES), spread)
    return Cut(border, flags, spread)
