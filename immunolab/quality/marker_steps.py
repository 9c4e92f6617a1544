"""The run at which a marker's level steps: each marker against how the runs of the panel differ in the others."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from immunolab.quality.run_variation import MarkerRuns, RunVariation, fit_variation, levels_of, with_own_light

Array = NDArray[np.float64]

LEAST_STEP = 0.2
"""asinh: a fifth brighter or dimmer; less is not worth a manager's morning (judgement)."""
_FALSE_ALARM = 0.05  # share of sound panels in which a step may be named
_POWER = 0.95  # share of steps of the size that is called detectable that are found
_MANY_RUNS = 5  # of so many, one that differs alone at either end is no step: its distance says so (judgement)
# of so many, two that differ at one end are none either: two odd batches of six lie together at an end by chance in one
# of eight orders, three of seven in one of 18; six of eight false steps of 95 sound studies were such
_MORE_RUNS = 6
_FEWEST_TUBES = 3  # on either side of a step: the median of fewer is one patient's (judgement)
_LOOKED_AT_AGAIN = 1.5  # standard errors by the fit of all: only then is a marker judged by the others alone
_SHARED = 0.5  # of the panel's differences between runs: four variances are estimated from them (judgement)
_FEWEST_MARKERS = 4  # whose variances can be compared with each other (judgement)


@dataclass(frozen=True)
class MarkerStep:
    """Where a marker's level steps most.

    Attributes
    ----------
    marker
        Its name.
    run
        Number of the first run after the step; None where no place for one is looked at.
    step, error
        By how much, asinh, and its standard error.
    limit
        Standard errors from which on it is named.
    detectable
        Step that is found 95 times in 100 at the best place, asinh; NaN where there is no place.
    """

    marker: str
    run: int | None
    step: float
    error: float
    limit: float
    detectable: float

    @property
    def named(self) -> bool:
        """Whether it is a step."""
        return self.run is not None and abs(self.step) > self.limit * self.error and abs(self.step) >= LEAST_STEP


def marker_steps(
    markers: Sequence[MarkerRuns], tubes: Array, known: Mapping[int, Sequence[str]]
) -> tuple[dict[str, MarkerStep], RunVariation]:
    """Return each marker's step, and how the runs of the panel differ.

    A false step is named in at most a twentieth of sound panels. Half of that is for runs before which something is
    known to have changed, where there are such; a third each where the change names a marker.

    Parameters
    ----------
    markers, tubes
        As in `fit_variation`.
    known
        Numbers of runs with which something changed, and the markers that it names.
    """
    variation = fit_variation(markers, tubes)
    places = list(_places(tubes, known))
    best = {one.marker: _best(one, variation, tubes, places) for one in markers}
    for i, one in enumerate(markers):
        if len(markers) > 1 and abs(best[one.marker].size) > _LOOKED_AT_AGAIN:
            by_others = fit_variation([*markers[:i], *markers[i + 1 :]], tubes, variation)
            best[one.marker] = _best(one, by_others, tubes, places)
    return _judged(best, tubes, places, known), variation


@dataclass(frozen=True)
class _Best:
    """A marker's likeliest place: its step, error, rest in squared standard errors, and errors at all places."""

    at: int | None
    step: float = 0.0
    error: float = np.inf
    rest: float = 0.0
    errors: Mapping[int, float] | None = None

    @property
    def size(self) -> float:
        return self.step / self.error


def _places(tubes: Array, known: Mapping[int, Sequence[str]]) -> Iterator[int]:
    """Yield the runs at which a step may begin: those of known changes, and those with runs enough on either side."""
    runs = len(tubes)
    least = 1 + (runs >= _MANY_RUNS) + (runs >= _MORE_RUNS)
    for k in range(1, runs):
        enough = min(tubes[:k].sum(), tubes[k:].sum()) >= _FEWEST_TUBES
        if enough and (k in known or least <= k <= runs - least):
            yield k


def _best(one: MarkerRuns, variation: RunVariation, tubes: Array, places: Sequence[int]) -> _Best:
    level, variance = levels_of(one, with_own_light(one, variation, tubes), tubes)
    weights, found, errors = 1.0 / variance, _Best(None), {}
    for k in places:
        sides = (slice(0, k), slice(k, None))
        before, after = (float(np.average(level[side], weights=weights[side])) for side in sides)
        errors[k] = float(np.sqrt(sum(1.0 / weights[side].sum() for side in sides)))
        if abs(after - before) / errors[k] > abs(found.size):
            rest = level - np.where(np.arange(len(level)) < k, before, after)
            found = _Best(k, after - before, errors[k], float((weights * rest**2).sum()))
    return _Best(found.at, found.step, found.error, found.rest, errors)


def _judged(
    best: Mapping[str, _Best], tubes: Array, places: Sequence[int], known: Mapping[int, Sequence[str]]
) -> dict[str, MarkerStep]:
    """Return the steps, each marker's error moderated by how alike the markers' rests are (Smyth 2004)."""
    from scipy.special import stdtrit

    own = len(tubes) - 2
    prior = _prior_df(np.array([one.rest for one in best.values()]), own)
    df = max(min(own + prior, _SHARED * len(best) * (len(tubes) - 1)), 1.0)
    found = {}
    for marker, one in best.items():
        wider = 1.0 if np.isinf(prior) else float(np.sqrt(max((prior + one.rest) / (prior + own), 1.0)))
        limits = {k: float(-stdtrit(df, _alpha(marker, k, best, places, known) / 2.0)) for k in places}
        power = float(stdtrit(df, _POWER))
        shown = [(limits[k] + power) * wider * (one.errors or {})[k] for k in places]
        found[marker] = MarkerStep(
            marker, one.at, one.step, wider * one.error if one.at is not None else np.nan,
            limits[one.at] if one.at is not None else np.inf, max(min(shown), LEAST_STEP) if shown else np.nan,
        )  # fmt: skip
    return found


def _alpha(
    marker: str, place: int, markers: Mapping[str, _Best], places: Sequence[int], known: Mapping[int, Sequence[str]]
) -> float:
    """Return the share of the false alarms that one marker at one place may have."""
    changed = [k for k in places if k in known]
    named = {(name, k) for k in changed for name in known[k] if name in markers}
    kinds = [(len(markers) * len(places), True)]
    kinds += [(len(markers) * len(changed), place in changed)] if changed else []
    kinds += [(len(named), (marker, place) in named)] if named else []
    return _FALSE_ALARM / len(kinds) * sum(1.0 / tests for tests, one_of_them in kinds if one_of_them)


def _prior_df(rests: Array, own: int) -> float:
    """Return the degrees of freedom that markers lend each other: by how much more their rests differ than chance."""
    from scipy.special import polygamma

    if own < 1 or len(rests) < _FEWEST_MARKERS:
        return np.inf if own < 1 else float(own)
    excess = float(np.var(np.log(np.maximum(rests, 1e-6)), ddof=1)) - float(polygamma(1, own / 2.0))
    if excess <= 0:
        return np.inf
    halves = np.geomspace(0.1, 1e4, 500)  # trigamma falls: the first half whose trigamma is below the excess
    below = np.flatnonzero(polygamma(1, halves) <= excess)
    return float(2.0 * halves[below[0]]) if len(below) else np.inf
