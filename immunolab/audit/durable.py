"""Files that are on the disk when writing them returns."""

from __future__ import annotations

import os
from pathlib import Path

from immunolab.schema.files import write_atomically


def append_durably(path: Path, content: bytes) -> None:
    """Append bytes in one call to the system, and wait until the disk has them.

    Parameters
    ----------
    path
        The file; made where there is none.
    content
        What to append.
    """
    is_new = not path.exists()
    as_bytes = getattr(os, "O_BINARY", 0)  # of Windows, which else writes other line ends
    handle = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | as_bytes, 0o644)
    try:
        rest = memoryview(content)
        while rest:  # a signal, or a disk that is nearly full, may take a part
            rest = rest[os.write(handle, rest) :]
        os.fsync(handle)
    finally:
        os.close(handle)
    if is_new:
        sync_folder(path.parent)


def replace_durably(path: Path, content: bytes) -> None:
    """Write a file whole or not at all, and wait until the disk has it under its name.

    Parameters
    ----------
    path
        The file.
    content
        All of it.
    """

    def fill(part: Path) -> None:
        with part.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())

    write_atomically(path, fill)
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Wait until the disk has a folder's names; on Windows, which has no such call, do nothing.

    Parameters
    ----------
    folder
        The folder.
    """
    if os.name == "nt":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
