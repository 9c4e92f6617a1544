"""What another program or a person found in the same tubes, to compare gating with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from immunolab.errors import GatingError
from immunolab.events.tube import Tube
from immunolab.gating.agreement import (
    event_agreement,
    masks_of_labels,
    read_reference_counts,
)
from immunolab.gating.display_bins import bin_bounds
from immunolab.gating.evaluate import evaluate
from immunolab.gating.exchange.workspace import read_workspace
from immunolab.gating.exchange.workspace_model import Workspace, same_gates
from immunolab.gating.gate_source import GATE_FILES
from immunolab.gating.tubes import GatedTube
from immunolab.gating.validation import evaluable
from immunolab.schema.csv_files import read_text


@dataclass(frozen=True)
class ReferenceTube:
    """What is known elsewhere of one tube.

    Attributes
    ----------
    counts
        Columns sample_id, path, n_events.
    events
        Agreement event by event, where it is known.
    binned
        Fewest and most events that FlowJo's 256 bins can leave in a population, by (sample_id, path).
    """

    counts: pd.DataFrame
    events: pd.DataFrame | None = None
    binned: Mapping[tuple[str, str], tuple[int, int]] = field(default_factory=dict)


@dataclass(frozen=True)
class Reference:
    """What gating is compared with: an import, counts, or one label an event."""

    imported: Workspace | None = None
    counts: pd.DataFrame | None = None
    labels: tuple[str, ...] = ()

    @classmethod
    def read(cls, path: Path) -> Reference:
        """Read a workspace, Gating-ML file, counts CSV or label CSV; raises InputError."""
        if path.suffix.lower() in GATE_FILES:
            return cls(imported=read_workspace(path))
        table = read_text(path)
        if len(table.columns) > 1:
            return cls(counts=read_reference_counts(path))
        return cls(labels=(str(table.columns[0]), *table.iloc[:, 0]))

    def of_tube(self, gated: GatedTube) -> ReferenceTube:
        """Return what is known elsewhere of a gated tube.

        Raises
        ------
        GatingError
            The labels are not one an event, or the import has no gates for the tube.
        """
        if self.counts is not None:
            return ReferenceTube(self.counts[self.counts["sample_id"] == gated.sample_id])
        if self.imported is not None:
            return _of_import(self.imported, gated)
        there = masks_of_labels(self._labels_of(gated.tube), gated.strategy)
        counts = {path: int(mask.sum()) for path, mask in there.items()}
        agreement = event_agreement(gated.memberships.masks, there, gated.sample_id)
        return ReferenceTube(_counts_table(counts, gated.sample_id), agreement)

    def _labels_of(self, tube: Tube) -> tuple[str, ...]:
        for labels in (self.labels, self.labels[1:]):  # with and without a heading
            if len(labels) == len(tube):
                return labels
        message = f"{len(self.labels)} labels for {len(tube)} events"
        raise GatingError(message, tube.sample_id, "give one label an event, in file order")


def _of_import(imported: Workspace, gated: GatedTube) -> ReferenceTube:
    tube, sample_id = gated.tube, gated.sample_id
    strategy, _ = evaluable(imported.strategy_for(tube.file, tube.keywords), tube)
    masks = evaluate(strategy, tube).masks
    stated = imported.counts_for(tube.file, tube.keywords)
    counted = any(n for path, n in stated.items() if path != "/")  # a workspace never calculated says 0
    counts = dict(stated) if counted else {path: int(mask.sum()) for path, mask in masks.items()}
    drawn = imported.binned_for(tube.file, tube.keywords) if counted else {}
    binned = {(sample_id, path): bounds for path, bounds in bin_bounds(strategy, drawn, tube).items()}
    itself = same_gates(strategy, gated.strategy)  # events then agree whatever the gates are
    agreement = None if itself else event_agreement(gated.memberships.masks, masks, sample_id)
    return ReferenceTube(_counts_table(counts, sample_id), agreement, binned)


def _counts_table(counts: Mapping[str, int], sample_id: str) -> pd.DataFrame:
    rows = [(sample_id, path, n) for path, n in counts.items()]
    return pd.DataFrame(rows, columns=["sample_id", "path", "n_events"])
