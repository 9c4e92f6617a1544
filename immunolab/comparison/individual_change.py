"""One patient's change against the changes of a patient who did not change: the reference change value.

The limit of a change is t times its standard error without any effect (Harris and Yasaka 1983, Clin Chem 29:25), on the
endpoint's scale: counting at both visits, the assay, the person from day to day, what the gates of the visits do not
share, and what is left of a batch. Estimated variances bring their degrees of freedom (Satterthwaite 1946, Biometrics
Bull 2:110). A patient's own limit decides: no call depends on another patient's.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import stdtr, stdtrit

from immunolab.comparison.estimate import ALPHA
from immunolab.comparison.plan import Noise
from immunolab.intervals import NORMAL_95

Array = NDArray[np.float64]

LEAST_DF = 3
"""Degrees of freedom a noise needs: with fewer, the t quantile alone makes every change look like noise."""
_LEAST_NOISE = 0.05  # of an assay on the scale, about 5 % of the value: none repeats itself better (judgement)
_KNOWN_DF = 1e6  # degrees of freedom of what is taken as known: the t quantile is the normal one


@dataclass(frozen=True)
class Change:
    """The changes of an endpoint's patients and all that is known of their error; arrays ``(P,)``.

    Attributes
    ----------
    shift
        On the endpoint's scale, batch taken off; NaN for a patient without both visits.
    counting
        Counting variance; NaN without counts.
    gates
        Variance from what the gates of both visits do not share; 0 where unknown.
    repeats
        1 / visits before + 1 / visits after.
    per_log
        Change on the scale that a change of the value's logarithm by 1 makes, at the patient's level.
    batch, batch_df
        Variance of what was taken off for batch, and its degrees of freedom; 0 and infinity where nothing was.
    """

    shift: Array
    counting: Array
    gates: Array
    repeats: Array
    per_log: Array
    batch: Array
    batch_df: Array


@dataclass(frozen=True)
class ReferenceChange:
    """What a patient's change is set against; arrays ``(P,)``.

    Attributes
    ----------
    limit
        Change on the scale beyond which a call is made; NaN where none can be.
    sampling
        Limit from counting and gates alone, for a patient whose noise is not known.
    p_value, df
        Two-sided p of the change, and its degrees of freedom.
    variance
        Of the change of a patient who did not change.
    holds_to
        Within-person SD, on the log scale, up to which the change is beyond its limit; NaN where it was measured.
    """

    limit: Array
    sampling: Array
    p_value: Array
    df: Array
    variance: Array
    holds_to: Array


def replicate_noise(
    levels: ArrayLike,
    material: ArrayLike,
    counting: ArrayLike | None,
    source: str,
    *,
    per_log: ArrayLike | None = None,
    person: bool = False,
    batches: ArrayLike | None = None,
) -> Noise | None:
    """Return the noise between repeats of the same material on different days; None without repeats.

    Parameters
    ----------
    levels
        ``(n,)`` measurements on the endpoint's scale; NaN is left out.
    material
        ``(n,)`` whose repeats they are.
    counting
        ``(n,)`` counting variance of every measurement; None when there are no counts.
    source
        Where the repeats come from, for the report.
    per_log
        ``(n,)`` what a change of the logarithm by 1 is on the scale, at each measurement; None where there is no log.
    person
        Whether the material is drawn anew from a person each time.
    batches
        ``(n,)`` batch of every measurement, "" where unknown; None where there are none.
    """
    level = np.asarray(levels, dtype=float)
    kept = np.isfinite(level)
    _, codes = np.unique(np.asarray(material, dtype=str)[kept], return_inverse=True)
    level = level[kept]
    size = np.bincount(codes)
    mean = np.bincount(codes, level) / size
    repeated = size > 1
    df = float((size - 1)[repeated].sum())
    if not df:
        return None
    squares = np.bincount(codes, (level - mean[codes]) ** 2)
    poisson = np.zeros(size.size)
    if counting is not None:
        poisson = np.bincount(codes, np.asarray(counting, dtype=float)[kept]) / size * (size - 1)
    total = float(squares[repeated].sum() / df)
    s_w = float(np.sqrt(max(_LEAST_NOISE**2, total - poisson[repeated].sum() / df)))
    s_log = None
    if per_log is not None:
        factor = (np.bincount(codes, np.asarray(per_log, dtype=float)[kept]) / size) ** 2
        s_log = float(np.sqrt(max(_LEAST_NOISE**2, ((squares - poisson) / factor)[repeated].sum() / df)))
    text = f"{source} ({int(repeated.sum())} sets, {df:.0f} df)"
    crossed = batches is not None and _apart(np.asarray(batches, dtype=str)[kept], codes, repeated)
    return Noise(s_w, df, text, float(np.sqrt(total)), s_log, person=person, across_batches=crossed)


def _apart(batches: NDArray[np.str_], codes: NDArray[np.int64], repeated: NDArray[np.bool_]) -> bool:
    """Return whether the repeats of every material are of batches of their own, all of them known."""
    sets = [batches[codes == code] for code in np.flatnonzero(repeated)]
    return all("" not in one and np.unique(one).size == one.size for one in sets)


def reference_change(change: Change, noise: tuple[Noise, ...]) -> ReferenceChange:
    """Return the limit of each patient's change, and its p value.

    Parameters
    ----------
    change
        The changes and their errors.
    noise
        What the noise consists of; empty, or below 3 degrees of freedom, gives no limit.
    """
    counting = np.nan_to_num(change.counting)
    sampling = np.where(np.isfinite(change.counting), NORMAL_95 * np.sqrt(counting + change.gates), np.nan)
    if not noise or min(part.df for part in noise) < LEAST_DF:
        empty = np.full(change.shift.shape, np.nan)
        return ReferenceChange(empty, sampling, empty.copy(), empty.copy(), empty.copy(), empty.copy())
    variances = [counting, change.batch]
    estimated = [np.where(np.isfinite(change.batch_df), change.batch**2 / np.minimum(change.batch_df, _KNOWN_DF), 0.0)]
    for k, part in enumerate(noise):
        own, total = _variance_of(part, change)
        if k == 0:
            own = np.maximum(own, change.gates) if part.gates else own + change.gates
        variances.append(own)
        if np.isfinite(part.df):
            estimated.append(np.maximum(own, total) ** 2 / part.df)
    variance = np.sum(variances, axis=0)
    df = _degrees(variance, np.sum(estimated, axis=0), noise)
    quantile = stdtrit(df, 1.0 - ALPHA / 2.0)
    limit = np.where(np.isfinite(change.shift), quantile * np.sqrt(variance), np.nan)
    p = 2.0 * stdtr(df, -np.abs(change.shift) / np.sqrt(variance))
    return ReferenceChange(limit, sampling, p, df, variance, _holds_to(change, noise, variance, quantile))


def _variance_of(part: Noise, change: Change) -> tuple[Array, Array]:
    """Return the variance a part of the noise gives each change, and the same before counting was removed."""
    s_w = part.s_w if part.person else max(part.s_w, _LEAST_NOISE)
    variance = s_w**2 * (change.per_log**2 if part.relative else np.ones(change.shift.shape))
    if part.s_log is not None:
        variance = np.maximum(variance, (part.s_log * change.per_log) ** 2)
    return change.repeats * variance, change.repeats * np.maximum(variance, (part.s_total or 0.0) ** 2)


def _degrees(variance: Array, estimated: Array, noise: tuple[Noise, ...]) -> Array:
    """Return Satterthwaite's degrees of freedom, no more than those of the noise where all of it was estimated."""
    with np.errstate(divide="ignore", invalid="ignore"):
        df = np.where(estimated > 0, variance**2 / estimated, _KNOWN_DF)
    return np.minimum(df, min(_KNOWN_DF, sum(part.df for part in noise)))


def _holds_to(change: Change, noise: tuple[Noise, ...], variance: Array, quantile: Array) -> Array:
    """Return the within-person SD (log scale) at which a change would be at its limit, where it was assumed."""
    person = next((part for part in noise if part.person and part.assumed), None)
    if person is None:
        return np.full(change.shift.shape, np.nan)
    own, _ = _variance_of(person, change)
    with np.errstate(divide="ignore", invalid="ignore"):
        room = (change.shift / quantile) ** 2 - (variance - own)
        return np.sqrt(np.maximum(room, 0.0) / (change.repeats * change.per_log**2))
