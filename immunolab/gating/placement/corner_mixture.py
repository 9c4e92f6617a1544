"""A mixture of normal groups on two axes, measured in units of a reference population.

Events are binned, so that the cost does not grow with their number and resampling is one draw of
Poisson counts.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from immunolab.compiled import compiled
from immunolab.gating.method_results import Array
from immunolab.gating.placement.density import main_mode, robust_sd, smoothed_density
from immunolab.gating.placement.smoothing import summits
from immunolab.order_statistics import median, quantiles

# Groups on the axes u (x high is right) and v (y low is down), both in rSD of the reference from its median. Each
# constant is judgement, with what it trades off; benchmarks/gating_accuracy.py measures what comes of them together.
_BINS = 120  # cells of each axis: time of a round against resolution, 0.1 rSD on a range of 12
_TARGET = 5  # index of the corner's group in the two tuples below
# start of each group: share of the way to the corner's summit on u, and whether it is down (1) or up (0) on v:
# reference, dim, activated, activated and down, dim and down, the corner's own
_STARTS = ((0.0, 0), (0.3, 0), (0.55, 0), (0.55, 1), (0.1, 1), (1.0, 1))
_START_WEIGHTS = (0.5, 0.3, 0.04, 0.04, 0.06, 0.06)  # shares of the parent; EM forgets them
# bounds of a group's sd in rSD: a narrower one would fit a few bins, a wider one would swallow its neighbours
_LEAST_SD, _MOST_SD_U, _MOST_SD_V = 0.35, 1.0, 2.0
# widest groups as a share of the corner's distance from the reference: counts of few molecules spread far
_RIVALS_WIDTH, _TARGET_WIDTH = 0.2, 0.35
_MOST_CORRELATED = 0.9  # largest correlation within a group: a thinner one would be a line
_LEAST_EVENTS = 8.0  # events under which the corner is called empty: fewer make no cloud
# a group nearer to the reference is its shoulder, not a cloud: Ashman's D on u (Ashman, Bird and Zepf 1994, AJ
# 108:2348) and the mean on v in rSD; 2.6 parts two normal groups but for a tenth of either (judgement)
_NEAREST_D, _NEAREST_V = 2.6, -1.0
_RIVALS_REACH = 0.68  # furthest a rival goes on u, share of the corner's mean: further on it would split the cloud
_RIVALS_PLACE = np.array([share for share, _ in _STARTS[:_TARGET]])
_PRIOR_EVENTS = 20.0  # events' worth of belief in the usual places and spreads: steadies groups of few events
_PRIOR_SPREAD = np.array([0.6, 0.0, 1.0])  # usual variances on u and v, their covariance between
# most rounds of EM: few, as towards its end EM follows the chance of few cells; with 80 Treg move twice as far when a
# tenth of the events goes, at the same F1 (simulated tubes of seeds 200 to 229 and 300 to 339)
_ROUNDS = 15
_CONVERGED = 1e-3  # largest move of a mean (rSD) or weight (share) at which EM ends
_CORNER_U, _CORNER_V = 2.0, -1.5  # events beyond are the corner's, for the start
_EMPTY_V = -2.8  # v of the start when no event is beyond the summit
_WIDTHS_SEARCHED, _STEPS_SEARCHED = 3.5, 40  # the border on u is searched from 3.5 sd of the cloud up to its mean
# the line, where it passes the cloud's mean on u, is searched from 1 rSD below its mean on v to 4.5 sd above
_BELOW_SEARCHED, _WIDTHS_ABOVE, _LEVELS_SEARCHED = 1.0, 4.5, 80
# events fewer that a line keeps to weigh 1/e of another: 1 to 10 are alike in F1, 1 steadies less (same seeds)
_EVENTS_ALIKE = 3.0
_EDGE_SHARE = 0.0005  # share of events on each side pulled to the edge of the bins: a stray one would widen all


@dataclass(frozen=True)
class Anchor:
    """Median and robust standard deviation of the reference population on both axes."""

    x_mid: float
    x_sd: float
    y_mid: float
    y_sd: float

    @classmethod
    def of(cls, x: Array, y: Array) -> Anchor:
        """Return the anchor of a reference population.

        Parameters
        ----------
        x, y
            Events of the reference population, display scale.
        """
        return cls(median(x), robust_sd(x) or 1.0, median(y), robust_sd(y) or 1.0)

    @classmethod
    def of_clean(cls, x: Array, y: Array) -> Anchor:
        """Return the anchor of a reference population that other cells with x and without y are among.

        On treatment a quarter of the naive cells may be naive Treg: they would widen the unit in which their own cloud
        is looked for. Main summits and the halves that face away from the corner are without them.

        Parameters
        ----------
        x, y
            Events of the reference population, display scale.
        """
        (x_mid, x_sd), (y_mid, y_sd) = main_mode(x, side="above"), main_mode(y, side="below")
        return cls(x_mid, x_sd or 1.0, y_mid, y_sd or 1.0)

    @classmethod
    def main(cls, x: Array, y: Array) -> Anchor:
        """Return the anchor that the parent's main summits suggest: x negative, y positive.

        Parameters
        ----------
        x, y
            The parent's events, display scale.
        """
        return cls.of_clean(x, y) if len(x) > 1 else cls(0.0, 1.0, 0.0, 1.0)

    def u(self, x: Array) -> Array:
        """Return x in reference units."""
        return (x - self.x_mid) / self.x_sd

    def v(self, y: Array) -> Array:
        """Return y in reference units."""
        return (y - self.y_mid) / self.y_sd


@dataclass(frozen=True)
class Bins:
    """The occupied cells of a two-dimensional histogram: centres and counts."""

    u: Array
    v: Array
    counts: Array

    @classmethod
    def of(cls, u: Array, v: Array) -> Bins:
        """Return the cells of events; the outermost 0.05 % on each side are pulled to the edge.

        Parameters
        ----------
        u, v
            Events on the two axes in robust standard deviations of the reference.
        """
        if len(u) == 0:
            return cls(u, v, u)
        u_low, u_high = quantiles(np.sort(u), [_EDGE_SHARE, 1 - _EDGE_SHARE])
        v_low, v_high = quantiles(np.sort(v), [_EDGE_SHARE, 1 - _EDGE_SHARE])
        u_step = max((u_high - u_low) / _BINS, 1e-9)
        v_step = max((v_high - v_low) / _BINS, 1e-9)
        column = np.clip((u - u_low) / u_step, 0, _BINS - 1).astype(np.int64)
        row = np.clip((v - v_low) / v_step, 0, _BINS - 1).astype(np.int64)
        counts = np.bincount(column * _BINS + row, minlength=_BINS * _BINS)
        full = np.flatnonzero(counts)
        centre_u, centre_v = u_low + (full // _BINS + 0.5) * u_step, v_low + (full % _BINS + 0.5) * v_step
        return cls(np.asarray(centre_u, float), np.asarray(centre_v, float), counts[full].astype(np.float64))

    def resample(self, rng: np.random.Generator) -> Bins:
        """Return the cells with counts redrawn (Poisson bootstrap), without those that became empty."""
        counts = rng.poisson(self.counts)
        full = np.flatnonzero(counts)
        return Bins(self.u[full], self.v[full], counts[full].astype(np.float64))


@dataclass(frozen=True)
class Mixture:
    """Weights, means (groups x 2) and covariances (groups x 2 x 2) in reference units.

    Attributes
    ----------
    clean
        Whether the units are those of `Anchor.of_clean`.
    """

    weights: Array
    means: Array
    covariances: Array
    clean: bool = False

    def target(self, cells: Bins) -> Array:
        """Return the probability that an event of each cell is of the corner's group."""
        height, inverse = _terms(self.weights, self.covariances)
        return np.asarray(_posterior(cells.u, cells.v, height, self.means, inverse)[:, _TARGET])


def fit_mixture(cells: Bins) -> Mixture | None:
    """Return the fitted mixture; None when the corner is empty.

    Parameters
    ----------
    cells
        Counts of events on a grid of the two standardised axes.
    """
    model = _first_guess(cells)
    if model is None:
        return None
    weights, means, covariances = model.weights, model.means, model.covariances
    height, inverse = _terms(weights, covariances)
    for _ in range(_ROUNDS):
        sums = _moments(cells.u, cells.v, cells.counts, height, means, inverse)
        weights, means, covariances, height, inverse, moved = _maximised(sums, weights, means)
        if moved < _CONVERGED:
            break
    model = Mixture(weights, means, covariances)
    u, v = model.means[_TARGET]
    # the reference's own variance is 1: a tight cloud is set apart nearer to it than a broad one
    separation = u / np.sqrt((1.0 + model.covariances[_TARGET, 0, 0]) / 2)
    there = separation > _NEAREST_D and v < _NEAREST_V
    return model if there and model.weights[_TARGET] * cells.counts.sum() >= _LEAST_EVENTS else None


def straight_border(cells: Bins, model: Mixture, slope: float) -> tuple[float, float] | None:
    """Return (a, b) so that u > a and v < b + slope (u - a) keeps the target well; None when nothing is gained.

    What a line keeps is the sum over events of (probability of being target - 1/2): at its most an event more is as
    likely wrong as right. Many lines keep nearly the most, and which of them keeps it is chance: the border is the mean
    of all, each weighted by the exponential of what it keeps.

    Parameters
    ----------
    cells
        Counts of events on a grid of the two standardised axes.
    model
        Fitted to these cells.
    slope
        Of the upper border, v by u.
    """
    (u, v), (width, height) = model.means[_TARGET], np.sqrt(np.diagonal(model.covariances[_TARGET]))
    lefts = np.linspace(u - _WIDTHS_SEARCHED * width, u, _STEPS_SEARCHED)
    levels = np.linspace(v - _BELOW_SEARCHED, v + _WIDTHS_ABOVE * height, _LEVELS_SEARCHED)
    kept = _kept(cells.u, cells.v - slope * (cells.u - u), cells.counts * (model.target(cells) - 0.5), lefts, levels)
    most = kept.max()
    if most <= 0:
        return None
    weights = np.exp((kept - most) / _EVENTS_ALIKE)
    left, level = np.average(lefts, weights=weights.sum(axis=1)), np.average(levels, weights=weights.sum(axis=0))
    return float(left), float(level + slope * (left - u))


def _kept(u: Array, v: Array, gain: Array, lefts: Array, levels: Array) -> Array:
    """Return the sum of gain over cells right of each left border (rows) and no higher than each level (columns)."""
    passed, under = np.searchsorted(lefts, u), np.searchsorted(levels, v)
    shape = len(lefts) + 1, len(levels) + 1
    gained = np.bincount(passed * shape[1] + under, weights=gain, minlength=shape[0] * shape[1]).reshape(shape)
    # a cell that has passed i borders on u is right of the first i; one under level j is under all higher ones
    return np.asarray(np.cumsum(np.cumsum(gained[::-1], axis=0)[::-1], axis=1)[1:, :-1])


def _first_guess(cells: Bins) -> Mixture | None:
    """Place the groups relative to the reference (at the origin) and the corner's summit."""
    corner = (cells.v < _CORNER_V) & (cells.u > _CORNER_U)
    if cells.counts[corner].sum() < _LEAST_EVENTS:
        return None
    u = np.repeat(cells.u[corner], cells.counts[corner].astype(np.int64))
    grid, density, _ = smoothed_density(u)
    beside = [i for i in summits(density) if grid[i] > _CORNER_U]
    # without a summit of its own the cloud is taken to be the far end of the corner's events
    summit = float(grid[max(beside, key=lambda i: density[i])] if beside else np.quantile(u, 0.9))
    beyond = corner & (cells.u > 0.8 * summit)
    weight = cells.counts[beyond]
    low = float(np.average(cells.v[beyond], weights=weight)) if weight.sum() else _EMPTY_V
    means = np.array([(share * summit, low * down) for share, down in _STARTS])
    return Mixture(np.array(_START_WEIGHTS), means, np.tile(np.eye(2), (len(means), 1, 1)))


def _terms(weights: Array, covariances: Array) -> tuple[Array, Array]:
    """Return what a density needs of each group beside its mean: its height and its inverse covariance."""
    a, b, d = covariances[:, 0, 0], covariances[:, 0, 1], covariances[:, 1, 1]
    determinant = a * d - b * b
    return weights / np.sqrt(determinant), np.array([d, -b, a]).T / determinant[:, None]


@compiled
def _posterior(u, v, height, mean, inverse):  # type: ignore[no-untyped-def]
    shares = np.empty((len(u), len(height)))
    for i in range(len(u)):
        total = 1e-300
        for j in range(len(height)):
            du, dv = u[i] - mean[j, 0], v[i] - mean[j, 1]
            square = inverse[j, 0] * du * du + 2 * inverse[j, 1] * du * dv + inverse[j, 2] * dv * dv
            shares[i, j] = height[j] * np.exp(-0.5 * square)
            total += shares[i, j]
        for j in range(len(height)):
            shares[i, j] /= total
    return shares


def _moments(u: Array, v: Array, counts: Array, height: Array, mean: Array, inverse: Array) -> Array:
    """Return sums over events, weighted by each group's probability, of 1, u, v, uu, uv, vv.

    numpy takes the exponentials, several at once.
    """
    exponents = _exponents(u, v, mean, inverse)
    return np.asarray(_weighted_sums(u, v, counts, height, np.exp(exponents, out=exponents)))


@compiled
def _exponents(u, v, mean, inverse):  # type: ignore[no-untyped-def]
    found = np.empty((len(mean), len(u)))
    for j in range(len(mean)):
        a, b, d = inverse[j, 0], 2 * inverse[j, 1], inverse[j, 2]
        for i in range(len(u)):
            du, dv = u[i] - mean[j, 0], v[i] - mean[j, 1]
            found[j, i] = -0.5 * (a * du * du + b * du * dv + d * dv * dv)
    return found


@compiled
def _weighted_sums(u, v, counts, height, share):  # type: ignore[no-untyped-def]
    """Group after group, so that the processor works on several cells at once; every sum adds cell after cell."""
    sums, total = np.zeros((len(height), 6)), np.full(len(u), 1e-300)
    for j in range(len(height)):
        for i in range(len(u)):
            share[j, i] *= height[j]
            total[i] += share[j, i]
    for j in range(len(height)):
        n = n_u = n_v = n_uu = n_uv = n_vv = 0.0
        for i in range(len(u)):
            if share[j, i] == 0.0:
                continue
            w = counts[i] * (share[j, i] / total[i])
            n, n_u, n_v = n + w, n_u + w * u[i], n_v + w * v[i]
            n_uu, n_uv, n_vv = n_uu + w * u[i] * u[i], n_uv + w * u[i] * v[i], n_vv + w * v[i] * v[i]
        sums[j] = n, n_u, n_v, n_uu, n_uv, n_vv
    return sums


@compiled
def _maximised(sums, weights, means):  # type: ignore[no-untyped-def]
    """Return the groups of such sums, in bounds, and how far they are from those before.

    Returns weights, means, covariances, heights, inverse covariances, and the largest moves of a mean and of a weight
    together.
    """
    mass = np.maximum(sums[:, 0], 1e-6)
    u, v = sums[:, 1] / mass, sums[:, 2] / mass
    reach = u[_TARGET]
    # a few events' worth of a round group keeps small groups from collapsing and from spreading
    held = mass + _PRIOR_EVENTS
    a = ((sums[:, 3] / mass - u * u) * mass + _PRIOR_EVENTS * _PRIOR_SPREAD[0]) / held
    b = ((sums[:, 4] / mass - u * v) * mass + _PRIOR_EVENTS * _PRIOR_SPREAD[1]) / held
    d = ((sums[:, 5] / mass - v * v) * mass + _PRIOR_EVENTS * _PRIOR_SPREAD[2]) / held
    # rivals are drawn to their usual places between reference and corner, as by a few events there; one that climbs
    # into the corner's cloud would split it and move the border outwards
    drawn = (sums[:_TARGET, 1] + _PRIOR_EVENTS * (_RIVALS_PLACE * reach)) / held[:_TARGET]
    u[:_TARGET] = np.minimum(drawn, _RIVALS_REACH * reach)
    widest = np.full(len(mass), max(_MOST_SD_U, _RIVALS_WIDTH * reach))
    widest[_TARGET] = max(_MOST_SD_U, _TARGET_WIDTH * reach)
    a, d = np.minimum(np.maximum(a, _LEAST_SD**2), widest**2), np.minimum(np.maximum(d, _LEAST_SD**2), _MOST_SD_V**2)
    thinnest = _MOST_CORRELATED * np.sqrt(a * d)
    b = np.minimum(np.maximum(b, -thinnest), thinnest)
    after, places = mass / mass.sum(), np.column_stack((u, v))
    covariances = np.column_stack((a, b, b, d)).reshape(len(mass), 2, 2)
    determinant = a * d - b * b
    inverse = np.column_stack((d / determinant, -b / determinant, a / determinant))
    moved = np.abs(places - means).max() + np.abs(after - weights).max()
    return after, places, covariances, after / np.sqrt(determinant), inverse, moved
