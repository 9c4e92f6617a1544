"""Where a run changes: parts between which the level of some series changes, by seeded binary segmentation.

Kovács et al. 2023, Biometrika 110:249: the largest contrast of the means on both sides is looked for in intervals of
all lengths and places, so that a short stretch is found as well as a step; the shortest interval with a contrast comes
first, and its border splits no other interval.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

Floats = NDArray[np.float64]
_SHORTEST = 2  # stretches: an interval with a border inside
_FALSE_ALARM = 0.001  # chance of any border in a steady run, all places, lengths and series together (judgement)


def threshold(n: int, series: int) -> float:
    """Return the contrast that none of all intervals, places and series of a steady run has, but in one run of 1,000.

    A bound (Bonferroni) over every split of every interval: contrasts are normal with SD 1, being sums of counts.

    Parameters
    ----------
    n, series
        Stretches of the run, and series that are looked at.
    """
    looks = series * sum(stop - start - 1 for start, stop in intervals(n))
    return float(-ndtri(_FALSE_ALARM / (2.0 * max(looks, 1))))


def intervals(n: int) -> list[tuple[int, int]]:
    """Return the intervals that are looked at, the shortest first; each overlaps its neighbour by half.

    Parameters
    ----------
    n
        Stretches of the run.
    """
    found: set[tuple[int, int]] = set()
    length = float(n)
    while length >= _SHORTEST:
        starts = np.linspace(0, n - length, 2 * int(np.ceil(n / length)) - 1)
        found |= {(int(np.floor(start)), min(n, int(np.ceil(start + length)))) for start in starts}
        length /= 2.0**0.5
    found |= {(start, start + _SHORTEST) for start in range(n - 1)}
    return sorted(found, key=lambda one: (one[1] - one[0], one[0]))


def borders(scores: Floats, noise: Floats) -> list[int]:
    """Return the stretches at which a new part begins, ascending.

    Parameters
    ----------
    scores
        Stretches x series.
    noise
        SD of each series within a part.
    """
    n, series = scores.shape
    limit = threshold(n, series)
    sums = np.vstack([np.zeros(series), np.cumsum(scores / noise, axis=0)])
    looked: list[tuple[int, int, int]] = []
    for start, stop in intervals(n):
        place, contrast = _largest(sums, start, stop)
        if contrast > limit:
            looked.append((start, stop, place))
    found: list[int] = []
    for start, stop, place in looked:  # the shortest first
        if not any(start < border < stop for border in found):
            found.append(place)
    return sorted(found)


def _largest(sums: Floats, start: int, stop: int) -> tuple[int, float]:
    """Return the split of an interval whose sides differ most, and by how many SD."""
    splits = np.arange(start + 1, stop)
    left, right = splits - start, stop - splits
    means = (sums[splits] - sums[start]) / left[:, None], (sums[stop] - sums[splits]) / right[:, None]
    contrasts = np.abs(means[0] - means[1]).max(axis=1) * np.sqrt(left * right / (left + right))
    best = int(contrasts.argmax())
    return int(splits[best]), float(contrasts[best])


def parts(n: int, found: list[int]) -> Iterator[tuple[int, int]]:
    """Yield the first stretch of each part and the one after its last.

    Parameters
    ----------
    n
        Stretches of the run.
    found
        As `borders` returns.
    """
    edges = [0, *found, n]
    yield from pairwise(edges)
