"""Smoothed histograms and their summits: equal to scipy's to the last bit."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter1d
from scipy.signal import find_peaks

from immunolab.gating.placement.smoothing import smoothed, summits


@pytest.mark.parametrize("sd", [0.5, 1.0, 3.3, 40.0, 300.0])
@pytest.mark.parametrize("n", [1, 2, 200, 512])
def test_smoothing_is_that_of_scipy(n: int, sd: float) -> None:
    counts = np.random.default_rng(n).poisson(3.0, n).astype(np.float64)
    assert smoothed(counts, sd).tolist() == gaussian_filter1d(counts, sd, mode="constant").tolist()


@pytest.mark.parametrize("seed", range(20))
def test_summits_are_those_of_scipy(seed: int) -> None:
    heights = np.random.default_rng(seed).poisson(1.0, 200).astype(np.float64)  # many level stretches, at both ends too
    assert summits(heights).tolist() == find_peaks(heights)[0].tolist()
    assert len(summits(heights)) > 10


@pytest.mark.parametrize("heights", [[], [1.0], [1.0, 2.0], [0.0, 1.0, 1.0], [1.0, 1.0, 1.0], [0.0, 1.0, 1.0, 0.0]])
def test_short_and_level_rows(heights: list[float]) -> None:
    assert summits(np.array(heights)).tolist() == find_peaks(np.array(heights))[0].tolist()
