"""A user's table as endpoint rows: tidy or wide, counts or measured values."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from immunolab.comparison.diagnostics import Finding, name_rows
from immunolab.comparison.external_table import ExternalTable
from immunolab.comparison.scales import UNKNOWN_UNIT
from immunolab.errors import InputError, Problem
from immunolab.schema.flags import Code, Flag
from immunolab.study.names import alike

_COUNT_NAMES = (("count", "parent_count"), ("n_events", "n_parent"))
_PASSED_ON = (
    "parent",
    "population",
    "phase",
    "cycle_state",
    "unit",
    "flag",
)  # columns of `tables.ENDPOINTS` taken as they are
_IN_BRACKETS = re.compile(r"[(\[]([^()\[\]]*[%/][^()\[\]]*)[)\]]\s*$")  # a unit: per cent, or one thing per another
_FRACTION_MEDIAN = 0.1  # percentages that are all below 1 with a median above it look like fractions (judgement)
# times the median of one visit from which on another's percentages, all below 1, look like fractions (judgement: a
# change of unit is a hundredfold, and no treatment of these trials raises a subset thirtyfold)
_HUNDREDFOLD = 30
_MOST_ALIKE = 10  # groups of names in one warning


@dataclass(frozen=True)
class Columns:
    """Which column of a table is what.

    Attributes
    ----------
    patient
        The patient.
    visit
        The visit; empty when there is one row a patient and one column a visit.
    values
        Names (or patterns with ``*``) of measured columns, each an endpoint.
    count, parent_count
        Events of the population and of its parent.
    endpoint
        What a row measures, in a tidy table with several.
    arm
        Study arm or cohort.
    batch
        Batch of a sample.
    stimulation
        What the cells of a tube were stimulated with.
    """

    patient: str
    visit: str = ""
    values: tuple[str, ...] = ()
    count: str = ""
    parent_count: str = ""
    endpoint: str = ""
    arm: str = ""
    batch: str = ""
    stimulation: str = ""

    @property
    def keys(self) -> tuple[str, ...]:
        """Named columns that hold no value."""
        of_values = (self.count, self.parent_count, self.endpoint, self.arm, self.batch, self.stimulation)
        names = (self.patient, self.visit, *of_values)
        return tuple(name for name in names if name)


@dataclass(frozen=True)
class _Rows:
    """Endpoint rows from one column or pair of columns, with their faults and findings."""

    frame: pd.DataFrame
    problems: tuple[Problem, ...] = ()
    findings: tuple[Finding, ...] = ()


def endpoint_rows(
    table: ExternalTable, columns: Columns, visits: tuple[str, str], unit: str = ""
) -> tuple[pd.DataFrame, tuple[Finding, ...]]:
    """Return the table as rows of `tables.ENDPOINTS` with their row numbers as index.

    Empty cells and NA are missing values and are counted; anything else that is not a number is an error.
    Where neither the unit nor a column ``unit`` is given, the unit is what the head of a column says in brackets
    (``CRP (mg/L)``, ``Treg [%]``), else not known.

    Parameters
    ----------
    table, columns
        The cells, and which column is what.
    visits
        Before and after; columns of a table with one row a patient.
    unit
        Unit of every value; empty takes the column ``unit`` where there is one.

    Raises
    ------
    InputError
        Absent columns, text in number columns, empty patients or visits: all at once.
    """
    columns = _completed(table, columns, visits)
    if columns.visit and columns.count:
        parts = [_counted(table, columns)]
    elif columns.visit:
        parts = [_measured(table, columns, name) for name in columns.values]
    else:
        parts = [_visit_column(table, columns, visit) for visit in visits]
    problems = [*_empty_keys(table, columns), *(problem for part in parts for problem in part.problems)]
    if problems:
        raise InputError(problems)
    rows = pd.concat([part.frame for part in parts])
    findings = [finding for part in parts for finding in part.findings]
    if not columns.count:
        rows["unit"] = unit or _units(rows)
        findings += _fractions(rows)
    findings += _alike(rows, visits)
    rows["sample_id"] = rows["patient_id"] + " " + rows["visit"]
    return rows, tuple(findings)


def _completed(table: ExternalTable, columns: Columns, visits: tuple[str, str]) -> Columns:
    """Return the columns with patterns resolved and defaults found; all absent names in one error."""
    there = table.columns
    problems = [table.absent(name) for name in columns.keys if name not in there]
    if bool(columns.count) != bool(columns.parent_count):
        problems.append(Problem(table.name, "", "counts need two columns", "name count and parent_count"))
    if columns.count and columns.values:
        problems.append(Problem(table.name, "", "value and count are both given", "name one of them"))
    matched = {pattern: _matching(pattern, there) for pattern in columns.values}
    problems += [table.absent(pattern) for pattern, names in matched.items() if not names]
    values = tuple(dict.fromkeys(name for names in matched.values() for name in names))
    if not columns.visit:
        problems += [table.absent(name) for name in visits if name not in there]
    if columns.stimulation and not columns.visit:
        problems.append(
            Problem(table.name, "", "a column of stimuli needs one row a tube", "name the column of visits")
        )
    if len(values) > 1 and columns.endpoint:
        problems.append(Problem(table.name, "", "a column of endpoints needs a single column of values"))
    if problems:
        raise InputError(problems)
    if not columns.visit or values or columns.count:
        return replace(columns, values=values)
    for count, parent in _COUNT_NAMES:
        if count in there and parent in there and not _is_endpoint_table(table):
            return replace(columns, count=count, parent_count=parent)
    return replace(columns, values=("value",) if "value" in there else _numeric(table, columns.keys))


def _is_endpoint_table(table: ExternalTable) -> bool:
    """Return whether the table is one of `tables.ENDPOINTS`, whose unit says what its counts are."""
    return {"value", "unit", "n_events", "n_parent"} <= set(table.columns)


def _matching(pattern: str, there: Sequence[str]) -> list[str]:
    if pattern in there:
        return [pattern]
    parts = [part.strip() for part in pattern.split(",")]
    return [name for part in parts for name in there if name == part or fnmatchcase(name, part)]


def _numeric(table: ExternalTable, keys: Sequence[str]) -> tuple[str, ...]:
    found = tuple(name for name in table.columns if name not in keys and table.is_numeric(name))
    if not found:
        hint = "name one as value, or two as count and parent_count"
        raise InputError(Problem(table.name, "", "no column holds numbers only", hint))
    return found


def _empty_keys(table: ExternalTable, columns: Columns) -> Iterator[Problem]:
    for name in filter(None, (columns.patient, columns.visit, columns.endpoint, columns.stimulation)):
        empty = (table.frame[name] == "").to_numpy()
        if empty.any():
            place = f"{name_rows(table.frame.index[empty])}, column {name}"
            yield Problem(table.name, place, "the cell is empty", "fill it, or delete the row")


def _keys(table: ExternalTable, columns: Columns, endpoint: str) -> pd.DataFrame:
    frame = table.frame
    rows = pd.DataFrame({"patient_id": frame[columns.patient]})
    rows["cohort"] = frame[columns.arm] if columns.arm else ""
    rows["visit"] = frame[columns.visit] if columns.visit else ""
    rows["endpoint"] = frame[columns.endpoint] if columns.endpoint else endpoint
    for name in _PASSED_ON:
        if name in frame.columns:
            rows[name] = frame[name]
    if columns.stimulation:
        rows["stimulation"] = frame[columns.stimulation]
    if columns.batch:
        rows["batch"] = frame[columns.batch]
    if columns.visit and "study_day" in frame.columns and table.is_numeric("study_day"):
        rows["study_day"], _ = table.numbers("study_day")
    return rows


def _counted(table: ExternalTable, columns: Columns) -> _Rows:
    events, problems = table.numbers(columns.count)
    parents, more = table.numbers(columns.parent_count)
    problems += more
    one = (np.isnan(events) ^ np.isnan(parents)) & (not problems)
    if one.any():
        text = f"one of count and parent count is missing ({Code.E_NONFINITE})"
        problems.append(Problem(table.name, name_rows(table.frame.index[one]), text, "fill it, or empty both"))
    rows = _keys(table, columns, columns.count).assign(n_events=events, n_parent=parents, unit="%")
    with np.errstate(divide="ignore", invalid="ignore"):
        rows["value"] = np.where(parents > 0, 100.0 * events / parents, np.nan)
    return _without_missing(rows, "n_events", columns.count, problems)


def _measured(table: ExternalTable, columns: Columns, name: str) -> _Rows:
    values, problems = table.numbers(name, limits=True)
    rows = _with_limits(_keys(table, columns, name).assign(value=values), table.beyond(name))
    if name == "value" and _is_endpoint_table(table):
        for count in ("n_events", "n_parent"):
            rows[count], more = table.numbers(count)
            problems += more
    return _without_missing(rows, "value", name, problems)


def _visit_column(table: ExternalTable, columns: Columns, visit: str) -> _Rows:
    values, problems = table.numbers(visit, limits=True)
    rows = _with_limits(_keys(table, columns, "value").assign(visit=visit, value=values), table.beyond(visit))
    return _without_missing(rows, "value", visit, problems)


def _with_limits(rows: pd.DataFrame, beyond: NDArray[np.int64]) -> pd.DataFrame:
    """Return rows whose flag says which values are an assay's limits."""
    words = np.select([beyond < 0, beyond > 0], [Flag.BELOW_LIMIT.value, Flag.ABOVE_LIMIT.value], "")
    given = rows.get("flag", "")
    return rows.assign(flag=np.where(words == "", given, words))


def _without_missing(rows: pd.DataFrame, measured: str, column: str, problems: Sequence[Problem]) -> _Rows:
    gone = rows[measured].isna().to_numpy()
    if not gone.any():
        return _Rows(rows, tuple(problems))
    text = f"{int(gone.sum())} empty cell(s) taken as missing: {name_rows(rows.index[gone])}"
    return _Rows(rows[~gone], tuple(problems), (Finding(Code.W_MISSING_VALUE, "", column, text),))


def _units(rows: pd.DataFrame) -> pd.Series:
    """Return the unit column as written, else the unit in the endpoint's name, else ``as given``."""
    headed = rows["endpoint"].map(_headed_unit).astype(object)
    if "unit" not in rows:
        return headed
    return rows["unit"].where(rows["unit"] != "", headed)


def _headed_unit(name: str) -> str:
    found = _IN_BRACKETS.search(str(name))
    return found[1].strip() if found else UNKNOWN_UNIT


def _alike(rows: pd.DataFrame, visits: tuple[str, str]) -> Iterator[Finding]:
    """Yield patients, and spellings of the two visits, that may be one: as different ones they make no pair.

    Visits that most patients have several of are different ones, as days -7 and 7 are.
    """
    patients = alike(map(str, rows["patient_id"].unique()))
    of_patients = [set(map(str, own)) for own in rows.groupby("patient_id")["visit"].unique()]
    spelled = []
    for own in alike([*visits, *map(str, rows["visit"].unique())]):
        spellings = [n for seen in of_patients if (n := len(seen & set(own)))]
        if set(own) & set(visits) and sum(n > 1 for n in spellings) * 2 <= len(spellings):
            spelled.append(own)
    for what, groups in (("patients", patients), ("visits", spelled)):
        if groups:
            shown = "; ".join(" and ".join(map(repr, own)) for own in groups[:_MOST_ALIKE])
            more = f"; and {len(groups) - _MOST_ALIKE} more" if len(groups) > _MOST_ALIKE else ""
            yield Finding(Code.W_ALIKE, "", "", f"{what} that may be one, and count as different: {shown}{more}")


def _fractions(rows: pd.DataFrame) -> Iterator[Finding]:
    for endpoint, group in rows[rows["unit"] == "%"].groupby("endpoint", sort=False):
        values = group["value"].to_numpy(dtype=float)
        if values.size > 3 and values.max() <= 1 and np.median(values) > _FRACTION_MEDIAN:
            text = f"all values are within {values.min():g}..{values.max():g}; they were read as percent"
            yield Finding(Code.W_FRACTION, "", str(endpoint), text)
        elif text := _fractions_at_one_visit(group):
            yield Finding(Code.W_FRACTION, "", str(endpoint), text)


def _fractions_at_one_visit(group: pd.DataFrame) -> str:
    """Return which visit's values are fractions beside another's percentages, by their size; empty where none is."""
    visits = group.groupby("visit")["value"].agg(["median", "max"])
    low, high = visits["median"].idxmin(), visits["median"].idxmax()
    small, large = visits.loc[low], visits.loc[high]
    if small["max"] > 1 or large["max"] <= 1 or large["median"] < _HUNDREDFOLD * small["median"]:
        return ""
    return (
        f"the median is {small['median']:.3g} at {low} and {large['median']:.3g} at {high}: fractions at one visit and "
        "percentages at the other? both were read as percent"
    )
