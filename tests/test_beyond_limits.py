"""Values beyond an assay's limits: censored pairs against R and on simulated trials, stamps, cells, figures."""

from __future__ import annotations

import beyond_limits as benchmark
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from builders import REFERENCE
from scipy.stats import binom, ttest_1samp

from immunolab.comparison.censored_pairs import CensoredPairs, censored_shift
from immunolab.comparison.compare import compare
from immunolab.comparison.plan import Plan
from immunolab.comparison.table import Comparison, compare_endpoints
from immunolab.plots.paired import paired_lines

FOLDER = REFERENCE / "statistics"
DATA = pd.read_csv(FOLDER / "censored_pairs.csv")
R = pd.read_csv(FOLDER / "censored_pairs_R.csv").set_index(["model", "quantity"])["value"]


def test_pairs_limited_at_both_visits_agree_with_mvtnorm():
    level, beyond = DATA[["before", "after"]].to_numpy(float), DATA[["beyond_before", "beyond_after"]].to_numpy(int)
    found = censored_shift(level, beyond)
    assert (found.estimate, found.ci_low, found.ci_high) == pytest.approx(
        [R["both visits", name] for name in ("estimate", "ci_low", "ci_high")], abs=1e-5
    )
    assert found.p_value == pytest.approx(R["both visits", "p_value"], rel=1e-4)
    assert (found.n, found.df) == (14, 13)


def test_one_limited_visit_agrees_with_the_tobit_regression_of_survival():
    level = DATA[["one_before", "one_after"]].to_numpy(float)
    beyond = np.column_stack([np.zeros(len(DATA), dtype=int), DATA["one_beyond_after"]])
    change, sd, rho = (R["one visit", name] for name in ("estimate", "sd_after", "correlation"))
    assert censored_shift(level, beyond).estimate == pytest.approx(change, abs=1e-5)
    before = level[:, 0]
    theta = np.array([before.mean(), change, np.log(before.std()), np.log(sd), np.arctanh(rho)])
    assert CensoredPairs(level, beyond).log_likelihood(theta) == pytest.approx(R["one visit", "log_likelihood"])


def test_within_the_limits_it_is_the_paired_t():
    rng = np.random.default_rng(2)
    level = rng.normal(size=(11, 1)) + rng.normal(0, 0.4, (11, 2))
    found, t = censored_shift(level, np.zeros((11, 2), dtype=int)), ttest_1samp(level[:, 1] - level[:, 0], 0)
    assert found.p_value == pytest.approx(t.pvalue, rel=1e-4)
    assert (found.ci_low, found.ci_high) == pytest.approx(tuple(t.confidence_interval()), abs=1e-4)


def test_intervals_cover_where_the_limit_in_its_place_does_not():
    sims = 100
    trials = benchmark.simulate(5, sims, 20, share=0.4, ratio=0.5)
    before, now = (benchmark.row_of(trials, 0.5, test) for test in ("t", "auto"))
    tested = round(sims * now["tested"])
    assert tested > 0.9 * sims
    assert binom.cdf(round(now["coverage"] * tested), tested, 0.95) > 1e-4
    assert before["coverage"] < 0.5
    assert now["mean"] == pytest.approx(np.log(0.5), abs=0.05)


def trial(**options) -> pd.DataFrame:
    return benchmark.simulate(5, 1, 12, **({"share": 0.3, "ratio": 0.5} | options)).assign(endpoint="IL-6")


def compared(rows: pd.DataFrame, test: str = "auto") -> Comparison:
    return compare_endpoints(rows, Plan("W0", "W24", test=test))


def test_the_row_says_how_many_values_are_beyond():
    row = compared(trial()).shifts.iloc[0]
    n = int((trial()["flag"] != "").sum())
    assert row["method"] == f"censored normal pairs (Tobit, likelihood ratio), {n} of 24 values beyond the limits, log"
    assert row["warnings"] == "W_CENSORED"
    assert pd.isna(row["sensitivity_p_value"])


def test_a_method_asked_for_by_name_takes_the_limit_and_is_stamped():
    assert "W_AT_LIMIT" in compared(trial(), "t").shifts["warnings"].iloc[0]


def test_too_few_values_within_the_limits_are_described_only():
    rows = trial()
    rows.loc[rows["visit"] == "W24", "flag"] = "below_limit"
    row = compared(rows).shifts.iloc[0]
    assert row["method"].startswith("not tested: 0 value(s) within")
    assert row[["estimate", "p_value"]].isna().all()
    assert row["warnings"] == "E_CENSORED"


@pytest.mark.parametrize("both", [0, 1, 2])
def test_fewer_than_three_pairs_are_described_and_leave_other_endpoints_alone(both):
    rows = trial()
    patient = rows["patient_id"].astype(int)
    first = patient.map({number: place for place, number in enumerate(patient.unique())})
    kept = (first < both) | (rows["visit"] == np.where(first % 2, "W0", "W24"))
    assert (rows.loc[kept, "flag"] != "").any()
    found = compared(pd.concat([rows[kept], trial().assign(endpoint="IL-2")], ignore_index=True)).shifts
    few, whole = (found[found["endpoint"] == name].iloc[0] for name in ("IL-6", "IL-2"))
    assert few["method"] == f"not tested: {both} pair(s) with both visits, a test needs 3"
    assert few[["estimate", "p_value"]].isna().all()
    assert "E_N_MIN" in few["warnings"]
    assert np.isfinite(whole["p_value"])


def test_a_patient_with_one_visit_is_in_the_model_and_not_called_left_out():
    rows = trial()
    lost = rows["patient_id"].iloc[0]
    rows = rows[(rows["patient_id"] != lost) | (rows["visit"] == "W0")]
    found = compared(rows)
    text = next(finding.message for finding in found.warnings if finding.code == "W_UNPAIRED")
    assert text == f"lacking one of the visits, in the model by their other visits: {lost}"


def test_five_pairs_with_a_limit_are_few():
    rows = trial()
    rows = rows[rows["patient_id"].isin(rows["patient_id"].unique()[:5])]
    rows["flag"] = np.where(rows.index == rows.index[0], "below_limit", "")
    assert compared(rows).shifts["warnings"].iloc[0] == "W_CENSORED;W_N_SMALL"


def test_averaged_visits_with_a_limit_among_them_are_described_only():
    rows = trial()
    again = rows[rows["visit"] == "W0"].assign(visit="W2", flag="")
    found = compare_endpoints(pd.concat([rows, again], ignore_index=True), Plan("W0, W2", "W24"))
    assert found.shifts["warnings"].str.contains("E_CENSORED").all()


def test_a_limited_change_is_no_call():
    found = compared(trial()).pairs
    limited = trial().groupby("patient_id")["flag"].agg(lambda flags: (flags != "").any())
    calls = found.set_index(found["patient_id"].astype(int)).loc[limited.index]
    assert (calls.loc[limited, "verdict"] == "not_evaluable").all()
    assert calls.loc[limited, "reason"].str.contains("beyond the assay's limit").all()


def test_above_the_limit_turns_the_sign():
    rows = trial()
    turned = rows.assign(value=1 / rows["value"], flag=rows["flag"].replace("below_limit", "above_limit"))
    here, there = (compared(own).shifts.iloc[0] for own in (rows, turned))
    assert there["estimate"] == pytest.approx(-here["estimate"], abs=1e-4)
    assert there["ci_low"] == pytest.approx(-here["ci_high"], abs=1e-4)


@pytest.mark.parametrize("mark", ["<", "< ", "<=", "≤"])
def test_cells_of_a_user_may_be_limits(mark):
    rows = trial()
    cells = rows.assign(
        value=np.where(rows["flag"] != "", mark + rows["value"].map(repr), rows["value"].map(repr))
    ).drop(columns=["flag", "endpoint", "cohort"])
    found = compare(cells, patient="patient_id", visit="visit", before="W0", after="W24", value="value", unit="pg/mL")
    assert found.shifts["estimate"].iloc[0] == pytest.approx(compared(rows).shifts["estimate"].iloc[0])


def test_the_figure_shows_the_limit():
    rows = trial().assign(population="IL-6", parent=None, definition=None, study_day=np.nan, cycle_state=None)
    rows["days_since_last_dose"] = np.nan
    rows["patient_id"] = rows["patient_id"].astype(str)
    found = compared(rows)
    ax = paired_lines(rows, found.pairs, found.shifts, "IL-6")
    limit = rows.loc[rows["flag"] != "", "value"].iloc[0]
    assert any(np.allclose(line.get_ydata(), limit) and line.get_linestyle() == ":" for line in ax.lines)
    assert any(text.get_text() == "limit" for text in ax.texts)
    plt.close(ax.figure)
