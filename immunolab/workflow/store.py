"""What is finished and why: outputs keyed by content, written whole or not at all."""

from __future__ import annotations

import errno
import json
import shutil
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from filelock import FileLock, Timeout

from immunolab.errors import InputError, Problem
from immunolab.schema.files import SAMPLE_RECORD, STUDY_NAME, file_sha256, write_atomically, write_folder_atomically

_PLACES = ("", "samples/", "samples/*/", "cache/", "memberships/")  # where things are written under another name first
_REPLACED = (
    "samples",
    "tables",
    "gates",
    "memberships",
    "figures",
    "pages",
)  # folders of OUT that hold what is of a run alone
RUN_LOG = "run.log"
_TEMPORARY = tuple(f"{place}.*.{word}-*" for place in _PLACES for word in ("part", "old"))
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
    left = "; its tables and report are still those of the run before" if (folder / "manifest.json").exists() else ""
    return InputError(Problem(str(folder), "", f"cannot be written: {error.strerror}{left}", hint))


def is_folder_fault(error: BaseException) -> bool:
    """Return whether an error is the output folder's fault, which no other sample can escape."""
    return isinstance(error, OSError) and error.errno in _FOLDER_FAULTS


@dataclass(frozen=True)
class Store:
    """The output folder of a run.

    Each sample owns ``samples/SAMPLE_ID``; its ``record.json`` names the key, the hash of every file beside it and
    that of its memberships, where they were kept. Intermediate results are in ``cache`` under their own key. Keys are
    of content and never of places, so that a folder that was moved is gone on with.
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

    def record(self, sample_id: str) -> dict[str, Any]:
        """Return a sample's record; empty where it has none that can be read.

        Parameters
        ----------
        sample_id
            Names the sample's folder.
        """
        try:
            found = json.loads((self.sample_folder(sample_id) / SAMPLE_RECORD).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return found if isinstance(found, dict) else {}

    def stale(self, sample_id: str, key: str, *, memberships: bool = False) -> str:
        """Return why a sample must be computed, or "" when its outputs are up to date.

        Parameters
        ----------
        sample_id
            Names the sample's folder.
        key
            Content key of all that its result depends on.
        memberships
            Whether its memberships are wanted too; where they were kept before, they must be whole in any case.
        """
        record = self.record(sample_id)
        if not record:
            return "its record cannot be read" if self.sample_folder(sample_id).exists() else "no result yet"
        if record.get("key") != key:
            return "its file, panel, gates or the program changed"
        if memberships and "memberships" not in record:
            return "its memberships are missing"
        folder = self.sample_folder(sample_id)
        outputs = {folder / name: (name, digest) for name, digest in record["outputs"].items()}
        if "memberships" in record:
            outputs[self.memberships(sample_id)] = "its memberships", record["memberships"]
        for path, (name, digest) in outputs.items():
            if not path.is_file():
                return f"{name} {'are' if path.suffix == '.parquet' else 'is'} missing"
            if file_sha256(path) != digest:
                return f"{name} {'were' if path.suffix == '.parquet' else 'was'} changed"
        return ""

    def commit(
        self, sample_id: str, key: str, write: Callable[[Path], None], memberships: pd.DataFrame | None = None
    ) -> None:
        """Let `write` fill a temporary folder, then put it in the sample's place in one rename.

        Parameters
        ----------
        sample_id
            Names the sample's folder, which is replaced.
        key
            Content key of all that its result depends on.
        write
            Is given the temporary folder.
        memberships
            Events x populations, bool; None keeps none, and removes those of an earlier result.
        """
        kept = {}
        if memberships is None:
            self.memberships(sample_id).unlink(missing_ok=True)
        else:
            self.write_memberships(sample_id, memberships)
            kept["memberships"] = file_sha256(self.memberships(sample_id))

        def write_recorded(part: Path) -> None:
            write(part)
            outputs = {p.name: file_sha256(p) for p in sorted(part.iterdir())}
            record = {"key": key, "outputs": outputs, **kept}
            (part / SAMPLE_RECORD).write_text(json.dumps(record, indent=1), encoding="utf-8")

        write_folder_atomically(self.sample_folder(sample_id), write_recorded)

    def sweep(self) -> None:
        """Remove what a killed run left behind: temporary names, and memberships that no record names."""
        for pattern in _TEMPORARY:
            for path in self.root.glob(pattern):
                if path.is_dir():
                    shutil.rmtree(path, ignore_errors=True)
                else:
                    path.unlink(missing_ok=True)
        for path in self.root.glob("memberships/*.parquet"):
            if "memberships" not in self.record(path.stem):
                path.unlink(missing_ok=True)

    def claim(self, study: str) -> None:
        """Take the folder for a study.

        Parameters
        ----------
        study
            Its name.

        Raises
        ------
        InputError
            The folder holds the results of a study of another name, or folders in whose place a run puts its own.
        """
        earlier = self._study()
        foreign = [name for name in _REPLACED if (self.root / name).is_dir()]
        if foreign and not earlier and not (self.root / RUN_LOG).exists():
            text = f"holds {', '.join(foreign)}, which no run wrote and a run would replace"
            raise InputError(Problem(str(self.root), "", text, "name a new folder with -o"))
        if earlier and earlier != study:
            hint = (
                f"name a new folder with -o, or remove this one; a study that only has a new name goes on with its "
                f"results once {STUDY_NAME} and manifest.json are removed from the folder"
            )
            raise InputError(
                Problem(str(self.root), "", f"holds the results of study '{earlier}', not of '{study}'", hint)
            )
        write_atomically(self.root / STUDY_NAME, lambda part: part.write_text(f"{study}\n", encoding="utf-8"))

    def remove_others(self, samples: Collection[str]) -> tuple[str, ...]:
        """Remove the results of samples that the sheet no longer has; return their ids.

        Parameters
        ----------
        samples
            Every sample of the sheet, controls too.
        """
        left = sorted(path.name for path in self.root.glob("samples/*") if path.is_dir() and path.name not in samples)
        for name in left:
            shutil.rmtree(self.sample_folder(name), ignore_errors=True)
            self.memberships(name).unlink(missing_ok=True)
        return tuple(left)

    def _study(self) -> str:
        """Return the name of the study whose results the folder holds; "" for a new folder."""
        try:
            return (self.root / STUDY_NAME).read_text(encoding="utf-8").strip()
        except OSError:
            pass
        try:
            return str(json.loads((self.root / "manifest.json").read_text(encoding="utf-8")).get("study") or "")
        except (OSError, ValueError):
            return ""
