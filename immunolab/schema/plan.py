"""Tables of the analysis plan: which endpoints are as planned, and where the study differs from what was locked."""

from __future__ import annotations

from typing import Literal

from immunolab.schema.column import Column
from immunolab.schema.shared_columns import ROLES
from immunolab.schema.table import Table

PlanStatus = Literal["planned", "changed", "exploratory", "left_out"]
STATUSES: dict[PlanStatus, str] = {
    "planned": "as in the locked plan",
    "changed": "in the locked plan, but something its number rests on is not as planned",
    "exploratory": "not in the locked plan",
    "left_out": "in the locked plan, and no longer in the study",
}
"""What an endpoint is to the locked plan: word and meaning."""
AREAS = (
    *("endpoint", "population", "definition", "sample", "comparison", "family", "estimand", "noise", "exclusion"),
    *("trial", "override", "study"),
)

PLAN_ENDPOINTS = Table(
    "plan_endpoints",
    "each endpoint of a study with a locked analysis plan, and what it is to that plan",
    (
        Column("endpoint", "text", "endpoint id"),
        Column("status", "text", "planned, changed, exploratory or left_out", allowed=tuple(STATUSES)),
        Column("role", "text", "role in this run; empty where it is left out", nullable=True, allowed=ROLES),
        Column("planned_role", "text", "role in the locked plan; empty outside it", nullable=True, allowed=ROLES),
        Column("statistic", "text", "what is measured, as the trial file names it"),
        Column("n_deviations", "integer", "rows of plan_deviations that name it", "deviations", low=0),
        Column("words", "text", "why it is not as planned", nullable=True),
    ),
    key=("endpoint",),
    notes="Only of a study with a locked plan (docs/howto/audit.md). planned: as in the locked plan. changed: in the "
    "plan, but something its number rests on is not as planned, or a gate it rests on was moved after unblinding. "
    "exploratory: not in the plan. left_out: in the plan, and no longer in the study.",
    files=("run: tables/plan_endpoints.csv",),
)

PLAN_DEVIATIONS = Table(
    "plan_deviations",
    "where a study differs from its locked analysis plan",
    (
        Column("area", "text", "what kind of thing differs", allowed=AREAS),
        Column("what", "text", "which one"),
        Column("planned", "text", "as planned; empty for what is not in the plan", nullable=True),
        Column("now", "text", "as the run has it; empty for what is no longer there", nullable=True),
        Column("words", "text", "the difference in a sentence"),
        Column("endpoints", "text", "endpoints whose numbers it can change, joined by ';'", nullable=True),
    ),
    notes="Only of a study with a locked plan; no row where the study is as planned. Comments, spaces, sources and "
    "notes in the study's files are no part of the plan.",
    files=("run: tables/plan_deviations.csv",),
)

AUDIT = Table(
    "audit",
    "entries of a study's log, in order",
    (
        Column("number", "integer", "of the entry, from 1", low=1),
        Column("at", "text", "when, ISO 8601 with its zone, by the clock of the computer it was done on"),
        Column("by", "text", "who did it, as they named themselves"),
        Column("kind", "text", "what happened"),
        Column("words", "text", "the same in words"),
        Column("hash", "text", "sha256 of the entry, which the next one holds"),
    ),
    key=("number",),
    files=("audit: FILE",),
)

TABLES = (PLAN_ENDPOINTS, PLAN_DEVIATIONS, AUDIT)
