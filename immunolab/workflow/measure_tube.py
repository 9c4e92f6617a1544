"""The second step of a tube: gate and measure all its events, and write the tables of its sample."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from immunolab.schema.gating import COUNTS, INTENSITIES, INTERVALS, JOINT, OTHER_GATINGS, QUALITY, THRESHOLDS
from immunolab.workflow.read_tube import TubeFile
from immunolab.workflow.store import Store

if TYPE_CHECKING:
    from immunolab.gating.tube_gates import TubeGates
    from immunolab.gating.tubes import GatedTube
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
    memberships, views
        Whether events by population, and what a gating figure needs, are kept.
    """

    tube: TubeFile
    root: str
    key: str
    gates: TubeGates
    pairs: tuple[tuple[str, str], ...]
    memberships: bool
    views: bool = True


def measure(job: MeasureJob) -> str:
    """Write one sample's folder: its tables, gates and gate views; return the sample_id."""
    from immunolab.gating.exchange.gatingml_out import write_gatingml
    from immunolab.gating.record_codec import to_plain
    from immunolab.gating.tubes import gate_tube
    from immunolab.plots.gate_views import gate_views, save_views
    from immunolab.results.tube import GATES

    store, sample_id = Store(Path(job.root)), job.tube.sample_id
    gated = gate_tube(job.tube.read(), job.gates)

    def write(folder: Path) -> None:
        for table, rows in _tables(gated, job).items():
            table.write_rows(rows, folder / f"{table.name}.csv")
        write_gatingml(gated.on_channels(), folder / "gates.xml")
        (folder / GATES).write_text(json.dumps(to_plain(job.gates)), encoding="utf-8")
        if job.views:
            save_views(gate_views(gated.strategy, gated.tube, gated.memberships), folder / "views.npz")

    if job.memberships:
        store.write_memberships(sample_id, gated.memberships_frame())
    store.commit(sample_id, job.key, write)
    return sample_id


def _tables(gated: GatedTube, job: MeasureJob) -> dict[Table, list[dict[str, object]]]:
    from immunolab.quality.events import check_events, check_gates

    sample = {"sample_id": gated.sample_id}
    left_out = [f"{fault.place}: {fault.message}" for fault in gated.left_out]
    joints = gated.joint_counts(job.pairs)
    return {
        COUNTS: [vars(count) for count in gated.population_counts],
        THRESHOLDS: [vars(border) for border in gated.borders],
        INTENSITIES: [vars(intensity) for intensity in gated.median_intensities()],
        QUALITY: check_events(gated.tube) + check_gates(gated.sample_id, left_out),
        JOINT: [sample | {"population": name, "parent": of, "n_events": n} for (name, of), n in joints.items()],
        INTERVALS: [sample | vars(spread) for spread in job.gates.spreads],
        OTHER_GATINGS: [sample | vars(count) for count in job.gates.rule_counts],
    }
