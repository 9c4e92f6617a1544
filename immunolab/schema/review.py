"""Tables of what a person looks at: what is at the borders of gates, and which tubes come first."""

from __future__ import annotations

from immunolab.schema.column import Column
from immunolab.schema.shared_columns import SAMPLE
from immunolab.schema.table import Table

_PATH = Column("path", "text", "lineage from root, '/' between populations")


def _end(axis: str, which: str) -> Column:
    return Column(
        f"{axis.lower()}_{which}",
        "number",
        f"where the line ends on {axis}; empty at an end of the axis",
        "display scale",
        True,
    )


AT_BORDER = Table(
    "at_border",
    "events of the parent within one bin of each line of a gate's outline",
    (
        SAMPLE,
        _PATH,
        Column("part", "text", "of a gate that is drawn in steps", nullable=True),
        Column("line", "integer", "of the outline, from 0", low=0),
        Column("n_at_border", "integer", "events in the bins that the line crosses and in those beside", "events"),
        Column("n_drawn", "integer", "events of the parent that were drawn", "events", low=0),
        Column("x_marker", "text", "antigen of X", nullable=True),
        Column("y_marker", "text", "antigen of Y", nullable=True),
        _end("X", "low"),
        _end("X", "high"),
        _end("Y", "low"),
        _end("Y", "high"),
    ),
    notes="Of the bins of the gating figure (96 an axis, at most 20,000 events of a parent).",
    files=("run: samples/*/at_border.csv",),
)

# in memory only: no command writes it
REVIEW_ORDER = Table(
    "review_order",
    "tubes of each gate, worst first, as `review_order` gives them",
    (
        SAMPLE,
        _PATH,
        Column("score", "number", "how unlike the study's other tubes", "bits", low=0),
        Column("why", "text", "what is unlike, in words without any name of a patient, visit or sample"),
    ),
    key=("sample_id", "path"),
)

TABLES = (AT_BORDER,)
