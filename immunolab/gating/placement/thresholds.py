"""Borders on one axis: pure functions from display-scale values to a `Cut`.

Every function takes one float array (events) and keyword parameters, never fails on few or odd
events, and says in the cut's flags what was odd: ``too_few_events``, ``no_valley``, ``unimodal``, ``beyond_data``.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from immunolab.compiled import compiled
from immunolab.gating.method_registry import Array, Card, Cut, Parameter, register

ENOUGH_EVENTS = 50
_FEWEST = 5
_BINS = 512
_SIGNIFICANT = 3.0
_EM_ROUNDS = 200
Window = Sequence[float] | None


def robust_sd(values: Array) -> float:
    """Return 1.4826 times the median absolute deviation; 0 for no values."""
    return 1.4826 * float(np.median(np.abs(values - np.median(values)))) if len(values) else 0.0


def fixed(values: Array, *, at: float) -> Cut:
    """Return the border the user names."""
    return Cut(float(at), _few(values))


def quantile(values: Array, *, q: float = 0.99) -> Cut:
    """Return the q-quantile of the parent's events."""
    values = _finite(values)
    if len(values) < _FEWEST:
        return Cut(np.nan, _few(values))
    return Cut(float(np.quantile(values, q)), _few(values), robust_sd(values))


def valley(values: Array, *, within: Window = None, bandwidth: float = 1.0, depth: float = 0.1) -> Cut:
    """Return the deepest valley of the smoothed density.

    The density is a Gaussian-smoothed histogram; its bandwidth is ``bandwidth`` times
    0.9 min(sd, IQR / 1.34) n^(-1/5) (Silverman 1986, eq. 3.31). Of all valleys the one with the
    greatest persistence wins: the drop from the lower of its two neighbouring summits, which must
    exceed three times its counting noise.

    Parameters
    ----------
    within : low and high end of the search on the display scale; None searches everywhere.
    depth : least drop, as a share of the lower summit, that counts as a valley.

    Returns
    -------
    NaN and ``no_valley;unimodal`` when no valley is deep enough.
    """
    values = _finite(values)
    if len(values) < _FEWEST:
        return Cut(np.nan, _few(values))
    grid, density, width = _density(values, bandwidth)
    best, drop = np.nan, 0.0
    # events that a kernel of this width sees, per unit of density: its noise is that of their number
    seen = len(values) * 2 * np.sqrt(np.pi) * width
    from scipy.signal import find_peaks

    for low in find_peaks(-density)[0]:
        summit = min(density[:low].max(), density[low:].max())
        inside = within is None or within[0] <= grid[low] <= within[1]
        chance = _SIGNIFICANT * np.sqrt(summit / seen) if seen > 0 else 0.0
        if inside and summit - density[low] > max(drop, depth * summit, chance):
            best, drop = float(grid[low]), float(summit - density[low])
    if np.isnan(best):
        return Cut(np.nan, (*_few(values), "no_valley", "unimodal"))
    return Cut(best, _few(values), robust_sd(values[values < best]))


def tail(values: Array, *, k: float = 3.0, side: str = "above", within: Window = None) -> Cut:
    """Return the main mode plus (or minus) k standard deviations of the half that faces away from the tail.

    Of a single hump the border may come to lie beyond every event: it is then brought back to just beyond the last
    one, which parts these events alike, and flagged ``beyond_data``. It never leaves the window ``within``.
    """
    values = _finite(values)
    if len(values) < _FEWEST:
        return Cut(np.nan, _few(values))
    mode, spread = main_mode(values, side=side)
    value = _clip(mode + k * spread * (1 if side == "above" else -1), within)
    low, high = float(values.min()), float(np.nextafter(values.max(), np.inf))
    if low <= value <= high:
        return Cut(value, _few(values), spread)
    return Cut(_clip(_clip(value, (low, high)), within), (*_few(values), "beyond_data"), spread)


def mixture(values: Array, *, components: int = 2, within: Window = None) -> Cut:
    """Return where the highest of several Gaussians overtakes the rest (EM, deterministic start).

    ``unimodal`` is flagged when the two highest components overlap so far that Ashman's D is
    below 2 (Ashman, Bird and Zepf 1994).
    """
    values = _finite(values)
    if len(values) < max(_FEWEST, 3 * components):
        return Cut(np.nan, _few(values))
    if np.ptp(values) == 0:
        return Cut(np.nan, (*_few(values), "unimodal"))
    weight, mean, sd = _em(values, components)
    top, below = components - 1, components - 2
    grid = np.linspace(mean[below], mean[top], 512)
    shares = weight * np.exp(-0.5 * ((grid[:, None] - mean) / sd) ** 2) / sd
    ahead = shares[:, top] >= shares[:, :top].sum(axis=1)
    separation = (mean[top] - mean[below]) / np.sqrt((sd[top] ** 2 + sd[below] ** 2) / 2)
    flags = _few(values) if separation >= 2 else (*_few(values), "unimodal")
    border = float(grid[int(np.argmax(ahead))]) if ahead.any() else float(mean[top])
    return Cut(_clip(border, within), flags, float(sd[below]))


def control_quantile(values: Array, *, q: float = 0.995) -> Cut:
    """Return the q-quantile of a control tube (FMO or unstained) inside the same parent."""
    return quantile(values, q=q)


def internal_reference(
    values: Array, *, quantile: float | None = 0.99, k: float | None = None, side: str = "above", cap: float = 3.5
) -> Cut:
    """Return the border that a population known to be negative (or positive) in the same tube implies.

    With ``k`` it is median + k rSD, otherwise the quantile, but never further than ``cap`` rSD from
    the median, so that a few contaminating cells cannot pull it away. ``side`` ``below`` mirrors
    both: the border under a population known to be positive.

    Parameters
    ----------
    values : the reference population's events (for instance CD4 naive), display scale.
    """
    values = _finite(values)
    if len(values) < _FEWEST:
        return Cut(np.nan, _few(values))
    sign = 1.0 if side == "above" else -1.0
    centre, spread = float(np.median(values)), robust_sd(values)
    reach = k * spread if k is not None else sign * (_sided(values, quantile, sign) - centre)
    return Cut(centre + sign * min(reach, max(cap, k or 0.0) * spread), _few(values), spread)


def smoothed_density(values: Array, bandwidth: float = 1.0) -> tuple[Array, Array]:
    """Return a grid of 512 points over the values and the smoothed density there (per unit, area 1)."""
    grid, density, _ = _density(values, bandwidth)
    return grid, density


def _density(values: Array, bandwidth: float) -> tuple[Array, Array, float]:
    """Return grid, density and the standard deviation of the smoothing kernel."""
    low, first, third, high = (float(q) for q in np.quantile(values, [0.0005, 0.25, 0.75, 0.9995]))
    spread = min(float(np.std(values)), (third - first) / 1.34 or np.inf)
    width = max(bandwidth * 0.9 * spread * len(values) ** -0.2, _grain(values, low, high))
    edges = np.linspace(low - 3 * width - 1e-9, high + 3 * width + 1e-9, _BINS + 1)
    step = edges[1] - edges[0]
    counts = np.histogram(values, edges)[0].astype(np.float64)
    from scipy.ndimage import gaussian_filter1d

    density = gaussian_filter1d(counts, max(width / step, 0.5), mode="constant") / (len(values) * step)
    return (edges[1:] + edges[:-1]) / 2, density, width


def _grain(values: Array, low: float, high: float) -> float:
    """Return the widest step between neighbouring values when events are counts (many ties), else 0.

    Smoothing by less would show the gaps between counts as valleys.
    """
    distinct = np.unique(values)
    if len(distinct) > 0.5 * len(values):
        return 0.0
    middle = distinct[(distinct >= low) & (distinct <= np.median(values) + (high - low) / 4)]
    return float(np.diff(middle).max()) if len(middle) > 1 else 0.0


def main_mode(values: Array, *, side: str = "above") -> tuple[float, float]:
    """Return the main mode and the standard deviation of the half facing away from ``side``."""
    grid, density = smoothed_density(values)
    mode = float(grid[int(np.argmax(density))])
    half = values[values <= mode] if side == "above" else values[values >= mode]
    return mode, float(np.median(np.abs(half - mode)) / 0.6745) if len(half) else 0.0


def _em(values: Array, components: int) -> tuple[Array, Array, Array]:
    """Fit Gaussians on 512 bins, started at the middles of equal slices of the range."""
    low, high = (float(q) for q in np.quantile(values, [0.001, 0.999]))
    edges = np.linspace(low, high, _BINS + 1)
    counts = np.histogram(values, edges)[0].astype(np.float64)
    centre = (edges[1:] + edges[:-1]) / 2
    mean = np.quantile(centre, (np.arange(components) + 0.5) / components)
    sd = np.full(components, max(np.ptp(centre) / (4 * components), 1e-9))
    floor = max(2 * (edges[1] - edges[0]), 1e-9)
    weight, mean, sd = _em_rounds(centre, counts, np.full(components, 1 / components), mean, sd, floor, _EM_ROUNDS)
    order = np.argsort(mean)
    return weight[order], mean[order], sd[order]


@compiled
def _em_rounds(centre, counts, weight, mean, sd, floor, rounds):  # type: ignore[no-untyped-def]
    """Rounds of expectation and maximisation over binned values; no sd falls below the floor."""
    groups = len(mean)
    share = np.empty(groups)
    for _ in range(rounds):
        mass, first, second = np.zeros(groups), np.zeros(groups), np.zeros(groups)
        for i in range(len(centre)):
            if counts[i] == 0.0:
                continue
            total = 1e-300
            for j in range(groups):
                z = (centre[i] - mean[j]) / sd[j]
                share[j] = weight[j] * np.exp(-0.5 * z * z) / sd[j]
                total += share[j]
            for j in range(groups):
                part = counts[i] * share[j] / total
                offset = centre[i] - mean[j]
                mass[j] += part
                first[j] += part * offset
                second[j] += part * offset * offset
        mass = np.maximum(mass, 1e-9)
        moved = first / mass
        weight, mean = mass / mass.sum(), mean + moved
        sd = np.maximum(np.sqrt(np.maximum(second / mass - moved * moved, 0.0)), floor)
    return weight, mean, sd


def _sided(values: Array, level: float | None, sign: float) -> float:
    share = 0.99 if level is None else level
    return float(np.quantile(values, share if sign > 0 else 1 - share))


def _finite(values: Array) -> Array:
    values = np.asarray(values, dtype=np.float64)
    return values[np.isfinite(values)]


def _few(values: Array) -> tuple[str, ...]:
    return ("too_few_events",) if len(values) < ENOUGH_EVENTS else ()


def _clip(value: float, within: Window) -> float:
    return float(value) if within is None else float(min(max(value, within[0]), within[1]))


_WITHIN = Parameter("within", None, "display scale", "low and high end of the search")
_SIDE = Parameter("side", "above", "", "above: border over a negative population; below: under a positive one")
for _card, _function in (
    (
        Card(
            "fixed", "parent", "fixed", "the scale does not move between tubes",
            (Parameter("at", None, "display scale", "the border"),),
        ),
        fixed,
    ),
    (
        Card(
            "quantile", "parent", "density", "a known share of the parent is positive",
            (Parameter("q", 0.99, "share", "share of the parent below the border"),),
        ),
        quantile,
    ),
    (
        Card(
            "valley", "parent", "density", "negative and positive events form two summits",
            (
                _WITHIN,
                Parameter("bandwidth", 1.0, "times Silverman's rule", "smoothing"),
                Parameter("depth", 0.1, "share of the lower summit", "least drop that counts as a valley"),
            ),
            "Silverman 1986, Density Estimation; Malek et al. 2015, Bioinformatics 31:606 (flowDensity)",
        ),
        valley,
    ),
    (
        Card(
            "tail", "parent", "density", "the main summit is symmetric and the positives are its tail",
            (Parameter("k", 3.0, "standard deviations", "distance from the mode"), _SIDE, _WITHIN),
            "Finak et al. 2014, PLoS Comput Biol 10:e1003806 (openCyto)",
        ),
        tail,
    ),
    (
        Card(
            "mixture", "parent", "density", "each group of events is normal on the display scale",
            (Parameter("components", 2, "groups", "number of normal groups"), _WITHIN),
            "Dempster, Laird and Rubin 1977; Ashman, Bird and Zepf 1994, AJ 108:2348",
        ),
        mixture,
    ),
    (
        Card(
            "fmo", "control", "fmo", "the control holds every dye but this one, same panel, batch and settings",
            (Parameter("q", 0.995, "share", "share of the control below the border"),),
            "Roederer 2001, Cytometry 45:194; Maecker and Trotter 2006, Cytometry A 69A:1037",
        ),
        control_quantile,
    ),
    (
        Card(
            "unstained", "control", "unstained", "the cells' own light and no spread from other dyes",
            (Parameter("q", 0.995, "share", "share of the control below the border"),),
            "Maecker and Trotter 2006, Cytometry A 69A:1037",
        ),
        control_quantile,
    ),
    (
        Card(
            "internal_reference", "reference", "internal",
            "the reference population lacks (side below: carries) the marker and moves with batch and lot",
            (
                Parameter("quantile", 0.99, "share", "share of the reference below the border"),
                Parameter("k", None, "robust standard deviations", "distance from the median, instead of a quantile"),
                _SIDE,
                Parameter("cap", 3.5, "robust standard deviations", "furthest the quantile may lie from the median"),
            ),
            "Rousseeuw and Croux 1993, JASA 88:1273 (rSD)",
        ),
        internal_reference,
    ),
):  # fmt: skip
    register(_card.name, _function, _card)
