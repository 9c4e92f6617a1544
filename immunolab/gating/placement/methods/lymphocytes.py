"""The lymphocyte cloud in forward and side scatter, with or without dividing cells."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from immunolab.gating.method_registry import Parameter, threshold_method
from immunolab.gating.method_results import Array, Band, Cloud
from immunolab.gating.placement.density import ENOUGH_EVENTS, robust_sd
from immunolab.schema.flags import Flag

# squared Mahalanobis radii that hold 99.9 % and 95 % of a bivariate normal: chi-square, 2 degrees of freedom
_SQUARE_OF_999, _SQUARE_OF_95 = 13.8, 6.0
# size of dividing lymphocytes over resting ones in forward and side scatter (judgement: blasts stay in, monocytes with
# their higher side scatter stay out)
_BLAST_SCATTER = (1.3, 1.45)
_OUTLINE = 48  # corners of each ellipse before their hull: a 48-gon holds 99.7 % of its circle's area
_ROUNDS = 15  # rounds of truncated moments (judgement: time against convergence)
_SQUARE_TRIMMED = 4.0  # events within radius 2 make the moments: neighbours' tails are outside (judgement)
# widest the cloud may become in these rounds, times the first spread of either axis (judgement, 2026-11-26: without a
# limit it takes in the neighbouring cloud in a third of fifteen tubes of whole blood)
_WIDEST = 1.5
_PILE = 0.001  # share of events at the highest value from which they are piled up there (judgement)
_VARIANCE_KEPT = 0.687  # share of its variance a bivariate normal keeps within radius 2: (1 - 3 / e^2) / (1 - 1 / e^2)
# search of the summits, in shares and histogram bins (all judgement)
_TOP = 0.995  # the brightest events do not stretch the histogram
_GRID = 96  # bins of each axis
_SMOOTHING, _FEW_SMOOTHING, _FEW = 2.0, 4.0, 3000  # kernel sd in bins; wider under 3,000 events, which are ragged
_NEIGHBOURHOOD = 9  # bins on a side in which a summit is the highest
_LEAST_SUMMIT = 0.05  # a candidate's height over the highest summit
_DEBRIS = 0.45  # candidates with less forward scatter than this share of the largest are debris
_NEAR = (0.35, 0.6)  # half-widths around a summit, share of its scatter, for the first spread


@threshold_method(
    "lymphocytes",
    wants="pair",
    control="density",
    assumes="lymphocytes are the cloud of least side scatter that is not debris",
    parameters=(
        Parameter("distance_square", _SQUARE_OF_999, "", "squared Mahalanobis radius of the ellipse"),
        Parameter("blasts", False, "", "true: stretched to hold dividing cells, which are larger"),
    ),
    reference="Loken et al. 1990, Cytometry 11:453",
    channels=("FSC-A", "SSC-A"),
)
def lymphocytes(x: Array, y: Array, *, distance_square: float = _SQUARE_OF_999, blasts: bool = False) -> Cloud | Band:
    """Return an ellipse around the lymphocyte cloud in forward and side scatter (Loken et al. 1990).

    Summits of the smoothed two-dimensional histogram are candidates; those with much less forward scatter than the
    largest are debris; of the rest the one with the least side scatter is the cloud. Its covariance comes from
    iterated truncated moments.

    Parameters
    ----------
    x, y
        Forward and side scatter, linear.
    distance_square
        Squared Mahalanobis radius; 13.8 keeps 99.9 % of a normal cloud.
    blasts
        Stretch the ellipse to a polygon that also holds dividing cells, which are larger (1.3 times the forward and
        1.45 times the side scatter), and those of more side scatter alone, as after fixation. IL-2 makes Treg divide:
        a gate without blasts loses part of the drug's effect.
    """
    usable = np.isfinite(x) & np.isfinite(y) & (x > 0)
    points = np.stack([x[usable], y[usable]])
    if points.shape[1] < ENOUGH_EVENTS:
        centre = np.median(points, axis=1) if points.shape[1] else np.array([1.0, 1.0])
        # a tenth of the scatter: a wide guess that holds the few events there are (judgement)
        spread = np.array([robust_sd(row) for row in points]) + 0.1 * np.abs(centre)
        return _cloud(centre, np.diag(spread**2), distance_square, (Flag.TOO_FEW_EVENTS,))
    points = points[:, ~_piled(points)]
    centre, spread = _lymphocyte_summit(points)
    covariance = np.diag(spread**2)
    for _ in range(_ROUNDS):
        inside = _distance(points, centre, covariance) <= _SQUARE_TRIMMED
        if inside.sum() < ENOUGH_EVENTS // 2:
            break
        wider = np.cov(points[:, inside]) / _VARIANCE_KEPT
        if (np.diag(wider) > (_WIDEST * spread) ** 2).any():
            break
        centre, covariance = points[:, inside].mean(axis=1), wider
    cloud = _cloud(centre, covariance, distance_square, ())
    return _with_blasts(cloud) if blasts else cloud


def _piled(points: Array) -> NDArray[np.bool_]:
    """Return the events at the end of either axis, where many are: the detector ends there and they are no group."""
    at_end = points >= points.max(axis=1)[:, None]
    return np.asarray((at_end & (at_end.mean(axis=1) > _PILE)[:, None]).any(axis=0))


def _with_blasts(cloud: Cloud) -> Band:
    """Return the convex hull of the cloud's ellipse, of the larger one of blasts, and of one of more side scatter."""
    factor, granular = np.diag(_BLAST_SCATTER), np.diag((1.0, _BLAST_SCATTER[1]))
    mean, covariance = np.array(cloud.mean), np.array(cloud.covariance)
    angle = np.linspace(0, 2 * np.pi, _OUTLINE + 1)[:-1]
    circle = np.stack([np.cos(angle), np.sin(angle)])

    def edge(centre: Array, spread: Array, square: float) -> Array:
        return np.asarray(centre[:, None] + np.linalg.cholesky(spread) @ circle * np.sqrt(square))

    small = edge(mean, covariance, cloud.distance_square)
    large = edge(factor @ mean, factor @ covariance @ factor, _SQUARE_OF_95)
    rough = edge(granular @ mean, granular @ covariance @ granular, cloud.distance_square)
    points = np.concatenate([small, large, rough], axis=1).T
    from scipy.spatial import ConvexHull

    corners = points[ConvexHull(points).vertices]
    return Band(tuple((float(a), float(b)) for a, b in corners), cloud.flags)


def _lymphocyte_summit(points: Array) -> tuple[Array, Array]:
    """Return the lymphocytes' summit and a first spread on each axis."""
    top = np.quantile(points, _TOP, axis=1)
    inside = (points <= top[:, None]).all(axis=0)
    limits = [[0.0, float(top[0])], [0.0, float(top[1])]]
    counts, x_edges, y_edges = np.histogram2d(points[0, inside], points[1, inside], bins=_GRID, range=limits)
    width = _SMOOTHING if points.shape[1] > _FEW else _FEW_SMOOTHING
    from scipy.ndimage import gaussian_filter, maximum_filter

    density = gaussian_filter(counts, width, mode="constant")
    summit = (density == maximum_filter(density, _NEIGHBOURHOOD)) & (density > _LEAST_SUMMIT * density.max())
    rows, columns = np.nonzero(summit)
    fsc = (x_edges[rows] + x_edges[rows + 1]) / 2
    ssc = (y_edges[columns] + y_edges[columns + 1]) / 2
    cells = np.flatnonzero(fsc >= _DEBRIS * fsc.max())
    pick = cells[int(np.argmin(ssc[cells]))]
    centre = np.array([fsc[pick], ssc[pick]])
    reach = np.array([_NEAR[0] * fsc[pick], _NEAR[1] * ssc[pick]])
    near = points[:, (np.abs(points - centre[:, None]) < reach[:, None]).all(0)]
    spread = np.array([robust_sd(row) for row in near])
    return centre, np.maximum(spread, 0.02 * np.abs(centre) + 1e-9)  # never flat: 2 % of the scatter at least


def _distance(points: Array, centre: Array, covariance: Array) -> Array:
    x, y = points - centre[:, None]
    (a, b), (c, d) = np.linalg.pinv(covariance)
    return np.asarray(x * a * x + x * b * y + y * c * x + y * d * y)


def _cloud(centre: Array, covariance: Array, distance_square: float, flags: tuple[str, ...]) -> Cloud:
    (a, b), (c, d) = covariance.tolist()
    return Cloud((float(centre[0]), float(centre[1])), ((a, b), (c, d)), distance_square, flags)
