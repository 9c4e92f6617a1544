"""CD4 or CD8 T cells that a reference lacks: their sibling's label is nearest, and does not part the two."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

import numpy as np
from numpy.typing import NDArray

from immunolab.cells.label import LabelledCells
from immunolab.cells.population_tree import parents_of
from immunolab.clustering.expression import Array

Labels = NDArray[np.object_]
Mask = NDArray[np.bool_]

PARENT = "CD3"
"""What cells are called that the reference gives one sibling and their own genes and proteins say are the other."""

_SIBLING = {"CD4": "CD8", "CD8": "CD4"}
_T_CELLS = re.compile(r"(^|[^a-z0-9])t([^a-z0-9]|$)|tcell")  # in a label that may hold both
# share of such cells under one label that are more than the reference has there, from which they are no cells of it:
# more probable than not
_BEYOND = 0.5
_UPPER = 2.0  # sd of a Poisson count that the reference's own is taken higher, so that a few cells say nothing


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


def beyond_reference(reference: Mask, query: Mask) -> bool:
    """Return whether more than half of such cells of the query are beyond what the reference has.

    Parameters
    ----------
    reference, query
        Which cells of one label, in each, are such.
    """
    if not (len(reference) and query.any()):
        return False
    some = reference.sum() + 1.0
    expected = (some + _UPPER * np.sqrt(some)) / (len(reference) + 1.0)
    return bool(expected / query.mean() < 1 - _BEYOND)


def contradicted(
    own: LabelledCells, label: Labels, names: Mapping[str, str], reference: tuple[Labels, LabelledCells]
) -> tuple[Mask, tuple[str, ...]]:
    """Return T cells with one sibling's label against their own genes and proteins, and notes.

    Where the reference lacks one sibling, cells in doubt are among them: its label is no evidence between the two.
    Where it has both, its label may err on another platform: cells that are the other by themselves are among them, if
    there are clearly more of them than under that label in the reference.

    Parameters
    ----------
    own
        Labels of the cells by their own genes and proteins.
    label
        By the reference.
    names
        The reference's labels, and what `population_called` makes of them.
    reference
        The labels of its cells, and what these are by their own genes and proteins.
    """
    lacks, against, notes = lacking(names.values()), np.zeros(len(label), dtype=bool), list[str]()
    for has, other in _SIBLING.items():
        given = _given(label, has)
        if has == lacks or not given.any():
            continue
        if has == _SIBLING.get(lacks):
            of_sibling, note = _unsupported(own, given, has)
        else:
            called = np.array([names.get(str(one), "") for one in reference[0].tolist()], dtype=object)
            of_sibling, note = _erring(own, given, (_given(called, has), reference[1]), other)
        against |= of_sibling
        notes += [note] if note else []
    return against, tuple(notes)


def chance_between_siblings(own: LabelledCells, label: Labels, names: Mapping[str, str]) -> Array:
    """Return the highest probability that a label can have: of the only sibling's, what the cell's own genes give it.

    A reference without CD8 T cells is as sure of CD4 in a CD8 cell as in a CD4 cell.

    Parameters
    ----------
    own
        Labels of the cells by their own genes and proteins.
    label
        By the reference.
    names
        The reference's labels, and what `population_called` makes of them.
    """
    most = np.ones(len(label))
    has = _SIBLING.get(lacking(names.values()), "")
    if has in own.chance:
        given = _given(label, has) & np.isfinite(own.chance[has])
        most[given] = own.chance[has][given]
    return most


def _given(label: Labels, sibling: str) -> Mask:
    return np.isin(label, [name for name in set(label.tolist()) if is_of(name, sibling)])


def _unsupported(own: LabelledCells, given: Mask, has: str) -> tuple[Mask, str]:
    """Return T cells of the only sibling's label that are not that one by themselves, and a note."""
    lacks, nowhere = _SIBLING[has], np.zeros(len(given), dtype=bool)
    note = (
        f"the reference has no {lacks} T cells: it cannot set them apart from {has}, and gives them the labels of {has}"
    )
    if lacks not in own.members:
        return nowhere, f"{note}; nor do the cells' own genes and proteins part CD4 from CD8: do not use {has} as it is"
    against = given & own.members.get(PARENT, nowhere) & ~own.members.get(has, nowhere)
    found = f"{int(against.sum())} of {int(given.sum())} such cells are not {has} by their own genes and proteins"
    return against, f"{note}; {found} and are called {PARENT}"


def _erring(own: LabelledCells, given: Mask, reference: tuple[Mask, LabelledCells], other: str) -> tuple[Mask, str]:
    """Return cells of one sibling's label that are the other by themselves, where the reference has clearly fewer."""
    inside, of_reference = (found.members.get(other) for found in (own, reference[1]))
    if inside is None or of_reference is None or not beyond_reference(of_reference[reference[0]], inside[given]):
        return np.zeros(len(given), dtype=bool), ""
    against = given & inside
    what = f"{int(against.sum())} of {int(given.sum())} cells with a label of {_SIBLING[other]} are {other}"
    return against, f"{what} by their own genes and proteins, more than in the reference: they are called {PARENT}"
