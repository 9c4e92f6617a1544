"""A run's record: one file that holds the run with exact types, tables as parquet and the rest as JSON."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from immunolab.analysis_plan import seen
from immunolab.comparison import diagnostics, plan
from immunolab.errors import InputError, Problem
from immunolab.events import scales, transforms
from immunolab.gating import strategy
from immunolab.results import run as results
from immunolab.results.run import Run
from immunolab.results.run_in_words import WORDING
from immunolab.schema.files import write_atomically
from immunolab.schema.records import from_plain, record_types
from immunolab.schema.tables import declared
from immunolab.study import doses, endpoints, intercurrent, rows, sheet, trial

Run.wording = WORDING
RECORD = "run.zip"
_SCHEMA = "immunolab.run/1"
_TYPES = record_types(
    *(results, seen, plan, diagnostics, strategy, transforms, scales),
    *(doses, endpoints, intercurrent, rows, sheet, trial),
)
_REST = "run.json"
_VERSION_HINT = "read it with the version that wrote it, or run the study into the folder again"
_EPOCH = (1980, 1, 1, 0, 0, 0)  # the earliest time a zip entry can have: the same run has the same bytes


def write_run(run: Run) -> Path:
    """Write a run's record into its folder and return its path.

    Parameters
    ----------
    run
        The finished run.
    """
    path = run.folder / RECORD
    write_atomically(path, lambda part: _write(run, part))
    return path


def read_run(out: Path | str) -> Run:
    """Return the run that was written into a folder, equal to what the run itself returned.

    Parameters
    ----------
    out
        The folder that ``immunolab run`` wrote.

    Returns
    -------
    Run
        Tables with exact types; figures and report are not read.

    Raises
    ------
    InputError
        The folder holds no finished run, or that of another version.
    """
    folder = Path(out).absolute()
    record, tables = _read(folder)
    if not isinstance(record, dict) or record.pop("schema", "") != _SCHEMA:
        raise _unreadable(folder, f"is not of schema {_SCHEMA}", _VERSION_HINT)
    try:
        return _run(record, folder, tables)
    except (KeyError, TypeError) as error:  # a record or a field that this version has not
        raise _unreadable(folder, f"was written by another version: {error}", _VERSION_HINT) from error


def _read(folder: Path) -> tuple[Any, dict[str, pd.DataFrame]]:
    """Return what a run's record holds, as it was written."""
    try:
        with zipfile.ZipFile(folder / RECORD) as archive:
            tables = {
                name.removesuffix(".parquet"): pd.read_parquet(io.BytesIO(archive.read(name)))
                for name in archive.namelist()
                if name != _REST
            }
            return json.loads(archive.read(_REST)), tables
    except FileNotFoundError:
        if (folder / "tables").is_dir():
            text = "is missing: the run in this folder did not finish, or version 0.2 or earlier wrote it"
            raise _unreadable(folder, text, "run the study into the folder again") from None
        hint = "name the folder that 'immunolab run' wrote"
        raise InputError(Problem(str(folder), "", "there is no run in this folder", hint)) from None
    except NotADirectoryError:
        text = "is not a folder"
        raise InputError(Problem(str(folder), "", text, "name the folder that 'immunolab run' wrote")) from None
    except OSError as error:
        raise _unreadable(folder, f"cannot be read: {error.strerror or error}", "check who may read it") from None
    except (zipfile.BadZipFile, KeyError, ValueError) as error:
        hint = "run the study into the folder again: finished samples are kept"
        raise _unreadable(folder, f"is damaged: {error}", hint) from None


def _unreadable(folder: Path, message: str, hint: str) -> InputError:
    return InputError(Problem(str(folder / RECORD), "", message, hint))


def as_read_back(run: Run) -> Run:
    """Return a run as `read_run` will give it: absolute paths, tuples, tables as declared.

    Parameters
    ----------
    run
        A run that was not written yet.
    """
    tables = {name: declared(name).as_written(table) for name, table in run.tables.items()}
    return _run(json.loads(run.record()), run.folder, tables)


def _run(record: Mapping[str, Any], folder: Path, tables: Mapping[str, pd.DataFrame]) -> Run:
    described = {name: declared(name).described(table) for name, table in tables.items()}
    return Run(folder=folder, tables=described, **from_plain(record, _TYPES, folder=folder))


def _write(run: Run, path: Path) -> None:
    rest = {"schema": _SCHEMA} | json.loads(run.record())
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr(zipfile.ZipInfo(_REST, _EPOCH), json.dumps(rest, indent=1, ensure_ascii=False).encode("utf-8"))
        for name, table in run.tables.items():
            plain = table.copy(deep=False)
            plain.attrs = {}  # what columns are is declared, and added when they are read
            archive.writestr(zipfile.ZipInfo(f"{name}.parquet", _EPOCH), plain.to_parquet(index=False))
