"""Events counted in the bins of a figure: every event has a bin, or is counted as beyond the axes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from immunolab.gating.axes import Axes as GateAxes
from immunolab.gating.strategy import Dimension
from immunolab.plots.scales import DisplayScale

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]
SIDES = ("left", "right", "bottom", "top")
_NAMED = 0.001  # share of the events from which a side is named
_BLOCK = 16_384  # events; coordinates and bins of a block stay in the processor's cache (judgement)


@dataclass(frozen=True, eq=False)
class EventBins:
    """Counts of events in equal bins of a display scale.

    Attributes
    ----------
    counts
        ``(bins,)``, or ``(bins, bins)`` with y first.
    n_events
        All events, those beyond the axes among them.
    sides
        Events beyond each end of the axes, by `SIDES`; an event beyond two is in both. What a scale has no place for
        (zero on a log axis) is beyond its lower end.
    """

    counts: NDArray[np.uint32]
    n_events: int
    sides: dict[str, int]

    @property
    def n_beyond(self) -> int:
        """Events beyond the axes."""
        return self.n_events - int(self.counts.sum())

    def words(self) -> str:
        """Return ``1.2 % beyond the axes (left 1.0 %, top 0.2 %)``; nothing where all events are within."""
        if not self.n_beyond:
            return ""
        seen = {side: n for side, n in self.sides.items() if n >= _NAMED * self.n_events}
        parts = ", ".join(f"{side} {share_words(n, self.n_events)}" for side, n in seen.items())
        axes = "axes" if self.counts.ndim == 2 else "axis"
        return f"{share_words(self.n_beyond, self.n_events)} beyond the {axes}" + (f" ({parts})" if parts else "")


def share_words(n: int, of: int) -> str:
    """Return a small share in words that never say none of some: ``1.2 %``, ``< 0.1 %``.

    Parameters
    ----------
    n, of
        Events, and of how many.
    """
    percent = 100.0 * n / of if of else float("nan")
    return "< 0.1 %" if 0 < percent < 0.1 else f"{percent:.1f} %"


def bin_values(values: Sequence[Array], scales: Sequence[DisplayScale], bins: int) -> EventBins:
    """Count events in bins.

    Parameters
    ----------
    values
        Coordinates on the display scale, an array an axis, x first.
    scales
        The axes.
    bins
        Of each axis.
    """
    inside = np.ones(len(values[0]), dtype=np.bool_)
    shares: list[Array] = []
    sides: dict[str, int] = {}
    for place, (value, scale) in enumerate(zip(values, scales, strict=True)):
        share = (value - scale.low) * (bins / (scale.high - scale.low))
        within, above = share >= 0.0, share > bins  # false where there is no number
        sides |= dict(zip(SIDES[2 * place :], _outside(within, above), strict=False))
        inside &= within & ~above
        shares.append(share)
    whole = bool(inside.all())
    index = np.zeros(int(np.count_nonzero(inside)), dtype=np.int32)
    for share in reversed(shares):
        index *= bins
        index += np.minimum((share if whole else share[inside]).astype(np.int32), bins - 1)
    counts = np.bincount(index, minlength=bins ** len(values)).astype(np.uint32)
    return EventBins(counts.reshape((bins,) * len(values)), len(values[0]), sides)


def _outside(within: Mask, above: Mask) -> tuple[int, int]:
    """Return the events below and above an axis."""
    return len(within) - int(np.count_nonzero(within)), int(np.count_nonzero(above))


def bin_tube(
    axes: GateAxes, dimensions: Sequence[Dimension], scales: Sequence[DisplayScale], bins: int, mask: Mask | None = None
) -> EventBins:
    """Count a tube's events in bins, block by block.

    Parameters
    ----------
    axes
        Of the tube.
    dimensions, scales
        One or two.
    bins
        Of each axis.
    mask
        The events that are counted; None for all.
    """
    counts = np.zeros((bins,) * len(dimensions), dtype=np.uint32)
    n, sides = 0, dict.fromkeys(SIDES[: 2 * len(dimensions)], 0)
    for start in range(0, axes.tube.n_events, _BLOCK):
        block = axes.block(start, start + _BLOCK)
        values = [block.axis(dimension) for dimension in dimensions]
        if mask is not None:
            values = [value[mask[start : start + _BLOCK]] for value in values]
        part = bin_values(values, scales, bins)
        counts += part.counts
        n += part.n_events
        sides = {side: sides[side] + part.sides[side] for side in sides}
    return EventBins(counts, n, sides)
