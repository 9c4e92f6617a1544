"""Subsets of CD4 T cells from answers about each cell: how probable Treg, naive, Tfh ... each are.

An answer is an array of probabilities, from a protein's border or a signature's score, or None where
the data cannot tell. What cannot be told is never guessed: the cell keeps the name of the last
population that could be (``CD4_mem``, ``CD4``).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from scipy.stats import norm

from immunolab.cells.lineage import Called
from immunolab.clustering.expression import Array, Neighbours, relative_score, signature_score, smooth
from immunolab.vocabulary.signatures import signature

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

Answer = Array | None
HELPERS = {"Tfh": "cTfh_blood", "Th17": "Th17", "Th1": "Th1", "Th2": "Th2"}
_ENOUGH_REFERENCE = 50
_ABOVE = 2.33
_MARGIN = 0.5


@dataclass(frozen=True)
class Answers:
    """What is known of each CD4 T cell.

    Attributes
    ----------
    treg, naive, ccr7 : probability of Treg, of the naive phenotype (CD45RA+), of CCR7+.
    tfh : probability of CXCR5+.
    cxcr3, ccr6, ccr4 : probability of each receptor.
    effector, cytotoxic : probability of effector memory and of cytotoxic cells by genes.
    helper : for each helper subset its score by genes, in standard deviations above most memory cells.
    missing : signatures left out, each with the genes that are absent.
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
    missing: tuple[str, ...] = ()


def name_cd4(n: int, answers: Answers) -> Called:
    """Return the subset of each of n CD4 T cells: Treg, Tfh, helper, naive and memory subsets.

    Treg first, then naive cells, then follicular and helper subsets of memory cells, then memory by
    CCR7. The confidence is that of the least sure of the answers that the name rests on.
    """
    labels = np.full(n, "CD4", dtype=object)
    sure = np.ones(n)
    open_ = np.ones(n, dtype=bool)
    if answers.treg is not None:
        open_ = _settle(labels, sure, open_, answers.treg, "Treg")
    if answers.naive is None:
        return Called(labels, sure)
    naive = open_ & (answers.naive >= 0.5)
    sure[open_] = np.minimum(sure, np.maximum(answers.naive, 1 - answers.naive))[open_]
    labels[naive] = "CD4_naive"
    if answers.ccr7 is not None:
        temra = naive & (answers.ccr7 < 0.5)
        labels[temra] = "CD4_TEMRA"
        sure[naive] = np.minimum(sure, np.maximum(answers.ccr7, 1 - answers.ccr7))[naive]
    open_ &= ~naive
    labels[open_] = "CD4_mem"
    if answers.tfh is not None:
        open_ = _settle(labels, sure, open_, answers.tfh, "Tfh")
    if answers.cxcr3 is not None and answers.ccr6 is not None:
        open_ = _by_receptors(labels, sure, open_, answers)
    elif answers.helper:
        open_ = _by_helper_scores(labels, sure, open_, answers)
    _by_memory(labels, sure, open_, answers)
    return Called(labels, sure)


def _settle(labels: np.ndarray, sure: Array, open_: np.ndarray, chance: Array, name: str) -> np.ndarray:
    is_it = open_ & (chance >= 0.5)
    sure[open_] = np.minimum(sure, np.maximum(chance, 1 - chance))[open_]
    labels[is_it] = name
    return open_ & ~is_it


def _by_receptors(labels: np.ndarray, sure: Array, open_: np.ndarray, answers: Answers) -> np.ndarray:
    assert answers.cxcr3 is not None and answers.ccr6 is not None  # noqa: S101, PT018 - asked by the caller
    three, six = answers.cxcr3, answers.ccr6
    kinds = {"Th1": three * (1 - six), "Th17": (1 - three) * six, "Th1_17": three * six}
    if answers.ccr4 is not None:
        kinds["Th2"] = (1 - three) * (1 - six) * answers.ccr4
    table = np.stack(list(kinds.values()), axis=1)
    rest = 1 - table.sum(axis=1)
    found = open_ & (table.max(axis=1) > rest)
    labels[found] = np.array(list(kinds), dtype=object)[table.argmax(axis=1)][found]
    sure[found] = np.minimum(sure, table.max(axis=1))[found]
    return open_ & ~found


def _by_helper_scores(labels: np.ndarray, sure: Array, open_: np.ndarray, answers: Answers) -> np.ndarray:
    names = [name for name in answers.helper if name != "Tfh" or answers.tfh is None]
    if not names:
        return open_
    table = np.stack([answers.helper[name] for name in names], axis=1)
    order = np.sort(table, axis=1)
    best = order[:, -1]
    second = order[:, -2] if table.shape[1] > 1 else np.full(len(best), -np.inf)
    found = open_ & (best >= _ABOVE) & (best - second >= _MARGIN)
    labels[found] = np.array(names, dtype=object)[table.argmax(axis=1)][found]
    lead = norm.cdf(np.minimum(best - _ABOVE, best - second))
    sure[found] = np.minimum(sure, lead)[found]
    return open_ & ~found


def _by_memory(labels: np.ndarray, sure: Array, open_: np.ndarray, answers: Answers) -> None:
    if answers.ccr7 is not None:
        chance = answers.ccr7
        labels[open_] = np.where(chance >= 0.5, "CD4_CM", "CD4_EM")[open_]
        sure[open_] = np.minimum(sure, np.maximum(chance, 1 - chance))[open_]
        return
    if answers.effector is None:
        return
    chance = answers.effector
    labels[open_] = np.where(chance >= 0.5, "CD4_EM", "CD4_CM")[open_]
    sure[open_] = np.minimum(sure, np.maximum(chance, 1 - chance))[open_]
    if answers.cytotoxic is not None:
        killer = open_ & (answers.cytotoxic >= 0.5)
        labels[killer] = "CD4_TEMRA"
        sure[killer] = np.minimum(sure, answers.cytotoxic)[killer]


@dataclass(frozen=True)
class GeneScores:
    """Smoothed scores of CD4 T cells; None where under half of a signature's genes are there."""

    treg: Answer
    naive: Answer
    helper: Mapping[str, Array]
    effector: Answer
    cytotoxic: Answer
    missing: tuple[str, ...]


def gene_scores(
    normalised: csr_matrix, columns: Mapping[str, int], neighbours: Neighbours, seed: int = 0
) -> GeneScores:
    """Return the signature scores of CD4 T cells, half a cell's own and half its neighbours'.

    A signature of which more than half the genes are absent is refused, and ``missing`` says so.
    """
    missing: list[str] = []

    def one(name: str) -> Answer:
        genes = signature(name)
        score = relative_score(normalised, columns, genes, seed)
        if not score.usable:
            absent = ", ".join(score.missing)
            missing.append(f"{name}: {len(score.missing)} of {len(genes)} genes are absent ({absent}); not scored")
            return None
        return (score.values + smooth(neighbours, score.values)) / 2

    naive, memory = one("CD4_naive"), one("CD4_memory")
    helper = {name: score for name, set_name in HELPERS.items() if (score := one(set_name)) is not None}
    return GeneScores(
        treg=one("Treg_core"),
        naive=None if naive is None or memory is None else _z(naive) - _z(memory),
        helper=helper,
        effector=one("CD4_Tem"),
        cytotoxic=one("Teff_cytotoxic"),
        missing=tuple(missing),
    )


def above_reference(score: Array, reference: np.ndarray) -> Array:
    """Return a score in standard deviations above the cells of a reference (all cells when it is small)."""
    inside = score[reference] if reference.sum() >= _ENOUGH_REFERENCE else score
    if not inside.size:
        return np.zeros_like(score)
    middle = float(np.median(inside))
    spread = 1.4826 * float(np.median(np.abs(inside - middle))) or float(inside.std()) or 1.0
    return np.asarray((score - middle) / spread)


def above_most(score: Array, among: np.ndarray) -> Array:
    """Return a score in standard deviations above what most cells of a population have.

    Most memory cells run no one helper programme, so that their median is the background, and the
    cells below it show its spread.
    """
    inside = score[among] if among.sum() >= _ENOUGH_REFERENCE else score
    if not inside.size:
        return np.zeros_like(score)
    middle = float(np.median(inside))
    below = inside[inside <= middle]
    spread = float(np.sqrt(np.mean((below - middle) ** 2))) or float(inside.std()) or 1.0
    return np.asarray((score - middle) / spread)


def chance_above(score: Array, border: float, spread: float) -> Array:
    """Return the probability that a score lies above a border that is known up to ``spread``."""
    return np.asarray(norm.cdf((score - border) / max(spread, 1e-9)))


def mean_response(normalised: csr_matrix, columns: Mapping[str, int], name: str) -> tuple[Array, tuple[str, ...]]:
    """Return each cell's score of a response signature and the genes that are absent.

    The score is the mean of the genes in units of their own standard deviations over these cells,
    less its mean; NaN throughout when more than half of the genes are absent.
    """
    score = signature_score(normalised, columns, signature(name))
    if not score.usable:
        return np.full(normalised.shape[0], np.nan), score.missing
    return score.values - score.values.mean(), score.missing


def _z(values: Array) -> Array:
    return np.asarray((values - values.mean()) / (values.std() or 1.0))


def members_of_cd4(n: int, answers: Answers, labels: np.ndarray) -> dict[str, np.ndarray]:
    """Return which of n CD4 T cells are in each population of the vocabulary, overlapping as in a gate tree.

    ``labels`` are those of `name_cd4`; they decide where only scores tell helper subsets apart. A
    population that cannot be told is not there.
    """
    everything = np.ones(n, dtype=bool)
    treg = None if answers.treg is None else answers.treg >= 0.5
    found: dict[str, np.ndarray] = {}
    if treg is not None:
        found |= {"Treg": treg, "Tconv": ~treg}
    if answers.naive is None:
        return found
    memory = answers.naive < 0.5
    conventional = memory & (everything if treg is None else ~treg)
    found["CD4_mem"] = memory
    if answers.ccr7 is not None:
        far = answers.ccr7 < 0.5
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
        found["Tfh_CXCR5"] = conventional & (answers.tfh >= 0.5)
    elif "Tfh" in answers.helper:
        found["Tfh_CXCR5"] = labels == "Tfh"
    helper = conventional & ~found.get("Tfh_CXCR5", ~everything)
    if answers.cxcr3 is not None and answers.ccr6 is not None:
        three, six = answers.cxcr3 >= 0.5, answers.ccr6 >= 0.5
        found |= {"Th1": helper & three & ~six, "Th17": helper & ~three & six, "Th1_17": helper & three & six}
        if answers.ccr4 is not None:
            found["Th2"] = helper & ~three & ~six & (answers.ccr4 >= 0.5)
    else:
        found |= {name: labels == name for name in ("Th1", "Th2", "Th17") if name in answers.helper}
    return found
