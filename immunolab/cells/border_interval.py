"""How far a border could as well be elsewhere: between its two groups, and on halves of the cells."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from immunolab.gating.method_results import Cut
from immunolab.gating.placement.density import robust_sd
from immunolab.schema.flags import Flag

# Halves drawn without replacement: the count beyond a border of a half varies as that of all cells does (Shao and Wu
# 1989, Ann Statist 17:1176, the delete-d jackknife with d = n / 2). Draws with replacement repeat cells, and the summit
# of a density jumps to the repeats.
_HALVES = 40  # the robust sd of 40 values has a standard error of a tenth
_NORMAL_95 = 1.96  # sd within which a normal has 95 %
_WIDEST = 3.0  # times the lower end of the count's 95 % interval that its upper end may be, as in a gated tube (Flag)
# Share of the way from a border to either group's median that readers may put theirs: manual gates of the twenty donors
# of Kotliarov 2020 gave a share of naive CD4 cells that this holds in 19 (a share of .4 in 15, .6 in 20)
_READERS = 0.5
_MOST_BETWEEN = (
    0.2  # share of the cells between the two ends from which the percentage is doubtful (Flag.WIDE_INTERVAL)
)
_STEADY_FROM = 20_000  # cells: with 4,000 CD4 T cells no interval of simulated samples came near threefold

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]


def with_interval(cut: Cut, beyond: Mask, place: Callable[[NDArray[np.int64]], Mask], seed: int) -> Cut:
    """Return a border, with ``wide_interval`` where the count beyond it is not known within threefold.

    Parameters
    ----------
    cut
        The border.
    beyond
        Which of the cells that it was placed on are beyond it.
    place
        Places the border on some of these cells, given as rows, and returns which of all are beyond it.
    seed
        Of the halves drawn.
    """
    n = len(beyond)
    if n < 2 or n > _STEADY_FROM:
        return cut
    rng = np.random.default_rng(seed)
    counts = [int(place(rng.permutation(n)[: n // 2]).sum()) for _ in range(_HALVES)]
    # half a cell where there is none, so that the logarithm exists
    apart = np.log(np.maximum(counts, 0.5)) - np.log(max(int(beyond.sum()), 0.5))
    # about the border itself: halves that agree on another one speak against it
    spread = robust_sd(np.concatenate([apart, -apart]))
    if np.exp(2 * _NORMAL_95 * spread) <= _WIDEST:
        return cut
    return replace(cut, flags=(*cut.flags, Flag.WIDE_INTERVAL))


def between_groups(values: Array, cut: Cut) -> tuple[Cut, tuple[float, float]]:
    """Return a border between two groups, flagged where the share depends on it, and how low and high it could be.

    Where cells lie between the two groups no reader's border is wrong, and each gives another share.

    Parameters
    ----------
    values
        Display values of the cells that it parts.
    cut
        The border.
    """
    parts = values[values <= cut.value], values[values > cut.value]
    low, high = (
        cut.value + _READERS * (float(np.median(part)) - cut.value) if len(part) else cut.value for part in parts
    )
    if ((values > low) & (values <= high)).mean() > _MOST_BETWEEN:
        cut = replace(cut, flags=tuple(dict.fromkeys((*cut.flags, Flag.WIDE_INTERVAL))))
    return cut, (low, high)
