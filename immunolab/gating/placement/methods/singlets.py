"""The band of single cells in pulse area and height."""

from __future__ import annotations

import numpy as np

from immunolab.gating.method_registry import Parameter, threshold_method
from immunolab.gating.method_results import Array, Band
from immunolab.gating.placement.density import ENOUGH_EVENTS, few, main_mode, robust_sd
from immunolab.schema.flags import Flag

_K = 5.0  # half-width in robust sd of the ratio (judgement: large cells stay in; doublets have about half the ratio)
_LEAST_WIDTH = 0.06  # least half-width, share of the ratio (judgement: a very narrow main group must not cut cells off)
_NEAR = 0.25  # events within this share of the main ratio make the spread: doublets are outside (judgement)
# robust sd of the ratio, share of it, from which height is not proportional to area (judgement, 2026-11-26: 0.02 to
# 0.06 on real tubes where it is, 0.2 where width was written as height)
_NOT_PROPORTIONAL = 0.1
_SLICES = 20  # slices of equal events along x whose medians give the line (judgement: doublets are few in each)
_EVERYTHING = 1e9  # above the range of any instrument: with one event or none the band is open
_BEYOND = 4.0  # the band reaches four times the largest area, so that other tubes of the pool end inside it


@threshold_method(
    "singlets",
    wants="pair",
    control="density",
    assumes="height is proportional to area for single cells",
    parameters=(
        Parameter("k", _K, "robust standard deviations", "half-width of the band of height / area"),
        Parameter("width", _LEAST_WIDTH, "share of the ratio", "least half-width"),
    ),
    reference="Wersto et al. 2001, Cytometry 46:296",
    channels=("FSC-A", "FSC-H"),
)
def singlets(x: Array, y: Array, *, k: float = _K, width: float = _LEAST_WIDTH) -> Band:
    """Return the band around the robust line through the origin of height on area (Wersto et al. 2001).

    Where the ratio is so wide that the two are not proportional (a pulse's width hardly grows with its area), the line
    has an intercept.

    Parameters
    ----------
    x, y
        Pulse area and height (or width) of one scatter, linear.
    k
        Half-width of the band in robust standard deviations of the ratio y / x.
    width
        Least half-width, as a share of the ratio.
    """
    usable = np.isfinite(x) & np.isfinite(y) & (x > 0)
    ratio = y[usable] / x[usable]
    if len(ratio) < 2:
        corners = ((0.0, 0.0), (_EVERYTHING, 0.0), (_EVERYTHING, _EVERYTHING), (0.0, _EVERYTHING))
        return Band(corners, (Flag.TOO_FEW_EVENTS,))
    centre = main_mode(ratio)[0] if len(ratio) >= ENOUGH_EVENTS else float(np.median(ratio))
    near = ratio[np.abs(ratio - centre) < _NEAR * abs(centre)]
    half = max(k * robust_sd(near), width * abs(centre))
    if len(near) >= ENOUGH_EVENTS and robust_sd(near) > _NOT_PROPORTIONAL * abs(centre):
        return _along_line(x[usable], y[usable], k, width)
    low, high = centre - half, centre + half
    far = _BEYOND * float(np.max(x[usable]))
    return Band(((-1.0, -1.0), (far, low * far), (far, high * far), (-1.0, 1.0)), few(ratio))


def _along_line(x: Array, y: Array, k: float, width: float) -> Band:
    """Return the band around the straight line through the medians of slices of x."""
    slices = np.array_split(np.argsort(x), _SLICES)
    middles = np.array([(np.median(x[part]), np.median(y[part])) for part in slices])
    slope, start = np.polyfit(middles[:, 0], middles[:, 1], 1)
    half = max(k * robust_sd(y - start - slope * x), width * float(np.median(y)))
    far = _BEYOND * float(np.max(x))
    low, high = start - half, start + half
    return Band(((-1.0, low), (far, low + slope * far), (far, high + slope * far), (-1.0, high)), ())
