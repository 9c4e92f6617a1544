"""Input files read whole, with a record of what was read: a manifest's hashes are of the bytes behind the numbers."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from io import BytesIO, TextIOWrapper
from itertools import islice
from pathlib import Path

from immunolab.errors import InputError, Problem, nearest

_MOST = 5_000  # files of a folder among which a misspelt one is looked for (judgement: a tenth of a second)
_record: ContextVar[dict[str, str] | None] = ContextVar("record", default=None)


def read_input(path: Path | str) -> bytes:
    """Return a file's bytes; inside `recorded_inputs` their hash is kept.

    Parameters
    ----------
    path
        The file.

    Raises
    ------
    OSError
        The file cannot be read.
    InputError
        It was read before, and held something else.
    """
    if is_special(path):
        raise InputError(Problem(str(path), "", "is no regular file", "check the path"))
    content = Path(path).read_bytes()
    record = _record.get()
    if record is not None:
        _add(record, {os.path.abspath(path): hashlib.sha256(content).hexdigest()})
    return content


def path_hint(path: Path | str, *suffixes: str) -> str:
    """Return how to fix a path that no file can be read from: one meant by a misspelt name, or one in a folder.

    Parameters
    ----------
    path
        As someone wrote it.
    *suffixes
        Endings of the files that could be meant.
    """
    found = Path(path)
    try:
        is_folder = found.is_dir()
        folder = found if is_folder else found.parent
        names = sorted(one.name for one in islice(folder.iterdir(), _MOST) if one.suffix.lower() in suffixes)
    except (OSError, ValueError):
        return "check the path"
    if is_folder:
        example = f", such as {str(found / names[0])!r}" if names else ""
        return f"it is a folder: name a file in it{example}"
    meant = nearest(found.name, names)
    return f"{meant} check the path".strip()


def is_special(path: Path | str) -> bool:
    """Whether a path is neither file nor folder, such as a pipe, which would be waited for without end."""
    found = Path(path)
    return is_there(found) and not (found.is_file() or found.is_dir())


def is_there(path: Path | str) -> bool:
    """Whether a path leads to something; one that no system can hold, over-long or with a NUL, leads nowhere.

    Parameters
    ----------
    path
        As someone wrote it.
    """
    try:
        return Path(path).exists()
    except (OSError, ValueError):
        return False


def read_input_text(path: Path | str) -> str:
    """Return a file's UTF-8 text without a byte order mark, its lines ended by newlines; see `read_input`.

    Parameters
    ----------
    path
        The file.

    Raises
    ------
    OSError, InputError
        As `read_input`.
    UnicodeDecodeError
        It is not UTF-8.
    """
    return TextIOWrapper(BytesIO(read_input(path)), encoding="utf-8-sig").read()


@contextmanager
def recorded_inputs(earlier: Mapping[str, str] | None = None) -> Iterator[dict[str, str]]:
    """Collect the sha256 of every file that `read_input` reads inside, by absolute path.

    Parameters
    ----------
    earlier
        What was read before; the same file must still hold the same.

    Yields
    ------
    dict
        Grows as files are read.
    """
    outer, record = _record.get(), dict(earlier or {})
    token = _record.set(record)
    try:
        yield record
    finally:
        _record.reset(token)
        if outer is not None:
            _add(outer, record)


def _add(record: dict[str, str], read: Mapping[str, str]) -> None:
    changed = [path for path, digest in read.items() if record.setdefault(path, digest) != digest]
    if changed:
        hint = "start again when the file is complete"
        raise InputError([Problem(path, "", "the file changed between two readings", hint) for path in changed])
