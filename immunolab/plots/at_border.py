"""How many events are at the border of each gate, and where its outline is: of the bins of a gating figure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from immunolab.plots.gate_views import GateView
from immunolab.plots.scales import DisplayScale

_BESIDE = 1  # bins to either side that are still at the border: a border is within half a bin of its own bin's middle
_STEPS = 2  # points a bin along a line, so that no bin that it crosses is left out
Array = NDArray[np.float64]


def border_rows(views: Iterable[GateView]) -> Iterator[dict[str, object]]:
    """Yield rows of `AT_BORDER`: one a line of a gate's outline; a gate without an outline has none.

    Parameters
    ----------
    views
        Of one tube.
    """
    for view in views:
        for number, line in enumerate(view.lines):
            axes = (view.x,) if view.y is None else (view.x, view.y)
            points = np.atleast_1d(line).reshape(-1, len(axes)).astype(np.float64)
            places = np.column_stack([_share(points[:, i], axis) for i, axis in enumerate(axes)])
            ends = [_ends(points[:, i], axis) for i, axis in enumerate(axes)]
            (x_low, x_high), (y_low, y_high) = [*ends, (None, None)][:2]
            yield {
                "sample_id": view.sample_id, "path": view.path, "part": view.part or None, "line": number,
                "x_marker": view.x.marker or None, "y_marker": (view.y.marker if view.y else "") or None,
                "n_at_border": _events_at(places, view.counts), "n_drawn": view.n_drawn,
                "x_low": x_low, "x_high": x_high, "y_low": y_low, "y_high": y_high,
            }  # fmt: skip


def _share(values: Array, axis: DisplayScale) -> Array:
    return (values - axis.low) / (axis.high - axis.low)


def _ends(values: Array, axis: DisplayScale) -> tuple[float | None, float | None]:
    """Return where a line ends; nothing where it reaches the end of the axis, which an open side does."""
    low, high = float(values.min()), float(values.max())
    return (low if axis.low < low < axis.high else None), (high if axis.low < high < axis.high else None)


def _events_at(places: Array, counts: NDArray[np.uint32]) -> int:
    """Return the events of all bins within one bin of a line; places are shares of the axes."""
    bins = counts.shape[0]
    if places.shape[1] == 1:
        at = [round(float(place) * bins - 0.5) for place in places[:, 0] if -0.5 <= place <= 1.5]
        return int(sum(int(counts[max(0, i - _BESIDE) : max(0, i + _BESIDE + 1)].sum()) for i in at))
    crossed = np.zeros((bins, bins), dtype=np.bool_)
    for start, end in pairwise(places):
        steps = _STEPS * bins * max(1, int(np.ceil(np.abs(end - start).max())))
        along = start + np.linspace(0.0, 1.0, min(steps, 50 * bins))[:, None] * (end - start)
        seen = along[((along >= 0.0) & (along <= 1.0)).all(axis=1)]
        column, row = np.minimum((seen * bins).astype(np.intp), bins - 1).T
        crossed[row, column] = True
    return int(counts[_wider(crossed)].sum())


def _wider(crossed: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return bins that are crossed, and those beside them."""
    padded = np.pad(crossed, _BESIDE)
    steps = range(2 * _BESIDE + 1)
    n, m = crossed.shape
    return np.asarray(
        np.logical_or.reduce([padded[i : i + n, j : j + m] for i in steps for j in steps]), dtype=np.bool_
    )
