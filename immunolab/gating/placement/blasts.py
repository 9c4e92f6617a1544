"""Dividing and activated lymphocytes in forward and side scatter: the resting cells' cloud, stretched to hold them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from immunolab.compiled import compiled
from immunolab.gating.method_results import Array, Band, Cloud

# size of dividing lymphocytes over resting ones in forward and side scatter (judgement: blasts stay in, monocytes with
# their higher side scatter stay out)
_FORWARD, _SIDE = 1.3, 1.45
_STEEPER = float(np.log(_SIDE) / np.log(_FORWARD))  # side scatter grows with this power of forward scatter
_SQUARE_OF_95 = 6.0  # squared Mahalanobis radius that holds 95 % of a bivariate normal: chi-square, 2 degrees
# sizes that are tried, times the resting cells' forward scatter: to four times it, in steps over which ellipses of this
# radius overlap (judgement; mouse T cells after two days with peptide reach 3.7, 2026-11-26)
_SIZES = 1.15 ** np.arange(1, 11)
# share of larger cells that carry the lineage marker, over that of the resting cloud, from which they are lymphocytes
# (judgement: half; of blood's larger cells a tenth to a third carry CD3, where not of blasts)
_AS_OFTEN = 0.5
_FEWEST = 20  # events of one size under which its share says nothing (judgement: its standard error is then 0.1)
_OUTLINE = 48  # corners of each ellipse before their hull: a 48-gon holds 99.7 % of its circle's area


def larger_cells(points: Array, carries: NDArray[np.bool_], cloud: Cloud) -> tuple[float, float]:
    """Return up to which size, and up to which side scatter alone, further events are lymphocytes.

    Of growing ellipses the largest is taken whose own events carry the marker at least half as often as the resting
    cells, and so do all events between the two.

    Parameters
    ----------
    points
        Forward and side scatter, linear, of shape (2, events).
    carries
        Which events carry a marker of lymphocytes.
    cloud
        Of resting cells.

    Returns
    -------
    tuple of (float, float)
        Times the scatter of resting cells, forward and (of cells of their size) side; 1 where no further events are.
    """
    resting = _within(points, cloud, (1.0, 1.0), cloud.distance_square)
    least = _AS_OFTEN * float(carries[resting].mean()) if resting.any() else 0.0
    larger = [(float(size), float(size**_STEEPER)) for size in _SIZES]
    granular = [(1.0, float(size)) for size in _SIZES]
    found = [_farthest(points, carries, cloud, resting, steps, least) for steps in (larger, granular)]
    return found[0][0], found[1][1]


def _farthest(
    points: Array,
    carries: NDArray[np.bool_],
    cloud: Cloud,
    resting: NDArray[np.bool_],
    steps: Sequence[tuple[float, float]],
    least: float,
) -> tuple[float, float]:
    """Return the last factors of forward and side scatter at which, and up to which, events carry the marker."""
    ring = _first_within(points, np.array(steps), *_centre_and_inverse(cloud.mean, cloud.covariance), resting)
    of_ring, carrying = (np.bincount(one, minlength=len(steps) + 1) for one in (ring, ring[carries]))
    farthest, total, positive = (1.0, 1.0), 0, 0
    for factors, n, n_positive in zip(steps, of_ring.tolist(), carrying.tolist(), strict=False):
        total, positive = total + n, positive + n_positive
        if n >= _FEWEST and n_positive >= least * n and positive >= least * total:
            farthest = factors
    return farthest


def stretched(cloud: Cloud, size: float, granular: float, blasts: bool) -> Band:
    """Return the convex hull of a cloud's ellipse and of those of larger cells.

    Parameters
    ----------
    cloud
        Of resting cells.
    size
        Forward scatter of the largest cells, times that of the resting ones.
    granular
        Side scatter of the most granular cells of the resting ones' size, times theirs.
    blasts
        Whether cells of 1.3 times the forward scatter, and those of 1.45 times the side scatter alone, are held in
        any case.
    """
    larger = max(size, _FORWARD) if blasts else size
    shapes = [((larger, larger**_STEEPER), _SQUARE_OF_95), ((1.0, granular), _SQUARE_OF_95)]
    if blasts:
        shapes.append(((1.0, _SIDE), cloud.distance_square))
    edges = [_edge(cloud, factors, square) for factors, square in [((1.0, 1.0), cloud.distance_square), *shapes]]
    points = np.concatenate(edges, axis=1).T
    from scipy.spatial import ConvexHull

    corners = points[ConvexHull(points).vertices]
    return Band(tuple((float(a), float(b)) for a, b in corners), cloud.flags)


def _within(points: Array, cloud: Cloud, factors: tuple[float, float], square: float) -> NDArray[np.bool_]:
    """Return the events within the ellipse of cells with so many times the forward and side scatter."""
    return mahalanobis_square(points, cloud.mean, cloud.covariance, factors) <= square


def mahalanobis_square(
    points: Array, mean: ArrayLike, covariance: ArrayLike, factors: tuple[float, float] = (1.0, 1.0)
) -> Array:
    """Return the squared Mahalanobis distance of each event.

    Parameters
    ----------
    points
        Of shape (2, events).
    mean, covariance
        Of the group they are measured from.
    factors
        By which the two axes are divided first.
    """
    return np.asarray(_squares(points, factors, *_centre_and_inverse(mean, covariance)), dtype=np.float64)


def _centre_and_inverse(mean: ArrayLike, covariance: ArrayLike) -> tuple[Array, Array]:
    inverse = np.ascontiguousarray(np.linalg.pinv(np.array(covariance, dtype=np.float64)))
    return np.asarray(mean, dtype=np.float64), inverse


@compiled
def _squares(points, factors, mean, inverse):  # type: ignore[no-untyped-def]
    (u, v), (width, height) = points, factors
    found = np.empty(len(u))
    for i in range(len(u)):
        x, y = u[i] / width - mean[0], v[i] / height - mean[1]
        found[i] = x * inverse[0, 0] * x + x * inverse[0, 1] * y + y * inverse[1, 0] * x + y * inverse[1, 1] * y
    return found


@compiled
def _first_within(points, steps, mean, inverse, skipped):  # type: ignore[no-untyped-def]
    """Return at which of growing ellipses an event is first inside; the number of ellipses for others."""
    u, v = points
    found = np.full(len(u), len(steps))
    for i in range(len(u)):
        if skipped[i]:
            continue
        for k in range(len(steps)):
            x, y = u[i] / steps[k, 0] - mean[0], v[i] / steps[k, 1] - mean[1]
            square = x * inverse[0, 0] * x + x * inverse[0, 1] * y + y * inverse[1, 0] * x + y * inverse[1, 1] * y
            if square <= _SQUARE_OF_95:
                found[i] = k
                break
    return found


def _edge(cloud: Cloud, factors: tuple[float, float], square: float) -> Array:
    scale = np.diag(factors)
    angle = np.linspace(0, 2 * np.pi, _OUTLINE + 1)[:-1]
    circle = np.stack([np.cos(angle), np.sin(angle)])
    spread = np.linalg.cholesky(scale @ np.array(cloud.covariance) @ scale)
    return np.asarray((scale @ np.array(cloud.mean))[:, None] + spread @ circle * np.sqrt(square))
