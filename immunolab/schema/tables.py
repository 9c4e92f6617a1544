"""Every table that leaves the program, by name: each is declared once, in the file of its topic.

A declaration serves to check a table, to write and read its CSV, and to document it (docs/tables.md).
"""

from __future__ import annotations

from fnmatch import fnmatchcase

from immunolab.schema import (
    across_tubes,
    agreement,
    bridges,
    cells,
    clinical,
    comparison,
    endpoints,
    estimand,
    figures,
    gating,
    overrides,
    plan,
    pooling,
    review,
    simulation,
)
from immunolab.schema.table import Table

ALL: dict[str, Table] = {
    table.name: table
    for topic in (
        gating,
        overrides,
        plan,
        across_tubes,
        endpoints,
        estimand,
        comparison,
        clinical,
        cells,
        figures,
        pooling,
        review,
        agreement,
        simulation,
        bridges,
    )
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
