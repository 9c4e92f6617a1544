"""How far one channel moved between two tubes of one material, by their quantiles.

Both tubes hold the same cells, so the events at the same quantile are the same cells: the difference of two quantiles
is the move at that place. Quantiles of a sample err together (a Brownian bridge over the density); the moves at a few
knots are their generalised least squares estimate, with a prior that bends little.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from immunolab.gating.method_results import Array

FEWEST = 400  # events of either tube: the median of so many is known to .06 sd (judgement)
ENOUGH = 2000  # events of either tube from which a border is moved: the median is then known to .03 sd (judgement)
_AT = np.linspace(0.02, 0.98, 33)  # quantiles compared (judgement: the tails beyond hold strays)
# places of the move, evenly over the quantiles compared: with 5 a new lot's move of .45 was .024 short at a border
# above the bulk and Treg .7 % too many, with 7 it is .014 short and errs less (simulated bridges 9960 to 9971)
_KNOTS = 7
_WINDOW = 0.015  # half width, in quantiles, of the density beside each (judgement: 60 of 2,000 events)
_NUGGET = 0.01  # sd of a quantile that no number of events removes, share of the spread (judgement: rounding, strays)
# prior sd of neighbouring moves' difference and of their bend, shares of the spread: a new lot changes the gain of a
# channel by up to a half, its bend less (judgement for 5 knots, .15 and .1; by the root of the distance for 7)
_SLOPE, _BEND, _WHOLE = 0.12, 0.08, 3.0


@dataclass(frozen=True)
class ChannelMove:
    """A move along one axis: piecewise linear between knots, that of the outer knot beyond them.

    Attributes
    ----------
    knots, moves
        Places in the first tube, and how far each moved; display scale.
    covariance
        Of the moves.
    spread
        Standard deviation of the first tube's events.
    """

    knots: Array
    moves: Array
    covariance: Array
    spread: float

    def at(self, place: float) -> tuple[float, float]:
        """Return the move at a place of the first tube, and its standard error."""
        weights = _hats(np.array([place]), self.knots)[0]
        return float(weights @ self.moves), float(np.sqrt(max(weights @ self.covariance @ weights, 0.0)))

    def further(self, errors: float) -> ChannelMove:
        """Return the move with some standard errors added at every knot.

        Parameters
        ----------
        errors
            How many.
        """
        return replace(self, moves=self.moves + errors * np.sqrt(np.clip(np.diag(self.covariance), 0.0, None)))


def channel_move(before: Array, after: Array) -> ChannelMove | None:
    """Return the move from one tube of a material to another; None where either has too few events.

    Parameters
    ----------
    before, after
        Events of one population on one axis, display scale.
    """
    before, after = (np.sort(values[np.isfinite(values)]) for values in (before, after))
    if min(len(before), len(after)) < FEWEST:
        return None
    spread = float(before.std())
    if not spread > 0 or not after.std() > 0:
        return None
    places, there = np.quantile(before, _AT), np.quantile(after, _AT)
    knots = np.linspace(places[0], places[-1], _KNOTS)
    bridge = np.minimum.outer(_AT, _AT) - np.outer(_AT, _AT)
    slopes = [np.outer(one, one) / len(values) for values in (before, after) for one in (_spacing(values),)]
    error = bridge * (slopes[0] + slopes[1]) + np.eye(len(_AT)) * (_NUGGET * spread) ** 2
    hats = _hats(places, knots)
    weighted = np.linalg.solve(error, hats)
    covariance = np.linalg.inv(hats.T @ weighted + _prior(spread))
    moves = np.asarray(covariance @ (weighted.T @ (there - places)), dtype=np.float64)
    return ChannelMove(knots, moves, np.asarray(covariance, dtype=np.float64), spread)


def _spacing(values: Array) -> Array:
    """Return how fast the quantile function rises at each quantile, 1 / density."""
    low, high = np.clip(_AT - _WINDOW, 0, 1), np.clip(_AT + _WINDOW, 0, 1)
    return np.asarray((np.quantile(values, high) - np.quantile(values, low)) / (high - low))


def _hats(places: Array, knots: Array) -> Array:
    """Return the weight of each knot at some places, places x knots."""
    return np.stack([np.interp(places, knots, row) for row in np.eye(len(knots))], axis=1)


def _prior(spread: float) -> Array:
    first, second = np.diff(np.eye(_KNOTS), axis=0), np.diff(np.eye(_KNOTS), n=2, axis=0)
    parts = ((np.eye(_KNOTS), _WHOLE), (first, _SLOPE), (second, _BEND))
    return np.sum([rows.T @ rows / (sd * spread) ** 2 for rows, sd in parts], axis=0)
