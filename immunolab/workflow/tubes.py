"""Steps on tubes: read each, place the gates of a study, gate and measure each; finished ones are kept."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from immunolab.errors import GatingError
from immunolab.gating.overrides import Override
from immunolab.gating.record_codec import to_plain
from immunolab.gating.tube_gates import FailedPlacement, TubeGates
from immunolab.schema.files import content_key
from immunolab.study.sheet import Sample, Study
from immunolab.workflow.bridge import Bridged, follow_bridges
from immunolab.workflow.bridge_beside import beside_jobs, follows
from immunolab.workflow.cluster import run_on_cluster
from immunolab.workflow.follow_study import follow_group, follow_jobs
from immunolab.workflow.measure_tube import MeasureJob, measure
from immunolab.workflow.night_log import night_log
from immunolab.workflow.overrides import with_overrides
from immunolab.workflow.panels import PanelGates
from immunolab.workflow.place import FitJob, fit_group, fit_jobs, jobs_again
from immunolab.workflow.placed_files import read_placed
from immunolab.workflow.progress import named, stage_progress
from immunolab.workflow.read_tube import SUBSAMPLE, Prepared, PrepareJob, TubeFile, prepare
from immunolab.workflow.scales import events_decide, scaled_panels
from immunolab.workflow.store import Store
from immunolab.workflow.tasks import Failure, Task
from immunolab.workflow.workers import MEMORY_PER_FILE_BYTE, Kind, Workers, memory_budget, run_tasks

log = logging.getLogger("immunolab")


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
    overrides
        Gates that a reader placed.
    """

    study: Study
    store: Store
    panels: Mapping[str, PanelGates]
    options: RunOptions
    pairs: tuple[tuple[str, str], ...]
    overrides: tuple[Override, ...] = ()

    def run(self) -> TubeResults:
        """Read, place and measure; a sample that fails stops no other."""
        prepared, unread = self._read()
        scaled = replace(self, panels=scaled_panels(self.study, self.panels, prepared))
        gates, unplaced = scaled._place(prepared)
        bridged = follow_bridges(
            self.study, scaled.panels, prepared, gates, beside=self._beside(prepared), pairs=self.pairs
        )
        used = with_overrides(self.study, scaled.panels, prepared, bridged.gates, self.overrides)
        jobs, kept = self._jobs(prepared, used)
        measured, unmeasured = self._work(measure, jobs, self._kind(jobs), "gating")
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
        return follows(self.study)

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
            if self.options.sample not in ("", name) and not self.study.bridges:
                continue  # tables of bridging controls are of all tubes
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
        chosen = [job for job in again if self.study.bridges or self.options.sample in ("", *job[0])]
        second, more = self._fit(chosen, "placing gates that other tubes bear on")
        redone = {name for names, _ in chosen for name in names}
        return [done for done in first if not redone & set(done[0])] + second, failures | more

    def _beside(self, prepared: Mapping[str, Prepared]) -> dict[str, TubeGates]:
        """Return the gates that data place beside drawn ones, to check bridging controls by; a tube may have none."""
        jobs = beside_jobs(self.study, self.panels, prepared, self.pairs, self.store, self.options.seed)
        done, _ = self._fit(jobs, "placing gates that bridges are checked by")
        found = {name: read_placed(folder, name) for names, folder in done for name in names}
        return {name: gates for name, gates in found.items() if isinstance(gates, TubeGates)}

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
    ) -> tuple[list[Task[MeasureJob]], list[str]]:
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

    def _job(self, sample: Sample, prepared: Prepared, gates: TubeGates) -> MeasureJob:
        beads: tuple[float | None, ...] = ()
        if sample.beads_per_tube is not None:
            beads = (sample.beads_per_tube, sample.volume_ul, sample.bead_cv_percent)
        parts = {"tube": prepared.key, "gates": to_plain(gates), "pairs": self.pairs, "beads": beads}
        tube, root = replace(self._tube(sample), sha256=prepared.sha256), str(self.store.root)
        return MeasureJob(tube, root, content_key(parts), gates, self.pairs, self.options.memberships, beads)

    def _reason(self, job: MeasureJob) -> str:
        """Return why a tube must be measured; "" where its tables are up to date."""
        if self.options.force:
            return "--force"
        return self.store.stale(job.tube.sample_id, job.key, memberships=job.memberships)


def _cost(path: Path) -> int:
    return MEMORY_PER_FILE_BYTE * path.stat().st_size if path.exists() else 0
