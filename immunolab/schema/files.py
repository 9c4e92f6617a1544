"""Files and folders written whole or not at all, and the keys by which an unchanged one is recognised."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
import shutil
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

T = TypeVar("T")
STUDY_NAME = ".study"
"""File in a run's folder with the name of the study that the folder belongs to."""
SAMPLE_RECORD = "record.json"  # in a sample's folder: the key of what it was computed from, the hash of each file
_RENAMES = 5  # tries: a worker whose run was killed a second ago may still put its own result there once (judgement)


def file_sha256(path: Path) -> str:
    """Return the sha256 of a file's bytes as hex."""
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def input_sha256(path: Path) -> str:
    """Return the sha256 of a file, or of a folder's files together: of their sorted relative paths and hashes.

    Parameters
    ----------
    path
        A file, or a folder such as a 10x matrix or a zarr store, whose chunks are in folders below.
    """
    if not path.is_dir():
        return file_sha256(path)
    return content_key({p.relative_to(path).as_posix(): file_sha256(p) for p in sorted(path.rglob("*")) if p.is_file()})


def content_key(parts: Mapping[str, Any]) -> str:
    """Return a hex key of everything a result depends on: the same parts, the same key.

    Parameters
    ----------
    parts
        By name; values are plain data, or have a text that says what they are.
    """
    text = json.dumps(parts, sort_keys=True, default=str, ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


def write_atomically(path: Path, write: Callable[[Path], T]) -> T:
    """Let `write` fill a temporary file beside `path`, then rename it.

    Parameters
    ----------
    path
        The file; its folder is made where there is none.
    write
        Fills the file at the path it is given.

    Returns
    -------
    object
        What `write` returns.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.part-{os.getpid()}-{id(write)}{path.suffix}")
    try:
        result = write(part)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
    return result


def remove_unfinished(folder: Path, name: str = "*") -> None:
    """Remove what `write_atomically` had begun in a folder when its process was killed.

    Parameters
    ----------
    folder
        The folder; it may be absent.
    name
        Of the files, as a pattern.
    """
    for part in folder.glob(f".{name}.part-*"):
        process = re.search(r"\.part-([0-9]{1,9})-", part.name)
        if process and part.is_file() and not _is_running(int(process[1])):
            part.unlink(missing_ok=True)


def _is_running(process: int) -> bool:
    if os.name == "nt":  # signal 0 would end the process there
        return True
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def write_folder_atomically(folder: Path, write: Callable[[Path], object]) -> None:
    """Let `write` fill a temporary folder beside `folder`, then put it in its place by renaming.

    Parameters
    ----------
    folder
        The folder; one that exists is replaced.
    write
        Fills the empty folder it is given.
    """
    part = folder.with_name(f".{folder.name}.part-{os.getpid()}")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    try:
        write(part)
        put_in_place(part, folder)
    finally:
        shutil.rmtree(part, ignore_errors=True)


def put_in_place(part: Path, folder: Path) -> None:
    """Rename a folder that is written whole to its place; one that is there goes away.

    Parameters
    ----------
    part
        The folder, beside its place.
    folder
        Its place.
    """
    old = folder.with_name(f".{folder.name}.old-{os.getpid()}")
    shutil.rmtree(old, ignore_errors=True)
    for _ in range(_RENAMES):
        with suppress(FileNotFoundError):
            folder.rename(old)
        try:
            part.rename(folder)
            break
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                raise
        shutil.rmtree(old, ignore_errors=True)
    else:
        raise OSError(errno.EEXIST, "another process writes to the same folder", str(folder))
    shutil.rmtree(old, ignore_errors=True)
