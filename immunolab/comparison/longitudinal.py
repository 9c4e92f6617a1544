"""Several visits: the mixed model of one endpoint."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from immunolab.comparison.estimate import Estimate, t_estimate
from immunolab.comparison.mixed import MixedFit, fit_mixed
from immunolab.comparison.paired import paired_t
from immunolab.schema.flags import Code

Array = NDArray[np.float64]

_SPARE_ROWS = 3  # rows beyond the fixed effects: two variances of patients and the residual one are estimated too


@dataclass(frozen=True)
class LongRows:
    """Rows of one endpoint and cohort, one a sample.

    Attributes
    ----------
    level
        ``(n,)`` on the endpoint's scale.
    patient
        ``(n,)`` codes 0..P-1.
    side
        ``(n,)`` 0 before, 1 after, -1 for other visits.
    other
        ``(n,)`` level of the other visits: visit or phase.
    on
        ``(n,)`` rows on treatment, whose patients may each respond differently.
    covariates
        ``(n, k)``, centred.
    """

    level: Array
    patient: NDArray[np.int64]
    side: NDArray[np.int64]
    other: NDArray[np.object_]
    on: NDArray[np.bool_]
    covariates: Array


def mixed_shift(
    rows: LongRows, patient_shifts: Array, adjusted: Estimate | None = None, what: str = "covariates"
) -> Estimate:
    """Return the shift by REML with a random intercept and a random treatment response per patient.

    A model without the random response takes more visits for more patients and is wrong about the cohort
    (Barr et al. 2013, J Mem Lang 68:255). Where a variance is estimated at zero, the fit fails, or patients
    have two visits only, the mean shift of each patient is tested instead, and the method says so.

    Parameters
    ----------
    rows
        All visits of the endpoint in the cohort.
    patient_shifts
        ``(P,)`` each complete patient's mean after minus mean before, for the fallback.
    adjusted
        The fallback where it is adjusted for batch or covariates.
    what
        What is adjusted for, in words.
    """
    fallback = adjusted or paired_t(patient_shifts)
    if np.bincount(rows.patient).max() < 3:
        return replace(fallback, method=f"{fallback.method} (two visits: the mixed model is the same)")
    design = _fixed_effects(rows)
    if np.linalg.matrix_rank(design) < design.shape[1] or rows.level.size <= design.shape[1] + _SPARE_ROWS:
        return _instead(fallback, Code.W_COVARIATE, "the design cannot be separated")
    random = np.column_stack([np.ones(rows.level.size), rows.on.astype(float)])
    fit = fit_mixed(rows.level, design, rows.patient, random)
    if not fit.converged:
        return _instead(fallback, Code.W_NOCONV, "no convergence")
    if fit.singular[1]:
        return _instead(fallback, Code.W_SLOPE0, "response variance at 0")
    if fit.singular[0]:
        return _instead(fallback, Code.W_SINGULAR, "patient variance at 0")
    return _contrast(fit, design.shape[1], patient_shifts.size, what if rows.covariates.shape[1] else "")


def _contrast(fit: MixedFit, columns: int, n: int, adjusted: str) -> Estimate:
    weights = np.zeros(columns)
    weights[1] = 1.0
    method = "REML mixed model, random intercept and response, Satterthwaite"
    return t_estimate(*fit.contrast(weights), method + (f", adjusted for {adjusted}" if adjusted else ""), n)


def _fixed_effects(rows: LongRows) -> Array:
    columns = [np.ones(rows.level.size), (rows.side == 1).astype(float)]
    columns += [((rows.side < 0) & (rows.other == name)).astype(float) for name in _levels(rows)]
    if rows.covariates.shape[1]:
        columns += list(rows.covariates.T)
    return np.column_stack(columns)


def _levels(rows: LongRows) -> list[str]:
    return sorted(set(rows.other[rows.side < 0]))


def _instead(fallback: Estimate, code: Code, why: str) -> Estimate:
    taken = fallback.method.partition(" adjusted for ")[2]
    method = "t on each patient's mean shift" + (f" adjusted for {taken}" if taken else "")
    return replace(fallback, method=f"{method} (mixed model: {why})", codes=(code,))
