"""Step: what a study's bridging controls say of its batches, and borders that follow them where the study asks for it.

Visits have no part in it: a border follows from batch to batch, by what the batch's bridging control says.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd

from immunolab.comparison.bridge_errors import FURTHER
from immunolab.events.storage import load_tube
from immunolab.gating.following.bridge import (
    BridgeMoves,
    BridgeRefused,
    followed,
    gated_events,
    stain_edges,
)
from immunolab.gating.following.bridge_checks import (
    LANDMARKS,
    LandmarkMove,
    LandmarkPlaces,
    contradicted,
    log_odds,
    other_donor,
    statements,
)
from immunolab.gating.following.landmarks import by_others, medians, positives
from immunolab.gating.following.template import GatedEvents
from immunolab.gating.placement.scales import measure_scales, on_scales
from immunolab.gating.strategy import ROOT, Dimension, Strategy
from immunolab.gating.tube_gates import TubeGates
from immunolab.schema.bridges import BRIDGE_MOVES
from immunolab.study.sheet import Sample, Study
from immunolab.workflow.panels import PanelGates
from immunolab.workflow.read_tube import Prepared

_LINEAGES = (
    *(("CD4", "CD3"), ("CD8", "CD3"), ("CD4_naive", "CD4")),
    *(("CD8_naive", "CD8"), ("B", "lymphocytes"), ("NK", "lymphocytes")),
)
"""Shares by which a person is known again; each population and its denominator."""
_MOST_LANDMARKS = (
    5  # populations of a lab's own strategy, whose names say nothing (judgement: the largest change least)
)
_SEEN = 0.01  # least share of all events of a landmark: patients' tubes of 10,000 events then show it (judgement)
_MOST_REASONS = 3  # of a refusal, in words


@dataclass(frozen=True)
class BridgeOutcome:
    """What became of a tube's borders: which ones followed, and why not where they were refused."""

    outcome: Literal["anchor", "followed", "refused"]
    reason: str = ""


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
    dates: dict[str, list[Any]] = {}
    for sample in samples:
        if sample.batch:
            dates.setdefault(sample.batch, []).append(sample.date)
    if all(any(days) for days in dates.values()):
        return sorted(dates, key=lambda name: (min(day for day in dates[name] if day), _natural(name)))
    return sorted(dates, key=_natural)


def _natural(name: str) -> tuple[tuple[int, str], ...]:
    """Return what a name is sorted by, numbers in it as numbers: B2 before B10."""
    return tuple((int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", name) if part)


def follow_bridges(
    study: Study, panels: Mapping[str, PanelGates], prepared: Mapping[str, Prepared], gates: Mapping[str, TubeGates]
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
    """
    if not study.bridges:
        return Bridged(gates)
    changed, tubes, rows, channels = dict(gates), {}, [], []
    for name, panel in panels.items():
        found = _PanelBridges(study, name, panel, prepared, gates)
        channels += found.channels
        for sample in found.patients if study.quality.bridge == "follow" else ():
            changed[sample.sample_id], tubes[sample.sample_id] = found.follow(sample)
        rows += found.rows
    return Bridged(changed, tubes, BRIDGE_MOVES.frame(rows), channels)


@dataclass
class _Way:
    """The way from one batch to another: the moves, or why it is refused; what each channel's patients say."""

    material: str
    moves: BridgeMoves | None
    reasons: list[str]
    said: dict[str, tuple[str, LandmarkMove | None]]


@dataclass
class _PanelBridges:
    """The bridging controls of one panel, and its patients' tubes."""

    study: Study
    name: str
    panel: PanelGates
    prepared: Mapping[str, Prepared]
    gates: Mapping[str, TubeGates]
    ways: dict[tuple[str, str], list[_Way]] = field(default_factory=dict)

    def _usable(self, sample: Sample) -> bool:
        name = sample.sample_id
        return (
            sample.panel == self.name
            and name in self.gates
            and bool(self.prepared[name].subsample)
            and not self.gates[name].needs_placing
        )

    @cached_property
    def bridges(self) -> list[Sample]:
        """Tubes of bridging controls."""
        return sorted((s for s in self.study.bridges if self._usable(s)), key=lambda s: s.sample_id)

    @cached_property
    def patients(self) -> list[Sample]:
        """Tubes of patients that are counted and of a batch."""
        held = {s.sample_id for s in self.study.bridges}
        own = [s for s in self.study.samples if s.gated and not s.control_of and s.sample_id not in held]
        return [s for s in own if s.batch and s.modality != "single_cell" and self._usable(s)]

    @cached_property
    def order(self) -> list[str]:
        return run_order(self.study.samples)

    def _gated(self, sample: Sample) -> GatedEvents:
        tube = load_tube(Path(self.prepared[sample.sample_id].subsample))
        strategy = self.gates[sample.sample_id].strategy
        return gated_events(tube, on_scales(measure_scales(strategy, [tube]), tube))

    @cached_property
    def of_bridges(self) -> dict[str, GatedEvents]:
        """The bridging controls' events with their own gates, by sample_id."""
        return {s.sample_id: self._gated(s) for s in self.bridges}

    @cached_property
    def axes(self) -> dict[str, Dimension]:
        """Axis of every marker that a gate of the panel is on."""
        found: dict[str, Dimension] = {}
        for gated in (*self.of_bridges.values(), *(self._gated(s) for s in self.patients[:1])):
            for (_, marker), (dimension, _) in stain_edges(gated).items():
                found.setdefault(marker, dimension)
        return found

    @cached_property
    def landmarks(self) -> list[str]:
        """Names of the landmark populations: those known, or else all events and the largest populations."""
        sizes: Counter[str] = Counter()
        for gated in self.of_bridges.values():
            sizes.update({path.rsplit("/", 1)[-1]: int(mask.sum()) for path, mask in gated.masks.items()})
        known = [name for name in LANDMARKS if name in sizes]
        return known or [ROOT, *(name for name, _ in sizes.most_common(_MOST_LANDMARKS))]

    @property
    def channels(self) -> list[dict[str, Any]]:
        """Where the landmarks of each bridging control are."""
        rows: list[dict[str, Any]] = []
        for sample in self.bridges:
            gated = self.of_bridges[sample.sample_id]
            who = {"bridge": sample.bridge, "sample_id": sample.sample_id, "panel": self.name or None}
            for (name, marker), (middle, spread, n) in medians(gated, self.landmarks, self.axes).items():
                axis = self.axes[marker]
                raw = float(axis.transform.inverse(np.array([middle]))[0])
                where = {"batch": sample.batch, "marker": marker, "landmark": name, "n_events": n}
                rows.append({**who, **where, "median": middle, "median_raw": raw, "spread": spread})
        return rows

    @cached_property
    def stained_landmarks(self) -> set[tuple[str, str]]:
        """For each marker the bridges' most positives, and the brightest of the populations that others made."""
        most: dict[str, tuple[float, str]] = {}
        brightest: dict[str, tuple[float, str]] = {}
        for gated in self.of_bridges.values():
            for (name, marker), (_, _, n) in positives(gated, apart=True).items():
                most[marker] = max(most.get(marker, (0.0, "")), (float(n), name))
            for (name, marker), (middle, _, n) in by_others(gated, self.axes).items():
                if n >= _SEEN * gated.tube.n_events:
                    brightest[marker] = max(brightest.get(marker, (-np.inf, "")), (middle, name))
        return {(name, marker) for best in (most, brightest) for marker, (_, name) in best.items()}

    @cached_property
    def places(self) -> dict[str, tuple[LandmarkPlaces, dict[str, tuple[int, int]]]]:
        """Where the landmarks of every tube are, and its lineages' shares."""
        found = {}
        for sample in (*self.bridges, *self.patients):
            gated = self.of_bridges.get(sample.sample_id) or self._gated(sample)
            landmarks = medians(gated, self.landmarks, self.axes)
            stained = positives(gated) | by_others(gated, self.axes)
            landmarks |= {key: place for key, place in stained.items() if key in self.stained_landmarks}
            found[sample.sample_id] = LandmarkPlaces(sample.patient_id, landmarks), _shares(gated)
        return found

    def anchor(self, sample: Sample) -> str:
        """Return the batch that a tube's borders follow from."""
        if not (self.panel.gates.needs_fit or self.panel.gates.follow):
            return self.study.quality.reference or self.order[0]
        own = Counter(s.batch for s in self.patients if s.patient_id == sample.patient_id)
        if self.study.quality.reference in own:
            return self.study.quality.reference
        return min(own, key=lambda batch: (-own[batch], self.order.index(batch)))

    def follow(self, sample: Sample) -> tuple[TubeGates, BridgeOutcome]:
        """Return the gates of a tube with those that follow beside them, and what became of them."""
        gates, first = self.gates[sample.sample_id], self.anchor(sample)
        if first == sample.batch:
            return replace(gates, bridge_anchor=True), BridgeOutcome("anchor")
        ways = self._ways(first, sample.batch)
        way = next((one for one in ways if not one.reasons), None)
        if way is None or way.moves is None:
            text = "; ".join(dict.fromkeys(reason for one in ways for reason in one.reasons[:_MOST_REASONS]))
            return gates, BridgeOutcome("refused", text)
        try:
            source, own = self._source(sample, first), gates.strategy
            bridged = followed(source, own, way.moves)
            further = tuple(
                (marker, followed(source, own, way.moves.nudged(axis.name, FURTHER)))
                for marker, axis in self.axes.items()
            )
            return replace(gates, bridged=bridged, bridged_further=further), BridgeOutcome("followed")
        except BridgeRefused as refusal:
            return gates, BridgeOutcome("refused", str(refusal))

    def _source(self, sample: Sample, batch: str) -> Strategy:
        """Return the gates of the patient in a batch; drawn ones are the tube's own."""
        own = [s for s in self.patients if s.batch == batch and s.patient_id == sample.patient_id]
        return self.gates[(own[0] if own else sample).sample_id].strategy

    def _ways(self, first: str, second: str) -> list[_Way]:
        if (first, second) not in self.ways:
            self.ways[first, second] = self._looked_for(first, second)
        return self.ways[first, second]

    def _looked_for(self, first: str, second: str) -> list[_Way]:
        before, after = ({s.bridge: s for s in self.bridges if s.batch == batch} for batch in (first, second))
        materials = [name for name in before if name in after]
        if not materials:
            lacking = [batch for batch, held in ((first, before), (second, after)) if not held]
            text = (
                f"no bridging control in batch {' and '.join(lacking)}" if lacking else "no material is in both batches"
            )
            return [_Way("", None, [f"{text} ({first}, {second})"], {})]
        return [self._judged(before[name], after[name]) for name in sorted(materials)]

    def _judged(self, before: Sample, after: Sample) -> _Way:
        """Return the way of one material with all that is against it."""
        way = _Way(before.bridge, None, [], {})
        first, second = self.of_bridges[before.sample_id], self.of_bridges[after.sample_id]
        lacking = [m for m, axis in self.axes.items() for one in (first, second) if axis.name not in one.tube]
        if lacking:
            way.reasons.append(f"the bridge lacks {', '.join(dict.fromkeys(lacking))}")
            return way
        way.moves = BridgeMoves(first, second)
        (places, shares), (places_there, shares_there) = self.places[before.sample_id], self.places[after.sample_id]
        if text := other_donor(shares, shares_there, self._odds):
            way.reasons.append(text)
        batches = (before.batch, after.batch)
        tubes = [[self.places[s.sample_id][0] for s in self.patients if s.batch == batch] for batch in batches]
        said = statements((places, places_there), (tubes[0], tubes[1]))
        against = contradicted(said, list(self.axes))
        way.reasons += against.values()
        way.said |= {m: (against.get(m, ""), _surest(of)) for m, of in said.items()}
        return way

    @cached_property
    def _odds(self) -> dict[str, list[tuple[str, float]]]:
        found: dict[str, list[tuple[str, float]]] = {}
        for sample in self.patients:
            for name, (n, of) in self.places[sample.sample_id][1].items():
                found.setdefault(name, []).append((sample.patient_id, log_odds(n, of)))
        return found

    @property
    def rows(self) -> list[dict[str, Any]]:
        """Rows of BRIDGE_MOVES of all ways that were looked for."""
        return [
            row for (first, second), ways in self.ways.items() for way in ways for row in self._rows(first, second, way)
        ]

    def _rows(self, first: str, second: str, way: _Way) -> list[dict[str, Any]]:
        common: dict[str, Any] = {
            "panel": self.name or None,
            "batch_from": first,
            "batch_to": second,
            "bridge": way.material,
            "outcome": "refused" if way.reasons else "followed",
        }
        if way.moves is None:
            return [common | {"marker": "", "population": "", "reason": "; ".join(way.reasons)}]
        rows = []
        for (path, marker), (dimension, place) in stain_edges(way.moves.before).items():
            text, said = way.said.get(marker, ("", None))
            row = common | {"marker": marker, "population": path.rsplit("/", 1)[-1], "border": place}
            if np.isnan(place):
                continue
            try:
                row["move"], row["move_se"] = way.moves.move(path.rsplit("/", 1)[0], dimension).at(place)
            except BridgeRefused as refusal:
                text = text or str(refusal)
            if said is not None:
                row |= {"patients_move": said.move, "n_patients": said.n}
            rows.append(row | {"reason": text or "; ".join(way.reasons[:_MOST_REASONS]) or None})
        return rows


def _surest(said: Mapping[str, LandmarkMove]) -> LandmarkMove | None:
    return min(said.values(), key=lambda one: one.sd / one.spread, default=None)


def _shares(gated: GatedEvents) -> dict[str, tuple[int, int]]:
    """Return population -> (events, of how many) of the lineages that a tube has."""
    sizes: dict[str, int] = {}
    for path, mask in gated.masks.items():
        sizes.setdefault(path.rsplit("/", 1)[-1], int(mask.sum()))
    return {name: (sizes[name], sizes[of]) for name, of in _LINEAGES if name in sizes and sizes.get(of)}
