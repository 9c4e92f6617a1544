"""What the files of a finished run's tubes give again: events of populations, landmarks, checks, gates."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from immunolab.errors import ImmunolabError
from immunolab.events.storage import save_tube
from immunolab.events.subsample import subsample
from immunolab.events.tube import Tube
from immunolab.gating.record_codec import from_plain
from immunolab.gating.tube_gates import TubeGates
from immunolab.gating.tubes import gate_tube
from immunolab.quality.cell_shares import cell_kinds
from immunolab.quality.clean import without
from immunolab.quality.compensation_rows import shown_pairs
from immunolab.quality.events import check_events, check_gates
from immunolab.quality.landmarks import landmark_rows
from immunolab.quality.shared_matrix import pair_rows
from immunolab.quality.staining_sample import STAINING_EVENTS, is_kept, staining_sample
from immunolab.quality.steadiness import steadiness
from immunolab.results.run import Run
from immunolab.results.tube import GATES, read_events
from immunolab.study.sheet import Study
from immunolab.workflow.read_tube import SUBSAMPLE, Prepared
from immunolab.workflow.residual_on_gates import residual_on_gates
from immunolab.workflow.spread import SpreadWork

COUNTED = ("sample_id", "path", "n_events")
"""Columns of counts.csv that events give again."""
Rows = Sequence[Mapping[str, Any]]


@dataclass(frozen=True)
class TubeAgain:
    """What a tube's file gives again.

    Attributes
    ----------
    name
        Its sample_id.
    counts, landmarks, checks, spillover
        Rows of the tables; checks are those of the tube by itself.
    gates
        As placed, before a reader moved any and before any followed a bridge.
    prepared
        Its subsample, where bridging controls are compared by it.
    stains_kept
        Whether the events that the run's folder keeps of it, by which stains are compared, are those of the file.
    """

    name: str
    counts: Rows
    landmarks: Rows
    checks: Rows
    spillover: Rows
    gates: TubeGates
    prepared: Prepared
    stains_kept: bool


@dataclass(frozen=True)
class _Job:
    name: str
    folder: Path
    study: Study
    inputs: Mapping[str, str]
    stored: Path | None
    seed: int


def measured_again(
    run: Run, study: Study, names: Sequence[str], place: Path, *, sampled: Collection[str], jobs: int = 1
) -> list[TubeAgain | str]:
    """Return what each tube's file gives again; of one whose file is not there, or is another one, its name.

    Parameters
    ----------
    run, study
        The finished run, and its study with dates.
    names
        sample_ids of gated tubes.
    place
        Folder for subsamples.
    sampled
        Tubes of which one is kept.
    jobs
        Tubes at once.
    """
    work = [_Job(name, run.folder, study, run.inputs, place if name in sampled else None, run.seed) for name in names]
    return list(SpreadWork(jobs, stage="verify", what="tube", title="")(_measured, work))


def _measured(job: _Job) -> TubeAgain | str:
    try:
        saved = (job.folder / "samples" / job.name / GATES).read_text(encoding="utf-8")
        gates = from_plain(json.loads(saved))
        whole = read_events(job.study, job.name, job.inputs)
    except (ImmunolabError, OSError, KeyError, ValueError):  # what is missing or changed is a problem of its own
        return job.name
    course = steadiness(whole)
    tube = without(whole, course) if job.study.quality.clean else whole
    gated = gate_tube(tube, gates)
    left_out = [f"{fault.place}: {fault.message}" for fault in gated.left_out]
    kinds = cell_kinds(gated.tube)
    shown = shown_pairs(gated.tube, kinds)
    checks = check_events(whole, course, gated.tube, kinds, shown)
    return TubeAgain(
        job.name,
        [{column: getattr(count, column) for column in COUNTED} for count in gated.population_counts],
        list(landmark_rows(gated.tube, gated.named_masks)),
        [*checks, *residual_on_gates(gated, gates, shown), *check_gates(job.name, left_out)],
        pair_rows(gated.tube, shown),
        TubeGates(gates.automatic or gates.strategy),
        Prepared(job.name, tube.sha256, "", _stored(tube, job.stored, job.seed) if job.stored else ""),
        is_kept(staining_sample(gated.tube), job.folder / "samples" / job.name / STAINING_EVENTS),
    )


def _stored(tube: Tube, place: Path, seed: int) -> str:
    path = place / f"{tube.sample_id}.npz"
    save_tube(subsample(tube, SUBSAMPLE, seed=seed), path)
    return str(path)
