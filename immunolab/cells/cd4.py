"""What is known of each CD4 T cell: by surface proteins where their borders can be placed, else by genes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from immunolab.cells.border_interval import with_interval
from immunolab.cells.helper_scores import beyond_random
from immunolab.cells.lineage import settle
from immunolab.cells.marker_model import fit_kinds, marker_counts
from immunolab.cells.protein_borders import spread_of
from immunolab.cells.proteins import ProteinGates
from immunolab.cells.scores import above_reference, chance_above, relative_score, signature_level
from immunolab.cells.space import cell_space
from immunolab.cells.subsets import ABOVE_BACKGROUND, SURE, Answer, Answers
from immunolab.clustering.expression import Array, Neighbours, similar_cells, smooth
from immunolab.events.cells import has_genes
from immunolab.gating.method_results import Cut
from immunolab.gating.placement.methods.mixture import mixture
from immunolab.gating.placement.methods.tail import tail
from immunolab.schema.flags import Flag
from immunolab.vocabulary.signatures import expected_levels, signature

if TYPE_CHECKING:
    from anndata import AnnData

Mask = NDArray[np.bool_]
_HELPERS = {"Tfh": "cTfh_blood", "Th17": "Th17", "Th1": "Th1", "Th2": "Th2"}
_SPACE_SIGNATURES = ("Treg_core", "CD4_naive", "CD4_memory", "Th1", "Th2", "Th17", "cTfh_blood", "Teff_cytotoxic")
_QUESTIONS = ("treg", "naive", "ccr7", "tfh", "cxcr3", "ccr6", "ccr4")
_CD4_KINDS = ("CD4_naive", "CD4_memory", "CD4_effector")
_FEWEST_GENES = 2  # of a signature: one gene is lost in too many cells
_SPEAKS = 3.0  # times the level in another kind that makes a gene part the two
_NEIGHBOURS = (
    15  # cells a score is smoothed over: more hide subsets of a few cells, fewer leave the loss of transcripts
)
_CYTOTOXIC_ABOVE = 6.0  # sd above naive cells (judgement: lower takes effector memory for cytotoxic cells)
_SPREAD_SHARE = (
    0.5  # standard error of a border between two groups, as a share of its distance between them (judgement)
)


@dataclass(frozen=True)
class _GeneScores:
    """Smoothed scores of CD4 T cells and how far they are believed, by signature; what is missing is named."""

    values: Mapping[str, Array]
    trust: Mapping[str, float]
    found: Mapping[str, tuple[str, ...]]
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
    neighbours = similar_cells(cell_space(cells, gates, cd4, genes=genes, seed=seed), _NEIGHBOURS, seed)
    own = _genes_of(cells, cd4)
    scores = _gene_scores(own, neighbours)
    treg, note = known.treg, ""
    if treg is None and "Treg_core" in scores.values:
        treg, note = _treg_by_score(scores.values["Treg_core"], gates, seed)
    naive = _naive_by_kinds(cells, cd4, neighbours, seed) if known.naive is None else known.naive
    memory = np.ones(int(cd4.sum()), dtype=bool) if naive is None else naive < SURE
    reference = memory if naive is None else ~memory
    if treg is not None:
        memory = memory & (treg < SURE)

    def over_reference(name: str, border: float) -> Answer:
        score = scores.values.get(name)
        if score is None:
            return None
        return chance_above(scores.trust[name] * above_reference(score, reference), border, 1.0)

    helper, unparted = _helper_scores(own, scores, neighbours, memory)
    return replace(
        known,
        treg=treg,
        naive=naive,
        helper=helper,
        effector=over_reference("CD4_Tem", ABOVE_BACKGROUND),
        cytotoxic=over_reference("Teff_cytotoxic", _CYTOTOXIC_ABOVE),
        notes=(*known.notes, *scores.missing, *unparted, *([note] if note else [])),
    )


def _helper_scores(
    cells: AnnData, scores: _GeneScores, neighbours: Neighbours, memory: Mask
) -> tuple[dict[str, Array], list[str]]:
    """Return how far each helper score is beyond random genes, and what had too few genes to compare with."""
    wanted = {name: scores.found[name] for name in _HELPERS.values() if name in scores.found}
    beyond = beyond_random(cells, wanted, neighbours, memory)
    lacking = [name for name in wanted if name not in beyond]
    notes = [f"{', '.join(lacking)}: too few other genes to compare with; not scored"] if lacking else []
    return {key: scores.trust[name] * beyond[name] for key, name in _HELPERS.items() if name in beyond}, notes


def _genes_of(cells: AnnData, among: Mask) -> AnnData:
    """Return the genes of some cells, copied once: a view would copy them at each score."""
    from anndata import AnnData

    return AnnData(cells.X[among], var=cells.var[[]])


def _gene_scores(cells: AnnData, neighbours: Neighbours) -> _GeneScores:
    """Return scores, half a cell's own and half its neighbours'; missing genes weaken a signature in proportion."""
    values: dict[str, Array] = {}
    trust: dict[str, float] = {}
    found: dict[str, tuple[str, ...]] = {}
    missing = []
    helpers = set(_HELPERS.values())
    for name in (*_HELPERS.values(), "Treg_core", "CD4_Tem", "Teff_cytotoxic"):
        genes = signature(name)
        # helper scores are compared with random genes elsewhere; here only what of them was measured
        score = (signature_level if name in helpers else relative_score)(cells, genes)
        absent = f"{name}: {len(score.missing)} of {len(genes)} genes are absent ({', '.join(score.missing)})"
        if len(score.found) >= _FEWEST_GENES:
            found[name] = score.found
            if name not in helpers:
                values[name] = (score.values + smooth(neighbours, score.values)) / 2
            trust[name] = float(np.sqrt(score.share))
        if len(score.found) < _FEWEST_GENES:
            missing.append(f"{absent}; not scored")
        elif not score.usable:
            missing.append(f"{absent}; it weighs {100 * trust[name]:.0f} %")
    return _GeneScores(values, trust, found, tuple(missing))


def _naive_by_kinds(cells: AnnData, cd4: Mask, neighbours: Neighbours, seed: int) -> Answer:
    """Return the probability of the naive kind among CD4 T cells; None where next to no gene parts it from memory."""
    markers = marker_counts(cells, cd4)
    table = expected_levels()
    rows = [table.genes.index(gene) for gene in markers.genes]
    levels = table.levels[np.ix_(rows, [table.kinds.index(kind) for kind in _CD4_KINDS])]
    speaking = levels.max(axis=1) >= _SPEAKS * levels.min(axis=1)
    if speaking.sum() < _FEWEST_GENES:
        return None
    fit = fit_kinds(markers, _CD4_KINDS, seed=seed)
    return settle(fit, neighbours, np.ones(int(cd4.sum()), dtype=bool))[:, 0]


def _treg_by_score(score: Array, gates: ProteinGates, seed: int) -> tuple[Answer, str]:
    """Cut the Treg core score between two groups; where they are not apart, over the main summit's tail."""
    cut, method = _score_border(score)
    if np.isnan(cut.value):
        return None, "too few CD4 T cells for a border of the Treg score"
    cut = with_interval(cut, score > cut.value, lambda rows: score > _score_border(score[rows])[0].value, seed)
    gates.record("Treg", "Treg_core score", cut, method, channel="genes")
    return chance_above(score, cut.value, _spread(cut, score)), ""


def _score_border(score: Array) -> tuple[Cut, str]:
    """Return the border of a score and its method; where two groups may be one, the tail reads high and says so."""
    cut = mixture(score)
    if np.isfinite(cut.value) and Flag.UNIMODAL not in cut.flags:
        return cut, "mixture"
    end = tail(score)
    return replace(end, flags=tuple(dict.fromkeys((*end.flags, Flag.UNIMODAL)))), "tail"


def _spread(cut: Cut, score: Array) -> float:
    return _SPREAD_SHARE * (cut.spread or spread_of(score))
