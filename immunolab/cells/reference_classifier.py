"""A classifier of a labelled reference: labels with calibrated probabilities, and which cells are unlike all of it.

A multinomial logistic regression with a ridge penalty, as celltypist trains (Dominguez Conde et al. 2022, Science
376:eabl5197), on genes that part the reference's labels and that the query has at a level some of them have.
benchmarks/reference_mapping.py prints its accuracy, its calibration and which cells it calls unlike.

Each half of the reference is called by the other half. That calibrates probabilities, and it shows how cells of each
label look when they are called rightly or nearly so: a cell further out than nearly all of these is unlike the
reference, by its best logit or by the difference of its neighbourhood from the rest of its own data set. The latter is
the same difference in the reference for a kind that is in both, whatever the platform adds to all cells.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax, softmax

from immunolab.clustering.expression import Array, Neighbours, nearest_cells, smooth

Labels = NDArray[np.object_]
Values = NDArray[np.float32]

RIDGE = 0.1  # C of the penalty: .05 to .5 differ by a point of accuracy between donors, .1 was best between platforms
_A_LABEL = 200  # features that part a label best from the others (celltypist takes 300 a label)
_WIDE = 800  # variable features that neighbourhoods are compared over: kinds beyond the reference differ in others
_FEWEST_WITH = 10  # cells that must have a feature, as scanpy's filter_genes is usually set
_SD_FLOOR = 0.1  # log units added to each feature's sd, so that a rare one is not blown up
_CLIPPED, _SCALED_TO = (
    5.0,
    10.0,
)  # sd at which values are clipped; length of a cell of sd 1, so that RIDGE is of one size
_CLIPPED_WIDE = 6.0  # sd, of neighbourhoods
_NEIGHBOURS, _NEAREST = 15, 5  # cells of a neighbourhood, and those whose logits a cell shares
# neighbourhoods that a label's cells in half of the reference make without sharing a cell, and fewest cells of one:
# two that share most of their cells do not show how far out such a mean may be
_OWN_NEIGHBOURHOODS, _FEWEST_NEIGHBOURS = 5, 3
_ERROR = 0.03  # of the reference's own cells called unlike it, over all tests (judgement: donors add a few percent)
_FEWEST_SAMPLES = 4  # to hold out whole ones: two a half, so that a half is not one person in one state
_FEWEST_OF_LABEL = 10  # cells called a label, for a median of its own; else that of all labels


@dataclass(frozen=True)
class Calls:
    """What a classifier says of cells.

    Attributes
    ----------
    classes
        Labels of the reference, in the order of ``probability``.
    probability
        Cells x labels, calibrated; sums to 1.
    like
        The least p of each cell over the tests of likeness; low is unlike the reference.
    """

    classes: Labels
    probability: Array
    like: Array

    @property
    def best(self) -> Labels:
        """The most probable label of each cell."""
        return np.asarray(self.classes[self.probability.argmax(axis=1)])

    @property
    def unlike(self) -> NDArray[np.bool_]:
        """Whether a cell is unlike every label of the reference."""
        return np.asarray(self.like < _ERROR / _TESTS)


_TESTS = 3  # columns of `_Raw.distance`


@dataclass(frozen=True)
class HeldOut:
    """The reference's own cells, each half called by the other.

    Attributes
    ----------
    accuracy
        Share called by their own label.
    calibration_error
        Expected calibration error in ten bins (Guo et al. 2017, ICML 70:1321).
    temperature
        What logits are divided by.
    by_sample
        Whether whole samples were held out.
    """

    accuracy: float
    calibration_error: float
    temperature: float
    by_sample: bool


def classify(
    reference: Values, labels: Labels, samples: Sequence[str], query: Values, points: tuple[Array, Array], seed: int
) -> tuple[Calls, HeldOut]:
    """Return what a reference says of the cells of a query.

    Parameters
    ----------
    reference, query
        Cells x the same features.
    labels, samples
        Of the reference's cells; samples are held out as wholes where there are several.
    points
        Cells x dimensions of the reference and of the query, in which neighbours are found.
    seed
        Of the search for neighbours.
    """
    half, by_sample = _halves(labels, np.asarray(samples))
    classes = np.unique(labels)
    fewest = np.array([min((labels[one] == name).sum() for one in (half, ~half)) for name in classes])
    wide = np.clip(fewest // _OWN_NEIGHBOURHOODS, _FEWEST_NEIGHBOURS, _NEIGHBOURS)
    raw: list[_Raw] = []
    for one in (half, ~half):
        raw.append(_call(reference[one], labels[one], reference[~one], points[0][~one], classes, seed, wide))
    logits, distance = (
        np.empty_like(raw[0].logits, shape=(len(labels), len(raw[0].classes))),
        np.empty((len(labels), _TESTS)),
    )
    for one, found in zip((half, ~half), raw, strict=True):
        logits[~one], distance[~one] = found.logits, found.distance
    sizes = np.min([np.bincount(one.logits.argmax(axis=1), minlength=len(one.classes)) for one in raw], axis=0)
    found = _call(reference, labels, query, points[1], classes, seed, wide, sizes)
    temperature = _temperature(logits, np.searchsorted(found.classes, labels))
    held = softmax(logits / temperature, axis=1)
    right = found.classes[held.argmax(axis=1)] == labels
    summary = HeldOut(float(right.mean()), calibration_error(held.max(axis=1), right), temperature, by_sample)
    like = _like(distance, logits.argmax(axis=1), found.distance, found.logits.argmax(axis=1))
    return Calls(found.classes, softmax(found.logits / temperature, axis=1), like), summary


def calibration_error(confidence: Array, right: NDArray[np.bool_], bins: int = 10) -> float:
    """Return the mean difference of confidence and accuracy over bins of confidence, weighted by their cells.

    Parameters
    ----------
    confidence, right
        Probability of each cell's label, and whether it is the right one.
    bins
        Of equal width from 0 to 1.
    """
    place = np.clip(np.ceil(confidence * bins).astype(int) - 1, 0, bins - 1)
    gaps = (abs(float((confidence - right)[place == k].sum())) for k in range(bins))
    return sum(gaps) / max(len(confidence), 1)


def _halves(labels: Labels, samples: NDArray[np.generic]) -> tuple[NDArray[np.bool_], bool]:
    """Return one half of the reference, whole samples where both halves then have every label."""
    rng = np.random.default_rng(0)  # the same halves whatever the seed of the rest
    names, sizes = np.unique(samples, return_counts=True)
    if len(names) >= _FEWEST_SAMPLES:
        half = np.isin(samples, names[np.argsort(-sizes, kind="stable")[::2]])  # both of like size
        if all(min((labels[one] == name).sum() for one in (half, ~half)) >= _FEWEST_OF_LABEL for name in set(labels)):
            return half, True
    half = np.zeros(len(labels), dtype=bool)
    for name in np.unique(labels):
        own = rng.permutation(np.flatnonzero(labels == name))
        half[own[::2]] = True
    return half, False


@dataclass(frozen=True)
class _Raw:
    """Logits of cells, and how far each is from what its label has, by three measures."""

    classes: Labels
    logits: Array
    distance: Array


def _call(
    reference: Values,
    labels: Labels,
    query: Values,
    points: Array,
    classes: Labels,
    seed: int,
    wide: NDArray[np.int64],
    sizes: NDArray[np.int64] | None = None,
) -> _Raw:
    """Return logits and distances of a query.

    Neighbourhoods of a label have ``wide`` cells; given ``sizes`` of labels they are as dense as among so many.
    """
    from sklearn.linear_model import LogisticRegression

    neighbours = nearest_cells(points, _NEIGHBOURS, seed)
    means = np.stack([reference[labels == name].mean(axis=0) for name in classes])
    chosen = _parting(reference, labels, classes, _comparable(means, query.mean(axis=0)))
    centre, spread = reference[:, chosen].mean(axis=0), reference[:, chosen].std(axis=0) + _SD_FLOOR

    def scaled(values: Values) -> Values:
        z = np.clip((values[:, chosen] - centre) / spread, -_CLIPPED, _CLIPPED)
        return np.asarray(z * np.float32(_SCALED_TO / np.sqrt(len(chosen))))

    model = LogisticRegression(C=RIDGE, max_iter=500, class_weight="balanced").fit(scaled(reference), labels)
    logits = model.decision_function(scaled(query)).reshape(len(query), -1).astype(np.float64)
    if logits.shape[1] == 1:  # two labels: one logit of the second
        logits = np.hstack([-logits / 2.0, logits / 2.0])
    logits = smooth(neighbours[:, :_NEAREST], logits)
    logits -= logits.mean(axis=1, keepdims=True)
    if sizes is not None:
        neighbours = _as_dense(points, logits.argmax(axis=1), sizes, neighbours)
    contrast = _contrast(reference, labels, query, neighbours, logits, classes, wide)
    return _Raw(classes, logits, np.column_stack([-logits.max(axis=1), contrast]))


def _as_dense(points: Array, called: NDArray[np.int64], sizes: NDArray[np.int64], neighbours: Neighbours) -> Neighbours:
    """Return neighbourhoods among as large a share of the cells as leaves each label the given number of cells.

    Fifteen of many cells are more alike than fifteen of few, and so further from the mean of their label: a query of
    three times the reference's cells had a fifth of its CD8 cells unlike a reference that has them.
    """
    from sklearn.neighbors import NearestNeighbors

    rng = np.random.default_rng(0)  # the same cells whatever the seed of the rest
    found, order = neighbours.copy(), rng.permutation(len(points))
    for k, size in enumerate(sizes):
        own = np.flatnonzero(called == k)
        if size >= len(own):
            continue
        n_drawn = int(np.ceil(len(points) * max(int(size), _NEIGHBOURS) / len(own)))
        drawn = np.sort(order[: max(n_drawn, _NEIGHBOURS)])
        search = NearestNeighbors(n_neighbors=neighbours.shape[1], algorithm="brute").fit(points[drawn])
        near = drawn[search.kneighbors(points[own], return_distance=False)]
        beside = near[:, 0] != own
        near[beside, 1:] = near[beside, :-1]
        found[own] = np.column_stack([own, near[:, 1:]])
    return found


def _comparable(means: Values, level: Values) -> NDArray[np.bool_]:
    """Return the features whose level in the query some mixture of the reference's labels has.

    What no mixture can give is the platform's, the stimulus' or a kind's that the reference lacks.
    """
    kept = (level >= means.min(axis=0)) & (level <= means.max(axis=0))
    return kept if kept.any() else np.ones_like(kept)


def _parting(values: Values, labels: Labels, classes: Labels, allowed: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Return the features that part each label best from all others, by Welch's t."""
    seen = (values != 0).sum(axis=0) >= min(_FEWEST_WITH, len(values))
    chosen = np.zeros(values.shape[1], dtype=bool)
    for name in classes:
        own, rest = values[labels == name], values[labels != name]
        error = own.var(axis=0) / len(own) + rest.var(axis=0) / len(rest) + 1e-4
        t = np.abs(own.mean(axis=0) - rest.mean(axis=0)) / np.sqrt(error)
        t[~(seen & allowed)] = -1.0
        best = np.argsort(-t, kind="stable")[:_A_LABEL]
        chosen[best[t[best] >= 0]] = True
    return np.flatnonzero(chosen if chosen.any() else allowed)


def _contrast(
    reference: Values,
    labels: Labels,
    query: Values,
    neighbours: Neighbours,
    logits: Array,
    classes: Labels,
    wide: NDArray[np.int64],
) -> Array:
    """Return how a neighbourhood's difference from its data set differs from what labels have, in sampling errors.

    The first is what no mixture of labels explains, the second the distance from the cell's own label. Both are over
    what the means of so many cells vary by themselves, so that a label may be rare or common in the query.
    """
    called = logits.argmax(axis=1)
    varying = _variable(reference, query)
    own, other = reference[:, varying], query[:, varying]
    spread = np.sqrt((own.var(axis=0) + other.var(axis=0)) / 2.0) + _SD_FLOOR
    means = np.stack([own[labels == name].mean(axis=0) for name in classes])
    there = [k for k in range(len(classes)) if (called == k).sum() >= _FEWEST_OF_LABEL] or list(range(len(classes)))
    mixed = means[there].mean(axis=0)
    centre = np.mean([other[called == k].mean(axis=0) for k in there if (called == k).any()], axis=0)
    expected = np.stack(
        [
            np.clip((own[labels == name] - mixed) / spread, -_CLIPPED_WIDE, _CLIPPED_WIDE).mean(axis=0)
            for name in classes
        ]
    )
    z = np.clip((other - centre) / spread, -_CLIPPED_WIDE, _CLIPPED_WIDE)
    n = np.minimum(wide[called], neighbours.shape[1])  # a query may have fewer cells than a neighbourhood
    around = _mean_around(neighbours, n, z)
    squares = _mean_around(neighbours, n, (z.astype(np.float64) ** 2).sum(axis=1)[:, None])[:, 0]
    noise = np.where(n > 1, (squares - (around**2).sum(axis=1) + 1e-9) / np.maximum(n - 1.0, 1.0), np.inf)
    weights = np.linalg.lstsq(expected.T, around.T, rcond=None)[0]
    rest = ((around - weights.T @ expected) ** 2).sum(axis=1)
    away = ((around - expected[called]) ** 2).sum(axis=1)
    return np.column_stack([rest / noise, away / noise])


def _mean_around(neighbours: Neighbours, n: NDArray[np.int64], values: Array) -> Array:
    """Return the mean over the first n neighbours of each cell, itself among them."""
    total = np.zeros(values.shape)
    for place, column in enumerate(neighbours.T):
        inside = n > place
        total[inside] += values[column[inside]]
    return np.asarray(total / n[:, None])


def _variable(reference: Values, query: Values) -> NDArray[np.int64]:
    """Return the features that vary most for their mean, in the reference or in the query."""
    one, other = (values.var(axis=0) / (np.abs(values.mean(axis=0)) + 0.05) for values in (reference, query))
    ratio = one + other
    ratio = np.where((query != 0).sum(axis=0) >= min(_FEWEST_WITH, len(query)) / 2, ratio, 0.0)
    return np.argsort(-ratio, kind="stable")[:_WIDE]


def _temperature(logits: Array, truth: NDArray[np.int64]) -> float:
    """Return what logits are divided by for the least log loss (Guo et al. 2017)."""
    rows = np.arange(len(truth))

    def loss(log: float) -> float:
        return -float(log_softmax(logits / np.exp(log), axis=1)[rows, truth].mean())

    return float(np.exp(minimize_scalar(loss, bounds=(-4.0, 4.0), method="bounded").x))


def _like(known: Array, called: NDArray[np.int64], distance: Array, label: NDArray[np.int64]) -> Array:
    """Return the least share, over measures, of the reference's own cells that are as far out.

    Each measure is taken from the median of its label in units of the way to the upper tenth; so the cells of all
    labels are one null, and a label of few cells has as fine a border as others.
    """
    distance = distance / _common_excess(known, called, distance, label)
    null, own = np.empty_like(known), np.empty_like(distance)
    for k in np.union1d(called, label):
        inside = called == k if (called == k).sum() >= _FEWEST_OF_LABEL else np.ones(len(called), dtype=bool)
        middle, upper = np.median(known[inside], axis=0), np.quantile(known[inside], 0.9, axis=0)
        spread = np.maximum(upper - middle, 1e-9)
        null[called == k] = (known[called == k] - middle) / spread
        own[label == k] = (distance[label == k] - middle) / spread
    least = np.ones(len(distance))
    for column in range(_TESTS):
        ordered = np.sort(null[:, column])
        beyond = len(ordered) - np.searchsorted(ordered, own[:, column])
        least = np.minimum(least, (beyond + 1.0) / (len(ordered) + 1.0))
    return least


def _common_excess(known: Array, called: NDArray[np.int64], distance: Array, label: NDArray[np.int64]) -> Array:
    """Return by how much the least affected label is further out than in the reference, measure by measure.

    What moves the cells of every label is the donor's or the laboratory's. A kind that the reference lacks is among the
    cells of one label or of some, and leaves the others where they are.
    """
    excess = np.full(_TESTS, np.inf)
    for k in np.unique(label):
        own, null = label == k, called == k
        if min(own.sum(), null.sum()) >= _FEWEST_OF_LABEL:
            excess = np.minimum(excess, np.median(distance[own], axis=0) / np.median(known[null], axis=0))
    excess = np.where(np.isfinite(excess), np.maximum(excess, 1.0), 1.0)
    excess[0] = 1.0  # a logit has no zero to scale from
    return np.asarray(excess)
