"""What is finished and why: outputs keyed by content, written whole or not at all."""

from __future__ import annotations

import errno
import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from filelock import FileLock, Timeout

from immunolab.errors import InputError, Problem
from immunolab.schema.files import file_sha256, write_atomically, write_folder_atomically

RECORD = "record.json"
_FOLDER_FAULTS = {errno.ENOSPC, errno.EROFS, errno.EACCES, errno.EPERM, errno.EDQUOT, errno.ENOTDIR, errno.ESTALE}


def folder_fault(error: OSError, folder: Path) -> InputError:
    """Return the message for a disk that is full, read-only or gone.

    Parameters
    ----------
    error
        What the system reported.
    folder
        The output folder.
    """
    hint = "free space or choose another folder with -o; finished samples are kept and the same command goes on"
    return InputError(Problem(str(folder), "", f"cannot be written: {error.strerror}", hint))


def is_folder_fault(error: BaseException) -> bool:
    """Return whether an error is the output folder's fault, which no other sample can escape."""
    return isinstance(error, OSError) and error.errno in _FOLDER_FAULTS


@dataclass(frozen=True)
class Store:
    """The output folder of a run.

    Each sample owns ``samples/SAMPLE_ID``; its ``record.json`` names the key and the hash of every
    file beside it. Intermediate results are in ``cache`` under their own key.
    """

    root: Path

    def lock(self) -> FileLock:
        """Return the lock of this folder; the operating system frees it when the process dies.

        Raises
        ------
        InputError
            Another run holds it, or the folder cannot be written.
        """
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            lock = FileLock(self.root / ".lock")
            lock.acquire(timeout=0)
        except Timeout:
            hint = "wait for it to end, or choose another folder with -o"
            raise InputError(Problem(str(self.root), "", "another run is writing to this folder", hint)) from None
        except OSError as error:
            raise folder_fault(error, self.root) from None
        return lock

    def sample_folder(self, sample_id: str) -> Path:
        """Return the folder of a sample's outputs."""
        return self.root / "samples" / sample_id

    def cached(self, kind: str, key: str, suffix: str) -> Path:
        """Return the path of an intermediate result; it exists when the result does.

        Parameters
        ----------
        kind
            First part of the file's name.
        key
            Content key of the result.
        suffix
            With its dot; "" for a folder.
        """
        return self.root / "cache" / f"{kind}-{key}{suffix}"

    def memberships(self, sample_id: str) -> Path:
        """Return the file that holds which events of a sample are in which population."""
        return self.root / "memberships" / f"{sample_id}.parquet"

    def write_memberships(self, sample_id: str, frame: pd.DataFrame) -> None:
        """Write one bool column a population, one row an event.

        Parameters
        ----------
        sample_id
            Names the file.
        frame
            Events x populations, bool.
        """
        write_atomically(self.memberships(sample_id), lambda part: frame.to_parquet(part, index=False))

    def stale(self, sample_id: str, key: str) -> str:
        """Return why a sample must be computed, or "" when its outputs are up to date.

        Parameters
        ----------
        sample_id
            Names the sample's folder.
        key
            Content key of all that its result depends on.
        """
        folder = self.sample_folder(sample_id)
        try:
            record = json.loads((folder / RECORD).read_text(encoding="utf-8"))
        except FileNotFoundError:
            return "no result yet"
        except (OSError, ValueError):
            return "its record cannot be read"
        if record.get("key") != key:
            return "its file, panel, gates or the program changed"
        for name, digest in record["outputs"].items():
            path = folder / name
            if not path.is_file():
                return f"{name} is missing"
            if file_sha256(path) != digest:
                return f"{name} was changed"
        return ""

    def commit(self, sample_id: str, key: str, write: Callable[[Path], None]) -> None:
        """Let `write` fill a temporary folder, then put it in the sample's place in one rename.

        Parameters
        ----------
        sample_id
            Names the sample's folder, which is replaced.
        key
            Content key of all that its result depends on.
        write
            Is given the temporary folder.
        """

        def write_recorded(part: Path) -> None:
            write(part)
            outputs = {p.name: file_sha256(p) for p in sorted(part.iterdir())}
            (part / RECORD).write_text(json.dumps({"key": key, "outputs": outputs}, indent=1), encoding="utf-8")

        write_folder_atomically(self.sample_folder(sample_id), write_recorded)

    def sweep(self) -> None:
        """Remove temporary names that a killed run left behind."""
        for pattern in ("samples/.*.part-*", "samples/.*.old-*", "cache/.*.part-*"):
            for path in self.root.glob(pattern):
                if path.is_dir():
                    shutil.rmtree(path, ignore_errors=True)
                else:
                    path.unlink(missing_ok=True)
