"""Which rows of a run's tables belong to a cohort, and to an endpoint in it."""

from __future__ import annotations

import pandas as pd


def in_cohort(table: pd.DataFrame, cohort: str) -> pd.Series:
    """Return which rows belong to a cohort; an empty cell is the cohort without a name.

    Parameters
    ----------
    table
        With a column ``cohort``; one without it is all of the cohort without a name.
    cohort
        Its name, or "".
    """
    if "cohort" not in table:
        return pd.Series(cohort == "", index=table.index, dtype=bool)
    return table["cohort"].fillna("") == cohort


def rows_of(table: pd.DataFrame, endpoint: str, cohort: str) -> pd.DataFrame:
    """Return a cohort's rows of an endpoint.

    Parameters
    ----------
    table
        With a column ``endpoint``.
    endpoint
        Endpoint id.
    cohort
        Its name; "" where the study has no cohorts.

    Returns
    -------
    DataFrame
        In the order of the table.
    """
    return table[(table["endpoint"] == endpoint) & in_cohort(table, cohort)]
