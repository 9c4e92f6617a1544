"""How runs differ from each other: all populations of a marker give one level a run, as sure as they allow.

Between two runs a channel's gain may differ (every population moves alike on the asinh scale), its stretch (bright
populations move more), and what compensation leaves of other dyes (populations that are bright in them move). The sizes
of these are common to the markers of a panel and are estimated from all of them; the level of a marker in a run is then
the mean of its populations in which the last two cancel best (generalized least squares).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

MEDIAN_VARIANCE = 1.5708  # variance of a median over that of a mean, pi / 2
_START = np.log([0.02, 0.002, 1e-6, 0.002])  # variances of a usual panel, asinh squared: a fit begins there
# logs of variances: from .0025 to 1.6 asinh; the light of other dyes from nothing to all of it
_BOUNDS = ((-12.0, 1.0), (-12.0, 1.0), (-25.0, 0.0), (-10.0, 0.0))
# natural logs of how many times the panel's variance of left light a marker's may be, and their usual sd: logs of
# squared spillover entries have 1.9 in the simulated panel (51 entries)
_LIGHTS, _LIGHT_SPREAD = np.linspace(-5.0, 6.0, 45), 2.0
_STEPS = 60  # of the fit: the logs of the variances are then known within a hundredth


@dataclass(frozen=True)
class MarkerRuns:
    """One marker in populations that all runs have.

    Attributes
    ----------
    marker
        Its name.
    medians
        ``(P, B)`` of each population in each run, asinh.
    level
        ``(P,)`` usual median of each.
    light
        ``(P, D)`` how much all of the light of each other marker would move each population, asinh.
    tube_sd
        ``(P,)`` between tubes of a run.
    """

    marker: str
    medians: Array
    level: Array
    light: Array
    tube_sd: Array

    @property
    def parts(self) -> Array:
        """``(4, P, P)`` covariance of populations between runs by what differs, each of variance 1."""
        count = len(self.level)
        stretch = np.outer(self.level, self.level)
        return np.array([np.ones((count, count)), stretch, self.light @ self.light.T, np.eye(count)])


@dataclass(frozen=True)
class RunVariation:
    """How much runs differ: variances of gain, stretch and left light, and of what a population has alone."""

    gain: float
    stretch: float
    left: float
    alone: float

    def covariance(self, one: MarkerRuns) -> Array:
        """Return ``(P, P)`` of a marker's populations between runs, without that of tubes.

        Parameters
        ----------
        one
            The marker.
        """
        return np.asarray(np.tensordot([self.gain, self.stretch, self.left, self.alone], one.parts, 1))


def light_on(levels: Array, own: int) -> Array:
    """Return ``(P, D)`` how much all of the light of each other marker would move populations in one, asinh.

    Parameters
    ----------
    levels
        ``(P, M)`` medians of populations in all markers, asinh; NaN counts as none.
    own
        Number of the marker.
    """
    others = np.nan_to_num(np.delete(levels, own, axis=1))
    return np.asarray(np.sinh(others) / np.cosh(levels[:, own])[:, None])


def fit_variation(markers: Sequence[MarkerRuns], tubes: Array, start: RunVariation | None = None) -> RunVariation:
    """Return how runs differ in these markers, by restricted maximum likelihood.

    Parameters
    ----------
    markers
        Of one panel, the same runs.
    tubes
        ``(B,)`` tubes of each run.
    start
        Where the fit begins.
    """
    from scipy.optimize import minimize

    runs = len(tubes)
    apart = [one.medians @ _contrasts(runs) for one in markers]
    noise = [_tube_noise(one, float(np.mean(1.0 / tubes))) for one in markers]
    parts = [one.parts for one in markers]

    def loss(logs: Array) -> tuple[float, Array]:
        variances, total, slope = np.exp(logs), 0.0, np.zeros(len(logs))
        for shapes, own, tube in zip(parts, apart, noise, strict=True):
            covariance = np.tensordot(variances, shapes, 1) + tube
            inverse = np.linalg.inv(covariance)
            scaled = inverse @ own
            total += 0.5 * (runs - 1) * float(np.linalg.slogdet(covariance)[1]) + 0.5 * float((own * scaled).sum())
            slope += 0.5 * np.tensordot(shapes, (runs - 1) * inverse - scaled @ scaled.T, 2)
        return total, slope * variances

    first = _START if start is None else np.log([start.gain, start.stretch, start.left, start.alone])
    found = minimize(loss, first, jac=True, method="L-BFGS-B", bounds=_BOUNDS, options={"maxiter": _STEPS})
    return RunVariation(*map(float, np.exp(found.x)))


def with_own_light(one: MarkerRuns, variation: RunVariation, tubes: Array) -> RunVariation:
    """Return how runs differ in one marker, whose channel may hold more light of other dyes than the panel's others.

    It shows in how the populations of the marker move against each other. A step moves all of them and has no say.

    Parameters
    ----------
    one
        The marker.
    variation
        How runs differ in the panel.
    tubes
        ``(B,)`` tubes of each run.
    """
    among, between = _contrasts(len(one.level)), _contrasts(len(tubes))
    if not among.size:
        return variation
    parts, noise = one.parts, _tube_noise(one, float(np.mean(1.0 / tubes)))
    rest = among.T @ (variation.stretch * parts[1] + variation.alone * parts[3] + noise) @ among
    root = np.linalg.inv(np.linalg.cholesky(rest))
    size, axes = np.linalg.eigh(root @ among.T @ (variation.left * parts[2]) @ among @ root.T)
    square = ((axes.T @ root @ among.T @ one.medians @ between) ** 2).sum(axis=1)
    wider = 1.0 + np.exp(_LIGHTS)[:, None] * np.maximum(size, 0.0)
    log_density = -0.5 * ((len(tubes) - 1) * np.log(wider) + square / wider).sum(axis=1)
    log_density -= 0.5 * (_LIGHTS / _LIGHT_SPREAD) ** 2
    own = float(np.average(_LIGHTS, weights=np.exp(log_density - log_density.max())))
    return replace(variation, left=variation.left * float(np.exp(max(own, 0.0))))  # less may be chance, of few runs


def _contrasts(count: int) -> Array:
    """Return ``(count, count - 1)`` differences among so many that are as sure as each other."""
    return np.asarray(np.linalg.svd(np.eye(count) - 1.0 / count)[0][:, : count - 1])


def levels_of(one: MarkerRuns, variation: RunVariation, tubes: Array) -> tuple[Array, Array]:
    """Return a marker's level in each run, asinh, and the variance of each between runs.

    Parameters
    ----------
    one
        The marker.
    variation
        How runs differ.
    tubes
        ``(B,)`` tubes of each run.
    """
    between = variation.covariance(one)
    weights = np.linalg.solve(between + _tube_noise(one, float(np.mean(1.0 / tubes))), np.ones(len(one.level)))
    weights /= weights.sum()
    tube = MEDIAN_VARIANCE * float(weights**2 @ one.tube_sd**2)
    return weights @ one.medians, float(weights @ between @ weights) + tube / tubes


def _tube_noise(one: MarkerRuns, share: float) -> Array:
    return np.asarray(np.diag(MEDIAN_VARIANCE * one.tube_sd**2 * share))
