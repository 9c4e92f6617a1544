"""Placing the declared gates of a study: which tubes share one rule, and the cached result."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from immunolab.errors import GatingError
from immunolab.events.storage import load_tube
from immunolab.gating.record_codec import to_plain
from immunolab.gating.strategy import Strategy
from immunolab.gating.tube_gates import FailedPlacement, PoolBorder, RuleCount, TubeGates
from immunolab.schema.files import content_key
from immunolab.study.sheet import Sample, Study
from immunolab.version import code_key
from immunolab.workflow.panels import PanelGates, lab_code, load_methods
from immunolab.workflow.placed_files import read_placed, write_placed
from immunolab.workflow.read_tube import Prepared
from immunolab.workflow.store import Store

if TYPE_CHECKING:
    from immunolab.events.tube import Tube
    from immunolab.gating.placement.fit import Refit
    from immunolab.gating.placement.other_pools import Usual
    from immunolab.schema.gating import GatingRule


@dataclass(frozen=True)
class FitJob:
    """Tubes whose gates are placed together.

    Attributes
    ----------
    folder
        Where the result goes; it exists when the result does.
    tubes
        Stored subsamples by sample_id.
    groups
        (sample_id, patient_id, batch, whether it is a baseline).
    controls
        (batch, marker, stored subsample); an empty marker is an unstained tube.
    pairs
        (population, denominator) whose intervals and other gatings are wanted.
    module
        File with threshold methods of the lab's own and its sha256, or twice "".
    usual
        (key, pool, where the study's other pools have that border), for a set that is placed again.
    resample
        Whether borders get intervals and shares other gatings; without, placing is several times faster.
    """

    folder: str
    strategy: Strategy
    tubes: tuple[tuple[str, str], ...]
    groups: tuple[tuple[str, str, str, bool], ...]
    controls: tuple[tuple[str, str, str], ...]
    pairs: tuple[tuple[str, str], ...]
    module: tuple[str, str]
    seed: int
    usual: tuple[tuple[tuple[str, ...], tuple[str, ...], Usual], ...] = ()
    resample: bool = True


def fit_jobs(
    study: Study,
    panels: Mapping[str, PanelGates],
    prepared: Mapping[str, Prepared],
    pairs: tuple[tuple[str, str], ...],
    store: Store,
    seed: int,
    *,
    resample: bool = True,
) -> list[tuple[str, tuple[tuple[str, ...], FitJob]]]:
    """Return the panel and (sample_ids, job) of each set of tubes whose gates must be placed together.

    The set is a patient's visits within a batch; a strategy with a rule over a batch or the whole
    study widens it.

    Parameters
    ----------
    study
        Samples, patients, batches and control tubes.
    panels
        Gates by panel name.
    prepared
        Stored subsamples by sample_id; a sample that is missing here failed.
    pairs
        (population, denominator) whose intervals are wanted.
    store
        Gives the folder of each result by its content.
    seed
        Of resampling.
    resample
        As in `FitJob`.
    """
    jobs = []
    for name, panel in panels.items():
        strategy = panel.gates.declared
        if strategy is None or panel.gates.follow or not panel.gates.needs_fit:
            continue
        own = [s for s in study.samples if s.panel == name and s.sample_id in prepared]
        for members in _sets(strategy, [s for s in own if s.gated]):
            batches = {m.batch for m in members}
            controls = sorted(
                (s for s in own if s.control_of and not s.bridge and s.batch in batches),
                key=lambda control: control.sample_id,
            )
            job = _job(study, strategy, members, controls, prepared, pairs, store, seed, resample=resample)
            jobs.append((name, (tuple(m.sample_id for m in members), job)))
    return jobs


def _sets(strategy: Strategy, samples: Sequence[Sample]) -> Iterable[list[Sample]]:
    from immunolab.gating.placement.fit import widest_scope

    scope = widest_scope(strategy)
    sets: dict[tuple[str, ...], list[Sample]] = {}
    for sample in sorted(samples, key=lambda sample: sample.sample_id):
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
    *,
    resample: bool,
) -> FitJob:
    tubes = tuple((m.sample_id, prepared[m.sample_id].subsample) for m in members)
    groups = tuple((m.sample_id, m.patient_id, m.batch, _is_baseline(study, m)) for m in members)
    blanks = tuple((c.batch, c.marker, prepared[c.sample_id].subsample) for c in controls)
    module = lab_code(study)
    parts = {
        "strategy": strategy.source,
        "populations": to_plain(strategy),
        "tubes": [(sample_id, Path(path).name) for sample_id, path in tubes],
        "groups": groups,
        "controls": [(batch, marker, Path(path).name) for batch, marker, path in blanks],
        "pairs": pairs,
        "module": module[1],
        "seed": seed,
        "code": code_key(),
        "resample": resample,
    }
    folder = str(store.cached("gates", content_key(parts), ""))
    return FitJob(folder, strategy, tubes, groups, blanks, pairs, module, seed, resample=resample)


def jobs_again(jobs: Sequence[tuple[tuple[str, ...], FitJob]], store: Store) -> list[tuple[tuple[str, ...], FitJob]]:
    """Return the jobs, of those done, in which the study's other tubes have a say: with what is usual there.

    Parameters
    ----------
    jobs
        Every finished job of one panel. Their own results stay as they are.
    store
        Gives the folder of each result by its content.
    """
    from immunolab.gating.placement.other_pools import changes, usuals

    if len(jobs) < 2:
        return []  # its own pools were compared when they were placed
    own = {job.folder: _pool_borders(names, job) for names, job in jobs}
    known = usuals([border for borders in own.values() for border in borders])
    again = []
    for names, job in jobs:
        if any(changes(border, known.get((border.key, border.pool))) for border in own[job.folder]):
            pools = {border.pool for border in own[job.folder]}
            usual = tuple((key, pool, one) for (key, pool), one in known.items() if pool in pools)
            words = [(key, pool, vars(one)) for key, pool, one in usual]
            key = content_key({"gates": Path(job.folder).name, "usual": words})
            again.append((names, replace(job, folder=str(store.cached("gates", key, "")), usual=usual)))
    return again


def _pool_borders(names: Sequence[str], job: FitJob) -> list[PoolBorder]:
    """Return the borders of a finished job, each once."""
    placed = [read_placed(job.folder, name) for name in names]
    return list(dict.fromkeys(one for gates in placed if isinstance(gates, TubeGates) for one in gates.pool_borders))


def _is_baseline(study: Study, sample: Sample) -> bool:
    return sample.visit == study.comparison.before or study.timeline_of(sample).phase == study.comparison.before


def fit_group(job: FitJob) -> str:
    """Place the gates of a set of tubes and store one file a sample; return the folder.

    A tube that lacks a marker is left out and stored as a `FailedPlacement`; the others are placed without it.
    """
    folder = Path(job.folder)
    load_methods(*job.module)
    if not folder.exists():
        write_placed(_placed(job), folder)
    return job.folder


def _placed(job: FitJob) -> dict[str, TubeGates | FailedPlacement]:
    from immunolab.gating.placement.fit import fit, missing_markers
    from immunolab.gating.placement.uncertainty import gate_spreads

    records: dict[str, TubeGates | FailedPlacement] = {}
    tubes = []
    for sample_id, path in job.tubes:
        tube = load_tube(Path(path))
        try:
            missing_markers(job.strategy, tube)
            tubes.append(tube)
        except GatingError as error:
            records[sample_id] = FailedPlacement(error.message, error.hint)
    if not tubes:
        return records
    kept = {tube.sample_id for tube in tubes}
    groups = {s: {"patient": p, "batch": batch, "baseline": base} for s, p, batch, base in job.groups if s in kept}
    controls = {(batch, marker): load_tube(Path(path)) for batch, marker, path in job.controls}
    usual = {(key, pool): one for key, pool, one in job.usual} or None
    fitted = fit(
        job.strategy, tubes, groups=groups, controls=controls, seed=job.seed, usuals=usual, resample=job.resample
    )
    if not job.resample:
        return records | {tube.sample_id: fitted.gates_of(tube.sample_id) for tube in tubes}
    others = _rule_counts(job, tubes, groups, controls)
    return records | {
        tube.sample_id: replace(
            fitted.gates_of(tube.sample_id),
            spreads=gate_spreads(fitted, tube, job.pairs),
            rule_counts=tuple(others.get(tube.sample_id, ())),
        )
        for tube in tubes
    }


def _rule_counts(
    job: FitJob, tubes: Sequence[Tube], groups: Mapping[str, Mapping[str, Any]], controls: Mapping[Any, Tube]
) -> dict[str, list[RuleCount]]:
    """Return what each tube counts under gates fixed at baseline, and under gates placed on each visit alone.

    Only sets that hold a baseline and another visit have the choice.
    """
    from immunolab.gating.placement.fit import fit
    from immunolab.gating.tubes import gate_tube

    kinds = [bool(group["baseline"]) for group in groups.values()]
    if all(kinds) or not any(kinds):
        return {}
    found: dict[str, list[RuleCount]] = {}
    rules: dict[GatingRule, Refit] = {"fixed_at_baseline": "baseline", "refit_each_visit": "sample"}
    for rule, refit in rules.items():
        placed = fit(job.strategy, tubes, groups=groups, controls=controls, seed=job.seed, refit=refit, resample=False)
        for tube in tubes:
            gated = gate_tube(tube, placed.gates_of(tube.sample_id))
            sizes = {name: int(mask.sum()) for name, mask in gated.named_masks.items()}
            found.setdefault(tube.sample_id, []).extend(
                RuleCount(rule, name, parent, n, sizes[parent])
                for (name, parent), n in gated.joint_counts(job.pairs).items()
                if not (gated.is_withheld(name) or gated.is_withheld(parent))
            )
    return found
