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
_ROUNDS = 80  # most rounds of EM from the start; an eighth of them from a mixture of nearly the same events
_CONVERGED = 1e-3  # largest move of a mean (rSD) or weight (share) at which EM ends
_CORNER_U, _CORNER_V = 2.0, -1.5  # events beyond are the corner's, for the start
_EMPTY_V = -2.8  # v of the start when no event is beyond the summit
_WIDTHS_SEARCHED, _STEPS_SEARCHED = 3.5, 40  # the border on u is searched from 3.5 sd of the cloud up to its mean
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
        return np.asarray(_posterior(cells.u, cells.v, *self.terms())[:, _TARGET])

    def terms(self) -> tuple[Array, Array, Array]:
        """Return what a density needs of each group: its height, its mean, its inverse covariance."""
        a, b, d = self.covariances[:, 0, 0], self.covariances[:, 0, 1], self.covariances[:, 1, 1]
        determinant = a * d - b * b
        inverse = np.array([d, -b, a]).T / determinant[:, None]
        return self.weights / np.sqrt(determinant), self.means, inverse


def fit_mixture(cells: Bins, start: Mixture | None = None, rounds: int = _ROUNDS) -> Mixture | None:
    """Return the fitted mixture; None when the corner is empty.

    Parameters
    ----------
    cells
        Counts of events on a grid of the two standardised axes.
    start
        Mixture to go on from, for resampling; None guesses one.
    rounds
        Most rounds of expectation and maximisation; an eighth of it after a start.
    """
    model = start or _first_guess(cells)
    if model is None:
        return None
    for _ in range(rounds if start is None else max(rounds // 8, 1)):
        after = _step(cells, model)
        moved = np.abs(after.means - model.means).max() + np.abs(after.weights - model.weights).max()
        model = after
        if moved < _CONVERGED:
            break
    u, v = model.means[_TARGET]
    # the reference's own variance is 1: a tight cloud is set apart nearer to it than a broad one
    separation = u / np.sqrt((1.0 + model.covariances[_TARGET, 0, 0]) / 2)
    there = separation > _NEAREST_D and v < _NEAREST_V
    return model if there and model.weights[_TARGET] * cells.counts.sum() >= _LEAST_EVENTS else None


def straight_border(cells: Bins, model: Mixture, slope: float) -> tuple[float, float] | None:
    """Return (a, b) so that u > a and v < b + slope (u - a) keeps the target best; None when nothing is gained.

    What is kept is the sum over events of (probability of being target - 1/2): the border at which
    an event more is as likely wrong as right.

    Parameters
    ----------
    cells
        Counts of events on a grid of the two standardised axes.
    model
        Fitted to these cells.
    slope
        Of the upper border, v by u.
    """
    gain = cells.counts * (model.target(cells) - 0.5)
    mode = float(model.means[_TARGET, 0])
    width = float(np.sqrt(model.covariances[_TARGET, 0, 0]))
    # cells are in the same order along all lines of one slope
    order = np.argsort(cells.v - slope * (cells.u - mode), kind="stable")
    lefts = np.linspace(mode - _WIDTHS_SEARCHED * width, mode, _STEPS_SEARCHED)
    kept, a, b = _best_line(cells.u[order], cells.v[order], gain[order], lefts, slope)
    return (a, b) if kept > 0 else None


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


def _step(cells: Bins, model: Mixture) -> Mixture:
    """Return the mixture after one round of expectation and maximisation, covariances kept in bounds."""
    moments = _moments(cells.u, cells.v, cells.counts, *model.terms())
    mass = np.maximum(moments[:, 0], 1e-6)
    means = moments[:, 1:3] / mass[:, None]
    # rivals are drawn to their usual places between reference and corner, as by a few events there
    usual = _RIVALS_PLACE * means[_TARGET, 0]
    drawn = (moments[:_TARGET, 1] + _PRIOR_EVENTS * usual) / (mass[:_TARGET] + _PRIOR_EVENTS)
    u, v = means.T
    spread = moments[:, 3:] / mass[:, None] - np.array([u * u, u * v, v * v]).T
    # a rival that climbs into the corner's cloud would split it and move the border outwards
    means[:_TARGET, 0] = np.minimum(drawn, _RIVALS_REACH * means[_TARGET, 0])
    # a few events' worth of a round group keeps small groups from collapsing and from spreading
    a, b, d = (spread * mass[:, None] + _PRIOR_EVENTS * _PRIOR_SPREAD).T / (mass + _PRIOR_EVENTS)
    widest = np.full(len(mass), max(_MOST_SD_U, _RIVALS_WIDTH * means[_TARGET, 0]))
    widest[_TARGET] = max(_MOST_SD_U, _TARGET_WIDTH * means[_TARGET, 0])
    a, d = np.minimum(np.maximum(a, _LEAST_SD**2), widest**2), np.minimum(np.maximum(d, _LEAST_SD**2), _MOST_SD_V**2)
    thinnest = _MOST_CORRELATED * np.sqrt(a * d)
    b = np.minimum(np.maximum(b, -thinnest), thinnest)
    covariances = np.array([[a, b], [b, d]]).transpose(2, 0, 1)
    return Mixture(mass / mass.sum(), means, covariances)


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


@compiled
def _moments(u, v, counts, height, mean, inverse):  # type: ignore[no-untyped-def]
    """Sums over events, weighted by each group's probability, of 1, u, v, uu, uv, vv.

    Group after group, so that the processor works on several cells at once; every sum adds its terms cell after cell.
    """
    groups, cells = len(height), len(u)
    sums, share, total = np.zeros((groups, 6)), np.empty((groups, cells)), np.full(cells, 1e-300)
    for j in range(groups):
        a, b, d, tall = inverse[j, 0], 2 * inverse[j, 1], inverse[j, 2], height[j]
        for i in range(cells):
            du, dv = u[i] - mean[j, 0], v[i] - mean[j, 1]
            share[j, i] = -0.5 * (a * du * du + b * du * dv + d * dv * dv)
        for i in range(cells):
            # below -746 a double has no exponential but 0
            share[j, i] = tall * np.exp(share[j, i]) if share[j, i] > -746.0 else 0.0
            total[i] += share[j, i]
    for j in range(groups):
        n = n_u = n_v = n_uu = n_uv = n_vv = 0.0
        for i in range(cells):
            if share[j, i] == 0.0:
                continue
            w = counts[i] * (share[j, i] / total[i])
            n, n_u, n_v = n + w, n_u + w * u[i], n_v + w * v[i]
            n_uu, n_uv, n_vv = n_uu + w * u[i] * u[i], n_uv + w * u[i] * v[i], n_vv + w * v[i] * v[i]
        sums[j] = n, n_u, n_v, n_uu, n_uv, n_vv
    return sums


@compiled
def _best_line(u, v, gain, lefts, slope):  # type: ignore[no-untyped-def]
    """Return the most that is gained right of a and under the line from (a, b), and a and b; cells come by level."""
    best, best_a, best_b = 0.0, 0.0, 0.0
    for a in lefts:
        total = 0.0
        for i in range(len(u)):
            if u[i] > a:
                total += gain[i]
                if total > best:
                    best, best_a, best_b = total, a, v[i] - slope * (u[i] - a)
    return best, best_a, best_b
