"""The ways of borders from batch to batch that a panel's bridging controls give, and what is against each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import combinations
from typing import Any

import numpy as np

from immunolab.gating.following.bridge import BridgeMoves, BridgeRefused, stain_edges
from immunolab.gating.following.bridge_checks import (
    LandmarkMove,
    LandmarkPlaces,
    contradicted,
    log_odds,
    other_donor,
    stain_gone,
    statements,
)
from immunolab.gating.following.channel_move import ENOUGH
from immunolab.gating.following.lone_bridge import lone_tubes
from immunolab.gating.following.two_bridges import disagreement
from immunolab.schema.bridges import REASONS_JOINED_BY
from immunolab.study.sheet import Sample
from immunolab.workflow.bridge_places import SUBSETS, PanelPlaces, shares_of

MOST_REASONS = 3
"""Reasons of a refusal, in words."""


@dataclass
class Way:
    """The way from one batch to another by one material.

    Attributes
    ----------
    material
        Of the bridging control; "" where there is none in both batches.
    moves
        Of the channels; None where the bridge cannot give any.
    reasons
        Why the way is refused; empty where it is not.
    said
        Marker -> what is against the bridge there, and what the patients' tubes say most surely.
    """

    material: str
    moves: BridgeMoves | None
    reasons: list[str]
    said: dict[str, tuple[str, LandmarkMove | None]]


@dataclass
class BridgeWays:
    """The ways from batch to batch of one panel.

    Attributes
    ----------
    places
        Where the landmarks of its tubes are.
    placed
        Whether the events of every tube place its borders; where they do not, the borders of subsets are carried by the
        bridge before their shares are compared.
    """

    places: PanelPlaces
    placed: bool
    _found: dict[tuple[str, str], list[Way]] = field(default_factory=dict)

    def between(self, first: str, second: str) -> list[Way]:
        """Return the ways from a batch to another, one of each pair of tubes of one material; the last tubes first.

        Parameters
        ----------
        first, second
            Batches.
        """
        if (first, second) not in self._found:
            self._found[first, second] = self._looked_for(first, second)
        return self._found[first, second]

    def _looked_for(self, first: str, second: str) -> list[Way]:
        before, after = ([s for s in self.places.bridges if s.batch == batch] for batch in (first, second))
        pairs = [(one, other) for one in reversed(before) for other in reversed(after) if one.bridge == other.bridge]
        if not pairs:
            lacking = [batch for batch, held in ((first, before), (second, after)) if not held]
            text = (
                f"no bridging control in batch {' and '.join(lacking)}" if lacking else "no material is in both batches"
            )
            return [Way("", None, [f"{text} ({first}, {second})"], {})]
        ways = [self._judged(*pair) for pair in sorted(pairs, key=lambda pair: pair[0].bridge)]
        _compare([way for way in ways if not way.reasons])
        return ways

    def _judged(self, before: Sample, after: Sample) -> Way:
        """Return the way of one material with all that is against it."""
        way = Way(before.bridge, None, [], {})
        first, second = self.places.of_bridges[before.sample_id], self.places.of_bridges[after.sample_id]
        lacking = [m for m, axis in self.places.axes.items() for one in (first, second) if axis.name not in one.tube]
        if lacking:
            way.reasons.append(f"the bridge lacks {', '.join(dict.fromkeys(lacking))}")
            return way
        if (few := min(first.tube.n_events, second.tube.n_events)) < ENOUGH:
            way.reasons.append(f"the bridge has {few:,} events, where {ENOUGH:,} are needed")
            return way
        way.moves = BridgeMoves(first, second)
        (places, shares), (places_there, shares_there) = (
            self.places.of_tubes[before.sample_id],
            self.places.of_tubes[after.sample_id],
        )
        if not self.placed:
            shares_there = shares_there | shares_of(way.moves.masks, SUBSETS)
        if text := other_donor(shares, shares_there, self._odds):
            way.reasons.append(text)
        batches = (before.batch, after.batch)
        tubes = [
            [self.places.of_tubes[s.sample_id][0] for s in self.places.patients if s.batch == batch]
            for batch in batches
        ]
        said = statements((places, places_there), (tubes[0], tubes[1]))
        against = contradicted(said, list(self.places.axes))
        against |= stain_gone((places, places_there), (tubes[0], tubes[1]))
        alone = self._alone.get(before.bridge, {})
        against = {m: text for batch in batches for m, text in alone.get(batch, {}).items()} | against
        way.reasons += against.values()
        way.said |= {m: (against.get(m, ""), _surest(of)) for m, of in said.items()}
        return way

    @cached_property
    def _alone(self) -> dict[str, dict[str, dict[str, str]]]:
        """Material -> batch -> marker -> why its tube is unlike those of all batches."""
        of: dict[str, dict[str, LandmarkPlaces]] = {}
        for sample in self.places.bridges:
            of.setdefault(sample.bridge, {})[sample.batch] = self.places.of_tubes[sample.sample_id][0]
        patients: dict[str, list[LandmarkPlaces]] = {}
        for sample in self.places.patients:
            patients.setdefault(sample.batch, []).append(self.places.of_tubes[sample.sample_id][0])
        return {name: lone_tubes(tubes, patients, list(self.places.axes)) for name, tubes in of.items()}

    @cached_property
    def _odds(self) -> dict[str, list[tuple[str, float]]]:
        found: dict[str, list[tuple[str, float]]] = {}
        for sample in self.places.patients:
            for name, (n, of) in self.places.of_tubes[sample.sample_id][1].items():
                found.setdefault(name, []).append((sample.patient_id, log_odds(n, of)))
        return found

    @property
    def trusted(self) -> set[str]:
        """Tubes of bridging controls on a way that nothing is against, by sample_id."""
        ways = [way for ways in self._found.values() for way in ways if not way.reasons]
        moves = [way.moves for way in ways if way.moves is not None]
        return {one.tube.sample_id for both in moves for one in (both.before, both.after)}

    @property
    def rows(self) -> list[dict[str, Any]]:
        """Rows of BRIDGE_MOVES of all ways that were looked for."""
        return [
            row
            for (first, second), ways in self._found.items()
            for way in ways
            for row in self._rows(first, second, way)
        ]

    def _rows(self, first: str, second: str, way: Way) -> list[dict[str, Any]]:
        common: dict[str, Any] = {
            "panel": self.places.panel or None,
            "batch_from": first,
            "batch_to": second,
            "bridge": way.material,
            "outcome": "refused" if way.reasons else "followed",
        }
        whole = common | {"marker": "", "population": "", "reason": REASONS_JOINED_BY.join(way.reasons[:MOST_REASONS])}
        if way.moves is None:
            return [whole]
        rows = []
        for (path, marker), (dimension, place) in stain_edges(way.moves.before).items():
            text, said = way.said.get(marker, ("", None))
            row = common | {"marker": marker, "population": path.rsplit("/", 1)[-1], "border": place}
            if np.isnan(place):
                continue
            try:
                row["move"], row["move_se"] = way.moves.move(path.rsplit("/", 1)[0], dimension).at(place)
            except BridgeRefused as refusal:
                row["outcome"], text = "refused", text or str(refusal)
            if said is not None:
                row |= {"patients_move": said.move, "n_patients": said.n}
            rows.append(row | {"reason": text or REASONS_JOINED_BY.join(way.reasons[:MOST_REASONS]) or None})
        return rows or [whole] * bool(way.reasons)


def _compare(ways: Sequence[Way]) -> None:
    """Refuse the ways that nothing else is against where they do not say the same: which is right is not known."""
    against: list[dict[str, str]] = [{} for _ in ways]
    for (i, one), (j, other) in combinations(enumerate(ways), 2):
        if one.moves is not None and other.moves is not None:
            found = disagreement(one.moves, other.moves)
            against[i], against[j] = against[i] | found, against[j] | found
    for way, texts in zip(ways, against, strict=True):
        way.reasons += texts.values()
        way.said |= {marker: (text, way.said.get(marker, ("", None))[1]) for marker, text in texts.items()}


def _surest(said: Mapping[str, LandmarkMove]) -> LandmarkMove | None:
    return min(said.values(), key=lambda one: one.sd / one.spread, default=None)
