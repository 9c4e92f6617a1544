"""Which lineage of blood a cell is of, by its genes, and CD4 or CD8 among T cells.

Cells whose marker genes leave no doubt, smoothed over neighbours, teach a logistic regression on the
principal components, and that calls all cells. Marker genes of single cells are lost too often for a
cell's own counts to decide.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from immunolab.clustering.expression import Array, Neighbours, smooth
from immunolab.clustering.names import UNASSIGNED

# The constants are judgement; each comment says what it trades off, and tests/test_label.py checks the accuracy
# on sorted cells (Zheng et al. 2017, Nat Commun 8:14049) and gated cells (Kotliarov et al. 2020, Nat Med 26:618).
_PRESENT = 0.4  # sd of its genes that the clearest cells show: less calls absent lineages, more loses rare ones
_PRESENT_CELLS = (5, 20)  # the clearest 1 %, within these: fewer are one cell's noise, more hide a rare lineage
_SEED_LEVEL, _SEED_RIVAL = 0.5, 0.6  # share of the clearest level that teaches; the runner-up's share of the best
_FEWEST_SEEDS = (3, 10)  # cells that teach a lineage, 1 % within these: fewer do not make a class to learn
_LEAST_LEVEL = 0.2  # share of the clearest level below which a probability alone does not name a cell
FEWEST_GENES = 2  # of a lineage: one gene is lost in too many cells
_CONTRADICTED = 0.1  # share of doubtless cells that a protein may contradict before it is set aside
_ROUNDS, _SETTLED = 15, 0.01  # of EM, and the largest change of a probability that ends it
_STRENGTH_OF_LINEAGE, _STRENGTH_OF_CD4 = 1.0, 0.3  # inverse penalty of the regressions; CD4 and CD8 cells are nearer
_FIRST_CHANCE = (
    0.9,
    0.1,
    0.6,
)  # of CD4: where CD4 alone was seen, CD8, neither (blood has 2 CD4 a CD8)


@dataclass(frozen=True)
class Called:
    """What each cell is called.

    Attributes
    ----------
    labels, confidence
        One a cell; the confidence is 0 to 1.
    chance
        Label -> its probability in each cell.
    """

    labels: NDArray[np.object_]
    confidence: Array
    chance: Mapping[str, Array] = field(default_factory=dict)


def relative_levels(scores: Array, n_genes: Sequence[int]) -> Array:
    """Return each lineage's smoothed score as a share of what its clearest cells have; 0 where it is absent.

    The clearest are one in a hundred, 5 to 20 cells. A lineage is absent when even these stay below 0.4
    standard deviations of its genes, or when fewer than two of its genes were measured.

    Parameters
    ----------
    scores
        Smoothed scores, cells x lineages.
    n_genes
        Genes measured of each lineage.
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
    levels
        Cells x lineages, as `relative_levels` gives them.
    names
        Of the lineages.
    points
        Cells x dimensions (principal components, proteins) that calls are learnt in.
    neighbours
        Nearest cells in that space.
    veto
        Cells x lineages, True where surface proteins contradict a lineage.
    least
        Probability below which a cell is ``unassigned``.
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

        model = LogisticRegression(C=_STRENGTH_OF_LINEAGE, max_iter=500).fit(points[clear], best[clear])
        chance[:] = smooth(neighbours, model.predict_proba(points))
    winner = chance.argmax(axis=1)
    confidence = chance.max(axis=1)
    labels = np.array([names[c] for c in kept], dtype=object)[winner]
    by_name = {names[c]: chance[:, column] for column, c in enumerate(kept)}
    own = allowed[np.arange(len(levels)), np.array(kept)[winner]]
    known = (confidence >= least) & (own >= _LEAST_LEVEL)
    return Called(np.where(known, labels, UNASSIGNED), np.where(known, confidence, 0.0), by_name)


def _clear(levels: Array) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Return each cell's highest lineage, and whether no other comes near it."""
    order = np.sort(levels, axis=1)
    clear = (order[:, -1] >= _SEED_LEVEL) & (order[:, -2] <= _SEED_RIVAL * order[:, -1])
    return levels.argmax(axis=1), clear


def _believed(levels: Array, veto: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return the veto without lineages where it contradicts over a tenth of the cells that genes leave no doubt of."""
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
    detected
        Cells x 3: CD4, CD8A, CD8B seen.
    points, neighbours
        See `call_lineages`.
    """
    from sklearn.linear_model import LogisticRegression

    four, eight = detected[:, 0], detected[:, 1] | detected[:, 2]
    only_cd4, cd8, neither = _FIRST_CHANCE
    chance = np.where(four & ~eight, only_cd4, np.where(eight, cd8, neither))
    if not four.any() and not eight.any():
        return np.full(len(detected), 0.5)
    seen = detected.astype(np.float64)
    twice = np.concatenate([points, points])
    kinds = np.repeat([1, 0], len(points))
    for _ in range(_ROUNDS):
        weight = np.concatenate([chance, 1 - chance])
        model = LogisticRegression(C=_STRENGTH_OF_CD4, max_iter=200).fit(twice, kinds, sample_weight=weight)
        prior = model.predict_proba(points)[:, 1]
        prior = np.clip((prior + smooth(neighbours, prior)) / 2, 0.01, 0.99)
        rates = [(share @ seen + 1) / (share.sum() + 4) for share in (chance, 1 - chance)]
        odds = np.log(prior / (1 - prior))
        odds += seen @ np.log(rates[0] / rates[1]) + (1 - seen) @ np.log((1 - rates[0]) / (1 - rates[1]))
        after = 1 / (1 + np.exp(-odds))
        moved = float(np.abs(after - chance).max())
        chance = after
        if moved < _SETTLED:
            break
    return np.asarray(chance)


def most_probable(chance: Mapping[str, Array], n: int, least: float = 0.5) -> Called:
    """Return the most probable label of each of n cells; ``unassigned`` below the least probability.

    Parameters
    ----------
    chance
        Probability of each label, by label, one value a cell.
    n
        Cells.
    least
        Probability below which a cell is ``unassigned``.
    """
    if not chance:
        return Called(np.full(n, UNASSIGNED, dtype=object), np.zeros(n))
    table = np.stack(list(chance.values()), axis=1)
    best = table.max(axis=1)
    labels = np.array(list(chance), dtype=object)[table.argmax(axis=1)]
    return Called(np.where(best >= least, labels, UNASSIGNED), best, chance)


def share_of(labels: NDArray[np.object_]) -> Mapping[str, float]:
    """Return each label's share of the cells, largest first."""
    names, counts = np.unique(labels.astype(str), return_counts=True)
    order = np.argsort(-counts, kind="stable")
    return {str(names[i]): float(counts[i] / len(labels)) for i in order}
