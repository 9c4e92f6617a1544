"""What can be wrong with a comparison: one code a weakness, errors that name their rows.

Codes beginning with E stop the test they concern (or, for faults of the table, everything); codes
beginning with W are written to the ``warnings`` column beside a result that is shown.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches

import numpy as np
import pandas as pd

from immunolab.errors import InputError, Problem
from immunolab.schema.flags import Code

_MOST_NAMED = 10  # rows listed in a message
NEEDED = ("patient_id", "visit", "endpoint", "unit", "value")  # columns of `ENDPOINTS` that no comparison lacks
_NEEDED = (*NEEDED, "cohort")
# what all rows of a table may be of: a value is never guessed, and one unit can be said for all
_EXAMPLES = {"unit": "%", "endpoint": "treg"}


@dataclass(frozen=True)
class Finding:
    """One weakness found.

    Attributes
    ----------
    code
        What it is.
    cohort, endpoint
        Where; empty for all.
    message
        The particulars.
    """

    code: Code
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
    shown = ", ".join(labels[:_MOST_NAMED])
    return f"rows {shown}" + (f" ... ({len(labels)} in all)" if len(labels) > _MOST_NAMED else "")


def check_endpoints(frame: pd.DataFrame, where: str = "endpoints") -> dict[str, list[Problem]]:
    """Return what is wrong with the rows of single endpoints, by endpoint; raise for what concerns the whole table.

    Parameters
    ----------
    frame
        Rows of the endpoint table; the index names them in messages.
    where
        Name of the table in messages.

    Returns
    -------
    dict
        Endpoint -> its faults, each with its code and rows (the frame's index).

    Raises
    ------
    InputError
        A column is missing; or a patient is in two cohorts, with every fault of the rows.
    """
    check_columns(frame, where, _NEEDED)
    found: dict[str, list[Problem]] = {}
    for code, rows, message, hint in _row_faults(frame):
        for endpoint in dict.fromkeys(frame["endpoint"].to_numpy()[rows]):
            own = rows & (frame["endpoint"] == endpoint).to_numpy(dtype=bool)
            found.setdefault(str(endpoint), []).append(_fault(where, code, frame.index[own], message, hint))
    if problems := _two_arms(frame, where):
        raise InputError([*all_problems(found), *problems])
    return found


def check_columns(frame: pd.DataFrame, where: str, needed: Iterable[str]) -> None:
    """Raise when columns are missing, each with the call that adds or renames it.

    Parameters
    ----------
    frame
        Rows of a table.
    where
        Its name in messages.
    needed
        Names of columns.

    Raises
    ------
    InputError
        Names every missing column.
    """
    missing = [name for name in needed if name not in frame.columns]
    if missing:
        raise InputError([_no_column(where, name, [str(own) for own in frame.columns]) for name in missing])


def _no_column(where: str, name: str, columns: list[str]) -> Problem:
    """Return the problem of a column that is needed: rename the one that is meant, or say what all rows are of."""
    own = [column for column in columns if column not in _NEEDED]
    alike = get_close_matches(name, own, n=1, cutoff=0.5)
    hints = [f"table.rename(columns={{'{alike[0]}': '{name}'}})"] if alike else []
    hints += [f"table.assign({name}={_EXAMPLES[name]!r})"] if name in _EXAMPLES else []
    hints.append("immunolab.compare, which takes a table of any columns")
    message = f"there is no column '{name}'; the table has: {', '.join(columns)}"
    return Problem(where, "", message, f"use {', or '.join(hints)}")


def all_problems(by_endpoint: Mapping[str, Iterable[Problem]]) -> list[Problem]:
    """Return the problems of all endpoints, one that several share once."""
    return list(dict.fromkeys(problem for problems in by_endpoint.values() for problem in problems))


def left_out(by_endpoint: Mapping[str, Iterable[Problem]]) -> list[Finding]:
    """Return a finding for each problem of an endpoint that is left out of a comparison of others.

    Parameters
    ----------
    by_endpoint
        Endpoint -> problems, as `check_endpoints` gives them.
    """
    return [
        Finding(Code.E_ENDPOINT, "", endpoint, f"left out: {problem.place}: {problem.message}")
        for endpoint, problems in by_endpoint.items()
        for problem in problems
    ]


def _fault(where: str, code: Code, rows: Iterable[object], message: str, hint: str) -> Problem:
    return Problem(where, name_rows(rows), f"{message} ({code})", hint)


def _row_faults(frame: pd.DataFrame) -> list[tuple[Code, np.ndarray, str, str]]:
    value = _numbers(frame, "value")
    events, parents = _numbers(frame, "n_events"), _numbers(frame, "n_parent")
    share = frame["unit"].isin(("%", "percent")).to_numpy()
    repeated = frame.duplicated(["patient_id", "visit", "endpoint"], keep=False).to_numpy(dtype=bool)
    fraction = np.zeros(len(frame), dtype=bool)
    for count in (events, parents):
        fraction |= np.isfinite(count) & (count != np.floor(count))
    return [
        (
            Code.E_DUP_VISIT,
            repeated,
            "two samples of one patient, visit and endpoint",
            "name the visits apart, or keep one sample; to pool acquisitions add up their counts first",
        ),
        (Code.E_NONFINITE, np.isinf(value) | np.isinf(events) | np.isinf(parents), "infinite value or count", ""),
        (Code.E_NEG, (events < 0) | (parents < 0), "negative count", "counts are events, 0 or more"),
        (Code.E_NONINT, fraction, "count is not a whole number", "give events, or give percentages as values"),
        (Code.E_GT_PARENT, share & (events > parents), "more events than their parent has", "are the columns swapped?"),
    ]


def _two_arms(frame: pd.DataFrame, where: str) -> list[Problem]:
    cohorts = frame.assign(cohort=frame["cohort"].astype("object").fillna("")).groupby("patient_id")["cohort"]
    faults = []
    for patient in cohorts.nunique()[lambda n: n > 1].index:
        names = ", ".join(f"'{name}'" for name in sorted(set(cohorts.get_group(patient))))
        rows = frame.index[(frame["patient_id"] == patient).to_numpy(dtype=bool)]
        message = f"patient {patient} is in two cohorts: {names}"
        faults.append(_fault(where, Code.E_TWO_ARMS, rows, message, "give every row of a patient the same cohort"))
    return faults


def check_scale(values: np.ndarray, rows: np.ndarray, scale: str, endpoint: str, where: str) -> list[Problem]:
    """Return the faults of measured values on a scale: percentages outside 0..100, negatives on a log.

    Parameters
    ----------
    values, rows
        ``(n,)`` measured values and the names of their rows.
    scale, endpoint, where
        The scale they go to, the endpoint, and the name of the table in messages.
    """
    if scale in ("logit", "arcsine"):
        outside = (values < 0) | (values > 100)
        code, message = Code.E_PERCENT, "a percentage outside 0..100"
        hint = "correct the value; where it is no share of a whole give its unit, or the scale log or identity"
    elif scale == "log":
        outside = values < 0
        code, message = Code.E_NEG, "a negative value on the log scale"
        hint = "correct the value; where it may be negative choose the scale identity"
    else:
        return []
    if not outside.any():
        return []
    return [_fault(where, code, rows[outside], f"{message} in '{endpoint}'", hint)]


def _numbers(frame: pd.DataFrame, column: str) -> np.ndarray:
    if column not in frame:
        return np.full(len(frame), np.nan)
    return pd.to_numeric(frame[column]).to_numpy(dtype=float, na_value=np.nan)
