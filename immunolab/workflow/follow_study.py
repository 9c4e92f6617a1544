"""Carrying the drawn gates of a study: which tubes are templates, a patient's visits together, the cached result."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from immunolab.events.storage import load_tube
from immunolab.events.tube import Tube
from immunolab.gating.following.follow import follow
from immunolab.gating.following.template import Template
from immunolab.gating.following.templates import choose_templates, own_strategies, templates_of
from immunolab.gating.gate_source import Gates
from immunolab.gating.placement.uncertainty import gate_spreads
from immunolab.gating.record_codec import to_plain
from immunolab.gating.tube_gates import FailedPlacement, TubeGates
from immunolab.schema.files import content_key, file_sha256
from immunolab.study.sheet import Sample, Study
from immunolab.version import code_key
from immunolab.workflow.panels import PanelGates
from immunolab.workflow.placed_files import write_placed
from immunolab.workflow.read_tube import Prepared, TubeFile
from immunolab.workflow.store import Store


@dataclass(frozen=True)
class FollowJob:
    """Tubes that share moves: a patient's in a batch.

    Attributes
    ----------
    folder
        Where the result goes; it exists when the result does.
    gates
        As drawn.
    templates
        Files that they were drawn on.
    tubes
        Stored subsamples by sample_id.
    pairs
        (population, denominator) whose intervals are wanted.
    """

    folder: str
    gates: Gates
    templates: tuple[TubeFile, ...]
    tubes: tuple[tuple[str, str], ...]
    pairs: tuple[tuple[str, str], ...]
    seed: int


def follow_jobs(
    study: Study,
    panels: Mapping[str, PanelGates],
    prepared: Mapping[str, Prepared],
    pairs: tuple[tuple[str, str], ...],
    store: Store,
    seed: int,
) -> list[tuple[tuple[str, ...], FollowJob]]:
    """Return (sample_ids, job) for each patient and batch whose panel carries drawn gates.

    Parameters
    ----------
    study, panels, prepared, pairs, store, seed
        As in `immunolab.workflow.place.fit_jobs`.

    Raises
    ------
    InputError
        Gates are not drawn, or it is unclear which tube they were drawn on.
    """
    jobs = []
    for name, panel in panels.items():
        if not panel.gates.follow:
            continue
        own = [s for s in study.samples if s.panel == name and s.sample_id in prepared and s.gated]
        templates = _templates(panel, own, prepared)
        sets: dict[tuple[str, str], list[Sample]] = {}
        for sample in own:
            sets.setdefault((sample.patient_id, sample.batch), []).append(sample)
        for members in sets.values():
            tubes = tuple((m.sample_id, prepared[m.sample_id].subsample) for m in members)
            parts = {
                "gates": [to_plain(g) for g in (panel.gates.declared,) if g],
                "drawn": sorted(panel.read.values()),
                "templates": [tube.key(tube.sha256) for tube in templates],
                "tubes": [(sample_id, Path(path).name) for sample_id, path in tubes],
                "pairs": pairs,
                "seed": seed,
                "code": code_key(),
            }
            folder = str(store.cached("gates", content_key(parts), ""))
            job = FollowJob(folder, panel.gates, templates, tubes, pairs, seed)
            jobs.append((tuple(m.sample_id for m in members), job))
    return jobs


def _templates(panel: PanelGates, samples: list[Sample], prepared: Mapping[str, Prepared]) -> tuple[TubeFile, ...]:
    def named(sample_id: str, file: Path, keywords: Mapping[str, str]) -> Tube:
        return Tube(np.empty((0, 0), np.float32), (), None, sample_id, str(file), keywords=keywords)

    tubes = [named(s.sample_id, s.file, prepared[s.sample_id].keywords) for s in samples]
    samples_by_file = {s.file.resolve(): s.sample_id for s in samples}
    chosen = [named(samples_by_file.get(file.resolve(), file.stem), file, {}) for file in panel.templates]
    found = choose_templates(panel.gates, tubes, chosen)
    return tuple(panel.tube(tube.sample_id, tube.file, file_sha256(Path(tube.file))) for tube in found)


def follow_group(job: FollowJob) -> str:
    """Carry the gates to a set of tubes and store one file a sample; return the folder."""
    folder = Path(job.folder)
    if not folder.exists():
        write_placed(_carried(job), folder)
    return job.folder


def _carried(job: FollowJob) -> dict[str, TubeGates | FailedPlacement]:
    tubes = [load_tube(Path(path)) for _, path in job.tubes]
    groups = {tube.sample_id: {"patient": "", "batch": ""} for tube in tubes}  # one patient and batch a job
    templates = [_template(job.gates, file) for file in job.templates]
    carried = follow(templates, tubes, own=own_strategies(job.gates, tubes), groups=groups, seed=job.seed)
    found: dict[str, TubeGates | FailedPlacement] = {}
    for tube in tubes:
        gates = carried.gates_of(tube.sample_id)
        if not gates.strategy.populations:
            first = gates.unread[0]
            found[tube.sample_id] = FailedPlacement(first.message, first.hint)
            continue
        found[tube.sample_id] = replace(gates, spreads=gate_spreads(carried.fitted, tube, job.pairs))
    return found


def _template(gates: Gates, file: TubeFile) -> Template:
    """Return a template with its events."""
    return templates_of(gates, [file.read()])[0]
