"""A stimulated tube against its unstimulated control: the difference of two shares, its limits and the call.

Both shares are counted, and a tube differs from another of the same blood by more than counting. Each share has
limits of its own, the p at which (observed - p)^2 = t^2 (p (1 - p) / N + cv^2 p^2): Wilson's with the tubes' variation
added. They are joined to limits of the difference by the method of variance estimates recovery (Newcombe 1998, Stat
Med 17:873, method 10; Zou and Donner 2008, Stat Med 27:1693), which are never cut at 0. A mixture over patients
(MIMOSA: Finak 2014, Biostatistics 15:87) takes both tubes as binomial, and makes a patient's call depend on who else
was measured; with the patients of one small trial its proportion of responders cannot be learnt.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import stdtr, stdtrit

from immunolab.comparison.estimate import ALPHA

Array = NDArray[np.float64]

ASSUMED_CV = 0.2
"""Between two tubes of one blood in one run, of the share, where the study has no replicates: a doubling over the
background is then just beyond it, as laboratories ask for (judgement; Maecker 2005, BMC Immunol 6:13, has 5 to 20 % for
one gating of the same cytokine tubes)."""
_LEAST_CV = 0.05  # no two tubes repeat themselves better (judgement, as `individual_change`)
_LEAST_DF = 3.0  # degrees of freedom of replicates that are used, as in `individual_change`
_KNOWN_DF = 1e9  # degrees of freedom of what is taken as known: the t quantile is the normal one
_FURTHEST = 38.0  # standard errors at which p is below what a number can hold
_ROUNDS = 20  # of weights and variance: they settle in less than ten
_HALVINGS = 60  # of that range: to the last digit


@dataclass(frozen=True)
class TubeNoise:
    """Variation between two tubes of the same blood in one run, beyond counting.

    Attributes
    ----------
    cv
        Standard deviation of a share over its mean.
    df
        Degrees of freedom; infinite where it is taken as known.
    source
        Where it comes from, in words.
    """

    cv: float
    df: float
    source: str


@dataclass(frozen=True)
class Corrected:
    """Stimulated less unstimulated, arrays ``(n,)``.

    Attributes
    ----------
    difference, ci_low, ci_high
        Percentage points and 95 % limits, below 0 where the control has more; NaN where a tube has no parent event.
    counting_low, counting_high
        Limits from counting alone.
    p_value, df
        Two-sided; its interval at 1 - p ends at 0.
    """

    difference: Array
    ci_low: Array
    ci_high: Array
    counting_low: Array
    counting_high: Array
    p_value: Array
    df: Array


def tube_noise(events: Sequence[ArrayLike], parents: Sequence[ArrayLike], declared: float | None = None) -> TubeNoise:
    """Return the noise between tubes: from replicates with 3 degrees of freedom, else declared, else assumed.

    Each set has the variance of its shares over their mean squared, less what counting makes of it. Sets are weighted
    by what they say, 1 / (cv^2 + counting)^2, and so are the degrees of freedom: few events say nothing of tubes.

    Parameters
    ----------
    events, parents
        One array for each set of tubes that are replicates of each other; sets of one tube say nothing.
    declared
        CV (0.15 for 15 %) that the laboratory measured.
    """
    sets = [_replicates(_numbers(n), _numbers(of)) for n, of in zip(events, parents, strict=True)]
    excess, counting, df = np.array([one for one in sets if one is not None], dtype=float).reshape(-1, 3).T
    variance = ASSUMED_CV**2
    for _ in range(_ROUNDS if df.size else 0):
        weight = df / (variance + counting) ** 2
        variance = max(_LEAST_CV**2, float((weight * excess).sum() / weight.sum()))
    known = float((df * (variance / (variance + counting)) ** 2).sum())
    if known >= _LEAST_DF:
        return TubeNoise(float(np.sqrt(variance)), known, f"replicate unstimulated tubes ({known:.1f} df)")
    if declared is not None:
        return TubeNoise(max(declared, _LEAST_CV), np.inf, "declared by the study, taken as known")
    return TubeNoise(ASSUMED_CV, np.inf, "assumed: no replicate tubes, or too few events in them")


def _replicates(n: Array, of: Array) -> tuple[float, float, float] | None:
    """Return a set's variance over its mean squared without counting, what counting made, and degrees of freedom."""
    if n.size < 2 or not n.sum():
        return None
    share, df = n / of, n.size - 1.0
    mean = n.sum() / of.sum()
    counting = float((mean * (1.0 - mean) / of).mean() / mean**2)
    return float(share.var(ddof=1) / mean**2) - counting, counting, df


def background_corrected(events: ArrayLike, parents: ArrayLike, tubes: ArrayLike, noise: TubeNoise) -> Corrected:
    """Return the difference of two shares, one row a stimulated tube.

    Parameters
    ----------
    events, parents
        ``(n, 2)`` of the stimulated tube, and of its unstimulated tubes together.
    tubes
        ``(n, 2)`` how many tubes those are.
    noise
        Between tubes.
    """
    y, n, k = (_numbers(given).reshape(-1, 2) for given in (events, parents, tubes))
    with np.errstate(divide="ignore", invalid="ignore"):
        share = np.where(n > 0, y / n, np.nan)
        spread = noise.cv**2 / k
        df = _degrees(y, n, spread, noise.df)
        quantile = stdtrit(df, 1.0 - ALPHA / 2.0)
        low, high = _limits(share, n, spread, quantile)
        counting = _limits(share, n, np.zeros_like(spread), np.full(df.shape, stdtrit(_KNOWN_DF, 1.0 - ALPHA / 2.0)))
        p = 2.0 * stdtr(df, -_distance(share, n, spread))
    difference = share[:, 0] - share[:, 1]
    return Corrected(
        difference=100.0 * difference,
        ci_low=100.0 * low,
        ci_high=100.0 * high,
        counting_low=100.0 * counting[0],
        counting_high=100.0 * counting[1],
        p_value=np.where(np.isfinite(difference), p, np.nan),
        df=df,
    )


def calls(corrected: Corrected) -> NDArray[np.object_]:
    """Return the call of each row: ``response``, ``no_response``, ``below_background`` or ``not_evaluable``.

    Parameters
    ----------
    corrected
        As `background_corrected` gives it.
    """
    words = np.full(corrected.difference.shape, "no_response", dtype=object)
    words[corrected.ci_low > 0] = "response"
    words[corrected.ci_high < 0] = "below_background"
    words[~np.isfinite(corrected.difference)] = "not_evaluable"
    return words


def _numbers(given: ArrayLike) -> Array:
    return np.asarray(given, dtype=np.float64)


def _degrees(y: Array, n: Array, spread: Array, df: float) -> Array:
    """Return Satterthwaite's degrees of freedom of a difference between tubes of one share."""
    if not np.isfinite(df):
        return np.full(y.shape[0], _KNOWN_DF)
    share = y.sum(axis=1) / n.sum(axis=1)
    counting = share * (1.0 - share) * (1.0 / n).sum(axis=1)
    between = share**2 * spread.sum(axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        found = df * ((counting + between) / between) ** 2
    return np.nan_to_num(np.minimum(found, _KNOWN_DF), nan=_KNOWN_DF)


def _limits(share: Array, n: Array, spread: Array, t: Array) -> tuple[Array, Array]:
    """Return the limits of the difference at ``t`` standard errors, ``(n,)`` each."""
    low, high = _share_limits(share, n, spread, t)
    difference = share[:, 0] - share[:, 1]
    below = np.hypot(share[:, 0] - low[:, 0], high[:, 1] - share[:, 1])
    above = np.hypot(high[:, 0] - share[:, 0], share[:, 1] - low[:, 1])
    return difference - below, difference + above


def _share_limits(share: Array, n: Array, spread: Array, t: Array) -> tuple[Array, Array]:
    """Return the limits ``(n, 2)`` of each share: the roots of the equation above, which is quadratic in p."""
    q, c = (t**2)[:, None] / n, (t**2)[:, None] * spread
    middle = 2.0 * share + q
    root = np.sqrt(q**2 + 4.0 * q * share * (1.0 - share) + 4.0 * c * share**2)
    lead = 1.0 + q - c  # not above 0 where the tubes vary so much that no share is too high
    high = np.where(lead > 0, np.minimum(1.0, (middle + root) / (2.0 * np.where(lead > 0, lead, 1.0))), 1.0)
    return 2.0 * share**2 / (middle + root), high


def _distance(share: Array, n: Array, spread: Array) -> Array:
    """Return how many standard errors the difference is from 0, ``(n,)``, by halving."""
    swapped = share[:, 0] < share[:, 1]
    own, of, between = (np.where(swapped[:, None], value[:, ::-1], value) for value in (share, n, spread))
    near, far = np.zeros(len(share)), np.full(len(share), _FURTHEST)
    for _ in range(_HALVINGS):
        middle = (near + far) / 2.0
        beyond = _limits(own, of, between, middle)[0] > 0
        near, far = np.where(beyond, middle, near), np.where(beyond, far, middle)
    return np.where(share[:, 0] == share[:, 1], 0.0, near)
