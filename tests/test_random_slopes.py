"""Slopes that the data cannot bear: withheld in words, not given with the precision of rounding."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from immunolab.comparison.random_slopes import fit_slopes
from immunolab.comparison.slopes import fit_two_slopes

TIME = np.tile([0.0, 5.5, 11.0], 5)
PATIENT = np.repeat(np.arange(5), 3)


@pytest.mark.parametrize("level", [np.full(15, 100.0), np.repeat([38.0, 41.0, 25.1, 44.7, 30.3], 3)])
def test_values_that_never_change_have_no_slope_with_a_p(level):
    """All at 100 points gave a slope of -1.8e-14 a month with p .041."""
    fit = fit_slopes(level, {"slope": TIME}, {"slope": TIME}, PATIENT, needed=("slope",))
    found = fit.contrast({"slope": 1.0})
    assert np.isnan(found.p_value)
    assert "nobody's values change" in found.method


def test_a_slope_of_no_degrees_of_freedom_is_withheld():
    """One patient of ten with a later visit gave limits of 10^151 points a month."""
    level = 40.0 - 0.5 * TIME + np.random.default_rng(1).normal(0, 1, 15)
    fit = fit_slopes(level, {"slope": TIME}, {}, PATIENT, needed=())
    assert np.isfinite(fit.contrast({"slope": 1.0}).ci_low)
    few = replace(fit, fit=_Few())
    found = few.contrast({"slope": 1.0})
    assert np.isnan(found.ci_low)
    assert np.isnan(found.p_value)
    assert found.method.startswith("not estimable: 0.002 degrees of freedom")


class _Few:
    def contrast(self, weights):
        return 0.287, 1.0, 0.0018


def test_degrees_of_freedom_where_no_residual_variance_is_left_are_those_of_r():
    """Three random effects take up three visits: a difference of slopes had infinite df, lmerTest has 5.

    Expected: lmerTest 3.1 in R 4.2, ``contest(lmer(y ~ m + ch + (1 | p) + (0 + m | p) + (0 + ch | p)), ...)``.
    """
    y = np.array([35, 32, 29, 41, 37, 31, 43, 39, 34, 44, 40, 34, 37, 34, 31, 46, 42, 39], dtype=float)
    fit = fit_two_slopes(y, np.tile([-5.52, 0.0, 5.52], 6), np.repeat(np.arange(6), 3))
    weights = [{"slope": 1.0}, {"slope": 1.0, "change": 1.0}, {"change": 1.0}]
    found = [(one.estimate, one.df, one.ci_low, one.p_value) for one in map(fit.contrast, weights)]
    expected = [
        (-0.6642512, 4.999257, -0.7624413, 1.153443e-05),
        (-0.7850242, 6.758704, -1.016947, 0.0001047643),
        (-0.1207729, 4.999622, -0.3510362, 0.2354217),
    ]
    np.testing.assert_allclose(found, expected, rtol=2e-3)  # lmerTest ends a little before the limit
