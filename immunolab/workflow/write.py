"""Step: the run as a value, written: its tables as CSV, its record, its gates and its report."""

from __future__ import annotations

import json
import logging
import os
import shutil
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import pandas as pd

from immunolab.comparison.response_tests import tests_of_study
from immunolab.errors import ImmunolabError
from immunolab.report.page import write_report
from immunolab.results.record import as_read_back, write_run
from immunolab.results.run import Run
from immunolab.schema.files import content_key, file_sha256, write_atomically
from immunolab.schema.gating import SCALES
from immunolab.schema.tables import declared
from immunolab.study.sheet import Study
from immunolab.version import library_versions
from immunolab.workflow.clinic import Clinic
from immunolab.workflow.compare import StudyComparison
from immunolab.workflow.panels import PanelGates
from immunolab.workflow.quantify import Quantified
from immunolab.workflow.scales import scale_rows
from immunolab.workflow.store import Store
from immunolab.workflow.workers import Failure, Task, Workers, run_tasks

log = logging.getLogger("immunolab")


def finished_run(
    study: Study,
    store: Store,
    *,
    measured: Quantified,
    comparison: StudyComparison,
    further: Mapping[str, pd.DataFrame],
    panels: Mapping[str, PanelGates],
    hashes: Mapping[str, str],
    seed: int,
) -> Run:
    """Return a run as a value.

    Parameters
    ----------
    study
        The study as read.
    store
        The run's folder.
    measured, comparison
        What was measured, and how it compares.
    further
        Tables beyond those, by name.
    panels
        Gates by panel name.
    hashes
        Sha256 of the file of every sample that could be read.
    seed
        Seed of every random draw.
    """
    # a file that is not in the record was not read (of a panel without samples), so that no number is from it
    inputs = {study.relative(path): study.read.get(os.path.abspath(path)) or file_sha256(path) for path in study.files}
    inputs |= {study.relative(s.file): hashes[s.sample_id] for s in study.samples if s.sample_id in hashes}
    run = Run(
        study=_kept(replace(study, endpoints=measured.endpoints)),
        folder=store.root,
        tables={**measured.tables, **comparison.tables, **further},
        compared=comparison.compared,
        findings=comparison.findings,
        notes=comparison.notes,
        strategies={name: p.gates.declared for name, p in panels.items() if p.gates.declared is not None},
        inputs=dict(sorted(inputs.items())),
        seed=seed,
        versions=library_versions(),
    )
    return as_read_back(run)


def _kept(study: Study) -> Study:
    """Return a study as its run keeps it: without dates, and of further columns only the trial's subgroups."""
    wanted = study.trial.subgroups if study.trial else ()
    samples = (replace(s, date=None, extra={k: v for k, v in s.extra.items() if k in wanted}) for s in study.samples)
    doses = {patient: replace(given, first_date=None) for patient, given in study.doses.items()}
    return replace(study, samples=tuple(samples), doses=doses, read={})


def clinic_tables(clinic: Clinic | None, study: Study) -> dict[str, pd.DataFrame]:
    """Return the tables of what the clinic measured; none for a study without measurements.

    Parameters
    ----------
    clinic
        The clinical side of the study, where it has one.
    study
        The study as read.
    """
    if clinic is None or not (study.measurements or len(clinic.measurements)):
        return {}
    optional = {"components": clinic.components, "context": clinic.context, "responses": clinic.responses}
    optional |= {"event_counts": clinic.event_counts, "response_tests": tests_of_study(clinic.responses, study)}
    found = {"measurements": clinic.measurements, "scores": clinic.scores, "responders": clinic.responders}
    return found | {name: table for name, table in optional.items() if len(table)}


def scale_tables(panels: Mapping[str, PanelGates]) -> dict[str, pd.DataFrame]:
    """Return the table of the scales that data chose; none where the strategies name theirs.

    Parameters
    ----------
    panels
        Gates by panel name, on the scales of the study.
    """
    rows = list(scale_rows({name: panel.gates for name, panel in panels.items()}))
    return {SCALES.name: SCALES.frame(rows)} if rows else {}


def write_tables(run: Run) -> None:
    """Write every table of a run as CSV into ``tables/``, and the run's record beside it.

    Parameters
    ----------
    run
        The finished run.
    """
    folder = run.folder / "tables"
    shutil.rmtree(folder, ignore_errors=True)
    for name, table in run.tables.items():
        declared(name).write_as_given(table, folder / f"{name}.csv")
    write_run(run)


def place_gates(store: Store, samples: Iterable[str]) -> None:
    """Copy the gates of samples into ``gates/`` and remove those of samples that are no longer there.

    Parameters
    ----------
    store
        The run's folder.
    samples
        Ids of the samples that were computed or kept.
    """
    target = store.root / "gates"
    target.mkdir(exist_ok=True)
    for path in target.glob("*.xml"):
        if not (store.sample_folder(path.stem) / "gates.xml").exists():
            path.unlink()
    for name in samples:
        shutil.copyfile(store.sample_folder(name) / "gates.xml", target / f"{name}.xml")


def report_run(run: Run, store: Store, *, jobs: int = 1) -> None:
    """Write the report, unless it is there and nothing it is made of has changed.

    Parameters
    ----------
    run
        The finished run, its tables and gates written.
    store
        The run's folder.
    jobs
        Figures drawn at once.
    """
    root = store.root
    sources = [*root.glob("tables/*.csv"), *root.glob("samples/*/views.npz"), *root.glob("gates/*")]
    parts = {str(path.relative_to(root)): file_sha256(path) for path in sorted(sources)}
    record = store.cached("report", content_key({"files": parts, "run": run.record()}), ".json")
    if record.exists():
        made = json.loads(record.read_text(encoding="utf-8"))
        if all((root / name).is_file() and file_sha256(root / name) == sha for name, sha in made.items()):
            log.info("report kept: nothing it is made of has changed")
            return
    page = write_report(run, apply=partial(_in_processes, jobs) if jobs > 1 else map)
    written = [page, root / "manifest.json", *root.glob("figures/*"), *root.glob("samples/*/gating.png")]
    hashes = {str(path.relative_to(root)): file_sha256(path) for path in sorted(written)}
    write_atomically(record, lambda part: part.write_text(json.dumps(hashes, indent=1), encoding="utf-8"))


def _in_processes(jobs: int, function: Callable[[Any], Any], items: Iterable[Any]) -> list[Any]:
    """Return the function of each item, in order; a worker that dies costs its own item a second try."""
    tasks = [Task(f"figure {i}", "report", item) for i, item in enumerate(items, start=1)]
    found = {task.name: result for task, result in run_tasks(function, tasks, Workers(jobs), "processes")}
    failed = [f"{name}: {result.error}" for name, result in found.items() if isinstance(result, Failure)]
    if failed:
        raise ImmunolabError("figures cannot be drawn: " + "; ".join(sorted(failed)), hint="run again with --jobs 1")
    return [found[task.name] for task in tasks]
