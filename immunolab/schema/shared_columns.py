"""Columns that several tables share, so that one name means one thing in all of them."""

from __future__ import annotations

from immunolab.schema.column import Column

ROLES = ("primary", "secondary", "exploratory")
CENSORED = ("below", "above")
YES_NO = ("yes", "no")

SAMPLE = Column("sample_id", "text", "the tube or library, as in the sample sheet")
PATIENT = Column("patient_id", "text", "the patient's study code, as in the sample sheet")
COHORT = Column("cohort", "text", "study arm or cohort; empty when the sheet names none", nullable=True)
PANEL = Column("panel", "text", "panel of the study; empty for the only one", nullable=True)
VISIT = Column("visit", "text", "visit label")
POPULATION = Column("population", "text", "events inside the gate of this name")
PARENT = Column("parent", "text", "the denominator")
DEFINITION = Column("definition", "text", "id of the published definition the gate follows", nullable=True)
ENDPOINT = Column("endpoint", "text", "endpoint id")
FLAG = Column("flag", "text", "words of docs/flags.md that qualify the row, joined by ';'", nullable=True)
ROLE = Column("role", "text", "family it is tested in", allowed=ROLES)
N_EVENTS = Column("n_events", "integer", "events in the population", "events", low=0)
N_PARENT = Column("n_parent", "integer", "events in the parent", "events", low=0)
PERCENT_OF_PARENT = Column(
    "percent_of_parent", "number", "100 n_events / n_parent; empty for an empty parent or without a border", "%", True
)
MODALITY = Column(
    "modality",
    "text",
    "what measured it, where the study has single cells; empty for values of the clinic",
    nullable=True,
    allowed=("flow", "mass", "single_cell"),
    optional=True,
)
CENSORED_COLUMN = Column(
    "censored", "text", "whether the value is beyond the assay's limits", nullable=True, allowed=CENSORED
)
N_PAIRS = Column("n_pairs", "integer", "patients with both visits", "patients", low=0)
CONTRAST = Column("contrast", "text", "later visit against earlier visit")
ESTIMATE_SCALE = Column("estimate_scale", "text", "log_odds, log, arcsine, identity")
FOLD = Column("fold", "number", "exp(estimate): odds ratio or ratio", "ratio", True)
P_VALUE = Column("p_value", "number", "two-sided", nullable=True, low=0, high=1)
Q_VALUE = Column("q_value", "number", "p adjusted within its family", nullable=True, low=0, high=1)
VERIFIED = Column("verified", "text", "whether the definition was checked against its source", allowed=YES_NO)


def interval(of: str = "", unit: str = "", *, why_empty: str = "") -> tuple[Column, Column]:
    """Return ``ci_low`` and ``ci_high``, the limits of a 95 % interval.

    Parameters
    ----------
    of
        What the interval is of.
    unit
        Its unit.
    why_empty
        When a limit is missing.
    """
    of, end = f" of {of}" if of else "", f"; {why_empty}" if why_empty else ""
    return (
        Column("ci_low", "number", f"lower 95 % limit{of}{end}", unit, nullable=True),
        Column("ci_high", "number", f"upper 95 % limit{of}{end}", unit, nullable=True),
    )
