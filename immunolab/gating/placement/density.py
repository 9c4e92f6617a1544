"""The smoothed density of values on one axis, its main mode and robust spread; what most methods start from."""

from __future__ import annotations

import numpy as np

from immunolab.events.transforms import Transform
from immunolab.gating.method_results import Array, Window
from immunolab.gating.placement.smoothing import smoothed
from immunolab.order_statistics import median, quantiles
from immunolab.schema.flags import Flag

# events under which a border is flagged: the median of 50 has a standard error of 0.18 sd (judgement: rare subsets
# stay usable, against borders of few events)
ENOUGH_EVENTS = 50
FEWEST_EVENTS = 5  # events under which no density is drawn at all (judgement)
# points of the grid: finer than the kernel up to a million events (judgement: time against resolution)
N_BINS = 512
_EDGE_SHARE = 0.0005  # share of events on each side that the grid need not hold: one stray event would stretch it
_MAD_TO_SD = 1.4826  # a normal's sd in median absolute deviations, 1 / 0.6745
HALF_NORMAL_MEDIAN = 0.6745  # median of |z| of a standard normal: half a normal's median distance, in sd
IQR_TO_SD = 1.34  # a normal's interquartile range in sd (Silverman 1986, Density Estimation, eq. 3.31)
SILVERMAN = 0.9  # factor of the rule of thumb (Silverman 1986, eq. 3.31)
SEPARATE = 2.0  # Ashman's D above which two groups are cleanly separate (Ashman, Bird and Zepf 1994, AJ 108:2348)
_KERNEL_REACH = 3.0  # kernel widths of empty grid on each side, so that the density falls to 0
# counts up to which a mass channel says nothing: randomised zeros are within one count of 0, and an ion or two come
# from neighbouring masses (judgement, 2026-11-26: of T cells with CD8 a tenth are above it on CD4 that they lack)
_NOISE_COUNTS = 3.0
# share of events below zero from which they show its noise (judgement: fewer may be faults of compensation)
_LEAST_BELOW_ZERO = 0.05


def zero_noise(scale: Transform) -> float:
    """Return the upper end of the noise of zero of a mass channel on its display scale."""
    return float(scale.apply([_NOISE_COUNTS])[0])


def zero_spread(values: Array, scale: Transform) -> float | None:
    """Return one standard deviation above zero of events without signal; None where too few are below zero.

    Compensated events without signal are spread around zero: the median distance of those below it is 0.6745 standard
    deviations.

    Parameters
    ----------
    values
        Events, display scale.
    scale
        Display scale of the channel.

    Returns
    -------
    float or None
        Display scale.
    """
    zero = float(scale.apply([0.0])[0])
    below = values[values < zero]
    if len(below) < max(FEWEST_EVENTS, _LEAST_BELOW_ZERO * len(values)):
        return None
    middle = float(scale.inverse([median(below)])[0])
    return float(scale.apply([abs(middle) / HALF_NORMAL_MEDIAN])[0])


def robust_sd(values: Array) -> float:
    """Return 1.4826 times the median absolute deviation; 0 for no values."""
    return _MAD_TO_SD * median(np.abs(values - median(values))) if len(values) else 0.0


def finite(values: Array) -> Array:
    """Return the finite values as float64."""
    values = np.asarray(values, dtype=np.float64)
    return values[np.isfinite(values)]


def few(values: Array) -> tuple[str, ...]:
    """Return the flag of too few events, or nothing."""
    return (Flag.TOO_FEW_EVENTS,) if len(values) < ENOUGH_EVENTS else ()


def clip(value: float, within: Window) -> float:
    """Return the value, moved to the nearer end where it is outside the window.

    Parameters
    ----------
    value
        On the scale of the window.
    within
        Low and high end; None changes nothing.
    """
    return float(value) if within is None else float(min(max(value, within[0]), within[1]))


def smoothed_density(values: Array, bandwidth: float = 1.0) -> tuple[Array, Array, float]:
    """Return the density of values as a Gaussian-smoothed histogram.

    Parameters
    ----------
    values
        One axis, finite, at least one.
    bandwidth
        Standard deviation of the kernel in units of 0.9 min(sd, IQR / 1.34) n^(-1/5) (Silverman 1986, eq. 3.31).

    Returns
    -------
    tuple of (array, array, float)
        A grid of 512 points, the density there (per unit of the axis, area 1), and the kernel's standard deviation.
    """
    shares = [_EDGE_SHARE, 0.25, 0.75, 1 - _EDGE_SHARE]
    ordered = np.sort(values)
    low, first, third, high = quantiles(ordered, shares)
    spread = min(float(np.std(values)), (third - first) / IQR_TO_SD or np.inf)
    width = max(bandwidth * SILVERMAN * spread * len(values) ** -0.2, _grain(ordered, low, high))
    # 1e-9: all values alike still get bins of some width
    edges = np.linspace(low - _KERNEL_REACH * width - 1e-9, high + _KERNEL_REACH * width + 1e-9, N_BINS + 1)
    step = edges[1] - edges[0]
    up_to = np.append(ordered.searchsorted(edges[:-1]), ordered.searchsorted(edges[-1:], "right"))
    counts = np.diff(up_to).astype(np.float64)
    # under half a bin a kernel smooths nothing
    density = smoothed(counts, max(width / step, 0.5)) / (len(values) * step)
    return (edges[1:] + edges[:-1]) / 2, density, width


def main_mode(values: Array, *, side: str = "above") -> tuple[float, float]:
    """Return the main mode and the standard deviation of the half facing away from ``side`` (above, below).

    Parameters
    ----------
    values
        Finite, display scale.
    side
        Side of the tail of interest; the other half shows the spread.
    """
    grid, density, _ = smoothed_density(values)
    mode = float(grid[int(np.argmax(density))])
    half = values[values <= mode] if side == "above" else values[values >= mode]
    return mode, median(np.abs(half - mode)) / HALF_NORMAL_MEDIAN if len(half) else 0.0


def noise_spread(values: Array) -> float:
    """Return the standard deviation of the half of the main summit that faces away from positive events.

    The summit is found where asinh bends at the robust standard deviation, so that few events far out do not hide it.

    Parameters
    ----------
    values
        Finite, instrument units.
    """
    unit = robust_sd(values)
    if unit == 0:
        return 0.0
    summit = unit * float(np.sinh(main_mode(np.arcsinh(values / unit))[0]))
    below = summit - values[values <= summit]
    return median(below) / HALF_NORMAL_MEDIAN if len(below) else 0.0


def _grain(ordered: Array, low: float, high: float) -> float:
    """Return the widest step between neighbouring values when events are counts (many ties), else 0.

    Smoothing by less would show the gaps between counts as valleys. Counts are taken for such when over half of the
    events share their value with another; steps are measured where events are dense, up to a quarter of the range
    above the median.
    """
    new = np.append(True, ordered[1:] != ordered[:-1])
    if np.count_nonzero(new) > 0.5 * len(ordered):
        return 0.0
    distinct, (centre,) = ordered[new], quantiles(ordered, [0.5])
    middle = distinct[(distinct >= low) & (distinct <= centre + (high - low) / 4)]
    return float(np.diff(middle).max()) if len(middle) > 1 else 0.0
