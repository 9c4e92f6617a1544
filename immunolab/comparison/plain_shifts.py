"""Which endpoints have shifts that may be taken as numbers, and which only by a model of counts or of limits."""

from __future__ import annotations

import pandas as pd

from immunolab.comparison.multiplicity import benjamini_hochberg
from immunolab.schema.flags import Code, split

_REASONS = {
    Code.E_FEW_EVENTS: "too few events",
    Code.W_CENSORED: "values beyond an assay's limits",
    Code.E_CENSORED: "values beyond an assay's limits",
}
_COUNT_MODEL = "conditional count model"  # beginning of the method of `event_split`


def not_as_numbers(shifts: pd.DataFrame) -> dict[tuple[str, str], str]:
    """Return why patients' shifts are no numbers to go on with, by cohort and endpoint.

    With few events they hold half an event, beyond a limit the limit: the comparison takes neither as a value.

    Parameters
    ----------
    shifts
        Rows of `SHIFTS`.
    """
    found = {}
    for cohort, endpoint, method, codes in zip(
        shifts["cohort"].fillna(""), shifts["endpoint"], shifts["method"], shifts["warnings"], strict=True
    ):
        why = [_REASONS[code] for code in map(Code, split(codes)) if code in _REASONS]
        if str(method).startswith(_COUNT_MODEL):
            why.append("few events")
        if why:
            found[str(cohort), str(endpoint)] = why[0]
    return found


def as_numbers(rows: pd.DataFrame, shifts: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of a table (columns cohort, endpoint) whose shifts are numbers.

    Parameters
    ----------
    rows
        Such as PAIRS.
    shifts
        Rows of `SHIFTS`.
    """
    without = not_as_numbers(shifts)
    if not without or rows.empty:
        return rows
    keys = zip(rows["cohort"].fillna(""), rows["endpoint"], strict=True)
    return rows[[(str(cohort), str(endpoint)) not in without for cohort, endpoint in keys]]


def log_ratios_as_numbers(log_ratios: pd.DataFrame, shifts: pd.DataFrame) -> pd.DataFrame:
    """Return log-ratios whose shares are numbers, with q over those that are left.

    Parameters
    ----------
    log_ratios, shifts
        Rows of `LOG_RATIOS` and of `SHIFTS`.
    """
    kept = as_numbers(log_ratios, shifts)
    if len(kept) == len(log_ratios):
        return log_ratios
    q = kept.groupby([kept["cohort"].fillna(""), "parent"], sort=False)["p_value"].transform(benjamini_hochberg)
    return kept.assign(q_value=q)
