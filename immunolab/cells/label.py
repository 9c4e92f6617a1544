"""Labels of single cells: lineage first, then subsets of CD4 T cells."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from immunolab.cells.ambient import DROWNED, ambient_rows, ambient_shares, said_of_ambient, said_of_unparted
from immunolab.cells.cd4 import cd4_answers
from immunolab.cells.lineage import (
    Called,
    call_lineages,
    lineage_of_kinds,
    said_beyond_blood,
    settle,
    shares_of,
)
from immunolab.cells.marker_model import KindFit, fit_kinds, kinds_seen, marker_counts, missing_genes
from immunolab.cells.protein_lineages import ProteinEvidence, lineage_evidence
from immunolab.cells.proteins import ProteinGates
from immunolab.cells.quality import CellQuality, check_cells
from immunolab.cells.sibling_evidence import sibling_evidence
from immunolab.cells.siblings import can_part_cd4, chance_of_cd4, log_odds, sure_of_sibling
from immunolab.cells.sorts import Sorts, as_sorted, declared_sorts, lineages_of, perhaps_sorted, possible_kinds
from immunolab.cells.space import cell_space
from immunolab.cells.subsets import chances_of_cd4, members_of_cd4, name_cd4
from immunolab.clustering.expression import Array, similar_cells
from immunolab.clustering.names import UNASSIGNED
from immunolab.events.cells import has_genes, notes_of, sample_ids_of
from immunolab.gating.tube_gates import thresholds_table
from immunolab.progress import phases
from immunolab.schema.flags import flag, shown

if TYPE_CHECKING:
    from anndata import AnnData

Mask = NDArray[np.bool_]
_CD4_GENES = ("CD4", "CD8A", "CD8B")
_LYMPHOID = ("CD3", "NK", "B", "Plasma")
_OTHERS = ("Mono", "DC", "pDC", "HSPC")
_CONTRADICTED = 0.1  # probability of CD4 or of CD8 in a cell whose own proteins say otherwise
_T_NEIGHBOURS = 30  # more than for subsets: CD4 transcripts are seen in a tenth of CD4 cells
_NAMELESS = 0.1  # share of cells without a lineage from which a note gives their number (judgement)
_PHASES = ("quality", "neighbours", "lineages", "T cells")


@dataclass(frozen=True)
class LabelledCells:
    """Labels of cells and what they are made of.

    Attributes
    ----------
    table
        cell_id, sample_id, label, confidence; one row a cell in file order.
    thresholds
        Rows of `tables.THRESHOLDS`: borders of surface proteins and of the log odds of Treg by genes.
    quality
        Limits, and which cells passed them.
    notes
        Whether genes or proteins decided, and what could not be assessed.
    members
        Population -> which cells are in it, overlapping as in a gate tree.
    chance
        Population -> probability of each cell of its parent; NaN outside the parent.
    by_protein
        Populations that surface proteins define; genes define the others.
    points
        The space lineages are learnt in, cells x dimensions (components of genes, proteins beside them).
    definition
        What defines every population, where it is neither proteins nor genes.
    unparted
        Samples whose T cells ambient RNA keeps from being parted into CD4 and CD8: they have no share of either.
    """

    table: pd.DataFrame
    thresholds: pd.DataFrame
    quality: CellQuality
    notes: tuple[str, ...]
    members: Mapping[str, Mask]
    chance: Mapping[str, Array]
    by_protein: frozenset[str]
    points: Array
    definition: str = ""
    unparted: frozenset[str] = frozenset()


@dataclass(frozen=True)
class _Calls:
    """Labels after a step, and what the step found."""

    labels: NDArray[np.object_]
    sure: Array
    chance: Mapping[str, Array]
    members: Mapping[str, Mask] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    fit: KindFit | None = None
    by_protein: ProteinEvidence | None = None


def label_cells(
    cells: AnnData, *, population: str = "", sorts: Mapping[str, str] = MappingProxyType({}), seed: int = 0
) -> LabelledCells:
    """Return a label for each cell: a subset of CD4 T cells, a lineage, or ``unassigned``.

    Surface proteins and genes are combined, each by its evidence. A cell that fails quality control is ``unassigned``
    with confidence 0.

    Parameters
    ----------
    cells
        Under the storage contract, as `read_cells` gives them.
    population
        What the cells were sorted as (``CD4``, ``CD3``, ``B`` ...); "" where nothing is known.
    sorts
        sample_id -> what its cells were sorted as, for samples that differ.
    seed
        Of every random draw.

    Raises
    ------
    InputError
        The population is none that cells are sorted as.
    """
    declared = declared_sorts(sample_ids_of(cells), population, sorts)
    with phases("labelling", _PHASES) as next_phase:
        quality = check_cells(cells)
        next_phase()
        gates = ProteinGates(cells, seed)
        points = cell_space(cells, gates, seed=seed)
        next_phase()
        calls = _lineages(cells, gates, points, quality.passed, declared, seed)
        ambient = ambient_shares(cells, calls.members)
        next_phase()
        drowned = _drowned(cells, calls, ambient) & ~np.isin(declared, ("CD4", "CD8"))
        calls = _t_cells(cells, gates, calls, quality.passed & ~drowned, declared, seed)
    quality = replace(
        quality,
        table=pd.concat([quality.table, ambient_rows(ambient)], ignore_index=True),
        notes=(*quality.notes, *said_of_ambient(ambient)),
    )
    samples = sample_ids_of(cells)
    unparted = [str(name) for name in dict.fromkeys(samples[drowned])]
    thresholds = thresholds_table(gates.borders_of(list(dict.fromkeys(samples))))
    table = pd.DataFrame(
        {
            "cell_id": np.asarray(cells.obs_names, dtype=object),
            "sample_id": samples,
            "label": np.where(quality.passed, calls.labels, UNASSIGNED),
            "confidence": np.round(np.where(quality.passed, calls.sure, 0.0), 4),
        }
    )
    return LabelledCells(
        table=table,
        thresholds=thresholds,
        quality=quality,
        notes=tuple(
            dict.fromkeys(
                (
                    *notes_of(cells),
                    *quality.notes,
                    *said_of_unparted(unparted),
                    *calls.notes,
                    *perhaps_sorted(calls.members, quality.passed, declared),
                    *gates.notes,
                    *_doubts(thresholds),
                )
            )
        ),
        members=calls.members,
        chance=calls.chance,
        by_protein=frozenset(border.population for border in gates.borders if border.channel != "genes"),
        points=points,
        unparted=frozenset(unparted),
    )


def _drowned(cells: AnnData, calls: _Calls, ambient: Mapping[str, float]) -> Mask:
    """Return the cells of samples whose ambient RNA hides what parts CD4 from CD8, where genes alone part them."""
    samples = [name for name, share in ambient.items() if share >= DROWNED]
    by_protein = calls.by_protein is not None and calls.by_protein.has_parting
    return np.isin(sample_ids_of(cells), [] if by_protein else samples)


def _doubts(thresholds: pd.DataFrame) -> Iterator[str]:
    for population, words in zip(thresholds["population"], thresholds["flag"], strict=True):
        yield from (f"{population}: its share is doubtful: {flag(word).meaning}" for word in shown(words))


def _lineages(cells: AnnData, gates: ProteinGates, points: Array, passed: Mask, declared: Sorts, seed: int) -> _Calls:
    markers = marker_counts(cells) if has_genes(cells) else None
    kinds = kinds_seen(possible_kinds(declared), markers.genes if markers else ())
    unknown, notes = frozenset(lineage_of_kinds(kinds)) - {UNASSIGNED}, list[str]()
    if markers:
        fit = fit_kinds(markers, kinds, seed=seed, learn=np.flatnonzero(passed))
        unknown, said = missing_genes(markers.genes)
        notes += said
    else:
        fit = KindFit(kinds, np.zeros((cells.n_obs, len(kinds))), np.full(len(kinds), 1 / len(kinds)))
    by_protein = lineage_evidence(gates, kinds, passed, fit.evidence if markers else None)
    unknown = frozenset(lineage_of_kinds(kinds)) - {UNASSIGNED} if by_protein.withheld else unknown - by_protein.named
    if unknown and not by_protein.withheld:
        notes.append(f"{', '.join(sorted(unknown))}: next to no gene or protein of these was measured; not assessed")
    both = by_protein.evidence + fit.evidence
    fit = KindFit(kinds, both, shares_of(both[passed]) if passed.any() else fit.weight)
    neighbours = similar_cells(points, seed=seed)
    chance = settle(fit, neighbours, passed)
    chance, of_sorts = as_sorted(fit, chance, declared)
    notes += of_sorts
    sources = [*(["genes"] if markers else []), *(["surface proteins"] if by_protein.used else [])]
    notes += [
        *by_protein.notes,
        *said_beyond_blood(chance, kinds, passed),
        f"lineages are called by {' and '.join(sources) or 'nothing'}",
    ]
    called = call_lineages(chance, kinds, unknown - lineages_of(declared))
    nameless = int(((called.labels == UNASSIGNED) & passed).sum())
    if nameless > _NAMELESS * passed.sum() and not by_protein.withheld:
        what = "not clearly of a lineage that the genes and proteins measured can name"
        notes.append(f"{nameless:,} of {int(passed.sum()):,} cells are {UNASSIGNED}: {what}")
    return _calls(called, passed, fit, by_protein, *notes)


def _calls(found: Called, passed: Mask, fit: KindFit, by_protein: ProteinEvidence, *notes: str) -> _Calls:
    """Return lineages with T cells under their population's name, CD3, and the populations they make."""
    labels = np.where(found.labels == "T", "CD3", found.labels).astype(object)
    own = {name: (labels == name) & passed for name in (*_LYMPHOID, *_OTHERS)}
    lymphocytes = np.isin(labels, _LYMPHOID) & passed
    members = {"viable": passed, "lymphocytes": lymphocytes, **{name: m for name, m in own.items() if m.any()}}
    chance = {"CD3" if name == "T" else name: values for name, values in found.chance.items()}
    return _Calls(labels, found.confidence, chance, members, notes, fit, by_protein)


def _t_cells(cells: AnnData, gates: ProteinGates, calls: _Calls, passed: Mask, declared: Sorts, seed: int) -> _Calls:
    """Return the calls with T cells parted into CD4 and CD8, and CD4 T cells into subsets."""
    t_cells = (calls.labels == "CD3") & passed
    parted, doubt, note = _cd4_and_cd8(cells, gates, calls, t_cells, declared, seed)
    if parted is None:
        return replace(calls, notes=(*calls.notes, *note))
    labels, sure = calls.labels.copy(), calls.sure.copy()
    cd4, cd8 = (t_cells & ~doubt & sure_of_sibling(*both) for both in (parted, parted[::-1]))
    for name, inside, own in (("CD4", cd4, parted[0]), ("CD8", cd8, parted[1])):
        labels[inside], sure[inside] = name, np.minimum(sure, own)[inside]
    answers = cd4_answers(cells, gates, cd4, seed=seed)
    subset = name_cd4(int(cd4.sum()), answers)
    labels[cd4], sure[cd4] = subset.labels, np.minimum(sure[cd4], subset.confidence)
    members = {"CD4": cd4 & passed, "CD8": cd8 & passed}
    for name, inside in members_of_cd4(int(cd4.sum()), answers, subset.labels).items():
        members[name] = _spread(inside, cd4, False) & passed
    chance = {"CD4": np.where(t_cells, parted[0], np.nan), "CD8": np.where(t_cells, parted[1], np.nan)}
    chance |= {name: _spread(values, cd4, np.nan) for name, values in chances_of_cd4(answers).items()}
    return _Calls(
        labels, sure, {**calls.chance, **chance}, {**calls.members, **members}, (*calls.notes, *note, *answers.notes)
    )


def _spread(values: np.ndarray, among: Mask, elsewhere: float) -> np.ndarray:
    """Return the values of some cells as values of all."""
    result = np.full(len(among), elsewhere, dtype=values.dtype)
    result[among] = values
    return result


def _cd4_and_cd8(
    cells: AnnData, gates: ProteinGates, calls: _Calls, t_cells: Mask, declared: Sorts, seed: int
) -> tuple[tuple[Array, Array] | None, Mask, tuple[str, ...]]:
    """Return as `_cd4_or_cd8` does, where T cells of a sort are what they were sorted as."""
    of_sort = t_cells & np.isin(declared, ("CD4", "CD8"))
    if not of_sort.any():
        return _cd4_or_cd8(cells, gates, calls, t_cells, seed)
    parted, doubt, notes = _cd4_or_cd8(cells, gates, calls, t_cells & ~of_sort, seed)
    nowhere = np.zeros(len(t_cells))
    four, eight = (nowhere, nowhere) if parted is None else parted
    four, eight = (
        np.where(of_sort, (declared == name).astype(np.float64), chance)
        for name, chance in (("CD4", four), ("CD8", eight))
    )
    return (four, eight), doubt, notes


def _cd4_or_cd8(
    cells: AnnData, gates: ProteinGates, calls: _Calls, t_cells: Mask, seed: int
) -> tuple[tuple[Array, Array] | None, Mask, tuple[str, ...]]:
    """Return the probabilities of CD4 and of CD8 among T cells (None: not assessed), cells in doubt, and notes."""
    certain = np.zeros(len(t_cells), dtype=bool)
    fit, by_protein = calls.fit, calls.by_protein
    if fit is None or by_protein is None or t_cells.sum() < 2:
        return None, certain, ()
    kinds = tuple(np.array(fit.kinds)[np.isin(lineage_of_kinds(fit.kinds, t_as_one=False), ("CD4", "CD8", "T"))])
    markers = marker_counts(cells, t_cells) if has_genes(cells) else None
    by_genes = None
    if markers is not None and can_part_cd4(markers.genes):
        by_genes = markers, fit_kinds(markers, kinds, seed=seed)
    if by_genes is None and not by_protein.has_parting:
        return None, certain, ("CD4 and CD8 cannot be parted: neither their proteins nor CD8A or CD8B",)
    points = cell_space(cells, gates, t_cells, genes=_CD4_GENES, seed=seed)
    said = sibling_evidence(kinds, by_genes, by_protein, t_cells)
    found = chance_of_cd4(
        KindFit(kinds, said.evidence, shares_of(said.evidence)),
        said.odds,
        points,
        similar_cells(points, _T_NEIGHBOURS, seed),
        of_own=said.of_own,
        by_state=said.lost,
        expected=said.expected,
        drawn=(log_odds(said.drawn[0], kinds), log_odds(said.drawn[1], kinds)),
    )
    four, eight = (_spread(values, t_cells, 0.0) for values in found.chances)
    # double negative and double positive cells are T cells of neither
    four = np.where(by_protein.contradicts("CD4", "CD8"), np.minimum(four, _CONTRADICTED), four)
    eight = np.where(by_protein.contradicts("CD8", "CD4"), np.minimum(eight, _CONTRADICTED), eight)
    sources = [*(["genes"] if by_genes else []), *(["surface proteins"] if by_protein.has_parting else [])]
    notes = [f"CD4 and CD8 are called by {' and '.join(sources)}"]
    if len(found.present) == 1:
        alone, rarer = ("CD4", "CD8") if found.present[0] == "CD4" else ("CD8", "CD4")
        limit = (
            f"fewer than {100 * found.seen_from:.0f} % of {rarer} would not be seen"
            if found.seen_from < 1
            else f"the cells show so little that no share of {rarer} that is tried would be seen"
        )
        notes.append(f"the T cells are one kind, {alone}: a second one explains them no better ({limit})")
    if np.isfinite(found.swapped):
        called = f"about {100 * found.swapped:.0f} % would be called CD8 (of drawn cells)"
        notes.append(f"of CD4 cells among these CD8 cells, {called}")
    if found.in_doubt.any():
        notes.append(
            f"{int(found.in_doubt.sum())} T cells stay CD3: what they show could be of CD4 or of CD8, "
            "and which is commoner is no evidence of a cell"
            + (f"; if they were sorted as {found.present[0]}, say so (--population)" if len(found.present) == 1 else "")
        )
    return (four, eight), _spread(found.in_doubt, t_cells, False), tuple(notes)
