"""Adverse events and outcomes: read with every fault named, counted by phase as worked out by hand."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from immunolab.clinical import adverse_events_table
from immunolab.clinical.follow_up import Followed, followed
from immunolab.errors import InputError
from immunolab.loaders.patient_events import read_adverse_events, read_outcomes
from immunolab.study.doses import PatientDoses, read_doses
from immunolab.study.sheet import read_study
from immunolab.study.timeline import treatment_end
from immunolab.study.trial import load_trial
from immunolab.workflow.check import check_study
from immunolab.workflow.clinic import clinic_of, read_clinic

PATIENTS = ("P1", "P2", "P3", "P4")
SLE = load_trial("sle_nct02084238")


def write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def reported(error: pytest.ExceptionInfo[InputError]) -> list[tuple[str, str]]:
    return [(problem.place, problem.message) for problem in error.value.problems]


# --- reading adverse events ------------------------------------------------------------------------


def test_adverse_events_are_read_with_one_spelling_a_term(tmp_path: Path) -> None:
    path = write(
        tmp_path / "ae.csv",
        "patient_id;study_day;term;grade;serious;related;comment\n"
        "P1;3;Injection-site reaction;1;no;possible\nP1;5;injection site  reaction;G2;N;yes\n"
        "P2;-4;Fever;;no;unlikely\nP3;20;fever;grade 3;YES;not related\n",
    )
    found = read_adverse_events(path, PATIENTS)
    assert found["term"].tolist() == ["Injection-site reaction"] * 2 + ["Fever"] * 2
    assert found["study_day"].tolist() == [3, 5, -4, 20]
    assert found["grade"].fillna(0).tolist() == [1, 2, 0, 3]
    assert found["serious"].tolist() == ["no", "no", "no", "yes"]
    assert found["related"].tolist() == ["yes", "yes", "no", "no"]


def test_every_fault_of_adverse_events_is_reported_at_once(tmp_path: Path) -> None:
    path = write(
        tmp_path / "ae.csv",
        "patient_id,study_day,term,grade,serious\n"
        "P1,3,Fever,6,no\n,4,Fever,1,no\nP11,4,Fever,1,no\nP2,0,Fever,1,no\nP2,,Fever,1,no\n"
        "P2,7,,1,no\nP3,8,Rash,1,maybe\nP3,9,Rash,1,\nP4,9,Rash,1,no\nP4,9,rash,2,no\nP4,1.5,Rash,2,no\n",
    )
    with pytest.raises(InputError) as error:
        read_adverse_events(path, PATIENTS)
    assert reported(error) == [
        ("row 2, column grade", "'6' is no grade"),
        ("row 3, column patient_id", "the cell is empty"),
        ("row 4, column patient_id", "'P11' is no patient of the study"),
        ("row 5, column study_day", "there is no study day 0"),
        ("row 6, column study_day", "the cell is empty"),
        ("row 7, column term", "the cell is empty"),
        ("row 8, column serious", "'maybe' is neither yes nor no"),
        ("row 9, column serious", "the cell is empty"),
        ("row 11, column term", "rash of P4 on day 9 is in row 10 already"),
        ("row 12, column study_day", "'1.5' is not a whole number"),
    ]
    assert "did you mean" not in error.value.problems[2].hint


@pytest.mark.parametrize(
    ("header", "message"),
    [
        ("patient_id,study_day,event", "column term"),
        ("patient,study_day,term", "column patient_id"),
        ("patient_id,term", "column study_day"),
        ("patient_id,study_day,term,seriuos", "column seriuos"),
    ],
)
def test_a_column_that_is_absent_or_misspelt(tmp_path: Path, header: str, message: str) -> None:
    path = write(tmp_path / "ae.csv", f"{header}\n{','.join('1' for _ in header.split(','))}\n")
    with pytest.raises(InputError) as error:
        read_adverse_events(path, PATIENTS)
    assert message in {place for place, _ in reported(error)}


def test_dates_need_dated_doses_and_agree_with_study_days(tmp_path: Path) -> None:
    doses = read_doses(write(tmp_path / "doses.csv", "patient_id,date\nP1,2024-03-01\nP1,2024-03-03\n"))
    good = write(tmp_path / "ae.csv", "patient_id,date,term\nP1,2024-03-04,Fever\nP1,2024-02-29,Rash\n")
    assert read_adverse_events(good, PATIENTS, doses)["study_day"].tolist() == [4, -1]
    bad = write(
        tmp_path / "bad.csv",
        "patient_id,date,study_day,term\nP1,2024-03-04,5,Fever\nP2,2024-03-04,,Fever\nP1,04.03.2024,,Rash\n",
    )
    with pytest.raises(InputError) as error:
        read_adverse_events(bad, PATIENTS, doses)
    assert [place for place, _ in reported(error)] == [
        "row 2, column study_day",
        "row 3, column date",
        "row 4, column date",
    ]
    assert "day 5, but 2024-03-04 is day 4" in reported(error)[0][1]
    assert "no dated dose of 'P2'" in reported(error)[1][1]


# --- reading outcomes ------------------------------------------------------------------------------


def test_every_fault_of_outcomes_is_reported_at_once(tmp_path: Path) -> None:
    path = write(
        tmp_path / "outcomes.csv",
        "patient_id,endpoint,study_day,status\nP1,survival,200,event\nP2,survival,337,alive\n"
        "P3,survial,337,censored\nP4,survival,-3,event\nP1,survival,337,censored\nP9,survival,12,Event\n",
    )
    with pytest.raises(InputError) as error:
        read_outcomes(path, ["survival", "relapse"], PATIENTS)
    assert reported(error) == [
        ("row 3, column status", "'alive' is neither event nor censored"),
        ("row 4, column endpoint", "'survial' is no time_to_event endpoint of the study"),
        ("row 5, column study_day", "day -3 is before the first dose"),
        ("row 6, column patient_id", "survival of P1 is in row 2 already"),
        ("row 7, column patient_id", "'P9' is no patient of the study"),
    ]
    assert "did you mean 'survival'" in error.value.problems[1].hint


def test_outcomes_of_a_study_that_waits_for_nothing(tmp_path: Path) -> None:
    path = write(tmp_path / "outcomes.csv", "patient_id,endpoint,study_day,status\nP1,survival,200,event\n")
    with pytest.raises(InputError) as error:
        read_outcomes(path, [], PATIENTS)
    assert error.value.problems[0].hint == "declared: none"


# --- phases and time followed ----------------------------------------------------------------------


def test_treatment_ends_with_the_phase_or_later_for_more_cycles() -> None:
    assert treatment_end(SLE) == 71
    assert treatment_end(SLE, PatientDoses((1, 69))) == 71
    assert treatment_end(SLE, PatientDoses((1, 69, 153))) == 71 + 84  # the last dose came 84 days after day 69


def test_days_followed_in_each_phase() -> None:
    whole, early, untreated = (Followed("P", "", 71, last) for last in (169, 40, 0))
    assert [whole.days_in(phase) for phase in ("on_treatment", "follow_up")] == [71, 98]
    assert [early.days_in(phase) for phase in ("on_treatment", "follow_up")] == [40, 0]
    assert [untreated.days_in(phase) for phase in ("on_treatment", "follow_up")] == [0, 0]
    assert [whole.phase(day) for day in (-3, 1, 71, 72)] == ["baseline", "on_treatment", "on_treatment", "follow_up"]
    endless = Followed("P", "", None, 500)
    assert (endless.phase(400), endless.days_in("on_treatment"), endless.days_in("follow_up")) == (
        "on_treatment",
        500,
        0,
    )


# --- the table -------------------------------------------------------------------------------------


def events(*lines: tuple[object, ...], asked: bool = True) -> pd.DataFrame:
    names = ["patient_id", "study_day", "term", "grade", "serious", "related"]
    frame = pd.DataFrame(lines, columns=names).astype({"grade": "Float64"})
    return frame if asked else frame.assign(serious=None, related=None)


def test_adverse_events_are_counted_as_by_hand() -> None:
    patients = [Followed(name, "", 100, 300) for name in PATIENTS]
    table = adverse_events_table(
        events(
            ("P1", -2, "Rash", 1, "no", "no"),
            ("P1", 1, "Fever", 1, "no", "yes"),
            ("P1", 9, "Fever", 3, "yes", "yes"),
            ("P2", 100, "Fever", None, "no", "no"),
            ("P2", 30, "Rash", 2, "no", "no"),
            ("P3", 101, "Fever", 2, "no", "no"),
        ),
        patients,
    ).set_index(["phase", "term"])
    assert list(table.index) == [
        ("baseline", "any adverse event"),
        ("baseline", "Rash"),
        ("on_treatment", "any adverse event"),
        ("on_treatment", "Fever"),
        ("on_treatment", "Rash"),
        ("follow_up", "any adverse event"),
        ("follow_up", "Fever"),
    ]
    fever = table.loc[("on_treatment", "Fever")]
    assert (fever["n_patients"], fever["n_with_event"], fever["n_events"]) == (4, 2, 3)
    # Clopper-Pearson of 2 of 4: the limits solve P(X >= 2) = P(X <= 2) = 0.025, published as 6.76 and 93.24 %
    assert (fever["percent"], fever["ci_low"], fever["ci_high"]) == pytest.approx((50, 6.76, 93.24), abs=0.005)
    assert (fever["n_serious"], fever["n_related"]) == (1, 2)
    assert [fever[f"grade_{g}"] for g in (1, 2, 3, 4, 5)] == [0, 0, 1, 0, 0]  # P1 at worst 3; P2 was not graded
    assert fever["not_graded"] == 1
    assert fever["patient_years"] == pytest.approx(4 * 100 / 365.25)
    assert fever["events_per_patient_year"] == pytest.approx(3 / (400 / 365.25))
    both = table.loc[("on_treatment", "any adverse event")]
    assert (both["n_with_event"], both["n_events"], both["grade_2"], both["grade_3"]) == (2, 4, 1, 1)
    before = table.loc[("baseline", "any adverse event")]
    assert (before["n_with_event"], before["n_events"]) == (1, 1)
    assert pd.isna(before["patient_years"])
    assert pd.isna(before["events_per_patient_year"])
    assert table.loc[("follow_up", "Fever"), "patient_years"] == pytest.approx(4 * 200 / 365.25)


def test_no_event_still_has_an_interval_and_unasked_questions_stay_empty() -> None:
    patients = [Followed(f"P{i}", "", 100, 300) for i in range(10)]
    table = adverse_events_table(events(("P1", 5, "Rash", 1, None, None), asked=False), patients)
    rows = table.set_index(["phase", "term"])
    none = rows.loc[("follow_up", "any adverse event")]
    assert (none["n_with_event"], none["percent"], none["ci_low"]) == (0, 0, 0)
    assert none["ci_high"] == pytest.approx(100 * (1 - 0.025**0.1))  # closed form for 0 of n
    rash = rows.loc[("on_treatment", "Rash")]
    assert pd.isna(rash["n_serious"])
    assert pd.isna(rash["n_related"])


def test_cohorts_are_counted_apart() -> None:
    patients = [Followed("P1", "drug", 100, 300), Followed("P2", "drug", 100, 300), Followed("P3", "none", 100, 300)]
    table = adverse_events_table(events(("P1", 5, "Rash", 1, "no", "no"), ("P3", 5, "Rash", 1, "no", "no")), patients)
    rash = table[(table["term"] == "Rash")].set_index("cohort")
    assert rash["percent"].to_dict() == {"drug": 50, "none": 100}


# --- a study of them -------------------------------------------------------------------------------


def study(folder: Path, **tables: str) -> Path:
    (folder / "fcs").mkdir()
    (folder / "fcs" / "a.fcs").touch()
    lines = "".join(f"s{i},{patient},W0,fcs/a.fcs,1\n" for i, patient in enumerate(PATIENTS))
    write(folder / "samples.csv", "sample_id,patient_id,visit,file,study_day\n" + lines)
    keys = "".join(f"{name}: {name}.csv\n" for name in tables)
    write(folder / "study.yaml", f"study: x\ntrial: als_nct04952155\n{keys}")
    for name, text in tables.items():
        write(folder / f"{name}.csv", text)
    return folder


def test_a_study_with_events_and_no_measurements(tmp_path: Path) -> None:
    source = study(
        tmp_path,
        adverse_events="patient_id,study_day,term\nP1,10,Fever\nP2,200,Fever\n",
        outcomes="patient_id,endpoint,study_day,status\nP1,survival,250,event\nP2,survival,337,censored\n",
    )
    loaded = read_study(source)
    sources = read_clinic(loaded)
    assert sources is not None
    clinic = clinic_of(loaded, sources)
    assert set(clinic.events) == {"adverse_events", "time_to_event", "survival"}
    summary = clinic.events["time_to_event"].iloc[0]
    assert (summary["n_patients"], summary["n_with_outcome"], summary["n_events"]) == (4, 2, 1)
    table = clinic.events["adverse_events"].set_index(["phase", "term"])
    # P1 was on treatment to day 169 and known to day 250, P2 to day 337, the others on day 1 only
    assert table.loc[("on_treatment", "Fever"), "patient_years"] == pytest.approx((169 + 169 + 1 + 1) / 365.25)
    assert table.loc[("follow_up", "Fever"), "patient_years"] == pytest.approx((81 + 168) / 365.25)


def test_faults_of_every_clinical_table_come_in_one_list(tmp_path: Path) -> None:
    source = study(
        tmp_path,
        measurements="patient_id,visit,variable,value,unit\nP1,W0,ALSFRS_R,49,\n",
        adverse_events="patient_id,study_day,term,grade\nP1,10,Fever,9\n",
        outcomes="patient_id,endpoint,study_day,status\nP1,survival,250,dead\n",
    )
    messages = [str(problem) for problem in check_study(source).problems]
    assert [text for text in messages if "measurements.csv:row 2, column value" in text]
    assert [text for text in messages if "adverse_events.csv:row 2, column grade" in text]
    assert [text for text in messages if "outcomes.csv:row 2, column status" in text]


@pytest.mark.parametrize("value", ["41", "many"])
def test_a_patient_of_the_measurements_alone_is_one_even_where_they_cannot_be_read(value: str, tmp_path: Path) -> None:
    source = study(
        tmp_path,
        measurements=f"patient_id,visit,variable,value,unit\nP9,W0,ALSFRS_R,{value},\n",
        adverse_events="patient_id,study_day,term\nP9,10,Fever\n",
        outcomes="patient_id,endpoint,study_day,status\nP9,survival,250,dead\n",
    )
    messages = [str(problem) for problem in check_study(source).problems]
    assert [text for text in messages if "outcomes.csv:row 2, column status" in text]
    assert bool([text for text in messages if "measurements.csv:row 2" in text]) == (value == "many")
    assert not [text for text in messages if "is no patient of the study" in text]


def test_a_patient_is_followed_to_the_last_day_that_anything_is_known_of(tmp_path: Path) -> None:
    source = study(tmp_path, outcomes="patient_id,endpoint,study_day,status\nP1,survival,250,event\n")
    measured = pd.DataFrame(
        {
            "patient_id": ["P2", "P3", "P2", "P4"],
            "visit": ["W24", "W48", "W48", "W24"],
            "study_day": pd.array([172, None, None, None], dtype="Int64"),
            "value": [3.0, 2.0, None, None],  # a line prepared for a visit that never came; a value below the limit
            "censored": [None, None, None, "below"],
        }
    )
    outcome = pd.DataFrame({"patient_id": ["P1"], "study_day": [250]})
    found = followed(read_study(source), measured, [outcome])
    assert {one.patient_id: one.last_day for one in found} == {"P1": 250, "P2": 172, "P3": 337, "P4": 169}
    assert {one.treatment_end for one in found} == {169}
