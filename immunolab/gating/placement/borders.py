"""Regions in two channels: singlet band, lymphocyte cloud, a corner's cloud with its border, quadrants.

All take display-scale arrays (scatter is linear), never fail on few events, and carry flags.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from immunolab.gating.method_registry import Array, Card, Cut, Parameter, register
from immunolab.gating.placement.thresholds import ENOUGH_EVENTS, main_mode, robust_sd, valley

if TYPE_CHECKING:
    from immunolab.gating.placement.reference_mixture import Anchor, Bins, Mixture

Pair = tuple[Array, Array]
_EMPTY_CORNER = (4.0, -2.0)  # reference units
_SQUARE_OF_999, _SQUARE_OF_95 = 13.8, 6.0  # chi-square, 2 degrees of freedom
_BLAST_SCATTER = (1.3, 1.45)


@dataclass(frozen=True)
class Band:
    """A polygon around a straight line."""

    vertices: tuple[tuple[float, float], ...]
    flags: tuple[str, ...] = ()


@dataclass(frozen=True)
class Cloud:
    """An ellipse around one group of events."""

    mean: tuple[float, float]
    covariance: tuple[tuple[float, float], tuple[float, float]]
    distance_square: float
    flags: tuple[str, ...] = ()


@dataclass(frozen=True)
class Corner:
    """x above its border and y below (``y_side`` lo) or above (hi) a border that rises by ``slope`` per x.

    ``mixture`` is the fitted model, in robust standard deviations of the anchor: a start for resampling.
    """

    x: Cut
    y: Cut
    slope: float
    y_side: str = "lo"
    flags: tuple[str, ...] = ()
    mixture: Mixture | None = None


@dataclass(frozen=True)
class Quadrants:
    """One border on each axis."""

    x: Cut
    y: Cut


def singlets(x: Array, y: Array, *, k: float = 5.0, width: float = 0.06) -> Band:
    """Return the band of single cells around the robust line through the origin of height on area.

    Parameters
    ----------
    x, y : pulse area and height (or width) of one scatter, linear.
    k : half-width of the band in robust standard deviations of the ratio y / x.
    width : least half-width, as a share of the ratio.
    """
    usable = np.isfinite(x) & np.isfinite(y) & (x > 0)
    ratio = y[usable] / x[usable]
    if len(ratio) < 2:
        return Band(((0.0, 0.0), (1e9, 0.0), (1e9, 1e9), (0.0, 1e9)), ("too_few_events",))
    centre = main_mode(ratio)[0] if len(ratio) >= ENOUGH_EVENTS else float(np.median(ratio))
    near = ratio[np.abs(ratio - centre) < 0.25 * abs(centre)]
    half = max(k * robust_sd(near), width * abs(centre))
    low, high = centre - half, centre + half
    far = 4.0 * float(np.max(x[usable]))
    flags = ("too_few_events",) if len(ratio) < ENOUGH_EVENTS else ()
    return Band(((-1.0, -1.0), (far, low * far), (far, high * far), (-1.0, 1.0)), flags)


def lymphocytes(
    x: Array,
    y: Array,
    *,
    distance_square: float = _SQUARE_OF_999,
    blasts: bool = False,
) -> Cloud | Band:
    """Return an ellipse around the lymphocyte cloud in forward and side scatter.

    Summits of the smoothed two-dimensional histogram that reach 5 % of the highest are candidates;
    those with less than 45 % of the largest candidate's forward scatter are debris; of the rest the
    one with the least side scatter is the cloud. Its covariance comes from iterated truncated moments.

    Parameters
    ----------
    distance_square : squared Mahalanobis radius; 13.8 keeps 99.9 % of a normal cloud.
    blasts : stretch the ellipse to a polygon that also holds dividing cells, which are larger (here
        1.3 times the forward and 1.45 times the side scatter). IL-2 makes Treg divide: a gate that
        loses blasts loses part of the drug's effect.
    """
    usable = np.isfinite(x) & np.isfinite(y) & (x > 0)
    points = np.stack([x[usable], y[usable]])
    if points.shape[1] < ENOUGH_EVENTS:
        centre = np.median(points, axis=1) if points.shape[1] else np.array([1.0, 1.0])
        spread = np.array([robust_sd(row) for row in points]) + 0.1 * np.abs(centre)
        return _cloud(centre, np.diag(spread**2), distance_square, ("too_few_events",))
    centre, spread = _lymphocyte_summit(points)
    covariance = np.diag(spread**2)
    for _ in range(15):
        inside = _distance(points, centre, covariance) <= 4.0
        if inside.sum() < ENOUGH_EVENTS // 2:
            break
        centre = points[:, inside].mean(axis=1)
        # within radius 2 a bivariate normal keeps 68.7 % of its variance
        covariance = np.cov(points[:, inside]) / 0.687
    cloud = _cloud(centre, covariance, distance_square, ())
    return _with_blasts(cloud) if blasts else cloud


def diagonal(
    x: Array,
    y: Array,
    reference: Pair | None = None,
    *,
    slope: float = 0.35,
    y_side: str = "lo",
    start: Mixture | None = None,
) -> Corner:
    """Return the border of the cloud in the corner x high, y low (CD25hi CD127lo; PD-1hi CCR7lo).

    Six normal groups are fitted by EM, in units of the reference population's median and robust
    standard deviation, so that the fit does not depend on gain, lot or batch. One group starts in
    the corner. The border is the straight line of the given slope that keeps most events likelier
    than not to be of that group, which balances the cells lost against those let in.

    Parameters
    ----------
    x, y : the parent's events.
    reference : the same two channels of a population known to lack x and carry y; without it the
        parent's own main summits stand in (flag ``no_reference``).
    slope : rise of the y border per unit of x.
    start : a mixture fitted before on nearly the same events, for a faster fit.
    """
    anchor, cells, sign, flags = _corner_cells(x, y, reference, y_side)
    steep = slope * anchor.x_sd / anchor.y_sd
    from immunolab.gating.placement.reference_mixture import fit_mixture, straight_border

    model = fit_mixture(cells, start)
    border = straight_border(cells, model, steep) if model is not None else None
    if border is None:
        flags.append("no_corner_cloud")
        border = _EMPTY_CORNER
    x_cut = Cut(anchor.x_mid + border[0] * anchor.x_sd, tuple(flags), anchor.x_sd)
    y_cut = Cut(sign * (anchor.y_mid + border[1] * anchor.y_sd), tuple(flags), anchor.y_sd)
    return Corner(x_cut, y_cut, sign * slope, y_side, tuple(flags), model)


def diagonal_draws(
    x: Array, y: Array, reference: Pair | None, corner: Corner, rng: np.random.Generator, rounds: int
) -> tuple[Array, Array]:
    """Return the x and y borders of resampled events, each of length ``rounds`` or fewer."""
    from immunolab.gating.placement.reference_mixture import fit_mixture, straight_border

    if corner.mixture is None:
        return np.empty(0), np.empty(0)
    anchor, cells, sign, _ = _corner_cells(x, y, reference, corner.y_side)
    steep = sign * corner.slope * anchor.x_sd / anchor.y_sd
    found = []
    for _ in range(rounds):
        drawn = cells.resample(rng)
        model = fit_mixture(drawn, corner.mixture)
        border = straight_border(drawn, model, steep) if model is not None else None
        if border is not None:
            found.append(border)
    borders = np.array(found).reshape(-1, 2)
    return anchor.x_mid + borders[:, 0] * anchor.x_sd, sign * (anchor.y_mid + borders[:, 1] * anchor.y_sd)


def _corner_cells(x: Array, y: Array, reference: Pair | None, y_side: str) -> tuple[Anchor, Bins, float, list[str]]:
    """Return the anchor, the binned events in its units, the sign that turns y, and flags."""
    from immunolab.gating.placement.reference_mixture import Anchor, Bins

    sign = 1.0 if y_side == "lo" else -1.0
    usable = np.isfinite(x) & np.isfinite(y)
    x, y = x[usable], sign * y[usable]
    flags = ["too_few_events"] if len(x) < ENOUGH_EVENTS else []
    if reference is not None and len(reference[0]) >= ENOUGH_EVENTS:
        anchor = Anchor.of(reference[0], sign * reference[1])
    else:
        flags.append("no_reference" if reference is None else "small_reference")
        anchor = Anchor.main(x, y)
    return anchor, Bins.of(anchor.u(x), anchor.v(y)), sign, flags


def quadrants(x: Array, y: Array) -> Quadrants:
    """Return one valley on x and, among the x-negative events, one on y.

    Looking for the second border where the first marker is absent keeps a tilted double-positive
    cloud from pulling it.
    """
    first = valley(x)
    below = y[x < first.value] if np.isfinite(first.value) else y
    second = valley(below if len(below) >= ENOUGH_EVENTS else y)
    return Quadrants(first, second if np.isfinite(second.value) else replace(valley(y), flags=second.flags))


def _with_blasts(cloud: Cloud) -> Band:
    """Return the convex hull of the cloud's ellipse and of the larger, wider one of blasts."""
    factor = np.diag(_BLAST_SCATTER)
    mean, covariance = np.array(cloud.mean), np.array(cloud.covariance)
    angle = np.linspace(0, 2 * np.pi, 49)[:-1]
    circle = np.stack([np.cos(angle), np.sin(angle)])

    def edge(centre: Array, spread: Array, square: float) -> Array:
        return np.asarray(centre[:, None] + np.linalg.cholesky(spread) @ circle * np.sqrt(square))

    small = edge(mean, covariance, cloud.distance_square)
    large = edge(factor @ mean, factor @ covariance @ factor, _SQUARE_OF_95)
    points = np.concatenate([small, large], axis=1).T
    from scipy.spatial import ConvexHull

    corners = points[ConvexHull(points).vertices]
    return Band(tuple((float(a), float(b)) for a, b in corners), cloud.flags)


def _lymphocyte_summit(points: Array) -> tuple[Array, Array]:
    top = np.quantile(points, 0.995, axis=1)
    inside = (points <= top[:, None]).all(axis=0)
    limits = [[0.0, float(top[0])], [0.0, float(top[1])]]
    counts, x_edges, y_edges = np.histogram2d(points[0, inside], points[1, inside], bins=96, range=limits)
    width = 2.0 if points.shape[1] > 3000 else 4.0
    from scipy.ndimage import gaussian_filter, maximum_filter

    density = gaussian_filter(counts, width, mode="constant")
    rows, columns = np.nonzero((density == maximum_filter(density, 9)) & (density > 0.05 * density.max()))
    fsc = (x_edges[rows] + x_edges[rows + 1]) / 2
    ssc = (y_edges[columns] + y_edges[columns + 1]) / 2
    cells = np.flatnonzero(fsc >= 0.45 * fsc.max())
    pick = cells[int(np.argmin(ssc[cells]))]
    centre = np.array([fsc[pick], ssc[pick]])
    near = points[:, (np.abs(points - centre[:, None]) < np.array([0.35 * fsc[pick], 0.6 * ssc[pick]])[:, None]).all(0)]
    spread = np.array([robust_sd(row) for row in near])
    return centre, np.maximum(spread, 0.02 * np.abs(centre) + 1e-9)


def _distance(points: Array, centre: Array, covariance: Array) -> Array:
    offset = points - centre[:, None]
    return np.asarray(np.einsum("in,ij,jn->n", offset, np.linalg.pinv(covariance), offset))


def _cloud(centre: Array, covariance: Array, distance_square: float, flags: tuple[str, ...]) -> Cloud:
    (a, b), (c, d) = covariance.tolist()
    return Cloud((float(centre[0]), float(centre[1])), ((a, b), (c, d)), distance_square, flags)


_SLOPE = Parameter("slope", 0.35, "y per x, display scale", "rise of the y border along x; 0 makes a rectangle")
_Y_SIDE = Parameter("y_side", "lo", "", "lo: y below its border; hi: above")
for _card, _function in (
    (
        Card(
            "singlets", "pair", "density", "height is proportional to area for single cells",
            (
                Parameter("k", 5.0, "robust standard deviations", "half-width of the band of height / area"),
                Parameter("width", 0.06, "share of the ratio", "least half-width"),
            ),
            "Wersto et al. 2001, Cytometry 46:296",
        ),
        singlets,
    ),
    (
        Card(
            "lymphocytes", "pair", "density", "lymphocytes are the cloud of least side scatter that is not debris",
            (
                Parameter("distance_square", _SQUARE_OF_999, "", "squared Mahalanobis radius of the ellipse"),
                Parameter("blasts", False, "", "true: stretched to hold dividing cells, which are larger"),
            ),
            "Loken et al. 1990, Cytometry 11:453",
        ),
        lymphocytes,
    ),
    (
        Card(
            "diagonal", "pair", "internal", "the wanted cells form a cloud of their own beside a known reference",
            (_SLOPE, _Y_SIDE),
            "Liu et al. 2006, J Exp Med 203:1701; Seddiki et al. 2006, J Exp Med 203:1693 (CD25hi CD127lo)",
        ),
        diagonal,
    ),
    (
        Card("quadrants", "pair", "density", "both markers have a valley", (), "Finak et al. 2014 (openCyto)"),
        quadrants,
    ),
):  # fmt: skip
    register(_card.name, _function, _card)
