"""Where a marker's negative and positive events are, and which markers tell clusters apart."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from immunolab.clustering.clusters import Clusters
from immunolab.clustering.names import two_levels
from immunolab.events.transforms import Transform, noise_cofactor

Array = NDArray[np.float64]

# arcsinh units, also of scales that are like arcsinh near zero, of which noise around zero has two thirds as its sd: a
# median below the first is within it, and stained populations are beyond the second (judgement; ten times the cofactor,
# as CD4 and CD8 of the shared tubes are and more)
_IN_NOISE, _POSITIVE = 1.0, 3.0
_LEAST_GAP = 1e-9  # a marker with one level only has no way from negative to positive


@dataclass(frozen=True)
class MarkerLevels:
    """Levels of markers, on the scale that clusters were found on.

    Attributes
    ----------
    low, high
        Of the negative and of the positive events of each marker.
    parting
        Markers with negative and positive events: by these clusters are named.
    absent
        Markers that no group of events has.
    """

    low: Array
    high: Array
    parting: tuple[str, ...]
    absent: tuple[str, ...]

    def of(self, values: NDArray[np.float32], markers: Sequence[str]) -> dict[str, Array]:
        """Return where values are on the way from negative (0) to positive (1), by marker.

        Parameters
        ----------
        values
            Of events or of a cluster's median, one a marker on the last axis.
        markers
            Their names.
        """
        base, gap = self.low.astype(np.float32), np.maximum(self.high - self.low, _LEAST_GAP).astype(np.float32)
        return dict(zip(markers, np.moveaxis((values - base) / gap, -1, 0).astype(np.float64), strict=True))


def marker_levels(
    found: Clusters, medians: NDArray[np.float32], markers: Sequence[str], scales: Mapping[str, Transform]
) -> MarkerLevels:
    """Return the levels of markers, by all events and else by clusters.

    Events that are one or two in a hundred make no second group of all events, as CD25+ ones of blood: Treg were named
    naive or Th2 cells. On a scale with unstained events around zero it is known which clusters are positive and which
    negative, and where none is positive, that the marker is absent.

    Parameters
    ----------
    found
        Clusters, with their training sample.
    medians
        Clusters x markers, as the sample is scaled; not a number where a cluster is empty.
    markers
        Of the sample's columns.
    scales
        Display scales, as far as they are known. On those that are linear around zero (arcsinh, logicle, biex) the
        unstained events are there.
    """
    low, high, apart = np.array([two_levels(column.astype(np.float64)) for column in found.sample.T]).T
    shown = np.array([_around_zero(scales.get(marker)) for marker in markers])
    at_zero, noise, positive = ((shown - found.low[:, None]) / found.width[:, None]).T
    one_level = (apart == 0) & np.isfinite(shown).all(axis=1)
    stained, plain = medians >= positive, medians < noise
    rare = one_level & stained.any(axis=0) & plain.any(axis=0)
    absent = one_level & ~stained.any(axis=0) & (np.median(found.sample, axis=0) < noise)
    low, high = np.where(absent, at_zero, low), np.where(absent, positive, high)
    size = np.bincount(found.labels, minlength=len(medians)).astype(np.float64)
    low, high = (
        np.where(rare, _mean(medians, size[:, None] * group), level) for group, level in ((plain, low), (stained, high))
    )
    parting, lacking = (
        tuple(marker for marker, yes in zip(markers, of, strict=True) if yes) for of in ((apart > 0) | rare, absent)
    )
    return MarkerLevels(low, high, parting, lacking)


def _around_zero(scale: Transform | None) -> Array:
    """Return zero, the end of noise and where stained populations begin on a display scale; NaN where unknown."""
    cofactor = noise_cofactor(scale) if scale is not None else None
    if scale is None or cofactor is None:
        return np.full(3, np.nan)
    return np.asarray(scale.apply(cofactor * np.sinh([0.0, _IN_NOISE, _POSITIVE])))


def _mean(medians: NDArray[np.float32], weights: Array) -> Array:
    """Return the weighted mean of each column; 0 where nothing has weight."""
    total = weights.sum(axis=0)
    return np.asarray((np.nan_to_num(medians) * weights).sum(axis=0) / np.where(total > 0, total, 1.0))
