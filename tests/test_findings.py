"""Findings of a run: each cohort by its own numbers, and nothing said that the tables do not hold."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import report_fixture

from immunolab.plots.events import survival_curve
from immunolab.plots.numbers import p_text
from immunolab.plots.proportions import event_squares
from immunolab.plots.style import figure
from immunolab.report.figures.patients import patient_figures
from immunolab.report.first_screen import first_screen
from immunolab.report.happened import happened, not_marked
from immunolab.results.findings.concerns import concerns
from immunolab.results.findings.counted import response_finding, survival_finding
from immunolab.results.findings.events import not_counted
from immunolab.results.findings.groups import group_finding
from immunolab.results.findings.implausible import implausible_values
from immunolab.results.findings.paired import visit_change
from immunolab.results.findings.unmeasured import unmeasured_finding
from immunolab.results.findings.words import amount
from immunolab.schema.clinical import ADVERSE_EVENTS, SCORES, SURVIVAL, TIME_TO_EVENT
from immunolab.schema.comparison import RESPONSE_TESTS
from immunolab.schema.estimand import INTERCURRENT_EVENTS
from immunolab.schema.gating import FAILURES, QUALITY
from immunolab.study.endpoints import EventCount, PairedChange, PercentOfParent, ResponderProportion, TimeToEvent
from immunolab.study.sheet import PlannedComparison
from immunolab.study.trial import load_trial


@pytest.fixture(scope="module")
def run():
    return report_fixture.finished_run()


def having(run, **tables):
    return replace(run, tables={**run.tables, **tables})


def in_two_cohorts(run, second):
    """Return the run with some patients in a cohort of their own."""
    samples = tuple(replace(s, cohort="B") if s.patient_id in second else s for s in run.samples)
    return replace(run, study=replace(run.study, samples=samples))


def test_each_cohort_has_the_p_of_its_own_responders(run):
    endpoint = ResponderProportion(id="sri", source="s", score="SRI_4", visits=("W10",), reference_rate=30.0)
    shares = {"n_patients": 8, "n_evaluable": 8, "n_responders": 4, "percent": 50.0, "ci_low": 15.7, "ci_high": 84.3}
    worst = {"percent_worst_case": 50.0, "worst_case_ci_low": 15.7, "worst_case_ci_high": 84.3, "verified": "yes"}
    row = dict(score="SRI_4", criterion="responder", visit="W10", **shares, **worst)
    tests = [
        {
            "cohort": cohort,
            "endpoint": "sri",
            "role": "primary",
            "score": "SRI_4",
            "test": "binomial",
            "visits": "W10",
            "n": 8,
        }
        | {
            "missing_as": rule,
            "estimate": 50.0,
            "estimate_is": "responders, %",
            "p_value": p,
            "method": "exact binomial",
        }
        for cohort, own in (("SLE", 0.41), ("B", 0.0021))
        for rule, p in (("left_out", 0.77), ("non_response", own))
    ]
    responders = pd.DataFrame([row | {"cohort": cohort} for cohort in ("SLE", "B")])
    changed = having(in_two_cohorts(run, {"P01"}), responders=responders, response_tests=RESPONSE_TESTS.frame(tests))
    for cohort, p in (("SLE", 0.41), ("B", 0.0021)):
        found = response_finding(changed, cohort, endpoint)
        assert found.plain.endswith(": the interval includes the registered rate of 30 %.")
        assert f"over W10, responders, % 50.0, {p_text(p)}, two-sided" in found.statistics
        assert p_text(0.77) not in found.statistics
    far = response_finding(changed, "SLE", replace(endpoint, reference_rate=10.0))
    assert far.plain.endswith(": the interval excludes the registered rate of 10 %.")


def test_a_share_of_all_enrolled_says_what_a_missing_response_counts_as(run):
    endpoint = ResponderProportion(id="sri", source="s", score="SRI_4", visits=("W10",))
    shares = {"n_patients": 8, "n_responders": 4, "percent": 57.1, "ci_low": 18.4, "ci_high": 90.1, "verified": "yes"}
    worst = {"percent_worst_case": 50.0, "worst_case_ci_low": 15.7, "worst_case_ci_high": 84.3, "cohort": "SLE"}
    row = {"score": "SRI_4", "criterion": "responder", "visit": "W10", **shares, **worst}
    for evaluable, said in ((7, True), (8, False)):
        found = response_finding(
            having(run, responders=pd.DataFrame([row | {"n_evaluable": evaluable}])), "SLE", endpoint
        )
        assert ("a missing response counted as none" in found.plain) == said


def test_responders_are_those_of_the_last_registered_visit_and_a_visit_of_nobody_is_said(run):
    endpoint = ResponderProportion(id="sri", source="s", score="SRI_4", visits=("W4", "W8", "W10"))
    shares = {"n_patients": 8, "percent": 50.0, "ci_low": 15.7, "ci_high": 84.3, "verified": "yes", "cohort": "SLE"}
    worst = {"percent_worst_case": 50.0, "worst_case_ci_low": 15.7, "worst_case_ci_high": 84.3, "n_evaluable": 8}
    row = {"score": "SRI_4", "criterion": "responder", **shares, **worst}
    rows = [row | {"visit": visit, "n_responders": n} for visit, n in (("W8", 5), ("W10", 6), ("W4", 1))]
    found = response_finding(having(run, responders=pd.DataFrame(rows)), "SLE", endpoint)
    assert "response at W10 in 6 of 8 patients" in found.plain
    assert "; 1 at W4 and 5 at W8, of 8" in found.plain
    rest = [one for one in rows if one["visit"] != "W10"]
    found = response_finding(having(run, responders=pd.DataFrame(rest)), "SLE", endpoint)
    assert "response at W8 in 5 of 8 patients" in found.plain
    assert "No patient was scored at W10, as registered." in found.beside


def test_one_patient_of_one_is_said_in_the_singular(run):
    row = {"endpoint": "survival", "role": "secondary", "n_patients": 1, "n_with_outcome": 1, "n_censored": 0,
           "last_day": 337, "cohort": "SLE", "n_events": 1, "method": "Kaplan-Meier"}  # fmt: skip
    changed = having(run, time_to_event=TIME_TO_EVENT.frame([row]), survival=SURVIVAL.frame([]))
    plain = survival_finding(changed, "SLE", TimeToEvent(id="survival", source="s")).plain
    assert plain.startswith("1 of 1 patient died")


def test_visits_of_samples_are_in_calendar_order_though_the_first_patient_lacks_the_first(run):
    later = tuple(sorted(run.samples, key=lambda s: s.visit != "W10"))
    turned = replace(run, study=replace(run.study, samples=later))
    assert turned.sampled_visits == run.sampled_visits == ("W0", "W10")


def _shift(**values):
    """Return a row of SHIFTS of a share that two visits were compared in."""
    row = {"n_pairs": 4, "median_before": 4.0, "median_after": 6.0, "estimate": 0.42, "estimate_scale": "log_odds",
           "ci_low": np.nan, "ci_high": np.nan, "p_value": np.nan, "q_value": np.nan,
           "method": "not tested", "warnings": "", "adjustment": "none"}  # fmt: skip
    return pd.Series(row | values)


def test_a_change_that_was_not_tested_says_so_and_why_and_not_that_it_is_unclear(run):
    endpoint = PercentOfParent(id="x", source="s", population="Treg", parent="CD4", contrast=("W0", "W10"))
    two = visit_change(run, "SLE", endpoint, _shift(n_pairs=2, warnings="E_N_MIN"))
    assert two.startswith("Treg went from 4 to 6 (medians)")
    assert two.endswith("no 95 % interval, not tested (fewer than 3 patients)")
    one = visit_change(run, "SLE", endpoint, _shift(n_pairs=1, warnings="E_N_MIN"))
    assert "medians" not in one
    assert "mean ratio" not in one
    same = visit_change(run, "SLE", endpoint, _shift(estimate=0.0, median_after=4.0))
    assert same.endswith("not tested (nobody changed)")


def test_a_change_adjusted_for_batch_says_so_where_single_patients_may_show_another(run):
    """5 of 6 patients higher beside a mean ratio of 1.00 reads as an error where the adjustment is not named."""
    endpoint = PercentOfParent(id="x", source="s", population="Treg", parent="CD4", contrast=("W0", "W10"))
    row = {"n_pairs": 6, "ci_low": -0.1, "ci_high": 0.9, "p_value": 0.1, "q_value": 0.1}
    adjusted = visit_change(run, "SLE", endpoint, _shift(**row, method="paired t adjusted for batch, logit (+0.5)"))
    assert "; mean ratio adjusted for batch 1.49, 95 % interval" in adjusted
    plain = visit_change(run, "SLE", endpoint, _shift(**row, method="paired t, logit (+0.5)"))
    assert "; mean ratio 1.49, 95 % interval" in plain


def test_a_compared_share_outside_what_blood_has_is_named_with_its_value(run):
    """One patient without Treg (0.45 %) turned a clear rise into none, and the first page said nothing of it."""
    endpoint = run.pairs.loc[run.pairs["shift"].notna(), "endpoint"].iloc[0]
    rows = run.endpoints.copy()
    own = rows[(rows["endpoint"] == endpoint) & rows["value"].notna() & (rows["visit"] == "W10")]
    rows.loc[own.index[0], ["value", "flag"]] = [0.4542, "drift;out_of_range"]
    changed = having(run, endpoints=rows)
    cohort, name = own["cohort"].iloc[0], own["patient_id"].iloc[0]
    said = list(implausible_values(changed, cohort, endpoint))
    assert said == [
        f"A share outside what adult blood has is compared all the same: {name} at W10 (0.45 %). Look at the gates."
    ]
    assert list(implausible_values(run, cohort, endpoint)) == []


def test_a_response_of_several_levels_says_which_and_how_many_reach_the_higher_ones(run):
    """All ten improved by 20 points, three by 40: "response in 10 of 10" alone would be read as more than it is."""
    levels = {"minimal (20 or more)": 10, "moderate (40 or more)": 3, "major (60 or more)": 0}
    rows = [
        {"cohort": "SLE", "score": "TIS", "visit": visit, "criterion": level, "n_responders": n, "n_evaluable": 10,
         "n_patients": 10, "percent_worst_case": 10.0 * n, "worst_case_ci_low": 0.0, "worst_case_ci_high": 100.0,
         "percent": 10.0 * n, "ci_low": 0.0, "ci_high": 100.0, "verified": "yes"}
        for visit in ("W12", "W24")
        for level, n in levels.items()
    ]  # fmt: skip
    endpoint = ResponderProportion(id="tis", source="s", role="secondary", score="TIS", visits=("W12", "W24"))
    found = response_finding(having(run, responders=pd.DataFrame(rows)), "SLE", endpoint)
    assert "response, minimal (20 or more), at W24 in 10 of 10 patients" in found.plain
    assert "; moderate (40 or more) in 3 and major (60 or more) in 0" in found.plain


def test_an_event_is_of_the_cohort_of_its_patient(run):
    endpoint = TimeToEvent(id="survival", source="s")
    row = {
        "endpoint": "survival",
        "role": "secondary",
        "n_patients": 4,
        "n_with_outcome": 4,
        "n_censored": 3,
        "last_day": 300,
    }
    rows = [row | {"cohort": cohort, "n_events": 1, "method": "Kaplan-Meier"} for cohort in ("SLE", "B")]
    event = {"event": "death", "assessed": "yes", "seen_in": "outcomes", "detail": "event of survival"}
    events = [event | {"patient_id": "P01", "study_day": 200}, event | {"patient_id": "P02", "study_day": 221}]
    changed = having(
        in_two_cohorts(run, {"P01"}),
        time_to_event=TIME_TO_EVENT.frame(rows),
        intercurrent_events=INTERCURRENT_EVENTS.frame(events),
    )
    assert "died (P02 on day 221) by day 300" in survival_finding(changed, "SLE", endpoint).plain
    assert "died (P01 on day 200) by day 300" in survival_finding(changed, "B", endpoint).plain


def test_a_share_alive_says_how_few_were_followed_when_the_last_of_them_died(run):
    """One death of ten, when two were still seen, is "50 % alive by Kaplan and Meier"."""
    row = {"endpoint": "survival", "role": "secondary", "n_patients": 10, "n_with_outcome": 10, "n_censored": 9,
           "last_day": 337, "cohort": "SLE", "n_events": 1, "method": "Kaplan-Meier"}  # fmt: skip
    for at_risk, said in ((2, ", with 2 of 10 still followed at the last event, on day 326"), (8, "")):
        step = {"cohort": "SLE", "endpoint": "survival", "study_day": 326, "n_at_risk": at_risk, "n_events": 1,
                "n_censored": 0, "percent": 50.0, "ci_low": 0.6, "ci_high": 91.0}  # fmt: skip
        changed = having(run, time_to_event=TIME_TO_EVENT.frame([row]), survival=SURVIVAL.frame([step]))
        plain = survival_finding(changed, "SLE", TimeToEvent(id="survival", source="s")).plain
        assert f"(95 % interval 0.6 to 91 %){said}: described" in plain.replace("0.60", "0.6").replace("91.0", "91")


@pytest.mark.parametrize(
    ("serious", "words"),
    [
        (None, "; whether they were serious was not recorded."),
        (0, "; none serious."),
        (2, "; 2 serious."),
    ],
)
def test_events_whose_seriousness_nobody_asked_are_not_called_harmless(run, serious, words):
    row = {
        "cohort": "SLE",
        "term": "any adverse event",
        "n_patients": 8,
        "n_with_event": 3,
        "n_events": 5,
        "n_serious": serious,
    }
    row |= {f"grade_{grade}": 0 for grade in range(1, 6)} | {"not_graded": 3}
    later = row | {"phase": "follow_up", "n_with_event": 0, "n_events": 0, "n_serious": 0, "not_graded": 0}
    table = ADVERSE_EVENTS.frame([row | {"phase": "on_treatment"}, later])
    (said,) = [one.text for one in concerns(having(run, adverse_events=table)) if one.kind == "harm"]
    assert said.endswith(words)


def test_tubes_of_bridging_controls_are_not_counted_among_the_patients_samples(run):
    bridge = replace(run.samples[0], sample_id="bridge_1", patient_id="donor")
    planned = PlannedComparison(bridges=("donor",))
    study = replace(run.study, samples=(*run.study.samples, bridge), comparison=planned)
    check = {"check": "events", "value": 10.0, "limit": 1000.0, "status": "warn", "message": "10 events acquired"}
    ids = ["bridge_1", run.samples[0].sample_id]
    failure = {
        "sample_id": "bridge_1",
        "file": "b.fcs",
        "stage": "read",
        "error": "the file is cut short",
        "hint": "copy it",
    }
    changed = having(
        replace(run, study=study),
        quality=QUALITY.frame([check | {"sample_id": name} for name in ids]),
        failures=FAILURES.frame([failure]),
    )
    n = len(run.samples)
    assert [one.text for one in concerns(changed) if one.kind == "quality"] == [
        f"0 of {n} samples could not be finished; controls: bridge_1.",
        f"Quality warning in 1 of {n} samples (checks: events): {run.samples[0].sample_id}; controls: bridge_1.",
    ]


def test_a_group_with_a_variable_against_what_was_registered_is_not_called_undirected(run):
    endpoint = PairedChange(id="cytokine", source="s", variables=("IL-6", "TNF-a"), direction="decrease")
    members = list(endpoint.expanded())
    row = run.shifts.iloc[0]
    rose = row.copy()
    flat = row.copy()
    flat[["estimate", "ci_low", "ci_high"]] = [0.0, -0.3, 0.3]
    rows = [rose, flat]
    for one, own in zip(members, rows, strict=True):
        own["endpoint"] = one.id
    study = replace(run.study, endpoints=tuple(members))
    pairs = pd.concat([run.pairs[run.pairs["endpoint"] == "treg_pct_cd4"].assign(endpoint=one.id) for one in members])
    changed = having(replace(run, study=study), pairs=pairs)
    changed = replace(changed, compared=(replace(run.compared[0], endpoints=tuple(one.id for one in members)),))
    found = group_finding(changed, "SLE", endpoint, list(zip(members, rows, strict=True)))
    assert found.plain.startswith("1 of 2 cytokines changed clearly.")
    assert found.verdict == "against"
    # patients with too few cells for a score: measures that nothing was asked of "did not change clearly"
    untested = [rows[0], rows[1].copy()]
    untested[1][["p_value", "q_value"]] = float("nan")
    some = group_finding(changed, "SLE", endpoint, list(zip(members, untested, strict=True)))
    assert " 1 of the 2 could not be tested: " in some.plain
    untested[0] = untested[1]
    none = group_finding(changed, "SLE", endpoint, list(zip(members, untested, strict=True)))
    assert none.plain == "None of 2 cytokines could be tested."


def test_why_values_were_not_compared_is_what_the_values_show(run):
    endpoint = run.declared["treg_pct_cd4"]
    at_both = run.endpoints
    one_each = at_both[(at_both["visit"] == "W0")]
    elsewhere = at_both.assign(visit=at_both["visit"].replace("W10", "W4"))
    for rows, why in (
        (at_both, "the run compared no two of these visits"),
        (one_each, "no patient has two visits"),
        (elsewhere, "no patient has both W0 and W10"),
    ):
        found = unmeasured_finding(having(run, endpoints=rows), "SLE", endpoint)
        assert found.plain.endswith(f"not compared: {why}.")


@pytest.mark.parametrize(
    ("value", "text"),
    [(3.98, "4.0"), (4.02, "4.0"), (4.0, "4"), (3.1, "3.1"), (70.0, "70"), (100 * 0.07, "7"), (11.98, "12.0")],
)
def test_a_measured_value_keeps_its_digits_and_a_whole_number_has_none_behind_the_point(value, text):
    assert amount(value) == text


def test_reasons_of_an_event_are_whole_whatever_signs_are_in_ids_and_reasons(run):
    relapse = next(e for e in load_trial("sle_nct02084238").endpoints if isinstance(e, EventCount))
    patients = ("P1: a", "P2; P1: a", "P3")
    flags = ("not_at_risk", "not_followed", None)
    reasons = ("seen late: by phone; no score", "left: moved away (day 80)", None)
    scores = SCORES.frame(
        {
            "patient_id": patient,
            "visit": "W10",
            "score": relapse.needs.scores[0],
            "value": None if reason else 0.0,
            "unit": "event",
            "flag": flag,
            "reason": reason,
            "source": "x",
            "verified": "yes",
        }
        for patient, flag, reason in zip(patients, flags, reasons, strict=True)
    )
    known = having(run, scores=scores, measurements=pd.DataFrame({"patient_id": patients}))
    others = [f"{s.patient_id}" for s in run.samples if s.visit == "W0"]
    counted = not_counted(known, "SLE", relapse)  # the only cohort, of which patients without a sample are
    assert {one.patient_id: one.reason for one in counted if one.patient_id in patients} == {
        "P1: a": "could not have it: seen late: by phone; no score",
        "P2; P1: a": "not followed: left: moved away",
    }
    assert [one.reason for one in counted if one.patient_id in others] == ["unknown, never scored"] * len(others)


def test_what_the_panel_lacks_is_said_of_the_endpoint_that_needs_it(run):
    tph = PercentOfParent(id="tph", source="s", role="exploratory", population="Tph", parent="CD4")
    study = replace(run.study, endpoints=(*run.study.endpoints, tph))
    said = [
        unmeasured_finding(replace(run, study=study, lacking=lacking), "SLE", tph).plain
        for lacking in ({}, {"Tph": "the panel lacks PD-1; CXCR5- defines Tph2"}, {"Th22": "the panel lacks CCR10"})
    ]
    assert said[1].endswith(", and the panel lacks PD-1 for Tph (CXCR5- defines Tph2).")
    assert said[0] == said[2] == said[1].replace(", and the panel lacks PD-1 for Tph (CXCR5- defines Tph2)", "")


def test_only_notes_that_findings_say_themselves_are_left_out_of_what_warns(run):
    notes = ("needed by an endpoint and not measured in this study: 'Tph' for a", "the lab's own remark")
    assert first_screen(replace(run, notes=notes), [])["notes"] == list(notes)
    assert first_screen(replace(run, notes=notes, said_with_endpoints=notes[:1]), [])["notes"] == [notes[1]]


@pytest.mark.parametrize(
    ("p", "text"),
    [
        (0.0499, "q = 0.0499"),
        (0.04996, "q = 0.04996"),
        (0.05, "q = 0.050"),
        (0.0502, "q = 0.0502"),
        (0.0512, "q = 0.051"),
    ],
)
def test_a_value_beside_the_limit_does_not_read_as_being_on_the_other_side(p, text):
    assert p_text(p, "q") == text


def test_a_missing_value_is_said_in_words():
    assert amount(np.nan) == "not available"


def test_a_file_of_events_that_is_gone_is_said_under_the_time_lines(run, tmp_path):
    gone = tmp_path / "adverse_events.csv"
    study = replace(run.study, adverse_events=gone)
    changed = replace(run, study=study)
    said = " Not marked, as the file cannot be read any more: adverse events (adverse_events.csv)."
    assert (not_marked(run), not_marked(changed)) == ("", said)
    more = run.endpoints[run.endpoints["visit"] == "W10"].assign(visit="W24", study_day=169)
    third = having(changed, endpoints=pd.concat([run.endpoints, more], ignore_index=True))
    pages = [one.caption for one in patient_figures(third, "SLE") if one.section == "one_pagers"]
    assert pages
    assert all(caption.endswith(said) for caption in pages)
    gone.write_text("patient_id,study_day,term\nP01,20,fever\n", encoding="utf-8")
    assert not_marked(changed) == ""
    assert "adverse events" in set(happened(changed)["what"])


def test_a_curve_of_survival_is_of_the_living_and_an_event_has_its_written_name():
    curve = pd.DataFrame(
        {"study_day": [200, 337], "percent": [90.0, 90.0], "ci_low": [47.0] * 2, "ci_high": [99.0] * 2}
    )
    curve = curve.assign(n_censored=[0, 9], n_at_risk=[10, 9], visit=["W24", "W48"])
    for endpoint, words in (("survival", "patients alive, %"), ("SLE_relapse", "patients without lupus relapse, %")):
        ax = survival_curve(curve, pd.Series({"endpoint": endpoint}), ax=figure().add_subplot())
        assert ax.get_ylabel().replace("\n", " ") == words
    counts = {"n_with_event": 2, "n_followed": 6, "n_not_followed": 0, "n_not_at_risk": 2, "n_unknown": 0}
    shares = {"percent": 33.3, "ci_low": 4.3, "ci_high": 77.7, "percent_if_lost_had_it": 33.3}
    squares = event_squares(pd.Series({"endpoint": "SLE_relapse", **counts, **shares}), ax=figure().add_subplot())
    words = [text.get_text() for text in squares.get_legend().get_texts()]
    assert words == ["lupus relapse: 2", "no lupus relapse: 4", "could not have it: 2"]
