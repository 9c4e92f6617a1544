"""Intercurrent events: found as the trial file says, applied to values by their strategies, counted and verified."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
import report_fixture

from immunolab.clinical import composite_failures, intercurrent_events, responders, with_failures
from immunolab.comparison.estimand import estimand_rows, used_rows, with_estimand, with_intercurrent
from immunolab.comparison.plan import Plan
from immunolab.comparison.table import compare_endpoints
from immunolab.errors import InputError
from immunolab.loaders.patient_events import read_intercurrent_events
from immunolab.report.verify_estimand import estimand_differences
from immunolab.results.run import Run
from immunolab.schema.clinical import SCORES
from immunolab.schema.endpoints import ENDPOINTS, MEASUREMENTS
from immunolab.schema.estimand import ESTIMAND, INTERCURRENT_EVENTS
from immunolab.schema.table import Table
from immunolab.study.doses import PatientDoses
from immunolab.study.intercurrent import Estimand, Listed, MissedDoses, Outcome, Rise, Strategy
from immunolab.study.rows import Sample
from immunolab.study.sheet import PlannedComparison, Study
from immunolab.study.trial import builtin_trials, load_trial

SLE = load_trial("sle_nct02084238")
DAYS = {"W0": 1, "W2": 15, "W4": 29, "W6": 43, "W8": 57, "W10": 71}
PHASES = {name: "baseline" if name == "W0" else "on_treatment" for name in DAYS}
PATIENTS = tuple(f"P{i}" for i in range(1, 7))
STATED = {"source": "test", "event": "rescue"}


def study(*events: object, doses: dict[str, PatientDoses] | None = None) -> Study:
    estimand = Estimand(population="all", treatment="the drug", source="test", events=events)  # type: ignore[arg-type]
    trial = replace(SLE, estimand=estimand)
    samples = [
        Sample(sample_id=f"{p}_{v}", patient_id=p, visit=v, file=Path("x.fcs"), study_day=DAYS[v])
        for p in PATIENTS
        for v in DAYS
    ]
    endpoints = trial.expanded_endpoints()
    return Study(
        "s", Path(), Path("study.yaml"), trial, tuple(samples), {}, PlannedComparison(), endpoints, doses=doses or {}
    )


def rows(endpoint: str = "c3", absent: tuple[str, ...] = ()) -> pd.DataFrame:
    """C3 of six patients: the patient's number plus a hundredth of the day."""
    return ENDPOINTS.frame(
        [
            {
                "sample_id": f"{p}_{v}",
                "patient_id": p,
                "visit": v,
                "study_day": DAYS[v],
                "phase": PHASES[v],
                "endpoint": endpoint,
                "population": "C3",
                "value": float(p[1:]) + DAYS[v] / 100,
                "unit": "g/L",
            }
            for p in PATIENTS
            for v in DAYS
            if f"{p}_{v}" not in absent
        ]
    )


def prednisone(**doses: tuple[float, ...]) -> pd.DataFrame:
    found = [
        {"patient_id": p, "visit": v, "variable": "prednisone", "value": dose, "unit": "mg/day"}
        for p, given in doses.items()
        for v, dose in zip(DAYS, given, strict=False)
    ]
    return MEASUREMENTS.frame(found).assign(study_day=[DAYS[row["visit"]] for row in found])


def happened(*lines: tuple[str, str, int]) -> pd.DataFrame:
    return INTERCURRENT_EVENTS.frame(
        [
            {"patient_id": p, "event": e, "study_day": d, "assessed": "yes", "seen_in": "table", "detail": "x"}
            for p, e, d in lines
        ]
    )


def marked(
    strategy: Strategy, *lines: tuple[str, str, int], absent: tuple[str, ...] = ()
) -> tuple[Study, pd.DataFrame]:
    own = study(Listed(strategy=strategy, **STATED))
    return own, with_intercurrent(rows(absent=absent), happened(*lines), own, own.endpoints)


# --- who had an event ------------------------------------------------------------------------------


def test_a_rise_of_steroids_begins_at_the_first_visit_that_shows_it() -> None:
    own = study(Rise(variable="prednisone", rise=5.0, strategy="treatment_policy", **STATED))
    measured = prednisone(P1=(20, 20, 25, 20), P2=(20, 24.5), P3=(10, 5, 15), P4=(10,))
    found = intercurrent_events(own, measured, None, None).set_index("patient_id")
    assert found.loc[["P1", "P3"], "study_day"].tolist() == [29, 29]
    assert found.loc["P1", "detail"] == "prednisone 25 at W4, 20 at W0"
    assert "P2" not in found.index  # 4.5 above baseline
    assert found.loc["P4", "detail"] == "no prednisone at a later visit"
    assert found.loc["P5", "detail"] == "no prednisone at baseline"
    assert found["assessed"].tolist() == ["yes", "yes", "no", "no", "no"]


def test_missed_doses_are_counted_net_and_a_day_late_is_none() -> None:
    planned = SLE.dosing.days  # 21 doses; 20 % are 4.2, so the fifth missed one is the event
    late = tuple(day + 1 if day > 1 else day for day in planned)
    stopped = tuple(day for day in planned if day < 57)  # the third cycle not given: 57, 59, 61, 63, 65
    doses = {"P1": PatientDoses(planned), "P2": PatientDoses(late), "P3": PatientDoses(stopped)}
    own = study(MissedDoses(more_than=20.0, strategy="treatment_policy", **STATED), doses=doses)
    found = intercurrent_events(own, prednisone(), None, None).set_index("patient_id")
    assert found.loc["P3", "study_day"] == 65
    assert found.loc["P3", "detail"] == "5 of 21 planned doses missed by day 65"
    assert not {"P1", "P2"} & set(found.index)
    assert set(found.loc[["P4", "P5", "P6"], "detail"]) == {"no doses recorded"}


def test_events_of_files_are_taken_and_absent_files_are_said() -> None:
    own = study(
        Outcome(event="death", outcome="survival", strategy="hypothetical", source="test"),
        Listed(event="stopped", strategy="treatment_policy", source="test"),
    )
    outcomes = pd.DataFrame(
        [("P1", "survival", 40, "event"), ("P2", "survival", 71, "censored")],
        columns=["patient_id", "endpoint", "study_day", "status"],
    )
    listed = pd.DataFrame([("P3", "stopped", 30)], columns=["patient_id", "event", "study_day"])
    found = intercurrent_events(own, prednisone(), outcomes, listed)
    assert found.loc[found["assessed"] == "yes", ["patient_id", "study_day"]].to_numpy().tolist() == [
        ["P1", 40],
        ["P3", 30],
    ]
    assert set(found.loc[found["assessed"] == "no", "patient_id"]) == {"P3", "P4", "P5", "P6"}  # no line in outcomes
    nothing = intercurrent_events(own, prednisone(), None, None)
    assert set(nothing["detail"]) == {
        "the study names no table of outcomes",
        "the study names no table of intercurrent_events",
    }


def test_table_of_events_lists_every_fault(tmp_path: Path) -> None:
    path = tmp_path / "events.csv"
    path.write_text("patient_id,event,study_day\nP1,stoped,3\nP9,stopped,4\nP2,stopped,5\nP2,stopped,6\nP3,stopped,\n")
    with pytest.raises(InputError) as error:
        read_intercurrent_events(path, ["stopped"], PATIENTS)
    assert [p.message for p in error.value.problems] == [
        "'stoped' is no intercurrent event of the trial",
        "'P9' is no patient of the study",
        "stopped of P2 is in row 4 already",
        "the cell is empty",
    ]


# --- what becomes of values ------------------------------------------------------------------------


def test_treatment_policy_takes_every_value_and_says_which_followed_an_event() -> None:
    own, found = marked("treatment_policy", ("P1", "rescue", 43))
    assert found["compared_as"].equals(found["visit"].astype("string"))
    said = found[found["intercurrent"].notna()]
    assert said[["patient_id", "visit"]].to_numpy().tolist() == [["P1", "W6"], ["P1", "W8"], ["P1", "W10"]]
    row = estimand_rows(found, happened(("P1", "rescue", 43)), own, own.endpoints).iloc[0]
    assert (row["n_patients"], row["n_with_event"], row["n_taken"], row["n_left_out"]) == (6, 1, 1, 0)


def test_hypothetical_leaves_out_from_the_event_on_and_the_pair_says_why() -> None:
    lines = (("P1", "rescue", 43), ("P2", "rescue", 72))  # P2 after the compared visit
    own, found = marked("hypothetical", *lines)
    left = found[found["compared_as"].isna()]
    assert left[["patient_id", "visit"]].to_numpy().tolist() == [["P1", "W6"], ["P1", "W8"], ["P1", "W10"]]
    assert len(used_rows(found)) == len(found) - 3
    compared = compare_endpoints(found, Plan("W0", "W10"))
    pairs = compared.pairs.set_index("patient_id")
    assert pd.isna(pairs.loc["P1", "after"])
    assert pairs.loc["P1", "reason"] == "value at W10 left out (rescue: hypothetical)"
    assert compared.shifts["n_pairs"].tolist() == [5]
    row = estimand_rows(found, happened(*lines), own, own.endpoints).iloc[0]
    assert (row["n_with_event"], row["n_left_out"], row["n_taken"]) == (1, 1, 0)


def test_while_on_treatment_takes_the_last_value_before_the_event() -> None:
    lines = (("P1", "rescue", 43), ("P2", "rescue", 60), ("P3", "rescue", 10))
    own, found = marked("while_on_treatment", *lines, absent=("P2_W10",))
    compared = compare_endpoints(found, Plan("W0", "W10"))
    pairs = compared.pairs.set_index("patient_id")
    assert pairs.loc["P1", "after"] == pytest.approx(1.29)  # W4, day 29
    assert pairs.loc["P2", "after"] == pytest.approx(2.57)  # W8, day 57: its W10 was never measured
    assert pd.isna(pairs.loc["P3", "after"])  # no value on treatment before day 10
    assert pairs.loc["P1", "intercurrent"] == "rescue: while_on_treatment; W4 in its place"
    row = estimand_rows(found, happened(*lines), own, own.endpoints).iloc[0]
    counts = ["n_with_event", "n_taken", "n_left_out", "n_stand_in", "n_no_response", "n_no_value"]
    assert row[counts].tolist() == [3, 0, 1, 2, 0, 0]


def test_counts_of_what_became_of_values_sum_to_those_with_an_event() -> None:
    events = (("P1", "rescue", 43), ("P2", "rescue", 2), ("P3", "rescue", 71), ("P4", "rescue", 100))
    for strategy in ("treatment_policy", "hypothetical", "while_on_treatment"):
        own, found = marked(strategy, *events, absent=("P3_W10", "P1_W10"))  # type: ignore[arg-type]
        table = estimand_rows(found, happened(*events), own, own.endpoints)
        fates = table[["n_taken", "n_left_out", "n_stand_in", "n_no_response", "n_no_value"]].sum(axis=1)
        assert fates.tolist() == table["n_with_event"].tolist() == [3]


def test_an_endpoint_can_have_its_own_strategy() -> None:
    own = study(Listed(strategy="treatment_policy", endpoints={"c3": "hypothetical"}, **STATED))
    both = pd.concat([rows("c3"), rows("c4")], ignore_index=True)
    found = with_intercurrent(both, happened(("P1", "rescue", 43)), own, own.endpoints)
    assert set(found.loc[found["compared_as"].isna(), "endpoint"]) == {"c3"}
    shifts = compare_endpoints(found, Plan("W0", "W10")).shifts
    table = estimand_rows(found, happened(("P1", "rescue", 43)), own, own.endpoints)
    assert with_estimand(shifts, table)["estimand"].tolist() == [
        "rescue (hypothetical): 1 of 6, 1 left out",
        "rescue (treatment policy): 1 of 6, 1 taken as measured",
    ]


def test_composite_counts_the_event_as_no_response_also_of_who_was_lost() -> None:
    own = study(Listed(strategy="treatment_policy", endpoints={"sri": "composite"}, **STATED))
    stated = {"score": "SRI_4", "unit": "responder", "source": "x", "verified": "yes"}
    scores = SCORES.frame([{"patient_id": p, "visit": "W10", "value": 1.0, **stated} for p in PATIENTS[:5]])
    events = happened(("P1", "rescue", 43), ("P6", "rescue", 43), ("P2", "rescue", 80))
    failures = composite_failures(own, events, scores)
    counted = responders(with_failures(scores, failures))
    at = counted[counted["visit"] == "W10"].iloc[0]
    assert (at["n_patients"], at["n_evaluable"], at["n_responders"]) == (6, 6, 4)  # P1 failed, P6 was lost
    assert responders(with_failures(scores, failures.iloc[:0])).equals(responders(scores))


# --- the trial file --------------------------------------------------------------------------------


@pytest.mark.parametrize("name", builtin_trials())
def test_every_built_in_trial_declares_its_intercurrent_events(name: str) -> None:
    estimand = load_trial(name).estimand
    assert estimand is not None
    assert {"rescue_steroids", "doses_missed", "death"} == {one.event for one in estimand.events}
    assert {one.strategy for one in estimand.events if one.event != "death"} == {"treatment_policy"}
    assert "silent" in estimand.note


def test_faults_of_an_estimand_are_listed_with_their_lines(tmp_path: Path) -> None:
    source = Path(__file__).parent.parent / "immunolab" / "study" / "trials" / "als_nct04952155.yaml"
    text = source.read_text(encoding="utf-8")
    text = text.replace("outcome: survival, strategy: hypothetical", "outcome: survivl, strategy: treatment_policy")
    text = text.replace("more_than: 20", "more_than: 120").replace("rise: 5", "rise: 0")
    text = text.replace("{alsfrsr_slope_diff: composite}", "{treg_pct_cd4: composite, nothing: hypothetical}")
    path = tmp_path / "als.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(InputError) as error:
        load_trial(path)
    found = "\n".join(map(str, error.value.problems))
    for words in (
        "a rise above 0 is needed",
        "a percentage from 0 to below 100 is needed",
        "after death there are no values to take as they are",
        "'survivl' is no time_to_event endpoint",
        "treg_pct_cd4 is no response, and no slope with deaths",
        "unknown endpoint 'nothing'",
    ):
        assert words in found


# --- verify ----------------------------------------------------------------------------------------


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """A run of C3 whose trial leaves out values under rescue: P1 from W6 on, by prednisone; written as a run is."""
    own = study(Rise(variable="prednisone", rise=5.0, strategy="hypothetical", **STATED))
    measured = prednisone(**dict.fromkeys(PATIENTS[1:], (20, 20)), P1=(20, 20, 20, 25))
    found = intercurrent_events(own, measured, None, None)
    endpoints = with_intercurrent(rows(), found, own, own.endpoints)
    tables = {
        MEASUREMENTS: measured,
        INTERCURRENT_EVENTS: found,
        ENDPOINTS: endpoints,
        ESTIMAND: estimand_rows(endpoints, found, own, own.endpoints),
    }
    for table, frame in tables.items():
        table.write(frame, tmp_path / "tables" / f"{table.name}.csv")
    return replace(report_fixture.finished_run(out=tmp_path), study=own)


def test_untouched_tables_of_the_estimand_agree(run: Run) -> None:
    assert list(estimand_differences(run, ENDPOINTS.read(run.folder / "tables" / "endpoints.csv"))) == []


@pytest.mark.parametrize(
    ("table", "column", "value", "said"),
    [
        (INTERCURRENT_EVENTS, "study_day", 71, "study_day is 71, computed again 43"),
        (ENDPOINTS, "compared_as", "W10", "compared_as is 'W10', computed again ''"),
        (ESTIMAND, "n_left_out", 0, "n_left_out is 0, computed again 1"),
    ],
)
def test_a_changed_table_of_the_estimand_is_named(
    run: Run, table: Table, column: str, value: object, said: str
) -> None:
    path = run.folder / "tables" / f"{table.name}.csv"
    frame = table.read(path)
    frame.loc[frame["compared_as"].isna() if column == "compared_as" else frame.index[:1], column] = value
    table.write(frame, path)
    found = estimand_differences(run, ENDPOINTS.read(run.folder / "tables" / "endpoints.csv"))
    assert said in "\n".join(map(str, found))
