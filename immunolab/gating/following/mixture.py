"""The clouds of a template's events: a mixture of normal clouds on the axes of some gates."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from immunolab.gating.method_results import Array

_MOST_CLOUDS = 8  # judgement: two axes of T or B cell subsets show four to six groups; BIC takes fewer where it can
_EVENTS_A_CLOUD = 40  # fewest events a cloud on average (judgement: a covariance of two axes has three parameters)
_STEPS = 60  # steps of EM (judgement: the likelihood of 5,000 events changes by less than 1e-4 an event by then)
_RIDGE = 1e-3  # share of the events' variance added to each cloud's: ties on the end of a scale are no cloud


@dataclass(frozen=True)
class CloudMixture:
    """Normal clouds.

    Attributes
    ----------
    weights
        Share of each cloud, of shape (clouds,), sum 1.
    means, covariances
        Of shapes (clouds, axes) and (clouds, axes, axes), on the scale of the events.
    """

    weights: Array
    means: Array
    covariances: Array

    @cached_property
    def _precisions(self) -> tuple[Array, Array]:
        return np.asarray(np.linalg.inv(self.covariances)), np.asarray(np.linalg.slogdet(self.covariances)[1])

    def log_densities(self, values: Array) -> tuple[Array, Array]:
        """Return each cloud's log density, without its share, and its gradient.

        Parameters
        ----------
        values
            Events x axes.

        Returns
        -------
        tuple of array
            Of shapes (events, clouds) and (events, clouds, axes).
        """
        inverse, log_size = self._precisions
        offset = values[:, None, :] - self.means
        slope = -np.matmul(offset[:, :, None, :], inverse)[:, :, 0, :]
        square = np.einsum("nki,nki->nk", offset, slope)
        return 0.5 * (square - log_size - values.shape[1] * np.log(2 * np.pi)), slope

    def draw(self, weights: Array, n: int, rng: np.random.Generator) -> Array:
        """Return events of the clouds, events x axes.

        Parameters
        ----------
        weights
            Share of each cloud.
        n
            How many events.
        rng
            Of the draw.
        """
        cloud = rng.choice(len(weights), n, p=weights)
        roots = np.linalg.cholesky(self.covariances)
        noise = rng.normal(size=(n, self.means.shape[1]))
        return self.means[cloud] + np.einsum("nij,nj->ni", roots[cloud], noise)


def fit_mixture(values: Array, rng: np.random.Generator) -> CloudMixture:
    """Return the mixture of one to eight clouds that BIC prefers (Schwarz 1978, Ann Statist 6:461).

    Parameters
    ----------
    values
        Events x axes, finite.
    rng
        Of the first centres.
    """
    axes = values.shape[1]
    free = 1 + axes + axes * (axes + 1) / 2
    fitted: list[tuple[float, CloudMixture]] = []
    for n in range(1, max(1, min(_MOST_CLOUDS, len(values) // _EVENTS_A_CLOUD)) + 1):
        found, likelihood = _em(values, n, rng)
        fitted.append((free * n * np.log(len(values)) - 2 * likelihood, found))
    return min(fitted, key=lambda one: one[0])[1]


def _em(values: Array, n: int, rng: np.random.Generator) -> tuple[CloudMixture, float]:
    whole = np.atleast_2d(np.cov(values.T)) if len(values) > 1 else np.eye(values.shape[1])
    ridge = np.diag(_RIDGE * np.diag(whole) + 1e-12)
    centres = _first_centres(values, n, np.sqrt(np.diag(whole)) + 1e-9, rng)
    mixture = CloudMixture(np.full(n, 1 / n), centres, np.repeat((whole / n + ridge)[None], n, axis=0))
    before = -np.inf
    for _ in range(_STEPS):
        joint = mixture.log_densities(values)[0] + np.log(mixture.weights)
        each = np.logaddexp.reduce(joint, axis=1)
        total = float(each.sum())
        share = np.exp(joint - each[:, None])
        size = share.sum(axis=0) + 1e-9
        means = (share.T @ values) / size[:, None]
        offset = values[:, None, :] - means
        spread = np.matmul((share[:, :, None] * offset).transpose(1, 2, 0), offset.transpose(1, 0, 2))
        mixture = CloudMixture(size / size.sum(), means, spread / size[:, None, None] + ridge)
        if total - before < 1e-4 * len(values):
            break
        before = total
    return mixture, total


def _first_centres(values: Array, n: int, scale: Array, rng: np.random.Generator) -> Array:
    """Return centres far from each other (k-means++: Arthur and Vassilvitskii 2007)."""
    chosen = [values[rng.integers(len(values))]]
    nearest = np.full(len(values), np.inf)
    for _ in range(n - 1):
        nearest = np.minimum(nearest, (((values - chosen[-1]) / scale) ** 2).sum(axis=1))
        total = nearest.sum()
        chance = nearest / total if total > 0 else np.full(len(values), 1 / len(values))
        chosen.append(values[rng.choice(len(values), p=chance)])
    return np.array(chosen)
