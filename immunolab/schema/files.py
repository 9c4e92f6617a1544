"""Files and folders written whole or not at all, and the keys by which an unchanged one is recognised."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

T = TypeVar("T")


def file_sha256(path: Path) -> str:
    """Return the sha256 of a file's bytes as hex."""
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


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


def write_folder_atomically(folder: Path, write: Callable[[Path], object]) -> None:
    """Let `write` fill a temporary folder beside `folder`, then put it in its place by renaming.

    Parameters
    ----------
    folder
        The folder; one that exists is replaced.
    write
        Fills the empty folder it is given.
    """
    part, old = (folder.with_name(f".{folder.name}.{word}-{os.getpid()}") for word in ("part", "old"))
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    try:
        write(part)
        if folder.exists():
            folder.rename(old)
        part.rename(folder)
        shutil.rmtree(old, ignore_errors=True)
    finally:
        shutil.rmtree(part, ignore_errors=True)
