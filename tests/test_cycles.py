"""Repeated cycles and two slopes: agreement with lmerTest, what is given up and said, type I error."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from builders import REFERENCE

from immunolab.comparison.dose_time import cycle_rows, fit_cycles
from immunolab.comparison.random_slopes import fit_slopes
from immunolab.comparison.slopes import fit_two_slopes, slope_rows
from immunolab.schema.courses import CYCLES, SLOPES
from immunolab.schema.endpoints import ENDPOINTS
from immunolab.schema.estimand import INTERCURRENT_EVENTS
from immunolab.study.trial import load_trial

FOLDER = REFERENCE / "statistics"
WANTED = pd.read_csv(FOLDER / "random_slopes_R.csv").set_index(["model", "quantity"])
NUMBERS = ("estimate", "ci_low", "ci_high", "df", "p_value")
ALS = load_trial("als_nct04952155")
CALENDAR = (("pre_dose", np.nan), ("peak", 1), ("trough", 1), ("peak", 2), ("trough", 2), ("peak", 3))


def levels(values: np.ndarray, calendar: tuple[tuple[str, float], ...] = CALENDAR) -> pd.DataFrame:
    """Levels (patients x visits) as `table.Comparison.levels`."""
    rows = [
        {"patient_id": f"P{i}", "study_day": 14 * j + 1, "cycle_state": state, "cycle": cycle, "level": values[i, j]}
        for i in range(len(values))
        for j, (state, cycle) in enumerate(calendar)
        if np.isfinite(values[i, j])
    ]
    return pd.DataFrame(rows).assign(cohort="", endpoint="treg", scale="logit")


def drawn(rng: np.random.Generator, n: int, lost: float = 0.15) -> np.ndarray:
    """A drug without effect on average; patients differ in level, response, peaks and trend."""
    response, extra, trend = (rng.normal(0, sd, n) for sd in (0.2, 0.2, 0.08))
    moved = [np.zeros(n)]
    moved += [response + (extra if state == "peak" else 0.0) + trend * (cycle - 2) for state, cycle in CALENDAR[1:]]
    values = rng.normal(0, 0.5, (n, 1)) + np.column_stack(moved) + rng.normal(0, 0.2, (n, 6))
    values[:, 1:][rng.random((n, 5)) < lost] = np.nan
    return values


# --- agreement with R ------------------------------------------------------------------------------


def test_cycles_agree_with_lmertest() -> None:
    data = pd.read_csv(FOLDER / "random_slopes_cycles.csv").rename(
        columns={"patient": "patient_id", "state": "cycle_state"}
    )
    days = data.groupby("patient_id").cumcount() * 14 + 1
    found = cycle_rows(data.assign(cohort="", endpoint="x", scale="logit", study_day=days))
    model = found[found["method"].str.startswith("REML")].set_index("measure")
    assert set(model.index) == set(WANTED.loc["cycles"].index)
    for measure in model.index:
        for name in NUMBERS:
            assert model.loc[measure, name] == pytest.approx(WANTED.loc[("cycles", measure), name], rel=1e-5), (
                measure,
                name,
            )


def test_slopes_agree_with_lmertest() -> None:
    data = pd.read_csv(FOLDER / "random_slopes_score.csv")
    fitted = fit_two_slopes(data["value"].to_numpy(), data["months"].to_numpy(), data["patient"].to_numpy())
    weights = {
        "earlier slope": {"slope": 1.0},
        "later slope": {"slope": 1.0, "change": 1.0},
        "difference": {"change": 1.0},
    }
    for quantity, of in weights.items():
        found = fitted.contrast(of)
        for name in NUMBERS:
            assert getattr(found, name) == pytest.approx(WANTED.loc[("slopes", quantity), name], rel=1e-5), (
                quantity,
                name,
            )


# --- what the data cannot carry --------------------------------------------------------------------


def test_planted_peaks_troughs_and_trends_are_found() -> None:
    rng = np.random.default_rng(1)
    planted = np.array([0.0, 0.8, 0.3, 0.9, 0.2, 1.0])  # peaks rise by 0.1 a cycle, troughs fall by 0.1
    values = rng.normal(0, 0.5, (12, 1)) + planted + rng.normal(0, 0.02, (12, 6))
    found = cycle_rows(levels(values))
    CYCLES.check(found)
    model = found[found["method"].str.startswith("REML")].set_index("measure")["estimate"]
    wanted = {"peak_over_baseline": 0.9, "trough_over_baseline": 0.25, "peak_over_trough": 0.65}
    wanted |= {"peak_trend": 0.1, "trough_trend": -0.1}
    for measure, size in wanted.items():
        assert model[measure] == pytest.approx(size, abs=0.03), measure
    summary = found[found["method"] == "t on one number a patient"].set_index("measure")["estimate"]
    assert summary["peak_over_trough"] == pytest.approx(((0.8 - 0.0) + (0.9 - 0.3) + (1.0 - 0.2)) / 3, abs=0.03)


def test_a_random_effect_without_variance_is_said() -> None:
    rng = np.random.default_rng(2)
    values = rng.normal(0, 0.5, (10, 1)) + rng.normal(0, 0.2, (10, 6))
    found = cycle_rows(levels(values))
    assert found["method"].str.contains("no variance between patients in").any()


def test_one_cycle_gives_no_row_and_few_patients_say_why() -> None:
    rng = np.random.default_rng(3)
    one = drawn(rng, 8)
    assert cycle_rows(levels(one[:, :3], CALENDAR[:3])).empty
    two = cycle_rows(levels(drawn(rng, 2, lost=0.0)))
    assert two["method"].tolist() == ["2 patient(s): a model needs 3"]
    assert two["estimate"].isna().all()


def test_troughs_alone_have_no_peak_measure() -> None:
    rng = np.random.default_rng(4)
    calendar = (("pre_dose", np.nan), ("trough", 1), ("trough", 2), ("trough", 6))
    found = cycle_rows(levels(rng.normal(0, 0.3, (9, 4)), calendar))
    model = found[found["method"].str.startswith("REML")]
    assert model["measure"].tolist() == ["trough_over_baseline", "trough_trend"]


def test_a_random_slope_that_the_rows_cannot_carry_is_dropped_and_said() -> None:
    """Two values a patient: level and slope of each are all that they hold."""
    rng = np.random.default_rng(5)
    patient, time = np.repeat(np.arange(6), 2), np.tile([0.0, 1.0], 6)
    other = np.tile([0.0, 2.0], 6)  # the same column but for its unit
    fitted = fit_slopes(rng.normal(size=12), {"time": time}, {"time": time, "other": other}, patient, needed=("time",))
    assert "random other dropped" in fitted.method
    assert fitted.contrast({"time": 1.0}).tested
    assert fitted.contrast({"absent": 1.0}).method == "not estimable: no data for absent"


@pytest.mark.parametrize("n", [8, 16])
def test_type_i_error_of_the_cycles_is_nominal(n: int) -> None:
    """60 trials of 5 tests: 300 p values of which 15 are expected below 0.05; 30 or more have p < 1e-3 if binomial."""
    rng = np.random.default_rng(n)
    false = total = 0
    for _ in range(60):
        fitted = fit_cycles(levels(drawn(rng, n)))
        for name in ("peak", "trough", "peak_trend", "trough_trend"):
            p = fitted.contrast({name: 1.0}).p_value
            false, total = false + (p < 0.05), total + np.isfinite(p)
    assert total > 200
    assert false <= 0.1 * total


# --- from the tables of a study --------------------------------------------------------------------


def test_slopes_take_in_patients_without_the_last_visit() -> None:
    rng = np.random.default_rng(6)
    rows = []
    for i in range(10):
        for visit in ("W0", "W24", "W48"):
            if visit == "W48" and i < 3:
                continue
            day = ALS.visit(visit).target_day
            months = (day - ALS.visit("W24").target_day) / (365.25 / 12)
            value = 38 - 0.5 * months - 0.4 * max(months, 0) + rng.normal(0, 0.5)
            rows.append(
                {"sample_id": f"{i}{visit}", "patient_id": f"P{i}", "visit": visit, "study_day": day, "unit": "points"}
                | {"endpoint": "ALSFRS_R", "population": "ALSFRS_R", "value": value}
            )
    found = slope_rows(ENDPOINTS.frame(rows), ALS.endpoints, ALS, INTERCURRENT_EVENTS.empty())
    SLOPES.check(found)
    assert set(found["endpoint"]) == {"alsfrsr_slope_diff"}
    at = found.set_index("quantity")
    assert (at["n_patients"] == 10).all()
    assert (at["n_values"] == 27).all()
    assert at.loc["difference", "estimate"] == pytest.approx(-0.4, abs=0.15)
    assert at.loc["later slope", "estimate"] == pytest.approx(-0.9, abs=0.15)
