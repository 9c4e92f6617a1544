"""Anybody's table as endpoint rows: tidy or wide, counts or measured values, CSV or XLSX."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from immunolab.comparison.diagnostics import Finding, name_rows
from immunolab.comparison.plan import Plan, Scale
from immunolab.comparison.shifts import with_arm_rows
from immunolab.comparison.table import Comparison, compare_endpoints
from immunolab.errors import InputError, Problem, nearest
from immunolab.schema.csv_files import MISSING_NUMBERS
from immunolab.schema.tables import PAIRS, SHIFTS, VISITS
from immunolab.study.spreadsheet import read_lines

Array = NDArray[np.float64]

_NUMBER = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?")
_NOT_FINITE = re.compile(r"[-+]?(nan|inf(inity)?)", re.IGNORECASE)
_COUNT_NAMES = (("count", "parent_count"), ("n_events", "n_parent"))


@dataclass(frozen=True)
class Columns:
    """Which column of a table is what.

    Attributes
    ----------
    patient : the patient.
    visit : the visit; empty when there is one row a patient and one column a visit.
    values : names (or patterns with ``*``) of measured columns, each an endpoint.
    count, parent_count : events of the population and of its parent.
    endpoint : what a row measures, in a tidy table with several.
    arm : study arm or cohort.
    batch : batch of a sample.
    """

    patient: str
    visit: str = ""
    values: tuple[str, ...] = ()
    count: str = ""
    parent_count: str = ""
    endpoint: str = ""
    arm: str = ""
    batch: str = ""


@dataclass(frozen=True)
class TextFrame:
    """A table as text; the frame's index is the row number a spreadsheet shows."""

    file: str
    frame: pd.DataFrame
    decimal_comma: bool = False


def read_table(path: Path) -> TextFrame:
    """Read a CSV (comma, semicolon or tab) or the first sheet of an XLSX as text.

    Raises
    ------
    InputError
        The file cannot be read, is empty, repeats a column name or has a line longer than its header.
    """
    numbered, comma = read_lines(path)
    header = numbered[0][1]
    named = [name for name in header if name]
    problems = [
        Problem(str(path), "row 1", f"the column '{name}' stands twice", "name the columns apart")
        for name in dict.fromkeys(named)
        if named.count(name) > 1
    ]
    problems += [
        Problem(str(path), f"row {number}", f"{len(cells)} cells, but the header has {len(header)}")
        for number, cells in numbered[1:]
        if any(cells[len(header) :])
    ]
    if problems:
        raise InputError(problems)
    cells = [(line + [""] * len(header))[: len(header)] for _, line in numbered[1:]]
    frame = pd.DataFrame(cells, columns=header, index=[number for number, _ in numbered[1:]], dtype=object)
    return TextFrame(str(path), frame.loc[:, [bool(name) for name in header]], comma)


def endpoint_rows(table: TextFrame, columns: Columns, plan: Plan) -> tuple[pd.DataFrame, tuple[Finding, ...]]:
    """Return the table as rows of `tables.ENDPOINTS` with their line numbers as index.

    Empty cells and NA are missing values and are counted; anything else that is not a number is an error.
    Values between 0 and 100 throughout an endpoint are taken as percentages unless a ``unit`` column says
    otherwise.

    Raises
    ------
    InputError
        Absent columns, text in number columns, empty patients or visits: all at once.
    """
    columns = _completed(table, columns, plan)
    problems = _empty_keys(table, columns)
    findings: list[Finding] = []
    if columns.visit and columns.count:
        parts = [_counted(table, columns, problems, findings)]
    elif columns.visit:
        parts = [_measured(table, columns, name, problems, findings) for name in columns.values]
    else:
        parts = [_one_row_a_patient(table, columns, plan, problems, findings)]
    if problems:
        raise InputError(problems)
    rows = pd.concat(parts)
    if columns.count == "":
        rows["unit"] = _units(rows)
        findings += _fractions(rows)
    rows["sample_id"] = rows["patient_id"] + " " + rows["visit"]
    return rows, tuple(findings)


def _completed(table: TextFrame, columns: Columns, plan: Plan) -> Columns:
    """Return the columns with patterns resolved and defaults found; all absent names in one error."""
    there = list(table.frame.columns)
    named = [columns.patient, columns.visit, columns.count, columns.parent_count]
    named += [columns.endpoint, columns.arm, columns.batch]
    problems = [_absent(table, name) for name in named if name and name not in there]
    if bool(columns.count) != bool(columns.parent_count):
        problems.append(Problem(table.file, "", "counts need both --count and --parent-count"))
    if columns.count and columns.values:
        problems.append(Problem(table.file, "", "give --value or --count, not both"))
    values: list[str] = []
    for pattern in columns.values:
        found = [pattern] if pattern in there else _matching(pattern, there)
        problems += [] if found else [_absent(table, pattern)]
        values += [name for name in found if name not in values]
    if not columns.visit:
        problems += [_absent(table, name) for name in (plan.before, plan.after) if name not in there]
    if len(values) > 1 and columns.endpoint:
        problems.append(Problem(table.file, "", "--endpoint needs a single --value column"))
    if problems:
        raise InputError(problems)
    if columns.visit and not values and not columns.count:
        for count, parent in _COUNT_NAMES:
            if count in there and parent in there and not _is_endpoint_table(table):
                return replace(columns, count=count, parent_count=parent)
        values = ["value"] if "value" in there else _numeric(table, [name for name in there if name not in named])
    return replace(columns, values=tuple(values))


def _is_endpoint_table(table: TextFrame) -> bool:
    """Return whether the table is one of `tables.ENDPOINTS`, whose unit says what its counts are."""
    return {"value", "unit", "n_events", "n_parent"} <= set(table.frame.columns)


def _matching(pattern: str, there: Sequence[str]) -> list[str]:
    found = []
    for part in pattern.split(","):
        found += [name for name in there if name == part.strip() or fnmatchcase(name, part.strip())]
    return found


def _absent(table: TextFrame, name: str) -> Problem:
    there = [str(column) for column in table.frame.columns]
    shown = ", ".join(there[:12]) + (f" ... ({len(there)} columns)" if len(there) > 12 else "")
    return Problem(table.file, "", f"there is no column '{name}'", f"{nearest(name, there)} columns: {shown}".strip())


def _numeric(table: TextFrame, names: Sequence[str]) -> list[str]:
    found = []
    for name in names:
        cells = [cell for cell in table.frame[name] if cell not in MISSING_NUMBERS]
        if cells and all(_NUMBER.fullmatch(cell.replace(",", ".") if table.decimal_comma else cell) for cell in cells):
            found.append(name)
    if not found:
        raise InputError(Problem(table.file, "", "no column holds numbers only", "name one with --value or --count"))
    return found


def _empty_keys(table: TextFrame, columns: Columns) -> list[Problem]:
    problems = []
    for name in filter(None, (columns.patient, columns.visit, columns.endpoint)):
        empty = (table.frame[name] == "").to_numpy()
        if empty.any():
            place = f"{name_rows(table.frame.index[empty])}, column {name}"
            problems.append(Problem(table.file, place, "the cell is empty", "fill it, or delete the row"))
    return problems


def numbers(table: TextFrame, column: str, problems: list[Problem]) -> Array:
    """Return a column as numbers, NaN for missing cells; every kind of fault becomes one problem naming its rows."""
    cells = table.frame[column].to_numpy(dtype=object)
    values = np.full(cells.size, np.nan)
    faults: dict[tuple[str, str], list[int]] = {}
    for i, cell in enumerate(cells):
        text = cell.replace("\u2212", "-")
        if table.decimal_comma and text.count(",") == 1 and "." not in text:
            text = text.replace(",", ".")
        if _NUMBER.fullmatch(text):
            values[i] = float(text)
        elif text not in MISSING_NUMBERS:
            faults.setdefault(_diagnosis(text), []).append(i)
    for (message, hint), places in faults.items():
        rows = name_rows(table.frame.index[places])
        shown = ", ".join(f"'{cell}'" for cell in dict.fromkeys(cells[places][:3]))
        problems.append(Problem(table.file, f"{rows}, column {column}", f"{message}: {shown}", hint))
    infinite = np.isinf(values)
    if infinite.any():
        rows = name_rows(table.frame.index[infinite])
        problems.append(Problem(table.file, f"{rows}, column {column}", "E_NONFINITE: a number out of range"))
    return values


def _diagnosis(text: str) -> tuple[str, str]:
    if _NOT_FINITE.fullmatch(text):
        return "E_NONFINITE: a value is infinite or not a number", "leave the cell empty when it is missing"
    if text[:1] in "<>≤≥":
        return "E_TEXT: a limit, not a value", "write the limit's substitute the protocol names, or leave it empty"
    if text.endswith("%"):
        return "E_TEXT: text in a number column", "remove the percent sign; percentages are 0..100"
    if re.fullmatch(r"[-+]?\d+,\d+", text):
        return "E_TEXT: a decimal comma in a comma-separated table", "write a point, or separate columns by semicolons"
    return "E_TEXT: text in a number column", "write a number, or leave the cell empty when it is missing"


def _keys(table: TextFrame, columns: Columns, endpoint: str) -> pd.DataFrame:
    frame = table.frame
    rows = pd.DataFrame({"patient_id": frame[columns.patient]})
    rows["cohort"] = frame[columns.arm] if columns.arm else ""
    rows["visit"] = frame[columns.visit] if columns.visit else ""
    rows["endpoint"] = frame[columns.endpoint] if columns.endpoint else endpoint
    for name in ("parent", "population", "phase", "cycle_state", "unit"):
        if name in frame.columns:
            rows[name] = frame[name]
    if columns.batch:
        rows["batch"] = frame[columns.batch]
    return rows


def _counted(table: TextFrame, columns: Columns, problems: list[Problem], findings: list[Finding]) -> pd.DataFrame:
    rows = _keys(table, columns, columns.count)
    rows["n_events"] = numbers(table, columns.count, problems)
    rows["n_parent"] = numbers(table, columns.parent_count, problems)
    one = (rows["n_events"].isna() ^ rows["n_parent"].isna()).to_numpy() & (not problems)
    if one.any():
        text = "E_NONFINITE: one of count and parent count is missing"
        problems.append(Problem(table.file, name_rows(rows.index[one]), text, "fill it, or empty both"))
    with np.errstate(divide="ignore", invalid="ignore"):
        rows["value"] = (100.0 * rows["n_events"] / rows["n_parent"]).where(rows["n_parent"] > 0)
    rows["unit"] = "%"
    gone = rows["n_events"].isna().to_numpy()
    return _without_missing(rows, gone, columns.count, findings)


def _measured(
    table: TextFrame, columns: Columns, name: str, problems: list[Problem], findings: list[Finding]
) -> pd.DataFrame:
    rows = _keys(table, columns, name)
    rows["value"] = numbers(table, name, problems)
    if name == "value" and _is_endpoint_table(table):
        rows["n_events"], rows["n_parent"] = (numbers(table, count, problems) for count in ("n_events", "n_parent"))
    return _without_missing(rows, rows["value"].isna().to_numpy(), name, findings)


def _one_row_a_patient(
    table: TextFrame, columns: Columns, plan: Plan, problems: list[Problem], findings: list[Finding]
) -> pd.DataFrame:
    parts = []
    for visit in (plan.before, plan.after):
        rows = _keys(table, columns, "value")
        rows["visit"] = visit
        rows["value"] = numbers(table, visit, problems)
        parts.append(_without_missing(rows, rows["value"].isna().to_numpy(), visit, findings))
    return pd.concat(parts)


def _without_missing(rows: pd.DataFrame, gone: NDArray[np.bool_], column: str, findings: list[Finding]) -> pd.DataFrame:
    if gone.any():
        text = f"{int(gone.sum())} empty cell(s) taken as missing: {name_rows(rows.index[gone])}"
        findings.append(Finding("W_MISSING_VALUE", "", column, text))
    return rows[~gone]


def _units(rows: pd.DataFrame) -> pd.Series:
    """Return the unit column as written, else % for an endpoint that stays within 0..100."""
    inside = rows.groupby("endpoint", sort=False)["value"].transform(lambda v: bool(((v >= 0) & (v <= 100)).all()))
    guessed = inside.map({True: "%", False: "as given"}).astype(object)
    if "unit" not in rows:
        return guessed
    return rows["unit"].where(rows["unit"] != "", guessed)


def _fractions(rows: pd.DataFrame) -> list[Finding]:
    found = []
    for endpoint, group in rows[rows["unit"] == "%"].groupby("endpoint", sort=False):
        values = group["value"].to_numpy(dtype=float)
        if values.size > 3 and values.max() <= 1 and np.median(values) > 0.1:
            text = f"all values lie within {values.min():g}..{values.max():g}; they were read as percent"
            found.append(Finding("W_FRACTION", "", str(endpoint), text))
    return found


def compare_table(table: TextFrame, columns: Columns, plan: Plan, scale: Scale | None = None) -> Comparison:
    """Compare two visits on anybody's table.

    Parameters
    ----------
    table : see `read_table`.
    columns : which column is what.
    plan : what is compared and how.
    scale : of every endpoint; None goes by unit and range.

    Returns
    -------
    As `compare_endpoints`; the shifts end with the differences between arms where there are two.

    Raises
    ------
    InputError, ComparisonError
        See `endpoint_rows` and `compare_endpoints`.
    """
    rows, findings = endpoint_rows(table, columns, plan)
    if scale is not None:
        plan = replace(plan, scales=dict.fromkeys(rows["endpoint"].unique(), scale))
    found = compare_endpoints(rows, plan, where=table.file)
    return replace(found, shifts=with_arm_rows(found.shifts, found.arms, plan), warnings=(*findings, *found.warnings))


def write_comparison(comparison: Comparison, path: Path) -> tuple[Path, Path, Path]:
    """Write the shifts to ``path``, pairs and visits beside it as STEM_pairs.csv and STEM_visits.csv."""
    pairs, visits = (path.with_name(f"{path.stem}_{name}.csv") for name in ("pairs", "visits"))
    SHIFTS.write(comparison.shifts, path)
    PAIRS.write(comparison.pairs, pairs)
    VISITS.write(comparison.visits, visits)
    return path, pairs, visits
