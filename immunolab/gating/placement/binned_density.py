"""Summits, valleys and crossings of counts on one axis: what borders are read from, whatever the number of events."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from immunolab.compiled import compiled
from immunolab.gating.method_results import Array
from immunolab.gating.placement.density import ENOUGH_EVENTS, IQR_TO_SD, SILVERMAN
from immunolab.gating.placement.smoothing import smoothed, summits
from immunolab.order_statistics import quantiles

N_BINS = 200  # bins of an axis: a compact group of naive cells is about ten wide at half its height
_EDGE_SHARE = 0.0005  # share of events on each side pulled to the edge: a stray one would widen all bins
# least drop of a valley, as a share of the lower summit and in standard deviations of its counting noise: as of the
# method `valley`
_DEPTH, _SIGNIFICANT = 0.1, 3.0
# width of a group's left half over its right one from which it holds some of the next group (judgement, 2026-11-26:
# groups of the eight tubes of HIPC have up to 2.9, where the top of the scale presses naive cells together, and from 5
# where CD45RA was made a third dimmer; benchmarks/perturbed_tubes.py)
_OVERLAPPED = 4.0
_HALF_HEIGHT = float(np.sqrt(2 * np.log(2)))  # distance in sd at which a normal has half its height
_EM_ROUNDS = 200  # most rounds of expectation and maximisation
_SETTLED = 0.01  # bins by which the means may still move when they end (judgement: the crossing then stays in its bin)


@dataclass(frozen=True)
class Profile:
    """Counts on one axis and their density.

    Attributes
    ----------
    centres, counts
        Middles of the bins, display scale, and events in each.
    density
        Events a bin, smoothed by a normal kernel.
    width
        Standard deviation of the kernel, display scale.
    """

    centres: Array
    counts: Array
    density: Array
    width: float

    @classmethod
    def of(cls, centres: Array, counts: Array) -> Profile:
        """Return the profile of counts, smoothed as `density.smoothed_density` smooths events.

        Parameters
        ----------
        centres
            Middles of equal bins, rising.
        counts
            Events of each.
        """
        step, total = centres[1] - centres[0], counts.sum()
        if total <= 0:
            return cls(centres, counts, counts, step)
        mean = (centres * counts).sum() / total
        sd = np.sqrt(max(((centres - mean) ** 2 * counts).sum() / total, 0.0))
        first, third = np.interp([0.25, 0.75], np.cumsum(counts) / total, centres)
        spread = min(sd, (third - first) / IQR_TO_SD or np.inf)
        width = max(SILVERMAN * spread * total**-0.2, step / 2)
        return cls(centres, counts, smoothed(counts, width / step), width)

    @classmethod
    def of_events(cls, values: Array) -> Profile:
        """Return the profile of events.

        Parameters
        ----------
        values
            Finite, display scale, at least one.
        """
        cells, centres = bins(values)
        return cls.of(centres, np.bincount(cells, minlength=N_BINS).astype(np.float64))

    @property
    def step(self) -> float:
        """Width of a bin."""
        return float(self.centres[1] - self.centres[0])

    @property
    def seen(self) -> float:
        """Events that the kernel sees at a density of one a bin: its counting noise is that of their number."""
        return float(2 * np.sqrt(np.pi) * self.width / self.step)

    @property
    def total(self) -> float:
        """Number of events."""
        return float(self.counts.sum())


@dataclass(frozen=True)
class Summit:
    """A group of events on one axis: its mode, and the standard deviation that its half height suggests."""

    mode: float
    sd: float


def bins(values: Array) -> tuple[NDArray[np.int64], Array]:
    """Return the bin of each value and the middles of the bins; the outermost 0.05 % are pulled to the edges.

    Parameters
    ----------
    values
        Finite, display scale, at least one.
    """
    low, high = quantiles(np.sort(values), [_EDGE_SHARE, 1 - _EDGE_SHARE])
    step = max((high - low) / N_BINS, 1e-9)  # 1e-9: all values alike still get bins of some width
    found = np.clip((values - low) / step, 0, N_BINS - 1).astype(np.int64)
    return found, np.asarray(low + (np.arange(N_BINS) + 0.5) * step, dtype=np.float64)


def summit(profile: Profile, low: float = -np.inf, high: float = np.inf) -> Summit | None:
    """Return the highest summit between two limits; None without one, or where it has no half height on its left.

    Parameters
    ----------
    profile
        Density of one axis.
    low, high
        Display scale; the density must be lower on both sides of the summit within the axis.
    """
    density = profile.density
    inside = [i for i in summits(np.r_[0.0, density, 0.0]) - 1 if low < profile.centres[i] < high]
    if not inside:
        return None
    top = max(inside, key=lambda i: density[i])
    if density[top] / 2 < _SIGNIFICANT * np.sqrt(density[top] / profile.seen):
        return None
    left, right = (_half_width(profile, top, side) for side in (-1, 1))
    if np.isinf(left):
        return None
    # a neighbour that overlaps the group widens the side it is on
    width = right if left > _OVERLAPPED * right else left
    sd = np.sqrt(max((width / _HALF_HEIGHT) ** 2 - profile.width**2, (profile.step / 2) ** 2))
    return Summit(float(profile.centres[top]), float(sd))


def _half_width(profile: Profile, top: int, side: int) -> float:
    """Return how far on one side (-1, 1) of a summit the density is at half of it; infinite where it nowhere is."""
    density = profile.density
    below = np.flatnonzero(density[top::side] <= density[top] / 2)
    if not len(below):
        return np.inf
    half = top + side * int(below[0])
    share = (density[top] / 2 - density[half]) / max(density[half - side] - density[half], 1e-12)
    return float(abs(profile.centres[top] - (profile.centres[half] - side * share * profile.step)))


def deepest_valley(profile: Profile) -> float:
    """Return where the density has its deepest valley; NaN when none is deeper than chance.

    Parameters
    ----------
    profile
        Density of one axis.
    """
    density, best, drop = profile.density, np.nan, 0.0
    if profile.total < ENOUGH_EVENTS:
        return best
    for low in summits(-density):
        lower = min(density[:low].max(), density[low:].max())
        least = max(drop, _DEPTH * lower, _SIGNIFICANT * np.sqrt(lower / profile.seen))
        if lower - density[low] > least:
            best, drop = float(profile.centres[low]), float(lower - density[low])
    return best


def depth_at(profile: Profile, valley: float) -> float:
    """Return the density in a valley as a share of the lower of the highest summits on its two sides.

    Parameters
    ----------
    profile
        Density of one axis.
    valley
        Within the axis.
    """
    here = int(np.argmin(np.abs(profile.centres - valley)))
    lower = min(profile.density[:here].max(initial=0.0), profile.density[here:].max())
    return float(profile.density[here] / max(lower, 1e-12))


def two_halves(profile: Profile) -> float:
    """Return the border that leaves least variance on its two sides (Otsu 1979, IEEE Trans Syst Man Cybern 9:62)."""
    counts, centres = profile.counts, profile.centres
    below, total = np.cumsum(counts), np.cumsum(counts * centres)
    above = profile.total - below
    with np.errstate(divide="ignore", invalid="ignore"):
        between = below * above * (total / below - (total[-1] - total) / above) ** 2
    return float(centres[int(np.argmax(np.nan_to_num(between)))] + profile.step / 2)


def crossing(profile: Profile, start: float) -> tuple[float, float]:
    """Return where the upper of two normal groups overtakes the lower, and Ashman's D between them.

    Parameters
    ----------
    profile
        Counts of one axis.
    start
        Border of the groups at the start.

    Returns
    -------
    tuple of (float, float)
        NaN without two groups, or where neither overtakes the other between their means.
    """
    x, n = profile.centres, profile.counts
    share = (x > start).astype(np.float64)
    upper = float((n * share).sum())
    if not 1 <= upper <= profile.total - 1:
        return np.nan, 0.0
    low, high, variance = _two_groups(x, n, share, profile.step**2, _EM_ROUNDS, _SETTLED * profile.step)
    if variance <= 0:
        return np.nan, 0.0
    ahead = np.flatnonzero((x > low) & (x < high) & (share >= 0.5))
    return (float(x[ahead[0]]) if len(ahead) else np.nan), (high - low) / float(np.sqrt(variance))


@compiled
def _two_groups(x, n, share, floor, rounds, settled):  # type: ignore[no-untyped-def]
    """Rounds of expectation and maximisation; return both means and the mean variance, 0 when a group is empty."""
    low, high, variance = 0.0, 0.0, 0.0
    for _ in range(rounds):
        weight, first, second = np.zeros(2), np.zeros(2), np.zeros(2)
        for i in range(len(x)):
            for j in range(2):
                part = n[i] * (share[i] if j == 1 else 1.0 - share[i])
                weight[j] += part
                first[j] += part * x[i]
                second[j] += part * x[i] * x[i]
        if weight[0] < 1.0 or weight[1] < 1.0:
            return low, high, 0.0
        moved = abs(first[0] / weight[0] - low) + abs(first[1] / weight[1] - high)
        low, high = first[0] / weight[0], first[1] / weight[1]
        a = max(second[0] / weight[0] - low * low, 0.0) + floor
        b = max(second[1] / weight[1] - high * high, 0.0) + floor
        variance = (a + b) / 2
        level = np.log(weight[1] / weight[0]) - 0.5 * np.log(b / a)
        for i in range(len(x)):
            ahead = level - 0.5 * ((x[i] - high) ** 2 / b - (x[i] - low) ** 2 / a)
            share[i] = 1.0 / (1.0 + np.exp(-min(max(ahead, -500.0), 500.0)))
        if moved < settled:
            break
    return low, high, variance
