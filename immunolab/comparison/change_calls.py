"""Calls of all patients and endpoints: each patient's change against its own limit."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from immunolab.comparison import scales
from immunolab.comparison.batch_contrast import BatchContrast, batch_contrasts
from immunolab.comparison.individual_change import LEAST_DF, Change, ReferenceChange, reference_change
from immunolab.comparison.multiplicity import benjamini_hochberg
from immunolab.comparison.pairing import Paired
from immunolab.comparison.partial_pooling import partial_pooling
from immunolab.comparison.plan import Noise

Array = NDArray[np.float64]
Words = NDArray[np.object_]


@dataclass(frozen=True)
class ChangeCalls:
    """The call of each patient and what it was made of; arrays ``(E, P)``.

    Attributes
    ----------
    ci_low, ci_high
        95 % limits of the patient's own shift, batch taken off; counting error alone when there is no noise.
    p_value, q_value
        Two-sided, and adjusted over the cohort's patients (Benjamini-Hochberg), which decides nothing.
    df
        Degrees of freedom.
    limit
        Change on the scale beyond which a call is made.
    called_below, called_above
        Values at the later visit, in the endpoint's unit, beyond which a call is made.
    batch_effect
        What was taken off the shift for batch; NaN where nothing was.
    pooled_shift, pooled_low, pooled_high
        The shift drawn towards the cohort's, with 95 % limits.
    verdict, reason
        Rise, fall, within_noise or not_evaluable, and what it depends on.
    """

    ci_low: Array
    ci_high: Array
    p_value: Array
    q_value: Array
    df: Array
    limit: Array
    called_below: Array
    called_above: Array
    batch_effect: Array
    pooled_shift: Array
    pooled_low: Array
    pooled_high: Array
    verdict: Words
    reason: Words


def change_calls(paired: Paired, noises: Sequence[tuple[Noise, ...]]) -> ChangeCalls:
    """Return the calls of every endpoint and patient.

    Parameters
    ----------
    paired
        Both sides of every patient.
    noises
        What the noise of each endpoint consists of, as `noise_sources.noise_parts` gives it.
    """
    found = [_endpoint_calls(paired, e, noise) for e, noise in enumerate(noises)]
    shape = paired.shift.shape
    return ChangeCalls(
        **{f.name: np.array([getattr(one, f.name) for one in found]).reshape(shape) for f in fields(ChangeCalls)}
    )


def _endpoint_calls(paired: Paired, e: int, noise: tuple[Noise, ...]) -> ChangeCalls:
    scale, level = paired.scales[e], paired.level[e]
    batch = _batch(paired, e, noise)
    limited = (paired.beyond[e] != 0).any(axis=1)  # its change is a bound
    shift = np.where(limited, np.nan, paired.shift[e] - batch.effect)
    with np.errstate(divide="ignore", invalid="ignore"):
        repeats = (1.0 / paired.n_visits[e]).sum(axis=1)
    change = Change(
        shift=shift,
        counting=paired.variance[e],
        gates=paired.gate_variance[e],
        repeats=repeats,
        per_log=scales.per_log(level.mean(axis=-1), scale),
        batch=np.nan_to_num(batch.variance),
        batch_df=batch.df,
    )
    found = reference_change(change, noise)
    half = np.where(np.isfinite(found.limit), found.limit, found.sampling)
    share = bool(paired.counted[e]) and not paired.ratio[e]
    edges = [scales.to_unit(level[:, 0] + batch.effect + sign * found.limit, scale, share=share) for sign in (-1, 1)]
    q = np.full(shift.size, np.nan)
    pooled = np.full((3, shift.size), np.nan)
    for cohort in dict.fromkeys(paired.cohorts):
        of = paired.cohorts == cohort
        q[of] = benjamini_hochberg(found.p_value[of])
        pooled[:, of] = partial_pooling(shift[of], found.variance[of])
    verdict, reason = _words(paired, e, noise, found, change, edges)
    return ChangeCalls(
        ci_low=shift - half,
        ci_high=shift + half,
        p_value=found.p_value,
        q_value=q,
        df=found.df,
        limit=found.limit,
        called_below=edges[0],
        called_above=edges[1],
        batch_effect=np.where((batch.effect != 0) & np.isfinite(shift), batch.effect, np.nan),
        pooled_shift=pooled[0],
        pooled_low=pooled[1],
        pooled_high=pooled[2],
        verdict=verdict,
        reason=reason,
    )


def _batch(paired: Paired, e: int, noise: tuple[Noise, ...]) -> BatchContrast:
    """Return what is to be taken off for batch: nothing where the noise was measured across batches."""
    n = paired.shift.shape[1]
    if any(part.across_batches for part in noise) or paired.endpoints[e] in paired.unbatched:
        return BatchContrast(np.zeros(n), np.zeros(n), np.full(n, np.inf))
    return batch_contrasts(paired, e)


def _words(
    paired: Paired, e: int, noise: tuple[Noise, ...], found: ReferenceChange, change: Change, edges: Sequence[Array]
) -> tuple[Words, Words]:
    """Return the verdict and the reason of each patient."""
    n = change.shift.size
    verdict, reason = (np.full(n, word, dtype=object) for word in ("not_evaluable", ""))
    both = (paired.n_visits[e] > 0).all(axis=1)
    empty = (paired.events[e] == 0).all(axis=1)
    for i in np.flatnonzero(both).tolist():
        if empty[i]:
            reason[i] = "no event at either visit"
        elif paired.unlimited[e, i].any():
            reason[i] = "a value at the end of the scale (0, or 100 %) without an assay's limit"
        elif paired.beyond[e, i].any():
            reason[i] = "a value beyond the assay's limit: the change is at least, or at most, what is shown"
        elif not np.isfinite(change.shift[i]):
            reason[i] = "the visits are of batches that no other patients set apart from the change itself"
        elif not np.isfinite(found.limit[i]):
            reason[i] = _why_not(noise, counted=bool(np.isfinite(change.counting[i])))
        else:
            beyond = abs(change.shift[i]) > found.limit[i]
            verdict[i] = ("rise" if change.shift[i] > 0 else "fall") if beyond else "within_noise"
            reason[i] = _reason(paired.units[e], noise, found, i, (edges[0][i], edges[1][i]), beyond=bool(beyond))
    return verdict, reason


def _why_not(noise: tuple[Noise, ...], *, counted: bool) -> str:
    least = min((part.df for part in noise), default=0.0)
    why = f"only {least:g} df of assay noise, {LEAST_DF} are needed" if noise else "no replicates or repeat baselines"
    return f"{why}; the interval is sampling error only" if counted else why


def _reason(
    unit: str, noise: tuple[Noise, ...], found: ReferenceChange, i: int, edges: tuple[float, float], *, beyond: bool
) -> str:
    """Return what a call depends on: its limits in the endpoint's unit, p, and the parts of the noise."""
    called = f"called below {edges[0]:.3g} or above {edges[1]:.3g}{'' if unit in ('', 'as given') else f' {unit}'}"
    text = called if beyond else f"a change would have been {called}"
    parts = ", ".join(_part(part) for part in noise)
    text = f"{text}; p {found.p_value[i]:.3g}; noise: {parts}"
    if beyond and np.isfinite(found.holds_to[i]):
        text += f"; holds up to a within-person CV of {100 * math.sqrt(math.expm1(found.holds_to[i] ** 2)):.0f} %"
    return text


def _part(part: Noise) -> str:
    what = "assay" if not part.person else "person" if part.assumed or part.relative else "assay and person"
    size = f"CV {100 * math.sqrt(math.expm1(part.s_w**2)):.3g} %" if part.relative else f"{part.s_w:.3g}"
    where = part.source.partition(":")[0] if part.assumed else part.source
    return f"{what} {size} ({where})"
