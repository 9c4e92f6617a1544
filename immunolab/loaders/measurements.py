"""Cytokines, blood counts, doses and scores: long tables, wide tables and assay exports in one shape.

`read_measurements` returns one row a patient, visit and variable, in the variable's own unit, with
values outside an assay's limits kept as censored.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path

import pandas as pd

from immunolab.errors import InputError, Problem
from immunolab.loaders.assay_exports import Well, is_control_well, read_export
from immunolab.loaders.units import UnitError, conversion, same_unit
from immunolab.schema.csv_files import MISSING_RESULTS
from immunolab.schema.endpoints import MEASUREMENTS
from immunolab.study.dates import read_dates
from immunolab.study.doses import read_study_days
from immunolab.study.names import undrawable
from immunolab.study.rows import Sample
from immunolab.study.spreadsheet import Row, TextTable, column_problems, read_lines, text_table
from immunolab.vocabulary.variables import Variable, ambiguous_variable, resolve_variable, variables

_WHO_AND_WHEN = ("patient_id", "visit", "date", "study_day")
_LONG = ("variable", "value")
_COLUMNS = ("patient_id", "visit", "variable", "value", "unit", "censored", "study_day", "date", "flag", "row")
_BELOW = re.compile(r"(?:oor\s*)?(?:<=?|≤)\s*(.*)|(?:below|blq|bloq|bdl|<\s*lloq|<\s*lod)(.*)", re.IGNORECASE)
_ABOVE = re.compile(r"(?:oor\s*)?(?:>=?|≥)\s*(.*)|(?:above|alq|>\s*uloq)(.*)", re.IGNORECASE)
_COLUMN_UNIT = re.compile(r"(?P<name>.+?)\s*[\[(](?P<unit>[^\[\]()]*)[\])]$")
# what may be in brackets after a name and is a unit without a slash; any other word belongs to the name
_BARE_UNITS = ("", "%", "cm", "mm", "min", "h", "xULN", "mm3")
# BILAG grades as numbers, A the most active: only their order is used (clinical scores)
_GRADES = {"A": 4.0, "B": 3.0, "C": 2.0, "D": 1.0, "E": 0.0}


@dataclass(frozen=True, slots=True)
class _MeasurementReading:
    """One written value and where it is."""

    table: TextTable
    row: Row
    column: str
    patient: str
    visit: str
    date: date | None
    study_day: int | None
    label: str
    text: str
    unit: str
    unit_column: str
    limit: str = ""
    flag: str = ""


def read_measurements(path: Path | str, *, samples: Sequence[Sample] = ()) -> pd.DataFrame:
    """Read measurements from CSV, TSV or XLSX.

    Parameters
    ----------
    path
        The file.
    samples
        The study's samples, by which an assay export's wells are found.

    Returns
    -------
    DataFrame
        Rows of `tables.MEASUREMENTS` with study_day, date (YYYY-MM-DD), flag and row (of the file). Known variables
        are in their canonical unit; ``<2.3`` and ``OOR <`` are ``censored`` below, ``>500`` above.

    Raises
    ------
    InputError
        All problems at once, by row and column: absent columns, no visit and no date, text in a
        value, unit missing, unknown or mixed, value impossible in its unit, a duplicated value.

    Notes
    -----
    Recognised are the long table (patient_id; visit, date or study_day; variable, value, unit), a
    wide one with a column for each variable (``IL-6 (pg/mL)``), and exports of Luminex and ELISA
    readers, whose sample names are looked up in ``samples`` or read as PATIENT_VISIT.
    """
    path = Path(path)
    rows = _read_rows(path, samples)
    if not rows:
        return MEASUREMENTS.empty().assign(study_day=pd.Series(dtype="Int64"), date="", flag="", row=0)
    frame = MEASUREMENTS.check(pd.DataFrame(dict(zip(_COLUMNS, zip(*rows, strict=True), strict=True))))
    frame = frame.assign(study_day=frame["study_day"].astype("Int64"))
    frame.attrs["file"] = str(path)
    return frame


def _read_rows(path: Path, samples: Sequence[Sample]) -> list[tuple[object, ...]]:
    """Return the measurements of a file, each with the values of `_COLUMNS`; nothing else of the file is kept."""
    numbered, comma = read_lines(path)
    wells = read_export(str(path), numbered, comma)
    if wells is not None:
        found = list(_from_wells(wells, samples))
    else:
        found = list(_from_table(text_table(str(path), numbered, comma), numbered[0][1]))
    readings = [item for item in found if isinstance(item, _MeasurementReading)]
    made = [_measurement(reading) for reading in readings]
    rows = [item for item in made if not isinstance(item, Problem)]
    problems = [item for item in (*found, *made) if isinstance(item, Problem)]
    problems += [*_mixed_units(readings), *_repeats(readings)]
    if problems:
        raise InputError(sorted(problems, key=_row_number))
    return rows


def _row_number(problem: Problem) -> int:
    found = re.match(r"row (\d+)", problem.place)
    return int(found.group(1)) if found else 0


def _from_table(table: TextTable, header: Sequence[str]) -> Iterator[_MeasurementReading | Problem]:
    """Yield every value of a long or wide table, and what is wrong with its rows."""
    long = "variable" in table.columns or "value" in table.columns
    needed = ("patient_id", *(_LONG if long else ()))
    optional = ("visit", "date", "study_day", *(("unit", "censored", "limit", "matrix") if long else ()))
    faults = list(column_problems(table, needed, optional))
    if not set(_WHO_AND_WHEN[1:]) & set(table.columns):
        faults.append(table.problem(None, "visit", "the column is missing", "give visit, date or study_day"))
    if faults:
        raise InputError(faults)
    units = _units_row(table)
    table = replace(table, rows=tuple(row for row in table.rows if row is not units))
    dates, date_faults = read_dates(table, table.rows)
    days, day_faults = read_study_days(table)
    yield from (*date_faults, *day_faults)
    for row in table.rows:
        yield from _who_and_when_problems(table, row)
        blank = _MeasurementReading(
            table=table,
            row=row,
            column="value",
            patient=row["patient_id"],
            visit=row["visit"],
            date=dates.get(row.number),
            study_day=days.get(row.number),
            label=row["variable"],
            text=row["value"],
            unit=row["unit"],
            unit_column="unit",
            limit=row["limit"],
        )
        yield from _long(blank) if long else _wide(blank, header, units)


def _units_row(table: TextTable) -> Row | None:
    first = table.rows[0] if table.rows else None
    return first if first and first["patient_id"].lower() in ("unit", "units") else None


def _who_and_when_problems(table: TextTable, row: Row) -> Iterator[Problem]:
    if not row["patient_id"]:
        yield table.problem(row, "patient_id", "the cell is empty")
    if not (row["visit"] or row["date"] or row["study_day"]):
        yield table.problem(row, "visit", "the cell is empty", "give visit, date or study_day")


def _long(blank: _MeasurementReading) -> Iterator[_MeasurementReading | Problem]:
    row = blank.row
    label = f"{row['variable']}_{row['matrix']}" if row["matrix"] and ambiguous_variable(row["variable"]) else ""
    text, censored = blank.text, row["censored"].lower()
    if censored and censored not in ("below", "above"):
        message = f"'{row['censored']}' is neither below nor above"
        yield blank.table.problem(row, "censored", message, "leave it empty for a value within the limits")
    elif censored and not text.startswith(("<", ">")):
        text = ("<" if censored == "below" else ">") + text
    yield replace(blank, label=label or blank.label, text=text) if label or censored else blank


def _wide(blank: _MeasurementReading, header: Sequence[str], units: Row | None) -> Iterator[_MeasurementReading]:
    written = dict(zip(blank.table.columns, [cell for cell in header if cell], strict=True))
    for column in blank.table.columns:
        text = blank.row[column]
        if column in (*_WHO_AND_WHEN, "cohort", "sample_id") or text.lower() in MISSING_RESULTS:
            continue
        label, unit = split_unit(written[column])
        unit = units[column] if units and units[column] else unit
        yield replace(blank, column=column, label=label, text=text, unit=unit, unit_column=column)


def split_unit(label: str) -> tuple[str, str]:
    """Return name and unit of a column head: ``IL-6 (pg/mL)`` is IL-6 in pg/mL."""
    found = _COLUMN_UNIT.match(label)
    if found and ("/" in found["unit"] or found["unit"] in _BARE_UNITS):
        return found["name"], found["unit"].strip()
    return label, ""


def _from_wells(wells: Sequence[Well], samples: Sequence[Sample]) -> Iterator[_MeasurementReading | Problem]:
    """Yield every value of an assay export, and a problem for each sample that is not known; controls are left out."""
    by_name = {s.sample_id: (s.patient_id, s.visit) for s in samples}
    by_name |= {
        f"{s.patient_id}{sep}{s.visit}": (s.patient_id, s.visit) for s in samples for sep in ("_", " ", "-", "/")
    }
    for well in wells:
        name, unit = split_unit(well.analyte)
        found = by_name.get(well.sample)
        parts = re.fullmatch(r"(.+?)[_ /](\S+)", well.sample)
        if found is None and is_control_well(well.sample):
            continue
        if found is None and (samples or not parts):
            hint = "name it in the sample sheet" if samples else "name samples PATIENT_VISIT"
            yield well.table.problem(well.row, "sample", f"'{well.sample}' is no known sample", hint)
            continue
        patient, visit = found or (parts.group(1), parts.group(2))  # type: ignore[union-attr]
        yield _MeasurementReading(
            table=well.table,
            row=well.row,
            column=well.column,
            patient=patient,
            visit=visit,
            date=None,
            study_day=None,
            label=name,
            text=well.text,
            unit=well.unit or unit,
            unit_column=well.column,
            flag=well.flag,
        )


def _measurement(reading: _MeasurementReading) -> tuple[object, ...] | Problem:
    """Return the values of a reading by `_COLUMNS`, or what is wrong with it."""
    meant = ambiguous_variable(reading.label)
    if meant or not reading.label:
        message = f"'{reading.label}' may be {' or '.join(meant)}" if meant else "the cell is empty"
        return reading.table.problem(reading.row, "variable", message, "write which" if meant else "")
    name = resolve_variable(reading.label) or reading.label
    if reason := undrawable(name):
        return reading.table.problem(
            reading.row, reading.column, f"variable {name[:40]!r} {reason}", "shorten its name"
        )
    known = variables().get(name)
    value, censored, message = _value(reading)
    if message:
        return reading.table.problem(reading.row, reading.column, message, "numbers, <limit or >limit")
    unit = reading.unit
    if known:
        try:
            factor = conversion(reading.unit, known)
        except UnitError as error:
            return _unit_problem(reading, name, known, str(error))
        value, unit = None if value is None else float(f"{value * factor:.15g}"), known.unit
        message = _impossible(name, value, known)
        if message:
            hint = f"written as {reading.text} {reading.unit}".rstrip() + "; check the unit"
            return reading.table.problem(reading.row, reading.column, message, hint)
    day = reading.date.isoformat() if reading.date else None
    who_and_what = (reading.patient, reading.visit or None, name, value, unit or None, censored)
    return (*who_and_what, reading.study_day, day, reading.flag or None, reading.row.number)


def _unit_problem(reading: _MeasurementReading, name: str, known: Variable, message: str) -> Problem:
    hint = f"{name} is kept in {known.unit}" if known.unit else f"leave the unit of {name} empty"
    return reading.table.problem(reading.row, reading.unit_column, f"{name}: {message}", hint)


def _impossible(name: str, value: float | None, known: Variable) -> str:
    if value is None or not known.limits or known.limits[0] <= value <= known.limits[1]:
        return ""
    unit = f" {known.unit}" if known.unit else ""
    return f"{name} of {value:g}{unit} is outside {known.limits[0]:g} to {known.limits[1]:g}{unit}"


def _value(reading: _MeasurementReading) -> tuple[float | None, str | None, str]:
    """Return value, censoring and what is wrong with the text."""
    text = reading.text.strip().lstrip("*").strip()
    if text.lower() in MISSING_RESULTS:
        return None, None, ""
    if reading.label.upper().startswith("BILAG") and text.upper() in _GRADES:
        return _GRADES[text.upper()], None, ""
    for pattern, word in ((_BELOW, "below"), (_ABOVE, "above")):
        found = pattern.fullmatch(text)
        if found:
            rest = (found.group(1) or found.group(2) or "").strip() or reading.limit
            limit = reading.table.number(rest)
            named_limit = rest.upper() in ("", "LLOQ", "LOD", "LOQ", "ULOQ")
            return limit, word, "" if limit is not None or named_limit else f"'{reading.text}' has no limit"
    value = reading.table.number(text)
    return value, None, "" if value is not None else f"'{reading.text}' is not a number"


def _mixed_units(readings: Iterable[_MeasurementReading]) -> Iterator[Problem]:
    """An analyte that the vocabulary does not have keeps its unit: all its rows must agree."""
    first: dict[str, _MeasurementReading] = {}
    for reading in readings:
        if resolve_variable(reading.label) or not reading.label:
            continue
        start = first.setdefault(reading.label, reading)
        if not same_unit(start.unit, reading.unit):
            unit, other = reading.unit or "no unit", start.unit or "no unit"
            message = f"{reading.label}: {unit} here, {other} in row {start.row.number}"
            yield reading.table.problem(reading.row, reading.unit_column, message, "write one unit throughout")


def _repeats(readings: Iterable[_MeasurementReading]) -> Iterator[Problem]:
    seen: dict[tuple[object, ...], _MeasurementReading] = {}
    for reading in readings:
        name = resolve_variable(reading.label) or reading.label
        when = reading.visit or reading.date or reading.study_day
        key = (reading.patient, when, name)
        if key in seen and when:
            message = f"{name} of {reading.patient} at {when} is in row {seen[key].row.number} already"
            yield reading.table.problem(reading.row, reading.column, message, "keep one value")
        seen.setdefault(key, reading)
