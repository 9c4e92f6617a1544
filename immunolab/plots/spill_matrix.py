"""All pairs of stained channels in one picture, to look for spillover that is left or taken too much."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from immunolab.events.transforms import Transform
from immunolab.plots.event_bins import bin_values
from immunolab.plots.scales import DisplayScale
from immunolab.plots.style import MM, SMALL, WIDTH

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Array = NDArray[np.float64]
_GAP = 2  # pixels between two pairs
_TREND = 12  # parts of a dye's range in which the median of the detector is taken
_FEWEST = 50  # events of a part that has a median


def matrix_size(n: int) -> float:
    """Return the side in inches at which the pairs of so many channels can be read.

    Parameters
    ----------
    n
        Channels.
    """
    return float(min(WIDTH * 1.6, (52 + 10 * n) * MM))


def spill_matrix(ax: Axes, points: Array, scales: Sequence[DisplayScale], transforms: Sequence[Transform]) -> Axes:
    """Draw pairs of channels: a row a detector, a column a dye, both on display scales, with lines at zero.

    Parameters
    ----------
    ax
        Axes drawn on; a pair is a square of side 1.
    points
        Events x channels, display scales.
    scales, transforms
        Of each channel.
    """
    from matplotlib.collections import LineCollection

    n = len(scales)
    bins = 48 if n <= 12 else 32
    picture = np.full((n * bins, n * bins), np.nan)
    whole = (bins - _GAP) / bins
    zero_of = [float(transform.apply(np.zeros(1))[0]) for transform in transforms]
    zeros: list[Array] = []
    trends: list[Array] = []
    for row in range(n):
        for column in range(n):
            if row == column:
                continue
            pair = (scales[column], scales[row])
            counts = bin_values([points[:, column], points[:, row]], pair, bins - _GAP).counts.astype(np.float64)
            shade = np.sqrt(counts / counts.max()) if counts.max() else counts
            shade[counts == 0] = np.nan
            block = slice(row * bins, (row + 1) * bins - _GAP), slice(column * bins, (column + 1) * bins - _GAP)
            picture[block] = shade[::-1]
            at = [_share(scale, float(zero)) for scale, zero in zip(pair, (zero_of[column], zero_of[row]), strict=True)]
            ends = [np.array([(at[0], 0.0), (at[0], 1.0)]), np.array([(0.0, at[1]), (1.0, at[1])])]
            zeros += [_placed(line, row, column, whole) for line, x in zip(ends, at, strict=True) if 0 < x < 1]
            trends.append(_placed(_trend(points[:, column], points[:, row], pair), row, column, whole))
    ax.imshow(picture, extent=(0, n, n, 0), origin="upper", aspect="auto", cmap="viridis", interpolation="nearest")
    ax.add_collection(LineCollection(zeros, colors="#777777", linewidths=0.4, zorder=2), autolim=False)
    ax.add_collection(LineCollection(trends, colors="#D55E00", linewidths=1.1, zorder=3), autolim=False)
    _frame(ax, scales)
    return ax


def _placed(line: Array, row: int, column: int, whole: float) -> Array:
    """Return points of a pair, shares of its axes, on the axes of all pairs."""
    return np.column_stack([column + whole * line[:, 0], row + whole * (1.0 - line[:, 1])])


def _share(scale: DisplayScale, value: float) -> float:
    return (value - scale.low) / (scale.high - scale.low)


def _trend(x: Array, y: Array, scales: Sequence[DisplayScale]) -> Array:
    """Return the median of y in parts of the range of x, as shares of the axes."""
    share = _share_of(x, scales[0])
    place = np.clip((share * _TREND).astype(np.intp), 0, _TREND - 1)
    inside = (share >= 0) & (share <= 1)
    found = []
    for part in range(_TREND):
        own = y[inside & (place == part)]
        if len(own) >= _FEWEST:
            height = float(np.clip(_share(scales[1], float(np.median(own))), 0.0, 1.0))
            found.append(((part + 0.5) / _TREND, height))
    return np.array(found, dtype=np.float64).reshape(-1, 2)


def _share_of(values: Array, scale: DisplayScale) -> Array:
    return np.nan_to_num((values - scale.low) / (scale.high - scale.low), nan=-1.0, posinf=2.0, neginf=-1.0)


def _frame(ax: Axes, scales: Sequence[DisplayScale]) -> None:
    """Name the channels at the sides and on the diagonal."""
    n = len(scales)
    names = [scale.label for scale in scales]
    for place, name in enumerate(names):
        short = name.split(" (")[0]
        ax.text(place + 0.49, place + 0.5, short, fontsize=min(SMALL, 60 / max(n, 1) + 2.5), ha="center", va="center")
    ax.set_xticks(np.arange(n) + 0.5, names, rotation=60, ha="right", rotation_mode="anchor")
    ax.set_yticks(np.arange(n) + 0.5, names)
    ax.tick_params(length=0, labelsize=SMALL)
    ax.set(xlim=(0, n), ylim=(n, 0))
    ax.set_xlabel("dye")
    ax.set_ylabel("detector")
    for spine in ax.spines.values():
        spine.set_visible(False)
