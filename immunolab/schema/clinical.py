"""Tables of the clinic: scores, responders, adverse events, time to event, the suppression assay."""

from __future__ import annotations

from dataclasses import replace

from immunolab.schema.column import Column
from immunolab.schema.shared_columns import (
    CENSORED_COLUMN,
    COHORT,
    ENDPOINT,
    FLAG,
    PATIENT,
    ROLE,
    VERIFIED,
    VISIT,
    interval,
)
from immunolab.schema.table import Table

PHASES = ("baseline", "on_treatment", "follow_up")
ANY_EVENT = "any adverse event"
GRADES = (1, 2, 3, 4, 5)  # CTCAE
_SCORE = Column("score", "text", "name of the score")

SCORES = Table(
    "scores",
    "clinical scores of every patient and visit",
    (
        PATIENT,
        replace(VISIT, meaning="visit label; for a slope, the visit its period ends with"),
        _SCORE,
        Column(
            "value",
            "number",
            "the value; 1 responder, 0 none; empty when it cannot be evaluated",
            nullable=True,
        ),
        Column("unit", "text", "points, points/month, responder ..."),
        FLAG,
        Column("reason", "text", "why there is no value; of an event, how it was seen", nullable=True),
        Column("source", "text", "publication or registry the definition follows"),
        VERIFIED,
    ),
    key=("patient_id", "visit", "score"),
    files=("run: tables/scores.csv",),
)

RESPONSES = Table(
    "responses",
    "every enrolled patient's response by each score and visit",
    (
        PATIENT,
        COHORT,
        _SCORE,
        VISIT,
        Column("value", "number", "the score's value; empty where it is missing", "unit", nullable=True),
        Column(
            "response",
            "text",
            "by the score's first criterion; missing counts as non_responder where all patients are the denominator",
            allowed=("responder", "non_responder", "missing"),
        ),
        Column("reason", "text", "why there is no value", nullable=True),
    ),
    key=("patient_id", "score", "visit"),
    files=("run: tables/responses.csv",),
)


def _patients(name: str, meaning: str) -> Column:
    return Column(name, "integer", meaning, "patients", low=0)


RESPONDERS = Table(
    "responders",
    "responders by cohort, score and visit, with Clopper-Pearson 95 % intervals",
    (
        COHORT,
        _SCORE,
        Column("criterion", "text", "what a responder must reach"),
        VISIT,
        Column("n_patients", "integer", "patients enrolled in the cohort, whether or not they came", "patients", low=0),
        Column("n_evaluable", "integer", "of these, patients who can be evaluated", "patients", low=0),
        Column("n_responders", "integer", "responders", "patients", low=0),
        Column("percent", "number", "responders of the evaluable", "%", True),
        *interval("percent", "%"),
        Column("percent_worst_case", "number", "responders of n_patients: a missing value counts as none", "%", True),
        Column("worst_case_ci_low", "number", "lower 95 % limit of percent_worst_case", "%", True),
        Column("worst_case_ci_high", "number", "upper 95 % limit of percent_worst_case", "%", True),
        VERIFIED,
        replace(_patients("n_not_seen", "of n_patients, those without a row at the visit"), optional=True),
        replace(_patients("n_not_evaluable", "of n_patients, those seen whose score is not evaluable"), optional=True),
        Column("missing", "text", "each patient without a value, with the reason", nullable=True, optional=True),
    ),
    key=("cohort", "score", "criterion", "visit"),
    notes="`n_patients` is `n_evaluable` + `n_not_evaluable` + `n_not_seen`; responses.csv has each patient.",
    files=("run: tables/responders.csv",),
)

EVENT_COUNTS = Table(
    "event_counts",
    "patients with an event that a score finds (a relapse), of those who could have it",
    (
        COHORT,
        ENDPOINT,
        replace(ROLE, meaning="family it belongs to"),
        _SCORE,
        Column("rule", "text", "what the event is, who can have it, and its window, as computed", nullable=True),
        Column("registered_rule", "text", "the rule as the trial file words it", nullable=True),
        _patients("n_patients", "patients enrolled in the cohort"),
        _patients("n_at_risk", "of these, patients who could have the event: the denominator"),
        _patients("n_not_at_risk", "of n_patients, those who could not"),
        _patients("n_unknown", "of n_patients, those of whom it is not known"),
        _patients("n_followed", "of n_at_risk, patients seen in the window"),
        _patients("n_not_followed", "of n_at_risk, patients not seen in the window"),
        _patients("n_with_event", "of n_followed, patients with the event"),
        Column("percent", "number", "100 n_with_event / n_followed", "%", True),
        *interval("percent, Clopper-Pearson", "%"),
        Column("percent_if_lost_had_it", "number", "of n_at_risk, if all not followed had the event", "%", True),
        Column("percent_if_lost_had_none", "number", "of n_at_risk, if none of them had", "%", True),
        Column("missing", "text", "each patient outside n_followed, with the reason", nullable=True),
        VERIFIED,
        replace(_patients("n_in_window", "of n_with_event, those first seen in the registered window"), optional=True),
        Column("percent_in_window", "number", "100 n_in_window / n_followed", "%", True, optional=True),
        Column("in_window_ci_low", "number", "lower 95 % limit of percent_in_window", "%", True, optional=True),
        Column("in_window_ci_high", "number", "upper 95 % limit of percent_in_window", "%", True, optional=True),
        Column("registered_window", "text", "that window, in words", nullable=True, optional=True),
        Column("outside_window", "text", "each patient with a later event, and how", nullable=True, optional=True),
        Column("low_level", "text", "level under which the definition calls a value low", nullable=True, optional=True),
        Column("below_level", "text", "each patient with an event under it, and how", nullable=True, optional=True),
    ),
    key=("cohort", "endpoint"),
    notes="`n_patients` is `n_at_risk` + `n_not_at_risk` + `n_unknown`; `n_at_risk` is `n_followed` + "
    "`n_not_followed`.",
    files=("run: tables/event_counts.csv",),
)

COMPONENTS = Table(
    "components",
    "the measures a composite response is made of, by patient and visit",
    (
        PATIENT,
        VISIT,
        Column("score", "text", "name of the composite score"),
        Column("component", "text", "core-set measure"),
        Column("before", "number", "value at baseline", nullable=True),
        Column("after", "number", "value at the visit", nullable=True),
        Column("improvement", "number", "change from baseline, above zero when better", "%", True),
        Column("improvement_of", "text", "what the percentage is of", allowed=("baseline", "scale range")),
        Column(
            "call",
            "text",
            "what the definition makes of the change",
            allowed=("improved", "same", "worsened", "not_evaluable"),
        ),
        Column("points", "number", "points earned, for scores that add points", "points", True),
    ),
    key=("patient_id", "visit", "score", "component"),
    files=("run: tables/components.csv",),
)

ADVERSE_EVENTS = Table(
    "adverse_events",
    "adverse events by term and phase, with Clopper-Pearson 95 % intervals",
    (
        COHORT,
        Column(
            "phase",
            "text",
            "when the event began: before the first dose, until treatment ends, later",
            allowed=PHASES,
        ),
        Column("term", "text", f"the event; '{ANY_EVENT}' counts all terms together"),
        Column("n_patients", "integer", "patients treated: all of the cohort", "patients", low=0),
        Column("n_with_event", "integer", "of these, patients with the event at least once", "patients", low=0),
        Column("percent", "number", "100 n_with_event / n_patients", "%", True),
        *interval("percent", "%"),
        Column("n_events", "integer", "events, repeated ones counted each time", "events", low=0),
        Column("n_serious", "integer", "serious events; empty when the table does not ask", "events", True, low=0),
        Column("n_related", "integer", "related events; empty when the table does not ask", "events", True, low=0),
        *(
            Column(f"grade_{grade}", "integer", f"patients whose worst grade of it is {grade}", "patients", low=0)
            for grade in GRADES
        ),
        Column("not_graded", "integer", "patients with the event, none of it graded", "patients", low=0),
        Column("patient_years", "number", "time followed in the phase; empty before the first dose", "years", True),
        Column("events_per_patient_year", "number", "n_events / patient_years", "1/year", True),
    ),
    key=("cohort", "phase", "term"),
    notes="Percentages are of all patients of the cohort, who count as treated; a patient with a term several times "
    "counts once in `n_with_event` and each time in `n_events`. Events before the first dose (phase `baseline`) are "
    "counted apart. Time in a phase is counted from day 1 to the patient's last known day. Rates have no interval: "
    "events of one patient depend on each other.",
    files=("run: tables/adverse_events.csv",),
)

TIME_TO_EVENT = Table(
    "time_to_event",
    "time to each event that is waited for, by cohort",
    (
        COHORT,
        ENDPOINT,
        replace(ROLE, meaning="family it belongs to"),
        Column("n_patients", "integer", "patients of the cohort", "patients", low=0),
        Column("n_with_outcome", "integer", "of these, patients with a line in outcomes.csv", "patients", low=0),
        Column("n_events", "integer", "patients with the event", "patients", low=0),
        Column("n_censored", "integer", "patients last seen without it", "patients", low=0),
        Column("median_day", "number", "first study day by which half have the event", "days", True),
        *interval("the median", "days", why_empty="empty when it is not reached"),
        Column("last_day", "integer", "last study day on which a patient was followed", "days", True),
        Column("method", "text", "how it was estimated"),
    ),
    key=("cohort", "endpoint"),
    notes="The median's limits are the days on which the limits of the curve reach a half. Patients without a line in "
    "outcomes.csv are in `n_patients` only.",
    files=("run: tables/time_to_event.csv",),
)

SURVIVAL = Table(
    "survival",
    "the Kaplan-Meier curve: each day with an event or a censored patient, and each visit",
    (
        COHORT,
        ENDPOINT,
        Column("study_day", "integer", "day 1 is the first dose", "days"),
        Column("visit", "text", "the visit planned for this day; empty for other days", nullable=True),
        Column("n_at_risk", "integer", "patients followed up to this day without the event", "patients", low=0),
        Column("n_events", "integer", "patients with the event on this day", "patients", low=0),
        Column("n_censored", "integer", "patients last seen on this day", "patients", low=0),
        Column("percent", "number", "estimated share without the event by the end of this day", "%", True),
        *interval("percent", "%", why_empty="empty at 0 and 100 %"),
    ),
    key=("cohort", "endpoint", "study_day"),
    notes="`n_at_risk` counts those followed up to the day, the day included. Limits are of log(-log) of the share "
    "with Greenwood's variance; after the last patient's last day the share is empty.",
    files=("run: tables/survival.csv",),
)

SUPPRESSION = Table(
    "suppression",
    "the suppression assay's curve at every visit",
    (
        PATIENT,
        VISIT,
        Column("ratio", "text", "Treg to responder cells"),
        Column("treg_per_responder", "number", "the ratio as a number"),
        Column("percent_inhibition", "number", "100 (1 - proliferation with Treg / without)", "%", high=100),
        CENSORED_COLUMN,
    ),
    key=("patient_id", "visit", "treg_per_responder"),
    notes="The value that is compared (endpoints.csv, `Treg_suppression`) is the area under the inhibition over the "
    "log of the ratio divided by the log range: the mean inhibition, in percent.",
    files=("run: tables/suppression.csv",),
)

TABLES = (
    SCORES,
    RESPONSES,
    RESPONDERS,
    EVENT_COUNTS,
    COMPONENTS,
    ADVERSE_EVENTS,
    TIME_TO_EVENT,
    SURVIVAL,
    SUPPRESSION,
)
