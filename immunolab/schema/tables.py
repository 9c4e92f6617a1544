"""Every table that leaves the program, by name: each is declared once, in the file of its topic.

A declaration serves to check a table, to write and read its CSV, and to document it (docs/tables.md).
"""

from __future__ import annotations

from fnmatch import fnmatchcase

from immunolab.schema import cells, clinical, comparison, endpoints, figures, gating, simulation
from immunolab.schema.cells import (
    CLUSTERS,
    CONFUSION,
    EXPRESSION,
    LABELS,
    METHOD_AGREEMENT,
    METHOD_PAIRS,
    PROFILES,
    SIZES,
    STABILITY,
)
from immunolab.schema.clinical import (
    ADVERSE_EVENTS,
    COMPONENTS,
    RESPONDERS,
    SCORES,
    SUPPRESSION,
    SURVIVAL,
    TIME_TO_EVENT,
)
from immunolab.schema.comparison import (
    ARMS,
    CORRELATIONS,
    JOINT_RANK,
    LOG_RATIOS,
    NOISE,
    PAIRS,
    POWER,
    SHIFTS,
    SHIFTS_BY_RESPONSE,
)
from immunolab.schema.endpoints import CONTEXT, ENDPOINTS, MEASUREMENTS, VISITS
from immunolab.schema.gating import (
    AGREEMENT,
    COUNTS,
    FAILURES,
    INTENSITIES,
    INTERVALS,
    JOINT,
    OTHER_GATINGS,
    QUALITY,
    THRESHOLDS,
)
from immunolab.schema.table import Table

__all__ = [
    "ADVERSE_EVENTS",
    "AGREEMENT",
    "ALL",
    "ARMS",
    "CLUSTERS",
    "COMPONENTS",
    "CONFUSION",
    "CONTEXT",
    "CORRELATIONS",
    "COUNTS",
    "ENDPOINTS",
    "EXPRESSION",
    "FAILURES",
    "INTENSITIES",
    "INTERVALS",
    "JOINT",
    "JOINT_RANK",
    "LABELS",
    "LOG_RATIOS",
    "MEASUREMENTS",
    "METHOD_AGREEMENT",
    "METHOD_PAIRS",
    "NOISE",
    "OTHER_GATINGS",
    "PAIRS",
    "POWER",
    "PROFILES",
    "QUALITY",
    "RESPONDERS",
    "SCORES",
    "SHIFTS",
    "SHIFTS_BY_RESPONSE",
    "SIZES",
    "STABILITY",
    "SUPPRESSION",
    "SURVIVAL",
    "THRESHOLDS",
    "TIME_TO_EVENT",
    "VISITS",
    "declared",
]

ALL: dict[str, Table] = {
    table.name: table
    for topic in (gating, endpoints, comparison, clinical, cells, figures, simulation)
    for table in topic.TABLES
}


def declared(name: str) -> Table:
    """Return the declaration of a table.

    Parameters
    ----------
    name
        Name of the table; ``expression_Treg`` is of the table declared as ``expression_*``.

    Raises
    ------
    LookupError
        No table of this name is declared: every table that is written must be.
    """
    for pattern, table in ALL.items():
        if fnmatchcase(name, pattern):
            return table
    raise LookupError(f"table '{name}' is not declared in immunolab.schema")
