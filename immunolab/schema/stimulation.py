"""The table of stimulated tubes less their unstimulated ones."""

from __future__ import annotations

from dataclasses import replace

from immunolab.schema.column import Column
from immunolab.schema.shared_columns import (
    COHORT,
    ENDPOINT,
    P_VALUE,
    PATIENT,
    VISIT,
    interval,
)
from immunolab.schema.table import Table

RESPONSE_CALLS = ("response", "no_response", "below_background", "not_evaluable")
STIMULATION = Table(
    "stimulation",
    "each stimulated tube against its unstimulated control",
    (
        PATIENT,
        COHORT,
        VISIT,
        ENDPOINT,
        Column("stimulation", "text", "what the cells were stimulated with", nullable=True),
        Column("sample_id", "text", "the stimulated tube", nullable=True, optional=True),
        Column("unstimulated_samples", "text", "its control tubes, joined by ';'", nullable=True, optional=True),
        Column("n_events", "integer", "events of the population, stimulated", "events", True, low=0),
        Column("n_parent", "integer", "events of its parent, stimulated", "events", True, low=0),
        Column("n_events_unstimulated", "integer", "the same of all control tubes together", "events", True, low=0),
        Column("n_parent_unstimulated", "integer", "the same of all control tubes together", "events", True, low=0),
        Column("n_unstimulated", "integer", "control tubes", "tubes", low=0),
        Column("stimulated", "number", "share in the stimulated tube", "%", True),
        Column("unstimulated", "number", "share in the control tubes", "%", True),
        Column(
            "difference",
            "number",
            "stimulated less unstimulated; below 0 as it comes",
            "percentage points",
            nullable=True,
        ),
        *interval("difference, from counting and between tubes", "percentage points"),
        Column("count_low", "number", "lower 95 % limit of difference from counting alone", "percentage points", True),
        Column("count_high", "number", "upper 95 % limit of difference from counting alone", "percentage points", True),
        replace(P_VALUE, meaning="of no difference: the interval at 1 - p ends at 0"),
        Column("tube_cv", "number", "between two tubes of one blood in one run, of the share", "%", True, low=0),
        Column("tube_df", "number", "degrees of freedom of tube_cv; empty where taken as known", nullable=True, low=0),
        Column("tube_source", "text", "where tube_cv comes from", nullable=True),
        Column("call", "text", "whether the interval is beyond 0", allowed=RESPONSE_CALLS),
        Column("reason", "text", "why there is no call", nullable=True),
    ),
    notes="`response` and `below_background` are the 95 % interval above or below 0, so that 2.5 % of tubes without a "
    "response are called one. A call depends on no other patient. Where only percentages are known there is a "
    "difference and no call.",
    files=("run: tables/stimulation.csv", "compare: NAME_stimulation.csv"),
)
