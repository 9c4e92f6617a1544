"""What a test of a cohort gives: an estimate with its interval, and how it was made."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtr, stdtrit

from immunolab.schema.flags import Code

ALPHA = 0.05  # two-sided: every interval of the package is a 95 % interval
_ROUNDING = 1e-12  # relative: differences below it are rounding, not data


@dataclass(frozen=True)
class Estimate:
    """A cohort's shift, or a difference between two groups, with its 95 % interval.

    Attributes
    ----------
    estimate, ci_low, ci_high
        On the scale of the shifts; NaN where nothing can be estimated.
    p_value
        Two-sided; NaN when not tested.
    df
        Degrees of freedom of the t; NaN for rank and sign-flip tests.
    method
        Name of the test; for one that was not made, why.
    n
        Patients that entered.
    codes
        Warning codes that the method itself raises, see `schema.flags.Code`.
    location
        Estimator of the estimate when it is not the one the method implies (``Hodges-Lehmann``).
    tested
        False when the method was not applied.
    half_count
        Whether counts enter with half a count added (Haldane 1956), as they do in every per-patient shift;
        False for a method that takes the counts as they are.
    residual_variance
        Of the shifts about what was fitted, with `df` degrees of freedom; NaN for methods that do not estimate one.
    """

    estimate: float
    ci_low: float
    ci_high: float
    p_value: float
    df: float
    method: str
    n: int
    codes: tuple[Code, ...] = ()
    location: str = ""
    tested: bool = True
    half_count: bool = True
    residual_variance: float = np.nan

    @property
    def text(self) -> str:
        """The method in words, with the estimator where it is a different one."""
        return f"{self.method}, {self.location}" if self.location else self.method


def untested(n: int, why: str = "not tested", *, estimate: float = np.nan, codes: tuple[Code, ...] = ()) -> Estimate:
    """Return the result of a test that was not made.

    Parameters
    ----------
    n
        Patients there are.
    why
        In words, for the column ``method``.
    estimate, codes
        As in `Estimate`; the estimate describes the patients there are.
    """
    return Estimate(estimate, np.nan, np.nan, np.nan, np.nan, why, n, codes, tested=False)


def t_estimate(
    estimate: float,
    se: float,
    df: float,
    method: str,
    n: int,
    *,
    codes: tuple[Code, ...] = (),
    half_count: bool = True,
    residual_variance: float = np.nan,
) -> Estimate:
    """Return the estimate whose interval and p value are those of ``estimate / se`` on Student's t with ``df``.

    Parameters
    ----------
    estimate, se
        On the scale of the shifts.
    df, method, n, codes, half_count, residual_variance
        As in `Estimate`.
    """
    half = float(stdtrit(df, 1.0 - ALPHA / 2.0)) * se
    p = float(2.0 * stdtr(df, -abs(estimate / se)))
    limits = estimate - half, estimate + half
    return Estimate(
        estimate, *limits, p, df, method, n, codes, half_count=half_count, residual_variance=residual_variance
    )


def is_constant(shifts: NDArray[np.float64]) -> bool:
    """Return whether all values ``(n,)``, n above 0, are equal up to rounding."""
    return bool(np.ptp(shifts) <= _ROUNDING * max(1.0, float(np.abs(shifts).max())))


def not_zero(values: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Return which values ``(n,)`` differ from zero by more than rounding, for their size."""
    return np.abs(values) > _ROUNDING * max(1.0, float(np.abs(values).max(initial=0.0)))
