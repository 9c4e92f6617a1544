"""Which lineage of blood a cell is of, from its own evidence and that of its neighbours.

Evidence is a log likelihood of each kind of cell, of genes (`marker_model`), of surface proteins (`proteins`), or their
sum. A cell of few counts has little of its own: the cells around it say what is common there.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from immunolab.cells.marker_model import KindFit
from immunolab.clustering.expression import Array, Neighbours, smooth
from immunolab.clustering.names import UNASSIGNED
from immunolab.vocabulary.signatures import expected_levels

_ROUNDS, _SETTLED = 12, 0.01  # of neighbours' evidence, and the largest mean change that ends them
_LOCAL = 0.9  # share of the prior that neighbours give; the rest is the mixture's, so that no kind is ruled out
_FLOOR = 0.002  # least prior of a kind among neighbours: a lone cell with ten times the evidence is not outvoted
_SAID_FROM = 0.01  # share of cells of a kind without a label that is said: fewer are chance (judgement)
SURE_LINEAGE = 0.5  # probability from which a cell has a lineage: more probable than not


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


def lineage_of_kinds(kinds: Sequence[str], *, t_as_one: bool = True) -> tuple[str, ...]:
    """Return the lineage that each kind is called by.

    Parameters
    ----------
    kinds
        As `marker_levels.yaml` names them.
    t_as_one
        Whether kinds of T cells are all called T.
    """
    table = expected_levels()
    names = dict(zip(table.kinds, table.lineage, strict=True))
    found = (names[kind] for kind in kinds)
    return tuple("T" if t_as_one and name in ("CD4", "CD8") else name for name in found)


def settle(fit: KindFit, neighbours: Neighbours, learn: NDArray[np.bool_]) -> Array:
    """Return the probability of each kind, where what is common among a cell's neighbours is its prior.

    Parameters
    ----------
    fit
        Evidence of each cell.
    neighbours
        Nearest cells of each.
    learn
        Cells that shares of kinds are learnt from.
    """
    chance = fit.chance()
    for _ in range(_ROUNDS):
        weight = chance[learn].mean(axis=0) if learn.any() else fit.weight
        prior = _LOCAL * np.maximum(smooth(neighbours, chance), _FLOOR) + (1 - _LOCAL) * weight
        after = fit.chance(prior)
        moved = float(np.abs(after - chance).mean(axis=0).max())
        chance = after
        if moved < _SETTLED / len(fit.kinds):
            break
    return chance


def call_lineages(chance: Array, kinds: Sequence[str], unknown: Collection[str] = ()) -> Called:
    """Return the lineage of each cell; ``unassigned`` where none is more probable than all others together.

    Parameters
    ----------
    chance
        Cells x kinds.
    kinds
        Names of the columns.
    unknown
        Lineages that the panel cannot show: cells that are most like them are ``unassigned``.
    """
    of_kind = np.array(lineage_of_kinds(kinds))
    by_name = {name: chance[:, of_kind == name].sum(axis=1) for name in dict.fromkeys(of_kind)}
    found = most_probable(
        {name: values for name, values in by_name.items() if name != UNASSIGNED and name not in unknown}, len(chance)
    )
    known = found.labels != UNASSIGNED
    return replace(found, confidence=np.where(known, found.confidence, 0.0))


def said_beyond_blood(chance: Array, kinds: Sequence[str], passed: NDArray[np.bool_]) -> list[str]:
    """Return a line on each kind beyond blood that a hundredth of the cells look like and that has no label.

    Parameters
    ----------
    chance
        Cells x kinds.
    kinds
        Names of the columns.
    passed
        Cells that passed quality control.
    """
    table = expected_levels()
    lineage = dict(zip(table.kinds, table.lineage, strict=True))
    best = np.array(kinds)[chance.argmax(axis=1)]
    lines = []
    for kind, words in table.beyond_blood.items():
        n = int(((best == kind) & (chance.max(axis=1) >= SURE_LINEAGE) & passed).sum())
        if lineage[kind] == UNASSIGNED and n > _SAID_FROM * passed.sum():
            lines.append(f"{n:,} cells look like {words}, which have no label here: {UNASSIGNED}")
    return lines


def shares_of(evidence: Array) -> Array:
    """Return the shares of kinds, by EM.

    Parameters
    ----------
    evidence
        Cells x kinds, log likelihood.
    """
    return shares_and_fit(evidence)[0]


def shares_and_fit(evidence: Array) -> tuple[Array, float]:
    """Return the shares of kinds by EM, and the log likelihood of all cells.

    Parameters
    ----------
    evidence
        Cells x kinds, log likelihood.
    """
    weight = np.full(evidence.shape[1], 1 / evidence.shape[1])
    top = evidence.max(axis=1)
    likelihood = np.exp(evidence - top[:, None])
    sums = np.ones(len(top))
    for _ in range(50):  # EM of shares alone is settled by then
        known = np.maximum(weight, 1e-12)
        sums = likelihood @ known
        weight = known * (likelihood.T @ (1 / sums)) / len(top)
    return weight, float((top + np.log(sums)).sum())


def most_probable(chance: Mapping[str, Array], n: int, least: float = SURE_LINEAGE) -> Called:
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
