"""What can be wrong with a comparison: one code a weakness, errors that name their rows.

Codes beginning with E stop the test they concern (or, for faults of the table, everything); codes
beginning with W stand in the ``warnings`` column beside a result that is shown.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import pandas as pd

from immunolab.errors import InputError, Problem

CODES: dict[str, str] = {
    "E_DUP_VISIT": "two samples of one patient, visit and endpoint",
    "E_NONFINITE": "a value or count is infinite or not a number",
    "E_NEG": "a negative count, or a negative value on a log scale",
    "E_NONINT": "a count is not a whole number",
    "E_GT_PARENT": "more events than their parent has",
    "E_PERCENT": "a percentage outside 0..100",
    "E_TEXT": "text in a number column",
    "E_TWO_ARMS": "a patient in two cohorts",
    "E_N_MIN": "fewer than 3 pairs: described, not tested",
    "E_BATCH_ALIASED": "batch coincides with visit: no adjusted estimate exists, the unadjusted one is confounded",
    "W_N_SMALL": "3 to 5 pairs: an exact test cannot reach 0.05",
    "W_ALL_ZERO": "no event at either visit in any patient: not estimable, outside the family",
    "W_IDENTICAL": "all shifts are equal: no variance, so no p value",
    "W_UNPAIRED": "patients lacking one of the two visits are left out",
    "W_MISSING_20": "more than 20 % of the patients lack one of the two visits",
    "W_MISSING_VALUE": "empty cells are taken as missing",
    "W_PARENT0": "an empty parent: the row is left out",
    "W_LOW_EVENTS": "few events: median of a pair below 20, or a pair with less than one expected event",
    "W_N_IMBALANCE": "acquisitions differ over a hundredfold: count weighting has type I error up to 0.09",
    "W_BATCH_CONF": "batch and visit nearly coincide: the adjusted interval is wide (variance inflation above 5)",
    "W_BATCH_UNKNOWN": "a sample has no batch: the shift is not adjusted for batch",
    "W_COVARIATE": "a covariate cannot be separated from the shift, or is missing: not adjusted for it",
    "W_SINGULAR": "a variance of the mixed model is at zero: the mean of each patient is tested instead",
    "W_SLOPE0": "no variance between responses in the mixed model: the mean of each patient is tested instead",
    "W_NOCONV": "the mixed model did not converge: the mean of each patient is tested instead",
    "W_TIES": "equal shifts: mid-ranks, p exact all the same",
    "W_ZERO_DIFF": "zero shifts dropped from the signed rank",
    "W_ZERO_VALUE": "values on the border of the scale were moved inside it",
    "W_NO_COUNTS": "no counts: the paired t stands in for the count method",
    "W_COMPOSITION": "a large sibling changed: shares of one parent move together, see the log-ratio table",
    "W_ABSOLUTE_FLAT": "the share changes; the interval of the absolute count includes no change",
    "W_K_SMALL": "fewer than 10 endpoints: no moderation, plain t",
    "W_FRACTION": "percentages look like fractions 0..1; they were read as percent",
    "W_MIXED_STATES": "samples of one side are of different cycle states",
}


@dataclass(frozen=True)
class Finding:
    """One weakness found: a code of `CODES`, where, and the particulars."""

    code: str
    cohort: str
    endpoint: str
    message: str

    def __str__(self) -> str:
        place = ", ".join(part for part in (self.cohort, self.endpoint) if part)
        return f"{self.code}  {place + ': ' if place else ''}{self.message}"


def name_rows(rows: Iterable[object]) -> str:
    """Return ``row 4`` or ``rows 4, 7, 9 ... (23 in all)``."""
    labels = [str(row) for row in rows]
    if len(labels) == 1:
        return f"row {labels[0]}"
    shown = ", ".join(labels[:10])
    return f"rows {shown}" + (f" ... ({len(labels)} in all)" if len(labels) > 10 else "")


def check_endpoints(frame: pd.DataFrame, where: str = "endpoints") -> None:
    """Raise when rows of the endpoint table cannot be compared.

    Raises
    ------
    InputError
        Every fault at once, each with its code and rows (the frame's index).
    """
    faults = [
        _fault(where, code, frame.index[rows], message, hint)
        for code, rows, message, hint in _row_faults(frame)
        if rows.any()
    ]
    problems = faults + _two_arms(frame, where)
    if problems:
        raise InputError(problems)


def _fault(where: str, code: str, rows: Iterable[object], message: str, hint: str) -> Problem:
    return Problem(where, name_rows(rows), f"{code}: {message}", hint)


def _row_faults(frame: pd.DataFrame) -> list[tuple[str, np.ndarray, str, str]]:
    value = _numbers(frame, "value")
    events, parents = _numbers(frame, "n_events"), _numbers(frame, "n_parent")
    share = frame["unit"].isin(("%", "percent")).to_numpy()
    repeated = frame.duplicated(["patient_id", "visit", "endpoint"], keep=False).to_numpy(dtype=bool)
    fraction = np.zeros(len(frame), dtype=bool)
    for count in (events, parents):
        fraction |= np.isfinite(count) & (count != np.floor(count))
    return [
        (
            "E_DUP_VISIT",
            repeated,
            "two samples of one patient, visit and endpoint",
            "name the visits apart, or keep one sample; to pool acquisitions add up their counts first",
        ),
        ("E_NONFINITE", np.isinf(value) | np.isinf(events) | np.isinf(parents), "infinite value or count", ""),
        ("E_NEG", (events < 0) | (parents < 0), "negative count", "counts are events, 0 or more"),
        ("E_NONINT", fraction, "count is not a whole number", "give events, or give percentages as values"),
        ("E_GT_PARENT", share & (events > parents), "more events than their parent has", "are the columns swapped?"),
    ]


def _two_arms(frame: pd.DataFrame, where: str) -> list[Problem]:
    cohorts = frame.assign(cohort=frame["cohort"].astype("object").fillna("")).groupby("patient_id")["cohort"]
    faults = []
    for patient in cohorts.nunique()[lambda n: n > 1].index:
        names = ", ".join(f"'{name}'" for name in sorted(set(cohorts.get_group(patient))))
        rows = frame.index[(frame["patient_id"] == patient).to_numpy(dtype=bool)]
        message = f"patient {patient} is in two cohorts: {names}"
        faults.append(_fault(where, "E_TWO_ARMS", rows, message, "give every row of a patient the same cohort"))
    return faults


def check_scale(values: np.ndarray, rows: np.ndarray, scale: str, endpoint: str, where: str) -> list[Problem]:
    """Return the faults of measured values on a scale: percentages outside 0..100, negatives on a log."""
    if scale in ("logit", "arcsine"):
        outside = (values < 0) | (values > 100)
        code, message, hint = "E_PERCENT", "a percentage outside 0..100", "choose --scale log or identity"
    elif scale == "log":
        outside = values < 0
        code, message, hint = "E_NEG", "a negative value on the log scale", "choose --scale identity"
    else:
        return []
    if not outside.any():
        return []
    return [_fault(where, code, rows[outside], f"{message} in '{endpoint}'", hint)]


def _numbers(frame: pd.DataFrame, column: str) -> np.ndarray:
    if column not in frame:
        return np.full(len(frame), np.nan)
    return pd.to_numeric(frame[column]).to_numpy(dtype=float, na_value=np.nan)
