"""Slopes that the data cannot bear: withheld in words, not given with the precision of rounding."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from immunolab.comparison.random_slopes import fit_slopes

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
