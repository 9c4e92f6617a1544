"""Tables of the estimand: intercurrent events of patients, and what they did to the values compared."""

from __future__ import annotations

from immunolab.schema.column import Column
from immunolab.schema.shared_columns import COHORT, ENDPOINT, PATIENT, YES_NO
from immunolab.schema.table import Table

STRATEGIES = ("treatment_policy", "hypothetical", "while_on_treatment", "composite")
SEEN_IN = ("doses", "measurements", "outcomes", "table")
_EVENT = Column("event", "text", "intercurrent event, as the trial file names it")


def _n(name: str, meaning: str) -> Column:
    return Column(name, "integer", meaning, "patients", low=0)


INTERCURRENT_EVENTS = Table(
    "intercurrent_events",
    "intercurrent events of each patient, and those that could not be assessed",
    (
        PATIENT,
        _EVENT,
        Column("study_day", "integer", "day from which the event holds; empty where not assessed", "days", True),
        Column("assessed", "text", "whether the study's files can say", allowed=YES_NO),
        Column("seen_in", "text", "where it is looked for", allowed=SEEN_IN),
        Column("detail", "text", "what was seen, or why it could not be assessed"),
    ),
    key=("patient_id", "event"),
    notes="A patient and event without a row: looked for, and not there.",
    files=("run: tables/intercurrent_events.csv",),
)

ESTIMAND = Table(
    "estimand",
    "intercurrent events before the later value of each endpoint, and what became of that value",
    (
        COHORT,
        ENDPOINT,
        Column("visit", "text", "visit of the later value"),
        _EVENT,
        Column("strategy", "text", "how it is handled in this endpoint", allowed=STRATEGIES),
        _n("n_patients", "patients of the cohort"),
        _n("n_not_assessed", "of these, patients whose files cannot say whether it happened"),
        _n("n_with_event", "patients with the event by the later visit"),
        _n("n_taken", "of these, values taken as they are"),
        _n("n_left_out", "values set missing"),
        _n("n_stand_in", "values before the event taken in place of the later one"),
        _n("n_no_response", "counted as no response"),
        _n("n_no_value", "patients with the event and nothing measured at the visit"),
        Column("rule", "text", "what makes the event"),
        Column("source", "text", "where rule and strategy come from"),
    ),
    key=("cohort", "endpoint", "event"),
    notes="The five last counts sum to n_with_event. Values and visits concerned are in endpoints.csv (`intercurrent`, "
    "`compared_as`).",
    files=("run: tables/estimand.csv",),
)

TABLES = (INTERCURRENT_EVENTS, ESTIMAND)
