"""A study from files to report: prepare, fit, measure, compare, report; resumable at every step."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from immunolab.cells.study_tables import agreement_tables
from immunolab.errors import GatingError, InputError, Problem, nearest
from immunolab.gating.tube_gates import FailedPlacement, TubeGates
from immunolab.quantify import population_pairs
from immunolab.results.run import Run
from immunolab.schema.files import content_key
from immunolab.study.endpoints import Endpoint
from immunolab.study.sheet import Sample, Study, load_study
from immunolab.workflow.clinic import Clinic, clinic_of, read_clinic
from immunolab.workflow.compare import compare_study
from immunolab.workflow.derived_tables import further_tables
from immunolab.workflow.label_cells import study_cells
from immunolab.workflow.measure_tube import MeasureJob, measure
from immunolab.workflow.panels import PanelGates, read_panels
from immunolab.workflow.place import fit_group, fit_jobs, read_fit
from immunolab.workflow.progress import progress
from immunolab.workflow.quantify import place_of, quantify, study_endpoints
from immunolab.workflow.read_tube import SUBSAMPLE, Prepared, PrepareJob, TubeFile, prepare
from immunolab.workflow.store import Store, folder_fault, is_folder_fault
from immunolab.workflow.workers import MEMORY_PER_FILE_BYTE, Failure, Kind, Task, Workers, memory_budget, run_tasks
from immunolab.workflow.write import clinic_tables, finished_run, place_gates, report_run, write_tables

log = logging.getLogger("immunolab")


@dataclass(frozen=True)
class RunOptions:
    """What a user may choose about a run.

    Attributes
    ----------
    jobs : tubes at once on this machine.
    scheduler : address of a Dask scheduler that takes the per-tube work instead.
    sample : compute this sample only; the report rests on it and on what earlier runs finished.
    memberships : also write which events are in which population.
    force : compute every sample again.
    tables_only : write tables and gates, no figure and no report.
    definitions : ``default``, or ``all`` to gate every published definition that the panel allows.
    seed : of subsamples and resampling.
    """

    jobs: int = 1
    scheduler: str = ""
    sample: str = ""
    memberships: bool = False
    force: bool = False
    tables_only: bool = False
    definitions: str = "default"
    seed: int = 0


@dataclass
class _Work:
    """A run under way: what it works on, and the failures so far."""

    study: Study
    store: Store
    options: RunOptions
    panels: Mapping[str, PanelGates]
    clinic: Clinic | None
    endpoints: tuple[Endpoint, ...]
    failures: dict[str, Failure] = field(default_factory=dict)

    def run(self) -> Run:
        """Take every step in order."""
        started = time.monotonic()
        study, store, options = self.study, self.store, self.options
        tubes = {s.sample_id: _tube(s, self.panels[s.panel]) for s in study.samples if s.modality != "single_cell"}
        prepared = _prepare(self, tubes)
        computed, kept = _measure(self, tubes, prepared, _strategies(self, prepared))
        cells = study_cells(study, store, place_of, seed=options.seed, force=options.force)
        if cells.kept:
            log.info("single cells kept: nothing they depend on has changed")
        self.failures |= cells.failures
        measured = quantify(study, store, self.endpoints, self.failures, self.clinic, cells.tables)
        comparison = compare_study(study, measured, self.endpoints, store)
        derived = further_tables(
            comparison.comparisons, comparison.tables["pairs"], measured.endpoints, self.clinic, options.seed
        )
        agreement = agreement_tables(measured.tables["endpoints"]) if cells.tables.rows else {}
        found = finished_run(
            study,
            store,
            measured=measured,
            comparison=replace(comparison, notes=(*comparison.notes, *cells.tables.notes)),
            further=clinic_tables(self.clinic, study) | derived | dict(cells.tables.further) | agreement,
            panels=self.panels,
            hashes={name: tube.sha256 for name, tube in prepared.items()} | dict(cells.hashes),
            seed=options.seed,
        )
        write_tables(found)
        place_gates(store, [*computed, *kept])
        if not options.tables_only:
            report_run(found, store, jobs=options.jobs)
        log.info(
            "done after %.1f s: %d computed, %d kept, %d failed",
            time.monotonic() - started,
            len(computed),
            len(kept),
            len(self.failures),
        )
        return replace(found, computed=tuple(computed), kept=tuple(kept))

    def work(
        self, function: Any, tasks: Sequence[Task[Any]], kind: Kind, title: str
    ) -> Iterator[tuple[tuple[str, ...], Any]]:
        """Yield (samples, result) of the tasks that succeed; keep the failures."""
        pool = Workers(self.options.jobs, self.options.scheduler, memory_budget())
        for task, result in progress(run_tasks(function, tasks, pool, kind), len(tasks), title):
            if isinstance(result, Failure):
                log.info("%s failed in %s: %s", task.name, result.stage, result.error)
                for name in task.samples:
                    self.failures.setdefault(name, result)
            else:
                yield task.samples, result


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
    seed: int = 0,
) -> Run:
    """Run a study: gate, quantify, compare, and write tables, figures and report into a folder.

    Parameters
    ----------
    study
        A study, its study.yaml, or the folder that holds it.
    out
        Output folder; finished samples in it are kept while nothing they depend on has changed.
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
    seed
        Seed of subsamples and resampling.

    Returns
    -------
    Run
        The same value that `read_run` returns later for the folder.

    Raises
    ------
    InputError
        The study has problems (all listed), another run is writing to the folder, or it cannot be written.
    """
    options = RunOptions(jobs, scheduler, sample, memberships, force, tables_only, definitions, seed)
    read = study if isinstance(study, Study) else load_study(study)
    _check_sample(read, sample)
    panels = read_panels(read, definitions)
    sources = read_clinic(read)
    clinic = clinic_of(read, sources) if sources else None
    store = Store(Path(out).absolute())
    try:
        with store.lock(), _logged(store.root):
            store.sweep()
            return _Work(read, store, options, panels, clinic, study_endpoints(read, panels)).run()
    except OSError as error:
        if is_folder_fault(error):
            raise folder_fault(error, store.root) from error
        raise


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


def _check_sample(study: Study, sample: str) -> None:
    known = [s.sample_id for s in study.samples]
    if sample and sample not in known:
        hint = nearest(sample, known) or "samples are named by their sample_id in the sheet"
        raise InputError(Problem("", "--sample", f"unknown sample '{sample}'", hint))


def _tube(sample: Sample, panel: PanelGates) -> TubeFile:
    return TubeFile(sample.sample_id, str(sample.file), panel.markers, panel.spillover)


def _wanted(work: _Work) -> list[Sample]:
    """Return the flow samples whose files must be read: the chosen one's set, or all."""
    flow = [s for s in work.study.samples if s.modality != "single_cell"]
    if not work.options.sample:
        return flow
    chosen = [s.panel for s in flow if s.sample_id == work.options.sample]
    return [s for s in flow if s.panel in chosen]


def _prepare(work: _Work, tubes: Mapping[str, TubeFile]) -> dict[str, Prepared]:
    tasks = []
    for sample in _wanted(work):
        size = SUBSAMPLE if work.panels[sample.panel].gates.needs_fit else 0
        job = PrepareJob(tubes[sample.sample_id], str(work.store.root), size, work.options.seed)
        tasks.append(Task(sample.sample_id, "read", job, _cost(sample.file), (sample.sample_id,)))
    return {result.sample_id: result for _, result in work.work(prepare, tasks, "threads", "reading")}


def _cost(path: Path) -> int:
    return MEMORY_PER_FILE_BYTE * path.stat().st_size if path.exists() else 0


def _strategies(work: _Work, prepared: Mapping[str, Prepared]) -> dict[str, str | TubeGates]:
    """Return, for each sample, its strategy, or the folder that holds its fitted one."""
    found: dict[str, str | TubeGates] = {}
    pairs = population_pairs(work.endpoints)
    jobs = fit_jobs(work.study, work.panels, prepared, pairs, work.store, work.options.seed)
    if work.options.sample:
        jobs = [(names, job) for names, job in jobs if work.options.sample in names]
    tasks = [Task(", ".join(names), "fit", job, samples=names) for names, job in jobs]
    kind: Kind = "processes" if work.options.jobs > 1 and len(tasks) > 1 else "threads"
    for names, folder in work.work(fit_group, tasks, kind, "placing gates"):
        found |= dict.fromkeys(names, folder)
    for sample in _wanted(work):
        gates = work.panels[sample.panel].gates
        if sample.sample_id in prepared and not sample.control_of and not gates.needs_fit:
            fil = prepared[sample.sample_id].fil
            try:
                found[sample.sample_id] = gates.for_file(sample.file.name, fil)
            except GatingError as error:
                work.failures[sample.sample_id] = Failure("gate", error.message, error.hint)
    return found


def _measure(
    work: _Work,
    tubes: Mapping[str, TubeFile],
    prepared: Mapping[str, Prepared],
    strategies: Mapping[str, str | TubeGates],
) -> tuple[list[str], list[str]]:
    pairs = population_pairs(work.endpoints)
    tasks, kept = [], []
    for sample in work.study.samples:
        name = sample.sample_id
        if name not in strategies or (work.options.sample and name != work.options.sample):
            continue
        job = _measure_job(work, tubes[name], prepared[name], strategies[name], pairs)
        if job is None:
            continue
        reason = "--force" if work.options.force else work.store.stale(name, job.key)
        if not reason and work.options.memberships and not work.store.memberships(name).exists():
            reason = "its memberships are missing"
        if reason:
            log.info("%s computed: %s", name, reason)
            tasks.append(Task(name, "gate", job, _cost(Path(tubes[name].file)), (name,)))
        else:
            log.info("%s kept: nothing it depends on has changed", name)
            kept.append(name)
    kind: Kind = "processes" if work.options.jobs > 1 and len(tasks) > 1 else "threads"
    computed = sorted(name for _, name in work.work(measure, tasks, kind, "gating"))
    return computed, kept


def _measure_job(
    work: _Work, tube: TubeFile, prepared: Prepared, strategy: str | TubeGates, pairs: tuple[tuple[str, str], ...]
) -> MeasureJob | None:
    from immunolab.gating.record_codec import to_plain

    gates = read_fit(strategy, tube.sample_id) if isinstance(strategy, str) else strategy
    if isinstance(gates, FailedPlacement):
        work.failures[tube.sample_id] = Failure("fit", gates.message, gates.hint)
        return None
    views = not work.options.tables_only
    key = content_key({"tube": prepared.key, "gates": to_plain(gates), "pairs": pairs, "views": views})
    return MeasureJob(tube, str(work.store.root), key, gates, pairs, work.options.memberships, views)


@contextmanager
def _logged(root: Path) -> Iterator[None]:
    """Append what is logged to run.log, each line with its time of day."""
    handler = logging.FileHandler(root / "run.log", encoding="utf-8")
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
