"""Medians and quantiles: equal to numpy's to the last bit."""

from __future__ import annotations

import numpy as np
import pytest

from immunolab.order_statistics import median, quantiles

SHARES = [0.0, 0.0005, 0.01, 0.25, 1 / 3, 0.5, 0.75, 0.99, 0.9995, 1.0]


@pytest.mark.parametrize("n", [1, 2, 3, 4, 5, 49, 50, 4001, 30_000])
@pytest.mark.parametrize("kind", ["normal", "counts", "far from zero", "alike"])
def test_they_are_those_of_numpy(n: int, kind: str) -> None:
    rng = np.random.default_rng(n)
    values = {
        "normal": rng.normal(0.0, 1.0, n),
        "counts": rng.poisson(2.0, n).astype(np.float64),
        "far from zero": rng.normal(1e6, 1e-3, n),
        "alike": np.full(n, 0.1),
    }[kind]
    assert median(values) == np.median(values)
    assert quantiles(np.sort(values), SHARES) == np.quantile(values, SHARES).tolist()


def test_values_keep_their_order() -> None:
    values = np.array([3.0, 1.0, 2.0])
    median(values)
    assert values.tolist() == [3.0, 1.0, 2.0]
