"""Tables of values by patient and visit: endpoints, what is shown beside them, measurements."""

from __future__ import annotations

from immunolab.schema.column import Column
from immunolab.schema.shared_columns import (
    CENSORED_COLUMN,
    COHORT,
    ENDPOINT,
    FLAG,
    MODALITY,
    PATIENT,
    SAMPLE,
    VISIT,
)
from immunolab.schema.table import Table

POINTS = "percentage points"
"""Unit of a difference of two percentages, as of a stimulated tube and its control; below 0 as it comes."""

SCORE = "score"
"""Unit of the mean score of a signature of genes in a population's cells; ``definition`` names the signature."""

BY_SCORE, MOSTLY = "score.", "mostly "
"""Beginnings of a ``definition`` of single cells: what a signature defines, and a cluster by its commonest label."""

_CYCLE = Column(
    "cycle",
    "integer",
    "number of the cycle that the last dose belongs to; empty before the first dose and without cycles",
    nullable=True,
    low=1,
    optional=True,
)
_ENDPOINT_COLUMNS = (
    SAMPLE,
    PATIENT,
    COHORT,
    VISIT,
    Column("study_day", "number", "day 1 is the first dose; there is no day 0", "days", True),
    Column("days_since_last_dose", "number", "days from the latest dose before the sample", "days", True),
    Column("phase", "text", "baseline, on_treatment, follow_up", nullable=True),
    Column("cycle_state", "text", "pre_dose, peak, trough, maintenance, off", nullable=True),
    ENDPOINT,
    Column("population", "text", "population or variable measured"),
    Column("parent", "text", "denominator", nullable=True),
    Column("definition", "text", "id of the definition", nullable=True),
    Column("value", "number", "the value; empty when it cannot be evaluated", "unit", nullable=True),
    Column("unit", "text", "unit of value"),
    Column("n_events", "integer", "events in the population", "events", True, low=0),
    Column("n_parent", "integer", "events in the denominator", "events", True, low=0),
    FLAG,
)

ENDPOINTS = Table(
    "endpoints",
    "one row per sample and endpoint",
    (
        *_ENDPOINT_COLUMNS,
        Column("batch", "text", "batch of the sample sheet", nullable=True, optional=True),
        Column(
            "count_low", "number", "lower 95 % limit of value from counting alone", "unit", nullable=True, optional=True
        ),
        Column(
            "count_high",
            "number",
            "upper 95 % limit of value from counting alone",
            "unit",
            nullable=True,
            optional=True,
        ),
        Column(
            "gate_low",
            "number",
            "lower 95 % limit of value from the gates' place",
            "unit",
            nullable=True,
            optional=True,
        ),
        Column(
            "gate_high",
            "number",
            "upper 95 % limit of value from the gates' place",
            "unit",
            nullable=True,
            optional=True,
        ),
        Column(
            "gate_scope",
            "text",
            "tubes that share the borders of the value: the narrowest over its gates",
            nullable=True,
            allowed=("sample", "patient", "batch", "study"),
            optional=True,
        ),
        _CYCLE,
        Column(
            "intercurrent",
            "text",
            "intercurrent events before the value, each with its strategy, joined by ';'",
            nullable=True,
            optional=True,
        ),
        Column(
            "compared_as",
            "text",
            "visit at which the value is compared; empty where it is left out for an intercurrent event",
            nullable=True,
            optional=True,
        ),
        Column(
            "one_event", "number", "what one event makes of an absolute count", "unit", nullable=True, optional=True
        ),
        MODALITY,
    ),
    notes="A slope belongs to a period, not to a day. Its row is under the visit that ends the period and carries that "
    "visit's phase; `study_day`, `days_since_last_dose` and `cycle_state` are empty.",
    files=("run: tables/endpoints.csv",),
)

CONTEXT = Table(
    "context",
    "what is shown beside the endpoints and not compared: the trial's covariates, the values slopes are fitted to",
    (*_ENDPOINT_COLUMNS, _CYCLE),
    files=("run: tables/context.csv",),
)

VISITS = Table(
    "visits",
    "every visit of every endpoint",
    (
        COHORT,
        ENDPOINT,
        VISIT,
        Column("unit", "text", "unit of the values"),
        Column("n_patients", "integer", "patients with a value", "patients", low=0),
        Column("median", "number", "median over the patients", "unit", True),
        Column("q1", "number", "lower quartile", "unit", True),
        Column("q3", "number", "upper quartile", "unit", True),
    ),
    files=("run: tables/visits.csv", "compare: NAME_visits.csv"),
)

MEASUREMENTS = Table(
    "measurements",
    "cytokines, clinical scores, blood counts, doses",
    (
        PATIENT,
        Column("visit", "text", "visit label; empty when a date or study day is given", nullable=True),
        Column("variable", "text", "what was measured"),
        Column("value", "number", "the value, or the limit when censored", "unit", nullable=True),
        Column("unit", "text", "unit as written", nullable=True),
        CENSORED_COLUMN,
        Column("study_day", "integer", "day 1 is the first dose", "days", nullable=True, optional=True),
        Column("date", "text", "date of the measurement as YYYY-MM-DD", nullable=True, optional=True),
        Column("flag", "text", FLAG.meaning, nullable=True, optional=True),
        Column("row", "integer", "row of the user's file", low=1, optional=True),
    ),
    files=("run: tables/measurements.csv", "simulate: measurements.csv"),
)

TABLES = (ENDPOINTS, CONTEXT, VISITS, MEASUREMENTS)
