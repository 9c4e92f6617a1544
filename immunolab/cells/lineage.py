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
from immunolab.clustering.names import UNASSIGNED

_PRESENT = 0.4
_PRESENT_CELLS = (5, 20)
_SEED_LEVEL, _SEED_RIVAL = 0.5, 0.6
_FEWEST_SEEDS = (3, 10)
_LEAST_LEVEL = 0.2
FEWEST_GENES = 2
_CONTRADICTED = 0.1
_ROUNDS = 15


@dataclass(frozen=True)
class Called:
    """A label and how sure it is (0 to 1) for each cell."""

    labels: NDArray[np.object_]
    confidence: Array


def relative_levels(scores: Array, n_genes: Sequence[int]) -> Array:
    """Return each lineage's smoothed score as a share of what its clearest cells have; 0 where it is absent.

    The clearest are one in a hundred, 5 to 20 cells. A lineage is absent when even these stay below 0.4
    standard deviations of its genes, or when fewer than two of its genes were measured.
    """
    levels = np.zeros_like(scores)
    size = int(np.clip(len(scores) // 100, *_PRESENT_CELLS))
    for column, measured in enumerate(n_genes):
        if measured < FEWEST_GENES:
            continue
        highest = np.sort(scores[:, column])[-size:]
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
    allowed = levels if veto is None else np.where(_believed(levels, veto), 0.0, levels)
    best, clear = _clear(allowed)
    enough = int(np.clip(len(levels) // 100, *_FEWEST_SEEDS))
    kept = [c for c in range(len(names)) if (clear & (best == c)).sum() >= enough]
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
    own = allowed[np.arange(len(levels)), np.array(kept)[winner]]
    known = (confidence >= least) & (own >= _LEAST_LEVEL)
    return Called(np.where(known, labels, UNASSIGNED), np.where(known, confidence, 0.0))


def _clear(levels: Array) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Return each cell's highest lineage, and whether no other comes near it."""
    order = np.sort(levels, axis=1)
    clear = (order[:, -1] >= _SEED_LEVEL) & (order[:, -2] <= _SEED_RIVAL * order[:, -1])
    return levels.argmax(axis=1), clear


def _believed(levels: Array, veto: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Take a veto out where it contradicts over a tenth of the cells that genes leave no doubt of."""
    best, clear = _clear(levels)
    kept = veto.copy()
    for column in range(veto.shape[1]):
        own = clear & (best == column)
        if own.any() and veto[own, column].mean() > _CONTRADICTED:
            kept[:, column] = False
    return kept


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
