"""Simulated tubes of many panels, instruments and sizes, and faults planted in them; shares nothing with the checks.

A tube is drawn by the simulator of virtual trials and becomes one of an instrument: its channels, gains, clock and
largest value. A fault changes the events in a plain way: times and values of a stretch, events of another tube, a
matrix that was written wrong.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from immunolab.events.tube import Spillover, Tube
from immunolab.simulation import Options
from immunolab.simulation.biology import compose, typical_patient
from immunolab.simulation.cells import Recipe, SimulatedTube, Staining, draw_tube, spillover_matrix
from immunolab.simulation.model import LEVELS, Model, TubePanel, load_model
from immunolab.study.trial import load_trial
from immunolab.vocabulary.panel import resolve_channels

MODEL = load_model()
_TRIAL = "sle_nct02084238"
_PANELS = ("surface", "foxp3", "ics")
_TOPS = (262_143.0, 1_048_575.0, 4_194_303.0)  # largest value of three makers' digitizers
_UNSTAINED_SD = 75.0  # instrument units: .5 on the asinh scale of cofactor 150
_MATRIX_ERROR = 0.03  # relative SD of the entries of a matrix that was set up well


@dataclass(frozen=True)
class Plan:
    """What a tube is like without a fault; all drawn from one seed."""

    panel: TubePanel
    n_events: int
    dead: float
    top: float
    with_time: bool
    seed: int


def plan_of(seed: int) -> Plan:
    """Return what the tube of a seed is like."""
    rng = np.random.default_rng([seed, 77])
    panel = MODEL.panels[_PANELS[rng.integers(len(_PANELS))]]
    events = int(np.exp(rng.uniform(np.log(20_000), np.log(120_000))))
    return Plan(panel, events, float(rng.uniform(0.03, 0.12)), _TOPS[rng.integers(3)], bool(rng.random() < 0.9), seed)


def drawn(plan: Plan, model: Model = MODEL, *, dead: float | None = None, salt: int = 0) -> Tube:
    """Return the tube of a plan: steady, well compensated, of ordinary cells."""
    found = _simulated(plan, model, plan.dead if dead is None else dead, salt)
    rng = np.random.default_rng([plan.seed, salt, 5])
    columns = found.columns.copy()
    gain = plan.top / 262_143.0
    columns[:-1] *= np.float32(gain)
    names = list(found.names)
    labels = {d.detector: d.marker for d in plan.panel.detectors}
    channels = resolve_channels(names, [labels.get(name, "") for name in names])
    channels = tuple(replace(c, top=plan.top + 1 if c.kind != "time" else 0.0) for c in channels)
    # an instrument's clock: ticks of .01 s become seconds; events within a tick are in order
    columns[-1] = np.sort(columns[-1] * np.float32(0.01) + rng.random(plan.n_events).astype(np.float32) * 0.01)
    tube = Tube(columns, channels, _matrix(plan.panel, rng), sample_id=f"T{plan.seed}")
    return tube if plan.with_time else _without_time(tube)


def _simulated(plan: Plan, model: Model, dead: float, salt: int) -> SimulatedTube:
    blood = compose(model, "sle", typical_patient(model), 1, load_trial(_TRIAL).dosing.days, Options())
    recipe = Recipe(plan.panel, blood, Staining(), plan.n_events, dead)
    return draw_tube(model, recipe, np.random.default_rng([plan.seed, salt]))


def pairs_that_show(plan: Plan) -> list[tuple[int, int]]:
    """Return the pairs of dye and detector, by the truth, whose spillover cells can show.

    3 % of the events are bright in the dye, half of those lack the other antibody, and a fifth of what spills over is
    one SD of unstained cells at the level of the bright ones.
    """
    found = _simulated(plan, MODEL, plan.dead, 0)
    cells = found.singlet & found.viable & (found.leaf >= 0)
    bright = LEVELS.index("pos")
    levels = {m: found.levels[:, MODEL.markers.index(m)] for m in plan.panel.markers if m in MODEL.markers}
    true, pairs = spillover_matrix(MODEL, plan.panel), []
    for i, j in np.argwhere((true > 0) & (true < 1)):
        dye, other = (levels.get(plan.panel.detectors[k].marker) for k in (i, j))
        if dye is None:
            continue
        own = cells & (dye >= bright)
        if own.mean() < 0.03:
            continue
        lacking = other is None or (other[own] == 0).mean() >= 0.5
        level = 150.0 * np.sinh(MODEL.level_moments(plan.panel.detectors[i].marker)[bright, 0])
        if lacking and 0.2 * true[i, j] * level >= _UNSTAINED_SD:
            pairs.append((int(i), int(j)))
    return pairs


def _matrix(panel: TubePanel, rng: np.random.Generator, error: float = _MATRIX_ERROR) -> Spillover:
    true = spillover_matrix(MODEL, panel)
    written = np.where(np.eye(len(true)) > 0, true, true * (1.0 + rng.normal(0, error, true.shape)))
    return Spillover(tuple(d.detector for d in panel.detectors), written, "file")


def _without_time(tube: Tube) -> Tube:
    return replace(tube, columns=tube.columns[:-1].copy(), channels=tube.channels[:-1])


def _stained(tube: Tube) -> list[int]:
    return [i for i, c in enumerate(tube.channels) if c.kind == "fluorescence"]


def _scaled(tube: Tube, rows: list[int], factors: np.ndarray) -> Tube:
    columns = tube.columns.copy()
    columns[rows] = np.minimum(columns[rows] * factors, tube.channels[rows[0]].top - 1).astype(np.float32)
    return replace(tube, columns=columns)


def _delayed(tube: Tube, waits: np.ndarray) -> Tube:
    """Add time between events: seconds before each."""
    if tube.channels[-1].kind != "time":
        return tube
    columns = tube.columns.copy()
    columns[-1] = (columns[-1].astype(float) + np.cumsum(waits)).astype(np.float32)
    return replace(tube, columns=columns)


def _place(tube: Tube) -> np.ndarray:
    return (np.arange(len(tube)) + 0.5) / len(tube)


def clog(tube: Tube, rng: np.random.Generator) -> Tube:
    """Slow flow and dimmer or brighter dyes from 30 to 40 % of the run."""
    at = _place(tube)
    inside = (at >= 0.3) & (at < 0.4)
    changed = _scaled(tube, _stained(tube), np.where(inside, np.exp(rng.choice([-1, 1]) * rng.uniform(0.35, 0.7)), 1.0))
    if tube.channels[-1].kind != "time":
        return changed
    gaps = np.diff(tube.columns[-1].astype(float), prepend=tube.columns[-1][0])
    return _delayed(changed, np.where(inside, gaps * (1.0 / rng.uniform(0.15, 0.35) - 1.0), 0.0))


def carry_over(tube: Tube, rng: np.random.Generator, other: Tube) -> Tube:
    """Events of another tube, stained with other antibodies, among the first of the run."""
    last = int(len(tube) * rng.uniform(0.04, 0.10))
    chosen = np.flatnonzero(rng.random(last) < rng.uniform(0.6, 1.0))
    columns = tube.columns.copy()
    rows = _stained(tube)
    strange = other.columns[rows][:, rng.integers(0, len(other), len(chosen))]
    columns[np.ix_(rows, chosen)] = strange[rng.permutation(len(rows))]
    return replace(tube, columns=columns)


def step(tube: Tube, rng: np.random.Generator) -> Tube:
    """One dye at .4 to .6 of its signal from the middle of the run on."""
    [row] = rng.choice(_bright(tube), 1)
    return _scaled(tube, [int(row)], np.where(_place(tube) >= rng.uniform(0.45, 0.55), rng.uniform(0.4, 0.6), 1.0))


def drift(tube: Tube, rng: np.random.Generator) -> Tube:
    """Every dye slowly brighter or dimmer, 1.6 to 2.7 times over the run."""
    slope = rng.choice([-1, 1]) * rng.uniform(0.5, 1.0)
    return _scaled(tube, _stained(tube), np.exp(slope * (_place(tube) - 0.5)))


def gap(tube: Tube, rng: np.random.Generator) -> Tube:
    """A pause of a tenth to twice the run's time."""
    waits = np.zeros(len(tube))
    times = np.exp(rng.uniform(np.log(0.1), np.log(2)))
    waits[int(len(tube) * rng.uniform(0.1, 0.9))] = np.ptp(tube.columns[-1]) * times
    return _delayed(tube, waits)


def saturated(tube: Tube, rng: np.random.Generator) -> Tube:
    """So high a gain in one channel that 3 to 20 % of the events are at its end."""
    [row] = map(int, rng.choice(_bright(tube), 1))
    level = np.quantile(tube.columns[row], 1.0 - rng.uniform(0.03, 0.20))
    return _scaled(tube, [row], np.full(len(tube), (tube.channels[row].top - 1) / max(level, 1.0)))


def under_compensated(tube: Tube, plan: Plan, rng: np.random.Generator) -> tuple[Tube, str]:
    """A matrix with one entry 20 % under, of those that cells can show; return the pair, ``dye > detector``."""
    true = spillover_matrix(MODEL, plan.panel)
    pairs = pairs_that_show(plan)
    i, j = pairs[rng.integers(len(pairs))]
    matrix = tube.spillover.matrix.copy()
    matrix[i, j] = 0.8 * true[i, j]
    names = tube.spillover.channels
    return replace(tube, spillover=replace(tube.spillover, matrix=matrix), _inverse={}), f"{names[i]} > {names[j]}"


def matrix_of_another_day(tube: Tube, rng: np.random.Generator) -> Tube:
    """A matrix whose entries are those of other voltages: each detector's column scaled by .7 to 1.4."""
    matrix = tube.spillover.matrix.copy()
    gains = np.exp(rng.uniform(np.log(0.7), np.log(1.4), len(matrix)))
    other = matrix * gains[None, :] / gains[:, None]
    np.fill_diagonal(other, 1.0)
    return replace(tube, spillover=replace(tube.spillover, matrix=other), _inverse={})


def uncompensated(tube: Tube) -> Tube:
    """A matrix of ones on the diagonal and nothing else."""
    names = tube.spillover.channels
    return replace(tube, spillover=Spillover(names, np.eye(len(names)), "file"), _inverse={})


def doubled_doublets(plan: Plan, times: float = 2.0) -> Tube:
    """The tube of a plan with twice the doublets."""
    tube = {**MODEL.tube, "doublets": times * MODEL.tube["doublets"]}
    return drawn(plan, replace(MODEL, tube=tube))


def _bright(tube: Tube) -> list[int]:
    """Channels in which at least 5 % of the events are stained: elsewhere a fault of the dye changes no cell."""
    return [i for i in _stained(tube) if np.quantile(np.arcsinh(tube.columns[i] / 150), 0.95) > 3.0]


Fault = Callable[[Tube, np.random.Generator], Tube]
OF_THE_RUN: dict[str, Fault] = {"clog": clog, "step": step, "drift": drift, "gap": gap, "saturation": saturated}
