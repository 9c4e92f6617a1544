"""A border as it was placed: its value, what it rests on, its interval."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from immunolab.gating.method_registry import Control
from immunolab.gating.method_results import Array
from immunolab.gating.placement.tube_state import TubePool
from immunolab.intervals import NORMAL_95
from immunolab.schema.flags import Flag

# true of most laboratories: they qualify the border's evidence, not the population
_QUIET = (Flag.NO_FMO, Flag.NO_UNSTAINED)
# two decimals, as the normal quantile is printed in most texts: intervals keep the values of version 0.2
_TWO_SIDED_95 = round(NORMAL_95, 2)
# one tube of n has sqrt(n) times the sd of the pool; three of these by chance once in 370 tubes
_TUBE_SDS = 3.0
# least distance in spreads of the events behind the border (judgement: less moves few events even where the pool is
# so large that chance allows nothing)
_DRIFT_FLOOR = 0.3


@dataclass(frozen=True)
class Placed:
    """One border of one marker.

    Attributes
    ----------
    value
        Display scale; NaN when none could be placed.
    method, control
        What placed it and on which kind of evidence.
    ci_low, ci_high
        95 % interval, display scale; NaN without resampling.
    flags, reason
        Words that qualify it, and the events it rests on in words.
    spread
        Standard deviation of the events just behind the border, display scale.
    draws
        The border on resampled events, display scale.
    negatives_known
        Whether the group below the border is known to lack the marker: what is doubtful is the group above it.
    """

    marker: str
    value: float
    method: str
    control: Control
    ci_low: float
    ci_high: float
    flags: tuple[str, ...]
    reason: str
    spread: float
    draws: Array
    negatives_known: bool = False

    @property
    def loud_flags(self) -> tuple[str, ...]:
        """Flags that qualify the population, not only the border's choice of control."""
        return tuple(flag for flag in self.flags if flag not in _QUIET)


def interval(value: float, draws: Array) -> tuple[float, float]:
    """Return the 95 % interval of a border from its resampled values; NaN without any.

    Parameters
    ----------
    value
        The border, display scale.
    draws
        Borders of resampled events, display scale.
    """
    if len(draws) < 2 or np.isnan(value):
        return np.nan, np.nan
    half = _TWO_SIDED_95 * float(np.std(draws, ddof=1))
    return value - half, value + half


def far_from(value: float, pooled: Placed, n_tubes: int) -> bool:
    """Whether one tube's own border is further from the pooled one than chance allows.

    Parameters
    ----------
    value
        The tube's own border, display scale.
    pooled
        The border of the whole pool, with its resampled values.
    n_tubes
        Tubes in the pool.
    """
    if np.isnan(value) or np.isnan(pooled.value) or len(pooled.draws) < 2:
        return False
    sd = float(np.std(pooled.draws, ddof=1))
    allowed = max(_TWO_SIDED_95 * sd, _TUBE_SDS * sd * np.sqrt(n_tubes), _DRIFT_FLOOR * pooled.spread)
    return bool(abs(value - pooled.value) > allowed)


def drift_sd(value: float, pooled: Placed, n_tubes: int) -> float:
    """Return how far one tube's own border is from the pooled one beyond what sampling explains, display scale.

    The square of their distance less what sampling alone gives it, as in moment estimates of heterogeneity
    (DerSimonian and Laird 1986, Control Clin Trials 7:177). A shared gate then has an interval that reaches the tube's
    own border, whether the instrument moved or the cells changed; the gate itself stays where it is, so that a drug
    cannot move it.

    Parameters
    ----------
    value
        The tube's own border, display scale.
    pooled
        The border of the whole pool, with its resampled values.
    n_tubes
        Tubes in the pool.
    """
    if np.isnan(value) or np.isnan(pooled.value) or len(pooled.draws) < 2:
        return 0.0
    chance = float(np.var(pooled.draws, ddof=1)) * (n_tubes - 1)  # of one of n about their mean
    return float(np.sqrt(max((value - pooled.value) ** 2 - chance, 0.0)))


def saturation(pool: TubePool, path: str, marker: str) -> tuple[str, ...]:
    """Return the flag of a channel at the end of its range among a population's events, or nothing.

    Parameters
    ----------
    pool
        All tubes are looked at.
    path
        Path of the population.
    marker
        Name of the channel's marker.
    """
    return (Flag.SATURATED,) if any(tube.saturated(marker, tube.inside(path)) for tube in pool.tubes) else ()
