"""Steps on tubes: read each, place the gates of a study, gate and measure each; finished ones are kept."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from immunolab.errors import GatingError
from immunolab.gating.record_codec import to_plain
from immunolab.gating.tube_gates import FailedPlacement, RuleCount, TubeGates
from immunolab.schema.across_tubes import LANDMARKS
from immunolab.schema.bridges import BEADS, BRIDGE_ERROR, BRIDGE_FOLLOWS
from immunolab.schema.files import content_key
from immunolab.schema.gating import (
    COUNTS,
    INTENSITIES,
    INTERVALS,
    JOINT,
    OTHER_GATINGS,
    QUALITY,
    REMOVED_STRETCHES,
    THRESHOLDS,
    UNCLEANED_COUNTS,
)
from immunolab.study.sheet import Sample, Study
from immunolab.workflow.bridge import Bridged, follow_bridges
from immunolab.workflow.cluster import run_on_cluster
from immunolab.workflow.follow_study import follow_group, follow_jobs
from immunolab.workflow.night_log import night_log
from immunolab.workflow.panels import PanelGates
from immunolab.workflow.place import FitJob, fit_group, fit_jobs, jobs_again
from immunolab.workflow.placed_files import read_placed
from immunolab.workflow.progress import named, stage_progress
from immunolab.workflow.read_tube import SUBSAMPLE, Prepared, PrepareJob, TubeFile, prepare
from immunolab.workflow.scales import events_decide, scaled_panels
from immunolab.workflow.store import Store
from immunolab.workflow.tasks import Failure, Task
from immunolab.workflow.workers import MEMORY_PER_FILE_BYTE, Kind, Workers, memory_budget, run_tasks

if TYPE_CHECKING:
    from immunolab.events.tube import Tube
    from immunolab.gating.tubes import GatedTube
    from immunolab.quality.steadiness import Steadiness
    from immunolab.schema.table import Table

log = logging.getLogger("immunolab")


@dataclass(frozen=True)
class _MeasureJob:
    """Gate all events of a tube with its geometric gates and write its tables.

    Attributes
    ----------
    key
        Content key of everything the tables depend on.
    gates
        Drawn, or placed by `immunolab.workflow.place`.
    pairs
        (population, denominator) whose shared events are counted.
    memberships
        Whether events by population are kept.
    beads
        Beads in the tube, microlitres stained, the lot's error in percent; empty where the sheet declares no beads.
    """

    tube: TubeFile
    root: str
    key: str
    gates: TubeGates
    pairs: tuple[tuple[str, str], ...]
    memberships: bool
    beads: tuple[float | None, ...] = ()


@dataclass(frozen=True)
class _Measured:
    """A tube that was gated, and its events."""

    sample_id: str
    n_events: int


def _measure(job: _MeasureJob) -> _Measured:
    """Write one sample's folder: its tables, gates and gate views.

    The views are kept without a report too: they cost a fifth of gating, and a later report the reading of every tube.
    """
    from immunolab.gating.exchange.gatingml_out import write_gatingml
    from immunolab.gating.record_codec import to_plain
    from immunolab.gating.tubes import gate_tube
    from immunolab.plots.gate_views import gate_views, save_views
    from immunolab.quality.clean import without
    from immunolab.quality.staining_sample import STAINING_EVENTS, staining_sample
    from immunolab.quality.steadiness import steadiness
    from immunolab.results.tube import GATES

    store, sample_id = Store(Path(job.root)), job.tube.sample_id
    whole = job.tube.read_whole()
    run = steadiness(whole)
    gated = gate_tube(without(whole, run) if job.tube.clean else whole, job.gates)

    def write(folder: Path) -> None:
        for table, rows in _tables(gated, whole, run, job).items():
            table.write_rows(rows, folder / f"{table.name}.csv")
        write_gatingml(gated.on_channels(), folder / "gates.xml")
        (folder / GATES).write_text(json.dumps(to_plain(job.gates)), encoding="utf-8")
        staining_sample(gated.tube).save(folder / STAINING_EVENTS)
        save_views(gate_views(gated.strategy, gated.tube, gated.memberships), folder / "views.npz")
        _save_course(whole, run, folder)

    store.commit(sample_id, job.key, write, _memberships(gated) if job.memberships else None)
    return _Measured(sample_id, len(gated.tube))


def _save_course(whole: Tube, run: Steadiness, folder: Path) -> None:
    """Draw the run of a tube that was not steady, for the report; of the others there is nothing to see."""
    from immunolab.quality.steadiness import LEAST_SHIFT

    if run.off or run.drift > LEAST_SHIFT:
        from immunolab.plots.steadiness import course_png
        from immunolab.results.tube import COURSE

        (folder / COURSE).write_bytes(course_png(whole, run))


def _memberships(gated: GatedTube) -> pd.DataFrame:
    """Return which events are in which population, one row an event of the file: those that were cut are in none."""
    frame = gated.memberships_frame()
    if not gated.tube.removed:
        return frame
    return pd.DataFrame({name: gated.tube.in_file(column.to_numpy()) for name, column in frame.items()}, copy=False)


def _tables(gated: GatedTube, whole: Tube, run: Steadiness, job: _MeasureJob) -> dict[Table, list[dict[str, object]]]:
    from immunolab.quality.beads import bead_row, check_beads
    from immunolab.quality.clean import removed_rows
    from immunolab.quality.events import check_events, check_gates
    from immunolab.quality.landmarks import landmark_rows

    sample = {"sample_id": gated.sample_id}
    left_out = [f"{fault.place}: {fault.message}" for fault in gated.left_out]
    joints = gated.joint_counts(job.pairs)
    beads = [bead_row(gated.sample_id, gated.tube, *job.beads)] if job.beads else []
    checks = check_events(whole, run, gated.tube) + check_gates(gated.sample_id, left_out)
    return {
        LANDMARKS: list(landmark_rows(gated.tube, gated.named_masks)),
        COUNTS: [vars(count) for count in gated.population_counts],
        THRESHOLDS: [vars(border) for border in gated.borders],
        INTENSITIES: [vars(intensity) for intensity in gated.median_intensities()],
        QUALITY: checks + [check_beads(row) for row in beads],
        BEADS: beads,
        REMOVED_STRETCHES: removed_rows(gated.tube),
        UNCLEANED_COUNTS: _uncleaned(gated, whole, job) if gated.tube.removed else [],
        JOINT: [sample | {"population": name, "parent": of, "n_events": n} for (name, of), n in joints.items()],
        INTERVALS: [sample | vars(spread) for spread in job.gates.spreads],
        OTHER_GATINGS: [sample | vars(count) for count in (*job.gates.rule_counts, *_bridged_counts(gated, job))],
    }


def _uncleaned(gated: GatedTube, whole: Tube, job: _MeasureJob) -> list[dict[str, object]]:
    """Return the counts of all events of a cleaned tube, under the gates of its cleaned events."""
    from immunolab.gating.tubes import gate_tube

    names = ("sample_id", "population", "parent", "path", "n_events", "n_parent", "percent_of_parent")
    after = {count.path: count.percent_of_parent for count in gated.population_counts}
    return [
        {name: getattr(count, name) for name in names} | {"percent_after_cleaning": after[count.path]}
        for count in gate_tube(whole, job.gates).population_counts
    ]


def _bridged_counts(gated: GatedTube, job: _MeasureJob) -> list[RuleCount]:
    """Return what a tube counts with borders that follow the bridging control; nothing where none do."""
    from immunolab.gating.tubes import gate_tube

    gates = job.gates
    if gates.bridged is not None:
        gated = gate_tube(gated.tube, TubeGates(gates.bridged))
    elif not gates.bridge_anchor:
        return []
    found = _rule_counts(BRIDGE_FOLLOWS, gated, job)
    for marker, strategy in gates.bridged_further:
        found += _rule_counts(BRIDGE_ERROR, gate_tube(gated.tube, TubeGates(strategy)), job, marker)
    return found


def _rule_counts(rule: str, gated: GatedTube, job: _MeasureJob, marker: str | None = None) -> list[RuleCount]:
    sizes = {name: int(mask.sum()) for name, mask in gated.named_masks.items()}
    return [
        RuleCount(rule, name, parent, n, sizes[parent], marker)
        for (name, parent), n in gated.joint_counts(job.pairs).items()
        if not (gated.is_withheld(name) or gated.is_withheld(parent))
    ]


@dataclass(frozen=True)
class RunOptions:
    """What a user may choose about a run, see `workflow.run.run`."""

    jobs: int = 1
    scheduler: str = ""
    sample: str = ""
    memberships: bool = False
    force: bool = False
    tables_only: bool = False
    definitions: str = "default"
    allow_code: bool = False
    seed: int = 0


@dataclass(frozen=True)
class TubeResults:
    """What became of a study's tubes.

    Attributes
    ----------
    computed, kept
        Samples that were measured now, and those whose tables were up to date.
    hashes
        Sha256 of the file of every tube that could be read, by sample.
    failures
        By sample.
    panels
        The panels, on the scales that the study's tubes chose.
    bridged
        What following the bridging controls gave.
    """

    computed: tuple[str, ...]
    kept: tuple[str, ...]
    hashes: Mapping[str, str]
    failures: Mapping[str, Failure]
    panels: Mapping[str, PanelGates]
    bridged: Bridged


@dataclass(frozen=True)
class TubeSteps:
    """The steps on the tubes of one run.

    Attributes
    ----------
    study, store, panels, options
        What is run, where, with which gates, and how.
    pairs
        (population, denominator) whose shared events are counted.
    """

    study: Study
    store: Store
    panels: Mapping[str, PanelGates]
    options: RunOptions
    pairs: tuple[tuple[str, str], ...]

    def run(self) -> TubeResults:
        """Read, place and measure; a sample that fails stops no other."""
        prepared, unread = self._read()
        scaled = replace(self, panels=scaled_panels(self.study, self.panels, prepared))
        gates, unplaced = scaled._place(prepared)
        bridged = follow_bridges(self.study, scaled.panels, prepared, gates)
        jobs, kept = self._jobs(prepared, bridged.gates)
        measured, unmeasured = self._work(_measure, jobs, self._kind(jobs), "gating")
        computed = tuple(sorted(one.sample_id for _, one in measured))
        hashes = {name: tube.sha256 for name, tube in prepared.items()}
        return TubeResults(computed, tuple(kept), hashes, unmeasured | unplaced | unread, scaled.panels, bridged)

    def _work(
        self, function: Callable[[Any], Any], tasks: Sequence[Task[Any]], kind: Kind, title: str
    ) -> tuple[list[tuple[tuple[str, ...], Any]], dict[str, Failure]]:
        """Return (samples, result) of the tasks that succeed, and the failures by sample."""
        pool, address = Workers(self.options.jobs, memory_budget()), self.options.scheduler
        results = run_on_cluster(function, tasks, address) if address else run_tasks(function, tasks, pool, kind)
        done: list[tuple[tuple[str, ...], Any]] = []
        failures: dict[str, Failure] = {}
        stage = tasks[0].stage if tasks else ""
        for task, result in stage_progress(results, len(tasks), title, stage):
            if isinstance(result, Failure):
                log.info("%s failed in %s: %s", task.name, result.stage, result.error)
                failures |= dict.fromkeys(task.samples, result)
            else:
                done.append((task.samples, result))
        return done, failures

    def _kind(self, tasks: Sequence[Task[Any]]) -> Kind:
        return "processes" if self.options.jobs > 1 and len(tasks) > 1 else "threads"

    def _bridged(self, sample: Sample) -> bool:
        """Whether a tube's events are looked at because of bridging controls."""
        return self._follows or any(one.sample_id == sample.sample_id for one in self.study.bridges)

    @property
    def _follows(self) -> bool:
        """Whether borders follow bridging controls."""
        return self.study.quality.bridge == "follow" and bool(self.study.bridges)

    def _wanted(self) -> list[Sample]:
        """Return the samples whose files must be read: those of the chosen one's panel, or all."""
        flow = [s for s in self.study.samples if s.modality != "single_cell"]
        if not self.options.sample:
            return flow
        chosen = [s.panel for s in flow if s.sample_id == self.options.sample]
        return [s for s in flow if s.panel in chosen]

    def _tube(self, sample: Sample) -> TubeFile:
        # a worker elsewhere has another working directory
        file = os.path.abspath(sample.file) if self.options.scheduler else str(sample.file)
        return self.panels[sample.panel].tube(sample.sample_id, file)

    def _read(self) -> tuple[dict[str, Prepared], dict[str, Failure]]:
        tasks = []
        for sample in self._wanted():
            size = SUBSAMPLE if self._bridged(sample) or events_decide(self.panels[sample.panel].gates) else 0
            job = PrepareJob(self._tube(sample), str(self.store.root), size, self.options.seed)
            tasks.append(Task(sample.sample_id, "read", job, _cost(sample.file), (sample.sample_id,)))
        done, failures = self._work(prepare, tasks, "threads", "reading")
        return {result.sample_id: result for _, result in done}, failures

    def _place(self, prepared: Mapping[str, Prepared]) -> tuple[dict[str, TubeGates], dict[str, Failure]]:
        """Return the gates of each sample that was read: drawn ones, or those that data place."""
        done, failures = self._by_data(prepared)
        carried, unfollowed = self._follow(prepared)
        done, failures = done + carried, failures | unfollowed
        found: dict[str, TubeGates] = {}
        for name, folder in ((name, folder) for names, folder in done for name in names):
            if self.options.sample not in ("", name) and not self._follows:
                continue  # borders that follow a bridge need those of the other tubes
            placed = read_placed(folder, name)
            if isinstance(placed, FailedPlacement):
                failures[name] = Failure("fit", placed.message, placed.hint)
            else:
                found[name] = replace(placed, pool_borders=())
        for sample in self._wanted():
            gates, name = self.panels[sample.panel].gates, sample.sample_id
            if name in prepared and sample.gated and not gates.needs_fit:
                try:
                    found[name] = gates.for_file(sample.file.name, prepared[name].keywords)
                except GatingError as error:
                    failures[name] = Failure("gate", error.message, error.hint)
        return found, failures

    def _by_data(
        self, prepared: Mapping[str, Prepared]
    ) -> tuple[list[tuple[tuple[str, ...], str]], dict[str, Failure]]:
        """Place the gates of each set of tubes, and once more where the panel's other tubes have a say in a border.

        A chosen sample's gates are those of a run of all samples: the sets of its panel are all placed.
        """
        jobs = fit_jobs(self.study, self.panels, prepared, self.pairs, self.store, self.options.seed)
        first, failures = self._fit([job for _, job in jobs], "placing gates")
        finished = {folder for _, folder in first}
        again = []
        for panel in self.panels:
            own = [job for name, job in jobs if name == panel and job[1].folder in finished]
            again += jobs_again(own, self.store)
        chosen = [job for job in again if self.options.sample in ("", *job[0])]
        second, more = self._fit(chosen, "placing gates that other tubes bear on")
        redone = {name for names, _ in chosen for name in names}
        return [done for done in first if not redone & set(done[0])] + second, failures | more

    def _fit(
        self, jobs: Sequence[tuple[tuple[str, ...], FitJob]], title: str
    ) -> tuple[list[tuple[tuple[str, ...], str]], dict[str, Failure]]:
        tasks = [Task(", ".join(names), "fit", job, samples=names) for names, job in jobs]
        return self._work(fit_group, tasks, self._kind(tasks), title)

    def _follow(self, prepared: Mapping[str, Prepared]) -> tuple[list[tuple[tuple[str, ...], str]], dict[str, Failure]]:
        """Carry the drawn gates of the panels that say so; return (samples, folder) and the failures."""
        jobs = follow_jobs(self.study, self.panels, prepared, self.pairs, self.store, self.options.seed)
        chosen = [(names, job) for names, job in jobs if self.options.sample in ("", *names)]
        tasks = [Task(", ".join(names), "fit", job, samples=names) for names, job in chosen]
        return self._work(follow_group, tasks, self._kind(tasks), "carrying gates")

    def _jobs(
        self, prepared: Mapping[str, Prepared], gates: Mapping[str, TubeGates]
    ) -> tuple[list[Task[_MeasureJob]], list[str]]:
        """Return the tubes to measure, and the samples whose tables are up to date."""
        tasks, kept = [], []
        reasons: dict[str, list[str]] = {}
        for sample in self.study.samples:
            name = sample.sample_id
            if name not in gates or (self.options.sample and name != self.options.sample):
                continue
            job = self._job(sample, prepared[name], gates[name])
            if reason := self._reason(job):
                reasons.setdefault(reason, []).append(name)
                night_log().write("sample_to_compute", sample=name, reason=reason)
                tasks.append(Task(name, "gate", job, _cost(sample.file), (name,)))
            else:
                night_log().keep(name)
                kept.append(name)
        for reason, names in reasons.items():
            log.info("to compute: %s (%s)", named(names, "samples"), reason)
        if kept:
            log.info("kept: %s (nothing they depend on has changed)", named(kept, "samples"))
        return tasks, kept

    def _job(self, sample: Sample, prepared: Prepared, gates: TubeGates) -> _MeasureJob:
        beads: tuple[float | None, ...] = ()
        if sample.beads_per_tube is not None:
            beads = (sample.beads_per_tube, sample.volume_ul, sample.bead_cv_percent)
        parts = {"tube": prepared.key, "gates": to_plain(gates), "pairs": self.pairs, "beads": beads}
        tube, root = replace(self._tube(sample), sha256=prepared.sha256), str(self.store.root)
        return _MeasureJob(tube, root, content_key(parts), gates, self.pairs, self.options.memberships, beads)

    def _reason(self, job: _MeasureJob) -> str:
        """Return why a tube must be measured; "" where its tables are up to date."""
        if self.options.force:
            return "--force"
        return self.store.stale(job.tube.sample_id, job.key, memberships=job.memberships)


def _cost(path: Path) -> int:
    return MEMORY_PER_FILE_BYTE * path.stat().st_size if path.exists() else 0
