"""Responders: who is in the denominator, why a patient has no response, exact tests and the trend, events of scores."""

from __future__ import annotations

from dataclasses import replace

import calibration_responders as benchmark
import numpy as np
import pandas as pd
import pytest
import report_fixture
from builders import REFERENCE, REPOSITORY
from scipy.stats import binom

from immunolab.clinical import event_counts, responders, responses, scores_table
from immunolab.comparison.binary import exact_binomial, fisher, gee_trend, mcnemar
from immunolab.comparison.response_tests import response_tests
from immunolab.errors import InputError
from immunolab.results.findings.arms import arm_findings
from immunolab.results.findings.events import event_finding
from immunolab.schema.clinical import SCORES
from immunolab.study.doses import PatientDoses
from immunolab.study.endpoints import EventCount, ResponderProportion
from immunolab.study.trial import load_trial

FOLDER = REFERENCE / "statistics"
DATA = pd.read_csv(FOLDER / "responses.csv")
R = pd.read_csv(FOLDER / "responses_R.csv").set_index(["test", "quantity"])["value"]
QUANTITIES = ("estimate", "ci_low", "ci_high", "p_value")
VISITS = ("W2", "W4", "W6", "W8", "W10")
DAYS = {"W2": 15, "W4": 29, "W6": 43, "W8": 57, "W10": 71}


def numbers(found) -> list[float]:
    return [getattr(found, name) for name in QUANTITIES]


def scored(*rows: tuple[str, str, float | None], score: str = "SRI_4") -> pd.DataFrame:
    """Return scores from (patient, visit, value); a value that is missing misses the PGA."""
    stated = {"score": score, "unit": "responder", "source": "x", "verified": "yes"}
    found = [dict(zip(("patient_id", "visit", "value"), row, strict=True)) | stated for row in rows]
    return SCORES.frame([row | {"reason": None if row["value"] is not None else "missing: PGA"} for row in found])


@pytest.mark.parametrize(
    ("name", "found", "rel"),
    [
        ("binomial", exact_binomial(7, 10, 40), 1e-8),
        ("binomial_few", exact_binomial(1, 13, 30), 1e-8),
        ("mcnemar", mcnemar(np.repeat([0.0, 1, 1], (7, 2, 5)), np.repeat([1.0, 0, 1], (7, 2, 5))), 1e-8),
        ("fisher", fisher((8, 12), (3, 14)), 1e-3),  # R searches the conditional odds ratio to four digits
    ],
)
def test_exact_tests_agree_with_r(name, found, rel):
    assert numbers(found) == pytest.approx([R[name, quantity] for quantity in QUANTITIES], rel=rel)


def test_trend_agrees_with_geepack_and_its_covariance_written_out():
    """Both estimate the correlation by moments, with other degrees of freedom: digits beyond the third differ."""
    response = DATA.pivot(index="patient", columns="day", values="response")
    found = gee_trend(response.to_numpy(float), response.columns.to_numpy(float), 28.0)
    assert numbers(found) == pytest.approx([R["gee", quantity] for quantity in QUANTITIES], rel=1e-3)


def test_trend_does_not_exceed_its_level_and_is_withheld_where_it_cannot_be_fitted():
    rng, days = np.random.default_rng(8), 15 + 14.0 * np.arange(5)
    p = np.array([gee_trend(benchmark.simulate(rng, 12, 5, 0.5, 2.0), days, 28.0).p_value for _ in range(150)])
    tested = p[np.isfinite(p)]
    assert tested.size > 140
    assert binom.sf((tested < 0.05).sum() - 1, tested.size, 0.05) > 1e-3
    parted = np.tile([0.0, 0, 0, 1, 1], (10, 1))
    assert "separation" in gee_trend(parted, days, 28.0).method
    assert "8" in gee_trend(benchmark.simulate(rng, 7, 5, 0.5, 0.0), days, 28.0).method
    assert "a GEE needs 3 with and without" in gee_trend(np.zeros((9, 5)), days, 28.0).method


def test_patients_who_were_lost_are_in_the_denominator():
    """The issue's case: ten enrolled, four lost, four of the six others respond: 40 %, not 66.7 %."""
    came = [(f"P{i}", "W10", float(i < 4)) for i in range(6)]
    early = [(f"P{i}", "W2", 0.0) for i in range(8)]
    table = scored(*early, *came)
    everyone = {f"P{i}": "SLE" for i in range(10)}
    row = responders(table, everyone).set_index("visit").loc["W10"]
    assert row[["n_patients", "n_evaluable", "n_responders", "n_not_seen"]].tolist() == [10, 6, 4, 4]
    assert (row["percent_worst_case"], row["percent"]) == (40.0, pytest.approx(200 / 3))
    assert row["missing"] == (
        "P6: not seen; last scored at W2; P7: not seen; last scored at W2; "
        "P8: never scored after the first dose; P9: never scored after the first dose"
    )
    assert row["cohort"] == "SLE"


def test_every_n_reconciles_in_every_cohort():
    rng = np.random.default_rng(2)
    rows = [
        (f"P{i}", visit, None if rng.random() < 0.2 else float(rng.random() < 0.5))
        for i in range(20)
        for visit in VISITS
        if rng.random() < 0.7
    ]
    everyone = {f"P{i}": "A" if i < 8 else "B" for i in range(22)}
    table = scored(*rows)
    found, each = responders(table, everyone), responses(table, everyone)
    assert (found["n_patients"] == found["n_evaluable"] + found["n_not_evaluable"] + found["n_not_seen"]).all()
    assert found.groupby("cohort")["n_patients"].unique().map(list).to_dict() == {"A": [8], "B": [14]}
    counted = each.groupby(["cohort", "visit", "response"]).size().unstack(fill_value=0)
    for row in found.to_dict("records"):
        own = counted.loc[row["cohort"], row["visit"]]
        assert (own["responder"], own["missing"]) == (row["n_responders"], row["n_patients"] - row["n_evaluable"])
        assert str(row["missing"] or "").count(": ") >= own["missing"]
    assert each.loc[each["response"] == "missing", "reason"].notna().all()


def test_registered_tests_are_made_of_all_enrolled_and_of_those_with_a_value():
    rows = [(f"P{i}", visit, float((i + 2 * k) % 5 > 2)) for i in range(10) for k, visit in enumerate(VISITS)]
    rows = [row for row in rows if not (row[0] in ("P3", "P4") and row[1] == "W10")]
    endpoint = ResponderProportion(id="sri", source="s", score="SRI_4", visits=VISITS, reference_rate=30.0)
    everyone = {f"P{i}": "" for i in range(11)}
    table = response_tests(responses(scored(*rows), everyone), [endpoint], DAYS)
    found = table.set_index(["test", "missing_as"])
    last = {row[0]: row[2] for row in rows if row[1] == "W10"}
    k = int(sum(last.values()))
    assert found.loc[("binomial", "non_response"), "n"] == 11
    assert found.loc[("binomial", "left_out"), "n"] == len(last) == 8
    for rule, n in (("non_response", 11), ("left_out", 8)):
        assert found.loc[("binomial", rule), "p_value"] == pytest.approx(exact_binomial(k, n, 30).p_value)
        assert found.loc[("binomial", rule), "estimate"] == pytest.approx(100 * k / n)
    assert found.loc[("mcnemar", "left_out"), ["n", "visits"]].tolist() == [8, "W2 W10"]
    assert found.loc[("gee", "non_response"), "estimate_is"] == "odds ratio of response per 4 weeks more"
    assert set(table["test"]) == {"binomial", "mcnemar", "gee"}


def test_arms_of_responders_are_compared_exactly_with_the_control():
    rows = [(f"P{i}", "W10", float(i % 2 if i < 8 else i == 8)) for i in range(16)]
    arms = {f"P{i}": "drug" if i < 8 else "placebo" for i in range(17)}
    endpoint = ResponderProportion(id="sri", source="s", role="primary", score="SRI_4", visits=("W10",))
    table = response_tests(responses(scored(*rows), arms), [endpoint], DAYS)
    run = report_fixture.finished_run()
    found = next(arm_findings(replace(run, tables=run.tables | {"response_tests": table})))
    assert (found.cohort, found.role, found.name, found.n) == ("drug - placebo", "primary", "SRI-4 response", 17)
    assert found.plain.startswith("Odds of response ")
    assert "17 patients enrolled, a missing response counted as none, at W10" in found.plain
    assert table["cohort"].unique().tolist() == ["drug - placebo"]
    assert table["n"].tolist() == [17, 16]
    assert table["p_value"].iloc[0] == pytest.approx(fisher((4, 8), (1, 9)).p_value)


def test_nobody_at_the_registered_visit_is_no_failure_of_everybody():
    endpoint = ResponderProportion(id="sri", source="s", score="SRI_4", visits=("W2", "W10"), reference_rate=30.0)
    found = responses(scored(("P1", "W2", 1.0), ("P2", "W2", 0.0)), {"P1": "", "P2": ""})
    table = response_tests(found, [endpoint], DAYS)
    assert table["p_value"].isna().all()
    assert table["method"].str.contains("no patient was evaluable at W10").all()


def test_a_reference_rate_is_a_percentage(tmp_path):
    text = (REPOSITORY / "immunolab" / "study" / "trials" / "sle_nct02084238.yaml").read_text(encoding="utf-8")
    path = tmp_path / "sle.yaml"
    path.write_text(text.replace("score: SRI_4,", "score: SRI_4, reference_rate: 130,"), encoding="utf-8")
    with pytest.raises(InputError, match="130 is no rate"):
        load_trial(path)
    path.write_text(text.replace("score: SRI_4,", "score: SRI_4, reference_rate: 30,"), encoding="utf-8")
    assert {e.id: e.reference_rate for e in load_trial(path).endpoints}["sri"] == 30


def lupus(patient: str, **sledai: float) -> list[dict[str, object]]:
    row = {"patient_id": patient, "variable": "SELENA_SLEDAI", "unit": "", "censored": None}
    return [row | {"visit": visit, "value": value} for visit, value in sledai.items()]


def test_relapse_is_counted_of_those_who_could_relapse():
    rows = [
        *lupus("P1", W0=12, W10=2, W24=6),  # relapses
        *lupus("P2", W0=12, W10=2, W24=2),  # does not
        *lupus("P3", W0=12, W10=3),  # could, not seen afterwards
        *lupus("P4", W0=12, W10=8, W24=12),  # never low: cannot
        *lupus("P5", W0=12, W24=2),  # not seen on the drug
    ]
    sle = load_trial("sle_nct02084238")
    table = scores_table(pd.DataFrame(rows), sle)
    endpoint = next(e for e in sle.endpoints if isinstance(e, EventCount))
    found = event_counts(table, {f"P{i}": "SLE" for i in range(1, 7)}, [endpoint]).iloc[0]
    names = ["n_patients", "n_at_risk", "n_not_at_risk", "n_unknown", "n_followed", "n_not_followed", "n_with_event"]
    assert found[names].tolist() == [6, 3, 1, 2, 2, 1, 1]
    shares = [found[name] for name in ("percent", "percent_if_lost_had_it", "percent_if_lost_had_none")]
    assert shares == pytest.approx([50, 200 / 3, 100 / 3])
    assert "24 weeks after the first dose or 3 months after the last" in found["rule"]
    assert found["registered_rule"] == "SLEDAI below 4 on the drug and a rise within 3 months of stopping"
    for patient in ("P3: not followed", "P4: not at risk", "P5: unknown", "P6: unknown, never scored"):
        assert patient in found["missing"]


def test_a_relapse_counts_in_the_registered_window_and_a_low_or_late_one_is_named():
    """Last doses on day 69 and, with more cycles, on day 125: W24 (day 169) is 100 and 44 days after them."""
    sle = load_trial("sle_nct02084238")
    doses = {patient: PatientDoses(days=(1, 69, 125)) for patient in ("P2", "P3", "P4")}
    doses["P1"] = PatientDoses(days=(1, 69))
    rows = [
        *lupus("P1", W0=12, W10=2, W24=6),  # risen, 100 days after the last dose
        *lupus("P2", W0=12, W10=2, W24=6),  # 44 days
        *lupus("P3", W0=12, W10=0, W24=3),  # 44 days, and still of low activity
        *lupus("P4", W0=12, W10=2, W24=1),
    ]
    table = scores_table(pd.DataFrame(rows), sle, doses=doses)
    endpoint = next(e for e in sle.endpoints if isinstance(e, EventCount))
    run = report_fixture.finished_run()
    cohort = run.cohorts[0]  # its only one, of which patients without a sample are
    counts = event_counts(table, dict.fromkeys(("P1", "P2", "P3", "P4"), cohort), [endpoint])
    row = counts.iloc[0]
    assert (row["n_followed"], row["n_with_event"], row["n_in_window"], row["percent_in_window"]) == (4, 3, 2, 50)
    assert row["outside_window"] == "P1: SLEDAI 2 to 6 at W24, 100 days after the last dose"
    assert row["below_level"] == "P3: SLEDAI 0 to 3 at W24, 44 days after the last dose"
    tables = {"event_counts": counts, "scores": table, "measurements": pd.DataFrame(rows)}
    found = event_finding(replace(run, tables=run.tables | tables), cohort, endpoint)
    window = "the registered window (3 months after the last dose)"
    assert found.plain.startswith(f"Relapse in {window} in 2 of 4 patients (50 %")
    assert found.n == 4
    late, low = found.beside
    assert late.startswith("Not counted")
    assert "P1 (SLEDAI 2 to 6 at W24, 100 days after the last dose)" in late
    assert "still under SLEDAI 4" in low
    assert "P3 (SLEDAI 0 to 3" in low


@pytest.mark.parametrize(("day", "value"), [(183, 1.0), (184, None)])
def test_a_rise_after_the_window_is_no_relapse(day, value):
    """The last dose is on day 69: three months and the days allowed end on day 174, 24 weeks and those on 183."""
    sle = load_trial("sle_nct02084238")
    late = replace(sle.visit("W24"), window=(155, 400))
    trial = replace(sle, visits=(*sle.visits[:-1], late))
    rows = pd.DataFrame(lupus("P1", W0=12, W10=2, W24=9)).assign(study_day=[1, 71, day])
    relapse = scores_table(rows, trial).query("score == 'SLE_relapse'").iloc[0]
    assert (relapse["value"] == value) if value is not None else pd.isna(relapse["value"])


def test_visits_stand_in_calendar_order_though_the_first_patient_missed_one():
    seen = [("A", "W2", 0.0), ("A", "W10", 1.0), ("B", "W2", 0.0), ("B", "W4", 1.0), ("B", "W10", 1.0)]
    assert list(responders(scored(*seen))["visit"]) == ["W2", "W4", "W10"]
    apart = scored(("A", "W10", 1.0), ("B", "W4", 1.0), ("C", "W2", 0.0))
    assert list(responders(apart, planned=DAYS)["visit"]) == ["W2", "W4", "W10"]
    assert list(dict.fromkeys(responses(apart, planned=DAYS)["visit"])) == ["W2", "W4", "W10"]
    swapped = scored(("A", "W4", 1.0), ("A", "W2", 1.0), ("B", "W2", 0.0), ("B", "W4", 0.0))
    assert list(responders(swapped, planned=DAYS)["visit"]) == ["W2", "W4"]


def test_a_patient_was_last_scored_at_the_latest_visit_whatever_row_is_last():
    """Failures of the estimand are added in the order of letters: W10 before W4."""
    rows = scored(("A", "W2", 0.0), ("A", "W10", 0.0), ("A", "W4", 0.0), ("B", "W2", 1.0), ("B", "W24", 1.0))
    found = responses(rows, planned=DAYS | {"W24": 169}).set_index(["patient_id", "visit"])
    assert found.loc[("A", "W24"), "reason"] == "not seen; last scored at W10"


def test_visits_that_are_numbers_have_their_responders():
    rows = scored(("A", "2", 1.0), ("A", "10", 1.0), ("B", "10", 0.0))
    numbered = responders(rows.assign(visit=rows["visit"].astype(int)))
    assert list(numbered["n_responders"]) == list(responders(rows)["n_responders"]) == [1, 1]
