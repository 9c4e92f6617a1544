"""Borders between two groups of one protein's display values: a valley, two normal groups, a tail."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from immunolab.gating.method_results import Cut
from immunolab.gating.placement.density import robust_sd
from immunolab.gating.placement.methods.internal_reference import internal_reference
from immunolab.gating.placement.methods.mixture import mixture
from immunolab.gating.placement.methods.tail import tail
from immunolab.gating.placement.methods.valley import valley
from immunolab.schema.flags import Flag

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]
_CARRYING = 0.9  # quantile of naive cells above which a CD4 cell may be Treg (judgement: higher loses dim Treg)
_FEWEST_NAIVE = 30  # cells: a border on fewer is the place of one or two cells
_LEAST_BEYOND = 0.02  # share of those cells past a tail's border: the tail of the summit itself holds 0.1 % past 3 sd
_LINEAGE_SHARE = (
    0.02,
    0.985,
)  # quantiles a valley must be between: past them it parts a few bright cells, no population
_BATCH_CELLS = (
    200  # cells of a batch or sample whose own valley is believed (judgement: its place has an sd of a tenth)
)
# distance of two normal groups, in distances of the furthest medians of batches, up to which they are the batches: 1 if
# each is one batch, up to 1.5 where each group takes the tail of the other batch (judgement)
_BATCHES_APART = 1.5
_DEPTH_ROUNDS, _STEEPEST = 4, 2.0  # rounds between groups and slope, and the steepest slope on the mean of the others
LEAST_SPREAD = 0.2  # display units: narrower groups are of a scale's coarseness (judgement)


@dataclass(frozen=True)
class Groups:
    """The border between two groups, the method that found it ("" where there is none), and what is unusual."""

    cut: Cut
    method: str = ""
    note: str = ""


def two_groups(values: Array, among: Mask, batches: Mapping[str, Mask], samples: Mapping[str, Mask]) -> Groups:
    """Return the border between two groups of cells.

    The valley of all these cells; where samples or batches of differing brightness fill it, the middle of their own
    valleys; where there is none, the border of two normal groups that are apart.

    Parameters
    ----------
    values
        A protein's display values.
    among
        Cells among which two groups are looked for, bool.
    batches, samples
        The cells of each.
    """
    inside = values[among]
    parts = [values[among & cells] for cells in batches.values()]
    parts = [part for part in parts if len(part) >= _BATCH_CELLS]
    if len(parts) > 1 and not any(map(_has_two_groups, parts)):
        return Groups(Cut(np.nan))  # two groups of all cells would be two batches
    window = np.quantile(inside, _LINEAGE_SHARE).tolist()
    cut = valley(inside, within=window)
    if np.isfinite(cut.value):
        return Groups(cut, "valley")
    for what, groups in (("batches", batches), ("samples", samples)):
        own = [found for cells in groups.values() if np.isfinite((found := own_valley(values[among & cells])).value)]
        if len(groups) > 1 and len(own) * 2 >= len(groups):
            middle = float(np.median([found.value for found in own]))
            note = f"no gap in all cells together; the border is the middle of those of {len(own)} {what}"
            return Groups(Cut(middle, own[0].flags, own[0].spread), "valley", note)
    cut = mixture(inside)
    apart = Flag.UNIMODAL not in cut.flags and window[0] < cut.value < window[1]
    if apart and not _are_batches(inside, cut, parts):
        return Groups(cut, "mixture", "no gap between its two groups; the border is where both are equally likely")
    return Groups(Cut(np.nan))


def _are_batches(values: Array, cut: Cut, parts: Sequence[Array]) -> bool:
    """Return whether two groups are no further apart than batches of differing brightness are."""
    if len(parts) < 2:
        return False
    low, high, *_ = levels_beside(values, cut)
    middles = [float(np.median(part)) for part in parts]
    return high - low <= _BATCHES_APART * (max(middles) - min(middles))


def own_border(values: Array) -> Groups:
    """Return the border of one batch's cells: their valley, else that of two normal groups that are apart.

    Parameters
    ----------
    values
        Display values of the batch's cells; too few have no border of their own.
    """
    cut = own_valley(values)
    if np.isfinite(cut.value) or len(values) < _BATCH_CELLS:
        return Groups(cut, "valley")
    cut = mixture(values)
    low, high = np.quantile(values, _LINEAGE_SHARE)
    apart = Flag.UNIMODAL not in cut.flags and low < cut.value < high
    return Groups(cut, "mixture") if apart else Groups(Cut(np.nan))


def levels_beside(values: Array, cut: Cut) -> tuple[float, float, float, float]:
    """Return the medians below and above a border, and the robust sd of both.

    Parameters
    ----------
    values
        Display values.
    cut
        The border.
    """
    parts = values[values <= cut.value], values[values > cut.value]
    spreads = [max(spread_of(part), LEAST_SPREAD) if len(part) > 2 else LEAST_SPREAD for part in parts]
    low, high = (float(np.median(part)) if len(part) else cut.value for part in parts)
    return low, high, spreads[0], spreads[1]


def depth_slope(values: Array, depth: Array) -> float:
    """Return how much a protein rises with how deep cells were counted, within its two groups.

    Parameters
    ----------
    values, depth
        Of the same cells.
    """
    slope = 0.0
    for _ in range(_DEPTH_ROUNDS):
        cut = mixture(values - slope * depth)
        above = values - slope * depth > cut.value if np.isfinite(cut.value) else np.zeros(len(values), dtype=bool)
        down = [(values[g] - values[g].mean(), depth[g] - depth[g].mean()) for g in (above, ~above) if g.sum() > 2]
        spread = sum(float((x**2).sum()) for _, x in down)
        slope = float(np.clip(sum(float((y * x).sum()) for y, x in down) / max(spread, 1e-9), 0.0, _STEEPEST))
    return slope


def corner_cut(values: Array) -> tuple[Cut, str]:
    """Return the border of the cloud at the high end, and the method that found it.

    Parameters
    ----------
    values
        Display values.
    """
    cut = valley(values, within=np.quantile(values, _LINEAGE_SHARE).tolist()) if len(values) else Cut(np.nan)
    if np.isfinite(cut.value):
        return cut, "valley"
    cut = tail(values)
    if np.isfinite(cut.value) and (values > cut.value).mean() >= _LEAST_BEYOND:
        return cut, "tail"
    return mixture(values), "mixture"


def treg_border(cd25: Array, along: Array, naive: Mask | None) -> tuple[float, Cut, str]:
    """Return the CD25 that a Treg has at least, the border along the diagonal, and the method that found it.

    Parameters
    ----------
    cd25, along
        CD25, and CD25 less CD127, of CD4 T cells, display units.
    naive
        Naive ones among them; None where they are not known.
    """
    least = -np.inf
    if naive is not None and naive.sum() >= _FEWEST_NAIVE:
        conventional = naive & _lower_group(along, naive)
        least = internal_reference(cd25[conventional], quantile=_CARRYING).value
    return (least, *corner_cut(along[cd25 > least]))


def _lower_group(values: Array, among: Mask) -> Mask:
    """Return the cells of the lower of two groups, all where no two are apart.

    Up to a third of naive cells are naive Treg: they are a group of their own, and no negative reference.
    """
    cut = valley(values[among], within=np.quantile(values[among], _LINEAGE_SHARE).tolist())
    if np.isnan(cut.value):
        cut = mixture(values[among])
    apart = np.isfinite(cut.value) and Flag.UNIMODAL not in cut.flags
    return np.asarray(values <= cut.value) if apart else np.ones(len(values), dtype=bool)


def own_valley(values: Array) -> Cut:
    """Return the valley of one batch or sample, where it has cells enough.

    Parameters
    ----------
    values
        Display values.
    """
    if len(values) < _BATCH_CELLS:
        return Cut(np.nan)
    return valley(values, within=np.quantile(values, _LINEAGE_SHARE).tolist())


def _has_two_groups(values: Array) -> bool:
    return bool(np.isfinite(own_valley(values).value)) or Flag.UNIMODAL not in mixture(values).flags


def spread_of(values: Array) -> float:
    """Return the robust standard deviation of values, or 1 where they do not vary."""
    return robust_sd(values) or 1.0
