"""Which files are meant, and what each holds."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from immunolab.errors import DataFileError, InputError, Problem
from immunolab.loaders.fcs.header import FcsHeader, describe
from immunolab.loaders.fcs.text import Segments, data_sets, keywords, read_span, supplement

_FCS_SUFFIXES = frozenset({".fcs", ".lmd"})


@dataclass(frozen=True)
class DataSet:
    """One data set of a file: its HEADER and what it holds, supplemental TEXT included."""

    segments: Segments
    header: FcsHeader
    supplemental: frozenset[str]


def fcs_files(paths: Iterable[str | Path]) -> list[Path]:
    """Return the files named, and in folders all that begin like an FCS file or are named like one, sorted.

    Parameters
    ----------
    paths
        Files and folders.

    Raises
    ------
    InputError
        Lists every path that does not exist, and every folder without an FCS file: nothing was looked at there.
    """
    found: list[Path] = []
    problems = []
    for path in map(Path, paths):
        if path.is_dir():
            inside = sorted(p for p in path.rglob("*") if p.is_file() and _is_fcs(p))
            if not inside:
                problems.append(Problem(str(path), "", "no FCS file is in this folder", "name another folder or file"))
            found += inside
        elif path.exists():
            found.append(path)
        else:
            problems.append(Problem(str(path), "", "there is no such file or folder", "check the path"))
    if problems:
        raise InputError(problems)
    return list(dict.fromkeys(found))


def _is_fcs(path: Path) -> bool:
    if path.suffix.lower() in _FCS_SUFFIXES:
        return True
    try:
        with path.open("rb") as handle:
            return handle.read(3) == b"FCS"
    except OSError:
        return True  # what cannot be opened is reported, not passed over


@contextmanager
def opened(path: Path) -> Iterator[tuple[BinaryIO, list[DataSet]]]:
    """Open an FCS file and describe its data sets.

    Parameters
    ----------
    path
        An FCS file.

    Raises
    ------
    DataFileError
        When the file cannot be opened or read right.
    """
    try:
        handle = path.open("rb")
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise DataFileError(f"the file cannot be opened: {reason}", str(path), "check the path") from None
    with handle:
        size = handle.seek(0, 2)
        file = str(path)
        segments = list(data_sets(handle, size, file))
        yield handle, [_data_set(handle, size, file, s, i, len(segments)) for i, s in enumerate(segments)]


def _data_set(handle: BinaryIO, size: int, file: str, segments: Segments, i: int, n: int) -> DataSet:
    primary, _ = keywords(read_span(handle, segments, segments.text, file), file)
    extra, _ = supplement(handle, segments, primary, size, file)
    header = describe(segments, extra | primary, size, file, dataset=i, datasets=n, notes=())
    return DataSet(segments, header, frozenset(extra))
