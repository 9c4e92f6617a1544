"""Time to an event against a published worked example and by hand."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from immunolab.clinical import survival_tables
from immunolab.clinical.follow_up import Followed
from immunolab.clinical.survival import kaplan_meier
from immunolab.study.endpoints import TimeToEvent
from immunolab.study.trial import load_trial

ALS = load_trial("als_nct04952155")
SURVIVAL = next(e for e in ALS.endpoints if e.id == "survival")
# Weeks to discontinuation of a device in 18 women, 9 of them censored: Collett, Modelling Survival Data in Medical
# Research, tables 1.1 and 2.2 (estimate and standard error after each event).
WEEKS = [10, 13, 18, 19, 23, 30, 36, 38, 54, 56, 59, 75, 93, 97, 104, 107, 107, 107]
STOPPED = [1, 0, 0, 1, 0, 1, 1, 0, 0, 0, 1, 1, 1, 1, 0, 1, 0, 0]
COLLETT = {
    10: (0.9444, 0.0540),
    19: (0.8815, 0.0790),
    30: (0.8137, 0.0978),
    36: (0.7459, 0.1107),
    59: (0.6526, 0.1303),
    75: (0.5594, 0.1412),
    93: (0.4662, 0.1452),
    97: (0.3729, 0.1430),
    107: (0.2486, 0.1392),
}


def test_the_published_estimates() -> None:
    curve = kaplan_meier(WEEKS, STOPPED)
    assert curve.days.tolist() == list(COLLETT)
    for week, (share, error) in COLLETT.items():
        found, low, high = curve.at(week)
        assert found == pytest.approx(share, abs=5e-5)
        # the interval of log(-log S), from the published standard error
        width = 1.959964 * error / (share * abs(math.log(share)))
        assert low == pytest.approx(share ** math.exp(width), abs=5e-4)
        assert high == pytest.approx(share ** math.exp(-width), abs=5e-4)
    assert curve.at(92)[0] == pytest.approx(0.5594, abs=5e-5)  # a step holds until the next event


def test_the_median_and_its_limits() -> None:
    median, low, high = kaplan_meier(WEEKS, STOPPED).median()
    assert median == 93  # as published
    # the lower limit of the curve is 0.524 after week 30 and 0.454 after week 36; the upper one never reaches a half
    assert low == 36
    assert math.isnan(high)


def test_by_hand_with_everybody_followed_to_the_event() -> None:
    """Four patients, no censoring: the share falls by a quarter each time; a half is reached on the second day."""
    curve = kaplan_meier([40, 10, 30, 20], [True] * 4)
    assert curve.share.tolist() == pytest.approx([0.75, 0.5, 0.25, 0])
    assert curve.median()[0] == 20
    assert curve.at(40)[0] == 0
    assert all(math.isnan(limit) for limit in curve.at(40)[1:])  # nobody left: no interval on this scale
    assert curve.at(500)[0] == 0
    # Greenwood after the first event of four: S = 3/4, se = sqrt(3/4 * 1/4 / 4)
    width = 1.959964 * math.sqrt(3 / 64) / (0.75 * -math.log(0.75))
    assert curve.at(10)[1] == pytest.approx(0.75 ** math.exp(width), rel=1e-5)


def test_censored_on_the_day_of_an_event_counts_as_at_risk() -> None:
    curve = kaplan_meier([10, 10, 20], [True, False, True])
    assert curve.share.tolist() == pytest.approx([2 / 3, 0])


def test_nothing_is_claimed_before_the_first_event_or_after_the_last_patient() -> None:
    curve = kaplan_meier([50, 100, 100], [True, False, False])
    assert curve.at(49)[0] == 1
    assert all(math.isnan(limit) for limit in curve.at(49)[1:])
    assert curve.at(100)[0] == pytest.approx(2 / 3)
    assert math.isnan(curve.at(101)[0])
    never = kaplan_meier([100, 80], [False, False])
    assert never.at(80) == (1.0, pytest.approx(math.nan, nan_ok=True), pytest.approx(math.nan, nan_ok=True))
    assert all(math.isnan(value) for value in never.median())


def test_the_order_of_patients_does_not_matter() -> None:
    order = np.random.default_rng(0).permutation(18)
    mixed = kaplan_meier(np.array(WEEKS)[order], np.array(STOPPED)[order])
    np.testing.assert_allclose(mixed.share, kaplan_meier(WEEKS, STOPPED).share)


def outcomes(*lines: tuple[object, ...]) -> pd.DataFrame:
    return pd.DataFrame(lines, columns=["patient_id", "endpoint", "study_day", "status"])


def test_tables_read_the_curve_at_the_planned_visits_and_count_who_is_at_risk() -> None:
    patients = [Followed(f"P{i}", "", 169, 337) for i in range(6)]
    lines = outcomes(
        ("P0", "survival", 100, "event"),
        ("P1", "survival", 169, "censored"),
        ("P2", "survival", 250, "event"),
        ("P3", "survival", 337, "censored"),
        ("P4", "survival", 337, "censored"),
    )
    summary, curve = survival_tables([SURVIVAL], lines, patients, ALS)
    row = summary.iloc[0]
    assert (row["n_patients"], row["n_with_outcome"], row["n_events"], row["n_censored"]) == (6, 5, 2, 3)
    assert row["role"] == "secondary"
    assert "no test" in row["method"]
    found = curve.set_index("study_day")
    assert found["visit"].fillna("").to_dict() == {1: "W0", 100: "", 169: "W24", 250: "", 337: "W48"}
    assert found["n_at_risk"].to_dict() == {1: 5, 100: 5, 169: 4, 250: 3, 337: 2}
    # 4/5 after the first death; one patient leaves; then 2 of 3 survive
    assert found["percent"].to_dict() == pytest.approx({1: 100, 100: 80, 169: 80, 250: 80 * 2 / 3, 337: 80 * 2 / 3})
    assert found["n_censored"].to_dict() == {1: 0, 100: 0, 169: 1, 250: 0, 337: 2}


def test_visits_of_the_endpoint_come_first_and_cohorts_stay_apart() -> None:
    patients = [Followed("P0", "a", 169, 337), Followed("P1", "b", 169, 337), Followed("P2", "c", 169, 337)]
    named = replace(SURVIVAL, visits=("W24",))
    lines = outcomes(("P0", "survival", 300, "event"), ("P1", "survival", 200, "censored"))
    summary, curve = survival_tables([named], lines, patients, ALS)
    assert summary["cohort"].tolist() == ["a", "b"]
    assert curve["visit"].dropna().unique().tolist() == ["W24"]


def test_a_relapse_is_waited_for_in_the_same_way() -> None:
    relapse = TimeToEvent(id="relapse_time", source="protocol", role="exploratory")
    patients = [Followed("P0", "", None, 90), Followed("P1", "", None, 120)]
    lines = outcomes(("P0", "relapse_time", 90, "event"), ("P1", "relapse_time", 120, "censored"))
    summary, curve = survival_tables([relapse, SURVIVAL], lines, patients, None)
    assert summary["endpoint"].tolist() == ["relapse_time"]
    assert summary["median_day"].tolist() == [90]
    assert curve["visit"].isna().all()
