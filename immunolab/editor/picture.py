"""The events of one population binned over the picture's axes; what is beyond an axis is counted, not drawn."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from immunolab.editor.axes import EditorAxis

BINS = 128  # of an axis: three to four pixels each
Array = NDArray[np.float64]


@dataclass(frozen=True)
class Picture:
    """Events of a population in bins.

    Attributes
    ----------
    counts
        ``(BINS, BINS)`` with y first, or ``(BINS,)`` for a histogram.
    n_events
        Events of the population.
    beyond
        Events that are not drawn, by side: ``left``, ``right``, ``bottom``, ``top``, and ``without_place`` where the
        scale has none for their value. An event beyond two sides is counted at the first of these.
    """

    counts: NDArray[np.int64]
    n_events: int
    beyond: dict[str, int]

    def shades(self) -> NDArray[np.uint8]:
        """Return 0..255 for each bin, by the square root of its count: 0 only where it is empty."""
        most = max(1, int(self.counts.max(initial=0)))
        shades = np.ceil(255.0 * np.sqrt(self.counts / most))
        return shades.astype(np.uint8)


def picture(x: Array, y: Array | None, axes: tuple[EditorAxis, EditorAxis | None]) -> Picture:
    """Return events in bins.

    Parameters
    ----------
    x, y
        The population's events on the axes' display scales; no ``y`` for a histogram.
    axes
        The axes with their ends.
    """
    beyond: dict[str, int] = {}
    drawn, missing = np.ones(len(x), dtype=np.bool_), np.zeros(len(x), dtype=np.bool_)
    index = np.zeros(len(x), dtype=np.intp)
    for values, axis, (low, high) in zip((x, y), axes, (("left", "right"), ("bottom", "top")), strict=True):
        if values is None or axis is None:
            continue
        place = axis.places(values)
        missing |= np.isnan(place)
        with np.errstate(invalid="ignore"):
            for side, out in ((low, place < 0.0), (high, place > 1.0)):
                beyond[side] = int(np.count_nonzero(out & drawn))
                drawn &= ~out
        bins = np.clip(np.nan_to_num(place) * BINS, 0, BINS - 1).astype(np.intp)
        index += bins * BINS if axis is axes[1] else bins
    beyond["without_place"] = int(np.count_nonzero(missing & drawn))
    drawn &= ~missing
    shape = (BINS,) if y is None else (BINS, BINS)
    counts = np.bincount(index[drawn], minlength=BINS ** len(shape)).reshape(shape)
    return Picture(counts, len(x), beyond)
