"""A declared gate as it was placed for one tube: its shape, its borders' records, the same gate on resampled events."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from immunolab.events.transforms import scale_in_words
from immunolab.gating.method_results import Array
from immunolab.gating.placement.placed import Placed
from immunolab.gating.placement.rules import Border, Scope
from immunolab.gating.placement.run_method import RESAMPLES
from immunolab.gating.placement.tube_state import TubePool, TubeState
from immunolab.gating.strategy import Gate, Population
from immunolab.gating.tube_gates import Threshold

Pools = Callable[[Scope], list[tuple[TubePool, tuple[TubeState, ...]]]]
Generators = Callable[..., np.random.Generator]
Side = tuple[str, Border, Literal["lower", "upper"]]  # marker, its border, the side of the rectangle
# how far a border may be from where it belongs beyond what resampling shows, in spreads of the events behind it:
# calibrated so that intervals cover the truth on simulated tubes (benchmarks/gating_accuracy.py, 2026-11-22)
PLACEMENT_SD = 0.16
# the same of methods that are further from it, or nearer (benchmarks/interval_coverage.py with seeds from 7000,
# 2026-11-26): CCR7 fades between memory cells without a gap; two channels show a cloud better than one
PLACEMENT_SD_OF = {"naive_memory": 0.22, "diagonal": 0.13}
# events of a parent under which a tube's own border says nothing of drift (judgement: its standard error is then a
# tenth of the spread)
FEWEST_FOR_DRIFT = 200


@dataclass(frozen=True)
class PlacedGate:
    """A declared gate placed for one tube.

    Attributes
    ----------
    gate
        Rectangle, polygon or ellipsoid on the tube's axes.
    flags
        Words that qualify the population.
    rows
        One record a border.
    alternatives
        The same gate with borders placed on resampled events and moved by the placement error.
    usual
        The same gate with borders that are unlike those of other pools moved to where these have them; None for none.
    """

    gate: Gate
    flags: tuple[str, ...] = ()
    rows: tuple[Threshold, ...] = ()
    alternatives: tuple[Gate, ...] = ()
    usual: Gate | None = None


@dataclass(frozen=True)
class TubeBorder:
    """A placed border as one tube has it: the pool it was placed on, and what only this tube's events say of it.

    Attributes
    ----------
    own_flags
        Flags of this tube alone.
    drift_sd
        How far the tube's own border is from the shared one beyond chance, display scale.
    own_value
        The tube's own border where chance does not explain how far it is; else NaN.
    usual
        The border of other pools, where this one is unlike theirs; else NaN.
    elsewhere
        Whether it was placed on cells that are not the gate's parent's, nor hold them.
    """

    placed: Placed
    scope: Scope
    own_flags: tuple[str, ...] = ()
    drift_sd: float = 0.0
    own_value: float = np.nan
    usual: float = np.nan
    elsewhere: bool = False

    @property
    def usual_value(self) -> float:
        """Where other pools have the border, if this one is unlike theirs; else the border."""
        return self.usual if np.isfinite(self.usual) else self.placed.value


def moved_draws(rng: Generators, population: Population, tube: TubeState, borders: Sequence[TubeBorder]) -> list[Array]:
    """Return, for each border, its resampled values moved by the placement error and by the tube's own drift.

    The placement error is drawn for population and patient, so that all visits of a patient are moved alike; drift is
    the tube's own. A border that was not resampled is constant.

    Parameters
    ----------
    rng
        Returns a generator for words.
    population
        Whose borders they are.
    tube
        Gives the patient.
    borders
        As the tube has them, with their resampled values.

    Returns
    -------
    list of array
        For each border RESAMPLES values, display scale.
    """
    shape = (RESAMPLES, len(borders))
    jitter = rng("placement", population.path, tube.patient).normal(0.0, 1.0, shape)
    drift = rng("drift", population.path, tube.sample_id).normal(0.0, 1.0, shape)
    return [_moved(border, jitter[:, i], drift[:, i]) for i, border in enumerate(borders)]


def _moved(border: TubeBorder, jitter: Array, drift: Array) -> Array:
    placed = border.placed
    if not len(placed.draws):
        return np.full(len(jitter), placed.value)
    placement = PLACEMENT_SD_OF.get(placed.method, PLACEMENT_SD) * placed.spread
    return np.resize(placed.draws, len(jitter)) + jitter * placement + drift * border.drift_sd


def threshold_record(population: Population, tube: TubeState, border: TubeBorder) -> Threshold:
    """Return the record of one border in one tube.

    Parameters
    ----------
    population
        Whose gate the border is a side of.
    tube
        Where it is used; gives channel and scale.
    border
        Placed value on the display scale, scope, flags of the tube.
    """
    placed = border.placed
    channel = tube.channel(placed.marker)
    scale = tube.dimension(placed.marker).transform
    known = np.isfinite(placed.value)
    return Threshold(
        sample_id=tube.sample_id,
        population=population.name,
        marker=channel.marker,
        channel=channel.name,
        threshold=float(placed.value) if known else None,
        threshold_raw=float(scale.inverse([placed.value])[0]) if known else None,
        method=placed.method,
        control=placed.control,
        scope=border.scope,
        ci_low=float(placed.ci_low) if np.isfinite(placed.ci_low) else None,
        ci_high=float(placed.ci_high) if np.isfinite(placed.ci_high) else None,
        flag=";".join(dict.fromkeys((*placed.flags, *border.own_flags))) or None,
        reason=placed.reason,
        scale=scale_in_words(scale),
    )
