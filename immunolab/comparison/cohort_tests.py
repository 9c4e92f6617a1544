"""The cohort's shift of one endpoint: the method asked for, adjusted where it can be, with its warnings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from immunolab.comparison.binomial_mixed import binomial_mixed
from immunolab.comparison.count_weighted import count_weighted, symmetric_variance
from immunolab.comparison.diagnostics import Finding
from immunolab.comparison.linear import least_squares
from immunolab.comparison.longitudinal import LongRows, mixed_shift
from immunolab.comparison.paired import Estimate, is_constant, paired_t, sign_flip, smallest_p, t_interval, wilcoxon
from immunolab.comparison.pairing import Paired
from immunolab.comparison.plan import Plan

Array = NDArray[np.float64]

LEAST_PAIRS = 3
FEW_EVENTS = 20
MOST_IMBALANCE = 100
MOST_INFLATION = 5.0


@dataclass(frozen=True)
class CohortShift:
    """One row of the shift table before multiplicity.

    Attributes
    ----------
    main : the method asked for; sensitivity : the exact signed rank of the same shifts.
    unadjusted : the paired t before adjustment for batch or covariates; None when nothing was adjusted.
    plain : the paired t before moderation; None when not moderated.
    complete : ``(P,)`` patients of the cohort that have both visits.
    findings : weaknesses, each with its particulars.
    """

    main: Estimate
    sensitivity: Estimate
    unadjusted: Estimate | None
    complete: NDArray[np.bool_]
    findings: tuple[Finding, ...]
    plain: Estimate | None = None


def cohort_shift(paired: Paired, e: int, members: NDArray[np.bool_], plan: Plan, cohort: str) -> CohortShift:
    """Return the shift of endpoint number ``e`` over the patients of a cohort."""
    endpoint = paired.endpoints[e]
    complete = members & np.isfinite(paired.shift[e])
    d = paired.shift[e, complete]
    notes: dict[str, str] = _pairing_notes(paired, e, members, complete)
    nothing = Estimate(np.nan, np.nan, np.nan, np.nan, np.nan, "not tested", d.size)
    if d.size < LEAST_PAIRS:
        notes["E_N_MIN"] = f"{d.size} pair(s); a test needs {LEAST_PAIRS}"
        described = replace(nothing, estimate=float(d.mean()) if d.size else np.nan, method="not tested")
        return _finish(described, nothing, None, complete, notes, cohort, endpoint)
    if paired.counted[e] and not np.nansum(paired.events[e, complete]):
        notes["W_ALL_ZERO"] = "no event at either visit"
        empty = replace(nothing, method="not estimable: all counts are 0")
        return _finish(empty, nothing, None, complete, notes, cohort, endpoint)
    if d.size <= 5:
        notes["W_N_SMALL"] = f"{d.size} pairs: the smallest exact p is {smallest_p(d.size):g}"
    notes |= _event_notes(paired, e, complete, plan)
    main = _tested(paired, e, members, complete, plan, notes)
    sensitivity = wilcoxon(d)
    unadjusted = None
    if plan.test in ("auto", "t"):
        adjusted = _adjusted(paired, e, complete, plan, notes)
        if adjusted is not None:
            main, unadjusted = adjusted, main
    if is_constant(d):
        notes["W_IDENTICAL"] = "all shifts are 0" if abs(d[0]) < 1e-12 else f"zero variance: every shift is {d[0]:.4g}"
    codes = set(main.codes) | set(sensitivity.codes)
    if "W_ZERO_DIFF" in codes:
        notes["W_ZERO_DIFF"] = f"{d.size - sensitivity.n} zero shift(s) dropped from the signed rank"
    if "W_TIES" in codes:
        notes["W_TIES"] = "equal shifts share mid-ranks; p is exact"
    for code in main.codes:
        notes.setdefault(code, main.method)
    return _finish(main, sensitivity, unadjusted, complete, notes, cohort, endpoint)


def _finish(
    main: Estimate,
    sensitivity: Estimate,
    unadjusted: Estimate | None,
    complete: NDArray[np.bool_],
    notes: Mapping[str, str],
    cohort: str,
    endpoint: str,
) -> CohortShift:
    findings = tuple(Finding(code, cohort, endpoint, text) for code, text in notes.items())
    return CohortShift(main, sensitivity, unadjusted, complete, findings)


def _pairing_notes(paired: Paired, e: int, members: NDArray[np.bool_], complete: NDArray[np.bool_]) -> dict[str, str]:
    one_side = members & (paired.n_visits[e].sum(axis=1) > 0) & ~complete
    if not one_side.any():
        return {}
    names = ", ".join(str(paired.patients[i]) for i in np.flatnonzero(one_side))
    notes = {"W_UNPAIRED": f"lacking one of the visits, left out: {names}"}
    missing = one_side.sum() / (one_side.sum() + complete.sum())
    if missing > 0.2:
        notes["W_MISSING_20"] = f"{100 * missing:.0f} % of the patients lack one of the visits"
    return notes


def _event_notes(paired: Paired, e: int, complete: NDArray[np.bool_], plan: Plan) -> dict[str, str]:
    if not paired.counted[e] or paired.ratio[e]:
        return {}
    events, parents = paired.events[e, complete], paired.parents[e, complete]
    notes = {}
    median = float(np.median(events.sum(axis=1)))
    expected = parents.min(axis=1) * events.sum() / parents.sum()
    scarce = np.flatnonzero(complete)[expected < 1]
    if median < FEW_EVENTS or scarce.size:
        text = f"median of a pair {median:g} events"
        if scarce.size:
            text += "; less than one expected event in " + ", ".join(paired.patients[i] for i in scarce)
        notes["W_LOW_EVENTS"] = text + "; count_weighted may serve better"
    if plan.test == "count_weighted" and parents.max() > MOST_IMBALANCE * parents.min():
        notes["W_N_IMBALANCE"] = f"parents hold {parents.min():g} to {parents.max():g} events"
    return notes


def _tested(
    paired: Paired, e: int, members: NDArray[np.bool_], complete: NDArray[np.bool_], plan: Plan, notes: dict[str, str]
) -> Estimate:
    d = paired.shift[e, complete]
    if plan.test == "wilcoxon":
        return wilcoxon(d)
    if plan.test == "signflip":
        return sign_flip(d, seed=plan.seed)
    if plan.test == "binomial_mixed":
        if paired.counted[e] and not paired.ratio[e] and paired.scales[e] == "logit":
            return binomial_mixed(paired.events[e, complete], paired.parents[e, complete])
        notes["W_NO_COUNTS"] = "a binomial model needs counts on the logit; the paired t stands in"
    if plan.test == "count_weighted":
        if paired.counted[e] and paired.scales[e] == "logit":
            single = (paired.n_visits[e, complete] == 1).all()
            variance = (
                symmetric_variance(paired.events[e, complete], paired.parents[e, complete])
                if single
                else paired.variance[e, complete]
            )
            return count_weighted(d, variance)
        notes["W_NO_COUNTS"] = "count weighting needs counts on the logit; the paired t stands in"
    if plan.test == "mixed":
        return mixed_shift(_long_rows(paired, e, members, plan), d)
    estimate = paired_t(d)
    several = (paired.n_visits[e, complete] > 1).any()
    return replace(estimate, method="t on each patient's mean shift") if several else estimate


def _adjusted(
    paired: Paired, e: int, complete: NDArray[np.bool_], plan: Plan, notes: dict[str, str]
) -> Estimate | None:
    """Return the shift adjusted for batch and covariates, or None where nothing varies or nothing can be."""
    d = paired.shift[e, complete]
    columns, words = [], []
    batches = paired.batches[e, complete]
    if batches.shape[-1] and paired.endpoints[e] not in plan.unbatched:
        moved = batches[:, 1] - batches[:, 0]
        if not np.isfinite(moved).all():
            notes["W_BATCH_UNKNOWN"] = "a sample has no batch; not adjusted for batch"
        elif np.abs(moved).max() > 0:
            inflation = shift_inflation(moved)
            if not np.isfinite(inflation):
                notes["E_BATCH_ALIASED"] = "batch_confounded: batch coincides with visit, the shift may be the batch's"
            else:
                columns.append(moved)
                words.append("batch")
                if inflation > MOST_INFLATION:
                    notes["W_BATCH_CONF"] = f"variance inflation {inflation:.1f}"
    change = _changed(paired.covariates[e, complete])
    if change.shape[-1] and np.isfinite(change).all() and np.abs(change).max() > 0:
        if np.isfinite(shift_inflation(np.hstack([*columns, change]))):
            columns.append(change)
            words.append("covariates")
        else:
            notes["W_COVARIATE"] = "the covariate changes in step with the visit; not adjusted for it"
    elif change.shape[-1] and not np.isfinite(change).all():
        notes["W_COVARIATE"] = "a covariate is missing; not adjusted for it"
    if not columns or is_constant(d):
        return None
    return _least_squares_intercept(d, np.hstack(columns), f"paired t adjusted for {' and '.join(words)}")


def _changed(sides: Array) -> Array:
    """Return the change of covariates ``(n, 2, C)``.

    One that nobody has before (days since the last dose) enters as its difference from the mean after.
    """
    before, after = sides[:, 0], sides[:, 1]
    started = np.isfinite(before).any(axis=0)
    return np.where(started, after - before, after - after.mean(axis=0))


def shift_inflation(moved: Array) -> float:
    """Return the variance inflation of the mean shift from adjusting for ``moved``; inf when aliased.

    Parameters
    ----------
    moved : ``(n, k)`` change of batch shares (or covariates) from before to after.
    """
    ones = np.ones((moved.shape[0], 1))
    if np.linalg.matrix_rank(np.hstack([ones, moved])) <= np.linalg.matrix_rank(moved):
        return float("inf")
    fitted, *_ = np.linalg.lstsq(moved, ones, rcond=None)
    return float(moved.shape[0] / ((ones - moved @ fitted) ** 2).sum())


def _least_squares_intercept(d: Array, design: Array, method: str) -> Estimate | None:
    fit = least_squares(np.hstack([np.ones((d.size, 1)), design]), d)
    if fit.df < 1 or fit.sigma2 <= 0:
        return None
    estimate = float(fit.beta[0])
    low, high, p = t_interval(estimate, float(np.sqrt(fit.covariance[0, 0])), fit.df)
    return Estimate(estimate, low, high, p, float(fit.df), method, d.size)


def _centred(covariates: Array, before: NDArray[np.bool_]) -> Array:
    """Return covariates less their mean; one that no row before has is 0 there and centred on the rest."""
    if not covariates.shape[1]:
        return covariates
    absent = ~np.isfinite(covariates[before]).any(axis=0)
    return np.where(before[:, None] & absent, 0.0, covariates - np.nanmean(covariates, axis=0))


def _long_rows(paired: Paired, e: int, members: NDArray[np.bool_], plan: Plan) -> LongRows:
    rows = paired.rows.iloc[paired.rows_of[paired.endpoints[e]]]
    code = rows["patient"].to_numpy()
    covariates = _centred(rows[list(plan.covariates)].to_numpy(dtype=float), (rows["side"] == 0).to_numpy())
    used = np.isfinite(rows["level"].to_numpy()) & members[code] & np.isfinite(covariates).all(axis=1)
    kept = rows[used]
    side = kept["side"].to_numpy()
    phases = {plan.before, plan.after} & set(kept["phase"]) - set(kept["visit"])
    return LongRows(
        level=kept["level"].to_numpy(),
        patient=np.unique(code[used], return_inverse=True)[1],
        side=side,
        other=kept["phase" if phases else "visit"].to_numpy(),
        on=(side == 1) | ((kept["phase"] == "on_treatment").to_numpy() & (side != 0)),
        covariates=covariates[used],
    )
