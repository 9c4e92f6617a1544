"""Placing the declared gates of a study: which tubes share one rule, and the cached result."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from immunolab.batch.store import Store, content_key
from immunolab.batch.tube import Prepared, load_subsample
from immunolab.errors import GatingError
from immunolab.gating.strategy import Strategy
from immunolab.pipeline.gates import PanelGates
from immunolab.study.sheet import Sample
from immunolab.version import VERSION


@dataclass(frozen=True)
class FitJob:
    """Tubes whose gates are placed together.

    Attributes
    ----------
    folder : where the result goes; it exists when the result does.
    tubes : stored subsamples by sample_id.
    groups : sample_id -> (patient_id, batch).
    controls : (batch, marker, stored subsample); an empty marker is an unstained tube.
    """

    folder: str
    strategy: Strategy
    tubes: tuple[tuple[str, str], ...]
    groups: tuple[tuple[str, str, str, str], ...]
    controls: tuple[tuple[str, str, str], ...]
    seed: int


def fit_jobs(
    panels: Mapping[str, PanelGates],
    samples: Sequence[Sample],
    prepared: Mapping[str, Prepared],
    store: Store,
    seed: int,
) -> list[tuple[tuple[str, ...], FitJob]]:
    """Return (sample_ids, job) for each set of tubes that must be fitted together.

    The set is a patient's visits within a batch; a strategy with a rule over a batch or the whole
    study widens it.
    """
    jobs = []
    for name, panel in panels.items():
        if not panel.gates.needs_fit or panel.gates.declared is None:
            continue
        from immunolab.gating.fit import widest_scope

        own = [s for s in samples if s.panel == name and s.sample_id in prepared]
        scope = widest_scope(panel.gates.declared)
        sets: dict[tuple[str, ...], list[Sample]] = {}
        for sample in (s for s in own if not s.control_of):
            sets.setdefault(_set_of(sample, scope), []).append(sample)
        for members in sets.values():
            controls = [s for s in own if s.control_of and s.batch in {m.batch for m in members}]
            job = _job(panel.gates.declared, members, controls, prepared, store, seed)
            jobs.append((tuple(m.sample_id for m in members), job))
    return jobs


def _set_of(sample: Sample, scope: str) -> tuple[str, ...]:
    keys = {"sample": (sample.sample_id,), "patient": (sample.patient_id, sample.batch), "batch": (sample.batch,)}
    return keys.get(scope, ())


def _job(
    strategy: Strategy,
    members: Sequence[Sample],
    controls: Sequence[Sample],
    prepared: Mapping[str, Prepared],
    store: Store,
    seed: int,
) -> FitJob:
    tubes = tuple((m.sample_id, prepared[m.sample_id].subsample) for m in members)
    groups = tuple((m.sample_id, m.patient_id, m.batch, m.visit) for m in members)
    blanks = tuple((c.batch, c.marker, prepared[c.sample_id].subsample) for c in controls)
    parts = {
        "strategy": strategy.source,
        "populations": repr(strategy),
        "tubes": [(m.sample_id, Path(path).name) for m, (_, path) in zip(members, tubes, strict=True)],
        "groups": groups,
        "controls": [(batch, marker, Path(path).name) for batch, marker, path in blanks],
        "seed": seed,
        "version": VERSION,
    }
    folder = store.cached("fit", content_key(parts), "")
    return FitJob(str(folder), strategy, tubes, groups, blanks, seed)


def fit_group(job: FitJob) -> str:
    """Place the gates of a set of tubes and store one JSON file a sample; return the folder.

    A tube that lacks a marker is left out and stored as a failure; the others are fitted without it.
    """
    folder = Path(job.folder)
    if not folder.exists():
        part = folder.with_name(f".{folder.name}.part-{os.getpid()}")
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir(parents=True)
        try:
            for sample_id, record in _fit(job).items():
                (part / f"{sample_id}.json").write_text(json.dumps(record), encoding="utf-8")
            part.rename(folder)
        finally:
            shutil.rmtree(part, ignore_errors=True)
    return job.folder


def _fit(job: FitJob) -> dict[str, dict[str, Any]]:
    from immunolab.gating.fit import fit, missing_markers
    from immunolab.gating.strategy_data import strategy_to_dict

    records: dict[str, dict[str, Any]] = {}
    tubes = []
    for sample_id, path in job.tubes:
        tube = load_subsample(Path(path))
        try:
            missing_markers(job.strategy, tube)
            tubes.append(tube)
        except GatingError as error:
            records[sample_id] = {"error": error.message, "hint": error.hint}
    if not tubes:
        return records
    kept = {tube.sample_id for tube in tubes}
    groups = {
        s: {"patient": patient, "batch": batch, "visit": visit} for s, patient, batch, visit in job.groups if s in kept
    }
    controls = {(batch, marker): load_subsample(Path(path)) for batch, marker, path in job.controls}
    fitted = fit(job.strategy, tubes, groups=groups, controls=controls, seed=job.seed)
    for sample_id, strategy in fitted.strategies.items():
        rows = fitted.thresholds[fitted.thresholds["sample_id"] == sample_id]
        plain = rows.astype(object).where(rows.notna(), None).to_dict("records")
        records[sample_id] = {"strategy": strategy_to_dict(strategy), "thresholds": plain}
    return records


def read_fit(folder: str, sample_id: str) -> dict[str, Any]:
    """Return what `fit_group` stored for a sample: strategy and thresholds, or error and hint."""
    record: dict[str, Any] = json.loads((Path(folder) / f"{sample_id}.json").read_text(encoding="utf-8"))
    return record
