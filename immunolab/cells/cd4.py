"""What is known of each CD4 T cell: by surface proteins where their borders can be placed, else by genes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from immunolab.cells.proteins import ProteinGates, spread_of
from immunolab.cells.scores import above_most, above_reference, chance_above, relative_score, standardised
from immunolab.cells.space import cell_space
from immunolab.cells.subsets import ABOVE_BACKGROUND, SURE, Answer, Answers
from immunolab.clustering.expression import Array, Neighbours, nearest_cells, smooth
from immunolab.events.cells import has_genes
from immunolab.gating.method_results import Cut
from immunolab.gating.placement.methods.mixture import mixture
from immunolab.gating.placement.methods.tail import tail
from immunolab.schema.flags import Flag
from immunolab.vocabulary.signatures import signature

if TYPE_CHECKING:
    from anndata import AnnData

Mask = NDArray[np.bool_]
_HELPERS = {"Tfh": "cTfh_blood", "Th17": "Th17", "Th1": "Th1", "Th2": "Th2"}
_SPACE_SIGNATURES = ("Treg_core", "CD4_naive", "CD4_memory", "Th1", "Th2", "Th17", "cTfh_blood", "Teff_cytotoxic")
_QUESTIONS = ("treg", "naive", "ccr7", "tfh", "cxcr3", "ccr6", "ccr4")
_NEIGHBOURS = (
    15  # cells a score is smoothed over: more hide subsets of a few cells, fewer leave the loss of transcripts
)
_CYTOTOXIC_ABOVE = 6.0  # sd above naive cells (judgement: lower takes effector memory for cytotoxic cells)
_SPREAD_SHARE = (
    0.5  # standard error of a border between two groups, as a share of its distance between them (judgement)
)


@dataclass(frozen=True)
class _GeneScores:
    """Smoothed scores of CD4 T cells by name of the signature; those with too few genes are only named."""

    values: Mapping[str, Array]
    missing: tuple[str, ...]


def cd4_answers(cells: AnnData, gates: ProteinGates, cd4: Mask, *, seed: int = 0) -> Answers:
    """Return what is known of each CD4 T cell.

    Parameters
    ----------
    cells
        Under the storage contract.
    gates
        Their proteins; the borders used are recorded there.
    cd4
        Which cells are CD4 T cells.
    seed
        Of random genes and drawn cells.
    """
    answers = _by_proteins(gates, cd4)
    if has_genes(cells) and cd4.sum() >= 2:
        answers = _by_genes(cells, gates, cd4, answers, seed)
    return replace(answers, notes=(*answers.notes, *_unanswered(answers)))


def _unanswered(answers: Answers) -> Sequence[str]:
    notes = []
    if answers.treg is None:
        notes.append("Treg cannot be assessed: neither CD25 with CD127 nor half of the core genes")
    missing = [name for name in _QUESTIONS if getattr(answers, name) is None]
    if missing and not answers.helper:
        notes.append("not answered: " + ", ".join(missing))
    return notes


def _by_proteins(gates: ProteinGates, cd4: Mask) -> Answers:
    if not gates.markers:
        return Answers()
    naive = gates.split("CD4_naive", "CD45RA", cd4)
    if naive is None and (memory := gates.split("CD4_mem", "CD45RO", cd4)) is not None:
        naive = 1 - memory
    ccr7 = gates.split("CD4_CM", "CCR7", cd4)
    reference = None if naive is None else cd4 & (naive >= SURE) & (True if ccr7 is None else ccr7 >= SURE)
    treg = gates.treg(cd4, reference)

    def receptor(population: str, marker: str) -> Answer:
        return None if reference is None else _inside(gates.against(population, marker, reference), cd4)

    return Answers(
        treg=_inside(treg, cd4),
        naive=_inside(naive, cd4),
        ccr7=_inside(ccr7, cd4),
        tfh=receptor("Tfh", "CXCR5"),
        cxcr3=receptor("Th1", "CXCR3"),
        ccr6=receptor("Th17", "CCR6"),
        ccr4=receptor("Th2", "CCR4"),
    )


def _inside(chance: Answer, cd4: Mask) -> Answer:
    return None if chance is None else chance[cd4]


def _by_genes(cells: AnnData, gates: ProteinGates, cd4: Mask, known: Answers, seed: int) -> Answers:
    """Complete what proteins answer by signatures; borders of scores are placed once, on all samples."""
    genes = [gene for name in _SPACE_SIGNATURES for gene in signature(name)]
    neighbours = nearest_cells(cell_space(cells, gates, cd4, genes=genes, seed=seed), _NEIGHBOURS, seed)
    scores = _gene_scores(cells[cd4], neighbours, seed)
    treg, note = known.treg, ""
    if treg is None and "Treg_core" in scores.values:
        treg, note = _treg_by_score(scores.values["Treg_core"], gates)
    naive = _naive_by_scores(scores) if known.naive is None else known.naive
    memory = np.ones(int(cd4.sum()), dtype=bool) if naive is None else naive < SURE
    reference = memory if naive is None else ~memory
    if treg is not None:
        memory = memory & (treg < SURE)

    def over_reference(name: str, border: float) -> Answer:
        score = scores.values.get(name)
        return None if score is None else chance_above(above_reference(score, reference), border, 1.0)

    return replace(
        known,
        treg=treg,
        naive=naive,
        helper={k: above_most(scores.values[name], memory) for k, name in _HELPERS.items() if name in scores.values},
        effector=over_reference("CD4_Tem", ABOVE_BACKGROUND),
        cytotoxic=over_reference("Teff_cytotoxic", _CYTOTOXIC_ABOVE),
        notes=(*known.notes, *scores.missing, *([note] if note else [])),
    )


def _gene_scores(cells: AnnData, neighbours: Neighbours, seed: int) -> _GeneScores:
    """Return scores, half a cell's own and half its neighbours'; under half of its genes a signature is refused."""
    values: dict[str, Array] = {}
    missing = []
    for name in ("CD4_naive", "CD4_memory", *_HELPERS.values(), "Treg_core", "CD4_Tem", "Teff_cytotoxic"):
        genes = signature(name)
        score = relative_score(cells, genes, seed)
        if score.usable:
            values[name] = (score.values + smooth(neighbours, score.values)) / 2
        else:
            absent = ", ".join(score.missing)
            missing.append(f"{name}: {len(score.missing)} of {len(genes)} genes are absent ({absent}); not scored")
    return _GeneScores(values, tuple(missing))


def _naive_by_scores(scores: _GeneScores) -> Answer:
    if not {"CD4_naive", "CD4_memory"} <= set(scores.values):
        return None
    score = standardised(scores.values["CD4_naive"]) - standardised(scores.values["CD4_memory"])
    cut = mixture(score)
    return chance_above(score, cut.value, _SPREAD_SHARE * (cut.spread or 1.0)) if np.isfinite(cut.value) else None


def _treg_by_score(score: Array, gates: ProteinGates) -> tuple[Answer, str]:
    """Cut the Treg core score between two groups; where they are not apart, over the main summit's tail."""
    cut, method = mixture(score), "mixture"
    if np.isnan(cut.value) or Flag.UNIMODAL in cut.flags:
        cut, method = tail(score), "tail"
    if np.isnan(cut.value):
        return None, "too few CD4 T cells for a border of the Treg score"
    gates.record("Treg", "Treg_core score", cut, method, channel="genes")
    return chance_above(score, cut.value, _spread(cut, score)), ""


def _spread(cut: Cut, score: Array) -> float:
    return _SPREAD_SHARE * (cut.spread or spread_of(score))
