"""Tables of several runs pooled: each study's result, and the mean of all."""

from __future__ import annotations

from dataclasses import replace

from immunolab.schema.column import Column
from immunolab.schema.shared_columns import COHORT, CONTRAST, ENDPOINT, ESTIMATE_SCALE, FOLD, P_VALUE, interval
from immunolab.schema.table import Table

MODELS = ("reml", "paule_mandel", "common")


def _number(name: str, meaning: str, unit: str = "") -> Column:
    return Column(name, "number", meaning, unit, nullable=True)


STUDIES = Table(
    "studies",
    "one endpoint in each of the runs that are pooled",
    (
        Column("study", "text", "name of the study, and of its cohort where the run has several"),
        Column("run", "text", "folder of the run, relative to the folder of the pooled result"),
        Column("trial", "text", "id of the design", nullable=True),
        COHORT,
        ENDPOINT,
        Column("population", "text", "population or variable measured"),
        Column("parent", "text", "denominator", nullable=True),
        Column("definition", "text", "ids of the definition, joined by ' | '", nullable=True),
        Column("unit", "text", "unit of the values"),
        CONTRAST,
        Column("cycle_state", "text", "of the later visit's samples", nullable=True),
        Column("n_patients", "integer", "patients in the estimate", "patients", low=0),
        Column("estimate", "number", "cohort shift, as in the run's shifts.csv", "estimate_scale"),
        Column(
            "se", "number", "its standard error: half the interval over the t quantile of df", "estimate_scale", low=0
        ),
        *interval("estimate", "estimate_scale"),
        _number("df", "degrees of freedom of the interval"),
        ESTIMATE_SCALE,
        FOLD,
        Column("method", "text", "method of the run"),
        Column("weight", "number", "in the mean (reml)", "%", low=0, high=100),
        Column(
            "shared_patients", "text", "patient codes that other pooled runs have too, joined by ';'", nullable=True
        ),
        Column("warnings", "text", "codes of the run's row, joined by ';'", nullable=True),
    ),
    key=("study",),
    files=("pool: tables/studies.csv",),
)

POOLED = Table(
    "pooled",
    "the mean over the studies, by model",
    (
        Column("model", "text", "how studies differ", allowed=MODELS),
        ENDPOINT,
        Column("n_studies", "integer", "studies", low=0),
        Column("n_patients", "integer", "patients in all estimates", "patients", low=0),
        Column("estimate", "number", "mean shift", "estimate_scale"),
        Column("se", "number", "its standard error", "estimate_scale", low=0),
        *interval("estimate", "estimate_scale"),
        replace(P_VALUE, meaning="two-sided, of no shift on average"),
        _number("df", "degrees of freedom of p_value; empty for a common effect"),
        ESTIMATE_SCALE,
        FOLD,
        _number("tau", "standard deviation of the true shifts between studies", "estimate_scale"),
        _number("tau_low", "lower 95 % limit of tau (Q profile)", "estimate_scale"),
        _number("tau_high", "upper 95 % limit of tau", "estimate_scale"),
        _number("hartung_knapp", "factor of the squared standard error before its floor of 1"),
        _number("q", "Cochran's heterogeneity"),
        _number("q_p_value", "its p"),
        _number("i2", "share of the variance that is between studies", "%"),
        _number("predicted_low", "lower 95 % limit of the true shift in a further study", "estimate_scale"),
        _number("predicted_high", "upper 95 % limit; empty below 3 studies", "estimate_scale"),
        Column("method", "text", "in words"),
        Column("different", "text", "what was allowed to differ between the studies", nullable=True),
    ),
    key=("model",),
    notes="`reml` is the result; `paule_mandel` and `common` (one effect in all studies) are beside it.",
    files=("pool: tables/pooled.csv",),
)

TABLES = (STUDIES, POOLED)
