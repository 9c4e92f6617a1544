"""Gates that a reader placed instead of those of the data: why, and the table of what a run did with them."""

from __future__ import annotations

from typing import Literal, get_args

from immunolab.schema.column import Column
from immunolab.schema.shared_columns import PARENT, POPULATION, SAMPLE
from immunolab.schema.table import Table

Reason = Literal[
    "cuts_population",
    "wrong_population",
    "between_populations",
    "no_border",
    "control",
    "artefact",
    "other_visits",
    "other",
]
REASONS: dict[Reason, str] = {
    "cuts_population": "the automatic gate cuts through a population, or takes in part of another",
    "wrong_population": "the automatic gate is around another population than the one meant",
    "between_populations": "the gate's border is moved within the gap between two populations",
    "no_border": "data showed no border; the reader placed one",
    "control": "the gate follows what a control shows (FMO, unstained, isotype)",
    "artefact": "the gate leaves out doublets, debris, dead cells or spilled signal",
    "other_visits": "the gate is as in the patient's or the batch's other tubes",
    "other": "another reason, given as a comment",
}
"""Why a reader may replace a gate: word and meaning."""

OVERRIDES_FILE = "overrides.yaml"
"""Name of the file beside study.yaml."""
Status = Literal["applied", "stale", "replaced"]  # replaced: by a later override of the same gate
STATUSES: tuple[Status, ...] = get_args(Status)

OVERRIDES = Table(
    "overrides",
    "gates that a reader placed instead of those of the data, and what the run did with each",
    (
        SAMPLE,
        POPULATION,
        Column("path", "text", "lineage of the population; empty where no population is meant", nullable=True),
        Column("id", "text", "of the override in overrides.yaml"),
        Column("change", "text", "what was changed in one step has one"),
        Column("status", "text", "whether the run used it", allowed=STATUSES),
        Column("message", "text", "why it is stale, or what has changed since it was made", nullable=True),
        Column("automatic", "text", "the gate that it replaces, in instrument units", nullable=True),
        Column("override", "text", "the reader's gate, in instrument units"),
        Column("parent", PARENT.kind, "the population that the percentages are of", nullable=True),
        Column("n_before", "integer", "events with the automatic gates", "events", True, low=0),
        Column("n_parent_before", "integer", "events of the parent with the automatic gates", "events", True, low=0),
        Column("percent_before", "number", "percent of parent with the automatic gates", "%", True, low=0, high=100),
        Column("percent_after", "number", "percent of parent with the overrides", "%", True, low=0, high=100),
        Column("reason", "text", "why, in one word", allowed=tuple(REASONS)),
        Column("comment", "text", "why, in the reader's words", nullable=True),
        Column("reader", "text", "who placed the gate"),
        Column("at", "text", "when (UTC)", nullable=True),
        Column("entry", "text", "hash of the entry of the audit log", nullable=True),
    ),
    key=("sample_id", "path", "id"),
    files=("run: tables/overrides.csv", "run: samples/*/overrides.csv"),
)

TABLES = (OVERRIDES,)
