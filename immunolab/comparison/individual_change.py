"""One patient's change against what the assay does by itself.

Reliable change (Jacobson and Truax 1991, J Consult Clin Psychol 59:12) on the endpoint's scale: counting
error of both visits, inter-assay noise with the degrees of freedom it was estimated with (Satterthwaite
1946, Biometrics Bull 2:110), and the gate's uncertainty where it is known.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import stdtr, stdtrit

from immunolab.comparison.estimate import ALPHA
from immunolab.comparison.multiplicity import benjamini_hochberg
from immunolab.comparison.plan import Noise
from immunolab.intervals import NORMAL_95

Array = NDArray[np.float64]

_LEAST_NOISE = 0.05  # on the scale, about 5 % of the value: no cytometry assay repeats itself better (judgement)
_LEAST_DF = 3  # of the assay noise: with fewer, the t quantile alone makes every change look like noise


@dataclass(frozen=True)
class ChangeCalls:
    """Per-patient calls, arrays of one shape: ``(P,)`` for an endpoint, ``(E, P)`` for all.

    Attributes
    ----------
    ci_low, ci_high
        95 % limits of the patient's own shift; counting error alone when there is no noise.
    p_value, q_value
        Two-sided, and adjusted over the patients (Benjamini-Hochberg).
    df
        Satterthwaite degrees of freedom.
    verdict
        One of rise, fall, within_noise, not_evaluable.
    reason
        What the call depends on.
    """

    ci_low: Array
    ci_high: Array
    p_value: Array
    q_value: Array
    df: Array
    verdict: NDArray[np.object_]
    reason: NDArray[np.object_]


def replicate_noise(levels: ArrayLike, material: ArrayLike, counting: ArrayLike | None, source: str) -> Noise | None:
    """Return inter-assay noise from repeats of the same material on different days; None without repeats.

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
    squares = np.bincount(codes, (level - mean[codes]) ** 2)[repeated].sum()
    total = float(squares / df)
    poisson = 0.0
    if counting is not None:
        per_set = np.bincount(codes, np.asarray(counting, dtype=float)[kept]) / size
        poisson = float((per_set * (size - 1))[repeated].sum() / df)
    s_w = float(np.sqrt(max(_LEAST_NOISE**2, total - poisson)))
    return Noise(s_w, df, f"{source} ({int(repeated.sum())} sets, {df:.0f} df)", float(np.sqrt(total)))


def reliable_change(
    shift: Array, variance: Array, gate_variance: Array, n_visits: NDArray[np.int64], noise: Noise | None
) -> ChangeCalls:
    """Return the per-patient calls of one endpoint.

    Parameters
    ----------
    shift
        ``(P,)`` on the endpoint's scale; NaN for a patient without both visits.
    variance
        ``(P,)`` counting variance; NaN without counts.
    gate_variance
        ``(P,)`` from the gate's uncertainty; 0 where unknown.
    n_visits
        ``(P, 2)`` visits averaged on each side.
    noise
        Of the assay; None or below 3 degrees of freedom refuses the call.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        repeats = (1.0 / n_visits).sum(axis=1)
    sampling = np.nan_to_num(variance) + gate_variance
    if noise is None or noise.df < _LEAST_DF:
        return _refused(shift, sampling, np.isfinite(variance), noise)
    s2_w = max(noise.s_w, _LEAST_NOISE) ** 2
    s2_wide = max(s2_w, (noise.s_total or 0.0) ** 2)
    se2 = sampling + repeats * s2_w
    with np.errstate(divide="ignore", invalid="ignore"):
        df = noise.df * se2**2 / (repeats * s2_wide) ** 2
        se = np.sqrt(se2)
        half = stdtrit(df, 1.0 - ALPHA / 2.0) * se
        p = 2.0 * stdtr(df, -np.abs(shift) / se)
    q = benjamini_hochberg(p)
    verdict = np.where(q < ALPHA, np.where(shift > 0, "rise", "fall"), "within_noise").astype(object)
    tested = np.isfinite(shift)
    verdict[~tested] = "not_evaluable"
    n = int(tested.sum())
    text = f"noise {noise.s_w:.3g} from {noise.source}"
    words = [f"p {a:.3g}, q {b:.3g} over {n} patients; {text}" for a, b in zip(p, q, strict=True)]
    reason = np.where(tested, np.array(words, dtype=object), "")
    return ChangeCalls(shift - half, shift + half, p, q, df, verdict, reason)


def _refused(shift: Array, sampling: Array, counted: NDArray[np.bool_], noise: Noise | None) -> ChangeCalls:
    why = (
        "no replicates or repeat baselines"
        if noise is None
        else f"only {noise.df:g} df of assay noise, {_LEAST_DF} are needed"
    )
    half = np.where(counted, NORMAL_95 * np.sqrt(sampling), np.nan)
    empty = np.full(shift.shape, np.nan)
    verdict = np.full(shift.shape, "not_evaluable", dtype=object)
    reason = np.where(counted, f"{why}; the interval is sampling error only", why).astype(object)
    reason[~np.isfinite(shift)] = ""
    return ChangeCalls(shift - half, shift + half, empty, empty.copy(), empty.copy(), verdict, reason)
