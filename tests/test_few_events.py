"""Few events: the conditional count model against R and on simulated trials, what is not tested, ratios, failures."""

from __future__ import annotations

import few_events as benchmark
import numpy as np
import pandas as pd
import pytest
from builders import REFERENCE
from scipy.stats import binom
from scipy.stats.contingency import odds_ratio

from immunolab.comparison.binomial_mixed import binomial_mixed
from immunolab.comparison.compare import compare
from immunolab.comparison.event_split import event_split, split_likelihood
from immunolab.comparison.plan import Plan
from immunolab.comparison.table import Comparison, compare_endpoints

FOLDER = REFERENCE / "statistics"
DATA = pd.read_csv(FOLDER / "event_split.csv")
R = pd.read_csv(FOLDER / "event_split_R.csv").set_index(["model", "quantity"])["value"]


def pairs(*names: str) -> tuple[np.ndarray, np.ndarray]:
    return tuple(DATA[[f"{name}_before", f"{name}_after"]].to_numpy(float) for name in names)


@pytest.mark.parametrize(
    ("model", "names"),
    [
        ("binomial", ("events", "parents")),
        ("hypergeometric", ("events", "parents")),
        ("hypergeometric, dense", ("dense_events", "dense")),
    ],
)
def test_model_agrees_with_adaptive_integration_in_r(model, names):
    found = event_split(*pairs(*names), exposures=model == "binomial")
    assert found.estimate == pytest.approx(R[model, "estimate"], abs=1e-4)
    assert (found.ci_low, found.ci_high) == pytest.approx((R[model, "ci_low"], R[model, "ci_high"]), abs=1e-4)
    assert found.p_value == pytest.approx(R[model, "p_value"], rel=1e-3)


def test_binomial_split_agrees_with_lme4():
    events, parents = pairs("events", "parents")
    likelihood = split_likelihood(events, parents, exposures=True)
    peak, sd = likelihood.profile(R["glmer", "estimate"])
    assert event_split(events, parents, exposures=True).estimate == pytest.approx(R["glmer", "estimate"], abs=1e-4)
    assert sd == pytest.approx(R["glmer", "sd"], abs=2e-3)
    assert peak == pytest.approx(R["binomial", "log_likelihood"], abs=1e-5)


def test_equal_patients_have_the_conditional_odds_ratio_of_fisher():
    events, parents = np.array([[4.0, 9.0]] * 3), np.array([[900.0, 500.0]] * 3)
    alone = odds_ratio([[9, 491], [4, 896]]).statistic
    assert np.exp(event_split(events, parents).estimate) == pytest.approx(alone, rel=0.01)


@pytest.mark.parametrize("swap", [0, 1])
def test_without_an_event_at_one_visit_there_is_a_limit_and_no_estimate(swap):
    events, parents = pairs("events", "parents")
    events[:, swap] = 0
    found = event_split(events, parents)
    assert np.isnan(found.estimate)
    assert np.isnan(found.ci_high if swap == 0 else found.ci_low)
    assert (found.ci_low if swap == 0 else -found.ci_high) > 0
    assert found.p_value < 0.001


def test_swapping_visits_turns_the_sign():
    events, parents = pairs("events", "parents")
    there, back = event_split(events, parents), event_split(events[:, ::-1], parents[:, ::-1])
    assert (back.estimate, back.ci_low) == pytest.approx((-there.estimate, -there.ci_high), abs=1e-4)
    assert back.p_value == pytest.approx(there.p_value, rel=1e-4)


def compared(*, test: str = "auto", unit: str = "%", sims: int = 1, n: int = 12, **cell) -> Comparison:
    rows = benchmark.endpoint_rows(*benchmark.simulate(4, sims, n, **cell)).assign(unit=unit)
    return compare_endpoints(rows, Plan("W0", "W24", roles=dict.fromkeys(rows["endpoint"], "primary"), test=test))


def test_below_three_expected_events_nothing_is_tested():
    row = compared(events=0.33, ratio=3).shifts.iloc[0]
    assert row[["estimate", "p_value", "q_value", "sensitivity_p_value", "fold"]].isna().all()
    assert row["method"].startswith("not tested: 0.3")
    assert "E_FEW_EVENTS" in row["warnings"]


@pytest.mark.parametrize("test", ["t", "wilcoxon", "signflip", "count_weighted"])
def test_a_method_asked_for_by_name_is_kept_and_warned_of(test):
    found = compared(test=test, events=0.33, ratio=3)
    assert pd.notna(found.shifts["p_value"].iloc[0])
    assert any("half an event added weighs" in str(finding) for finding in found.warnings)


@pytest.mark.parametrize("cell", [{"events": 5}, {"events": 12, "ratio": 3}])
def test_few_events_are_counted_without_a_half(cell):
    row = compared(**cell).shifts.iloc[0]
    assert row["method"].startswith("conditional count model")
    assert "+0.5" not in row["method"]
    assert pd.isna(row["sensitivity_p_value"])


def test_compare_counts_few_events_too():
    rows = benchmark.endpoint_rows(*benchmark.simulate(4, 1, 12, events=5))
    columns = {"patient": "patient_id", "visit": "visit", "count": "n_events", "parent_count": "n_parent"}
    assert compare(rows, before="W0", after="W24", **columns).shifts["method"].str.startswith("conditional").all()


def test_many_events_are_the_paired_t_as_before():
    assert compared(events=200).shifts["method"].iloc[0] == "paired t, logit (+0.5)"


def test_ninety_nine_percent_is_as_rare_as_one():
    rows = benchmark.endpoint_rows(*benchmark.simulate(4, 1, 12, events=8))
    turned = rows.assign(n_events=rows["n_parent"] - rows["n_events"])
    turned["value"] = 100 * turned["n_events"] / turned["n_parent"]
    plain, other = (compare_endpoints(own, Plan("W0", "W24")).shifts.iloc[0] for own in (rows, turned))
    assert other["method"] == plain["method"]
    assert other["estimate"] == pytest.approx(-plain["estimate"], abs=1e-4)


def test_a_ratio_of_two_populations_is_split_by_both():
    rows = benchmark.endpoint_rows(*benchmark.simulate(4, 1, 12, events=8))
    rng = np.random.default_rng(0)
    rows = rows.assign(n_parent=rng.poisson(60, len(rows)), unit="ratio")
    rows["value"] = (rows["n_events"] + 0.5) / (rows["n_parent"] + 0.5)
    row = compare_endpoints(rows, Plan("W0", "W24")).shifts.iloc[0]
    events = rows["n_events"].to_numpy(float).reshape(-1, 2)
    both = events + rows["n_parent"].to_numpy(float).reshape(-1, 2)
    assert row["method"].startswith("conditional count model")
    assert row["estimate"] == pytest.approx(event_split(events, both).estimate)
    assert "W_LOW_EVENTS" in row["warnings"]


@pytest.mark.parametrize("cell", [{"events": 5, "ratio": 3}, {"events": 6, "ratio": 3, "inflated": 0.2}])
def test_count_model_holds_its_level(cell):
    sims = 150
    events, parents = benchmark.simulate(21, sims, 12, **cell)
    now = benchmark.compared(events, parents, 1.0)
    tested = round(sims * now["tested"])
    assert binom.sf(round(now["rejected"] * tested) - 1, tested, 0.06) > 1e-4


def test_counts_that_no_mixed_model_fits_do_not_stop_a_comparison():
    events, parents = pairs("events", "parents")
    events[:, 0] = 0
    found = binomial_mixed(events, parents)
    assert found.tested or "no peak" in found.method
    found = compared(test="binomial_mixed", events=4, ratio=3, sims=8, n=4)
    assert len(found.shifts) == 8


@pytest.mark.parametrize(
    ("share", "test", "code", "tested"),
    [
        (1e-4, "auto", "E_FEW_EVENTS", False),
        (1e-4, "t", "W_LOW_EVENTS", True),
        (3e-3, "auto", "W_LOW_EVENTS", True),
        (5e-2, "auto", "", True),
    ],
)
def test_two_arms_of_few_events_are_not_compared_or_warned_of(share, test, code, tested):
    rng, rows = np.random.default_rng(4), []
    for i in range(16):
        for visit, parents in (("W0", 9000), ("W10", 3000)):
            events = rng.poisson(parents * share)
            cohort = "drug" if i < 8 else "placebo"
            rows.append((f"P{i}", cohort, visit, 100 * events / parents, events, parents))
    frame = pd.DataFrame(rows, columns=["patient_id", "cohort", "visit", "value", "n_events", "n_parent"])
    plan = Plan("W0", "W10", test=test)
    found = compare_endpoints(frame.assign(endpoint="rare", unit="%"), plan, arm_rows=True)
    main, row = found.arms.iloc[0], found.shifts.iloc[-1]
    assert main["codes"] == code
    assert (row["warnings"] if code else "") == code
    assert np.isfinite(main["p_value"]) == np.isfinite(row["p_value"]) == tested
