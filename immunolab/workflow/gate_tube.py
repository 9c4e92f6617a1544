"""Gate one tube of `gate_files`: read, choose its strategy, fit, evaluate, write what belongs to the tube."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from immunolab.errors import DataFileError, GatingError, InputError, Problem
from immunolab.gating.agreement import (
    drawn_on_bins,
    event_agreement,
    masks_of_labels,
    read_reference_counts,
)
from immunolab.gating.evaluate import count_rows, evaluate, memberships_frame, on_channels
from immunolab.gating.exchange.workspace import read_workspace
from immunolab.gating.exchange.workspace_model import Workspace
from immunolab.gating.strategy import Memberships, Strategy
from immunolab.gating.validation import sound
from immunolab.schema.csv_files import read_text
from immunolab.schema.files import write_atomically
from immunolab.workflow.panels import GATE_FILES, Gates

if TYPE_CHECKING:
    from immunolab.events.tube import Tube
    from immunolab.gating.exchange.flowjo_out import WorkspaceSample


@dataclass(frozen=True)
class Chosen:
    """A tube's strategy, the thresholds placed by data, gates that could not be read, and notes."""

    strategy: Strategy
    thresholds: pd.DataFrame | None = None
    unread: tuple[Problem, ...] = ()
    notes: tuple[str, ...] = ()


def choose(gates: Gates, events: Tube, fil: str, seed: int) -> Chosen:
    """Return a tube's own geometric gates; declared ones are placed on the tube's events."""
    if gates.declared is None or not gates.needs_fit:
        return Chosen(gates.for_file(events.file, fil), None, gates.unread_for(events.file, fil))
    from immunolab.gating.placement.fit import fit

    fitted = fit(gates.declared, [events], seed=seed)
    absent = fitted.left_out.get(events.sample_id, ())
    notes = (f"optional populations that the panel cannot gate: {', '.join(absent)}",) if absent else ()
    return Chosen(fitted.strategies[events.sample_id], fitted.thresholds, notes=notes)


@dataclass(frozen=True)
class Reference:
    """What gating is held against: an import, counts, or one label an event."""

    imported: Workspace | None = None
    counts: pd.DataFrame | None = None
    labels: tuple[str, ...] | None = None

    @classmethod
    def read(cls, path: Path) -> Reference:
        """Read a workspace, Gating-ML file, counts CSV or label CSV; raises InputError."""
        if path.suffix.lower() in GATE_FILES:
            return cls(imported=read_workspace(path))
        table = read_text(path)
        if len(table.columns) > 1:
            return cls(counts=read_reference_counts(path))
        return cls(labels=(str(table.columns[0]), *table.iloc[:, 0]))

    def beside(self, memberships: Memberships, events: Tube, fil: str) -> Beside:
        """Return what is known elsewhere about this tube."""
        sample_id = events.sample_id
        if self.counts is not None:
            return Beside(self.counts[self.counts["sample_id"] == sample_id])
        if self.labels is not None:
            there = masks_of_labels(self._labels_of(events), memberships.strategy)
            counts = {path: int(mask.sum()) for path, mask in there.items()}
            return Beside(_table(counts, sample_id), event_agreement(memberships.masks, there, sample_id))
        assert self.imported is not None  # noqa: S101 - one of the three is always given
        strategy, _ = sound(self.imported.strategy_for(events.file, fil), events)
        masks = evaluate(strategy, events).masks
        stated = self.imported.counts_for(events.file, fil)
        counted = any(n for path, n in stated.items() if path != "/")  # a workspace never calculated says 0
        counts = dict(stated) if counted else {path: int(mask.sum()) for path, mask in masks.items()}
        binned = frozenset((sample_id, path) for path in drawn_on_bins(strategy)) if counted else frozenset()
        return Beside(_table(counts, sample_id), event_agreement(memberships.masks, masks, sample_id), binned)

    def _labels_of(self, events: Tube) -> tuple[str, ...]:
        assert self.labels is not None  # noqa: S101
        for labels in (self.labels, self.labels[1:]):
            if len(labels) == events.n_events:
                return labels
        raise GatingError(
            f"{len(self.labels)} labels stand beside {events.n_events} events",
            events.sample_id,
            "give one label an event, in file order",
        )


@dataclass(frozen=True)
class Beside:
    """Counts elsewhere, agreement event by event, and paths drawn on FlowJo's bins."""

    counts: pd.DataFrame
    events: pd.DataFrame | None = None
    binned: frozenset[tuple[str, str]] = frozenset()


def _table(counts: Mapping[str, int], sample_id: str) -> pd.DataFrame:
    rows = [(sample_id, path, n) for path, n in counts.items()]
    return pd.DataFrame(rows, columns=["sample_id", "path", "n_events"])


@dataclass(frozen=True)
class GateJob:
    """How tubes are gated, and where results go."""

    gates: Gates
    reference: Reference | None
    out: Path
    memberships: bool
    workspace: bool
    seed: int


@dataclass(frozen=True)
class GatedTube:
    """One tube's rows of `COUNTS` and `THRESHOLDS`; gates that could not be evaluated stand in ``left_out``.

    ``sample`` is the tube for a workspace, where one is to be written.
    """

    counts: list[dict[str, object]]
    thresholds: list[dict[str, object]]
    sample: WorkspaceSample | None
    left_out: tuple[Problem, ...]
    notes: tuple[str, ...]
    beside: Beside | None


@dataclass(frozen=True)
class Unread:
    """A file whose events cannot be read."""

    problem: Problem


def gate_tube(path: Path, job: GateJob) -> GatedTube | Unread:
    """Gate one file and write its ``gates/STEM.xml`` (and ``memberships/STEM.parquet``).

    Raises
    ------
    GatingError
        There are no gates for the tube, or none of them can be evaluated.
    """
    try:
        events, fil = _read(path)
    except (DataFileError, InputError) as error:
        return Unread(Problem(str(path), "", error.message, error.hint))
    from immunolab.gating.exchange.gatingml_out import write_gatingml
    from immunolab.gating.imported_thresholds import imported_thresholds

    chosen = choose(job.gates, events, fil, job.seed)
    gates, found = sound(chosen.strategy, events)
    left_out = (*chosen.unread, *found)
    if not gates.populations:
        first = left_out[0] if left_out else Problem("", "", "there is no gate for this tube")
        raise GatingError(f"no gate can be evaluated: {first.place} {first.message}".strip(), str(path), first.hint)
    memberships = evaluate(gates, events)
    counts = count_rows(memberships, events.sample_id)
    exported = on_channels(gates, events)
    notes = write_gatingml(exported, job.out / "gates" / f"{events.sample_id}.xml")
    if job.memberships:
        frame = memberships_frame(memberships)
        target = job.out / "memberships" / f"{events.sample_id}.parquet"
        write_atomically(target, lambda part: frame.to_parquet(part, index=False))
    return GatedTube(
        counts,
        [vars(t) for t in imported_thresholds(gates, events)]
        if chosen.thresholds is None
        else chosen.thresholds.to_dict("records"),
        _workspace_sample(path, exported, events, counts) if job.workspace else None,
        left_out,
        (*events.warnings, *chosen.notes, *(f"{note.place}: {note.message}" for note in notes)),
        job.reference.beside(memberships, events, fil) if job.reference else None,
    )


def _workspace_sample(path: Path, exported: Strategy, events: Tube, counts: list[dict[str, object]]) -> WorkspaceSample:
    from immunolab.gating.exchange.flowjo_out import WorkspaceSample

    names = tuple(channel.name for channel in events.channels)
    told: dict[str, int] = {str(row["path"]): row["n_events"] for row in counts}  # type: ignore[misc]
    return WorkspaceSample(path, exported, names, events.n_events, events.spillover, told)


def _read(path: Path) -> tuple[Tube, str]:
    """Return a file's events and its ``$FIL``."""
    from immunolab.loaders.fcs.read import read_fcs, read_header

    fil = str(read_header(path).text.get("$FIL", ""))
    events = read_fcs(path, sample_id=path.stem)
    if events.n_events == 0:
        raise DataFileError("the file holds no events", str(path), "acquire the tube again or leave it out")
    return events, fil
