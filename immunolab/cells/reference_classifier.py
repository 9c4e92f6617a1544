"""A classifier of a labelled reference: labels with calibrated probabilities, and which cells are unlike all of it.

A multinomial logistic regression with a ridge penalty, as celltypist trains (Dominguez Conde et al. 2022, Science
376:eabl5197), on genes that part the reference's labels and that the query has at a level some of them have.
benchmarks/reference_mapping.py prints its accuracy, its calibration and which cells it calls unlike.

Parts of the reference are called by the rest: whole donors where it has several, else halves of its cells. That
calibrates probabilities, and it shows how cells of each label look when they are called rightly or nearly so: a cell
further out than nearly all of these is unlike the reference, by its best logit or by the difference of its
neighbourhood from the rest of its own data set.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax, softmax

from immunolab.cells.reference_likeness import likeness
from immunolab.cells.reference_neighbourhoods import (
    FEWEST_OF_LABEL,
    FEWEST_WITH,
    NEIGHBOURS,
    SD_FLOOR,
    Labels,
    Values,
    as_dense,
    contrast,
)
from immunolab.clustering.expression import Array, nearest_cells, smooth

RIDGE = 0.1  # C of the penalty: .05 to .5 differ by a point of accuracy between donors, .1 was best between platforms
_A_LABEL = 200  # features that part a label best from the others (celltypist takes 300 a label)
_CLIPPED, _SCALED_TO = (
    5.0,
    10.0,
)  # sd at which values are clipped; length of a cell of sd 1, so that RIDGE is of one size
_NEAREST = 5  # cells whose logits a cell shares
# neighbourhoods that a label's cells in a part of the reference make without sharing a cell, and fewest cells of one:
# two that share most of their cells do not show how far out such a mean may be
_OWN_NEIGHBOURHOODS, _FEWEST_NEIGHBOURS = 5, 3
_ERROR = 0.03  # of the reference's own cells called unlike it, over all tests (judgement: donors add a few percent)
_TESTS = 3  # columns of `_Raw.distance`
# parts that whole donors are gathered in: of four, whose rest is nearer to the whole reference, one batch of Kotliarov
# calls .059 of the other unlike it, of two .029
_MOST_PARTS = 2
# weight of the evidence beside the reference's, in logits of before calibration: both are of the same genes, so that
# it counts by half; chosen on Kang's donor 107 as the reference of donor 101, where logits are then divided by 1.2
_OTHER = 0.6
_NEVER = -1e3  # logit of a label that cannot be called
_MOST_UNTESTED = 0.5  # of the cells with a label that the rest lacks: then donors are no parts (judgement)


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


@dataclass(frozen=True)
class HeldOut:
    """The reference's own cells, each part called by the others.

    Attributes
    ----------
    accuracy
        Share called by their own label.
    calibration_error
        Expected calibration error in ten bins (Guo et al. 2017, ICML 70:1321).
    temperature
        What logits are divided by.
    by_group
        Whether whole groups (donors) were held out.
    n_groups
        Groups of the reference.
    """

    accuracy: float
    calibration_error: float
    temperature: float
    by_group: bool
    n_groups: int


def classify(
    reference: Values,
    labels: Labels,
    groups: Sequence[str] | Labels,
    query: Values,
    points: tuple[Array, Array],
    seed: int,
    evidence: tuple[Array, Array] | None = None,
) -> tuple[Calls, HeldOut]:
    """Return what a reference says of the cells of a query.

    Parameters
    ----------
    reference, query
        Cells x the same features.
    labels, groups
        Of the reference's cells; groups, donors most often, are held out as wholes where there are several.
    points
        Cells x dimensions of the reference and of the query, in which neighbours are found.
    seed
        Of the search for neighbours.
    evidence
        Cells x labels (sorted) of the reference and of the query: log probability of each label by other knowledge.
    """
    parts, by_group = _parts(labels, np.asarray(groups))
    classes = np.unique(labels)
    size = np.array([[(labels[one] == name).sum() for name in classes] for one in parts])
    own, other = evidence or (np.zeros((len(labels), len(classes))), np.zeros((len(query), len(classes))))
    alike = _least(size)
    wide = np.clip(alike // _OWN_NEIGHBOURHOODS, _FEWEST_NEIGHBOURS, NEIGHBOURS)
    logits, distance = np.full((len(labels), len(classes)), np.nan), np.full((len(labels), _TESTS), np.nan)
    called = np.zeros((len(parts), len(classes)), dtype=np.int64)
    for number, one in enumerate(parts):
        found = _call(
            reference[~one],
            labels[~one],
            _Query(reference[one], points[0][one], own[one]),
            classes,
            seed,
            wide,
            alike if by_group else None,
        )
        logits[one], distance[one] = found.logits, found.distance
        called[number] = np.bincount(found.logits.argmax(axis=1), minlength=len(classes))
    tested = _tested(labels, parts)
    found = _call(reference, labels, _Query(query, points[1], other), classes, seed, wide, _least(called))
    temperature = _temperature(logits[tested], np.searchsorted(classes, labels[tested]))
    held = softmax(logits[tested] / temperature, axis=1)
    right = classes[held.argmax(axis=1)] == labels[tested]
    n_groups = len(np.unique(np.asarray(groups)))
    summary = HeldOut(
        float(right.mean()),
        calibration_error(held.max(axis=1), right),
        temperature,
        by_group,
        n_groups,
    )
    like = likeness(distance[tested], logits[tested].argmax(axis=1), found.distance, found.logits.argmax(axis=1))
    return Calls(classes, softmax(found.logits / temperature, axis=1), like), summary


def _least(cells: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the fewest cells of each label in a part, of parts x labels; parts that hardly have the label aside."""
    return np.asarray(np.where(cells >= FEWEST_OF_LABEL, cells, cells.max(axis=0)).min(axis=0))


def _parts(labels: Labels, groups: NDArray[np.generic]) -> tuple[list[NDArray[np.bool_]], bool]:
    """Return the parts of the reference that are called by the rest: whole groups where these share their labels."""
    names, sizes = np.unique(groups, return_counts=True)
    if len(names) > 1:
        order = np.argsort(-sizes, kind="stable")  # the largest apart from each other
        whole = [np.isin(groups, names[order[first::_MOST_PARTS]]) for first in range(min(len(names), _MOST_PARTS))]
        if _tested(labels, whole).mean() >= 1 - _MOST_UNTESTED:
            return whole, True
    rng = np.random.default_rng(0)  # the same halves whatever the seed of the rest
    half = np.zeros(len(labels), dtype=bool)
    for name in np.unique(labels):
        own = rng.permutation(np.flatnonzero(labels == name))
        half[own[::2]] = True
    return [half, ~half], False


def _tested(labels: Labels, parts: Sequence[NDArray[np.bool_]]) -> NDArray[np.bool_]:
    """Return the cells whose label the rest of the reference has as well, in cells enough to learn it from."""
    found = np.zeros(len(labels), dtype=bool)
    for one in parts:
        for name in np.unique(labels[one]):
            if (labels[~one] == name).sum() >= FEWEST_OF_LABEL:
                found |= one & (labels == name)
    return found


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


@dataclass(frozen=True)
class _Query:
    """Cells to call: their features, the points that neighbours are found by, and what else is known of each label."""

    values: Values
    points: Array
    evidence: Array


@dataclass(frozen=True)
class _Raw:
    """Logits of cells, and how far each is from what its label has, by three measures."""

    logits: Array
    distance: Array


def _call(
    reference: Values,
    labels: Labels,
    query: _Query,
    classes: Labels,
    seed: int,
    wide: NDArray[np.int64],
    sizes: NDArray[np.int64] | None = None,
) -> _Raw:
    """Return logits and distances of a query; a label that these cells of the reference lack is not called.

    Neighbourhoods of a label have ``wide`` cells; given ``sizes`` of labels they are as dense as among so many.
    """
    there = np.isin(classes, labels)
    if not there.all():
        some = None if sizes is None else sizes[there]
        known = replace(query, evidence=query.evidence[:, there])
        own = _call(reference, labels, known, classes[there], seed, wide[there], some)
        logits = np.full((len(query.values), len(classes)), _NEVER)
        logits[:, there] = own.logits
        return _Raw(logits, own.distance)
    from sklearn.linear_model import LogisticRegression

    neighbours = nearest_cells(query.points, NEIGHBOURS, seed)
    means = np.stack([reference[labels == name].mean(axis=0) for name in classes])
    chosen = _parting(reference, labels, classes, _comparable(means, query.values.mean(axis=0)))
    centre, spread = reference[:, chosen].mean(axis=0), reference[:, chosen].std(axis=0) + SD_FLOOR

    def scaled(values: Values) -> Values:
        z = np.clip((values[:, chosen] - centre) / spread, -_CLIPPED, _CLIPPED)
        return np.asarray(z * np.float32(_SCALED_TO / np.sqrt(len(chosen))))

    model = LogisticRegression(C=RIDGE, max_iter=500, class_weight="balanced").fit(scaled(reference), labels)
    logits = model.decision_function(scaled(query.values)).reshape(len(query.values), -1).astype(np.float64)
    if logits.shape[1] == 1:  # two labels: one logit of the second
        logits = np.hstack([-logits / 2.0, logits / 2.0])
    logits = smooth(neighbours[:, :_NEAREST], logits)
    logits -= logits.mean(axis=1, keepdims=True)
    taught = logits.max(axis=1)
    logits = logits + _OTHER * smooth(neighbours[:, :_NEAREST], query.evidence)
    if sizes is not None:
        neighbours = as_dense(query.points, logits.argmax(axis=1), sizes, neighbours)
    away = contrast(reference, labels, query.values, neighbours, logits, classes, wide)
    return _Raw(logits, np.column_stack([-taught, away]))


def _comparable(means: Values, level: Values) -> NDArray[np.bool_]:
    """Return the features whose level in the query some mixture of the reference's labels has.

    What no mixture can give is the platform's, the stimulus' or a kind's that the reference lacks.
    """
    kept = (level >= means.min(axis=0)) & (level <= means.max(axis=0))
    return kept if kept.any() else np.ones_like(kept)


def _parting(values: Values, labels: Labels, classes: Labels, allowed: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Return the features that part each label best from all others, by Welch's t."""
    seen = (values != 0).sum(axis=0) >= min(FEWEST_WITH, len(values))
    chosen = np.zeros(values.shape[1], dtype=bool)
    for name in classes:
        own, rest = values[labels == name], values[labels != name]
        error = own.var(axis=0) / len(own) + rest.var(axis=0) / len(rest) + 1e-4
        t = np.abs(own.mean(axis=0) - rest.mean(axis=0)) / np.sqrt(error)
        t[~(seen & allowed)] = -1.0
        best = np.argsort(-t, kind="stable")[:_A_LABEL]
        chosen[best[t[best] >= 0]] = True
    return np.flatnonzero(chosen if chosen.any() else allowed)


def _temperature(logits: Array, truth: NDArray[np.int64]) -> float:
    """Return what logits are divided by for the least log loss (Guo et al. 2017)."""
    rows = np.arange(len(truth))

    def loss(log: float) -> float:
        return -float(log_softmax(logits / np.exp(log), axis=1)[rows, truth].mean())

    return float(np.exp(minimize_scalar(loss, bounds=(-4.0, 4.0), method="bounded").x))
