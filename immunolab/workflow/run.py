"""A study from files to report: read, place, gate, quantify, cells, clinic, compare, write; resumable at every step."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Literal

from immunolab.cells.study_tables import agreement_tables
from immunolab.errors import InputError, Problem, nearest, unknown_words
from immunolab.gating.overrides import Override, read_overrides
from immunolab.input_files import recorded_inputs
from immunolab.progress import quietly
from immunolab.quantify import population_pairs
from immunolab.results.run import Run
from immunolab.schema.night_log import STAGES
from immunolab.study.endpoints import Endpoint
from immunolab.study.sheet import Study, read_study
from immunolab.workflow.bridge_beside import follows
from immunolab.workflow.bridge_tables import bridge_tables
from immunolab.workflow.clinic import Clinic, ClinicSources, clinic_of, intercurrent_of, read_clinic
from immunolab.workflow.compare import compare_study, under_estimand
from immunolab.workflow.derived_tables import derived_tables
from immunolab.workflow.label_cells import StudyCells, study_cells
from immunolab.workflow.night_log import logged_run, night_log
from immunolab.workflow.panels import PanelGates, read_panels
from immunolab.workflow.plan import PlanInPlace, content_of, plan_in_place, with_plan
from immunolab.workflow.quantify import quantify
from immunolab.workflow.remote import mirrored
from immunolab.workflow.run_state import RunState
from immunolab.workflow.run_value import clinic_tables, finished_run, scale_tables
from immunolab.workflow.spread import SpreadWork
from immunolab.workflow.store import RUN_LOG, Store, folder_fault, is_folder_fault
from immunolab.workflow.study_endpoints import study_endpoints
from immunolab.workflow.tubes import RunOptions, TubeResults, TubeSteps
from immunolab.workflow.unmeasured import Unmeasured, panel_names, unmeasured
from immunolab.workflow.worker_processes import kept_workers
from immunolab.workflow.write import write_results

log = logging.getLogger("immunolab")


@dataclass(frozen=True)
class _Inputs:
    """What a run is made of, read before its first tube; ``sources`` is None where the study has no clinical files."""

    study: Study
    store: Store
    options: RunOptions
    panels: Mapping[str, PanelGates]
    sources: ClinicSources | None
    plan: PlanInPlace
    overrides: tuple[Override, ...]


def run(
    study: Study | Path | str,
    *,
    out: Path | str,
    jobs: int = 1,
    scheduler: str = "",
    sample: str = "",
    memberships: bool = False,
    force: bool = False,
    tables_only: bool = False,
    definitions: Literal["default", "all"] = "default",
    allow_code: bool = False,
    seed: int = 0,
    quiet: bool = False,
) -> Run:
    """Run a study: gate, quantify, compare, and write tables, figures and report into a folder.

    Parameters
    ----------
    study
        A study, its study.yaml, or the folder that holds it; any fsspec path (``s3://BUCKET/study``).
    out
        Output folder, or its fsspec path; finished samples in it are kept while nothing they depend on has changed.
    jobs
        Tubes at once on this machine.
    scheduler
        Address of a Dask scheduler that takes the work on tubes instead.
    sample
        Compute this sample only; the report is made of it and of what earlier runs finished.
    memberships
        Also write which events are in which population.
    force
        Compute every sample again.
    tables_only
        Write tables and gates, no figure and no report.
    definitions
        ``all`` gates every published definition that the panel allows.
    allow_code
        Run the Python file that study.yaml names under ``methods_module``; it may do anything that you may.
    seed
        Seed of subsamples and resampling.
    quiet
        Show no bars and write no lines of progress. A run that is interrupted (Ctrl-C, the stop button of a notebook)
        keeps the samples that are finished; the same call goes on from them.

    Returns
    -------
    Run
        The same value that `read_run` returns later for the folder.

    Raises
    ------
    InputError
        The study has problems (all listed), there is no such sample or choice of definitions, another
        run is writing to the folder, or it cannot be written.
    """
    options = RunOptions(jobs, scheduler, sample, memberships, force, tables_only, definitions, allow_code, seed)
    with quietly(quiet), mirrored(study, out) as (here, folder):
        return _run(here, folder, options)


def _run(study: Study | Path | str, out: Path | str, options: RunOptions) -> Run:
    """Run a study that is on this machine into a folder of it."""
    found = study if isinstance(study, Study) else read_study(study)
    _check_choices(found, options.sample, options.definitions)
    with recorded_inputs(found.read) as read:
        panels = read_panels(found, options.definitions, allow_code=options.allow_code)
        sources = read_clinic(found)
        plan = plan_in_place(found)
        overrides = read_overrides(found.overrides)
    found = replace(found, read=read)
    store = Store(Path(out).absolute())
    try:
        planned = _stages(found, panels, options)
        state = RunState(found.name, len(found.samples), asdict(options), planned)
        with store.lock():
            store.claim(found.name)
            early = 0 if options.scheduler or (store.root / "tables").exists() else options.jobs
            with kept_workers(early), _logged(store.root), logged_run(store.root, state):
                store.sweep()
                return _steps(_Inputs(found, store, options, panels, sources, plan, overrides))
    except OSError as error:
        if is_folder_fault(error):
            raise folder_fault(error, store.root) from error
        raise


def _stages(study: Study, panels: Mapping[str, PanelGates], options: RunOptions) -> tuple[str, ...]:
    """Return the stages that a run of these choices has."""
    absent = {
        "fit": not any(panel.gates.needs_fit for panel in panels.values()) and not follows(study),
        "cells": not any(s.modality == "single_cell" for s in study.samples),
        "report": options.tables_only,
    }
    return tuple(stage for stage in STAGES if not absent.get(stage))


def run_study(source: Path | str, out: Path | str, options: RunOptions | None = None) -> Run:
    """Run a study with options in one record; see `run`.

    Parameters
    ----------
    source
        study.yaml or the folder that holds it.
    out
        Output folder.
    options
        See `RunOptions`.
    """
    return run(source, out=out, **asdict(options or RunOptions()))


def _check_choices(study: Study, sample: str, definitions: str) -> None:
    problems = unknown_words(definitions=(definitions, ("default", "all")))
    known = [s.sample_id for s in study.samples]
    if sample and sample not in known:
        hint = nearest(sample, known) or "samples are named by their sample_id in the sheet"
        problems.append(Problem("", "sample", f"unknown sample '{sample}'", hint))
    if problems:
        raise InputError(problems)


def _steps(inputs: _Inputs) -> Run:
    """Take every step in order."""
    study, store, options, panels = inputs.study, inputs.store, inputs.options, inputs.panels
    started, night = time.monotonic(), night_log()
    spread = SpreadWork(options.jobs, options.scheduler)
    clinic = clinic_of(study, inputs.sources) if inputs.sources else None
    endpoints = study_endpoints(study, panels)
    tubes = TubeSteps(study, store, panels, options, population_pairs(endpoints), inputs.overrides).run()
    with night.step("cells") if "cells" in night.state.planned else nullcontext():
        cells = study_cells(study, store, seed=options.seed, force=options.force, spread=spread)
    if cells.kept:
        log.info("single cells kept: nothing they depend on has changed")
    failures = {**tubes.failures, **cells.failures}
    with night.step("compare"):
        found = _compared(inputs, clinic, endpoints, tubes, cells, spread)
    found = with_plan(found, inputs.plan, content_of(study, panels, endpoints))
    done = [*tubes.computed, *tubes.kept]
    write_results(found, store, done, report=not options.tables_only, spread=spread)
    computed, kept = (*tubes.computed, *cells.computed), (*tubes.kept, *cells.kept)
    night.finish(computed=computed, kept=kept, failed=failures)
    log.info(
        "done after %.1f s: %d computed, %d kept, %d failed",
        time.monotonic() - started,
        len(computed),
        len(kept),
        len(failures),
    )
    return replace(found, computed=computed, kept=kept)


def _compared(
    inputs: _Inputs,
    clinic: Clinic | None,
    endpoints: tuple[Endpoint, ...],
    tubes: TubeResults,
    cells: StudyCells,
    spread: SpreadWork,
) -> Run:
    """Return the run as a value: what was measured, compared."""
    study, store, panels, sources = inputs.study, inputs.store, inputs.panels, inputs.sources
    failures = {**tubes.failures, **cells.failures}
    measured = quantify(study, store, endpoints, failures, clinic, cells.tables, inputs.overrides)
    measured = under_estimand(study, measured, intercurrent_of(study, sources))
    comparison = compare_study(study, measured, endpoints, store, spread)
    rows = set(measured.tables["endpoints"]["endpoint"])
    rows |= {endpoint.part_of for endpoint in measured.endpoints if endpoint.id in rows}
    without = [endpoint for endpoint in study.endpoints if endpoint.id not in rows]
    absent = unmeasured(without, study, panels, sources, panel_names(study, panels)) if without else Unmeasured()
    finished = finished_run(
        study,
        store,
        measured=measured,
        comparison=replace(comparison, notes=(*comparison.notes, *cells.tables.notes, *absent.sentences)),
        further={
            **scale_tables(tubes.panels),
            **clinic_tables(clinic, study),
            **derived_tables(comparison, measured, clinic, inputs.options.seed, study, spread),
            **bridge_tables(
                study,
                store,
                measured.bridges,
                tubes.bridged,
                {**measured.tables, **comparison.tables},
                endpoints,
                comparison.compared,
            ),
            **cells.tables.further,
            **(agreement_tables(measured.tables["endpoints"], measured.endpoints) if cells.tables.rows else {}),
        },
        panels=tubes.panels,
        hashes={**tubes.hashes, **cells.hashes},
        seed=inputs.options.seed,
        spread=spread,
    )
    return replace(finished, lacking=absent.lacking, said_with_endpoints=tuple(filter(None, (absent.never,))))


@contextmanager
def _logged(root: Path) -> Iterator[None]:
    """Append what is logged to run.log, each line with its time of day."""
    handler = logging.FileHandler(root / RUN_LOG, encoding="utf-8")
    handler.setFormatter(logging.Formatter("%(asctime)s %(message)s", "%Y-%m-%d %H:%M:%S"))
    log.addHandler(handler)
    level = log.level
    log.setLevel(logging.INFO)
    try:
        yield
    finally:
        log.removeHandler(handler)
        log.setLevel(level)
        handler.close()
