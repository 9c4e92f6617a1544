"""A study from files to report: prepare, fit, measure, compare, report; resumable at every step."""

from __future__ import annotations

import json
import logging
import shutil
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from immunolab.errors import GatingError, InputError, Problem, nearest
from immunolab.gating.tube_gates import FailedPlacement, TubeGates
from immunolab.quantify import population_pairs
from immunolab.report.page import write_report
from immunolab.report.run_tables import RunTables
from immunolab.schema.files import content_key, file_sha256, write_atomically
from immunolab.study.sheet import Sample, Study, load_study
from immunolab.version import VERSION
from immunolab.workflow.clinic import Clinic, clinic_of, read_clinic
from immunolab.workflow.collect import finish, place_of, study_endpoints
from immunolab.workflow.label_cells import study_cells
from immunolab.workflow.panels import PanelGates, read_panels
from immunolab.workflow.place import fit_group, fit_jobs, read_fit
from immunolab.workflow.progress import progress
from immunolab.workflow.store import Store, folder_fault, is_folder_fault
from immunolab.workflow.tube_steps import SUBSAMPLE, MeasureJob, Prepared, PrepareJob, TubeFile, measure, prepare
from immunolab.workflow.workers import MEMORY_PER_FILE_BYTE, Failure, Kind, Task, Workers, memory_budget, run_tasks

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


@dataclass(frozen=True)
class Outcome:
    """Samples computed, kept from an earlier run and failed; where the report is (None with ``tables_only``)."""

    computed: tuple[str, ...]
    kept: tuple[str, ...]
    failed: tuple[str, ...]
    report: Path | None


@dataclass
class _Run:
    study: Study
    store: Store
    options: RunOptions
    panels: Mapping[str, PanelGates]
    clinic: Clinic | None
    failures: dict[str, Failure] = field(default_factory=dict)

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


def run_study(source: Path | str, out: Path | str, options: RunOptions | None = None) -> Outcome:
    """Run a study and write its tables, figures and report into a folder.

    Parameters
    ----------
    source : study.yaml or the folder that holds it.
    out : output folder; finished samples in it are kept while their content key holds.
    options : see `RunOptions`.

    Raises
    ------
    InputError
        The study has problems (all listed), another run holds the folder, or it cannot be written.
    """
    chosen = options or RunOptions()
    study = load_study(source)
    _check_sample(study, chosen.sample)
    panels = read_panels(study, chosen.definitions)
    sources = read_clinic(study)
    clinic = clinic_of(study, sources) if sources else None
    store = Store(Path(out))
    try:
        with store.lock(), _logged(store.root):
            store.sweep()
            return _run(_Run(study, store, chosen, panels, clinic))
    except OSError as error:
        if is_folder_fault(error):
            raise folder_fault(error, store.root) from error
        raise


def _run(run: _Run) -> Outcome:
    started = time.monotonic()
    tubes = {s.sample_id: _tube(s, run.panels[s.panel]) for s in run.study.samples if s.modality != "single_cell"}
    prepared = _prepare(run, tubes)
    strategies = _strategies(run, prepared)
    computed, kept = _measure(run, tubes, prepared, strategies)
    hashes = {name: tube.sha256 for name, tube in prepared.items()}
    cells = study_cells(run.study, run.store, place_of, seed=run.options.seed, force=run.options.force)
    if cells.kept:
        log.info("single cells kept: nothing they depend on has changed")
    run.failures |= cells.failures
    hashes |= cells.hashes
    tables = finish(run.study, run.store, run.panels, run.failures, run.clinic, hashes, run.options.seed, cells.tables)
    _place_gates(run.store, [*computed, *kept])
    report = None if run.options.tables_only else _report(tables, run.store, run.options.jobs)
    log.info(
        "done after %.1f s: %d computed, %d kept, %d failed",
        time.monotonic() - started,
        len(computed),
        len(kept),
        len(run.failures),
    )
    failed = tuple(s.sample_id for s in run.study.samples if s.sample_id in run.failures)
    return Outcome(tuple(computed), tuple(kept), failed, report)


def _check_sample(study: Study, sample: str) -> None:
    known = [s.sample_id for s in study.samples]
    if sample and sample not in known:
        hint = nearest(sample, known) or "samples are named by their sample_id in the sheet"
        raise InputError(Problem("", "--sample", f"unknown sample '{sample}'", hint))


def _tube(sample: Sample, panel: PanelGates) -> TubeFile:
    return TubeFile(sample.sample_id, str(sample.file), panel.markers, panel.spillover)


def _wanted(run: _Run) -> list[Sample]:
    """Return the flow samples whose files must be read: the chosen one's set, or all."""
    flow = [s for s in run.study.samples if s.modality != "single_cell"]
    if not run.options.sample:
        return flow
    chosen = [s.panel for s in flow if s.sample_id == run.options.sample]
    return [s for s in flow if s.panel in chosen]


def _prepare(run: _Run, tubes: Mapping[str, TubeFile]) -> dict[str, Prepared]:
    tasks = []
    for sample in _wanted(run):
        size = SUBSAMPLE if run.panels[sample.panel].gates.needs_fit else 0
        job = PrepareJob(tubes[sample.sample_id], str(run.store.root), size, run.options.seed)
        tasks.append(Task(sample.sample_id, "read", job, _cost(sample.file), (sample.sample_id,)))
    return {result.sample_id: result for _, result in run.work(prepare, tasks, "threads", "reading")}


def _cost(path: Path) -> int:
    return MEMORY_PER_FILE_BYTE * path.stat().st_size if path.exists() else 0


def _strategies(run: _Run, prepared: Mapping[str, Prepared]) -> dict[str, str | TubeGates]:
    """Return, for each sample, its strategy, or the folder that holds its fitted one."""
    found: dict[str, str | TubeGates] = {}
    pairs = population_pairs(study_endpoints(run.study, run.panels))
    jobs = fit_jobs(run.study, run.panels, prepared, pairs, run.store, run.options.seed)
    if run.options.sample:
        jobs = [(names, job) for names, job in jobs if run.options.sample in names]
    tasks = [Task(", ".join(names), "fit", job, samples=names) for names, job in jobs]
    kind: Kind = "processes" if run.options.jobs > 1 and len(tasks) > 1 else "threads"
    for names, folder in run.work(fit_group, tasks, kind, "placing gates"):
        found |= dict.fromkeys(names, folder)
    for sample in _wanted(run):
        gates = run.panels[sample.panel].gates
        if sample.sample_id in prepared and not sample.control_of and not gates.needs_fit:
            fil = prepared[sample.sample_id].fil
            try:
                found[sample.sample_id] = gates.for_file(sample.file.name, fil)
            except GatingError as error:
                run.failures[sample.sample_id] = Failure("gate", error.message, error.hint)
    return found


def _measure(
    run: _Run,
    tubes: Mapping[str, TubeFile],
    prepared: Mapping[str, Prepared],
    strategies: Mapping[str, str | TubeGates],
) -> tuple[list[str], list[str]]:
    pairs = population_pairs(study_endpoints(run.study, run.panels))
    tasks, kept = [], []
    for sample in run.study.samples:
        name = sample.sample_id
        if name not in strategies or (run.options.sample and name != run.options.sample):
            continue
        job = _measure_job(run, tubes[name], prepared[name], strategies[name], pairs)
        if job is None:
            continue
        reason = "--force" if run.options.force else run.store.stale(name, job.key)
        if not reason and run.options.memberships and not (run.store.root / "memberships" / f"{name}.parquet").exists():
            reason = "its memberships are missing"
        if reason:
            log.info("%s computed: %s", name, reason)
            tasks.append(Task(name, "gate", job, _cost(Path(tubes[name].file)), (name,)))
        else:
            log.info("%s kept: nothing it depends on has changed", name)
            kept.append(name)
    kind: Kind = "processes" if run.options.jobs > 1 and len(tasks) > 1 else "threads"
    computed = sorted(name for _, name in run.work(measure, tasks, kind, "gating"))
    return computed, kept


def _measure_job(
    run: _Run, tube: TubeFile, prepared: Prepared, strategy: str | TubeGates, pairs: tuple[tuple[str, str], ...]
) -> MeasureJob | None:
    from immunolab.gating.record_codec import to_plain

    gates = read_fit(strategy, tube.sample_id) if isinstance(strategy, str) else strategy
    if isinstance(gates, FailedPlacement):
        run.failures[tube.sample_id] = Failure("fit", gates.message, gates.hint)
        return None
    views = not run.options.tables_only
    key = content_key({"tube": prepared.key, "gates": to_plain(gates), "pairs": pairs, "views": views})
    return MeasureJob(tube, str(run.store.root), key, gates, pairs, run.options.memberships, views)


def _report(tables: RunTables, store: Store, jobs: int) -> Path:
    """Write the report, unless it stands and nothing it is made of has changed."""
    sources = [*store.root.glob("tables/*.csv"), *store.root.glob("samples/*/views.npz"), *store.root.glob("gates/*")]
    parts = {str(path.relative_to(store.root)): file_sha256(path) for path in sorted(sources)}
    rest = [tables.study.name, tables.inputs, tables.compared, tables.findings, tables.notes, tables.seed, VERSION]
    record = store.cached("report", content_key({"files": parts, "rest": repr(rest)}), ".json")
    if record.exists():
        made = json.loads(record.read_text(encoding="utf-8"))
        if all((store.root / name).is_file() and file_sha256(store.root / name) == sha for name, sha in made.items()):
            log.info("report kept: nothing it is made of has changed")
            return store.root / "report.html"
    page = write_report(tables, store.root, jobs=jobs)
    written = [
        page,
        store.root / "manifest.json",
        *store.root.glob("figures/*"),
        *store.root.glob("samples/*/gating.png"),
    ]
    hashes = {str(path.relative_to(store.root)): file_sha256(path) for path in sorted(written)}
    write_atomically(record, lambda part: part.write_text(json.dumps(hashes, indent=1), encoding="utf-8"))
    return page


def _place_gates(store: Store, samples: Iterable[str]) -> None:
    target = store.root / "gates"
    target.mkdir(exist_ok=True)
    for path in target.glob("*.xml"):
        if not (store.sample_folder(path.stem) / "gates.xml").exists():
            path.unlink()
    for name in samples:
        shutil.copyfile(store.sample_folder(name) / "gates.xml", target / f"{name}.xml")


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
