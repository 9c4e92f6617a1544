"""verify on the clinic's tables: what follows from their own counts agrees, and a number that was changed is named."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
import report_fixture

from immunolab.clinical import adverse_events_table, enrolled, responders, responses, survival_tables
from immunolab.clinical.follow_up import Followed
from immunolab.report.verify_clinic import clinic_differences
from immunolab.results.run import Run
from immunolab.schema.clinical import ADVERSE_EVENTS, RESPONDERS, RESPONSES, SCORES, SURVIVAL, TIME_TO_EVENT
from immunolab.schema.table import Table
from immunolab.study.trial import load_trial

PEOPLE = [Followed(f"P{i}", "A" if i < 5 else "", 169, 60 * i) for i in range(9)]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Responders, adverse events and survival of nine patients, one cohort with a name and one without."""
    scores = [
        {"patient_id": f"P{i}", "visit": "W12", "score": "IMACS_DOI", "value": None if i > 6 else float(i % 2)}
        for i in range(9)
    ]
    scored = SCORES.frame([row | {"unit": "responder", "source": "x", "verified": "yes"} for row in scores])
    harms = pd.DataFrame(
        [("P1", 3, "Fever", 1), ("P1", 9, "Fever", None), ("P2", 40, "Rash", None), ("P7", 200, "Fever", 3)],
        columns=["patient_id", "study_day", "term", "grade"],
    ).assign(serious="no", related=None)
    ends = [("P0", 30, "event"), ("P1", 60, "censored"), ("P2", 60, "event"), ("P3", 180, "censored")]
    ends += [("P6", 90, "event"), ("P7", 400, "event")]  # everybody of the second cohort
    outcomes = pd.DataFrame(ends, columns=["patient_id", "study_day", "status"]).assign(endpoint="survival")
    als = load_trial("als_nct04952155")
    timed = [e for e in als.endpoints if e.needs.outcomes]
    summary, curves = survival_tables(timed, outcomes, PEOPLE, als)
    found = report_fixture.finished_run(out=tmp_path)
    everyone = enrolled(found.study, scored)
    written = {SCORES: scored, TIME_TO_EVENT: summary, SURVIVAL: curves}
    written |= {RESPONSES: responses(scored, everyone), RESPONDERS: responders(scored, everyone)}
    written[ADVERSE_EVENTS] = adverse_events_table(harms, PEOPLE)
    for table, frame in written.items():
        table.write(frame, tmp_path / "tables" / f"{table.name}.csv")
    return replace(found, tables=found.tables | {"measurements": scored})


def test_tables_that_were_not_touched_agree(run: Run) -> None:
    assert list(clinic_differences(run)) == []
    assert list(clinic_differences(replace(run, folder=run.folder / "nothing"))) == []


@pytest.mark.parametrize(
    ("table", "row", "column", "value"),
    [
        (RESPONDERS, 0, "n_responders", 4),
        (RESPONDERS, 0, "ci_high", 90.0),
        (ADVERSE_EVENTS, 1, "percent", 10.0),
        (ADVERSE_EVENTS, 1, "ci_low", 0.0),
        (ADVERSE_EVENTS, 1, "events_per_patient_year", 0.1),
        (ADVERSE_EVENTS, 1, "not_graded", 0),
        (SURVIVAL, 1, "percent", 99.0),
        (SURVIVAL, 1, "ci_high", 99.0),
        (SURVIVAL, 1, "n_at_risk", 9),
        (TIME_TO_EVENT, 0, "n_events", 1),
        (TIME_TO_EVENT, 0, "median_day", 61.0),
        (TIME_TO_EVENT, 1, "last_day", 401),
    ],
)
def test_a_changed_number_is_named(run: Run, table: Table, row: int, column: str, value: float) -> None:
    path = run.folder / "tables" / f"{table.name}.csv"
    frame = table.read(path)
    assert frame.loc[row, column] != value
    frame.loc[row, column] = value
    frame.to_csv(path, index=False)
    found = [problem for problem in clinic_differences(run) if problem.file == f"tables/{table.name}.csv"]
    assert any(problem.message.startswith(f"{column} is {value:.12g}") for problem in found)


def test_a_response_that_was_changed_alone_is_named(run: Run) -> None:
    path = run.folder / "tables" / "scores.csv"
    scores = SCORES.read(path)
    scores.loc[0, "value"] = 1.0
    scores.to_csv(path, index=False)
    assert {problem.file for problem in clinic_differences(run)} == {"tables/responders.csv", "tables/responses.csv"}


def test_a_curve_without_its_rows_and_a_table_that_cannot_be_read_are_named(run: Run) -> None:
    path = run.folder / "tables" / "survival.csv"
    path.write_text(path.read_text().splitlines()[0] + "\n")
    (run.folder / "tables" / "adverse_events.csv").write_text("")
    said = [str(problem) for problem in clinic_differences(run)]
    assert len([text for text in said if "time_to_event.csv" in text and "does not come out again" in text]) == 2
    assert [text for text in said if "adverse_events.csv" in text and "cannot be read" in text]
