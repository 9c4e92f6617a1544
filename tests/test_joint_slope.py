"""Slopes and death in one model: agreement with an own integration in R, what it needs, how a study's rows reach it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from builders import REFERENCE

from immunolab.comparison.joint_slope import LEAST_DEATHS, JointRows, joint_change
from immunolab.comparison.slopes import slope_rows
from immunolab.schema.courses import SLOPES
from immunolab.schema.endpoints import ENDPOINTS
from immunolab.schema.estimand import INTERCURRENT_EVENTS
from immunolab.study.trial import load_trial

FOLDER = REFERENCE / "statistics"
ALS = load_trial("als_nct04952155")


def reference_rows() -> JointRows:
    values, people = (pd.read_csv(FOLDER / f"joint_slope_{name}.csv") for name in ("values", "people"))
    return JointRows(
        values["value"].to_numpy(),
        values["months"].to_numpy(),
        values["patient"].to_numpy() - 1,
        people[["earlier", "later"]].to_numpy(),
        people["died"].to_numpy(),
    )


def test_joint_model_agrees_with_r() -> None:
    wanted = pd.read_csv(FOLDER / "joint_slope_R.csv").set_index("quantity")["value"]
    found, association, p = joint_change(reference_rows())
    assert found.estimate == pytest.approx(wanted["estimate"], abs=2e-4)
    assert found.ci_high == pytest.approx(wanted["ci_high"], abs=2e-3)
    assert found.p_value == pytest.approx(wanted["p_value"], rel=5e-3)
    assert association == pytest.approx(wanted["association"], abs=2e-3)
    assert p == pytest.approx(wanted["association_p"], rel=1e-2)


def test_without_deaths_it_says_what_it_needs() -> None:
    rows = reference_rows()
    died = np.where(np.cumsum(rows.died > 0) < LEAST_DEATHS, rows.died, 0)
    found, association, _ = joint_change(replace(rows, died=died))
    assert not found.tested
    assert found.method == "no joint model: 4 death(s) of 18 patients; 5 of 8 are needed (joint_rank.csv ranks them)"
    assert np.isnan(association)


def test_estimate_moves_with_the_scores_and_not_with_their_level() -> None:
    rows = reference_rows()
    found, association, _ = joint_change(rows, with_limits=False)
    moved = rows.value + 5.0 + 0.3 * rows.months + 0.2 * np.maximum(rows.months, 0.0)
    again, same, _ = joint_change(replace(rows, value=moved), with_limits=False)
    assert again.estimate == pytest.approx(found.estimate + 0.2, abs=2e-3)
    assert same == pytest.approx(association, abs=2e-2)


def test_deaths_of_the_estimand_reach_the_model() -> None:
    """Fourteen patients of the ALS design; six die, the steeper the sooner, and have no value after it."""
    rng = np.random.default_rng(4)
    rows, deaths = [], []
    for i in range(14):
        slope = -0.3 - 0.15 * i + rng.normal(0, 0.05)
        day_of_death = 360 - 40 * (i - 8) if i >= 8 else 10_000
        if day_of_death < 10_000:
            deaths.append({"patient_id": f"P{i}", "event": "death", "study_day": day_of_death, "assessed": "yes"})
        for visit in ("W0", "W24", "W48"):
            day = ALS.visit(visit).target_day
            value = 40 + slope * day / 30.4375 + rng.normal(0, 0.4)
            row = {"sample_id": f"{i}{visit}", "patient_id": f"P{i}", "visit": visit, "study_day": day, "value": value}
            row |= {"endpoint": "ALSFRS_R", "population": "ALSFRS_R", "unit": "points"}
            rows += [row] if day < day_of_death else []
    happened = INTERCURRENT_EVENTS.frame([row | {"seen_in": "outcomes", "detail": "x"} for row in deaths])
    found = slope_rows(ENDPOINTS.frame(rows), ALS.endpoints, ALS, happened)
    SLOPES.check(found)
    joint = found[found["model"] == "joint with deaths"].set_index("quantity")
    assert joint.index.tolist() == ["difference", "association"]
    assert joint.loc["association", "estimate"] < -0.5  # a slope below the mean, a greater hazard
    assert joint.loc["difference", "ci_low"] < 0.0 < joint.loc["difference", "ci_high"]
    few = slope_rows(ENDPOINTS.frame(rows), ALS.endpoints, ALS, happened.tail(2))
    said = few.loc[few["model"] == "joint with deaths", "method"].tolist()
    assert said == ["no joint model: 2 death(s) of 14 patients; 5 of 8 are needed (joint_rank.csv ranks them)"]
    none = slope_rows(ENDPOINTS.frame(rows), ALS.endpoints, ALS, INTERCURRENT_EVENTS.empty())
    assert set(none["model"]) == {"missing at random"}
