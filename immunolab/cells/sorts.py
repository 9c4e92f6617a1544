"""What cells were sorted as before they were sequenced: one population for all, or one for each sample."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
from numpy.typing import NDArray

from immunolab.cells.lineage import lineage_of_kinds
from immunolab.cells.marker_model import KindFit
from immunolab.clustering.expression import Array
from immunolab.errors import InputError, Problem, nearest
from immunolab.study.sample import SORTED_AS
from immunolab.vocabulary.signatures import expected_levels

Sorts = NDArray[np.object_]
_SIBLING = {"CD4": ("CD8", "T"), "CD8": ("CD4", "T")}  # kinds that a sort of T cells is without
_MOSTLY = 0.9  # share of one population from which cells may be a sort of it (judgement)
_SURELY_OTHER = 0.99  # probability of another lineage that overrules a declared sort: sorts are 95 to 99 % pure


def declared_sorts(samples: NDArray[np.object_], population: str, by_sample: Mapping[str, str]) -> Sorts:
    """Return what each cell was sorted as, "" where nothing is known.

    Parameters
    ----------
    samples
        Sample of each cell.
    population
        Of all cells, or "".
    by_sample
        sample_id -> population, where samples differ; those that it lacks are as ``population`` says.

    Raises
    ------
    InputError
        Lists every population that cells are not sorted as.
    """
    names = dict.fromkeys((population, *by_sample.values()))
    problems = [
        Problem(
            "",
            "population",
            f"cells are not sorted as '{name}'",
            f"{nearest(name, SORTED_AS)} known: {', '.join(SORTED_AS)}".strip(),
        )
        for name in names
        if name and name not in SORTED_AS
    ]
    if problems:
        raise InputError(*problems)
    return np.array([by_sample.get(str(sample)) or population for sample in samples], dtype=object)


def possible_kinds(sorts: Sorts) -> tuple[str, ...]:
    """Return the kinds that cells may be of: a sort of CD4 holds no CD8 cells, but may hold other lineages.

    Parameters
    ----------
    sorts
        Of each cell; where they differ, every kind is possible.
    """
    kinds = expected_levels().kinds
    names = lineage_of_kinds(kinds, t_as_one=False)
    alike = set(sorts)
    without = _SIBLING.get(str(next(iter(alike))), ()) if len(alike) == 1 else ()
    return tuple(kind for kind, name in zip(kinds, names, strict=True) if name not in without)


def lineages_of(sorts: Sorts) -> frozenset[str]:
    """Return the lineages that cells were sorted as, none where some cells were not sorted.

    Parameters
    ----------
    sorts
        Of each cell.
    """
    names = {str(name) for name in sorts}
    return frozenset() if "" in names else frozenset(_lineage(name) for name in names)


def as_sorted(fit: KindFit, chance: Array, sorts: Sorts) -> tuple[Array, tuple[str, ...]]:
    """Return probabilities where cells are what they were sorted as, unless surely of another lineage, and notes.

    Parameters
    ----------
    fit
        Evidence of the cells.
    chance
        Cells x kinds, before a sort is considered.
    sorts
        Of each cell.
    """
    result, notes = chance.copy(), []
    whole = lineage_of_kinds(fit.kinds)
    parts = lineage_of_kinds(fit.kinds, t_as_one=False)
    for name in _named(sorts):
        rows, lineage = sorts == name, _lineage(name)
        own = np.array([kind == lineage for kind in whole])
        other = (chance[:, ~own].sum(axis=1) >= _SURELY_OTHER) & rows
        possible = own & ~np.isin(parts, _SIBLING.get(name, ()))
        prior = np.where(possible, np.maximum(fit.weight, 1e-4), 1e-12)
        kept = rows & ~other
        result[kept] = fit.chance(prior / prior.sum())[kept]
        which = "the cells" if rows.all() else f"the cells of {int(rows.sum())} in sorted samples"
        notes.append(
            f"{which} were sorted as {name}; {int(other.sum())} of {int(rows.sum())} are surely of another lineage"
        )
    return result, tuple(notes)


def perhaps_sorted(members: Mapping[str, NDArray[np.bool_]], passed: NDArray[np.bool_], sorts: Sorts) -> list[str]:
    """Return a line where most cells are of one population and nothing was declared: more keep the name if it is.

    Parameters
    ----------
    members
        Population -> which cells are in it.
    passed
        Cells that passed quality control.
    sorts
        Of each cell.
    """
    if any(sorts) or not passed.any():
        return []
    share = {name: float(members[name][passed].mean()) for name in SORTED_AS if name in members}
    most = max((name for name in share if name != "CD3"), key=lambda name: share[name], default="")
    if not most or not _MOSTLY <= share[most] < 1:
        return []
    advice = f"if they were sorted as {most}, say so (--population {most}, population='{most}'): more keep the name"
    return [f"{100 * share[most]:.0f} % of the cells are {most}; {advice}"]


def _named(sorts: Sorts) -> Iterator[str]:
    return (str(name) for name in dict.fromkeys(sorts) if name)


def _lineage(sort: str) -> str:
    return "T" if sort in ("CD3", "CD4", "CD8") else sort
