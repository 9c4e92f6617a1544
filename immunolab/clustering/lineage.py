"""Which lineage of blood a cell is of, by its genes, and CD4 or CD8 among T cells.

Cells whose marker genes leave no doubt, smoothed over neighbours, teach a logistic regression on the
principal components, and that calls all cells. Marker genes of single cells are lost too often for a
cell's own counts to decide.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from immunolab.clustering.expression import Array, Neighbours, smooth

UNASSIGNED = "unassigned"
_PRESENT = 0.4
_PRESENT_CELLS = 20
_SEED_LEVEL, _SEED_RIVAL = 0.5, 0.6
_FEWEST_SEEDS = 10
_ROUNDS = 15


@dataclass(frozen=True)
class Called:
    """A label and how sure it is (0 to 1) for each cell."""

    labels: NDArray[np.object_]
    confidence: Array


def relative_levels(scores: Array, names: Sequence[str]) -> Array:
    """Return each lineage's smoothed score as a share of what its clearest 20 cells have; 0 where it is absent.

    A lineage is absent when even these cells stay below 0.4 standard deviations of its genes.
    """
    levels = np.zeros_like(scores)
    for column in range(len(names)):
        highest = np.sort(scores[:, column])[-_PRESENT_CELLS:]
        on = float(np.median(highest))
        if on >= _PRESENT:
            levels[:, column] = scores[:, column] / on
    return levels


def call_lineages(
    levels: Array,
    names: Sequence[str],
    points: Array,
    neighbours: Neighbours,
    *,
    veto: NDArray[np.bool_] | None = None,
    least: float = 0.5,
) -> Called:
    """Return the lineage of each cell.

    Parameters
    ----------
    levels : cells x lineages, as `relative_levels` gives them.
    points : cells x dimensions (principal components, proteins) that calls are learnt in.
    neighbours : nearest cells in that space.
    veto : cells x lineages, True where surface proteins speak against a lineage.
    least : probability below which a cell is ``unassigned``.
    """
    allowed = levels if veto is None else np.where(veto, 0.0, levels)
    order = np.sort(allowed, axis=1)
    best = allowed.argmax(axis=1)
    clear = (order[:, -1] >= _SEED_LEVEL) & (order[:, -2] <= _SEED_RIVAL * order[:, -1])
    kept = [c for c in range(len(names)) if (clear & (best == c)).sum() >= _FEWEST_SEEDS]
    if not kept:
        return Called(np.full(len(levels), UNASSIGNED, dtype=object), np.zeros(len(levels)))
    clear &= np.isin(best, kept)
    chance = np.zeros((len(levels), len(kept)))
    if len(kept) == 1:
        chance[:, 0] = np.clip(allowed[:, kept[0]] / _SEED_LEVEL, 0.0, 1.0)
    else:
        from sklearn.linear_model import LogisticRegression

        model = LogisticRegression(C=1.0, max_iter=500).fit(points[clear], best[clear])
        chance[:] = smooth(neighbours, model.predict_proba(points))
    winner = chance.argmax(axis=1)
    confidence = chance.max(axis=1)
    labels = np.array([names[c] for c in kept], dtype=object)[winner]
    return Called(np.where(confidence >= least, labels, UNASSIGNED), confidence)


def chance_of_cd4(detected: NDArray[np.bool_], points: Array, neighbours: Neighbours) -> Array:
    """Return the probability that a T cell is CD4 rather than CD8, by genes.

    A mixture of the two kinds, fitted by EM: what a cell looks like (logistic regression on ``points``)
    gives the prior, whether CD4, CD8A and CD8B transcripts were seen gives the likelihood, with
    detection rates learnt from the data. A transcript not seen is weak evidence, which is why the rates
    matter: CD4 is seen in a tenth of CD4 cells, CD8A in half of CD8 cells.

    Parameters
    ----------
    detected : cells x 3: CD4, CD8A, CD8B seen.
    """
    from sklearn.linear_model import LogisticRegression

    four, eight = detected[:, 0], detected[:, 1] | detected[:, 2]
    chance = np.where(four & ~eight, 0.9, np.where(eight, 0.1, 0.6))
    if not four.any() and not eight.any():
        return np.full(len(detected), 0.5)
    seen = detected.astype(np.float64)
    twice = np.concatenate([points, points])
    kinds = np.repeat([1, 0], len(points))
    for _ in range(_ROUNDS):
        weight = np.concatenate([chance, 1 - chance])
        model = LogisticRegression(C=0.3, max_iter=200).fit(twice, kinds, sample_weight=weight)
        prior = model.predict_proba(points)[:, 1]
        prior = np.clip((prior + smooth(neighbours, prior)) / 2, 0.01, 0.99)
        rates = [(share @ seen + 1) / (share.sum() + 4) for share in (chance, 1 - chance)]
        odds = np.log(prior / (1 - prior))
        odds += seen @ np.log(rates[0] / rates[1]) + (1 - seen) @ np.log((1 - rates[0]) / (1 - rates[1]))
        after = 1 / (1 + np.exp(-odds))
        moved = float(np.abs(after - chance).max())
        chance = after
        if moved < 0.01:
            break
    return np.asarray(chance)


def share_of(labels: NDArray[np.object_]) -> Mapping[str, float]:
    """Return each label's share of the cells, largest first."""
    names, counts = np.unique(labels.astype(str), return_counts=True)
    order = np.argsort(-counts, kind="stable")
    return {str(names[i]): float(counts[i] / len(labels)) for i in order}
