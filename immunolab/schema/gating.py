"""Tables of gated samples: counts, borders, intensities, and what a sample's folder keeps for its study."""

from __future__ import annotations

from typing import Literal, get_args

from immunolab.schema.column import Column
from immunolab.schema.shared_columns import (
    DEFINITION,
    FLAG,
    MODALITY,
    N_EVENTS,
    N_PARENT,
    PANEL,
    PARENT,
    PERCENT_OF_PARENT,
    POPULATION,
    SAMPLE,
)
from immunolab.schema.table import Table

GatingRule = Literal["fixed_at_baseline", "refit_each_visit"]
GATING_RULES: tuple[GatingRule, ...] = get_args(GatingRule)
Specimen = Literal["blood", "other"]  # blood is adult human: shares of its populations are known
SPECIMENS: tuple[Specimen, ...] = get_args(Specimen)

_PATH = Column("path", "text", "lineage from root, '/' between populations")

COUNTS = Table(
    "counts",
    "events in every population of every sample",
    (
        SAMPLE,
        POPULATION,
        Column("parent", "text", "the population a percentage is of; empty for root", nullable=True),
        _PATH,
        DEFINITION,
        N_EVENTS,
        N_PARENT,
        PERCENT_OF_PARENT,
        FLAG,
        MODALITY,
        Column("reason", "text", "why a share is doubtful or withheld, in words", nullable=True),
    ),
    key=("sample_id", "path"),
    files=("run: tables/counts.csv", "run: samples/*/counts.csv", "gate: counts.csv"),
)

THRESHOLDS = Table(
    "thresholds",
    "every 1-D border used, and how it was placed",
    (
        SAMPLE,
        POPULATION,
        Column("marker", "text", "antigen the border is on", nullable=True),
        Column("channel", "text", "detector the border is on"),
        Column(
            "threshold", "number", "the border on the display scale; empty where there is none", "display scale", True
        ),
        Column("threshold_raw", "number", "the border in instrument units", "instrument units", True),
        Column("method", "text", "name of the threshold method"),
        Column(
            "control",
            "text",
            "what the border depends on",
            allowed=("fmo", "unstained", "internal", "density", "fixed", "imported", "template", "others", "reader"),
        ),
        Column(
            "scope", "text", "events the border was estimated from", allowed=("sample", "patient", "batch", "study")
        ),
        Column("ci_low", "number", "lower end of the 95 % interval", "display scale", True),
        Column("ci_high", "number", "upper end of the 95 % interval", "display scale", True),
        FLAG,
        Column("reason", "text", "what the border depends on, and why no better control was used", nullable=True),
        Column("scale", "text", "the display scale of the channel", nullable=True),
        Column(
            "automatic",
            "number",
            "with method override: where the border was without the reader, on the scale of the gate then",
            "display scale",
            True,
        ),
        Column("automatic_raw", "number", "the same in instrument units", "instrument units", True),
    ),
    files=("run: tables/thresholds.csv", "run: samples/*/thresholds.csv", "gate: thresholds.csv"),
)

SCALES = Table(
    "scales",
    "the display scale of each channel that data chose, one for all tubes of a panel",
    (
        PANEL,
        Column("channel", "text", "marker, or the detector where it has none"),
        Column("scale", "text", "from instrument units to the display scale"),
        Column("reason", "text", "what the scale depends on"),
    ),
    files=("run: tables/scales.csv", "gate: scales.csv", "cluster: scales.csv"),
)

INTENSITIES = Table(
    "intensities",
    "median marker intensity of every population",
    (
        SAMPLE,
        POPULATION,
        Column("marker", "text", "antigen"),
        Column(
            "median_intensity", "number", "median of the compensated linear signal", "instrument units", nullable=True
        ),
        Column("n_events", "integer", "events the median is of", "events", low=0),
    ),
    files=("run: tables/intensities.csv", "run: samples/*/intensities.csv"),
)

QUALITY = Table(
    "quality",
    "checks of every sample",
    (
        SAMPLE,
        Column("check", "text", "name of the check, as in docs/flags.md"),
        Column("value", "number", "what was measured", nullable=True),
        Column("limit", "number", "what is allowed", nullable=True),
        Column("status", "text", "outcome", allowed=("ok", "warn", "fail")),
        Column("message", "text", "in words", nullable=True),
        Column(
            "channel",
            "text",
            "channel where it is worst; of two, the dye before the detector, 'dye > detector'",
            nullable=True,
        ),
    ),
    files=("run: tables/quality.csv", "run: samples/*/quality.csv", "qc: quality.csv"),
)

RemovalReason = Literal["clog", "burst", "start", "level"]
REMOVAL_REASONS: tuple[RemovalReason, ...] = get_args(RemovalReason)

REMOVED_STRETCHES = Table(
    "removed_stretches",
    "stretches of a run that were cut from a tube before its gates were placed",
    (
        SAMPLE,
        Column("first_event", "integer", "number of the first event cut, in the file's order from 1", "events", low=1),
        Column("last_event", "integer", "number of the last event cut", "events", low=1),
        Column("percent", "number", "share of the file's events", "%", low=0, high=100),
        Column(
            "from_second",
            "number",
            "when it begins, from the file's first event; empty without $TIMESTEP",
            "s",
            nullable=True,
        ),
        Column("to_second", "number", "when it ends", "s", nullable=True),
        Column(
            "reason",
            "text",
            "a channel at another level: slow flow too (clog), fast (burst), at the run's start, or none of these",
            allowed=REMOVAL_REASONS,
        ),
        Column("channel", "text", "channel where it was worst", nullable=True),
        Column("shift", "number", "of that channel against the rest of the run", "sd of a population", nullable=True),
        Column("message", "text", "in words"),
    ),
    key=("sample_id", "first_event"),
    files=("run: tables/removed_stretches.csv", "run: samples/*/removed_stretches.csv", "qc: removed_stretches.csv"),
)

UNCLEANED_COUNTS = Table(
    "uncleaned_counts",
    "what a cleaned tube's gates hold of all its events, none cut",
    (
        SAMPLE,
        POPULATION,
        Column("parent", "text", "the population a percentage is of; empty for root", nullable=True),
        _PATH,
        N_EVENTS,
        N_PARENT,
        PERCENT_OF_PARENT,
        Column("percent_after_cleaning", "number", "percent of parent in counts.csv", "%", nullable=True),
    ),
    key=("sample_id", "path"),
    files=("run: tables/uncleaned_counts.csv", "run: samples/*/uncleaned_counts.csv"),
)

FAILURES = Table(
    "failures",
    "samples that could not be finished",
    (
        SAMPLE,
        Column("file", "text", "file of the sample as the sheet names it"),
        Column("stage", "text", "read, fit, gate, ..."),
        Column("error", "text", "what went wrong"),
        Column("hint", "text", "how to fix it", nullable=True),
    ),
    files=("run: tables/failures.csv", "gate: failures.csv"),
)

AGREEMENT = Table(
    "agreement",
    "counts here beside those of another program, and event by event where both are known",
    (
        SAMPLE,
        POPULATION,
        _PATH,
        Column("n_there", "integer", "events in the other program", "events", True, low=0),
        Column("n_here", "integer", "events here", "events", True, low=0),
        Column("difference", "integer", "n_here - n_there", "events", True),
        Column("n_parent_here", "integer", "events in the parent here", "events", True, low=0),
        Column("percent_of_parent_there", "number", "percent of parent in the other program", "%", True),
        Column("percent_of_parent_here", "number", "percent of parent here", "%", True),
        Column("difference_percent_of_parent", "number", "100 difference / n_parent_here", "%", True),
        Column("precision", "number", "share of the events here that are there too", "0 to 1", True, low=0, high=1),
        Column("recall", "number", "share of the events there that are here too", "0 to 1", True, low=0, high=1),
        Column("f1", "number", "harmonic mean of precision and recall", "0 to 1", True, low=0, high=1),
        FLAG,
        Column("path_there", "text", "path in the other program, of a population matched by its name", "", True),
    ),
    key=("sample_id", "path"),
    files=("gate: agreement.csv",),
)

JOINT = Table(
    "joint",
    "events that a sample's population shares with a denominator outside its lineage or above it",
    (SAMPLE, POPULATION, PARENT, Column("n_events", "integer", "shared events", "events", low=0)),
    files=("run: samples/*/joint.csv",),
)

INTERVALS = Table(
    "intervals",
    "how far a sample's percentages depend on where its gates were placed",
    (SAMPLE, POPULATION, PARENT, Column("gate_sd", "number", "standard error of the gates", "logit", low=0)),
    files=("run: samples/*/intervals.csv",),
)

OTHER_GATINGS = Table(
    "other_gatings",
    "a sample's counts under other rules for the same gates",
    (
        SAMPLE,
        Column(
            "rule",
            "text",
            "where the gates were placed; data_gates, beside drawn ones, check a bridging control",
            allowed=(*GATING_RULES, "bridge_follows", "bridge_error", "data_gates", "data_gates_follow"),
        ),
        POPULATION,
        PARENT,
        Column("n", "integer", "events in the population", "events", low=0),
        Column("of", "integer", "events in the denominator", "events", low=0),
        Column(
            "marker",
            "text",
            "with bridge_error: its borders are two standard errors of the move further",
            nullable=True,
        ),
    ),
    files=("run: samples/*/other_gatings.csv",),
)

# in memory only: no command writes it
STRATEGY_CHANGES = Table(
    "strategy_changes",
    "what differs between two strategies, as `Strategy.diff` gives it",
    (
        Column("change", "text", "what happened", allowed=("added", "removed", "renamed", "moved", "scale", "rule")),
        Column(
            "population",
            "text",
            "name of the population; the marker of a rule or of a scale for placing",
        ),
        Column("path", "text", "its path after the change; before it where it was removed", nullable=True),
        Column("marker", "text", "whose border moved or whose scale is another; empty for a whole gate", nullable=True),
        Column("before", "number", "where the border was", "instrument units", True),
        Column("after", "number", "where it is now", "instrument units", True),
        Column("words", "text", "the change in words"),
    ),
)

TABLES = (
    COUNTS,
    THRESHOLDS,
    SCALES,
    INTENSITIES,
    QUALITY,
    REMOVED_STRETCHES,
    UNCLEANED_COUNTS,
    FAILURES,
    AGREEMENT,
    JOINT,
    INTERVALS,
    OTHER_GATINGS,
)
