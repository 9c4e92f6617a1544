"""Which values of a comparison are outside what blood has: they are compared, and can decide it."""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd

from immunolab.results.cohort_rows import rows_of
from immunolab.results.findings.exchanges import MOST_NAMED
from immunolab.results.findings.words import quantity
from immunolab.results.run import Run
from immunolab.schema.flags import Flag, split
from immunolab.vocabulary.display_names import unit_name


def implausible_values(run: Run, cohort: str, endpoint: str) -> Iterator[str]:
    """Yield a sentence that names the compared values whose share is outside what adult blood has.

    Parameters
    ----------
    run
        The finished run.
    cohort
        Its name; "" where the sheet has no cohorts.
    endpoint
        Id of one that was compared.
    """
    pairs = run.pairs
    pairs = rows_of(pairs, endpoint, cohort).dropna(subset=["shift"])
    compared = {(r.patient_id, v) for r in pairs.itertuples() for v in (r.visit_before, r.visit_after)}
    rows = run.endpoints
    rows = rows_of(rows, endpoint, cohort).dropna(subset=["value"])
    found = [row for _, row in rows.iterrows() if Flag.OUT_OF_RANGE in split(row["flag"])]
    said = [_named(row) for row in found if (row["patient_id"], row["visit"]) in compared]
    if said:
        more = f" and {len(said) - MOST_NAMED} more" if len(said) > MOST_NAMED else ""
        named = ", ".join(said[:MOST_NAMED])
        yield f"A share outside what adult blood has is compared all the same: {named}{more}. Look at the gates."


def _named(row: pd.Series) -> str:
    unit = "" if row["unit"] == "ratio" else unit_name(str(row["unit"]))
    return f"{row['patient_id']} at {row['visit']} ({quantity(row['value'], unit)})"
