"""The smoothed density of events in forward and side scatter: its summits, and which events climb to one of them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from immunolab.gating.method_results import Array, Band, Cloud

# search of the summits, in shares and histogram bins (all judgement)
_TOP = 0.995  # the brightest events do not stretch the histogram
_BINS = 96  # bins of each axis
_SMOOTHING, _FEW_SMOOTHING, _FEW = 2.0, 4.0, 3000  # kernel sd in bins; wider under 3,000 events, which are ragged
_NEIGHBOURHOOD = 9  # bins on a side in which a summit is the highest
_LEAST_SUMMIT = 0.05  # a candidate's height over the highest summit
_DEBRIS = 0.45  # summits with less forward scatter than this share of the largest are debris
# side scatter over that of the least granular summit up to which another may be the lymphocytes' (judgement: dead and
# living ones differ by less, monocytes have 2.5 times as much)
_AS_GRANULAR = 2.0
# least density on the straight way from an event to its summit, share of the density at the event: a valley on the way
# is a fifth deep or more (judgement: twice the drop that parts two groups on one axis, as these are ragged)
_ON_THE_WAY = 0.8
_STEPS = 32  # points on that way: every third bin of the longest


@dataclass(frozen=True)
class ScatterGrid:
    """Counts and smoothed density in bins of forward and side scatter.

    Attributes
    ----------
    counts, density
        Events in each bin (forward x side), as they are and smoothed by a normal kernel.
    width
        Size of a bin, forward and side.
    smoothing
        Standard deviation of the kernel, bins.
    """

    counts: Array
    density: Array
    width: Array
    smoothing: float

    @classmethod
    def of(cls, points: Array) -> ScatterGrid:
        """Return the grid of events.

        Parameters
        ----------
        points
            Forward and side scatter, linear, of shape (2, events).
        """
        width = np.quantile(points, _TOP, axis=1) / _BINS
        smoothing = _SMOOTHING if points.shape[1] > _FEW else _FEW_SMOOTHING
        counts = _counts(points, width)
        return cls(counts, _smooth(counts, smoothing), width, smoothing)

    def place(self, bin_: tuple[int, int]) -> Array:
        """Return the middle of a bin: forward and side scatter."""
        return (np.array(bin_) + 0.5) * self.width

    def summits(self) -> list[tuple[int, int]]:
        """Return the bins of all summits, least side scatter first."""
        from scipy.ndimage import maximum_filter

        summit = self.density == maximum_filter(self.density, _NEIGHBOURHOOD)
        rows, columns = np.nonzero(summit & (self.density > _LEAST_SUMMIT * self.density.max()))
        found = [(int(i), int(j)) for i, j in zip(rows, columns, strict=True)]
        return sorted(found, key=lambda one: one[1])

    def least_granular(self, summits: list[tuple[int, int]]) -> tuple[int, int]:
        """Return the summit of least side scatter that is not debris.

        Parameters
        ----------
        summits
            As `summits` returns them.
        """
        large = max(i + 0.5 for i, _ in summits)
        return next(one for one in summits if one[0] + 0.5 >= _DEBRIS * large)

    def densest(self, points: Array, summits: list[tuple[int, int]], first: tuple[int, int]) -> tuple[int, int]:
        """Return at which summit, of those hardly more granular than the first guess, some of the events are densest.

        Parameters
        ----------
        points
            Of these events, as in `of`.
        summits
            As `summits` returns them.
        first
            One of them.
        """
        density = _smooth(_counts(points, self.width), self.smoothing)
        alike = [one for one in summits if one[1] + 0.5 <= _AS_GRANULAR * (first[1] + 0.5)]
        return max(alike, key=lambda one: density[one])

    def share_held(self, region: Band | Cloud, cloud: Cloud) -> float:
        """Return which share of the events that belong to a cloud a region holds.

        An event belongs to the cloud where the density has no valley on the straight way to its summit: cells that go
        over into it do, those beyond a valley (debris, monocytes) do not.

        Parameters
        ----------
        region
            In forward and side scatter.
        cloud
            Whose summit it is.
        """
        i, j = np.indices(self.density.shape)
        top = self._summit_near(np.array(cloud.mean))
        lowest = np.full(self.density.shape, np.inf)
        for share in np.linspace(0, 1, _STEPS + 1)[1:]:
            way = np.rint(i + (top[0] - i) * share).astype(int), np.rint(j + (top[1] - j) * share).astype(int)
            lowest = np.minimum(lowest, self.density[way])
        own = np.where(lowest >= _ON_THE_WAY * self.density, self.counts, 0.0)
        return float(own[self._inside(region)].sum() / max(own.sum(), 1.0))

    def _summit_near(self, place: Array) -> tuple[int, int]:
        """Return the bin that is reached by climbing from a place."""
        here = tuple(np.clip((place / self.width).astype(int), 0, _BINS - 1))
        while True:
            low = [max(k - 1, 0) for k in here]
            around = self.density[low[0] : here[0] + 2, low[1] : here[1] + 2]
            step = np.unravel_index(int(around.argmax()), around.shape)
            there = (low[0] + int(step[0]), low[1] + int(step[1]))
            if self.density[there] <= self.density[here]:
                return int(here[0]), int(here[1])
            here = there

    def _inside(self, region: Band | Cloud) -> NDArray[np.bool_]:
        """Return the bins whose middle is in a region."""
        from immunolab.gating.geometry import INSIDE, in_ellipsoid, in_polygon

        x, y = (np.indices(self.density.shape) + 0.5) * self.width[:, None, None]
        every = np.ones(x.size, dtype=np.bool_)
        if isinstance(region, Band):
            code = in_polygon(x.ravel(), y.ravel(), region.vertices, every)
        else:
            both = np.stack([x.ravel(), y.ravel()])
            code = in_ellipsoid(both, region.mean, region.covariance, region.distance_square, every)
        return np.asarray(code == INSIDE).reshape(x.shape)


def _counts(points: Array, width: Array) -> Array:
    limits = [(0.0, _BINS * float(one)) for one in width]
    inside = (points <= _BINS * width[:, None]).all(axis=0)
    counts: Array = np.histogram2d(points[0, inside], points[1, inside], bins=_BINS, range=limits)[0]
    return counts


def _smooth(counts: Array, smoothing: float) -> Array:
    from scipy.ndimage import gaussian_filter

    return np.asarray(gaussian_filter(counts, smoothing, mode="constant"))
