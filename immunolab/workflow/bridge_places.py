"""Where the landmark populations of a panel's bridging controls and patients' tubes are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from immunolab.events.storage import load_tube
from immunolab.events.tube import Tube
from immunolab.gating.evaluate import Mask
from immunolab.gating.following.bridge import gated_events, stain_edges
from immunolab.gating.following.bridge_checks import LANDMARKS, LandmarkPlaces
from immunolab.gating.following.landmarks import by_others, heights, medians, positives
from immunolab.gating.following.template import GatedEvents
from immunolab.gating.placement.scales import measure_scales, on_scales
from immunolab.gating.strategy import ROOT, Dimension
from immunolab.gating.tube_gates import TubeGates
from immunolab.study.sheet import Sample, Study
from immunolab.workflow.read_tube import Prepared

LINEAGES = (
    *(("CD4", "CD3"), ("CD8", "CD3"), ("CD4_naive", "CD4")),
    *(("CD8_naive", "CD8"), ("B", "lymphocytes"), ("NK", "lymphocytes")),
)
SUBSETS = (
    *(("CD4_CM", "CD4"), ("CD4_EM", "CD4"), ("Treg", "CD4"), ("Tfh_CXCR5", "CD4")),
    *(("Th1", "helper"), ("Th2", "helper"), ("Th17", "helper")),
)
"""Shares by which a person is known again; each population and its denominator. Borders of subsets have no gap."""
_MOST_LANDMARKS = (
    5  # populations of a lab's own strategy, whose names say nothing (judgement: the largest change least)
)
_SEEN = 0.01  # least share of all events of a landmark: patients' tubes of 10,000 events then show it (judgement)


@dataclass
class PanelPlaces:
    """The bridging controls of one panel and its patients' tubes, and where their landmarks are.

    Attributes
    ----------
    study, panel
        The study, and the panel's name.
    prepared
        Stored subsamples by sample_id.
    gates
        As placed or drawn, by sample_id.
    """

    study: Study
    panel: str
    prepared: Mapping[str, Prepared]
    gates: Mapping[str, TubeGates]

    def _usable(self, sample: Sample) -> bool:
        name = sample.sample_id
        return (
            sample.panel == self.panel
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

    def tube(self, sample: Sample) -> Tube:
        """Return the stored events of a tube."""
        return load_tube(Path(self.prepared[sample.sample_id].subsample))

    def _gated(self, sample: Sample) -> GatedEvents:
        tube = self.tube(sample)
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
            who = {"bridge": sample.bridge, "sample_id": sample.sample_id, "panel": self.panel or None}
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
    def of_tubes(self) -> dict[str, tuple[LandmarkPlaces, dict[str, tuple[int, int]]]]:
        """Where the landmarks of every tube are, and the shares by which a person is known again."""
        found = {}
        for sample in (*self.bridges, *self.patients):
            gated = self.of_bridges.get(sample.sample_id) or self._gated(sample)
            landmarks = medians(gated, self.landmarks, self.axes, steady=True)
            stained = positives(gated) | by_others(gated, self.axes)
            landmarks |= {key: place for key, place in stained.items() if key in self.stained_landmarks}
            high = heights(gated, self.axes, self.stained_landmarks)
            shares = shares_of(gated.masks, (*LINEAGES, *SUBSETS))
            found[sample.sample_id] = LandmarkPlaces(sample.patient_id, landmarks, sample.visit, high), shares
        return found


def shares_of(masks: Mapping[str, Mask], wanted: Sequence[tuple[str, str]]) -> dict[str, tuple[int, int]]:
    """Return population -> (events, of how many) of the shares that a tube has.

    Parameters
    ----------
    masks
        Events of its populations, by path.
    wanted
        Populations and denominators.
    """
    sizes: dict[str, int] = {}
    for path, mask in masks.items():
        sizes.setdefault(path.rsplit("/", 1)[-1], int(mask.sum()))
    return {name: (sizes[name], sizes[of]) for name, of in wanted if name in sizes and sizes.get(of)}
