"""Mixed models with random slopes that give up what the data cannot carry, and say so."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from immunolab.comparison.estimate import Estimate, is_constant, t_estimate, untested
from immunolab.comparison.mixed import MixedFit, fit_mixed

Array = NDArray[np.float64]

_LEAST_PATIENTS = 3  # as in `cohort_tests`
_LEAST_DF = 1.0  # Satterthwaite's; below it limits are over 13 standard errors away, and soon 10^12 of a score's points


@dataclass(frozen=True)
class SlopesFit:
    """A fitted model with what it holds; ``fit`` is None where none could be fitted.

    Attributes
    ----------
    fit
        The mixed model.
    fixed
        Names of the fixed effects, in the order of ``fit.beta``.
    method
        The model in words, with what was given up.
    n_patients
        Patients that entered.
    """

    fit: MixedFit | None
    fixed: tuple[str, ...]
    method: str
    n_patients: int

    def contrast(self, weights: Mapping[str, float]) -> Estimate:
        """Return a sum of fixed effects with its t on Satterthwaite's degrees of freedom.

        Parameters
        ----------
        weights
            Weight of each fixed effect by name; those not named have none.
        """
        absent = [name for name in weights if name not in self.fixed]
        if self.fit is None or absent:
            why = f"not estimable: no data for {', '.join(absent)}" if self.fit is not None else self.method
            return untested(self.n_patients, why)
        vector = np.array([weights.get(name, 0.0) for name in self.fixed])
        estimate, se, df = self.fit.contrast(vector)
        if df < _LEAST_DF:
            return untested(
                self.n_patients, f"not estimable: {df:.1g} degrees of freedom, as too few have later visits"
            )
        return t_estimate(estimate, se, df, self.method, self.n_patients)


def fit_slopes(
    level: Array, fixed: Mapping[str, Array], random: Mapping[str, Array], patient: Array, *, needed: Sequence[str]
) -> SlopesFit:
    """Fit a random intercept and independent random slopes by REML.

    Fixed effects that the rows cannot separate are left out, the last first. Where the fit does not converge, random
    effects are dropped one after another, the last first, never those in ``needed``: without the random effect of what
    is tested, a test takes visits for patients (Barr et al. 2013, J Mem Lang 68:255). A variance estimated at 0 stays
    in the model at 0, and is said.

    Parameters
    ----------
    level
        ``(n,)`` response on a scale where its errors are near normal.
    fixed
        Columns ``(n,)`` by name beside the intercept, the least wanted last.
    random
        Columns ``(n,)`` by name beside the random intercept, the least wanted last.
    patient
        ``(n,)`` labels.
    needed
        Random effects that are kept, or nothing is fitted.
    """
    code = np.unique(patient, return_inverse=True)[1].astype(np.int64)
    n_patients = int(code.max()) + 1 if code.size else 0
    names, design = _separable({"before": np.ones(level.size)} | dict(fixed))
    kept = [name for name, column in random.items() if np.ptp(column) > 0]
    dropped: list[str] = []
    within = level - (np.bincount(code, level) / np.bincount(code))[code]
    if level.size > n_patients and is_constant(np.append(within, 0.0)):
        return SlopesFit(None, names, "nobody's values change: no model of their change", n_patients)
    if n_patients < _LEAST_PATIENTS:
        return SlopesFit(None, names, f"{n_patients} patient(s): a model needs {_LEAST_PATIENTS}", n_patients)
    while True:
        z = np.column_stack([np.ones(level.size), *(random[name] for name in kept)])
        if level.size > design.shape[1] + z.shape[1] + 1 and np.linalg.matrix_rank(z) == z.shape[1]:
            fit = fit_mixed(level, design, code, z)
            if fit.converged and np.isfinite(fit.covariance).all():
                return SlopesFit(fit, names, _words(kept, dropped, fit), n_patients)
        last = next((name for name in reversed(kept) if name not in needed), None)
        if last is None:
            return SlopesFit(None, names, "no mixed model with the random effects it needs could be fitted", n_patients)
        kept.remove(last)
        dropped.append(last)


def _separable(columns: Mapping[str, Array]) -> tuple[tuple[str, ...], Array]:
    """Return names and columns of those that add to the rank of the ones before."""
    names: list[str] = []
    taken = np.zeros((next(iter(columns.values())).size, 0))
    for name, column in columns.items():
        more = np.column_stack([taken, column])
        if np.linalg.matrix_rank(more) == more.shape[1]:
            names.append(name)
            taken = more
    return tuple(names), taken


def _words(kept: Sequence[str], dropped: Sequence[str], fit: MixedFit) -> str:
    zero = [name for name, none in zip(("intercept", *kept), fit.singular, strict=True) if none]
    text = f"REML mixed model, random intercept{''.join(f', {name}' for name in kept)} (Satterthwaite)"
    text += f"; no variance between patients in {', '.join(zero)}" if zero else ""
    return text + (f"; random {', '.join(dropped)} dropped: no convergence with it" if dropped else "")
