"""Loops that placing spends its time in give what the same in plain steps gives."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from immunolab.gating.method_results import Cloud
from immunolab.gating.placement.blasts import larger_cells, mahalanobis_square
from immunolab.gating.placement.corner_mixture import _kept, _maximised, _moments

Array = NDArray[np.float64]
_STEEPER = float(np.log(1.45) / np.log(1.3))


def _larger_cells_step_by_step(points: Array, carries: NDArray[np.bool_], cloud: Cloud) -> tuple[float, float]:
    """Take ellipse after ellipse around all events, each with what it holds beyond those before."""

    def within(factors: tuple[float, float], square: float) -> NDArray[np.bool_]:
        return mahalanobis_square(points, cloud.mean, cloud.covariance, factors) <= square

    resting = within((1.0, 1.0), cloud.distance_square)
    least = 0.5 * float(carries[resting].mean()) if resting.any() else 0.0
    last = []
    for power in (_STEEPER, None):
        seen, found, total, positive = resting.copy(), 1.0, 0, 0
        for size in 1.15 ** np.arange(1, 11):
            ring = within((size, size**power) if power else (1.0, size), 6.0) & ~seen
            seen |= ring
            total, positive = total + ring.sum(), positive + carries[ring].sum()
            enough = ring.sum() >= 20 and carries[ring].sum() >= least * ring.sum()
            found = float(size) if enough and positive >= least * total else found
        last.append(found)
    return last[0], last[1]


@pytest.mark.parametrize("reach", [0.0, 1.5, 2.5])
def test_larger_cells_are_those_of_ellipse_after_ellipse(reach: float) -> None:
    rng = np.random.default_rng(int(10 * reach))
    resting = rng.multivariate_normal([60_000, 20_000], [[4e7, 1e7], [1e7, 2e7]], 8_000).T
    larger = resting[:, :3_000] * (1 + reach * rng.random(3_000))
    granular = resting[:, 3_000:6_000] * np.array([np.ones(3_000), 1 + 2 * rng.random(3_000)])
    points = np.concatenate([resting, larger, granular], axis=1)
    carries = rng.random(points.shape[1]) < np.repeat([0.7, 0.5, 0.3], [8_000, 3_000, 3_000])
    cloud = Cloud((60_000.0, 20_000.0), ((4e7, 1e7), (1e7, 2e7)), 13.8, ())
    found = larger_cells(points, carries, cloud)
    assert found == _larger_cells_step_by_step(points, carries, cloud)
    assert found[0] >= 1 + reach / 2


def _moments_cell_by_cell(cells: Array, counts: Array, height: Array, mean: Array, inverse: Array) -> Array:
    sums = np.zeros((len(height), 6))
    for (u, v), n in zip(cells.tolist(), counts.tolist(), strict=True):
        shares, total = [], 1e-300
        for j in range(len(height)):
            du, dv = u - mean[j, 0], v - mean[j, 1]
            square = inverse[j, 0] * du * du + 2 * inverse[j, 1] * du * dv + inverse[j, 2] * dv * dv
            shares.append(height[j] * float(np.exp(-0.5 * square)))
            total += shares[-1]
        for j, share in enumerate(shares):
            w = n * (share / total)
            sums[j] += [w, w * u, w * v, w * u * u, w * u * v, w * v * v]
    return sums


def test_moments_of_a_mixture_are_those_of_cell_after_cell() -> None:
    rng = np.random.default_rng(2)
    # far from a group, where its exponential is 0, and one cell far from all of them
    cells = np.concatenate([rng.normal(0, 4, (600, 2)), [[60.0, 60.0], [14.0, -9.0]]])
    counts = rng.poisson(5, len(cells)).astype(float)
    height, mean = rng.random(6), rng.normal(0, 3, (6, 2))
    inverse = np.stack([1 + 8 * rng.random(6), 0.3 * rng.random(6), 1 + 8 * rng.random(6)], axis=1)
    found = _moments(cells[:, 0].copy(), cells[:, 1].copy(), counts, height, mean, inverse)
    expected = _moments_cell_by_cell(cells, counts, height, mean, inverse)
    np.testing.assert_allclose(found, expected, rtol=1e-12)  # exponentials of two libraries differ in the last bit
    assert found[:, 0].sum() == pytest.approx(counts[:-2].sum() + counts[-1], rel=1e-9)


def _maximised_group_by_group(sums: Array) -> tuple[list[float], list[list[float]], list[list[list[float]]]]:
    """Take each group's mean and covariance from its sums, with the events of the prior, and put them in bounds."""
    mass, corner = [max(row[0], 1e-6) for row in sums], sums[5, 1] / max(sums[5, 0], 1e-6)
    means, covariances, n = [], [], 20.0
    for j, (_, n_u, n_v, n_uu, n_uv, n_vv) in enumerate(sums):
        u, v, held = n_u / mass[j], n_v / mass[j], mass[j] + n
        a, d = (n_uu - mass[j] * u * u + n * 0.6) / held, (n_vv - mass[j] * v * v + n) / held
        widest = max(1.0, (0.35 if j == 5 else 0.2) * corner)
        a, d = min(max(a, 0.35**2), widest**2), min(max(d, 0.35**2), 4.0)
        b = (n_uv - mass[j] * u * v) / held
        b = min(abs(b), 0.9 * float(np.sqrt(a * d))) * float(np.sign(b))
        rival = min((n_u + n * (0.0, 0.3, 0.55, 0.55, 0.1, 1.0)[j] * corner) / held, 0.68 * corner)
        means.append([u if j == 5 else rival, v])
        covariances.append([[a, b], [b, d]])
    return [m / sum(mass) for m in mass], means, covariances


@pytest.mark.parametrize("corner", [3.0, 8.0])  # near, and so far that widest groups grow with it
def test_groups_of_sums_are_those_of_group_after_group(corner: float) -> None:
    rng = np.random.default_rng(int(corner))
    places = np.array([[0, 0], [1, 0], [0.95 * corner, 0], [2, -3], [1, -3], [corner, -3]])
    draws = [rng.normal(place, (3, 0.1)[j % 2], (20 * j + 3, 2)) for j, place in enumerate(places)]
    draws[3][:, 1] = draws[3][:, 0] + 0.01 * draws[3][:, 1]  # thin: a line
    sums = np.array([[len(u), u.sum(), v.sum(), u @ u, u @ v, v @ v] for u, v in (part.T for part in draws)])
    sums[0] = 0.0  # a group that lost all of its events
    before = np.full(6, 1 / 6)
    weights, means, covariances, height, inverse, moved = _maximised(sums, before, places)
    for found, expected in zip((weights, means, covariances), _maximised_group_by_group(sums), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-9)
    full = np.linalg.inv(covariances)
    np.testing.assert_allclose(inverse, np.stack([full[:, 0, 0], full[:, 0, 1], full[:, 1, 1]], axis=1))
    np.testing.assert_allclose(height, weights / np.sqrt(np.linalg.det(covariances)))
    assert moved == pytest.approx(np.abs(means - places).max() + np.abs(weights - before).max())


def test_what_lines_keep_is_the_sum_over_the_cells_in_their_corner() -> None:
    rng = np.random.default_rng(3)
    u, v, gain = rng.normal(0, 2, 400), rng.normal(0, 2, 400), rng.normal(0, 1, 400)
    lefts, levels = np.linspace(-2, 2, 9), np.linspace(-3, 3, 14)
    u[:9], v[:14] = lefts, levels  # a cell at a left border is not right of it, one at a level is under it
    expected = [[gain[(u > left) & (v <= level)].sum() for level in levels] for left in lefts]
    np.testing.assert_allclose(_kept(u, v, gain, lefts, levels), expected, atol=1e-12)
