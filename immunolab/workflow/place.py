"""Placing the declared gates of a study: which tubes share one rule, and the cached result."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from immunolab.errors import GatingError
from immunolab.gating.strategy import Strategy
from immunolab.intervals import NORMAL_95
from immunolab.quantify import joint_counts
from immunolab.schema.files import content_key, file_sha256
from immunolab.study.sheet import Sample, Study
from immunolab.version import VERSION
from immunolab.workflow.panels import PanelGates, load_methods
from immunolab.workflow.store import Store
from immunolab.workflow.tube_steps import Prepared, load_subsample

if TYPE_CHECKING:
    from immunolab.events.tube import Tube
    from immunolab.gating.placement.fit import Fitted, Refit


@dataclass(frozen=True)
class FitJob:
    """Tubes whose gates are placed together.

    Attributes
    ----------
    folder : where the result goes; it exists when the result does.
    tubes : stored subsamples by sample_id.
    groups : (sample_id, patient_id, batch, whether it is a baseline).
    controls : (batch, marker, stored subsample); an empty marker is an unstained tube.
    pairs : (population, denominator) whose intervals and other gatings are wanted.
    module : file with threshold methods of the lab's own, or "".
    """

    folder: str
    strategy: Strategy
    tubes: tuple[tuple[str, str], ...]
    groups: tuple[tuple[str, str, str, bool], ...]
    controls: tuple[tuple[str, str, str], ...]
    pairs: tuple[tuple[str, str], ...]
    module: str
    seed: int


def fit_jobs(
    study: Study,
    panels: Mapping[str, PanelGates],
    prepared: Mapping[str, Prepared],
    pairs: tuple[tuple[str, str], ...],
    store: Store,
    seed: int,
) -> list[tuple[tuple[str, ...], FitJob]]:
    """Return (sample_ids, job) for each set of tubes that must be fitted together.

    The set is a patient's visits within a batch; a strategy with a rule over a batch or the whole
    study widens it.
    """
    jobs = []
    for name, panel in panels.items():
        strategy = panel.gates.declared
        if strategy is None or not panel.gates.needs_fit:
            continue
        own = [s for s in study.samples if s.panel == name and s.sample_id in prepared]
        for members in _sets(strategy, [s for s in own if not s.control_of]):
            batches = {m.batch for m in members}
            controls = [s for s in own if s.control_of and s.batch in batches]
            job = _job(study, strategy, members, controls, prepared, pairs, store, seed)
            jobs.append((tuple(m.sample_id for m in members), job))
    return jobs


def _sets(strategy: Strategy, samples: Sequence[Sample]) -> Iterable[list[Sample]]:
    from immunolab.gating.placement.fit import widest_scope

    scope = widest_scope(strategy)
    sets: dict[tuple[str, ...], list[Sample]] = {}
    for sample in samples:
        keys = {
            "sample": (sample.sample_id,),
            "patient": (sample.patient_id, sample.batch),
            "batch": (sample.batch,),
        }
        sets.setdefault(keys.get(scope, ()), []).append(sample)
    return sets.values()


def _job(
    study: Study,
    strategy: Strategy,
    members: Sequence[Sample],
    controls: Sequence[Sample],
    prepared: Mapping[str, Prepared],
    pairs: tuple[tuple[str, str], ...],
    store: Store,
    seed: int,
) -> FitJob:
    tubes = tuple((m.sample_id, prepared[m.sample_id].subsample) for m in members)
    groups = tuple((m.sample_id, m.patient_id, m.batch, _is_baseline(study, m)) for m in members)
    blanks = tuple((c.batch, c.marker, prepared[c.sample_id].subsample) for c in controls)
    module = str(study.methods_module) if study.methods_module else ""
    parts = {
        "strategy": strategy.source,
        "populations": repr(strategy),
        "tubes": [(sample_id, Path(path).name) for sample_id, path in tubes],
        "groups": groups,
        "controls": [(batch, marker, Path(path).name) for batch, marker, path in blanks],
        "pairs": pairs,
        "module": file_sha256(Path(module)) if module else "",
        "seed": seed,
        "version": VERSION,
    }
    return FitJob(
        str(store.cached("fit", content_key(parts), "")), strategy, tubes, groups, blanks, pairs, module, seed
    )


def _is_baseline(study: Study, sample: Sample) -> bool:
    return sample.visit == study.comparison.before or study.timeline_of(sample).phase == study.comparison.before


def fit_group(job: FitJob) -> str:
    """Place the gates of a set of tubes and store one JSON file a sample; return the folder.

    A tube that lacks a marker is left out and stored as a failure; the others are fitted without it.
    """
    folder = Path(job.folder)
    load_methods(job.module)
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
    from immunolab.gating.placement.fit import fit, missing_markers
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
    groups = {s: {"patient": p, "batch": batch, "baseline": base} for s, p, batch, base in job.groups if s in kept}
    controls = {(batch, marker): load_subsample(Path(path)) for batch, marker, path in job.controls}
    fitted = fit(job.strategy, tubes, groups=groups, controls=controls, seed=job.seed)
    others = _other_gatings(job, tubes, groups, controls)
    for tube in tubes:
        name = tube.sample_id
        rows = fitted.thresholds[fitted.thresholds["sample_id"] == name]
        records[name] = {
            "strategy": strategy_to_dict(fitted.strategies[name]),
            "thresholds": rows.astype(object).where(rows.notna(), None).to_dict("records"),
            "intervals": _intervals(fitted, tube, job.pairs),
            "other_gatings": others.get(name, []),
        }
    return records


def _intervals(fitted: Fitted, tube: Tube, pairs: Sequence[tuple[str, str]]) -> list[dict[str, Any]]:
    """Return, for each wanted percentage, the gate's standard error on the logit scale."""
    from scipy.special import logit

    from immunolab.gating.placement.uncertainty import percent_intervals

    table = percent_intervals(fitted, tube.sample_id, tube, denominators=sorted({parent for _, parent in pairs}))
    wanted = set(pairs)
    found = []
    for row in table.to_dict("records"):
        name = row["path"].rsplit("/", 1)[1]
        inside = row["gate_low"] > 0 and row["gate_high"] < 100
        if (name, row["denominator"]) in wanted and inside:
            width = logit(row["gate_high"] / 100) - logit(row["gate_low"] / 100)
            found.append({"population": name, "parent": row["denominator"], "gate_sd": float(width) / (2 * NORMAL_95)})
    return found


def _other_gatings(
    job: FitJob, tubes: Sequence[Tube], groups: Mapping[str, Mapping[str, Any]], controls: Mapping[Any, Tube]
) -> dict[str, list[dict[str, Any]]]:
    """Return what each tube counts under gates fixed at baseline, and under gates placed on each visit alone.

    Only sets that hold a baseline and another visit have the choice.
    """
    from immunolab.gating.evaluate import evaluate
    from immunolab.gating.placement.fit import fit

    kinds = [bool(group["baseline"]) for group in groups.values()]
    if all(kinds) or not any(kinds):
        return {}
    found: dict[str, list[dict[str, Any]]] = {}
    rules: dict[str, Refit] = {"fixed_at_baseline": "baseline", "refit_each_visit": "sample"}
    for rule, refit in rules.items():
        placed = fit(job.strategy, tubes, groups=groups, controls=controls, seed=job.seed, refit=refit, resample=False)
        for tube in tubes:
            memberships = evaluate(placed.strategies[tube.sample_id], tube)
            masks = {path.rsplit("/", 1)[1]: mask for path, mask in memberships.masks.items()}
            sizes = {name: int(mask.sum()) for name, mask in masks.items()}
            found.setdefault(tube.sample_id, []).extend(
                {"rule": rule, "population": j.population, "parent": j.parent, "n": j.n_events, "of": sizes[j.parent]}
                for j in joint_counts(masks, job.pairs)
            )
    return found


def read_fit(folder: str, sample_id: str) -> dict[str, Any]:
    """Return what `fit_group` stored for a sample: strategy and thresholds, or error and hint."""
    record: dict[str, Any] = json.loads((Path(folder) / f"{sample_id}.json").read_text(encoding="utf-8"))
    return record
