"""Least squares where each arm of patients has a variance of its own.

The estimate is that of ordinary least squares. The arms' variances are Rao's (1970, J Am Stat Assoc 65:161): the sums
of squared residuals in each arm set equal to what they are expected to be, which is unbiased whatever the design. The
contrast's variance follows from both, its degrees of freedom are Satterthwaite's (1946, Biometrics Bull 2:110). Without
further columns this is Welch's t. Among HC3, HC2 with Bell and McCaffrey's degrees of freedom and a REML fit it is the
one whose type I error stays nearest 0.05 with 4 to 12 patients an arm (benchmarks/calibration_arms.py).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

_LEAST_VARIANCE = 1e-3  # of the pooled variance: an estimate of Rao's can fall below zero, a variance cannot


def contrast_by_arm(
    design: Array, response: Array, arm: NDArray[np.bool_], weights: Array
) -> tuple[float, float, float]:
    """Return estimate, standard error and degrees of freedom of ``weights @ beta``; NaN where nothing varies.

    Parameters
    ----------
    design
        ``(n, p)``, full rank, p below n.
    response
        ``(n,)``.
    arm
        ``(n,)`` True for one arm, False for the other.
    weights
        ``(p,)``.
    """
    inverse = np.linalg.pinv(design)
    row = weights @ inverse
    rest = np.eye(response.size) - design @ inverse
    residual = rest @ response
    groups = np.array([arm, ~arm], dtype=float)
    expected = groups @ rest**2 @ groups.T
    pooled = float(residual @ residual) / float(np.trace(rest))
    if np.linalg.cond(expected) > 1.0 / np.finfo(float).eps or pooled <= 0:
        return float(row @ response), float("nan"), float("nan")
    variances = np.maximum(np.linalg.solve(expected, groups @ residual**2), _LEAST_VARIANCE * pooled)
    per_patient = variances @ groups
    variance = float(row**2 @ per_patient)
    shares = np.linalg.solve(expected, groups @ row**2) @ groups
    form = rest @ (shares[:, None] * rest) * per_patient
    df = float(np.trace(form) ** 2 / np.trace(form @ form))
    return float(row @ response), float(np.sqrt(variance)), df
