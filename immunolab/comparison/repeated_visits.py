"""The shift where pairs are missing: every patient enters with the visits that are there.

A comparison of complete pairs takes those who stayed for everyone. Where staying depends on what was seen at a visit
in between, that visit has to be in the model (missing at random given the visits seen; Mallinckrodt et al. 2008, Drug
Inf J 42:303).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from immunolab.comparison.adjustment import batch_indicators
from immunolab.comparison.estimate import Estimate, t_estimate
from immunolab.comparison.pairing import Paired
from immunolab.comparison.plan import Plan
from immunolab.comparison.repeated_measures import fit_repeated_measures
from immunolab.schema.flags import Code

Array = NDArray[np.float64]

_LEAST_PAIRS = 5  # complete pairs: three visits have six variances and covariances (benchmarks/missing_visits.py)
_PAIRS_A_VISIT = 3  # complete pairs for each visit beyond three; with two, one fit in ten is singular (the same)
_SEEN = 0.5  # share of the complete pairs that must have a visit in between (judgement)


@dataclass(frozen=True)
class VisitRows:
    """Rows of one endpoint and cohort, one a patient and visit.

    Attributes
    ----------
    level
        ``(n,)`` on the endpoint's scale.
    patient
        ``(n,)`` numbers.
    visit
        ``(n,)`` 0 before, 1 after, 2 and more in between, those that missing patients have first.
    labels
        Names of the visits, in that order.
    others
        ``(n, k)`` covariates and batches.
    """

    level: Array
    patient: NDArray[np.int64]
    visit: NDArray[np.int64]
    labels: tuple[str, ...]
    others: Array


def visits_between(
    paired: Paired, e: int, members: NDArray[np.bool_], plan: Plan, *, batched: bool
) -> VisitRows | Mapping[Code, str]:
    """Return the rows of both visits and of those between, or why a visit between cannot enter.

    Without a reason where pairs are complete or no visit is between.

    A visit is between by its study day; without days every other visit is. Sides of several visits have no rows:
    their mean is compared.

    Parameters
    ----------
    paired
        Both sides of every patient.
    e
        Number of the endpoint.
    members
        ``(P,)`` patients of the cohort.
    plan
        Covariates.
    batched
        Whether batches are fixed effects: the pairs can be adjusted for them.
    """
    complete = members & (paired.n_visits[e] > 0).all(axis=1)
    one_side = members & (paired.n_visits[e] > 0).any(axis=1) & ~complete
    if not one_side.any() or complete.sum() < _LEAST_PAIRS:
        return {}
    rows = paired.rows.iloc[paired.rows_of[paired.endpoints[e]]]
    known = np.isfinite(rows["level"].to_numpy()) & (rows["beyond"] == 0).to_numpy()
    rows = rows[known & members[rows["patient"].to_numpy()]]
    sides = [list(dict.fromkeys(rows.loc[rows["side"] == side, "visit"])) for side in (0, 1)]
    if any(len(labels) != 1 for labels in sides):
        return {}
    between = _between(rows, np.flatnonzero(complete), np.flatnonzero(one_side))
    most = max(3, int(complete.sum()) // _PAIRS_A_VISIT) - 2
    labels = (sides[0][0], sides[1][0], *between[:most])
    kept = rows[rows["visit"].isin(labels)]
    if not between:
        return {}
    others = _others(kept, plan, batched=batched)
    if not np.isfinite(others).all():
        return _unknown(kept, batched=batched)
    return VisitRows(
        kept["level"].to_numpy(),
        kept["patient"].to_numpy(),
        kept["visit"].map({label: number for number, label in enumerate(labels)}).to_numpy(),
        labels,
        others,
    )


def _between(rows: pd.DataFrame, complete: NDArray[np.int64], one_side: NDArray[np.int64]) -> list[str]:
    """Return visits between both sides: those that most of the missing patients have first, then the latest."""
    day = rows.groupby("visit")["study_day"].median()
    first, last = (day[rows.loc[rows["side"] == side, "visit"].iloc[0]] for side in (0, 1))
    found = []
    for label, own in rows[rows["side"] < 0].groupby("visit", sort=False):
        seen = own["patient"].isin(complete).sum()
        dated = bool(np.isfinite([first, last, day[label]]).all())
        if seen >= _SEEN * complete.size and (not dated or first < day[label] < last):
            found.append((-own["patient"].isin(one_side).sum(), -day[label] if dated else 0.0, str(label)))
    return [label for *_, label in sorted(found)]


def _unknown(rows: pd.DataFrame, *, batched: bool) -> Mapping[Code, str]:
    """Return why rows cannot be adjusted: whose samples have no batch, or else no covariate."""
    lacking = rows[rows["batch"] == ""] if batched else rows.iloc[:0]
    instead = "no mixed model over the visits, complete pairs are compared"
    if len(lacking):
        names = ", ".join(f"{p} {v}" for p, v in zip(lacking["patient_id"], lacking["visit"], strict=True))
        return {Code.W_BATCH_UNKNOWN: f"no batch is known of {names}: {instead}"}
    return {Code.W_COVARIATE: f"a covariate is missing at a visit: {instead}"}


def _others(rows: pd.DataFrame, plan: Plan, *, batched: bool) -> Array:
    """Return centred covariates, and a column for each batch but the first; NaN where one is unknown."""
    covariates = rows[list(plan.covariates)].to_numpy(dtype=float)
    batches = [batch_indicators(rows["batch"], np.ones(len(rows), dtype=bool))] if batched else []
    return np.hstack([covariates - covariates.mean(axis=0), *batches])


def repeated_shift(rows: VisitRows) -> Estimate | None:
    """Return the shift by the mixed model for repeated measures, or None where none can be fitted.

    A visit in between is left out, the last of the order first, until the fit has a covariance that is not singular.

    Parameters
    ----------
    rows
        See `visits_between`.
    """
    for n in range(len(rows.labels), 2, -1):
        used = rows.visit < n
        visits = (rows.visit[used, None] == np.arange(n)).astype(float)
        others = rows.others[used]
        others = others[:, np.ptp(others, axis=0) > 0]
        design = np.column_stack([visits, others])
        if np.linalg.matrix_rank(design) < design.shape[1]:
            continue
        patient = np.unique(rows.patient[used], return_inverse=True)[1]
        fit = fit_repeated_measures(rows.level[used], design, patient, rows.visit[used])
        if fit.converged:
            weights = np.zeros(design.shape[1])
            weights[:2] = -1.0, 1.0
            return t_estimate(*fit.contrast(weights), _method(rows, n, others.shape[1]), int(patient.max()) + 1)
    return None


def _method(rows: VisitRows, n: int, others: int) -> str:
    before, after, *between = rows.labels[:n]
    text = f"mixed model for repeated measures over {before}, {', '.join(between)} and {after}"
    return f"{text} (REML, unstructured, Kenward-Roger)" + (", adjusted for batch or covariates" if others else "")
