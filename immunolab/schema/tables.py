"""Declared tables: every table that leaves the program is declared here once.

A declaration serves to check a table, to write and read its CSV, and to document it.
"""

from __future__ import annotations

from immunolab.schema.table import Column, Table

_SAMPLE = Column("sample_id", "text", "the tube or library, as in the sample sheet")
_PATIENT = Column("patient_id", "text", "the patient's study code, as in the sample sheet")
_COHORT = Column("cohort", "text", "study arm or cohort; empty when the sheet names none", nullable=True)
_POPULATION = Column("population", "text", "events inside the gate of this name")
_FLAG = Column("flag", "text", "words joined by ';' that qualify the row; empty when nothing is odd", nullable=True)

COUNTS = Table(
    "counts",
    "events in every population of every sample",
    (
        _SAMPLE,
        _POPULATION,
        Column("parent", "text", "the population a percentage is of; empty for root", nullable=True),
        Column("path", "text", "lineage from root, '/' between populations"),
        Column("definition", "text", "id of the published definition the gate follows", nullable=True),
        Column("n_events", "integer", "events in the population", "events", low=0),
        Column("n_parent", "integer", "events in the parent", "events", low=0),
        Column("percent_of_parent", "number", "100 n_events / n_parent; empty for an empty parent", "%", True),
        _FLAG,
    ),
    key=("sample_id", "path"),
)

THRESHOLDS = Table(
    "thresholds",
    "every 1-D border used, and how it was placed",
    (
        _SAMPLE,
        _POPULATION,
        Column("marker", "text", "antigen the border is on", nullable=True),
        Column("channel", "text", "detector the border is on"),
        Column("threshold", "number", "the border on the display scale", "display scale", True),
        Column("threshold_raw", "number", "the border in instrument units", "instrument units", True),
        Column("method", "text", "name of the threshold method"),
        Column(
            "control",
            "text",
            "what the border rests on",
            allowed=("fmo", "unstained", "internal", "density", "fixed", "imported"),
        ),
        Column(
            "scope", "text", "events the border was estimated from", allowed=("sample", "patient", "batch", "study")
        ),
        Column("ci_low", "number", "lower end of the 95 % interval", "display scale", True),
        Column("ci_high", "number", "upper end of the 95 % interval", "display scale", True),
        _FLAG,
        Column("reason", "text", "what the border rests on, and why no better control was used", nullable=True),
    ),
)

INTENSITIES = Table(
    "intensities",
    "median marker intensity of every population",
    (
        _SAMPLE,
        _POPULATION,
        Column("marker", "text", "antigen"),
        Column(
            "median_intensity", "number", "median of the compensated linear signal", "instrument units", nullable=True
        ),
        Column("n_events", "integer", "events the median is of", "events", low=0),
    ),
)

ENDPOINTS = Table(
    "endpoints",
    "one row per sample and endpoint",
    (
        _SAMPLE,
        _PATIENT,
        _COHORT,
        Column("visit", "text", "visit label"),
        Column("study_day", "number", "day 1 is the first dose; there is no day 0", "days", True),
        Column("days_since_last_dose", "number", "days from the latest dose before the sample", "days", True),
        Column("phase", "text", "baseline, on_treatment, follow_up", nullable=True),
        Column("cycle_state", "text", "pre_dose, peak, trough, off ...", nullable=True),
        Column("endpoint", "text", "endpoint id"),
        Column("population", "text", "population or variable measured"),
        Column("parent", "text", "denominator", nullable=True),
        Column("definition", "text", "id of the definition", nullable=True),
        Column("value", "number", "the value; empty when it cannot be evaluated", nullable=True),
        Column("unit", "text", "unit of value"),
        Column("n_events", "integer", "events in the population", "events", True, low=0),
        Column("n_parent", "integer", "events in the denominator", "events", True, low=0),
        _FLAG,
    ),
)

PAIRS = Table(
    "pairs",
    "each patient's two visits, endpoint by endpoint",
    (
        _PATIENT,
        _COHORT,
        Column("endpoint", "text", "endpoint id"),
        Column("unit", "text", "unit of before and after"),
        Column("visit_before", "text", "earlier visit"),
        Column("visit_after", "text", "later visit"),
        Column("before", "number", "value at the earlier visit", nullable=True),
        Column("after", "number", "value at the later visit", nullable=True),
        Column("shift", "number", "after minus before on shift_scale", nullable=True),
        Column("shift_scale", "text", "logit, log, arcsine, identity"),
        Column("fold", "number", "exp(shift) on logit and log scales", "ratio", True),
        Column("ci_low", "number", "lower 95 % limit of the shift of this patient", nullable=True),
        Column("ci_high", "number", "upper 95 % limit of the shift of this patient", nullable=True),
        Column("verdict", "text", "call for this patient", allowed=("rise", "fall", "within_noise", "not_evaluable")),
        Column("reason", "text", "what the call rests on, or why there is none", nullable=True),
    ),
)

SHIFTS = Table(
    "shifts",
    "the cohort's shift, endpoint by endpoint",
    (
        _COHORT,
        Column("endpoint", "text", "endpoint id"),
        Column("role", "text", "family it is tested in", allowed=("primary", "secondary", "exploratory")),
        Column("contrast", "text", "later visit against earlier visit"),
        Column("n_pairs", "integer", "patients with both visits", "patients", low=0),
        Column("median_before", "number", "median over the pairs", nullable=True),
        Column("median_after", "number", "median over the pairs", nullable=True),
        Column("estimate", "number", "cohort shift on estimate_scale", nullable=True),
        Column("estimate_scale", "text", "log_odds, log, arcsine, identity"),
        Column("fold", "number", "exp(estimate): odds ratio or ratio", "ratio", True),
        Column("ci_low", "number", "lower 95 % limit of estimate", nullable=True),
        Column("ci_high", "number", "upper 95 % limit of estimate", nullable=True),
        Column("method", "text", "named method; a fit adjusted for batch says so"),
        Column("p_value", "number", "two-sided", nullable=True, low=0, high=1),
        Column("q_value", "number", "p adjusted within its family", nullable=True, low=0, high=1),
        Column("adjustment", "text", "multiplicity adjustment and its family"),
        Column("sensitivity_p_value", "number", "p of the exact signed-rank test", nullable=True, low=0, high=1),
        Column("warnings", "text", "codes joined by ';'", nullable=True),
    ),
)

QUALITY = Table(
    "quality",
    "checks of every sample",
    (
        _SAMPLE,
        Column("check", "text", "name of the check"),
        Column("value", "number", "what was measured", nullable=True),
        Column("limit", "number", "what is allowed", nullable=True),
        Column("status", "text", "outcome", allowed=("ok", "warn", "fail")),
        Column("message", "text", "in words", nullable=True),
    ),
)

FAILURES = Table(
    "failures",
    "samples that could not be finished",
    (
        _SAMPLE,
        Column("file", "text", "file of the sample as the sheet names it"),
        Column("stage", "text", "read, fit, gate, ..."),
        Column("error", "text", "what went wrong"),
        Column("hint", "text", "how to mend it", nullable=True),
    ),
)

MEASUREMENTS = Table(
    "measurements",
    "cytokines, clinical scores, blood counts, doses",
    (
        _PATIENT,
        Column("visit", "text", "visit label; empty when a date or study day is given", nullable=True),
        Column("variable", "text", "what was measured"),
        Column("value", "number", "the value, or the limit when censored", nullable=True),
        Column("unit", "text", "unit as written", nullable=True),
        Column("censored", "text", "below or above the assay's limits", nullable=True, allowed=("below", "above")),
    ),
)

JOINT = Table(
    "joint",
    "events that a sample's population shares with a denominator outside its lineage or above it",
    (_SAMPLE, _POPULATION, Column("parent", "text", "the denominator"), Column("n_events", "integer", "shared", low=0)),
)

INTERVALS = Table(
    "intervals",
    "how far a sample's percentages hang on where its gates were placed",
    (
        _SAMPLE,
        _POPULATION,
        Column("parent", "text", "the denominator"),
        Column("gate_sd", "number", "standard error of the gates", "logit", low=0),
    ),
)

OTHER_GATINGS = Table(
    "other_gatings",
    "a sample's counts under other rules for the same gates",
    (
        _SAMPLE,
        Column("rule", "text", "fixed_at_baseline, refit_each_visit"),
        _POPULATION,
        Column("parent", "text", "the denominator"),
        Column("n", "integer", "events in the population", "events", low=0),
        Column("of", "integer", "events in the denominator", "events", low=0),
    ),
)

ALL: dict[str, Table] = {
    table.name: table
    for table in (COUNTS, THRESHOLDS, INTENSITIES, ENDPOINTS, PAIRS, SHIFTS, QUALITY, FAILURES, MEASUREMENTS)
}
