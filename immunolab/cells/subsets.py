"""Subsets of CD4 T cells from answers about each cell: how probable Treg, naive, Tfh ... each are.

An answer is an array of probabilities, from a protein's border or a signature's score, or None where
the data have none. What cannot be assessed is never guessed: the cell keeps the name of the last
population that could be (``CD4_mem``, ``CD4``).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from immunolab.cells.lineage import Called
from immunolab.clustering.expression import Array

Answer = Array | None
Mask = NDArray[np.bool_]
SURE = 0.5  # probability from which a cell is in a population: more probable than not
ABOVE_BACKGROUND = 2.33  # sd of a reference, above 99 % of a normal distribution: from which a cell has a programme
_OF_GENES = {"Tfh": "Tfh_CXCR5", "Th1": "Th1", "Th2": "Th2", "Th17": "Th17"}  # label by genes -> population
_LEAST_LEAD = 0.5  # share of the probability of all helper subsets that the first has: more than the others together


@dataclass(frozen=True)
class Answers:
    """What is known of each CD4 T cell.

    Attributes
    ----------
    treg, naive, ccr7
        Probability of Treg, of the naive phenotype (CD45RA+), of CCR7+.
    tfh
        Probability of CXCR5+.
    cxcr3, ccr6, ccr4
        Probability of each receptor.
    effector, cytotoxic
        Probability of effector memory and of cytotoxic cells by genes.
    helper
        For each helper subset its probability by genes.
    notes
        What could not be assessed, and why.
    """

    treg: Answer = None
    naive: Answer = None
    ccr7: Answer = None
    tfh: Answer = None
    cxcr3: Answer = None
    ccr6: Answer = None
    ccr4: Answer = None
    effector: Answer = None
    cytotoxic: Answer = None
    helper: Mapping[str, Array] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def has_receptors(self) -> bool:
        """Whether chemokine receptors part the helper subsets."""
        return self.cxcr3 is not None and self.ccr6 is not None


@dataclass(frozen=True)
class _Naming:
    """Names given so far, the confidence of each, and the cells that may still get a narrower one."""

    labels: NDArray[np.object_]
    sure: Array
    open: Mask

    def named(self, name: str | NDArray[np.object_], which: Mask, confidence: Array, asked: Mask) -> _Naming:
        """Return the naming after a question: its confidence counts for every cell that was asked."""
        labels = np.where(which, name, self.labels)
        sure = np.where(asked, np.minimum(self.sure, confidence), self.sure)
        return _Naming(labels.astype(object), sure, self.open & ~which)


def name_cd4(n: int, answers: Answers) -> Called:
    """Return the subset of each of n CD4 T cells: Treg, Tfh, helper, naive and memory subsets.

    Treg first, then naive cells, then follicular and helper subsets of memory cells, then memory by
    CCR7. The confidence is that of the least sure of the answers that the name is made of.

    Parameters
    ----------
    n
        Cells.
    answers
        Probabilities of these cells; what is None was not measured.
    """
    found = _Naming(np.full(n, "CD4", dtype=object), np.ones(n), np.ones(n, dtype=bool))
    if answers.treg is not None:
        found = _settled(found, answers.treg, "Treg")
    if answers.naive is not None:
        found = _naive_or_memory(found, answers.naive, answers.ccr7)
    if answers.tfh is not None:
        found = _settled(found, answers.tfh, "Tfh")
    if answers.has_receptors:
        found = _by_receptors(found, answers)
    elif answers.helper:
        found = _by_genes(found, answers)
    if answers.naive is not None:
        found = _by_memory(found, answers)
    return Called(found.labels, found.sure)


def _either_way(chance: Array) -> Array:
    return np.maximum(chance, 1 - chance)


def _settled(found: _Naming, chance: Array, name: str) -> _Naming:
    return found.named(name, found.open & (chance >= SURE), _either_way(chance), found.open)


def _naive_or_memory(found: _Naming, naive: Array, ccr7: Answer) -> _Naming:
    asked = found.open
    is_naive = asked & (naive >= SURE)
    found = found.named("CD4_naive", is_naive, _either_way(naive), asked)
    memory = found.open
    if ccr7 is not None:
        name = np.where(ccr7 < SURE, "CD4_TEMRA", "CD4_naive").astype(object)
        found = found.named(name, is_naive, _either_way(ccr7), is_naive)
    return _Naming(np.where(memory, "CD4_mem", found.labels).astype(object), found.sure, memory)


def _receptor_chances(answers: Answers) -> dict[str, Array]:
    three, six = answers.cxcr3, answers.ccr6
    if three is None or six is None:
        return {}
    kinds = {"Th1": three * (1 - six), "Th17": (1 - three) * six, "Th1_17": three * six}
    return kinds if answers.ccr4 is None else {**kinds, "Th2": (1 - three) * (1 - six) * answers.ccr4}


def _by_receptors(found: _Naming, answers: Answers) -> _Naming:
    kinds = _receptor_chances(answers)
    table = np.stack(list(kinds.values()), axis=1)
    best = table.max(axis=1)
    which = found.open & (best > 1 - table.sum(axis=1))
    return found.named(np.array(list(kinds), dtype=object)[table.argmax(axis=1)], which, best, which)


def _by_genes(found: _Naming, answers: Answers) -> _Naming:
    """Name cells that are probably of some helper subset after the first of them, if it is ahead of the others."""
    names = [name for name in answers.helper if name != "Tfh" or answers.tfh is None]
    if not names:
        return found
    table = np.stack([answers.helper[name] for name in names], axis=1)
    best, together = table.max(axis=1), table.sum(axis=1)
    which = found.open & (together >= SURE) & (best > _LEAST_LEAD * together)
    return found.named(np.array(names, dtype=object)[table.argmax(axis=1)], which, best, which)


def _by_memory(found: _Naming, answers: Answers) -> _Naming:
    asked = found.open
    if answers.ccr7 is not None:
        name = np.where(answers.ccr7 >= SURE, "CD4_CM", "CD4_EM").astype(object)
        return found.named(name, asked, _either_way(answers.ccr7), asked)
    if answers.effector is None:
        return found
    name = np.where(answers.effector >= SURE, "CD4_EM", "CD4_CM").astype(object)
    found = found.named(name, asked, _either_way(answers.effector), asked)
    if answers.cytotoxic is None:
        return found
    killer = asked & (answers.cytotoxic >= SURE)
    return found.named("CD4_TEMRA", killer, answers.cytotoxic, killer)


def chances_of_cd4(answers: Answers) -> dict[str, Array]:
    """Return the probability that a CD4 T cell is in each subset that probabilities were found for."""
    of_genes = {} if answers.has_receptors else dict(answers.helper)
    found = {**of_genes, "Treg": answers.treg, **_receptor_chances(answers)}
    if answers.tfh is not None:
        found["Tfh"] = answers.tfh
    if answers.naive is not None:
        near = np.ones_like(answers.naive) if answers.ccr7 is None else answers.ccr7
        found |= {"CD4_naive": answers.naive * near, "CD4_mem": 1 - answers.naive}
        if answers.ccr7 is not None:
            found["CD4_TEMRA"] = answers.naive * (1 - near)
            found |= {"CD4_CM": (1 - answers.naive) * near, "CD4_EM": (1 - answers.naive) * (1 - near)}
    return {name: chance for name, chance in found.items() if chance is not None}


def members_of_cd4(n: int, answers: Answers, labels: NDArray[np.object_]) -> dict[str, Mask]:
    """Return which of n CD4 T cells are in each population of the vocabulary, overlapping as in a gate tree.

    ``labels`` are those of `name_cd4`; they decide where genes alone part the helper subsets. A
    population that cannot be assessed is missing.

    Parameters
    ----------
    n
        Cells.
    answers
        Probabilities of these cells; what is None was not measured.
    labels
        Those of `name_cd4`.
    """
    everything = np.ones(n, dtype=bool)
    treg = None if answers.treg is None else answers.treg >= SURE
    found: dict[str, Mask] = {}
    if treg is not None:
        found |= {"Treg": treg, "Tconv": ~treg}
    helpers = () if answers.has_receptors else answers.helper  # receptors name the cells, whatever genes say
    of_genes = {population: labels == name for name, population in _OF_GENES.items() if name in helpers}
    if answers.naive is None:
        return found | of_genes
    memory = answers.naive < SURE
    conventional = memory & (everything if treg is None else ~treg)
    found["CD4_mem"] = memory
    if answers.ccr7 is not None:
        far = answers.ccr7 < SURE
        found |= {
            "CD4_naive": ~memory & ~far,
            "CD4_TEMRA": ~memory & far,
            "CD4_CM": memory & ~far,
            "CD4_EM": memory & far,
        }
        if treg is not None:
            found["Teff"] = memory & far & ~treg
    else:
        found["CD4_naive"] = ~memory
    if answers.tfh is not None:
        found["Tfh_CXCR5"] = conventional & (answers.tfh >= SURE)
    if answers.cxcr3 is not None and answers.ccr6 is not None:
        helper = conventional & ~found.get("Tfh_CXCR5", ~everything)
        three, six = answers.cxcr3 >= SURE, answers.ccr6 >= SURE
        found |= {"Th1": helper & three & ~six, "Th17": helper & ~three & six, "Th1_17": helper & three & six}
        if answers.ccr4 is not None:
            found["Th2"] = helper & ~three & ~six & (answers.ccr4 >= SURE)
    return found | {name: inside for name, inside in of_genes.items() if name not in found}
