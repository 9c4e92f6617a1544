"""The sample sheet: one row a tube or library, checked against the folder and the trial."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import get_args

from immunolab.errors import InputError, Problem, allowed_hint, nearest
from immunolab.input_files import is_special, is_there
from immunolab.study.control_tubes import bead_number, bridge_cells, bridge_problems
from immunolab.study.dates import read_dates
from immunolab.study.doses import PatientDoses, read_study_days
from immunolab.study.names import undrawable
from immunolab.study.sample import SORTED_AS, UNSTIMULATED, Modality, Sample, SheetSpecimen
from immunolab.study.spreadsheet import Row, TextTable, column_problems, read_text_table
from immunolab.study.trial import Trial

__all__ = ["NEEDED", "OPTIONAL", "UNSTIMULATED", "Modality", "Sample", "named_tubes", "read_samples", "unsafe_name"]

NEEDED = ("sample_id", "patient_id", "visit", "file")
OPTIONAL = (
    "cohort",
    "panel",
    "date",
    "study_day",
    "batch",
    "control_of",
    "bridge",
    "aliquot",
    "marker",
    "stimulation",
    "modality",
    "sorted",
    "lymphocytes_per_ul",
    "beads_per_tube",
    "volume_ul",
    "bead_cv_percent",
)
# optional too; kept among the further columns as well, which may be a trial's subgroups, as are `lot` and `site`
_LONG = ("operator", "specimen")
_JOIN_LANES = "lanes of one sample are one file: anndata.concat([first, second]).write_h5ad('both.h5ad')"
_RESERVED = {"con", "prn", "aux", "nul", *(f"{port}{n}" for port in ("com", "lpt") for n in range(1, 10))}
_NAMES = ("patient_id", "visit", "cohort", "batch", "panel", "marker", "bridge", "aliquot", "operator", "lot", "site")
_UNSAFE = re.compile(r'[/\\:*?"<>|\x00-\x1f]')


def read_samples(
    path: Path,
    folder: Path,
    trial: Trial | None,
    panels: tuple[str, ...],
    doses: Mapping[str, PatientDoses],
) -> tuple[Sample, ...]:
    """Read the sheet; files are relative to ``folder``.

    Parameters
    ----------
    path
        The sheet: CSV, TSV or XLSX.
    folder
        Files are relative to it.
    trial
        Its visits are checked, and assigned by study day.
    panels
        Names of the declared panels.
    doses
        Recorded doses by patient, for study days of dates.

    Raises
    ------
    InputError
        Every problem of the sheet at once, with row and column.
    """
    table = read_text_table(path)
    problems = list(column_problems(table, NEEDED, (*OPTIONAL, *_LONG)))
    if problems and any(p.message == "the column is missing" for p in problems):
        raise InputError(problems)
    if not table.rows:
        problems.append(table.problem(None, "", "the sheet has no samples", "write one line a sample"))
    reader = _RowReader(table, folder, trial, panels, doses)
    samples = tuple(reader.sample(row) for row in table.rows)
    problems += reader.problems
    problems += _repeats(table, samples)
    problems += _unknown_controls(table, samples)
    problems += _unpaired_stimulations(table, samples)
    problems += bridge_problems(table, samples)
    if problems:
        raise InputError(sorted(problems, key=lambda p: int((re.findall(r"^row (\d+)", p.place) or [0])[0])))
    return samples


def named_tubes(path: Path, folder: Path) -> tuple[Path, ...]:
    """Return the FCS files that a sheet names and that are there, whatever else is wrong with its rows.

    Parameters
    ----------
    path, folder
        As in `read_samples`.

    Raises
    ------
    InputError
        The sheet cannot be read.
    """
    table = read_text_table(path)
    reader = _RowReader(table, folder, None, (), {})
    samples = [reader.sample(row) for row in table.rows if row["file"]]
    return tuple(sample.file for sample in samples if sample.modality != "single_cell" and sample.file.exists())


class _RowReader:
    """Turns rows into samples and gathers what is wrong on the way."""

    def __init__(
        self,
        table: TextTable,
        folder: Path,
        trial: Trial | None,
        panels: tuple[str, ...],
        doses: Mapping[str, PatientDoses],
    ) -> None:
        self.table, self.folder, self.trial, self.panels, self.doses = table, folder, trial, panels, doses
        self.dates, faults = read_dates(table, table.rows)
        self.days, day_faults = read_study_days(table)
        self.problems = [*faults, *day_faults]

    def fault(self, row: Row, column: str, message: str, hint: str = "") -> None:
        self.problems.append(self.table.problem(row, column, message, hint))

    def sample(self, row: Row) -> Sample:
        control = row["control_of"] or (row["batch"] if row["bridge"] else "")
        for column in ("sample_id", "file", *(() if control or row["bridge"] else ("patient_id",))):
            if not row[column]:
                self.fault(row, column, "the cell is empty")
        if row["sample_id"] and (reason := unsafe_name(row["sample_id"])):
            self.fault(row, "sample_id", f"'{row['sample_id']}' {reason}", "results go into a folder of this name")
        for column in _NAMES:
            if reason := undrawable(row[column]):
                self.fault(row, column, f"{row[column][:40]!r} {reason}", "figures and tables show this name")
        if row["bridge"]:
            self.problems += bridge_cells(self.table, row)
        day = self.study_day(row)
        path = self.file(row)
        modality = self.modality(row, path)
        return Sample(
            sample_id=row["sample_id"],
            patient_id=row["patient_id"] or row["bridge"],
            visit=self.visit(row, day),
            file=path,
            cohort=row["cohort"],
            panel=self.panel(row),
            date=self.dates.get(row.number),
            study_day=day,
            batch=row["batch"],
            control_of=control,
            bridge=row["bridge"],
            aliquot=row["aliquot"],
            marker=row["marker"],
            stimulation=_stimulation(row["stimulation"]),
            modality=modality,
            sorted_as=self.sort(row, modality),
            lymphocytes_per_ul=self.lymphocytes(row),
            beads_per_tube=self.beads(row, "beads_per_tube"),
            volume_ul=self.beads(row, "volume_ul"),
            bead_cv_percent=self.beads(row, "bead_cv_percent"),
            operator=row["operator"],
            lot=row["lot"],
            site=row["site"],
            specimen=self.specimen(row),
            row=row.number,
            extra={name: text for name, text in row.cells.items() if name not in (*NEEDED, *OPTIONAL)},
        )

    def study_day(self, row: Row) -> int | None:
        written = self.days.get(row.number)
        patient = self.doses.get(row["patient_id"])
        day = self.dates.get(row.number)
        counted = patient.study_day(day) if patient and day else None
        if written is not None and counted is not None and written != counted:
            text = f"day {written}, but {row['date']} is day {counted} after the first recorded dose"
            self.fault(row, "study_day", text, "fix the date, the study day or the doses")
        return written if written is not None else counted

    def visit(self, row: Row, day: int | None) -> str:
        name = row["visit"]
        if name and self.trial and name not in self.trial.visit_names:
            visits = self.trial.visit_names
            hint = f"{nearest(name, visits)} visits: {', '.join(visits)}".strip()
            self.fault(row, "visit", f"'{name}' is no visit of {self.trial.id}", hint)
        if name or row["control_of"] or row["bridge"]:
            return name
        if self.trial is None or day is None:
            hint = "name the visit, or give study_day (or date and recorded doses)" if self.trial else "name the visit"
            self.fault(row, "visit", "the cell is empty", hint)
            return ""
        found = self.trial.visit_on(day)
        if found is None:
            gap = self.trial.describe_gap(day)
            self.fault(row, "visit", f"day {day} is in no visit's window: {gap}", "name the visit it belongs to")
        return found.name if found else ""

    def file(self, row: Row) -> Path:
        written = row["file"]
        path = self.folder / written
        if "\\" in written and not is_there(path):
            path = self.folder / written.replace("\\", "/")
        try:
            there = path.exists()
        except OSError as error:
            self.fault(row, "file", f"'{written[:40]}...' is no path: {error.strerror}", f"relative to {self.folder}")
            return self.folder
        if there and is_special(path):
            self.fault(row, "file", f"'{written}' is no regular file", "name a file of events")
        if written and not there:
            beside = [item.name for item in path.parent.iterdir()] if path.parent.is_dir() else []
            hint = f"{nearest(path.name, beside)} paths are relative to {self.folder}".strip()
            self.fault(row, "file", f"file '{written}' does not exist", hint)
        return path

    def panel(self, row: Row) -> str:
        name = row["panel"]
        if not name and len(self.panels) == 1:
            return self.panels[0]
        if self.panels and name not in self.panels:
            hint = f"{nearest(name, self.panels)} panels of study.yaml: {', '.join(self.panels)}".strip()
            message = f"panel '{name}' is not declared" if name else "the cell is empty, but there are several panels"
            self.fault(row, "panel", message, hint)
        return name

    def modality(self, row: Row, path: Path) -> Modality:
        name = row["modality"].lower()
        allowed: tuple[Modality, ...] = get_args(Modality)
        if not name:
            return "single_cell" if path.suffix.lower() in (".h5ad", ".h5mu", ".h5") or path.is_dir() else "flow"
        for known in allowed:
            if name == known:
                return known
        self.fault(row, "modality", f"unknown modality '{row['modality']}'", allowed_hint(name, allowed))
        return "flow"

    def sort(self, row: Row, modality: Modality) -> str:
        name = row["sorted"]
        if name and modality != "single_cell":
            self.fault(row, "sorted", "only single cells are declared as sorted", "leave the cell empty")
        elif name and name not in SORTED_AS:
            self.fault(row, "sorted", f"cells are not sorted as '{name}'", allowed_hint(name, SORTED_AS))
        return name

    def specimen(self, row: Row) -> SheetSpecimen:
        name = re.sub(r"[\s\-]+", "_", row["specimen"].strip().lower())
        allowed: tuple[SheetSpecimen, ...] = get_args(SheetSpecimen)
        for known in allowed:
            if name == known:
                return known
        self.fault(row, "specimen", f"unknown specimen '{row['specimen']}'", allowed_hint(name, allowed[1:]))
        return ""

    def lymphocytes(self, row: Row) -> float | None:
        text = row["lymphocytes_per_ul"]
        if not text:
            return None
        value = self.table.number(text)
        hint = "cells per microlitre; 1.2 x 10^9/L is 1200"
        if value is None:
            self.fault(row, "lymphocytes_per_ul", f"'{text}' is not a number", hint)
        elif not 10 <= value <= 100_000:
            self.fault(row, "lymphocytes_per_ul", f"{text} cannot be cells per microlitre (10 to 100000)", hint)
        return value

    def beads(self, row: Row, column: str) -> float | None:
        value, fault = bead_number(self.table, row, column)
        self.problems += [fault] if fault else []
        return value


def _stimulation(written: str) -> str:
    return UNSTIMULATED if written.lower() == UNSTIMULATED else written


def unsafe_name(name: str) -> str:
    """Return why a name cannot be a folder's name on every system, or an empty string.

    Parameters
    ----------
    name
        As a sheet or file gives it.
    """
    if _UNSAFE.search(name):
        return "holds a character that folder names cannot hold"
    if name.startswith((".", "-")) or name.endswith((".", " ")) or ".." in name:
        return "begins or ends with '.' or '-', or holds '..'"
    if name.split(".")[0].lower() in _RESERVED:
        return "is a reserved word on Windows"
    return "is longer than 120 characters" if len(name) > 120 else ""


def _repeats(table: TextTable, samples: tuple[Sample, ...]) -> Iterator[Problem]:
    rows = {row.number: row for row in table.rows}
    seen: dict[tuple[str, ...], Sample] = {}
    for sample in samples:
        row = rows[sample.row]
        key: tuple[str, ...] = ("sample_id", sample.sample_id.lower())
        if sample.sample_id and key in seen:
            text = f"'{sample.sample_id}' is in row {seen[key].row} already"
            yield table.problem(row, "sample_id", text, "give each tube its own sample_id; capitals do not count")
        seen.setdefault(key, sample)
        replicate = sample.stimulation == UNSTIMULATED  # several of them give the noise between tubes
        if sample.control_of or replicate or not sample.visit or not sample.patient_id:
            continue
        key = ("visit", sample.patient_id, sample.visit, sample.panel, sample.modality, sample.stimulation)
        if key in seen:
            text = f"{sample.patient_id} has a sample of {sample.visit} already in row {seen[key].row}"
            if not row["visit"]:
                text += f": days {seen[key].study_day} and {sample.study_day} fall in one window"
            of_cells = sample.modality == "single_cell"
            yield table.problem(row, "visit", text, _JOIN_LANES if of_cells else "keep one, or give each its own panel")
        seen.setdefault(key, sample)


def _unknown_controls(table: TextTable, samples: tuple[Sample, ...]) -> Iterator[Problem]:
    rows = {row.number: row for row in table.rows}
    stained = [sample for sample in samples if not sample.control_of]
    known = {name for s in stained for name in (s.sample_id, s.patient_id, s.batch, s.panel) if name}
    for sample in samples:
        if sample.control_of and not sample.bridge and sample.control_of not in known:
            hint = f"{nearest(sample.control_of, known)} name a sample_id, patient_id, batch or panel".strip()
            text = f"'{sample.control_of}' is no sample, patient, batch or panel of the sheet"
            yield table.problem(rows[sample.row], "control_of", text, hint)


def _unpaired_stimulations(table: TextTable, samples: tuple[Sample, ...]) -> Iterator[Problem]:
    """Yield what keeps stimulated tubes from having a control; a control that was lost is no fault of the sheet."""
    named = [sample for sample in samples if sample.stimulation]
    words = sorted({sample.stimulation for sample in named})
    if named and UNSTIMULATED not in words:
        text = f"no tube is '{UNSTIMULATED}', so that stimulated ones have no control: {', '.join(words)}"
        yield table.problem(None, "stimulation", text, f"write '{UNSTIMULATED}' for the control of the same visit")
    rows = {row.number: row for row in table.rows}
    for sample in named:
        for column, value in (("patient_id", sample.patient_id), ("visit", sample.visit)):
            if not value and sample.control_of:
                text = "the cell is empty: a stimulated tube and its control are of one patient and visit"
                yield table.problem(rows[sample.row], column, text)
