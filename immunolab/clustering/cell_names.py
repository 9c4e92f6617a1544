"""Names of clusters of single cells, by the labels of their cells."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from immunolab.clustering.names import UNASSIGNED
from immunolab.vocabulary.populations import populations

_LEAST_SHARE = 0.5  # of a cluster's cells, more of which its name holds: at half, two names would do as well


def named_by_cells(number: NDArray[np.int32], labels: NDArray[np.object_], n: int) -> pd.DataFrame:
    """Return one row a cluster of cells: cluster, label, and the share of its cells that are of that label.

    Parameters
    ----------
    number
        Cluster of each cell, from 1.
    labels
        Label of each cell; empty where cells have none.
    n
        How many clusters there are.

    Notes
    -----
    The label is the narrowest population that more than half of the cells are in: of CD4_naive and CD4_CM cells, each a
    third, it is CD4. A cluster without one is ``unassigned``, with the share of the commonest label.
    """
    if not len(labels):
        return pd.DataFrame({"cluster": range(1, n + 1), "label": UNASSIGNED})
    table = pd.crosstab(number, labels).reindex(range(1, n + 1), fill_value=0)
    rows = [_named(counts[counts > 0]) for _, counts in table.iterrows()]
    return pd.DataFrame({"cluster": range(1, n + 1), "label": [r[0] for r in rows], "share": [r[1] for r in rows]})


def _named(counts: pd.Series) -> tuple[str, float]:
    if counts.empty:
        return UNASSIGNED, 0.0
    held: dict[tuple[str, ...], int] = {}
    for label, cells in counts.items():
        lineage = tuple(_lineage(str(label)))[::-1]  # the widest first
        for depth in range(1, len(lineage) + 1):
            held[lineage[:depth]] = held.get(lineage[:depth], 0) + int(cells)
    total = int(counts.sum())
    names = [lineage for lineage, cells in held.items() if cells > _LEAST_SHARE * total]
    if not names:
        return UNASSIGNED, float(counts.max() / total)
    best = max(names, key=lambda lineage: (len(lineage), held[lineage]))
    return best[-1], held[best] / total


def _lineage(name: str) -> Iterator[str]:
    """Yield a population and those it is in, up to T, B and NK cells."""
    yield name
    known = populations().get(name)
    if known is not None and known.definition and known.parent:
        yield from (
            above for above in _lineage(known.parent) if above in populations() and populations()[above].definition
        )
