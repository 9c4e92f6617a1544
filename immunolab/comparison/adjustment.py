"""What a cohort's shift is adjusted for: the batches its visits are of, and covariates that change with them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from immunolab.comparison.estimate import Estimate, is_constant, t_estimate
from immunolab.comparison.linear import least_squares
from immunolab.comparison.pairing import Paired
from immunolab.comparison.plan import Plan
from immunolab.comparison.visit_design import MOST_INFLATION, shift_inflation
from immunolab.schema.flags import Code

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Adjusters:
    """What the shifts of a cohort's complete patients are adjusted for.

    Attributes
    ----------
    columns
        ``(n, k)`` change of every batch's share and of every covariate.
    words
        ``batch``, ``covariates``, or none.
    notes
        What cannot be adjusted for, with its particulars.
    """

    columns: Array
    words: tuple[str, ...] = ()
    notes: Mapping[Code, str] = field(default_factory=dict)

    @property
    def what(self) -> str:
        """The words joined, as in ``adjusted for batch and covariates``."""
        return " and ".join(self.words)


def adjusters(paired: Paired, e: int, complete: NDArray[np.bool_], plan: Plan) -> Adjusters:
    """Return what the shift of endpoint number ``e`` is adjusted for, and what it cannot be.

    Parameters
    ----------
    paired, plan
        Both sides of every patient; what is compared and how.
    e
        Number of the endpoint.
    complete
        ``(P,)`` patients of the cohort that have both visits.
    """
    unbatched = not paired.batches.shape[-1] or paired.endpoints[e] in plan.unbatched
    batches, notes = ([], {}) if unbatched else _batch_columns(paired.batches[e, complete])
    covariates, more = _covariate_columns(paired.covariates[e, complete], batches)
    notes |= more
    n = int(complete.sum())
    words = tuple(word for word, columns in (("batch", batches), ("covariates", covariates)) if columns)
    columns = np.hstack([np.zeros((n, 0)), *batches, *covariates])
    rank = int(np.linalg.matrix_rank(np.hstack([np.ones((n, 1)), columns]))) if n else 0
    if words and rank >= n:
        text = (
            f"{n} pairs, {rank - 1} to adjust for: no degree of freedom is left, not adjusted for {' and '.join(words)}"
        )
        return Adjusters(np.zeros((n, 0)), (), notes | {Code.E_BATCH_DF: text})
    return Adjusters(columns, words, notes)


def adjusted_t(shifts: Array, taken: Adjusters) -> Estimate | None:
    """Return the mean shift by least squares; None where nothing is adjusted for or nothing is left to vary.

    Parameters
    ----------
    shifts
        ``(n,)`` of the complete patients.
    taken
        What they are adjusted for.
    """
    if not taken.words or is_constant(shifts):
        return None
    fit = least_squares(np.column_stack([np.ones(shifts.size), taken.columns]), shifts)
    if fit.sigma2 <= 0:
        return None
    se = float(np.sqrt(fit.covariance[0, 0]))
    method = f"paired t adjusted for {taken.what}"
    variance = float(fit.sigma2)
    return t_estimate(float(fit.beta[0]), se, float(fit.df), method, shifts.size, residual_variance=variance)


def batch_indicators(batch: pd.Series, used: NDArray[np.bool_]) -> Array:
    """Return a centred column for each batch but the first of a mixed model's rows; NaN where a batch is unknown.

    Parameters
    ----------
    batch
        ``(n,)`` batch of each row, "" where unknown.
    used
        ``(n,)`` rows of the cohort: a batch of no such row has no column.
    """
    words = batch.to_numpy()
    names = sorted(set(words[used]) - {""})
    columns = np.column_stack([np.zeros((len(words), 0)), *((words == name).astype(float) for name in names[1:])])
    return np.where((words == "")[:, None], np.nan, columns - columns[used].mean(axis=0))


def _batch_columns(sides: Array) -> tuple[list[Array], dict[Code, str]]:
    moved = sides[:, 1] - sides[:, 0]
    if not np.isfinite(moved).all():
        return [], {Code.W_BATCH_UNKNOWN: "a sample has no batch; not adjusted for batch"}
    if not np.abs(moved).max(initial=0.0) > 0:
        return [], {}
    inflation = shift_inflation(moved)
    if not np.isfinite(inflation):
        aliased = "batch_confounded: batch coincides with visit, the shift may be the batch's"
        return [], {Code.E_BATCH_ALIASED: aliased}
    wide = {Code.W_BATCH_CONF: f"variance inflation {inflation:.1f}"} if inflation > MOST_INFLATION else {}
    return [moved], wide


def _covariate_columns(sides: Array, batches: list[Array]) -> tuple[list[Array], dict[Code, str]]:
    if not sides.shape[0] or not sides.shape[-1]:
        return [], {}
    change = _changed(sides)
    if not np.isfinite(change).all():
        return [], {Code.W_COVARIATE: "a covariate is missing; not adjusted for it"}
    if not np.abs(change).max(initial=0.0) > 0:
        return [], {}
    if not np.isfinite(shift_inflation(np.hstack([*batches, change]))):
        return [], {Code.W_COVARIATE: "the covariate changes in step with the visit; not adjusted for it"}
    return [change], {}


def _changed(sides: Array) -> Array:
    """Return the change of covariates ``(n, 2, C)``.

    One that no patient has before (days since the last dose) enters as its difference from the mean after.
    """
    before, after = sides[:, 0], sides[:, 1]
    started = np.isfinite(before).any(axis=0)
    return np.where(started, after - before, after - after.mean(axis=0))
