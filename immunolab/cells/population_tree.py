"""The tree of populations that labelled cells make, and the definition each follows."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

from immunolab.vocabulary.populations import populations

_TOP = {"viable": "", "lymphocytes": "viable"}
_PARENTS = {
    **_TOP,
    **dict.fromkeys(("CD3", "NK", "B", "Plasma"), "lymphocytes"),
    **dict.fromkeys(("CD4", "CD8"), "CD3"),
}
# the border a population's proteins are gated by, where it has another population's name
_BORDER_OF = {"CD4_mem": "CD4_naive", "Tfh_CXCR5": "Tfh"}
_BY_SCORE = {
    "Treg": "score.Treg_core",
    "CD4_naive": "score.CD4_naive-CD4_memory",
    "CD4_mem": "score.CD4_naive-CD4_memory",
    "Tfh_CXCR5": "score.cTfh_blood",
    "Th1": "score.Th1",
    "Th2": "score.Th2",
    "Th17": "score.Th17",
}


def parents_of(members: Iterable[str]) -> dict[str, str]:
    """Return the parent of each population, "" at the top: CD4 holds every subset of it."""
    return {name: _PARENTS.get(name, "CD4" if name in populations() else "viable") for name in members}


def path_of(name: str, parents: Mapping[str, str]) -> str:
    """Return a population's lineage from the top, ``/viable/lymphocytes/CD3``.

    Parameters
    ----------
    name
        A population of ``parents``.
    parents
        Parent by population; the empty name is above the top.
    """
    above = parents[name]
    return f"{path_of(above, parents) if above else ''}/{name}"


def border_of(name: str) -> str:
    """Return the population that the border of another is recorded under, most often itself.

    Parameters
    ----------
    name
        The population.
    """
    return _BORDER_OF.get(name, name)


def definition_of(name: str, by_protein: Collection[str]) -> str | None:
    """Return the vocabulary's definition where proteins follow it, else the signature whose score or programme decides.

    Parameters
    ----------
    name
        The population.
    by_protein
        Populations with a border on a surface protein.
    """
    known = populations().get(name)
    if name in _TOP or known is None:
        return None
    if name == "CD4_naive" and name in by_protein and "CD4_CM" not in by_protein:
        return "CD45RA+ (CCR7 not assessed)"
    if name in by_protein or border_of(name) in by_protein:
        return known.definition
    if name in _BY_SCORE:
        return _BY_SCORE[name]
    return known.definition if by_protein else None  # genes alone show no marker of a gate
