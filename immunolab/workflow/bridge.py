"""Step: borders that follow a study's bridging controls from batch to batch, where the study asks for it.

Visits have no part in it: a border follows from batch to batch, by what the batch's bridging control says.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Literal

import pandas as pd

from immunolab.comparison.bridge_errors import FURTHER
from immunolab.gating.following.bridge import BridgeRefused, followed
from immunolab.gating.strategy import Strategy
from immunolab.gating.tube_gates import TubeGates
from immunolab.schema.bridges import BRIDGE_MOVES, REASONS_JOINED_BY
from immunolab.study.batch_order import batches_in_order
from immunolab.study.sheet import Sample, Study
from immunolab.workflow.bridge_beside import anchor_of, beside_of
from immunolab.workflow.bridge_places import PanelPlaces
from immunolab.workflow.bridge_ways import MOST_REASONS, BridgeWays
from immunolab.workflow.panels import PanelGates
from immunolab.workflow.read_tube import Prepared


@dataclass(frozen=True)
class BridgeOutcome:
    """What became of a tube's borders: which ones followed, and why not where they were refused.

    Attributes
    ----------
    outcome, reason
        ``anchor`` is of the batch that others follow from.
    placed
        Whether the tube's own borders were placed by its events.
    """

    outcome: Literal["anchor", "followed", "refused"]
    reason: str = ""
    placed: bool = False


@dataclass(frozen=True)
class Bridged:
    """What following the bridges gave.

    Attributes
    ----------
    gates
        Of every tube, with borders that follow beside its own.
    tubes
        sample_id -> what became of its borders; empty where the study asks for nothing.
    moves
        Rows of BRIDGE_MOVES.
    channels
        Where the landmarks of each bridging control are: columns of BRIDGE_CHANNELS but those over runs.
    """

    gates: Mapping[str, TubeGates]
    tubes: Mapping[str, BridgeOutcome] = field(default_factory=dict)
    moves: pd.DataFrame = field(default_factory=BRIDGE_MOVES.empty)
    channels: Sequence[Mapping[str, Any]] = ()


def run_order(samples: Iterable[Sample]) -> list[str]:
    """Return the batches in the order they were run: by their first date where each has one, else by their names.

    Parameters
    ----------
    samples
        Of a study; those without a batch are passed over.
    """
    days: dict[str, list[Any]] = {}
    for sample in samples:
        if sample.batch:
            days.setdefault(sample.batch, []).append(sample.date)
    return batches_in_order({name: min(filter(None, of), default=None) for name, of in days.items()})


def follow_bridges(
    study: Study,
    panels: Mapping[str, PanelGates],
    prepared: Mapping[str, Prepared],
    gates: Mapping[str, TubeGates],
    *,
    beside: Mapping[str, TubeGates] | None = None,
    pairs: Sequence[tuple[str, str]] = (),
) -> Bridged:
    """Return the gates of every tube with borders that follow the bridging controls, where the study asks for it.

    Parameters
    ----------
    study
        Names bridging controls, batches and patients.
    panels
        Gates by panel name.
    prepared
        Stored subsamples by sample_id.
    gates
        As placed or drawn, by sample_id.
    beside
        Gates that data placed beside drawn ones, by sample_id, to check the bridge by.
    pairs
        Shares (population, denominator) that are counted.
    """
    if not study.bridges:
        return Bridged(gates)
    changed, tubes, rows, channels = dict(gates), {}, [], []
    for name, panel in panels.items():
        places = PanelPlaces(study, name, prepared, gates)
        found = _PanelBridges(panel, places, BridgeWays(places, panel.gates.needs_fit))
        channels += places.channels
        patients = places.patients if study.quality.bridge == "follow" else []
        for sample in patients:
            changed[sample.sample_id], outcome = found.follow(sample)
            tubes[sample.sample_id] = replace(outcome, placed=panel.gates.needs_fit)
        needed = not panel.gates.needs_fit and beside
        other = beside_of(places, beside or {}, pairs, found.order, found.ways.trusted) if needed else None
        for sample in patients:
            if other is not None and tubes[sample.sample_id].outcome != "refused":
                own = changed[sample.sample_id]
                changed[sample.sample_id] = replace(own, rule_counts=(*own.rule_counts, *other.counts(sample)))
        rows += found.ways.rows
    return Bridged(changed, tubes, BRIDGE_MOVES.frame(rows), channels)


@dataclass
class _PanelBridges:
    """The borders of one panel's patients' tubes, and the ways that they follow."""

    panel: PanelGates
    places: PanelPlaces
    ways: BridgeWays

    @cached_property
    def order(self) -> list[str]:
        return run_order(self.places.study.samples)

    def anchor(self, sample: Sample) -> str:
        """Return the batch that a tube's borders follow from."""
        if not self.panel.gates.needs_fit:
            return self.places.study.quality.reference or self.order[0]
        return anchor_of(self.places, sample, self.order)

    def follow(self, sample: Sample) -> tuple[TubeGates, BridgeOutcome]:
        """Return the gates of a tube with those that follow beside them, and what became of them."""
        gates, first = self.places.gates[sample.sample_id], self.anchor(sample)
        if first == sample.batch:
            return replace(gates, bridge_anchor=True), BridgeOutcome("anchor")
        ways = self.ways.between(first, sample.batch)
        way = next((one for one in ways if not one.reasons), None)
        if way is None or way.moves is None:
            text = REASONS_JOINED_BY.join(
                dict.fromkeys(reason for one in ways for reason in one.reasons[:MOST_REASONS])
            )
            return gates, BridgeOutcome("refused", text)
        try:
            source, own = self._source(sample, first), gates.strategy
            bridged = followed(source, own, way.moves)
            further = tuple(
                (marker, followed(source, own, way.moves.nudged(axis.name, FURTHER)))
                for marker, axis in self.places.axes.items()
            )
            return replace(gates, bridged=bridged, bridged_further=further), BridgeOutcome("followed")
        except BridgeRefused as refusal:
            return gates, BridgeOutcome("refused", str(refusal))

    def _source(self, sample: Sample, batch: str) -> Strategy:
        """Return the gates of the patient in a batch; drawn ones are the tube's own."""
        own = [s for s in self.places.patients if s.batch == batch and s.patient_id == sample.patient_id]
        return self.places.gates[(own[0] if own else sample).sample_id].strategy
