"""What is known of each CD4 T cell: by surface proteins where their borders can be placed, else by genes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from immunolab.cells.border_interval import with_interval
from immunolab.cells.cd4_programmes import Programmes, programme_genes, programmes_of
from immunolab.cells.cd8_alone import LEAST_GAIN
from immunolab.cells.lineage import settle, shares_and_fit
from immunolab.cells.marker_model import fit_kinds, marker_counts
from immunolab.cells.proteins import ProteinGates
from immunolab.cells.scores import above_reference, chance_above, relative_score
from immunolab.cells.space import cell_space
from immunolab.cells.subsets import ABOVE_BACKGROUND, SURE, Answer, Answers
from immunolab.clustering.expression import Array, Neighbours, similar_cells, smooth
from immunolab.events.cells import has_genes
from immunolab.gating.method_results import Cut
from immunolab.schema.flags import Flag
from immunolab.vocabulary.signatures import cd4_programmes, expected_levels, signature

if TYPE_CHECKING:
    from anndata import AnnData

Mask = NDArray[np.bool_]
_HELPERS = ("Tfh", "Th17", "Th1", "Th2")
_SPACE_SIGNATURES = ("Treg_core", "CD4_naive", "CD4_memory", "Th1", "Th2", "Th17", "cTfh_blood", "Teff_cytotoxic")
_QUESTIONS = {
    "naive": "naive and memory (CD45RA, CD45RO)",
    "ccr7": "central and effector memory (CCR7)",
    "tfh": "Tfh (CXCR5)",
    "cxcr3": "Th1 (CXCR3)",
    "ccr6": "Th17 (CCR6)",
    "ccr4": "Th2 (CCR4)",
}
_CD4_KINDS = ("CD4_naive", "CD4_memory", "CD4_effector")
_FEWEST_GENES = 2  # of a signature: one gene is lost in too many cells
_SPEAKS = 3.0  # times the level in another kind that makes a gene part the two
_NEIGHBOURS = (
    15  # cells a score is smoothed over: more hide subsets of a few cells, fewer leave the loss of transcripts
)
_CYTOTOXIC_ABOVE = 6.0  # sd above naive cells (judgement: lower takes effector memory for cytotoxic cells)


@dataclass(frozen=True)
class _GeneScores:
    """Smoothed scores of CD4 T cells and how far they are believed, by signature; what is missing is said."""

    values: Mapping[str, Array]
    trust: Mapping[str, float]
    notes: tuple[str, ...]


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
        Of drawn cells.
    """
    answers = _by_proteins(gates, cd4)
    if has_genes(cells) and cd4.sum() >= 2:
        answers = _by_genes(cells, gates, cd4, answers, seed)
    return replace(answers, notes=(*answers.notes, *_unanswered(answers)))


def _unanswered(answers: Answers) -> Sequence[str]:
    notes = []
    if answers.treg is None:
        notes.append("Treg cannot be assessed: neither CD25 with CD127 nor two of its genes")
    asked = _QUESTIONS
    if answers.helper:  # genes answer them, but for what receptors part
        asked = {name: _QUESTIONS[name] for name in ("tfh", "ccr4") if answers.has_receptors}
    if missing := [words for name, words in asked.items() if getattr(answers, name) is None]:
        notes.append("not assessed among CD4 T cells: " + ", ".join(missing))
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
    """Complete what proteins answer by programmes and signatures, learnt once on all samples."""
    genes = [gene for name in _SPACE_SIGNATURES for gene in signature(name)]
    neighbours = similar_cells(cell_space(cells, gates, cd4, genes=genes, seed=seed), _NEIGHBOURS, seed)
    scores = _gene_scores(_genes_of(cells, cd4), neighbours)
    naive = _naive_by_kinds(cells, cd4, neighbours, seed) if known.naive is None else known.naive
    memory = np.ones(int(cd4.sum()), dtype=bool) if naive is None else naive < SURE
    reference = memory if naive is None else ~memory
    found = programmes_of(
        marker_counts(cells, cd4, wanted=programme_genes()),
        np.zeros(len(memory)) if naive is None else naive,
        seed=seed,
    )
    treg = _treg_by_genes(found, gates, seed) if known.treg is None else known.treg

    def over_reference(name: str, border: float) -> Answer:
        score = scores.values.get(name)
        if score is None:
            return None
        return chance_above(scores.trust[name] * above_reference(score, reference), border, 1.0)

    return replace(
        known,
        treg=treg,
        naive=naive,
        helper={name: found.chance[name] for name in _HELPERS if name in found.chance},
        effector=over_reference("CD4_Tem", ABOVE_BACKGROUND),
        cytotoxic=over_reference("Teff_cytotoxic", _CYTOTOXIC_ABOVE),
        notes=(*known.notes, *_lacking(found), *scores.notes),
    )


def _lacking(found: Programmes) -> Sequence[str]:
    """Return a line on each programme that has a label and lacks half of its genes."""
    genes = cd4_programmes()
    notes = []
    for name in ("Treg", *_HELPERS):
        lost = found.missing[name]
        if 2 * len(lost) > len(genes[name].genes):
            end = "it is named less often" if name in found.chance else "not assessed"
            notes.append(f"{name}: {len(lost)} of {len(genes[name].genes)} genes are absent ({', '.join(lost)}); {end}")
    return notes


def _genes_of(cells: AnnData, among: Mask) -> AnnData:
    """Return the genes of some cells, copied once: a view would copy them at each score."""
    from anndata import AnnData

    return AnnData(cells.X[among], var=cells.var[[]])


def _gene_scores(cells: AnnData, neighbours: Neighbours) -> _GeneScores:
    """Return scores, half a cell's own and half its neighbours'; missing genes weaken a signature in proportion."""
    values: dict[str, Array] = {}
    trust: dict[str, float] = {}
    notes = []
    for name in ("CD4_Tem", "Teff_cytotoxic"):
        genes = signature(name)
        score = relative_score(cells, genes)
        absent = f"{name}: {len(score.missing)} of {len(genes)} genes are absent ({', '.join(score.missing)})"
        if len(score.found) < _FEWEST_GENES:
            notes.append(f"{absent}; not scored")
            continue
        values[name] = (score.values + smooth(neighbours, score.values)) / 2
        trust[name] = float(np.sqrt(score.share))
        if not score.usable:
            notes.append(f"{absent}; it weighs {100 * trust[name]:.0f} %")
    return _GeneScores(values, trust, tuple(notes))


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


def _treg_by_genes(found: Programmes, gates: ProteinGates, seed: int) -> Answer:
    """Return the probability of the programme; the border recorded is the log odds from which it is over one half."""
    if "Treg" not in found.chance:
        return None
    together = shares_and_fit(_against_none(found.odds))[1]
    cut = Cut(-_log_odds(found.share), () if together >= LEAST_GAIN else (Flag.UNIMODAL,))

    def place(rows: NDArray[np.int64]) -> Mask:
        share = float(np.clip(shares_and_fit(_against_none(found.odds[rows]))[0][0], 1e-6, 1 - 1e-6))
        return np.asarray(found.odds > -_log_odds(share))

    cut = with_interval(cut, found.chance["Treg"] >= SURE, place, seed)
    gates.record("Treg", "Treg log odds", cut, "mixture", channel="genes")
    return found.chance["Treg"]


def _against_none(odds: Array) -> Array:
    return np.column_stack([odds, np.zeros_like(odds)])


def _log_odds(share: float) -> float:
    return float(np.log(share / (1 - share)))
