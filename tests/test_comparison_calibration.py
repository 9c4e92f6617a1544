"""Short null simulations: type I error, coverage, false discoveries and verdicts within binomial tails.

A bound is missed by chance once in ten thousand runs of another seed; the seeds here are fixed.
"""

from __future__ import annotations

import calibration
import numpy as np
import pytest
from scipy.stats import binom

from immunolab.comparison.plan import Plan
from immunolab.comparison.table import compare_endpoints

TAIL = 1e-4


def at_most(share: float, sims: int, limit: float) -> bool:
    return binom.sf(round(share * sims) - 1, sims, limit) > TAIL


def within(share: float, sims: int, target: float) -> bool:
    return (
        binom.sf(round(share * sims) - 1, sims, target) > TAIL and binom.cdf(round(share * sims), sims, target) > TAIL
    )


@pytest.mark.parametrize("n", [8, 13])
@pytest.mark.parametrize("share", [0.01, 0.001])
def test_default_holds_its_level_and_covers(n, share):
    table = calibration.simulate_trials(11, 400, n, share=share)
    found = compare_endpoints(table, Plan("baseline", "on", test="t"))
    assert within(calibration.rejected(found), 400, 0.05)
    assert within(calibration.covered(found, 1.0), 400, 0.95)


@pytest.mark.parametrize("test", ["wilcoxon", "signflip", "count_weighted"])
def test_alternatives_do_not_exceed_their_level(test):
    found = compare_endpoints(calibration.simulate_trials(12, 300, 8), Plan("baseline", "on", test=test))
    assert at_most(calibration.rejected(found), 300, 0.05)


def test_mixed_model_with_missing_visits_holds_its_level():
    visits = (("b1", 0), ("b2", 0), ("w2", 1), ("w4", 1), ("w8", 1))
    table = calibration.simulate_trials(13, 120, 13, visits=visits, missing=0.15, response_sd=0.25)
    found = compare_endpoints(table, Plan("baseline", "on_treatment", test="mixed"))
    assert at_most(calibration.rejected(found), 120, 0.05)


def test_confounded_batches_are_adjusted_away():
    sims, n = 300, 13
    swapped = np.random.default_rng(14).random((sims, n, 2)) < 0.2
    visit = np.broadcast_to(np.array([0, 1]), (sims, n, 2))
    table = calibration.simulate_trials(14, sims, n, batch=np.where(swapped, 1 - visit, visit))
    adjusted = compare_endpoints(table, Plan("baseline", "on", test="t"))
    ignored = compare_endpoints(table.drop(columns="batch"), Plan("baseline", "on", test="t"))
    estimable = ~adjusted.shifts["warnings"].fillna("").str.contains("E_BATCH_ALIASED").to_numpy()
    rejections = (adjusted.shifts["p_value"] < 0.05).to_numpy()[estimable]
    assert at_most(rejections.mean(), rejections.size, 0.05)
    assert not at_most(calibration.rejected(ignored), sims, 0.05)


@pytest.mark.parametrize("test", ["t", "auto"])
def test_false_discoveries_stay_below_the_level(test):
    table = calibration.simulate_families(15, 40, 8, true=5)
    fdr, power, _ = calibration.false_discoveries(compare_endpoints(table, Plan("baseline", "on", test=test)), 5)
    assert fdr <= 0.07
    assert power > (0.5 if test == "auto" else 0.25)


def test_unchanged_patients_rarely_get_a_verdict():
    options = {"share": 0.05, "depth": 2e4, "response_sd": 0.0, "visit_sd": 0.15}
    table = calibration.simulate_trials(16, 150, 13, **options)
    repeats = calibration.simulate_trials(17, 150, 10, **options)
    found = compare_endpoints(table, Plan("baseline", "on", test="t"), replicates=repeats).pairs
    assert found["verdict"].isin(("rise", "fall")).mean() <= 0.05
    assert (found["p_value"] < 0.05).mean() <= 0.07
