"""Exports of multiplex (Luminex) and plate (ELISA) readers: which well, which analyte, what was written."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from immunolab.schema.flags import Flag
from immunolab.study.spreadsheet import Row, TextTable, text_table

_NOT_A_SAMPLE = re.compile(
    r"(standard|std|background|blank|control|qc|calibrator|s\d+$|b\d*$|c\d+$|x\d+$)", re.IGNORECASE
)
_CONCENTRATION = re.compile(
    r"(mean|avg|average|adj|adjusted|obs|calc|calculated|interpolated)?[_. ]*"
    r"(conc|concentration|result|dose)s?\b\.?",
    re.IGNORECASE,
)
_SAMPLE_COLUMNS = ("sample", "sample_name", "sample_id", "description", "name", "unknown")
_ANALYTE_COLUMNS = ("analyte", "assay", "variable", "analyte_name")
_WELL_COLUMNS = {"location", "well", "wells", "plate", "type", "total_events", "dilution", "dilution_factor", "notes"}
Lines = Sequence[tuple[int, list[str]]]


@dataclass(frozen=True)
class Well:
    """One sample's value of one analyte; replicates of a sample are already joined."""

    table: TextTable
    row: Row
    column: str
    sample: str
    analyte: str
    text: str
    unit: str = ""
    flag: str = ""


def read_export(file: str, lines: Lines, decimal_comma: bool) -> list[Well] | None:
    """Return the wells of an export, or None when the lines are an ordinary table.

    Recognised are xPONENT's blocks (``DataType:`` ``Result`` or ``Avg Result``) and tables with a
    sample column, which hold either a concentration column and an analyte, or a column an analyte.
    Replicates are averaged and flagged ``mean_of_N``.

    Parameters
    ----------
    file
        For messages.
    lines
        The file's rows, numbered from 1.
    decimal_comma
        Whether numbers are written 1,5.
    """
    block = _xponent_block(lines)
    if block is not None:
        return _joined(list(_wide(text_table(file, block[0], decimal_comma), block[0][0][1], block[1])))
    words = {_word(cell) for cell in lines[0][1]}
    if "patient_id" in words or not words & set(_SAMPLE_COLUMNS):
        return None
    table = text_table(file, lines, decimal_comma)
    return _joined(list(_plate(table, lines[0][1])))


def is_control_well(name: str) -> bool:
    """Return whether a well's name is that of a standard, blank or control."""
    return _NOT_A_SAMPLE.match(name) is not None


def _word(cell: str) -> str:
    return re.sub(r"[\s\-]+", "_", cell.strip().lower())


def _xponent_block(lines: Lines) -> tuple[list[tuple[int, list[str]]], dict[str, str]] | None:
    """Return the lines of the results block (averages preferred) and the units by analyte."""
    starts = {line[1].lower(): i for i, (_, line) in enumerate(lines) if line[0].rstrip(":").lower() == "datatype"}
    kind = next((name for name in ("avg result", "result") if name in starts), None)
    if kind is None:
        return None
    body = []
    for number, line in lines[starts[kind] + 1 :]:
        if line[0].rstrip(":").lower() == "datatype":
            break
        body.append((number, line))
    units: dict[str, str] = {}
    if "units" in starts:
        names, *rows = [line for _, line in lines[starts["units"] + 1 : starts["units"] + 4]]
        written = next((row for row in rows if row[0].rstrip(":").lower() in ("units", "unit")), [])
        units = {name: unit for name, unit in zip(names, written, strict=False) if unit}
    return body, units


def _wide(table: TextTable, header: Sequence[str], units: dict[str, str]) -> Iterator[Well]:
    written = dict(zip(table.columns, [cell for cell in header if cell], strict=True))
    sample_column = next((name for name in _SAMPLE_COLUMNS if name in table.columns), "sample")
    for row in table.rows:
        if not row[sample_column]:
            continue
        for column in table.columns:
            if column != sample_column and column not in _WELL_COLUMNS and row[column]:
                analyte = written[column]
                flag = Flag.EXTRAPOLATED if row[column].startswith("*") and row[column].strip("*") else ""
                yield Well(table, row, column, row[sample_column], analyte, row[column], units.get(analyte, ""), flag)


def _plate(table: TextTable, header: Sequence[str]) -> Iterator[Well]:
    analyte_column = next((name for name in _ANALYTE_COLUMNS if name in table.columns), None)
    value_column = _value_column(table)
    if analyte_column is None or value_column is None:
        yield from _wide(table, header, {})
        return
    sample_column = next(name for name in _SAMPLE_COLUMNS if name in table.columns)
    written_head = next(cell for cell in header if _word(cell) == value_column)
    unit = re.search(r"[\[(]([^\[\]()]+)[\])]", written_head)
    for row in table.rows:
        if row[sample_column]:
            written = row["unit"] or row["units"] or (unit.group(1) if unit else "")
            yield Well(table, row, value_column, row[sample_column], row[analyte_column], row[value_column], written)


def _value_column(table: TextTable) -> str | None:
    if "value" in table.columns:
        return "value"
    found = [name for name in table.columns if _CONCENTRATION.match(name)]
    return next((name for name in found if name.startswith(("mean", "avg", "average"))), found[0] if found else None)


def _joined(wells: list[Well]) -> list[Well]:
    """Average replicate wells; wells out of range are kept apart from the mean and reported."""
    grouped: dict[tuple[str, str], list[Well]] = {}
    for well in wells:
        grouped.setdefault((well.sample, well.analyte), []).append(well)
    return [group[0] if len(group) == 1 else _mean(group) for group in grouped.values()]


def _mean(group: list[Well]) -> Well:
    first = group[0]
    numbers = [n for well in group if (n := first.table.number(well.text.lstrip("*"))) is not None]
    if len({well.text for well in group}) == 1 or not numbers:
        return first
    flag = f"mean_of_{len(numbers)}" + ("" if len(numbers) == len(group) else f";{Flag.PARTLY_OUT_OF_RANGE}")
    text = repr(sum(numbers) / len(numbers))
    if first.table.decimal_comma:
        text = text.replace(".", ",")
    return Well(first.table, first.row, first.column, first.sample, first.analyte, text, first.unit, flag)
