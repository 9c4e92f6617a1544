"""The lymphocyte cloud in forward and side scatter, with or without dividing cells."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from immunolab.gating.method_registry import Parameter, threshold_method
from immunolab.gating.method_results import Array, Band, Cloud
from immunolab.gating.placement.blasts import larger_cells, mahalanobis_square, stretched
from immunolab.gating.placement.density import ENOUGH_EVENTS, robust_sd
from immunolab.gating.placement.methods.valley import valley
from immunolab.gating.placement.scatter_grid import ScatterGrid
from immunolab.schema.flags import Flag

_SQUARE_OF_999 = 13.8  # squared Mahalanobis radius that holds 99.9 % of a bivariate normal: chi-square, 2 degrees
_ROUNDS = 15  # rounds of truncated moments (judgement: time against convergence)
_SQUARE_TRIMMED = 4.0  # events within radius 2 make the moments: neighbours' tails are outside (judgement)
# widest the cloud may become in these rounds, times the first spread of either axis (judgement, 2026-11-26: without a
# limit it takes in the neighbouring cloud in a third of fifteen tubes of whole blood)
_WIDEST = 1.5
_PILE = 0.001  # share of events at the highest value from which they are piled up there (judgement)
_VARIANCE_KEPT = 0.687  # share of its variance a bivariate normal keeps within radius 2: (1 - 3 / e^2) / (1 - 1 / e^2)
_NEAR = (0.35, 0.6)  # half-widths around a summit, share of its scatter, for the first spread (judgement)
# share of the events that go over into the cloud without a valley which the gate must hold to be set apart from its
# surroundings (judgement, 2026-11-26: 0.71 to 0.99 in blood, PBMC, gated spleen and
# simulated tubes; without back-gating 0.31 to 0.64 in cultured spleen)
_SET_APART = 0.6


@threshold_method(
    "lymphocytes",
    wants="pair_and_lineage",
    control="density",
    assumes="lymphocytes are the cloud of least side scatter that is not debris",
    parameters=(
        Parameter("distance_square", _SQUARE_OF_999, "", "squared Mahalanobis radius of the ellipse"),
        Parameter("blasts", False, "", "true: stretched to hold dividing cells, which are larger"),
    ),
    reference="Loken et al. 1990, Cytometry 11:453",
    channels=("FSC-A", "SSC-A"),
)
def lymphocytes(
    x: Array,
    y: Array,
    lineage: Array | None = None,
    *,
    distance_square: float = _SQUARE_OF_999,
    blasts: bool = False,
) -> Cloud | Band:
    """Return a region around the lymphocyte cloud in forward and side scatter (Loken et al. 1990).

    Summits of the smoothed two-dimensional histogram are candidates; those with much less forward scatter than the
    largest are debris; of the rest the one with the least side scatter is the cloud. Its covariance comes from
    iterated truncated moments.

    Where a marker of lymphocytes has a valley among the cloud's events, it shows more (back-gating): of summits of
    little side scatter that one is the cloud at which cells with the marker are densest, and the ellipse is stretched
    to larger cells as long as these carry it at least half as often.

    Parameters
    ----------
    x, y
        Forward and side scatter, linear.
    lineage
        A marker that lymphocytes carry, display scale; None where the panel has none.
    distance_square
        Squared Mahalanobis radius; 13.8 keeps 99.9 % of a normal cloud.
    blasts
        Stretch the ellipse in any case to a polygon that also holds dividing cells, which are larger (1.3 times the
        forward and 1.45 times the side scatter), and those of more side scatter alone, as after fixation. IL-2 makes
        Treg divide: a gate without blasts loses part of the drug's effect.

    Returns
    -------
    Cloud or Band
        An ellipse, or a polygon where it is stretched. Flagged ``not_set_apart`` where it holds under 60 % of the
        events that go over into its summit without a valley.
    """
    points, marker = _usable(x, y, lineage)
    if points.shape[1] < ENOUGH_EVENTS:
        centre = np.median(points, axis=1) if points.shape[1] else np.array([1.0, 1.0])
        # a tenth of the scatter: a wide guess that holds the few events there are (judgement)
        spread = np.array([robust_sd(row) for row in points]) + 0.1 * np.abs(centre)
        return _cloud(centre, np.diag(spread**2), distance_square, (Flag.TOO_FEW_EVENTS,))
    grid = ScatterGrid.of(points)
    summits = grid.summits()
    first = grid.least_granular(summits)
    cloud = _around(points, grid.place(first), distance_square)
    carries = None if marker is None else _carriers(points, marker, cloud)
    if carries is not None:
        densest = grid.densest(points[:, carries], summits, first)
        cloud = cloud if densest == first else _around(points, grid.place(densest), distance_square)
    size, granular = (1.0, 1.0) if carries is None else larger_cells(points, carries, cloud)
    region = stretched(cloud, size, granular, blasts) if blasts or max(size, granular) > 1 else cloud
    if grid.share_held(region, cloud) < _SET_APART:
        return replace(region, flags=(*region.flags, Flag.NOT_SET_APART))
    return region


def _usable(x: Array, y: Array, lineage: Array | None) -> tuple[Array, Array | None]:
    """Return events with scatter that are not piled up at the end of the detector, and their marker."""
    points = np.stack([x, y])
    kept = np.isfinite(points).all(axis=0) & (x > 0)
    kept[kept] = ~_piled(points[:, kept])
    return points[:, kept], None if lineage is None else lineage[kept]


def _piled(points: Array) -> NDArray[np.bool_]:
    """Return the events at the end of either axis, where many are: the detector ends there and they are no group."""
    at_end = points >= points.max(axis=1, initial=-np.inf)[:, None]
    many = at_end.sum(axis=1) > _PILE * points.shape[1]
    return np.asarray((at_end & many[:, None]).any(axis=0))


def _around(points: Array, summit: Array, distance_square: float) -> Cloud:
    """Return the ellipse around a summit, from truncated moments."""
    reach = np.array(_NEAR) * summit
    near = points[:, (np.abs(points - summit[:, None]) < reach[:, None]).all(0)]
    spread = np.array([robust_sd(row) for row in near])
    spread = np.maximum(spread, 0.02 * np.abs(summit) + 1e-9)  # never flat: 2 % of the scatter at least
    centre, covariance = summit, np.diag(spread**2)
    before = np.empty(0, dtype=np.intp)
    for _ in range(_ROUNDS):
        inside = np.flatnonzero(mahalanobis_square(points, centre, covariance) <= _SQUARE_TRIMMED)
        # the same events have the same moments: nothing would move any more
        if len(inside) < ENOUGH_EVENTS // 2 or np.array_equal(inside, before):
            break
        trimmed, before = points[:, inside], inside
        wider = np.cov(trimmed) / _VARIANCE_KEPT
        if (np.diag(wider) > (_WIDEST * spread) ** 2).any():
            break
        centre, covariance = trimmed.mean(axis=1), wider
    return _cloud(centre, covariance, distance_square, ())


def _carriers(points: Array, marker: Array, cloud: Cloud) -> NDArray[np.bool_] | None:
    """Return the events that carry a marker by its valley among a cloud's events; None where it has none there."""
    inside = mahalanobis_square(points, cloud.mean, cloud.covariance) <= cloud.distance_square
    border = valley(marker[inside]).value
    return None if np.isnan(border) else marker > border


def _cloud(centre: Array, covariance: Array, distance_square: float, flags: tuple[str, ...]) -> Cloud:
    (a, b), (c, d) = covariance.tolist()
    return Cloud((float(centre[0]), float(centre[1])), ((a, b), (c, d)), distance_square, flags)
