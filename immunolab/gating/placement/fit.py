"""Declared gates become geometric ones: each is placed by the events of a pool of tubes.

One rule serves all visits of a patient within a batch (or a wider or narrower scope), so that a
shift between visits is a shift of cells, not of gates. The tree is placed from the top down.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np
import pandas as pd

from immunolab.errors import GatingError
from immunolab.events.subsample import subsample
from immunolab.events.tube import Tube
from immunolab.gating.panel_compatibility import arrange, missing_markers
from immunolab.gating.placement.other_pools import OtherPools, Usuals
from immunolab.gating.placement.placed_gate import PlacedGate
from immunolab.gating.placement.rectangle_gates import RectangleGates
from immunolab.gating.placement.region_gates import place_region_gates
from immunolab.gating.placement.rules import BORDERS, SCOPES, Scope, rule_for
from immunolab.gating.placement.scales import measure_scales, on_scales
from immunolab.gating.placement.tube_state import TubePool, TubeState
from immunolab.gating.strategy import Declared, Gate, Population, Strategy
from immunolab.gating.tube_gates import PoolBorder, Threshold, TubeGates, thresholds_table
from immunolab.intervals import NORMAL_95
from immunolab.schema.flags import Flag, split

__all__ = ["Fitted", "fit", "missing_markers", "widest_scope"]

Refit = Literal["pooled", "sample", "baseline"]
# events of each tube in a pool: as many as the smallest has, but not under 5,000, so that tubes weigh alike and one
# small tube does not leave the others few (judgement)
_FEWEST_SHARED = 5000
# standard deviation of the log of a population's count under its gate's resamples above which it is flagged: its 95 %
# interval then spans threefold (judgement; benchmarks/real_tubes.py, 2026-11-26: at most 2.3-fold where F1 is over .9)
_WIDE_COUNT = math.log(3.0) / (2 * NORMAL_95)
# log of how a population's count changes under the borders of other pools from which its own are flagged: a fifth, as
# of a border that drifts (`interval_width`)
_OUTLYING_COUNT = math.log(1.25)


@dataclass(frozen=True)
class Fitted:
    """Placed gates.

    Attributes
    ----------
    strategies
        sample_id -> geometric strategy.
    records
        sample_id -> its borders, population after population.
    alternatives
        sample_id -> path -> the same gate placed again on resampled events; `uncertainty.percent_intervals` carries
        them down the tree.
    left_out
        sample_id -> optional populations that the panel cannot gate.
    pool_borders
        Every border as its own pool placed it.
    """

    strategies: Mapping[str, Strategy]
    records: Mapping[str, tuple[Threshold, ...]]
    alternatives: Mapping[str, Mapping[str, tuple[Gate, ...]]] = field(default_factory=dict)
    left_out: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    pool_borders: tuple[PoolBorder, ...] = ()

    @property
    def thresholds(self) -> pd.DataFrame:
        """Every sample's borders as a table `THRESHOLDS`."""
        return thresholds_table(record for records in self.records.values() for record in records)

    def gates_of(self, sample_id: str) -> TubeGates:
        """Return the placed gates of one tube."""
        absent = [path.rsplit("/", 1)[-1] for path in self.left_out.get(sample_id, ())]
        notes = (f"optional populations that the panel cannot gate: {', '.join(absent)}",) if absent else ()
        own = tuple(one for one in self.pool_borders if sample_id in one.pool)
        return TubeGates(self.strategies[sample_id], self.records[sample_id], pool_borders=own, notes=notes)


def fit(
    strategy: Strategy,
    tubes: Sequence[Tube],
    *,
    controls: Mapping[tuple[str, str], Tube] | None = None,
    groups: Mapping[str, Mapping[str, Any]] | None = None,
    seed: int = 0,
    refit: Refit = "pooled",
    resample: bool = True,
    share: Scope | None = None,
    usuals: Usuals | None = None,
) -> Fitted:
    """Place every declared gate of a strategy on tubes that may share borders.

    Parameters
    ----------
    strategy
        A strategy with declared gates; geometric gates stay as they are.
    tubes
        Events, or subsamples of them, each with its own sample_id.
    controls
        (batch, marker) -> the tube without that marker's dye; an empty marker is an unstained tube.
    groups
        sample_id -> ``patient``, ``batch`` and, for ``refit="baseline"``, a true ``baseline``. A sample not named is
        its own patient in batch "".
    seed
        Of subsampling and resampling.
    refit
        ``pooled`` places borders on the pool that each rule's scope names, ``sample`` on each tube alone, ``baseline``
        on the pool's baseline tubes only, for all of its tubes.
    resample
        Whether borders get intervals and a drift alarm; without, placing is several times faster.
    share
        Which tubes share a border, whatever the rules' own scopes; None leaves it to the rules.
    usuals
        Where other pools of the study have each border (`other_pools.usuals`), when those are placed elsewhere; None
        compares the pools of these tubes.

    Raises
    ------
    GatingError
        A required marker is missing from a tube, or two tubes share a sample_id.
    """
    names = [tube.sample_id for tube in tubes]
    if len(set(names)) < len(names):
        raise GatingError(
            "two tubes have the same sample_id",
            ", ".join(sorted({n for n in names if names.count(n) > 1})),
            "give each its own: read_fcs(file, sample_id='P01_W0')",
        )
    tubes = sorted(tubes, key=lambda tube: tube.sample_id)  # what is drawn at random does not depend on a sheet's order
    batches = {name: str(group.get("batch", "")) for name, group in (groups or {}).items()}
    strategy = measure_scales(strategy, tubes, batches)
    alike: dict[tuple[str, ...], list[tuple[Strategy, Tube]]] = {}
    for tube in tubes:
        own = on_scales(arrange(strategy, tube), tube)
        alike.setdefault(tuple(p.path for p in own.populations), []).append((own, tube))
    parts = [
        _Fit(
            members[0][0],
            [tube for _, tube in members],
            controls or {},
            groups or {},
            seed,
            refit,
            resample,
            share,
            usuals,
        ).run()
        for members in alike.values()
    ]
    return Fitted(
        {name: part.strategies[name] for name in names for part in parts if name in part.strategies},
        {name: part.records[name] for name in names for part in parts if name in part.records},
        {name: part.alternatives[name] for name in names for part in parts if name in part.alternatives},
        {tube.sample_id: missing_markers(strategy, tube) for tube in tubes},
        tuple(one for part in parts for one in part.pool_borders),
    )


def widest_scope(strategy: Strategy) -> Scope:
    """Return the widest scope of any declared gate; ``sample`` without any."""
    declared = [p.gate for p in strategy.populations if isinstance(p.gate, Declared)]
    scopes = [SCOPES.index(scope) for gate in declared for scope in _scopes(strategy, gate)]
    return SCOPES[max(scopes, default=0)]


def _scopes(strategy: Strategy, gate: Declared) -> list[Scope]:
    thresholds = strategy.settings.get("thresholds", {})
    if gate.kind == "where":
        return [rule_for(thresholds, m, border).scope for m, _ in gate.settings["phenotype"] for border in BORDERS]
    if gate.kind == "threshold" and "low" not in gate.settings:
        own = {k: v for k, v in gate.settings.items() if k not in ("marker", "side")}
        return [rule_for(thresholds, gate.settings["marker"], "pos", own).scope]
    scope: Scope = gate.settings.get("scope", "patient")
    return [scope]


def _by_count(tube: TubeState, placed: Population, gate: PlacedGate) -> tuple[Flag, ...]:
    """Return the flags of a population whose count depends on where its borders are put."""
    wide = tube.spread_of_count(placed, gate.alternatives[::2]) > _WIDE_COUNT
    unlike = gate.usual is not None and tube.spread_of_count(placed, (gate.usual,)) > _OUTLYING_COUNT
    return (Flag.WIDE_INTERVAL,) * wide + (Flag.OUTLYING,) * unlike


class _Fit:
    """One run over tubes that share a panel."""

    def __init__(
        self,
        strategy: Strategy,
        tubes: Sequence[Tube],
        controls: Mapping[tuple[str, str], Tube],
        groups: Mapping[str, Mapping[str, Any]],
        seed: int,
        refit: Refit,
        resample: bool,
        share: Scope | None,
        usuals: Usuals | None,
    ) -> None:
        self.strategy, self.seed, self.refit, self.share = strategy, seed, refit, share
        most = max(_FEWEST_SHARED, min(tube.n_events for tube in tubes))
        self.tubes = []
        for tube in tubes:
            group = groups.get(tube.sample_id, {})
            patient, batch = str(group.get("patient", tube.sample_id)), str(group.get("batch", ""))
            kept = subsample(tube, most, seed=self.number(tube.sample_id))
            self.tubes.append(TubeState(kept, strategy, patient, batch, bool(group.get("baseline", True))))
        self.controls = {key: TubeState(events, strategy, "", str(key[0])) for key, events in sorted(controls.items())}
        self.resample = resample
        self.others = OtherPools(self.rng, usuals)
        self.rectangles = RectangleGates(strategy.settings.get("thresholds", {}), self.rng, resample, self.others)

    def number(self, *words: str) -> int:
        """Return a seed that depends on the run's seed and on words."""
        return zlib.crc32("|".join((str(self.seed), *words)).encode())

    def rng(self, *words: str) -> np.random.Generator:
        """Return a separate generator for each thing that is resampled."""
        return np.random.default_rng(self.number(*words))

    def run(self) -> Fitted:
        """Place population after population in all tubes."""
        done: dict[str, list[Population]] = {tube.sample_id: [] for tube in self.tubes}
        others: dict[str, dict[str, tuple[Gate, ...]]] = {tube.sample_id: {} for tube in self.tubes}
        rows: dict[str, tuple[Threshold, ...]] = {tube.sample_id: () for tube in self.tubes}
        withheld: dict[str, set[str]] = {tube.sample_id: set() for tube in self.tubes}
        for population in self.strategy.populations:
            drawn = self._place(population)
            for tube in self.tubes:
                placed = population
                one = drawn.get(tube.sample_id)
                flags = (*split(population.flag), *(one.flags if one is not None else ()))
                if Flag.NO_BORDER in flags or population.depends_on & withheld[tube.sample_id]:
                    withheld[tube.sample_id].add(population.path)
                    flags = tuple(dict.fromkeys((*flags, Flag.NO_BORDER)))
                if flags:
                    placed = replace(population, flag=";".join(flags))
                if one is not None:
                    placed = replace(placed, gate=one.gate)
                    rows[tube.sample_id] += one.rows
                    if one.alternatives:
                        others[tube.sample_id][population.path] = one.alternatives
                tube.place(placed)
                if one is not None and (words := _by_count(tube, placed, one)):
                    placed = replace(placed, flag=";".join(dict.fromkeys((*split(placed.flag), *words))))
                tube.flags[placed.path] = tuple(split(placed.flag))
                done[tube.sample_id].append(placed)
            self._place_controls(population.path, done)
        strategies = {
            name: replace(self.strategy, populations=tuple(populations), settings={})
            for name, populations in done.items()
        }
        return Fitted(strategies, rows, others, pool_borders=self.others.own)

    def _place(self, population: Population) -> dict[str, PlacedGate]:
        """Return the placed gate of every tube by sample_id; nothing for a gate that has coordinates."""
        gate = population.gate
        if not isinstance(gate, Declared):
            return {}
        if gate.kind in ("where", "threshold"):
            return self.rectangles.place(population, gate, self.tubes, self._pools)
        pools = self._pools(gate.settings.get("scope", "patient"))
        return place_region_gates(population, gate, pools, self.rng, self.resample, self.others)

    def _place_controls(self, path: str, done: Mapping[str, list[Population]]) -> None:
        for control in self.controls.values():
            model = next((tube for tube in self.tubes if tube.batch == control.batch), None)
            if model is None:
                continue
            placed = done[model.sample_id][-1]
            if not placed.parent_path or placed.parent_path in control.masks:
                try:
                    control.place(placed)
                except GatingError:
                    # a control of another panel: the border that needs it finds no events and flags control_mismatch
                    control.masks.pop(path, None)

    def _pools(self, scope: Scope) -> list[tuple[TubePool, tuple[TubeState, ...]]]:
        """Return (pool the border is placed on, tubes it serves)."""
        scope = "sample" if self.refit == "sample" else self.share or scope
        keys: dict[Scope, Callable[[TubeState], tuple[str, ...]]] = {
            "sample": lambda tube: (tube.sample_id,),
            "patient": lambda tube: (tube.patient, tube.batch),
            "batch": lambda tube: (tube.batch,),
            "study": lambda _: (),
        }
        key = keys[scope]
        served: dict[tuple[str, ...], list[TubeState]] = {}
        for tube in self.tubes:
            served.setdefault(key(tube), []).append(tube)
        pools = []
        for members in served.values():
            base = [tube for tube in members if tube.baseline] if self.refit == "baseline" else members
            batches = {tube.batch for tube in members}
            controls: dict[str, tuple[TubeState, ...]] = {}
            for (batch, marker), tube in self.controls.items():
                if str(batch) in batches:
                    controls[marker] = (*controls.get(marker, ()), tube)
            pools.append((TubePool(tuple(base or members), controls, scope), tuple(members)))
        return pools
