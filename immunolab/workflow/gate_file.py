"""Gate one file of `gate_files`: read it, gate it, write what belongs to it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from immunolab.errors import DataFileError, InputError, Problem
from immunolab.events.tube import Tube
from immunolab.gating.counts import PopulationCount
from immunolab.gating.exchange.gatingml_out import write_gatingml
from immunolab.gating.gate_source import Gates
from immunolab.gating.strategy import Strategy
from immunolab.gating.tube_gates import Threshold, TubeGates
from immunolab.gating.tubes import GatedTube, gate_tube
from immunolab.loaders.fcs.read import read_fcs
from immunolab.workflow.store import Store

if TYPE_CHECKING:
    from immunolab.gating.exchange.flowjo_out import WorkspaceSample
    from immunolab.gating.following.template import Template
    from immunolab.gating.reference import Reference, ReferenceTube


@dataclass(frozen=True)
class GateJob:
    """How files are gated, and where results go."""

    gates: Gates
    reference: Reference | None
    out: Path
    memberships: bool
    workspace: bool
    seed: int
    templates: tuple[Template, ...] = ()
    panel: Mapping[str, str] | None = None

    def gates_of(self, tube: Tube) -> TubeGates:
        """Return the gates of a tube: its own, or those of the templates carried to it."""
        if not self.templates:
            return self.gates.for_file(tube.file, tube.keywords)
        from immunolab.gating.following.follow import follow
        from immunolab.gating.following.templates import own_strategies

        return follow(self.templates, [tube], own=own_strategies(self.gates, [tube]), seed=self.seed).gates_of(
            tube.sample_id
        )


@dataclass(frozen=True)
class GatedFile:
    """What is kept of one gated file.

    Attributes
    ----------
    counts, thresholds
        Rows of the two tables.
    sample
        The tube for a FlowJo workspace, where one is to be written.
    left_out
        Gates that could not be evaluated.
    notes
        What is unusual, in words.
    reference
        What is known elsewhere of the tube.
    """

    counts: tuple[PopulationCount, ...]
    thresholds: tuple[Threshold, ...]
    sample: WorkspaceSample | None
    left_out: tuple[Problem, ...]
    notes: tuple[str, ...]
    reference: ReferenceTube | None


@dataclass(frozen=True)
class Unread:
    """A file whose events cannot be read."""

    problem: Problem


def gate_file(path: Path, job: GateJob) -> GatedFile | Unread:
    """Gate one file and write its ``gates/STEM.xml`` (and ``memberships/STEM.parquet``).

    Parameters
    ----------
    path
        An FCS file; its stem is the sample_id.
    job
        Gates, outputs and seed.

    Raises
    ------
    GatingError
        There are no gates for the tube, or none of them can be evaluated.
    """
    try:
        tube = read_fcs(path, panel=job.panel, sample_id=path.stem)
        if not len(tube):
            raise DataFileError("the file holds no events", str(path), "acquire the tube again or leave it out")
    except (DataFileError, InputError) as error:
        return Unread(Problem(str(path), "", error.message, error.hint))
    gated = gate_tube(tube, job.gates_of(tube), seed=job.seed)
    exported = gated.on_channels()
    inexact = write_gatingml(exported, job.out / "gates" / f"{tube.sample_id}.xml")
    if job.memberships:
        Store(job.out).write_memberships(tube.sample_id, gated.memberships_frame())
    return GatedFile(
        gated.population_counts,
        gated.borders,
        _workspace_sample(path, exported, gated) if job.workspace else None,
        gated.left_out,
        (*tube.warnings, *gated.notes, *(f"{note.place}: {note.message}" for note in inexact)),
        job.reference.of_tube(gated) if job.reference else None,
    )


def _workspace_sample(path: Path, exported: Strategy, gated: GatedTube) -> WorkspaceSample:
    from immunolab.gating.exchange.flowjo_out import WorkspaceSample

    names = tuple(channel.name for channel in gated.tube.channels)
    counts = {count.path: count.n_events for count in gated.population_counts}
    return WorkspaceSample(path, exported, names, len(gated.tube), gated.tube.spillover, counts)
