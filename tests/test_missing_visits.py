"""Missing visits: the mixed model for repeated measures against R and on simulated trials, tipping points, default."""

from __future__ import annotations

import math

import missing_visits as benchmark
import numpy as np
import pandas as pd
import pytest
from builders import REFERENCE
from scipy import stats
from scipy.stats import binom

from immunolab.comparison.missing_visits import tipping_point
from immunolab.comparison.paired import paired_t
from immunolab.comparison.plan import Plan
from immunolab.comparison.repeated_measures import RepeatedMeasuresFit, fit_repeated_measures
from immunolab.comparison.table import compare_endpoints
from immunolab.plots.labels import EndpointLabel
from immunolab.results.sentences import change_sentence
from immunolab.schema.contrast import Contrast

FOLDER = REFERENCE / "statistics"


def fitted(rows: pd.DataFrame, *columns: str) -> RepeatedMeasuresFit:
    visit = rows["visit"].to_numpy() - rows["visit"].min()
    design = np.column_stack([visit[:, None] == np.arange(visit.max() + 1), rows[list(columns)]]).astype(float)
    return fit_repeated_measures(rows["level"].to_numpy(float), design, rows["patient"].to_numpy() - 1, visit)


@pytest.mark.parametrize(("model", "columns"), [("visits", ()), ("visits and batch", ("batch",))])
def test_fit_agrees_with_nlme_and_its_error_with_numeric_derivatives(model, columns):
    r = pd.read_csv(FOLDER / "repeated_measures_R.csv").set_index(["model", "quantity"])["value"][model]
    fit = fitted(pd.read_csv(FOLDER / "repeated_measures.csv"), *columns)
    weights = np.array([-1.0, 0, 0, 1, *(0 for _ in columns)])
    estimate, se, df = fit.contrast(weights)
    assert fit.converged
    assert estimate == pytest.approx(r["estimate"], rel=1e-4)
    assert np.sqrt(weights @ fit.covariance @ weights) == pytest.approx(r["se_known"], rel=1e-4)
    assert se == pytest.approx(r["se"], rel=1e-3)
    assert df == pytest.approx(r["df"], rel=1e-2)
    assert se > r["se_kenward_roger"]  # the expected information is too large where visits are lost by what was seen


def test_without_missing_visits_it_is_the_paired_t():
    level = np.random.default_rng(5).normal(size=(9, 3)) @ np.array([[1, 0.5, 0.4], [0, 1, 0.3], [0, 0, 1]])
    patient, visit = np.indices(level.shape)
    rows = pd.DataFrame({"level": level.ravel(), "patient": patient.ravel() + 1, "visit": visit.ravel()})
    estimate, se, df = fitted(rows).contrast(np.array([-1.0, 0, 1]))
    d = level[:, 2] - level[:, 0]
    assert (estimate, se, df) == pytest.approx((d.mean(), d.std(ddof=1) / 3, 8))


@pytest.mark.parametrize("scenario", ["lost", "lost, response grows"])
def test_default_holds_its_level_where_the_pairs_alone_do_not(scenario):
    sims, n = 150, 20
    trials = benchmark.simulate(3, sims, n, **benchmark.SCENARIOS[scenario])
    pairs, model = (benchmark.row_of(benchmark.compared(trials, test)) for test in ("t", "auto"))
    assert binom.sf(round(model["type_i"] * sims) - 1, sims, 0.05) > 1e-4
    assert model["type_i"] < pairs["type_i"]
    assert abs(model["bias"]) < pairs["bias"] / 2
    assert model["by_model"] > 0.95


def trial(**options) -> pd.DataFrame:
    return benchmark.simulate(8, 1, 12, **({"noise": 0.0} | options)).assign(endpoint="treg")


def test_default_takes_every_visit_and_gives_the_pairs_beside_it():
    rows = trial()
    row = compare_endpoints(rows, Plan("W0", "W24")).shifts.iloc[0]
    alone = compare_endpoints(rows, Plan("W0", "W24", test="t")).shifts.iloc[0]
    assert row["method"].startswith("mixed model for repeated measures over W0, I1 and W24")
    for name in ("estimate", "ci_low", "ci_high", "p_value"):
        assert row[f"pairs_{name}"] == alone[name]
    assert row["n_pairs"] == 8
    assert pd.isna(alone["pairs_p_value"])


def test_the_sentence_says_whose_the_estimate_is():
    found = compare_endpoints(trial(), Plan("W0", "W24"))
    named = EndpointLabel("treg", "Treg", "", "CD4", "%")
    text = change_sentence(named, found.shifts.iloc[0], Contrast("W0", "W24"))
    assert "n = 8 pairs of 12 patients, all in the estimate" in text
    assert text.endswith(", paired t).")


@pytest.mark.parametrize(
    "rows",
    [
        trial(lost=False),
        trial().query("visit != 'I1'"),
        trial().assign(study_day=lambda t: t["study_day"].where(t["visit"] != "I1", 99)),
    ],
    ids=["complete pairs", "no visit between", "a visit after both"],
)
def test_otherwise_it_is_the_paired_t(rows):
    found = compare_endpoints(rows, Plan("W0", "W24")).shifts.iloc[0]
    assert found["method"].startswith("paired t")
    assert pd.isna(found["pairs_p_value"])


def test_batches_enter_the_model():
    rows = trial()
    rows["batch"] = np.where(np.random.default_rng(1).random(len(rows)) < 0.5, "a", "b")
    moved = np.where(rows["batch"] == "b", 1.5, 1.0)
    rows["n_events"] = np.rint(rows["n_events"] * moved).astype(int)
    adjusted = compare_endpoints(rows, Plan("W0", "W24")).shifts.iloc[0]
    truth = compare_endpoints(trial(), Plan("W0", "W24")).shifts.iloc[0]
    assert "adjusted for batch" in adjusted["method"]
    assert adjusted["estimate"] == pytest.approx(truth["estimate"], abs=0.15)


def test_tipping_point_of_the_model_brings_its_limit_to_zero():
    rows = trial()
    later = (rows["visit"] != "W0").to_numpy()
    rows["n_events"] = np.where(later, rows["n_events"] * 2, rows["n_events"])
    found = compare_endpoints(rows, Plan("W0", "W24"))
    shift, at = found.shifts.iloc[0], found.tipping_point().iloc[0]
    assert shift["ci_low"] > 0
    assert at["n_missing"] == 4
    seen = found.pairs["shift"].dropna().to_numpy(float)
    lost = (12 * shift["estimate"] - seen.sum()) / 4  # what the model takes the four for
    assert at["tipping_shift"] < lost
    moved = (seen.sum() + 4 * at["tipping_shift"]) / 12
    distance = lost - at["tipping_shift"]
    grown = stats.t.ppf(0.975, shift["df"]) ** 2 * distance**2 * (4 / 12) * (8 / 12) / 11  # 4 of 12 is a sample's share
    assert moved == pytest.approx(math.hypot(shift["estimate"] - shift["ci_low"], math.sqrt(grown)), abs=1e-9)
    assert at["tipping_sd"] == pytest.approx((lost - at["tipping_shift"]) / seen.std(ddof=1))


@pytest.mark.parametrize("distance", [0.5, 1.0])
def test_the_tipping_point_is_not_beyond_the_truth_more_often_than_its_interval_allows(distance):
    draw = np.random.default_rng(11)
    lost = draw.random((300, 12)) < 1 / 3
    # all patients' mean is 0: what undoes the result is the distance that the lost have in truth
    shifts = draw.normal(distance / 3, 1.0, lost.shape)
    pairs = pd.DataFrame({"endpoint": np.repeat(np.arange(300), 12), "shift": shifts.ravel()})
    pairs.loc[lost.ravel(), "shift"] = np.nan
    pairs = pairs.assign(cohort="", shift_scale="identity", before=1.0, after=pairs["shift"])
    found = tipping_point(pairs)
    beyond = found["tipping_sd"] * pairs.groupby("endpoint")["shift"].std() > distance
    assert beyond.mean() <= 0.052  # 0.025 and three standard errors


def test_tipping_point_of_the_pairs_needs_no_result_beside_them():
    rows = trial().query("visit != 'I1'")
    found = compare_endpoints(rows, Plan("W0", "W24"))
    pd.testing.assert_frame_equal(
        found.tipping_point().drop(columns=["contrast", "method"]),
        tipping_point(found.pairs).drop(columns=["contrast", "method"]),
    )
    seen = found.pairs["shift"].dropna().to_numpy(float)
    assert found.tipping_point()["estimate"].iloc[0] == paired_t(seen).estimate


def test_where_batch_is_visit_the_model_is_adjusted_for_no_batch_either():
    rows = trial()
    rows["batch"] = np.where(rows["visit"] == "W0", "a", "b")
    odd = rows["visit"].eq("I1") & rows["patient_id"].mod(2).eq(0)
    rows.loc[odd, "batch"] = "a"  # through the visit between, batch and visit could be separated
    row = compare_endpoints(rows, Plan("W0", "W24")).shifts.iloc[0]
    plain = compare_endpoints(trial(), Plan("W0", "W24")).shifts.iloc[0]
    assert "E_BATCH_ALIASED" in row["warnings"]
    assert row["method"].startswith("mixed model for repeated measures")
    assert "adjusted" not in row["method"]
    assert row["estimate"] == plain["estimate"]


def test_a_visit_between_without_a_batch_says_why_pairs_are_compared():
    rows = trial()
    rows["batch"] = np.where(np.random.default_rng(1).random(len(rows)) < 0.5, "a", "b")
    at = rows.index[rows["visit"].eq("I1")][0]
    rows.loc[at, "batch"] = ""
    found = compare_endpoints(rows, Plan("W0", "W24"))
    assert found.shifts["method"].iloc[0].startswith("paired t adjusted for batch")
    said = [str(finding) for finding in found.warnings if finding.code == "W_BATCH_UNKNOWN"]
    patient = rows.loc[at, "patient_id"]
    instead = "no mixed model over the visits, complete pairs are compared"
    assert said == [f"W_BATCH_UNKNOWN  treg: no batch is known of {patient} I1: {instead}"]
