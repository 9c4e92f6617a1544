"""Tables of bridging controls, one material measured in every batch, and of counting beads."""

from __future__ import annotations

from typing import Literal

from immunolab.schema.column import Column
from immunolab.schema.shared_columns import COHORT, ENDPOINT, FLAG, PANEL, PATIENT, POPULATION, SAMPLE, interval
from immunolab.schema.table import Table

BRIDGE_FOLLOWS: Literal["bridge_follows"] = "bridge_follows"
"""Rule of other_gatings.csv: borders of one batch carried to the patient's other batches by the bridging control."""

BRIDGE_ERROR: Literal["bridge_error"] = "bridge_error"
"""Rule of other_gatings.csv: as bridge_follows, the borders of one marker two standard errors of its move further."""

DATA_GATES: Literal["data_gates"] = "data_gates"
"""Rule of other_gatings.csv: gates that data place beside drawn ones, the tube's own borders."""

DATA_GATES_FOLLOW: Literal["data_gates_follow"] = "data_gates_follow"
"""Rule of other_gatings.csv: as data_gates, the patient's borders of another batch carried by the bridging control."""

Bridging = Literal["report", "follow"]

REASONS_JOINED_BY = "; "
"""Between several reasons in one cell of bridge_moves and bridge_pairs."""

CHART_LIMITS = ("centre", "low_2s", "high_2s", "low_3s", "high_3s")
"""Columns of a Levey-Jennings chart's lines."""

_MATERIAL = Column("bridge", "text", "material of the bridging control: its donor, as in the sample sheet")
_BATCH = Column("batch", "text", "batch of the sample sheet")
_OUTCOME = Column("outcome", "text", "whether borders followed the bridge", allowed=("followed", "refused"))

BRIDGES = Table(
    "bridges",
    "every bridging control and endpoint, with the limits of its Levey-Jennings chart",
    (
        _MATERIAL,
        SAMPLE,
        Column("aliquot", "text", "aliquot of the material, as in the sample sheet", nullable=True),
        _BATCH,
        Column("run", "integer", "place in run order: by first dates where each batch has one, else by names", low=1),
        ENDPOINT,
        POPULATION,
        Column("parent", "text", "denominator", nullable=True),
        Column("value", "number", "the value; empty when it cannot be evaluated", "unit", nullable=True),
        Column("unit", "text", "unit of value"),
        Column("n_events", "integer", "events in the population", "events", True, low=0),
        Column("n_parent", "integer", "events in the denominator", "events", True, low=0),
        Column("centre", "number", "mean of the material's runs on the scale of comparison", "unit", True),
        Column("low_2s", "number", "centre less 2 sd on the scale of comparison", "unit", True),
        Column("high_2s", "number", "centre and 2 sd on the scale of comparison", "unit", True),
        Column("low_3s", "number", "centre less 3 sd on the scale of comparison", "unit", True),
        Column("high_3s", "number", "centre and 3 sd on the scale of comparison", "unit", True),
        Column(
            "deviation",
            "number",
            "of the run from the mean of the other runs, as the normal deviate of equal probability",
            "sd",
            True,
        ),
        Column("status", "text", "warn beyond 3 sd as the other runs say", allowed=("ok", "warn")),
        FLAG,
    ),
    key=("sample_id", "endpoint"),
    notes="A run is judged by the other runs of its material (studentised, with their degrees of freedom): a run that "
    "is far off cannot widen the limits that it is judged by. Fewer than four runs give no limits.",
    files=("run: tables/bridges.csv",),
)

BRIDGE_CV = Table(
    "bridge_cv",
    "inter-assay CV of every endpoint from the bridging controls",
    (
        ENDPOINT,
        Column("n_materials", "integer", "materials measured more than once", low=0),
        Column("n_runs", "integer", "runs of them", "runs", low=0),
        Column("df", "number", "runs less materials", nullable=True),
        Column("mean", "number", "mean value of the runs", "unit", nullable=True),
        Column("unit", "text", "unit of the values"),
        Column("cv_percent", "number", "of the value, all that differs between runs", "%", nullable=True),
        Column("cv_low", "number", "lower 95 % limit of the CV (chi square)", "%", nullable=True),
        Column("cv_high", "number", "upper 95 % limit of the CV (chi square)", "%", nullable=True),
        Column("counting_cv_percent", "number", "what counting alone would give", "%", nullable=True),
        Column("assay_cv_percent", "number", "beyond counting: what calls of patients use", "%", nullable=True),
        Column("reason", "text", "why there is no CV, or which runs it leaves out", nullable=True),
    ),
    key=("endpoint",),
    files=("run: tables/bridge_cv.csv",),
)

BRIDGE_CHANNELS = Table(
    "bridge_channels",
    "where landmark populations of every bridging control are on every channel, over its batches",
    (
        _MATERIAL,
        SAMPLE,
        PANEL,
        _BATCH,
        Column("run", "integer", "place in run order", low=1),
        Column("marker", "text", "antigen of the channel"),
        Column("landmark", "text", "population whose median it is"),
        Column("n_events", "integer", "events of the landmark population", "events", low=0),
        Column("median", "number", "median of the landmark population", "display scale", True),
        Column("median_raw", "number", "the same", "instrument units", True),
        Column("shift", "number", "median less that of the material's other runs (their mean)", "display scale", True),
        Column("spread", "number", "robust sd of the landmark's events", "display scale", True),
        Column("deviation", "number", "shift as a normal deviate, judged by the other runs", "sd", True),
        Column("status", "text", "warn beyond 3 sd as the other runs say", allowed=("ok", "warn")),
    ),
    key=("sample_id", "marker", "landmark"),
    files=("run: tables/bridge_channels.csv",),
)

BRIDGE_MOVES = Table(
    "bridge_moves",
    "how far the bridging control says that borders move from one batch to another, and where that was refused",
    (
        PANEL,
        Column("batch_from", "text", "batch in which a patient's borders were placed"),
        Column("batch_to", "text", "batch they are carried to"),
        _MATERIAL,
        Column("marker", "text", "antigen of the channel"),
        POPULATION,
        Column("border", "number", "border in the first batch", "display scale", True),
        Column("move", "number", "how far the bridging control moves it", "display scale", True),
        Column("move_se", "number", "standard error of the move, from the bridge's events", "display scale", True),
        Column("patients_move", "number", "how far the patients' tubes of both batches moved", "display scale", True),
        Column("n_patients", "integer", "patients' tubes that say so", "tubes", True, low=0),
        _OUTCOME,
        Column("reason", "text", "why it was refused", nullable=True),
    ),
    files=("run: tables/bridge_moves.csv",),
)

BRIDGE_SHIFTS = Table(
    "bridge_shifts",
    "the cohort's shift with borders that follow the bridging control, beside the uncorrected one",
    (
        COHORT,
        ENDPOINT,
        Column("contrast", "text", "visits compared"),
        Column("n", "integer", "pairs of the uncorrected comparison", "pairs", low=0),
        Column("n_followed", "integer", "pairs whose borders followed the bridge or needed not to", "pairs", low=0),
        Column("n_refused", "integer", "pairs that the bridge could not answer for", "pairs", low=0),
        Column("fold", "number", "uncorrected fold of the shares' odds, or ratio", nullable=True),
        Column("ci_low", "number", "its lower 95 % limit", nullable=True),
        Column("ci_high", "number", "its upper 95 % limit", nullable=True),
        Column(
            "fold_same_pairs",
            "number",
            "uncorrected fold of the pairs that followed alone, not adjusted for batch",
            nullable=True,
            optional=True,
        ),
        Column("fold_bridged", "number", "the same with borders that follow the bridge", nullable=True),
        Column("ci_low_bridged", "number", "its lower 95 % limit", nullable=True),
        Column("ci_high_bridged", "number", "its upper 95 % limit", nullable=True),
        Column(
            "move_se",
            "number",
            "standard error of the bridged shift from the moves, common to a batch's patients; in its limits",
            "log scale",
            nullable=True,
            low=0,
            optional=True,
        ),
        Column(
            "unseen",
            "number",
            "largest error of the bridge that the tubes' own borders would not have shown; not in the limits",
            "log scale",
            nullable=True,
            low=0,
            optional=True,
        ),
        Column(
            "design",
            "text",
            "how batches are distributed over the visits of the pairs",
            allowed=("one batch a patient", "batches differ within patients", "visit equals batch"),
        ),
        Column("answer", "text", "what can be answered, in words"),
    ),
    key=("cohort", "endpoint", "contrast"),
    files=("run: tables/bridge_shifts.csv",),
)

BRIDGE_PAIRS = Table(
    "bridge_pairs",
    "each patient's change with borders that follow the bridging control, beside the uncorrected one",
    (
        PATIENT,
        COHORT,
        ENDPOINT,
        Column("visit_before", "text", "earlier visit"),
        Column("visit_after", "text", "later visit"),
        Column("unit", "text", "unit of the values"),
        Column("before", "number", "uncorrected value at the earlier visit", "unit", True),
        Column("after", "number", "uncorrected value at the later visit", "unit", True),
        Column("verdict", "text", "uncorrected call", nullable=True),
        Column("before_bridged", "number", "value at the earlier visit, borders following the bridge", "unit", True),
        Column("after_bridged", "number", "value at the later visit, borders following the bridge", "unit", True),
        Column("verdict_bridged", "text", "call with borders that follow the bridge", nullable=True),
        Column(
            "move_se",
            "number",
            "standard error of the bridged change from the moves; in its call",
            "log scale",
            nullable=True,
            low=0,
            optional=True,
        ),
        _OUTCOME,
        Column("sample_refused", "text", "the tube whose borders could not follow", nullable=True),
        Column("reason", "text", "why it was refused", nullable=True),
    ),
    key=("patient_id", "endpoint", "visit_before", "visit_after"),
    files=("run: tables/bridge_pairs.csv",),
)

BEADS = Table(
    "beads",
    "counting beads of every tube that declares them, and what one event stands for",
    (
        SAMPLE,
        Column("n_beads", "integer", "events in the bead gate", "events", True, low=0),
        Column("n_events", "integer", "events of the tube", "events", low=0),
        Column("border", "number", "least signal of a bead in its dimmest channel", "asinh(x/150)", True),
        Column("n_doubtful", "integer", "events near the border of the bead gate", "events", True, low=0),
        Column("beads_per_tube", "number", "beads in the tube, as in the sample sheet", "beads", low=0),
        Column("volume_ul", "number", "blood stained in the tube, as in the sample sheet", "uL", low=0),
        Column("bead_cv_percent", "number", "stated error of the lot's count", "%", True, low=0),
        Column("per_ul_per_event", "number", "cells per microlitre that one event makes", "cells/uL", True, low=0),
        *interval("per_ul_per_event", "cells/uL"),
        FLAG,
        Column("reason", "text", "what is doubtful, in words", nullable=True),
    ),
    key=("sample_id",),
    files=("run: tables/beads.csv", "run: samples/*/beads.csv"),
)

TABLES = (BRIDGES, BRIDGE_CV, BRIDGE_CHANNELS, BRIDGE_MOVES, BRIDGE_SHIFTS, BRIDGE_PAIRS, BEADS)
