"""What cells' own genes and proteins say of a reference's labels: evidence beside what the reference teaches.

A reference of one donor or of another chemistry parts B cells, monocytes and T cells, and takes CD4 for CD8 T cells:
what these differ by is less than what donors and chemistries differ by. Published markers do not depend on either.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from immunolab.cells.label import LabelledCells
from immunolab.cells.reference_lineages import named_lineages
from immunolab.cells.reference_siblings import PARENT, is_of
from immunolab.clustering.expression import Array

Labels = NDArray[np.object_]
_LEAST = 0.02  # probability that a label keeps, whatever the cell's own genes say: these err in a few of a hundred


def own_evidence(found: LabelledCells, names: Sequence[str]) -> Array:
    """Return the log probability of each label by the cells' own genes and proteins, cells x labels.

    Labels of one lineage, or of CD4 or CD8 T cells, have the same; labels that name no lineage have what is left.

    Parameters
    ----------
    found
        Labels of the cells by themselves.
    names
        Of the reference's labels, as `population_called` gives them.
    """
    chance = {name: np.nan_to_num(values) for name, values in found.chance.items()}
    of = [_kind(name) for name in names]
    known = {kind: _probability(chance, kind, len(found.table)) for kind in dict.fromkeys(of) if kind}
    parents = [kind for kind in known if not (kind in ("CD4", "CD8") and PARENT in known)]
    left = 1.0 - sum((known[kind] for kind in parents), start=np.zeros(len(found.table)))
    return np.log(np.clip(np.column_stack([known[kind] if kind else left for kind in of]), _LEAST, 1.0))


def is_informative(evidence: Array, labels: NDArray[np.int64]) -> bool:
    """Return whether evidence says more of the labels of a reference's cells than a draw of labels would.

    Parameters
    ----------
    evidence
        Cells x labels, as `own_evidence` gives it.
    labels
        Number of each cell's label.
    """
    share = np.exp(evidence) / np.exp(evidence).sum(axis=1, keepdims=True)
    own = np.log(share[np.arange(len(labels)), labels])
    return bool(own.mean() > -np.log(evidence.shape[1]))


def _kind(name: str) -> str:
    """Return the lineage of a population, CD4 or CD8 of T cells; "" where it names none."""
    for sibling in ("CD4", "CD8"):
        if is_of(name, sibling):
            return sibling
    return next(iter(named_lineages([name])), "")


def _probability(chance: Mapping[str, Array], kind: str, n: int) -> Array:
    if kind not in ("CD4", "CD8"):
        return chance.get(kind, np.zeros(n))
    return chance.get(PARENT, np.zeros(n)) * chance.get(kind, np.full(n, 0.5))
