"""The step of single cells: read, label, and keep what they add to the tables under the content it was made of."""

from __future__ import annotations

import io
import json
import logging
import os
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pandas as pd

from immunolab.cells.study_tables import CellTables, cell_tables, read_samples
from immunolab.errors import DataFileError, InputError
from immunolab.loaders.hdf5 import read_through
from immunolab.loaders.single_cell import join_cells
from immunolab.schema.files import content_key, input_sha256, write_atomically
from immunolab.schema.records import from_plain, record_types, to_plain
from immunolab.study import endpoints
from immunolab.study.sheet import Sample, Study
from immunolab.version import code_key
from immunolab.workflow.read_apart import failed_reading
from immunolab.workflow.spread import SpreadWork
from immunolab.workflow.store import Store
from immunolab.workflow.tasks import Failure, Task
from immunolab.workflow.workers import Workers, run_tasks

log = logging.getLogger("immunolab")
_FRAMES = ("counts", "thresholds", "quality")


@dataclass(frozen=True)
class StudyCells:
    """What a study's single cells come to: tables, failures and file hashes by sample, and whether they were kept.

    Attributes
    ----------
    computed, kept
        Samples that were labelled, now or in an earlier run.
    """

    tables: CellTables = field(default_factory=CellTables)
    failures: Mapping[str, Failure] = field(default_factory=dict)
    hashes: Mapping[str, str] = field(default_factory=dict)
    computed: tuple[str, ...] = ()
    kept: tuple[str, ...] = ()


def study_cells(
    study: Study,
    store: Store,
    *,
    seed: int = 0,
    force: bool = False,
    spread: SpreadWork | None = None,
) -> StudyCells:
    """Return what single cells add to a study's tables; labelled again only when something they depend on changed.

    Parameters
    ----------
    study
        The study.
    store
        Its output folder.
    seed
        Of every random draw.
    force
        Label again in any case.
    spread
        Where they are labelled, all samples together, so that every border is placed once: here where None.
    """
    samples = [s for s in study.samples if s.modality == "single_cell" and not s.control_of]
    if not samples:
        return StudyCells()
    contents = {s.sample_id: input_sha256(s.file) for s in samples if s.file.exists()}
    flow = any(s.modality != "single_cell" and not s.control_of for s in study.samples)
    where = [study.place_of(s) | {"sample": s.sample_id, "file": s.file.name, "sorted": s.sorted_as} for s in samples]
    chosen = study.single_cells
    parts = {
        "files": contents,
        "where": where,
        "design": _design(study),
        "flow": flow,
        "reference": input_sha256(chosen.reference) if chosen.reference else "",
        "labels": chosen.labels,
        "seed": seed,
        "code": code_key(),
    }
    record = store.cached("cells", content_key(parts), ".zip")
    if record.exists() and not force:
        return StudyCells(_read(record), hashes=contents, kept=tuple(s.sample_id for s in samples))
    spread = replace(spread or SpreadWork(), stage="cells", what="label", title="")
    unread = _damaged(samples, spread.jobs)
    sound = tuple(s for s in samples if s.sample_id not in unread)
    if spread.scheduler:  # a worker elsewhere has another working directory
        sound = tuple(replace(s, file=Path(os.path.abspath(s.file))) for s in sound)
        if chosen.reference:
            study = replace(study, single_cells=replace(chosen, reference=Path(os.path.abspath(chosen.reference))))
    (labelled,) = spread(_labelled, [_LabelJob(study, sound, contents, seed)])
    failures = {name: Failure("read", error.message, error.hint) for name, error in (unread | labelled.unread).items()}
    if labelled.tables is None:
        return StudyCells(failures=failures)
    for note in labelled.tables.notes:
        log.info("single cells: %s", note)
    if not failures:
        write_atomically(record, lambda part: _write(labelled.tables, part))
    computed = tuple(s.sample_id for s in samples if s.sample_id not in failures)
    return StudyCells(labelled.tables, failures, contents, computed)


@dataclass(frozen=True)
class _LabelJob:
    """The samples whose cells are labelled together, and the content their files must have."""

    study: Study
    samples: tuple[Sample, ...]
    contents: Mapping[str, str]
    seed: int


@dataclass(frozen=True)
class _Labelled:
    """What labelling adds to the tables, None where no sample could be read, and why those that could not."""

    tables: CellTables | None
    unread: Mapping[str, DataFileError]


def _labelled(job: _LabelJob) -> _Labelled:
    """Read and label cells; a sample that cannot be read, or whose file changes meanwhile, is left out."""
    cells, unread = read_samples(job.samples)
    changed = _changed(job.samples, job.contents)
    unread = unread | changed
    cells = {name: found for name, found in cells.items() if name not in changed}
    if not cells:
        return _Labelled(None, unread)
    kept = [s for s in job.samples if s.sample_id in cells]
    try:
        tables = cell_tables(job.study, kept, join_cells(list(cells.values())), seed=job.seed)
    except InputError as error:  # of the reference: the study's tubes are not lost with it
        why = DataFileError("; ".join(p.message for p in error.problems), str(job.study.single_cells.reference or ""))
        return _Labelled(None, unread | dict.fromkeys((s.sample_id for s in kept), why))
    return _Labelled(tables, unread)


def _design(study: Study) -> Any:
    """Return what is asked of the cells, wherever the trial's file is."""
    trial = replace(study.trial, file="") if study.trial else None
    return to_plain([study.endpoints, study.comparison, trial])


def _damaged(samples: Sequence[Sample], jobs: int) -> dict[str, DataFileError]:
    """Return an error for each sample whose file cannot be read through; a process of its own finds out."""
    of_file: dict[str, list[str]] = {}
    for sample in samples:
        of_file.setdefault(str(sample.file), []).append(sample.sample_id)
    tasks = [Task(file, "read", file, samples=tuple(names)) for file, names in of_file.items()]
    found = {task.argument: result for task, result in run_tasks(read_through, tasks, Workers(jobs), "processes")}
    return {
        s.sample_id: failed_reading(why, str(s.file)) for s in samples if isinstance(why := found[str(s.file)], Failure)
    }


def _changed(samples: Sequence[Sample], contents: Mapping[str, str]) -> dict[str, DataFileError]:
    """Return an error for each sample whose file no longer holds what it held before it was read."""
    now = {file: input_sha256(file) for file in {s.file for s in samples if s.sample_id in contents}}
    return {
        s.sample_id: DataFileError("the file changed during the run", str(s.file), "run again when it is complete")
        for s in samples
        if s.sample_id in contents and now[s.file] != contents[s.sample_id]
    }


def _write(tables: CellTables, path: Path) -> None:
    frames = {name: getattr(tables, name) for name in _FRAMES} | dict(tables.further)
    rest = {"rows": tables.rows, "endpoints": to_plain(tables.endpoints), "notes": tables.notes}
    with zipfile.ZipFile(path, "w") as archive:
        for name, frame in frames.items():
            archive.writestr(zipfile.ZipInfo(f"{name}.parquet"), frame.to_parquet(index=False))  # without a time
        archive.writestr(zipfile.ZipInfo("rest.json"), json.dumps(rest, default=lambda value: value.item()))


def _read(path: Path) -> CellTables:
    with zipfile.ZipFile(path) as archive:
        rest = json.loads(archive.read("rest.json"))
        names = [name.removesuffix(".parquet") for name in archive.namelist() if name.endswith(".parquet")]
        frames = {name: pd.read_parquet(io.BytesIO(archive.read(f"{name}.parquet"))) for name in names}
    return CellTables(
        **{name: frames.pop(name) for name in _FRAMES},
        rows=tuple(rest["rows"]),
        endpoints=from_plain(rest["endpoints"], record_types(endpoints)),
        further=frames,
        notes=tuple(rest["notes"]),
    )
