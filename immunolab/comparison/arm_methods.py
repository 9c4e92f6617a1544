"""The difference between arms where counts are few, values are beyond limits, visits are missing or batches differ."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from immunolab.comparison.arms import GroupDifference
from immunolab.comparison.estimate import Estimate, untested
from immunolab.comparison.few_events import PairCounts, pair_counts
from immunolab.comparison.group_tests import difference_of_estimates, shifts_by_arm
from immunolab.comparison.pairing import Paired
from immunolab.comparison.plan import Plan
from immunolab.schema.flags import Code, split

Array = NDArray[np.float64]

_LEAST_DF = 3  # beyond arms and batches: below, a variance for each arm says next to nothing (as `arms._LEAST_ARM`)


@dataclass(frozen=True)
class _ArmPair:
    """One endpoint in two arms: number ``e``, patients of each arm, and the arms' own rows of the shift table."""

    difference: GroupDifference
    e: int
    treated: NDArray[np.bool_]
    control: NDArray[np.bool_]
    rows: tuple[pd.Series, pd.Series]

    @property
    def members(self) -> NDArray[np.bool_]:
        return self.treated | self.control

    def has(self, code: Code) -> bool:
        return any(code in split(row["warnings"]) for row in self.rows)


def with_fitting_methods(
    differences: Iterable[GroupDifference], paired: Paired, shifts: pd.DataFrame, plan: Plan
) -> list[GroupDifference]:
    """Return differences whose main test fits the endpoint's data.

    Below 3 expected events there is none. Where one arm's own shift is of a count model, of values beyond limits or of
    a mixed model over the visits, the difference is that of both arms' shifts. Where batches differ between the visits
    it is the difference of shifts adjusted for them. A test that was asked for by name is kept, with its warnings.

    Parameters
    ----------
    differences
        As `arms.compare_arms` gives them.
    paired, plan
        What they come from.
    shifts
        Rows of `tables.SHIFTS` of the same comparison.
    """
    own = {(row["endpoint"], row["cohort"]): row for _, row in shifts.iterrows()}
    found = []
    for one in differences:
        e = paired.endpoints.index(one.endpoint)
        treated, control = (paired.cohorts == name for name in (one.arm, one.control))
        rows = own[one.endpoint, one.arm], own[one.endpoint, one.control]
        found.append(_fitting(_ArmPair(one, e, treated, control, rows), paired, plan))
    return found


def _fitting(pair: _ArmPair, paired: Paired, plan: Plan) -> GroupDifference:
    one = pair.difference
    counts = pair_counts(paired, pair.e, pair.members & np.isfinite(paired.shift[pair.e]))
    if pair.has(Code.W_AT_LIMIT):
        one = _noted(one, Code.W_AT_LIMIT, "values beyond the assay's limits are taken as the limit")
    beyond, unlimited = paired.beyond[pair.e, pair.members], paired.unlimited[pair.e, pair.members]
    if unlimited.any():
        one = _noted(one, Code.W_ZERO_VALUE, "patients with a 0 that no limit of the assay explains are left out")
    if plan.test == "auto" and (beyond[~unlimited.astype(bool)] != 0).any():
        return replace(
            one, tests=(_of_shifts(pair, "censored normal pairs"),), notes=(*one.notes, (Code.W_CENSORED, ""))
        )
    if counts is not None and counts.enough != "enough" and Code.W_ALL_ZERO not in one.main.codes:
        return _few_events(replace(pair, difference=one), counts, plan)
    if plan.test == "auto" and any(np.isfinite(row["pairs_p_value"]) for row in pair.rows):
        return replace(one, tests=(_of_shifts(pair, "mixed model over the visits"), *one.tests))
    one = _missing(one, pair, paired)
    return _batches(one, pair, paired, plan) if one.main.tested else one


def _of_shifts(pair: _ArmPair, what: str) -> Estimate:
    """Return the difference of both arms' own shifts."""
    arms = [_own_shift(row) for row in pair.rows]
    for name, arm in zip((pair.difference.arm, pair.difference.control), arms, strict=True):
        if not np.isfinite(arm.p_value):
            return untested(
                arms[0].n + arms[1].n,
                f"not tested: {name}: {arm.method.removeprefix('not tested: ')}",
                codes=_why(pair),
            )
    return difference_of_estimates(arms[0], arms[1], f"difference of the arms' shifts, each by its {what}")


def _why(pair: _ArmPair) -> tuple[Code, ...]:
    stops = (Code.E_N_MIN, Code.E_FEW_EVENTS, Code.E_CENSORED)
    return tuple(code for code in stops if pair.has(code))


def _own_shift(row: pd.Series) -> Estimate:
    over_visits = np.isfinite(row["pairs_p_value"])
    n = int(row["n_patients"] if over_visits else row["n_pairs"])
    estimate, low, high, p, df = (float(row[name]) for name in ("estimate", "ci_low", "ci_high", "p_value", "df"))
    return Estimate(estimate, low, high, p, df, str(row["method"]), n)


def _few_events(pair: _ArmPair, counts: PairCounts, plan: Plan) -> GroupDifference:
    one = pair.difference
    if not one.main.tested:
        return one
    if plan.test != "auto":
        return replace(one, tests=tuple(replace(t, codes=(*t.codes, Code.W_LOW_EVENTS)) for t in one.tests))
    if counts.enough == "too few":
        expected = float(np.median(counts.expected))
        why = f"not tested: {expected:.2g} expected events at the poorer visit of a pair, a test needs 3"
        return replace(one, tests=(untested(one.main.n, why, codes=(Code.E_FEW_EVENTS,)),))
    main = _of_shifts(pair, "own method where events are few")
    return _noted(replace(one, tests=(main,)), Code.W_LOW_EVENTS, "few events")


def _missing(one: GroupDifference, pair: _ArmPair, paired: Paired) -> GroupDifference:
    """Return the difference with a note where patients lack a visit and only pairs are compared."""
    there = paired.n_visits[pair.e] > 0
    one_side = there.any(axis=1) & ~there.all(axis=1)
    lost = [int((one_side & arm).sum()) for arm in (pair.treated, pair.control)]
    if not any(lost):
        return one
    text = f"complete pairs alone; lacking a visit: {lost[0]} of {one.arm}, {lost[1]} of {one.control}"
    return _noted(one, Code.W_UNPAIRED, text)


def _batches(one: GroupDifference, pair: _ArmPair, paired: Paired, plan: Plan) -> GroupDifference:
    """Return the difference adjusted for the batches that the visits of patients were in, where they differ."""
    if not paired.batches.shape[-1] or one.endpoint in plan.unbatched:
        return one
    used = pair.members & np.isfinite(paired.shift[pair.e])
    sides = paired.batches[pair.e, used]
    moved = sides[:, 1] - sides[:, 0]
    if not np.isfinite(moved).all():
        return _noted(one, Code.W_BATCH_UNKNOWN, "a sample has no batch; the arms are not adjusted for batch")
    moved = _independent(moved)
    if not moved.shape[1]:
        return one
    arm = pair.treated[used]
    ones = np.ones((arm.size, 1))
    if np.linalg.matrix_rank(np.hstack([ones, moved, arm[:, None]])) == moved.shape[1] + 1:
        return _noted(one, Code.E_BATCH_ALIASED, "batch coincides with arm: their difference may be the batch's")
    if arm.size - moved.shape[1] - 2 < _LEAST_DF:
        return _noted(one, Code.E_BATCH_DF, f"{arm.size} pairs, {moved.shape[1]} batches: the arms are not adjusted")
    main = shifts_by_arm(paired.shift[pair.e, used], arm, moved, "batch")
    return replace(one, tests=(main, *one.tests))


def _independent(moved: Array) -> Array:
    """Return the columns that are neither the same in all patients nor sums of others."""
    kept = np.ones((moved.shape[0], 1))
    for column in moved.T:
        wider = np.column_stack([kept, column])
        kept = wider if np.linalg.matrix_rank(wider) > kept.shape[1] else kept
    return kept[:, 1:]


def _noted(one: GroupDifference, code: Code, text: str) -> GroupDifference:
    return replace(one, notes=(*one.notes, (code, text)))
