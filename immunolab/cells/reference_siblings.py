"""CD4 or CD8 T cells that a reference lacks: their sibling's label is nearest, and does not part the two."""

from __future__ import annotations

import re
from collections.abc import Iterable

import numpy as np
from anndata import AnnData
from numpy.typing import NDArray

from immunolab.cells.label import label_cells
from immunolab.cells.population_tree import parents_of
from immunolab.progress import quietly

PARENT = "CD3"
"""What cells are called that the reference gives one sibling and their own genes and proteins say are the other."""

_SIBLING = {"CD4": "CD8", "CD8": "CD4"}
_T_CELLS = re.compile(r"(^|[^a-z0-9])t([^a-z0-9]|$)|tcell")  # in a label that may hold both


def is_of(name: str, sibling: str) -> bool:
    """Return whether a label or population is of CD4, or of CD8, T cells: by its words, or by the vocabulary's tree.

    Parameters
    ----------
    name
        As `population_called` gives it.
    sibling
        ``CD4`` or ``CD8``.
    """
    while name:
        if re.search(rf"{sibling}(?!\d)", name, re.IGNORECASE):  # CD45 and CD86 are others
            return True
        name = parents_of([name])[name]
    return False


def lacking(names: Iterable[str]) -> str:
    """Return which of CD4 and CD8 a reference lacks while it has the other; "" where both, or neither, may be in it.

    Parameters
    ----------
    names
        Of its labels, as `population_called` gives them; one of T cells in general (``CD3``) may hold both.
    """
    own = list(names)
    there = [sibling for sibling in _SIBLING if any(is_of(name, sibling) for name in own)]
    in_general = any(
        name == PARENT or (_T_CELLS.search(name.casefold()) and not any(is_of(name, one) for one in _SIBLING))
        for name in own
    )
    return _SIBLING[there[0]] if len(there) == 1 and not in_general else ""


def contradicted(
    cells: AnnData, label: NDArray[np.object_], names: Iterable[str], *, seed: int = 0
) -> tuple[NDArray[np.bool_], tuple[str, ...]]:
    """Return cells with one sibling's label that by their own genes and proteins are the lacking one, and a note.

    Parameters
    ----------
    cells
        Under the storage contract.
    label
        By the reference.
    names
        Of the reference's labels.
    seed
        Of every random draw.
    """
    lacks = lacking(names)
    if not lacks:
        return np.zeros(cells.n_obs, dtype=bool), ()
    has = _SIBLING[lacks]
    given = np.isin(label, [name for name in set(label.tolist()) if is_of(name, has)])
    with quietly():
        own = label_cells(cells, seed=seed)
    against = given & own.members.get(lacks, np.zeros(cells.n_obs, dtype=bool))
    note = (
        f"the reference has no {lacks} T cells: it cannot set them apart from {has}, and gives them the labels of {has}"
    )
    if lacks in own.members:
        found = f"{int(against.sum())} of {int(given.sum())} such cells are {lacks} by their own genes and proteins"
        return against, (f"{note}; {found} and are called {PARENT}",)
    return against, (f"{note}; nor do the cells' own genes and proteins part CD4 from CD8: do not use {has} as it is",)
