"""What a run is handed on as, on request: the page as PDF, all tables as a workbook, the findings as slides."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal, get_args

from immunolab.errors import InputError, Problem
from immunolab.report.pdf import PDF_HINT, printers, write_pdf
from immunolab.report.slides import SLIDES_HINT, write_slides
from immunolab.results.record import RECORD as RUN_RECORD
from immunolab.results.run import REPORT, Run
from immunolab.results.workbook import WORKBOOK
from immunolab.schema.files import file_sha256, write_atomically

Format = Literal["pdf", "xlsx", "pptx"]
FORMATS: tuple[Format, ...] = get_args(Format)
EXPORTS: dict[Format, str] = {"pdf": "report.pdf", "xlsx": WORKBOOK, "pptx": "report.pptx"}
"""Name of each file in the run's folder."""
RECORD = "exports.json"
FOR_TRIALS = "exports/record.json"
"""Record of what ``immunolab export`` wrote into the run's folder."""
_HINT = "make it anew: immunolab report OUT --format {}"
_EXPORT_HINT = "make it anew: immunolab export OUT --format {}"


def check_formats(formats: Iterable[Format], *, with_report: bool = True) -> None:
    """Raise, before a long run, when a format cannot be made at its end.

    Parameters
    ----------
    formats
        Of ``pdf``, ``xlsx`` and ``pptx``.
    with_report
        Whether the run writes its page, which PDF and slides are made of.

    Raises
    ------
    InputError
        Names each format that cannot be made, and why.
    """
    problems = []
    for name in sorted(set(formats)):
        if name != "xlsx" and not with_report:
            problems.append(Problem("", "--format", f"{name} is made of the report", "leave out --tables-only"))
        elif name == "pdf" and not printers():
            problems.append(Problem("", "--format", "nothing to print a PDF with", PDF_HINT))
        elif name == "pptx" and not find_spec("pptx"):
            problems.append(Problem("", "--format", "slides need python-pptx", SLIDES_HINT))
    if problems:
        raise InputError(problems)


def write_exports(run: Run, formats: Iterable[Format]) -> list[str]:
    """Write files into a run's folder and return a line for each: what it is, where, and what made it.

    A record beside them, ``exports.json``, has their hashes and those of what they are made of: a run that gives
    another report removes them, and ``verify`` compares them.

    Parameters
    ----------
    run
        The finished run; PDF and slides need its report.
    formats
        Of ``pdf``, ``xlsx`` and ``pptx``.

    Raises
    ------
    InputError
        The report is missing, or what makes a format is not installed.
    """
    check_formats(formats)
    wanted = [name for name in FORMATS if name in set(formats)]
    if run.report is None and {"pdf", "pptx"} & set(wanted):
        text = "is missing: PDF and slides are made of it"
        raise InputError(Problem(str(run.folder / REPORT), "", text, "immunolab report OUT writes it"))
    lines = []
    for name in wanted:
        path = run.folder / EXPORTS[name]
        by = {"pdf": _pdf, "xlsx": _xlsx, "pptx": _pptx}[name](run, path)
        lines.append(f"{name}: {path}{by}")
        _record(run)
    return lines


def _pdf(run: Run, path: Path) -> str:
    return f" (printed by {write_pdf(run.folder / REPORT, path)})"


def _xlsx(run: Run, path: Path) -> str:
    run.to_excel(path)
    return ""


def _pptx(run: Run, path: Path) -> str:
    write_slides(run, path)
    return ""


def _record(run: Run) -> None:
    there = {name: file_sha256(run.folder / name) for name in EXPORTS.values() if (run.folder / name).exists()}
    text = json.dumps({"made_of": _sources(run.folder), "files": there}, indent=1, sort_keys=True)
    write_atomically(run.folder / RECORD, lambda part: part.write_text(text + "\n", encoding="utf-8"))


def _sources(folder: Path) -> dict[str, str]:
    """Return the hashes of what exports are made of: the run's record, and the page where there is one."""
    return {name: file_sha256(folder / name) for name in (RUN_RECORD, REPORT) if (folder / name).exists()}


def remove_stale_exports(folder: Path) -> list[str]:
    """Remove exported files that were made of another run or another report, and return their names.

    Parameters
    ----------
    folder
        The run's.
    """
    names = [name for name in EXPORTS.values() if (folder / name).exists()]
    if not names or _read(folder).get("made_of") == _sources(folder):
        return []
    for name in (*names, RECORD):
        (folder / name).unlink(missing_ok=True)
    return names


def record_export(run: Run, format: str, files: Sequence[Path]) -> None:
    """Note what an export for trials or repositories wrote into a run's folder, so that ``verify`` compares it.

    Parameters
    ----------
    run
        The finished run.
    format
        As ``immunolab export`` names it; an earlier note on it is replaced.
    files
        Of the export; those elsewhere are not noted.
    """
    folder = run.folder.resolve()
    inside = [path.resolve() for path in files if path.resolve().is_relative_to(folder)]
    if not inside:
        return
    made = {path.relative_to(folder).as_posix(): file_sha256(path) for path in sorted(inside)}
    own = {"made_of": file_sha256(folder / RUN_RECORD), "files": made}
    text = json.dumps(_read(folder, FOR_TRIALS) | {format: own}, indent=1, sort_keys=True)
    write_atomically(folder / FOR_TRIALS, lambda part: part.write_text(text + "\n", encoding="utf-8"))


def export_problems(folder: Path) -> Iterator[Problem]:
    """Yield what is wrong with exported files: changed since, without a record, or made of another run or report.

    Parameters
    ----------
    folder
        The run's.
    """
    yield from _handed_on(folder)
    yield from _for_trials(folder)


def _for_trials(folder: Path) -> Iterator[Problem]:
    """Yield what is wrong with exports for trials and repositories: their files are compared with their record."""
    records = _read(folder, FOR_TRIALS)
    if not records and (folder / FOR_TRIALS).exists():
        yield Problem(FOR_TRIALS, "", "cannot be read: no export was compared", _EXPORT_HINT.format("FORMAT"))
    for format, record in sorted(records.items()):
        hint = _EXPORT_HINT.format(format)
        if record["made_of"] != file_sha256(folder / RUN_RECORD):
            yield Problem(FOR_TRIALS, "", f"the export {format} was made of another run", hint)
        for name, digest in sorted(record["files"].items()):
            if not (folder / name).is_file():
                yield Problem(name, "", "was exported and is missing", hint)
            elif file_sha256(folder / name) != digest:
                yield Problem(name, "", "differs from the one that was exported", hint)


def _handed_on(folder: Path) -> Iterator[Problem]:
    """Yield what is wrong with the page as PDF, the workbook and the slides."""
    there = {name: format for format, name in EXPORTS.items() if (folder / name).exists()}
    record = _read(folder)
    recorded = record.get("files", {})
    if recorded and record.get("made_of") != _sources(folder):
        yield Problem(RECORD, "", "the exported files were made of another run or report", _HINT.format("FORMAT"))
    for name, format in there.items():
        if name not in recorded:
            yield Problem(name, "", "is not in the record of exports, exports.json", _HINT.format(format))
        elif file_sha256(folder / name) != recorded[name]:
            yield Problem(name, "", "differs from the one that was exported", _HINT.format(format))
    for name in sorted(set(recorded) - set(there)):
        yield Problem(name, "", "was exported and is missing")


def _read(folder: Path, name: str = RECORD) -> dict[str, Any]:
    """Return a record of exports; empty where there is none that can be read."""
    try:
        read = json.loads((folder / name).read_text(encoding="utf-8"))
        records = read.values() if name == FOR_TRIALS else [read]
        return read if all(isinstance(one["files"], dict) and "made_of" in one for one in records) else {}
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return {}
