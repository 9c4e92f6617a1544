"""Gates that were drawn on template tubes, carried to others: from the top of the tree down, one move a parent."""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from immunolab.errors import Problem
from immunolab.events.tube import Tube
from immunolab.gating.evaluate import members
from immunolab.gating.following.fit_warp import BOUND, fit_moves, shares_at, warp_of
from immunolab.gating.following.likeness import ALIKE, FAR_OFF, misfit
from immunolab.gating.following.move_gate import SHAPES, Shape, moved_gate
from immunolab.gating.following.records import CarriedGate, edge_records
from immunolab.gating.following.template import FEWEST, GatedEvents, Template, on_tube
from immunolab.gating.following.warp import Warp
from immunolab.gating.imported_thresholds import imported_thresholds
from immunolab.gating.placement.fit import Fitted
from immunolab.gating.placement.rules import Scope
from immunolab.gating.strategy import Dimension, Gate, Population, Strategy
from immunolab.gating.tube_gates import TubeGates
from immunolab.schema.flags import Flag, split

_EVENTS = 3000  # events of a pool of tubes that a move is fitted to (judgement: time; its sd is then under 0.05 sd)
_RESAMPLES = 6  # rounds of the interval: its width is known to 30 % (judgement, against time)
_FEWEST_OF_TUBE = 500  # events of each tube of a large pool: every tube has its say (judgement)
_AT_BOUND = 0.98  # share of the greatest move from which a move is at its bound: the optimiser ends just short of it


@dataclass(frozen=True)
class CarriedGates:
    """Carried gates.

    Attributes
    ----------
    fitted
        Gates, borders and resampled gates of every tube.
    left_out
        sample_id -> gates that the tube cannot have.
    templates
        sample_id -> the template whose gates it has.
    """

    fitted: Fitted
    left_out: Mapping[str, tuple[Problem, ...]]
    templates: Mapping[str, str]

    def gates_of(self, sample_id: str) -> TubeGates:
        """Return the gates of one tube."""
        template = self.templates[sample_id]
        note = f"gates carried from {template}" if template != sample_id else "template: gates as drawn"
        return replace(self.fitted.gates_of(sample_id), unread=self.left_out[sample_id], notes=(note,))


@dataclass(frozen=True)
class Move:
    """How the gates of one parent move on some axes.

    Attributes
    ----------
    warp
        The move, or None where there are too few events to fit one.
    draws
        The same, fitted to resampled events.
    misfits
        sample_id -> share of events by which the tube differs from the moved template, beyond the template itself.
    at_bound
        Whether a move is as large as is allowed.
    """

    warp: Warp | None
    draws: tuple[Warp, ...]
    misfits: Mapping[str, float]
    at_bound: bool


def follow(
    templates: Sequence[Template],
    tubes: Sequence[Tube],
    *,
    own: Mapping[str, Strategy] | None = None,
    groups: Mapping[str, Mapping[str, Any]] | None = None,
    share: Scope = "patient",
    seed: int = 0,
    resample: bool = True,
) -> CarriedGates:
    """Carry drawn gates from template tubes to others.

    A move along each axis of a parent's gates is fitted so that the template's clouds are where the tube's are,
    whatever the share of each cloud. Tubes of one scope share it. With several templates the one is taken that the
    tubes look most like. Template tubes keep their gates, and so do tubes that share moves with one.

    Parameters
    ----------
    templates
        Tubes with the gates drawn on them.
    tubes
        Events of the tubes to gate, or samples of them, each with its own sample_id; templates may be among them.
    own
        sample_id -> what the gate file has for the tube: its spillover matrix is used.
    groups
        sample_id -> ``patient`` and ``batch``. A sample not named is its own patient in batch "".
    share
        Which tubes share moves.
    seed
        Of subsampling and resampling.
    resample
        Whether edges get intervals.
    """
    pools: dict[tuple[str, ...], list[Tube]] = {}
    for tube in tubes:
        pools.setdefault(_pool(tube.sample_id, groups or {}, share), []).append(tube)
    parts = []
    for pool in pools.values():
        names = {tube.sample_id for tube in pool}
        at_home = [template for template in templates if template.name in names]
        carried = [
            _Carry(template, pool, own or {}, share, seed, resample, bool(at_home)) for template in at_home or templates
        ]
        for one in carried:
            one.run()
        parts.append(min(carried, key=lambda one: one.distance))
    fitted = Fitted(
        {name: strategy for part in parts for name, strategy in part.strategies.items()},
        {name: rows for part in parts for name, rows in part.records.items()},
        {name: others for part in parts for name, others in part.alternatives.items()},
    )
    left_out = {name: faults for part in parts for name, faults in part.left_out.items()}
    return CarriedGates(fitted, left_out, {name: part.template.name for part in parts for name in part.left_out})


def _pool(sample_id: str, groups: Mapping[str, Mapping[str, Any]], share: Scope) -> tuple[str, ...]:
    group = groups.get(sample_id, {})
    patient, batch = str(group.get("patient", sample_id)), str(group.get("batch", ""))
    return {"sample": (sample_id,), "patient": (patient, batch), "batch": (batch,), "study": ()}[share]


class _Carry:
    """One template's gates on the tubes of one pool."""

    def __init__(
        self,
        template: Template,
        tubes: Sequence[Tube],
        own: Mapping[str, Strategy],
        share: Scope,
        seed: int,
        resample: bool,
        fixed: bool,
    ) -> None:
        self.template, self.share, self.seed, self.resample, self.fixed = template, share, seed, resample, fixed
        self.states: list[GatedEvents] = []
        self.left_out: dict[str, tuple[Problem, ...]] = {}
        for tube in tubes:
            strategy, faults = on_tube(template, tube, own.get(tube.sample_id))
            if tube.sample_id == template.name:
                strategy, faults = template.strategy, ()
            self.states.append(GatedEvents(tube, strategy))
            self.left_out[tube.sample_id] = faults
        self.moves: dict[tuple[str, tuple[Dimension, ...]], Move] = {}
        names = [state.tube.sample_id for state in self.states]
        self.placed: dict[str, list[Population]] = {name: [] for name in names}
        self.records: dict[str, tuple[Any, ...]] = dict.fromkeys(names, ())
        self.alternatives: dict[str, dict[str, tuple[Gate, ...]]] = {name: {} for name in names}

    @property
    def strategies(self) -> dict[str, Strategy]:
        """Placed strategies by sample."""
        return {
            state.tube.sample_id: replace(state.strategy, populations=tuple(self.placed[state.tube.sample_id]))
            for state in self.states
        }

    @property
    def distance(self) -> float:
        """Mean misfit; gates that a tube cannot have count as wholly unlike."""
        found = [value for move in self.moves.values() for value in move.misfits.values()]
        found += [1.0 for faults in self.left_out.values() for _ in faults]
        return float(np.mean(found)) if found else np.inf

    def run(self) -> None:
        """Carry population after population."""
        for population in self.template.strategy.populations:
            states = [state for state in self.states if state.gate_of(population.path) is not None]
            move = None
            if isinstance(population.gate, SHAPES) and states:
                move = self._move(population, population.gate.dimensions, states)
            for state in self.states:
                if state.has(population.path):
                    self._place(state, population.path, move)

    def _place(self, state: GatedEvents, path: str, move: Move | None) -> None:
        name = state.tube.sample_id
        population = state.strategy[path]
        flags = list(split(population.flag))
        drawn = population.gate
        if move is not None and isinstance(drawn, SHAPES):
            flags += _flags(move, name)
            if move.warp is not None and not self.fixed:
                population = replace(population, gate=moved_gate(drawn, move.warp))
                self.alternatives[name][path] = tuple(moved_gate(drawn, warp) for warp in move.draws)
        withheld = {one.path for one in self.placed[name] if Flag.NO_BORDER in split(one.flag)}
        if population.depends_on & withheld:
            flags.append(Flag.NO_BORDER)
        population = replace(population, flag=";".join(dict.fromkeys(flags)))
        state.masks[path] = members(population, state.block, state.masks)
        self.placed[name].append(population)
        if move is not None and isinstance(drawn, SHAPES):
            self._record(state, population, drawn, move)

    def _record(self, state: GatedEvents, population: Population, drawn: Shape, move: Move) -> None:
        name = state.tube.sample_id
        if name == self.template.name:
            alone = replace(state.strategy, populations=(population,))
            self.records[name] += imported_thresholds(alone, state.tube)
            return
        draws = [gate for gate in self.alternatives[name].get(population.path, ()) if isinstance(gate, SHAPES)]
        carried = CarriedGate(population, drawn, tuple(draws), self.template.name, self.share, move.misfits.get(name))
        self.records[name] += edge_records(carried, state.tube)

    def _move(self, population: Population, dimensions: tuple[Dimension, ...], states: Sequence[GatedEvents]) -> Move:
        """Return the move of a parent's gates on some axes, fitted once."""
        key = population.parent_path, dimensions
        if key not in self.moves:
            self.moves[key] = self._fitted(population, dimensions, states)
        return self.moves[key]

    def _fitted(self, population: Population, dimensions: tuple[Dimension, ...], states: Sequence[GatedEvents]) -> Move:
        parent = population.parent_path
        seed = zlib.crc32(f"{self.seed}|{parent}|{[one.name for one in dimensions]}".encode())
        known = self.template.clouds(parent, dimensions, seed)
        if known is None:
            return Move(None, (), {}, False)
        clouds, still, template_events = known
        most = max(_FEWEST_OF_TUBE, _EVENTS // len(states))
        events = {}
        for state in states:
            gate = state.gate_of(population.path)
            found = clouds.standard(state.values(parent, gate.dimensions if gate else dimensions, most, seed))
            if len(found) >= FEWEST:
                events[state.tube.sample_id] = found
        if not events:
            return Move(None, (), {}, False)
        values = list(events.values())
        fit = shares_at(clouds, still, values) if self.fixed else fit_moves(clouds, values)
        moves = fit.moves - still
        draws = []
        rng = np.random.default_rng(seed)
        for _ in range(_RESAMPLES if self.resample and not self.fixed else 0):
            drawn = [one[rng.integers(0, len(one), len(one))] for one in values]
            draws.append(warp_of(clouds, fit_moves(clouds, drawn, fit).moves - still))
        at_home = shares_at(clouds, still, [template_events])
        base = misfit(clouds, still, at_home.shares[0], template_events, seed)
        misfits = {
            name: max(0.0, misfit(clouds, fit.moves, share, one, seed) - base)
            for (name, one), share in zip(events.items(), fit.shares, strict=True)
        }
        return Move(warp_of(clouds, moves), tuple(draws), misfits, bool(np.abs(moves).max() > _AT_BOUND * BOUND))


def _flags(move: Move, name: str) -> list[str]:
    if move.warp is None or name not in move.misfits:
        return [Flag.TOO_FEW_EVENTS]
    value = move.misfits[name]
    if value > FAR_OFF:
        return [Flag.UNLIKE_TEMPLATE, Flag.NO_BORDER]
    return [Flag.UNLIKE_TEMPLATE] if value > ALIKE or move.at_bound else []
