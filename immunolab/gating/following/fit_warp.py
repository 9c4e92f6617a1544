"""The move from a template's clouds to a tube's: positions are fitted, shares of the clouds are free.

A drug changes how many cells are in each cloud, an instrument where the clouds are. So each tube has its own shares,
while one piecewise linear move along each axis is fitted for all tubes of a patient by maximum penalised likelihood.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from immunolab.gating.following.mixture import CloudMixture
from immunolab.gating.following.warp import Warp, taken_back
from immunolab.gating.method_results import Array

KNOTS = 5  # places on an axis that move by themselves (judgement: negative, dim and bright events, and both ends)
BOUND = 2.0  # greatest move of a knot, sd of the template's events on that axis (judgement: further is another tube)
_STEEP = 0.3  # least distance of moved neighbouring knots, share of the distance they had: clouds do not collapse
# penalties an event, in sd of the axis: on differences of neighbouring moves, on bends of them, on moves themselves: a
# stretch of the whole axis is cheap, a bend is dear (judgement, 2026-11-26: the best of some 25 settings of these and
# of _EXPECTED on seven pairs of HIPC tubes of two centres, none held out; benchmarks/follow.py)
_SMOOTH, _STRAIGHT, _SMALL = 0.03, 3.0, 0.005
# weight of the template's shares, events an event of the tube: shares are free, but a cloud does not take the place
# of another (judgement, 2026-11-26: 0.02 to 2 tried, same tubes)
_EXPECTED = 0.6
_BACKGROUND = 0.01  # share of events that belong to no cloud (judgement: debris and doublets left in a gate)
_SHARE_STEPS = 20  # steps of EM for the shares at a given move (judgement: they change by less than .01 then)
_FINE_STEPS = 60  # iterations of L-BFGS (judgement: time; a start at no move is near)
_REACH = 1.5  # range of events that belong to no cloud, times the template's (judgement: strays are beside it too)
# least and greatest logit of a share in the fit: shares may differ by a factor of e^18, so that a cloud can
# be empty (judgement)
_LOGITS = (-12.0, 6.0)


@dataclass(frozen=True)
class Clouds:
    """The template's events on some axes, in units of their spread.

    Attributes
    ----------
    mixture
        In units of ``scale`` from ``centre``.
    centre, scale
        Median and sd of each axis on its own scale.
    low, high
        The 0.5 and 99.5 percentiles in units of the spread.
    """

    mixture: CloudMixture
    centre: Array
    scale: Array
    low: Array
    high: Array

    def standard(self, values: Array) -> Array:
        """Return events x axes in units of the template's spread."""
        return (values - self.centre) / self.scale

    @property
    def knots(self) -> Array:
        """Evenly spaced knots of each axis, axes x knots."""
        return np.linspace(self.low, self.high, KNOTS).T

    @property
    def log_background(self) -> float:
        """Log density of events that belong to no cloud, even over the template's range and half of it more."""
        return -float(np.log(_REACH * (self.high - self.low)).sum())


@dataclass(frozen=True)
class Fit:
    """A fitted move: ``moves`` of the knots in sd of the axis, and each tube's shares of the clouds."""

    moves: Array
    shares: tuple[Array, ...]


def warp_of(clouds: Clouds, moves: Array) -> Warp:
    """Return a move on the scale of the axes.

    Parameters
    ----------
    clouds
        Of the template.
    moves
        Of the knots in sd of the axis, axes x knots.
    """
    return Warp(clouds.centre[:, None] + clouds.scale[:, None] * clouds.knots, clouds.scale[:, None] * moves)


def shares_at(clouds: Clouds, moves: Array, tubes: Sequence[Array]) -> Fit:
    """Return given moves with each tube's best shares of the clouds.

    Parameters
    ----------
    clouds
        Of the template.
    moves
        Of the knots in sd of the axis, axes x knots.
    tubes
        Events x axes of each tube, in units of the template's spread.
    """
    return Fit(moves, tuple(_shares(clouds, _moved_back(clouds, moves, tube)[0]) for tube in tubes))


def fit_moves(clouds: Clouds, tubes: Sequence[Array], start: Fit | None = None) -> Fit:
    """Return the moves that tubes share, and each tube's shares of the clouds.

    Parameters
    ----------
    clouds
        Of the template.
    tubes
        Events x axes of each tube, in units of the template's spread.
    start
        Where to begin; None begins where the gates were drawn.
    """
    from scipy.optimize import minimize  # here, for gating with drawn gates needs no scipy

    start = start or shares_at(clouds, np.zeros_like(clouds.knots), tubes)
    shape, n_clouds = start.moves.shape, len(clouds.mixture.weights)
    first = np.concatenate([start.moves.ravel(), *(np.log(share + 1e-6) for share in start.shares)])
    room = [(-BOUND, BOUND)] * start.moves.size + [_LOGITS] * (n_clouds * len(tubes))
    found = minimize(
        _loss, first, (clouds, tubes), jac=True, method="L-BFGS-B", bounds=room, options={"maxiter": _FINE_STEPS}
    )
    moves = found.x[: start.moves.size].reshape(shape)
    logits = found.x[start.moves.size :].reshape(len(tubes), n_clouds)
    return Fit(moves, tuple(_softmax(row) for row in logits))


def _softmax(logits: Array) -> Array:
    weights = np.exp(logits - logits.max())
    return np.asarray(weights / weights.sum())


def _moved_back(clouds: Clouds, moves: Array, tube: Array) -> tuple[Array, Array, NDArray[np.intp]]:
    found = [taken_back(tube[:, axis], knots, knots + moves[axis]) for axis, knots in enumerate(clouds.knots)]
    places, slopes, intervals = (np.stack(part, axis=1) for part in zip(*found, strict=True))
    return places, slopes, intervals


def _loss(point: Array, clouds: Clouds, tubes: Sequence[Array]) -> tuple[float, Array]:
    """Return the negative penalised log likelihood an event and its gradient."""
    n_axes, size = clouds.knots.shape[0], clouds.knots.size
    moves = point[:size].reshape(n_axes, -1)
    gaps = np.diff(clouds.knots, axis=1)
    if np.any(gaps + np.diff(moves, axis=1) < _STEEP * gaps):
        return 1e6, np.zeros_like(point)
    logits = point[size:].reshape(len(tubes), -1)
    slope = np.zeros_like(point)
    total, n = 0.0, sum(len(tube) for tube in tubes)
    for i, tube in enumerate(tubes):
        value, by_move, by_logit = _likelihood(clouds, moves, _softmax(logits[i]), tube)
        total += value
        slope[:size] += by_move.ravel()
        slope[size + i * logits.shape[1] : size + (i + 1) * logits.shape[1]] = by_logit
    change = np.diff(moves, axis=1)
    bend = np.diff(change, axis=1)
    penalty = 0.5 * (_SMOOTH * (change**2).sum() + _STRAIGHT * (bend**2).sum() + _SMALL * (moves**2).sum())
    by_move = _SMALL * moves
    by_move[:, 1:] += _SMOOTH * change
    by_move[:, :-1] -= _SMOOTH * change
    by_move[:, 2:] += _STRAIGHT * bend
    by_move[:, 1:-1] -= 2 * _STRAIGHT * bend
    by_move[:, :-2] += _STRAIGHT * bend
    slope = -slope / n
    slope[:size] += by_move.ravel()
    for i, tube in enumerate(tubes):
        share, weight = _softmax(logits[i]), _EXPECTED * len(tube) / n
        penalty -= weight * float(clouds.mixture.weights @ np.log(share + 1e-300))
        slope[size + i * len(share) : size + (i + 1) * len(share)] += weight * (share - clouds.mixture.weights)
    return -total / n + penalty, slope


def _likelihood(clouds: Clouds, moves: Array, share: Array, tube: Array) -> tuple[float, Array, Array]:
    """Return a tube's log likelihood, and its gradients by the moves and by the log shares."""
    places, slopes, intervals = _moved_back(clouds, moves, tube)
    densities, gradient = clouds.mixture.log_densities(places)
    joint = densities + np.log(share * (1 - _BACKGROUND) + 1e-300)
    each = np.logaddexp(np.logaddexp.reduce(joint, axis=1), clouds.log_background + np.log(_BACKGROUND))
    belongs = np.exp(joint - each[:, None])
    by_place = np.einsum("nk,nki->ni", belongs, gradient)
    by_move = np.empty_like(moves)
    for axis, knots in enumerate(clouds.knots):
        by_move[axis] = _by_knot(
            tube[:, axis], knots + moves[axis], by_place[:, axis], slopes[:, axis], intervals[:, axis]
        )
    by_logit = belongs.sum(axis=0) - belongs.sum() * share
    return float(each.sum() + np.log(slopes).sum()), by_move, by_logit


def _by_knot(values: Array, moved: Array, by_place: Array, slope: Array, interval: NDArray[np.intp]) -> Array:
    n = len(moved)
    found = np.zeros(n)
    inside = (interval > 0) & (interval < n)
    low = interval[inside] - 1
    gap = (moved[1:] - moved[:-1])[low]
    part = (values[inside] - moved[low]) / gap
    found += np.bincount(low, -by_place[inside] * slope[inside] * (1 - part) + 1 / gap, n)
    found += np.bincount(low + 1, -by_place[inside] * slope[inside] * part - 1 / gap, n)
    found[0] -= by_place[interval == 0].sum()
    found[-1] -= by_place[interval == n].sum()
    return found


def _shares(clouds: Clouds, places: Array) -> Array:
    """Return the shares of the clouds that events on the template's scale have, by EM."""
    densities = clouds.mixture.log_densities(places)[0]
    nothing = clouds.log_background + np.log(_BACKGROUND)
    share = np.full(densities.shape[1], 1 / densities.shape[1])
    for _ in range(_SHARE_STEPS):
        joint = densities + np.log(share * (1 - _BACKGROUND))
        each = np.logaddexp(np.logaddexp.reduce(joint, axis=1), nothing)
        size = np.exp(joint - each[:, None]).sum(axis=0) + _EXPECTED * len(places) * clouds.mixture.weights
        share = size / size.sum()
    return share
