"""The last step of a tube: gate and measure all of its events, and write its folder of the run."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from immunolab.gating.overrides import reached_names
from immunolab.gating.record_codec import to_plain
from immunolab.gating.tube_gates import RuleCount, TubeGates
from immunolab.schema.across_tubes import LANDMARKS, SPILLOVER
from immunolab.schema.bridges import BEADS, BRIDGE_ERROR, BRIDGE_FOLLOWS
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
from immunolab.schema.overrides import OVERRIDES
from immunolab.schema.review import AT_BORDER
from immunolab.workflow.overrides import override_rows
from immunolab.workflow.read_tube import TubeFile
from immunolab.workflow.store import Store

if TYPE_CHECKING:
    from immunolab.events.tube import Tube
    from immunolab.gating.tubes import GatedTube
    from immunolab.quality.rows import Row
    from immunolab.quality.steadiness import Steadiness
    from immunolab.schema.table import Table


@dataclass(frozen=True)
class MeasureJob:
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
class Measured:
    """A tube that was gated, and its events."""

    sample_id: str
    n_events: int


def measure(job: MeasureJob) -> Measured:
    """Write one sample's folder: its tables, gates and gate views.

    The views are kept without a report too: they cost a fifth of gating, and a later report the reading of every tube.

    Parameters
    ----------
    job
        What is measured, and where it is kept.
    """
    from immunolab.gating.exchange.gatingml_out import write_gatingml
    from immunolab.gating.tubes import gate_tube
    from immunolab.plots.at_border import border_rows
    from immunolab.plots.gate_views import gate_views, save_views
    from immunolab.plots.light_views import LIGHTS, light_views
    from immunolab.quality.cell_shares import cell_kinds
    from immunolab.quality.clean import without
    from immunolab.quality.compensation_rows import shown_pairs
    from immunolab.quality.events import check_events
    from immunolab.quality.shared_matrix import pair_rows
    from immunolab.quality.staining_sample import STAINING_EVENTS, staining_sample
    from immunolab.quality.steadiness import steadiness
    from immunolab.results.tube import GATES
    from immunolab.workflow.residual_on_gates import residual_on_gates

    store, sample_id = Store(Path(job.root)), job.tube.sample_id
    whole = job.tube.read_whole()
    run = steadiness(whole)
    gated = gate_tube(without(whole, run) if job.tube.clean else whole, job.gates)
    kinds = cell_kinds(gated.tube)
    shown = shown_pairs(gated.tube, kinds)
    checks = [*check_events(whole, run, gated.tube, kinds, shown), *residual_on_gates(gated, job.gates, shown)]

    def write(folder: Path) -> None:
        tables = {**_tables(gated, whole, checks, job), SPILLOVER: pair_rows(gated.tube, shown)}
        for table, rows in tables.items():
            table.write_rows(rows, folder / f"{table.name}.csv")
        write_gatingml(gated.on_channels(), folder / "gates.xml")
        (folder / GATES).write_text(json.dumps(to_plain(job.gates)), encoding="utf-8")
        staining_sample(gated.tube).save(folder / STAINING_EVENTS)
        views = gate_views(gated.strategy, gated.tube, gated.memberships)
        save_views(views, folder / "views.npz")
        AT_BORDER.write_rows(border_rows(views), folder / f"{AT_BORDER.name}.csv")
        save_views(light_views(whole, gated.tube, kinds, checks), folder / LIGHTS)
        _save_course(whole, run, checks, folder)

    store.commit(sample_id, job.key, write, _memberships(gated) if job.memberships else None)
    return Measured(sample_id, len(gated.tube))


def _save_course(whole: Tube, run: Steadiness, checks: Sequence[Row], folder: Path) -> None:
    """Draw the run of a tube with a check of it that warns, for the report; of the others there is nothing to see."""
    from immunolab.quality.topics import SEEN_IN_RUN

    if run.stretches is not None and any(row["check"] in SEEN_IN_RUN and row["status"] != "ok" for row in checks):
        from immunolab.plots.steadiness import course_png
        from immunolab.results.tube import COURSE

        (folder / COURSE).write_bytes(course_png(whole, run))


def _memberships(gated: GatedTube) -> pd.DataFrame:
    """Return which events are in which population, one row an event of the file: those that were cut are in none."""
    frame = gated.memberships_frame()
    if not gated.tube.removed:
        return frame
    return pd.DataFrame({name: gated.tube.in_file(column.to_numpy()) for name, column in frame.items()}, copy=False)


def _tables(
    gated: GatedTube, whole: Tube, checked: Sequence[Row], job: MeasureJob
) -> dict[Table, list[dict[str, object]]]:
    from immunolab.quality.beads import bead_row, check_beads
    from immunolab.quality.clean import removed_rows
    from immunolab.quality.events import check_gates
    from immunolab.quality.landmarks import landmark_rows

    sample = {"sample_id": gated.sample_id}
    left_out = [f"{fault.place}: {fault.message}" for fault in gated.left_out]
    joints = gated.joint_counts(job.pairs)
    beads = [bead_row(gated.sample_id, gated.tube, *job.beads)] if job.beads else []
    checks = [*checked, *check_gates(gated.sample_id, left_out)]
    return {
        OVERRIDES: override_rows(gated, job.gates),
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


def _uncleaned(gated: GatedTube, whole: Tube, job: MeasureJob) -> list[dict[str, object]]:
    """Return the counts of all events of a cleaned tube, under the gates of its cleaned events."""
    from immunolab.gating.tubes import gate_tube

    names = ("sample_id", "population", "parent", "path", "n_events", "n_parent", "percent_of_parent")
    after = {count.path: count.percent_of_parent for count in gated.population_counts}
    return [
        {name: getattr(count, name) for name in names} | {"percent_after_cleaning": after[count.path]}
        for count in gate_tube(whole, job.gates).population_counts
    ]


def _bridged_counts(gated: GatedTube, job: MeasureJob) -> list[RuleCount]:
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


def _rule_counts(rule: str, gated: GatedTube, job: MeasureJob, marker: str | None = None) -> list[RuleCount]:
    sizes = {name: int(mask.sum()) for name, mask in gated.named_masks.items()}
    by_reader = reached_names(job.gates.strategy)  # where the bridge would have moved a reader's gate is not known
    return [
        RuleCount(rule, name, parent, n, sizes[parent], marker)
        for (name, parent), n in gated.joint_counts(job.pairs).items()
        if by_reader.isdisjoint((name, parent)) and not (gated.is_withheld(name) or gated.is_withheld(parent))
    ]
