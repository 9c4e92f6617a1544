"""Tables of a simulated study: what a laboratory and a clinic would hand over, and the truth behind them."""

from __future__ import annotations

from dataclasses import replace

from immunolab.schema.column import Column
from immunolab.schema.shared_columns import ENDPOINT, PATIENT, SAMPLE, VISIT, YES_NO
from immunolab.schema.table import Table

_DAY = Column("study_day", "integer", "day 1 is the first dose; there is no day 0", "days")
_PANEL = Column("panel", "text", "name of the staining panel", nullable=True)
_BATCH = Column("batch", "text", "samples stained and acquired together")
_POPULATION = Column("population", "text", "population by the kinds of cells drawn")
_TUBE = (SAMPLE, replace(PATIENT, nullable=True), replace(VISIT, nullable=True))

SHEET = Table(
    "study/samples",
    "the sample sheet: one row a file",
    (
        *_TUBE,
        Column("file", "text", "path of the file, relative to the study's folder"),
        Column("cohort", "text", "study arm or cohort", nullable=True),
        _PANEL,
        replace(_DAY, nullable=True),
        _BATCH,
        Column("lymphocytes_per_ul", "integer", "from the blood count", "cells/uL", True, low=0, optional=True),
        Column("control_of", "text", "sample or batch the tube is a control of", nullable=True, optional=True),
        Column("marker", "text", "marker the control leaves out", nullable=True, optional=True),
        Column("bridge", "text", "material of a bridging control", nullable=True, optional=True),
        Column("aliquot", "text", "its aliquot", nullable=True, optional=True),
        Column("modality", "text", "flow or single_cell", nullable=True, optional=True),
    ),
    key=("sample_id",),
    own_columns=True,
    files=("simulate: samples.csv",),
)

DOSES = Table("study/doses", "the days a patient was dosed", (PATIENT, _DAY), files=("simulate: doses.csv",))

EVENTS = Table(
    "study/adverse_events",
    "one row an adverse event",
    (
        PATIENT,
        _DAY,
        Column("term", "text", "the event"),
        Column("grade", "integer", "CTCAE grade", low=1, high=5),
        Column("serious", "text", "whether it was serious", allowed=YES_NO),
        Column("related", "text", "whether it was related to the drug", allowed=YES_NO),
    ),
    files=("simulate: adverse_events.csv",),
)

OUTCOMES = Table(
    "study/outcomes",
    "time to each event that is waited for, one row a patient",
    (
        PATIENT,
        ENDPOINT,
        replace(_DAY, meaning="day of the event, or the last day without it"),
        Column("status", "text", "how follow-up ended", allowed=("event", "censored")),
    ),
    files=("simulate: outcomes.csv",),
)

TRUE_POPULATIONS = Table(
    "truth/populations",
    "events of every population by the kinds of cells drawn, never by a gate",
    (
        *_TUBE,
        _POPULATION,
        Column("parent", "text", "the denominator"),
        Column("n_events", "integer", "events drawn", "events", low=0),
        Column("n_parent", "integer", "events of the denominator", "events", low=0),
        Column("percent_of_parent", "number", "100 n_events / n_parent", "%", True),
        Column("expected_percent", "number", "the percentage in the blood that was drawn from", "%", True),
    ),
    files=("simulate: truth/populations.csv",),
)

TRUE_SAMPLES = Table(
    "truth/samples",
    "what each sample was made from",
    (
        *_TUBE,
        Column("cohort", "text", "study arm or cohort, of single cells", nullable=True, optional=True),
        replace(_PANEL, optional=True),
        _DAY,
        _BATCH,
        Column("lymphocytes_per_ul", "number", "in the blood", "cells/uL", low=0),
        Column("pd_*", "number", "drug effect of the kernel in the column's name", "0 none"),
        Column("n_events", "integer", "events of the file", "events", low=0),
        Column("faults", "text", "faults planted in the file, in words", nullable=True),
    ),
    files=("simulate: truth/samples.csv",),
)

TRUE_LEAVES = Table(
    "truth/leaves",
    "share of every kind of CD4 T cell in the blood",
    (*_TUBE, Column("leaf", "text", "kind of cell"), Column("percent_of_CD4", "number", "its share", "%")),
    files=("simulate: truth/leaves.csv",),
)

TRUE_PATIENTS = Table(
    "truth/patients",
    "what each patient was drawn as",
    (
        PATIENT,
        Column("responder", "text", "whether the clinic of the patient responds", allowed=("True", "False")),
        Column("response_*", "number", "the patient's own response to the kernel in the column's name", "log"),
        Column("log_weight_*", "number", "the patient's own share of the kind of cell in the column's name", "log"),
    ),
    key=("patient_id",),
    files=("simulate: truth/patients.csv",),
)

TRUE_FOLDS = Table(
    "truth/folds",
    "the fold of each subset that a patient without any deviation shows",
    (
        ENDPOINT,
        _POPULATION,
        Column("parent", "text", "the denominator"),
        Column("visit_before", "text", "earlier visit"),
        Column("visit_after", "text", "later visit"),
        Column("percent_before", "number", "percent of parent at the earlier visit", "%"),
        Column("percent_after", "number", "percent of parent at the later visit", "%"),
        Column("expected_fold", "number", "percent_after / percent_before", "ratio"),
    ),
    key=("endpoint",),
    files=("simulate: truth/folds.csv",),
)

TABLES = (
    SHEET,
    DOSES,
    EVENTS,
    OUTCOMES,
    TRUE_POPULATIONS,
    TRUE_SAMPLES,
    TRUE_LEAVES,
    TRUE_PATIENTS,
    TRUE_FOLDS,
)
