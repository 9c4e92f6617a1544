"""The key file: which study code each original file goes by. It stays with the laboratory."""

from __future__ import annotations

import csv
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from immunolab.errors import InputError, Problem
from immunolab.schema.files import write_atomically
from immunolab.schema.formula_cells import neutralised, restored

_CODE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,99}")


def read_key(path: Path, sources: Sequence[Path]) -> dict[Path, str]:
    """Return the codes that an existing key file gives to sources; a source it does not name is absent.

    The column ``file`` holds the path as it was given, or a file name that only one source has.

    Parameters
    ----------
    path
        The key (CSV with file and code).
    sources
        The FCS files that need a code.

    Raises
    ------
    InputError
        Lists every fault: columns, unusable or repeated codes, codes that hold the file's own name.
    """
    rows, _ = _rows(path)
    codes: dict[Path, str] = {}
    problems: list[Problem] = []
    for line, row in enumerate(rows, start=2):
        name, code = row["file"].strip(), re.sub(r"\.(fcs|lmd)$", "", row["code"].strip(), flags=re.I)
        fault = _fault(name, code)
        if fault:
            problems.append(Problem(str(path), f"line {line}", *fault))
        for source in _meant(name, sources):
            if codes.setdefault(source, code) != code:
                problems.append(Problem(str(path), f"line {line}", "the file has two codes", "keep one line a file"))
    problems += _repeated(codes, path)
    if problems:
        raise InputError(problems)
    return codes


def _fault(name: str, code: str) -> tuple[str, str] | None:
    if not name:
        return "the file is empty", "write the path or name of the original file"
    if not _CODE.fullmatch(code):
        return "the code is not usable as a file name", "letters, digits, - and _; at most 100"
    stem = Path(name).stem.casefold()
    if len(stem) >= 3 and stem in code.casefold():
        return "the code holds the file's own name", "give a code that says nothing about the original"
    return None


def _meant(name: str, sources: Sequence[Path]) -> list[Path]:
    exact = [s for s in sources if name in (str(s), str(s.resolve()))]
    named = [s for s in sources if s.name == name]
    return exact or (named if len(named) == 1 else [])


def _repeated(codes: Mapping[Path, str], path: Path) -> list[Problem]:
    alike: dict[str, list[str]] = {}  # file systems may not distinguish upper from lower case
    for code in codes.values():
        alike.setdefault(code.casefold(), []).append(code)
    hint = "give every file another code"
    return [
        Problem(str(path), "", f"the code {same[0]} is given to {len(same)} files", hint)
        for same in alike.values()
        if len(same) > 1
    ]


def new_codes(hashes: Mapping[Path, str], taken: set[str]) -> dict[Path, str]:
    """Return a code for each source. Their order follows the content, so that a code shows nothing of the name.

    Parameters
    ----------
    hashes
        sha256 of each source.
    taken
        Codes in use.
    """
    codes: dict[Path, str] = {}
    number = 0
    for source in sorted(hashes, key=lambda s: (hashes[s], str(s))):
        number += 1
        while f"FCS{number:04d}" in taken:
            number += 1
        codes[source] = f"FCS{number:04d}"
    return codes


def all_codes(path: Path) -> set[str]:
    """Return every code an existing key file holds, of other files too; none when there is no key file."""
    return {row["code"].strip() for row in _rows(path)[0]} if path.exists() else set()


def add_to_key(path: Path, codes: Mapping[Path, str]) -> None:
    """Write new codes to the key file, behind what it holds; readable by its owner only.

    Parameters
    ----------
    path
        The key; made when it is absent.
    codes
        Code by source.
    """
    rows, columns = _rows(path) if path.exists() else ([], ["file", "code"])
    rows += [{"file": str(file), "code": code} for file, code in codes.items()]

    def write(part: Path) -> None:
        # exclusive: a file or link that someone put in this place would give them the key
        descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with open(descriptor, "w", encoding="utf-8", newline="") as handle:
            writer = csv.DictWriter(handle, columns, lineterminator="\n", restval="")
            writer.writeheader()
            writer.writerows({name: neutralised(value) for name, value in row.items()} for row in rows)

    write_atomically(path, write)


def _rows(path: Path) -> tuple[list[dict[str, str]], list[str]]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as handle:
            table = csv.DictReader(handle, restval="")
            columns = list(table.fieldnames or [])
            rows = [{column: restored(row[column] or "") for column in columns} for row in table]
    except (OSError, UnicodeDecodeError):
        raise InputError(Problem(str(path), "", "the key file cannot be read", "CSV in UTF-8: file,code")) from None
    if not {"file", "code"} <= set(columns):
        raise InputError(Problem(str(path), "line 1", "the columns file and code are needed", "first line: file,code"))
    return rows, columns
