"""Cells whose own genes and proteins say another lineage than the reference's label: it lacks that lineage, or errs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
from numpy.typing import NDArray

from immunolab.cells.population_tree import parents_of
from immunolab.cells.reference_siblings import beyond_reference, is_of

Labels = NDArray[np.object_]
Mask = NDArray[np.bool_]

_LINEAGES = ("CD3", "NK", "B", "Mono", "HSPC", "DC", "pDC", "Plasma")


def named_lineages(names: Iterable[str]) -> frozenset[str]:
    """Return the lineages that labels name, by themselves or as what is above them.

    Parameters
    ----------
    names
        Of a reference's labels, as `population_called` gives them.
    """
    found = set()
    for name in names:
        above = name
        while above:
            found.add(above)
            above = parents_of([above])[above]
        if any(is_of(name, one) for one in ("CD4", "CD8")):
            found.add("CD3")
    return frozenset(found & set(_LINEAGES))


def lineage_of_labels(labels: Labels) -> Labels:
    """Return the lineage of each cell's own label, "" where it has none.

    Parameters
    ----------
    labels
        As `label_cells` gives them.
    """
    known = {}
    for name in dict.fromkeys(labels.tolist()):
        of = named_lineages([name])
        known[name] = next(iter(of)) if of else ""
    return np.array([known[name] for name in labels.tolist()], dtype=object)


def contradicted_lineages(
    reference: tuple[Labels, Labels], query: tuple[Labels, Labels], names: dict[str, str]
) -> tuple[Mask, tuple[str, ...]]:
    """Return cells that by their own genes and proteins are of another lineage than their label, and notes.

    Some cells of the reference may be of another lineage than their label as well: only where there are clearly more of
    them in the query are they none of that label. A label that is no population of the vocabulary may be of any lineage
    that no other label names.

    Parameters
    ----------
    reference, query
        The label of each cell, its own or by the reference, and the lineage by its own genes and proteins.
    names
        The reference's labels and what `population_called` makes of them.
    """
    named = named_lineages(names.values())
    found = np.zeros(len(query[0]), dtype=bool)
    for label, population in names.items():
        own = named_lineages([population])
        of_reference, of_query = reference[0] == label, query[0] == label
        for lineage in _LINEAGES:
            if lineage in (own or named):
                continue
            inside = query[1] == lineage
            if beyond_reference(reference[1][of_reference] == lineage, inside[of_query]):
                found |= of_query & inside
    return found, tuple(_said(query[1][found]))


def _said(lineages: Labels) -> Iterator[str]:
    for name in dict.fromkeys(lineages.tolist()):
        what = f"{int((lineages == name).sum())} cells are {name} by their own genes and proteins"
        yield f"{what}, against the reference's label, more than in the reference: they get none of its labels"
