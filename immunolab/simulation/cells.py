"""Events of one tube: cells drawn from a composition, stained and measured with the faults of a real instrument."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from immunolab.simulation.biology import Composition
from immunolab.simulation.model import LEVELS, Model, TubePanel

_SCATTER = ("FSC-A", "FSC-H", "SSC-A")
_LEAST_FSC, _LEAST_SSC = 1000.0, 500.0  # instrument units: below, the trigger of a cytometer sees no event (judgement)
_CLOG_MARGIN = 0.1  # share of a file at its start and end that stays free of a clog
Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Staining:
    """How a tube's staining departs from the ideal.

    Attributes
    ----------
    shift, scale
        Marker -> shift and factor on the asinh scale; a marker that is absent has 0 and 1.
    fade
        Marker -> shift of the cells that carry it alone.
    """

    shift: Mapping[str, float] = field(default_factory=dict)
    scale: Mapping[str, float] = field(default_factory=dict)
    fade: Mapping[str, float] = field(default_factory=dict)

    def plus(self, shift: Mapping[str, float]) -> Staining:
        """Return the staining with further shifts added."""
        total = {m: self.shift.get(m, 0.0) + shift.get(m, 0.0) for m in (*self.shift, *shift)}
        return Staining(total, self.scale, self.fade)


@dataclass(frozen=True)
class Recipe:
    """All that decides a tube apart from chance.

    Attributes
    ----------
    stimulated
        None for a tube without cytokine stain, else whether the cells were stimulated.
    omitted
        Marker left out (an FMO control), or "".
    dead
        Share of dead cells.
    clog
        The flow falters once during acquisition.
    """

    panel: TubePanel
    composition: Composition
    staining: Staining
    n_events: int
    dead: float
    stimulated: bool | None = None
    omitted: str = ""
    clog: bool = False


@dataclass(frozen=True)
class SimulatedTube:
    """Events in file order and the truth about each.

    Attributes
    ----------
    names
        Channel names in column order: scatter, detectors, Time.
    columns
        Channels x events, linear, as acquired (spillover included).
    leaf
        Code of the cell's kind in `Model.leaves`, -1 for debris; of the first cell for a doublet.
    levels
        Events x markers, code of the drawn level of that cell.
    singlet, viable, margin, clogged
        Per event.
    """

    names: tuple[str, ...]
    columns: NDArray[np.float32]
    leaf: NDArray[np.int8]
    levels: NDArray[np.int8]
    singlet: Mask
    viable: Mask
    margin: Mask
    clogged: Mask


def draw_tube(model: Model, recipe: Recipe, rng: np.random.Generator) -> SimulatedTube:
    """Draw the events of a tube, in order of acquisition.

    Parameters
    ----------
    model, recipe
        The instrument, and what is in the tube.
    rng
        Of this tube alone.
    """
    n, tube = recipe.n_events, model.tube
    fate = rng.choice(3, n, p=[1 - tube["debris"] - tube["doublets"], tube["debris"], tube["doublets"]])
    debris, singlet = fate == 1, fate != 2
    cells = draw_cells(model, recipe, n, rng)
    leaf = np.where(debris, -1, cells.leaf).astype(np.int8)
    signal = np.where(debris[:, None], _debris_signal(model, recipe, n, rng), cells.signal)
    scatter = cells.scatter
    scatter[debris] = _scatter(model, np.full(int(debris.sum()), "debris"), rng)
    doublets = np.flatnonzero(~singlet)
    partners = draw_cells(model, recipe, len(doublets), rng)
    signal[doublets] += partners.signal
    scatter[doublets] += partners.scatter
    scatter[doublets, 1] = model.doublet_height * scatter[doublets, 0]
    for column, axis in ((0, "FSC"), (1, "FSC"), (2, "SSC")):
        scatter[:, column] *= recipe.panel.scatter_scale.get(axis, 1.0)
    margin = rng.random(n) < tube["margin"]
    scatter[margin, rng.integers(0, 2, int(margin.sum())) * 2] = model.scale["maximum"]
    time, position, clogged = _clock(model, n, recipe.clog, rng)
    detected = _detect(model, recipe, signal, position, clogged, rng)
    # two decimals: the last bits of sinh and exp differ between processors, and files must not
    columns = np.column_stack([scatter, detected, time]).clip(max=model.scale["maximum"]).round(2).astype(np.float32)
    names = (*_SCATTER, *(d.detector for d in recipe.panel.detectors), "Time")
    viable = cells.alive | debris
    return SimulatedTube(names, np.ascontiguousarray(columns.T), leaf, cells.levels, singlet, viable, margin, clogged)


@dataclass(frozen=True)
class DrawnCells:
    """Single cells before any instrument.

    Attributes
    ----------
    leaf, levels, alive
        ``(n,)`` kind, ``(n, markers)`` drawn level of each marker, ``(n,)`` whether alive.
    signal, scatter
        ``(n, dyes)`` linear signal of each dye; ``(n, 3)`` FSC-A, FSC-H and SSC-A.
    """

    leaf: NDArray[np.int8]
    levels: NDArray[np.int8]
    alive: Mask
    signal: Floats
    scatter: Floats


def draw_cells(model: Model, recipe: Recipe, n: int, rng: np.random.Generator) -> DrawnCells:
    """Draw stained single cells, before any instrument.

    Parameters
    ----------
    model, recipe
        The markers, and what is in the tube.
    n
        Cells.
    rng
        Of this tube alone.
    """
    composition = recipe.composition
    leaf = rng.choice(len(model.leaves), n, p=composition.leaves)
    levels = _draw_levels(model, composition, leaf, recipe.stimulated, rng)
    alive = rng.random(n) >= recipe.dead
    kind = np.array([model.leaf(name).scatter for name in model.leaves])[leaf]
    cycling = levels[:, model.markers.index(model.blast_marker)] == LEVELS.index("pos")
    kind = np.where(cycling & (kind == "lymphocyte"), "blast", kind)
    scatter = _scatter(model, np.where(alive, kind, "dead"), rng)
    signal = np.column_stack([_stain(model, recipe, m, leaf, levels, alive, rng) for m in recipe.panel.markers])
    return DrawnCells(leaf.astype(np.int8), levels, alive, signal, scatter)


def _draw_levels(
    model: Model, composition: Composition, leaf: NDArray[np.int_], stimulated: bool | None, rng: np.random.Generator
) -> NDArray[np.int8]:
    cumulated = composition.level_shares.cumsum(axis=2)
    levels = np.empty((len(leaf), len(model.markers)), dtype=np.int8)
    for column, marker in enumerate(model.markers):
        chance = rng.random(len(leaf))
        levels[:, column] = (chance[:, None] >= cumulated[leaf, column, :-1]).sum(axis=1)
        if marker in model.stimulation["markers"] and not stimulated:
            quiet = rng.random(len(leaf)) >= model.stimulation["unstimulated_share"]
            levels[quiet, column] = 0
    return levels


def _stain(
    model: Model,
    recipe: Recipe,
    marker: str,
    leaf: NDArray[np.int_],
    levels: NDArray[np.int8],
    alive: Mask,
    rng: np.random.Generator,
) -> Floats:
    """Return the linear signal of one dye on each cell."""
    if marker == recipe.omitted:
        return np.zeros(len(leaf))
    moments = model.level_moments(marker)
    if marker == "Viability":
        level = np.where(alive, 0, LEVELS.index("hi"))
        value = rng.normal(moments[level, 0], moments[level, 1])
    else:
        level = levels[:, model.markers.index(marker)]
        value = rng.normal(moments[level, 0], moments[level, 1])
        value[level > 0] += recipe.staining.fade.get(marker, 0.0)
        value[~alive] += model.dead_uptake
        for name, leaves, shift in recipe.composition.intensity:
            if name == marker:
                value[np.array([x in leaves for x in model.leaves])[leaf]] += shift
        if marker == "CD4" and recipe.stimulated:
            value[level > 0] += model.stimulation["CD4_shift"]
    value = value * recipe.staining.scale.get(marker, 1.0) + recipe.staining.shift.get(marker, 0.0)
    return model.scale["cofactor"] * np.sinh(value)


def _debris_signal(model: Model, recipe: Recipe, n: int, rng: np.random.Generator) -> Floats:
    mean, sd = model.level_moments("")[0]
    return model.scale["cofactor"] * np.sinh(rng.normal(mean, sd, (n, len(recipe.panel.detectors))))


def _scatter(model: Model, kind: NDArray[np.str_], rng: np.random.Generator) -> Floats:
    """Return FSC-A, FSC-H, SSC-A of each event."""
    result = np.empty((len(kind), 3))
    for name in np.unique(kind):
        rows = np.flatnonzero(kind == name)
        moments = model.scatter[str(name)]
        area = np.maximum(rng.normal(*moments["FSC"], len(rows)), _LEAST_FSC)
        result[rows, 0] = area
        result[rows, 1] = area * rng.normal(*moments["ratio"], len(rows))
        result[rows, 2] = np.maximum(rng.normal(*moments["SSC"], len(rows)), _LEAST_SSC)
    return result


def _clock(model: Model, n: int, clog: bool, rng: np.random.Generator) -> tuple[Floats, Floats, Mask]:
    """Return ticks, position in the file (0..1) and which events a clog hit."""
    settings = model.time
    gaps = rng.exponential(1.0 / settings["events_per_second"], n)
    position = (np.arange(n) + 0.5) / max(n, 1)
    clogged = np.zeros(n, dtype=bool)
    if clog:
        share = rng.uniform(*settings["clog"]["share"])
        start = rng.uniform(_CLOG_MARGIN, 0.9 - share)
        clogged = (position >= start) & (position < start + share)
        gaps[clogged] /= settings["clog"]["rate"]
    return np.floor(np.cumsum(gaps) / settings["step"]), position, clogged


def _detect(
    model: Model, recipe: Recipe, signal: Floats, position: Floats, clogged: Mask, rng: np.random.Generator
) -> Floats:
    """Spill dyes into detectors and add autofluorescence, photon and electronic noise, drift and clog."""
    noise = model.noise
    slope = rng.normal(0, model.time["drift_sd"])
    shift = slope * (position - 0.5) + np.where(clogged, model.time["clog"]["shift"], 0.0)
    # a change of gain moves bright values by `shift` on the asinh scale and leaves zero in place
    signal = signal * np.exp(shift)[:, None] if np.any(shift) else signal
    # level means contain the average autofluorescence: only a cell's departure from it is added
    glow = noise["autofluorescence_median"] * np.expm1(rng.normal(0, noise["autofluorescence_sd_log"], len(signal)))
    light = signal @ spillover_matrix(model, recipe.panel) + glow[:, None]
    sd = np.sqrt(noise["photon_gain"] * np.maximum(light, 0.0) + noise["electronic_sd"] ** 2)
    return light + sd * rng.standard_normal(light.shape)


def spillover_matrix(model: Model, panel: TubePanel) -> Floats:
    """Return the true spillover of a panel: rows dyes, columns detectors, diagonal 1.

    Parameters
    ----------
    model
        Fraction of each dye that each other detector gets.
    panel
        Detectors, in the order of the matrix.
    """
    dyes = [d.dye for d in panel.detectors]
    matrix = np.eye(len(dyes))
    for i, dye in enumerate(dyes):
        for receiver, fraction in model.spillover[dye].items():
            if receiver in dyes:
                matrix[i, dyes.index(receiver)] = fraction
    return matrix
