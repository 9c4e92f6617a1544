"""What is done to one tube: read and subsample it, then gate and measure all its events.

Both functions take one picklable job, read and write files by path, and return small records, so
that they run in a thread, in a process or on a cluster node alike.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from immunolab.errors import DataFileError
from immunolab.events.subsample import subsample
from immunolab.events.tube import Channel, Spillover, Tube
from immunolab.schema.files import content_key, file_sha256, write_atomically
from immunolab.schema.tables import COUNTS, INTENSITIES, INTERVALS, JOINT, OTHER_GATINGS, QUALITY, THRESHOLDS
from immunolab.version import VERSION
from immunolab.workflow.store import Store

if TYPE_CHECKING:
    from immunolab.gating.tube_gates import TubeGates
    from immunolab.gating.tubes import GatedTube
    from immunolab.schema.table import Table

SUBSAMPLE = 50_000


@dataclass(frozen=True)
class TubeFile:
    """A tube to read: its sample, file, panel (channel to marker) and spillover file ("" = the file's own)."""

    sample_id: str
    file: str
    panel: tuple[tuple[str, str], ...] = ()
    spillover: str = ""

    def read(self) -> Tube:
        """Return the tube's events; a tube without events is an error of the file."""
        from immunolab.loaders.fcs.read import read_fcs

        spillover: Any = Path(self.spillover) if self.spillover else "file"
        panel = dict(self.panel) or None
        events = read_fcs(Path(self.file), panel=panel, spillover=spillover, sample_id=self.sample_id)
        if events.n_events == 0:
            raise DataFileError("the file holds no events", self.file, "acquire the tube again or leave it out")
        return events

    def key(self, sha256: str) -> str:
        """Return the content key of what reading this tube gives."""
        matrix = file_sha256(Path(self.spillover)) if self.spillover else ""
        return content_key({"file": sha256, "panel": self.panel, "spillover": matrix, "version": VERSION})


@dataclass(frozen=True)
class PrepareJob:
    """Read a tube and keep a seeded subsample for placing gates (none when ``subsample`` is 0)."""

    tube: TubeFile
    root: str
    subsample: int
    seed: int


@dataclass(frozen=True)
class Prepared:
    """The tube's content key, file hash, stored subsample ("" when none is needed) and own name (``$FIL``)."""

    sample_id: str
    sha256: str
    key: str
    subsample: str
    fil: str = ""


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

        return Prepared(job.tube.sample_id, sha256, key, "", read_header(path).text.get("$FIL", ""))
    name = content_key({"tube": key, "n": job.subsample, "seed": job.seed, "sample": job.tube.sample_id})
    target = Store(Path(job.root)).cached("subsample", name, ".npz")
    if not target.exists():
        events = job.tube.read()
        write_atomically(target, lambda part: save_subsample(events, part, job.subsample, job.seed))
    return Prepared(job.tube.sample_id, sha256, key, str(target))


def save_subsample(events: Tube, path: Path, n: int, seed: int) -> None:
    """Write at most `n` events, drawn without replacement and kept in file order, to an npz file."""
    few = subsample(events, n, seed=seed)
    meta = {
        "channels": [asdict(channel) for channel in events.channels],
        "spillover": list(events.spillover.channels) if events.spillover else None,
        "sample_id": events.sample_id,
        "file": events.file,
        "sha256": events.sha256,
    }
    matrix = events.spillover.matrix if events.spillover else np.empty((0, 0))
    np.savez(path, columns=few.columns, matrix=matrix, meta=json.dumps(meta))


def load_subsample(path: Path) -> Tube:
    """Return what `save_subsample` wrote, as events."""
    with np.load(path) as stored:
        meta = json.loads(str(stored["meta"]))
        columns, matrix = stored["columns"], stored["matrix"]
    spillover = Spillover(tuple(meta["spillover"]), matrix) if meta["spillover"] else None
    channels = tuple(Channel(**channel) for channel in meta["channels"])
    return Tube(columns, channels, spillover, meta["sample_id"], meta["file"], meta["sha256"])


@dataclass(frozen=True)
class MeasureJob:
    """Gate all events of a tube with its geometric gates and write its tables.

    Attributes
    ----------
    key
        Content key of everything the tables depend on.
    gates
        Drawn, or placed by `immunolab.workflow.place`.
    pairs
        (population, denominator) whose shared events are counted.
    memberships, views
        Whether events by population, and what a gating figure needs, are kept.
    """

    tube: TubeFile
    root: str
    key: str
    gates: TubeGates
    pairs: tuple[tuple[str, str], ...]
    memberships: bool
    views: bool = True


def measure(job: MeasureJob) -> str:
    """Write one sample's folder: its tables, gates and gate views; return the sample_id."""
    from immunolab.gating.exchange.gatingml_out import write_gatingml
    from immunolab.gating.tubes import gate_tube
    from immunolab.plots.gate_views import gate_views, save_views
    from immunolab.workflow.gate_file import write_memberships

    store, sample_id = Store(Path(job.root)), job.tube.sample_id
    gated = gate_tube(job.tube.read(), job.gates)

    def write(folder: Path) -> None:
        for table, rows in _tables(gated, job).items():
            table.write_rows(rows, folder / f"{table.name}.csv")
        write_gatingml(gated.on_channels(), folder / "gates.xml")
        if job.views:
            save_views(gate_views(gated.strategy, gated.tube, gated.memberships), folder / "views.npz")

    if job.memberships:
        write_memberships(gated, store.root)
    store.commit(sample_id, job.key, write)
    return sample_id


def _tables(gated: GatedTube, job: MeasureJob) -> dict[Table, list[dict[str, object]]]:
    from immunolab.quality.events import check_events, check_gates

    sample = {"sample_id": gated.sample_id}
    left_out = [f"{fault.place}: {fault.message}" for fault in gated.left_out]
    joints = gated.joint_counts(job.pairs)
    return {
        COUNTS: [vars(count) for count in gated.population_counts],
        THRESHOLDS: [vars(border) for border in gated.borders],
        INTENSITIES: [vars(intensity) for intensity in gated.median_intensities()],
        QUALITY: check_events(gated.tube) + check_gates(gated.sample_id, left_out),
        JOINT: [sample | {"population": name, "parent": of, "n_events": n} for (name, of), n in joints.items()],
        INTERVALS: [sample | vars(spread) for spread in job.gates.spreads],
        OTHER_GATINGS: [sample | vars(count) for count in job.gates.rule_counts],
    }
