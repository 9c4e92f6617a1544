"""Tubes of one panel beside each other: what each stain should read by the others, and by how much it does."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import InitVar, dataclass, field
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from immunolab.quality.expected_stain import BinnedEvents, StainTree
from immunolab.quality.staining_sample import StainingSample

Array = NDArray[np.float64]
Numbers = NDArray[np.intp]
Pair = tuple[int, int]

_POOLED = 15_000  # events of all tubes that a tree is grown on: its leaves hold hundreds (judgement)
# of a tube's events: the rarest stained subset of the shipped panels is 1 % of the events, and dead cells .9 % in three
# of 1,900 sound tubes, whose 99th percentile is unstained
_TOP = 0.995
_QUANTILES = np.array([0.05, 0.1, 0.25, 0.75, 0.9, 0.95, 0.98])  # of a stain, from its median
# least spreads between sound tubes of a panel: of 40 simulated studies with batches, and of the public panels
_SHAPE_SPREAD, _LEVEL_SPREAD, _CORRELATION_SPREAD = 0.15, 0.5, 0.05  # asinh, asinh, Fisher's z
_MOST_SPREADS = 5.0  # a feature counts no more than so many spreads: one odd channel must not outweigh the others
_RIDGE = 1e-6  # of the dyes' variance: two dyes of one light, or one without any, still have a solution
_MAD_TO_SD = 1.4826  # sd of a normal over its median absolute deviation


@dataclass(frozen=True)
class StainFit:
    """How one stain of a tube fits what the other channels say.

    Attributes
    ----------
    correlation
        Of the stain and what is expected.
    slope
        Of the stain on what is expected beside the light of the other dyes, which compensation may have left in its
        channel: 0 for no stain.
    top
        99.5th percentile of the stain, asinh.
    expected_sd
        Spread of what is expected, asinh: falls to zero where the stain's cells are absent.
    error
        Mean square of stain less expected, their median taken off.
    """

    correlation: float
    slope: float
    top: float
    expected_sd: float
    error: float


@dataclass
class PanelFit:
    """The tubes of one panel, by the markers that all of them have.

    Attributes
    ----------
    tubes
        By sample_id.
    """

    tubes: InitVar[Mapping[str, StainingSample]]
    markers: tuple[str, ...] = ()
    _events: dict[str, Array] = field(default_factory=dict, repr=False)
    _trees: dict[tuple[int, str], StainTree] = field(default_factory=dict, repr=False)
    _binned: tuple[str, BinnedEvents] | None = field(default=None, repr=False)  # of the others of one tube, its id
    _tops: dict[str, Array] = field(default_factory=dict, repr=False)
    _lights: dict[str, tuple[Array, Array]] = field(default_factory=dict, repr=False)
    _features: tuple[Array, Array] | None = field(default=None, repr=False)

    def __post_init__(self, tubes: Mapping[str, StainingSample]) -> None:
        """Bring all tubes to the markers that they share, in one order."""
        all_markers = [set(tube.markers) for tube in tubes.values()]
        shared = set.intersection(*all_markers) if all_markers else set()
        first = next(iter(tubes.values()), None)
        self.markers = tuple(m for m in first.markers if m in shared) if first else ()
        n_scatter = min((len(tube.scatter) for tube in tubes.values()), default=0)
        for name, tube in tubes.items():
            rows = [tube.markers.index(marker) for marker in self.markers]
            self._events[name] = np.vstack([tube.stains[rows], tube.scatter[:n_scatter]]).T.astype(np.float64)

    def fit(self, tube: str, a: int, exchanged: Pair | None = None, *, by_others: bool = False) -> StainFit:
        """Return how stain number ``a`` of a tube fits its other channels, two of them exchanged where that is asked.

        Parameters
        ----------
        tube
            sample_id.
        a
            Number of the marker.
        exchanged
            Numbers of two markers.
        by_others
            Whether what is expected is by the other tubes alone: surer, and as slow for every tube anew.
        """
        events, channel = self._events[tube], a
        if exchanged is not None:
            channel = exchanged[exchanged[0] == a] if a in exchanged else a
            events = events.copy()
            events[:, list(exchanged)] = events[:, list(exchanged[::-1])]
        tree = self._tree(a, tube if by_others else "")
        stain, expected = events[:, a], tree.expected(events)
        centred, rest = expected - expected.mean(), stain - expected
        total = float((centred**2).sum())
        spread = float(np.sqrt(total / len(stain)))
        error = float(np.mean((rest - np.median(rest)) ** 2))
        top = float(self._top(tube)[channel])
        if total <= 1e-9 or stain.std() <= 1e-6:
            return StainFit(0.0, 0.0, top, spread, error)
        slope = self._slope_beside_light(tube, channel, stain, centred)
        return StainFit(float(np.corrcoef(expected, stain)[0, 1]), slope, top, spread, error)

    def _slope_beside_light(self, tube: str, channel: int, stain: Array, expected: Array) -> float:
        """Return the slope of a channel's stain on what is expected, by least squares with the light of all other dyes.

        Without its antibody a channel holds what compensation leaves of its neighbours: a share of their light, which
        goes along with what is expected where their cells are those of the missing stain.
        """
        lights, products = self._light(tube)
        others = np.arange(len(products)) != channel
        both = np.column_stack([expected, stain - stain.mean()])
        along = lights[:, others].T @ both
        rest = both.T @ both - along.T @ np.linalg.solve(products[np.ix_(others, others)], along)
        return float(rest[0, 1] / rest[0, 0]) if rest[0, 0] > _RIDGE * (expected @ expected) else 0.0

    def _light(self, tube: str) -> tuple[Array, Array]:
        """Return the light of each stain of a tube, standardised, and the products of any two, summed over events."""
        if tube not in self._lights:
            light = np.sinh(self._events[tube][:, : len(self.markers)])
            light -= light.mean(axis=0)
            light /= np.maximum(np.linalg.norm(light, axis=0), 1e-12)
            self._lights[tube] = light, light.T @ light + _RIDGE * np.eye(light.shape[1])
        return self._lights[tube]

    def _top(self, tube: str) -> Array:
        """Return the 99.5th percentile of each channel of a tube."""
        if tube not in self._tops:
            self._tops[tube] = np.quantile(self._events[tube], _TOP, axis=0)
        return self._tops[tube]

    def _tree(self, a: int, without: str) -> StainTree:
        if (a, without) not in self._trees:
            self._trees[a, without] = self._binned_without(without).grow(a)
        return self._trees[a, without]

    def _binned_without(self, tube: str) -> BinnedEvents:
        """Return events of all other tubes, binned; kept for the next stain."""
        if self._binned is None or self._binned[0] != tube:
            pooled = [events for name, events in self._events.items() if name != tube]
            n = -(-_POOLED // len(pooled))
            self._binned = tube, BinnedEvents.of(np.vstack([own[:n] for own in pooled]))
        return self._binned[1]

    def likeliest_exchanges(self, tube: str, n: int, least: float) -> list[Pair]:
        """Return at most ``n`` pairs of markers by whose exchange a tube would be likest the others.

        Compared are the shape and the level of each stain, and its rank correlation with every other.

        Parameters
        ----------
        tube
            sample_id.
        n
            Pairs wanted.
        least
            What they must gain, in spreads between tubes a feature.
        """
        gain = _exchange_gains(*self._shapes_and_correlations(), list(self._events).index(tube))
        pairs = sorted(combinations(range(len(self.markers)), 2), key=lambda pair: -gain[pair])
        return [pair for pair in pairs[:n] if gain[pair] > least]

    def _shapes_and_correlations(self) -> tuple[Array, Array]:
        """Return features of all tubes, the tubes along the last axis."""
        if self._features is None:
            shapes, correlations = zip(
                *(_features(own, len(self.markers)) for own in self._events.values()), strict=True
            )
            self._features = np.stack(shapes, axis=-1), np.stack(correlations, axis=-1)
        return self._features


def _features(events: Array, d: int) -> tuple[Array, Array]:
    """Return quantiles from the median and median ``(d, q + 1)``, and Fisher's z of rank correlations ``(d, c)``."""
    ranks = events.argsort(axis=0).argsort(axis=0).astype(float)
    ranks -= ranks.mean(axis=0)
    ranks /= np.maximum(np.linalg.norm(ranks, axis=0), 1e-12)
    median = np.median(events[:, :d], axis=0)
    shape = np.column_stack([np.quantile(events[:, :d], _QUANTILES, axis=0).T - median[:, None], median])
    return shape, np.arctanh(np.clip(ranks[:, :d].T @ ranks, -0.99, 0.99))


def _exchange_gains(shapes: Array, correlations: Array, tube: int) -> Array:
    """Return ``(d, d)`` how much likelier a tube is with two markers exchanged, in spreads a feature."""
    least = np.full(len(_QUANTILES) + 1, _SHAPE_SPREAD)
    least[-1] = _LEVEL_SPREAD
    shape = _distances(shapes[:, None, :, tube], np.delete(shapes, tube, axis=-1), least).mean(axis=2)
    each = _distances(correlations[:, None, :, tube], np.delete(correlations, tube, axis=-1), _CORRELATION_SPREAD)
    d, channels = correlations.shape[:2]
    a, b = np.meshgrid(np.arange(d), np.arange(d), indexing="ij")
    total = each.sum(axis=2)

    def apart(i: Numbers, marker: Numbers) -> Array:  # channel i as this marker, without correlations with the pair
        return (total[i, marker] - each[i, marker, a] - each[i, marker, b]) / (channels - 2)

    labelled = apart(a, a) + apart(b, b) + shape[a, a] + shape[b, b]
    return np.asarray((labelled - apart(a, b) - apart(b, a) - shape[a, b] - shape[b, a]) / 2)


def _distances(own: Array, others: Array, least: Array | float) -> Array:
    """Return ``(d, d, f)`` distance of channel i from what marker a has in the other tubes, in their spreads."""
    centre = _medians(others)
    spread = np.hypot(_MAD_TO_SD * _medians(np.abs(others - centre[..., None])), least)
    return np.minimum(np.abs(own - centre[None]) / spread[None], _MOST_SPREADS)


def _medians(values: Array) -> Array:
    """Return medians along the last axis; of a few hundred values numpy sorts faster than it looks for the middle."""
    ordered, half = np.sort(values, axis=-1), values.shape[-1] // 2
    if values.shape[-1] % 2:
        return np.asarray(ordered[..., half])
    return np.asarray((ordered[..., half - 1] + ordered[..., half]) / 2)
