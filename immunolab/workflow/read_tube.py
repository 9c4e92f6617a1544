"""The first step of a tube: hash its file, and keep a subsample that its gates are placed on.

A step takes one picklable job, reads and writes files by path and returns a small record, so that it runs
in a thread, in a process or on a cluster node alike.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from immunolab.errors import DataFileError
from immunolab.events.storage import save_tube
from immunolab.events.subsample import subsample
from immunolab.events.tube import Tube, identity
from immunolab.input_files import recorded_inputs
from immunolab.schema.files import content_key, file_sha256, write_atomically
from immunolab.version import code_key
from immunolab.workflow.store import Store

SUBSAMPLE = 50_000  # events of a tube that place its gates: judgement, rare subsets against memory of a whole study


@dataclass(frozen=True)
class TubeFile:
    """A tube to read.

    Attributes
    ----------
    panel
        Marker by channel.
    spillover
        File of its matrix; "" takes the tube's own.
    sha256, spillover_sha256
        What the files must hold; "" takes the tube's file as it is.
    clean
        Whether faulty stretches of the run are cut.
    """

    sample_id: str
    file: str
    panel: tuple[tuple[str, str], ...] = ()
    spillover: str = ""
    spillover_sha256: str = ""
    sha256: str = ""
    clean: bool = True

    def read(self) -> Tube:
        """Return the tube's events, without faulty stretches where those are to be cut.

        Raises
        ------
        DataFileError
            As `read_whole`.
        """
        tube = self.read_whole()
        return tube.clean() if self.clean else tube

    def read_whole(self) -> Tube:
        """Return all of the tube's events.

        Raises
        ------
        DataFileError
            The file holds no events, or another content than the run began with.
        """
        from immunolab.loaders.fcs.read import read_fcs

        spillover: Any = Path(self.spillover) if self.spillover else "file"
        panel = dict(self.panel) or None
        with recorded_inputs() as read:
            events = read_fcs(Path(self.file), panel=panel, spillover=spillover, sample_id=self.sample_id)
        if self.sha256 not in ("", events.sha256):
            raise _changed(self.file)
        if self.spillover and read[os.path.abspath(self.spillover)] != self.spillover_sha256:
            raise _changed(self.spillover)
        if events.n_events == 0:
            raise DataFileError("the file holds no events", self.file, "acquire the tube again or leave it out")
        return events

    def key(self, sha256: str) -> str:
        """Return the content key of what reading this tube gives."""
        matrix = self.spillover_sha256
        return content_key(
            {"file": sha256, "panel": self.panel, "spillover": matrix, "clean": self.clean, "code": code_key()}
        )


def _changed(file: str) -> DataFileError:
    return DataFileError("the file changed during the run", file, "run again when the file is complete")


@dataclass(frozen=True)
class PrepareJob:
    """Read a tube and keep a seeded subsample for placing gates (none when ``subsample`` is 0)."""

    tube: TubeFile
    root: str
    subsample: int
    seed: int


@dataclass(frozen=True)
class Prepared:
    """The tube's content key, file hash, stored subsample ("" when none is needed) and what names it in its header."""

    sample_id: str
    sha256: str
    key: str
    subsample: str
    keywords: Mapping[str, str] = field(default_factory=dict)


def prepare(job: PrepareJob) -> Prepared:
    """Hash a tube's file and store its subsample under its content key, unless it is there."""
    path = Path(job.tube.file)
    try:
        sha256 = file_sha256(path)
    except OSError as error:
        raise DataFileError(f"cannot be read: {error.strerror}", str(path), "check the path and the share") from None
    key = job.tube.key(sha256)
    if not job.subsample:
        from immunolab.loaders.fcs.read import read_header

        return Prepared(job.tube.sample_id, sha256, key, "", identity(read_header(path).text))
    name = content_key({"tube": key, "n": job.subsample, "seed": job.seed, "sample": job.tube.sample_id})
    target = Store(Path(job.root)).cached("subsample", name, ".npz")
    if not target.exists():
        tube = replace(job.tube, sha256=sha256)
        few = subsample(tube.read(), job.subsample, seed=job.seed)
        write_atomically(target, lambda part: save_tube(few, part))
    return Prepared(job.tube.sample_id, sha256, key, str(target))
