"""Labels of single cells: lineage first, then subsets of CD4 T cells."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from immunolab.cells.cd4 import cd4_answers
from immunolab.cells.lineage import (
    FEWEST_GENES,
    UNASSIGNED,
    Called,
    call_lineages,
    chance_of_cd4,
    most_probable,
    relative_levels,
)
from immunolab.cells.proteins import ProteinGates, protein_lineages
from immunolab.cells.quality import CellQuality, check_cells
from immunolab.cells.scores import signature_level
from immunolab.cells.space import cell_space
from immunolab.cells.subsets import SURE, chances_of_cd4, members_of_cd4, name_cd4
from immunolab.clustering.expression import Array, nearest_cells, smooth
from immunolab.events.cells import gene_columns, has_genes, notes_of, sample_ids_of
from immunolab.gating.tube_gates import thresholds_table
from immunolab.progress import phases
from immunolab.vocabulary.signatures import lineages

if TYPE_CHECKING:
    from anndata import AnnData

Mask = NDArray[np.bool_]
_CD4_GENES = ("CD4", "CD8A", "CD8B")
_LYMPHOID = ("CD3", "NK", "B", "Plasma")
_OTHERS = ("Mono", "DC", "pDC", "HSPC")
_T_NEIGHBOURS = 30  # more than for subsets: CD4 transcripts are seen in a tenth of CD4 cells
_PHASES = ("quality", "neighbours", "lineages", "T cells")


@dataclass(frozen=True)
class LabelledCells:
    """Labels of cells and what they are made of.

    Attributes
    ----------
    table
        cell_id, sample_id, label, confidence; one row a cell in file order.
    thresholds
        Rows of `tables.THRESHOLDS`: borders of surface proteins and of the Treg score.
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
    """

    table: pd.DataFrame
    thresholds: pd.DataFrame
    quality: CellQuality
    notes: tuple[str, ...]
    members: Mapping[str, Mask]
    chance: Mapping[str, Array]
    by_protein: frozenset[str]
    points: Array


@dataclass(frozen=True)
class _Calls:
    """Labels after a step, and what the step found."""

    labels: NDArray[np.object_]
    sure: Array
    chance: Mapping[str, Array]
    members: Mapping[str, Mask] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def label_cells(cells: AnnData, *, seed: int = 0) -> LabelledCells:
    """Return a label for each cell: a subset of CD4 T cells, a lineage, or ``unassigned``.

    Surface proteins decide where they were measured and their borders can be placed; genes decide the
    rest. A cell that fails quality control is ``unassigned`` with confidence 0.

    Parameters
    ----------
    cells
        Under the storage contract, as `read_cells` gives them.
    seed
        Of every random draw.
    """
    with phases("labelling", _PHASES) as next_phase:
        quality = check_cells(cells, seed=seed)
        next_phase()
        gates = ProteinGates(cells, seed)
        points = cell_space(cells, gates, seed=seed)
        next_phase()
        calls = _lineages(cells, gates, points, quality.passed, seed)
        next_phase()
        calls = _t_cells(cells, gates, calls, quality.passed, seed)
    samples = sample_ids_of(cells)
    table = pd.DataFrame(
        {
            "cell_id": np.asarray(cells.obs_names, dtype=object),
            "sample_id": samples,
            "label": np.where(quality.passed, calls.labels, UNASSIGNED),
            "confidence": np.round(np.where(quality.passed, calls.sure, 0.0), 4),
        }
    )
    borders = [replace(border, sample_id=sample) for sample in dict.fromkeys(samples) for border in gates.borders]
    return LabelledCells(
        table=table,
        thresholds=thresholds_table(borders),
        quality=quality,
        notes=tuple(dict.fromkeys((*notes_of(cells), *quality.notes, *calls.notes))),
        members=calls.members,
        chance=calls.chance,
        by_protein=frozenset(border.population for border in gates.borders if border.channel != "genes"),
        points=points,
    )


def _lineages(cells: AnnData, gates: ProteinGates, points: Array, passed: Mask, seed: int) -> _Calls:
    by_protein = protein_lineages(gates, cells.n_obs)
    if not has_genes(cells):
        found = most_probable(by_protein.chance, cells.n_obs)
        return _calls(found, passed, "lineages are called by surface proteins")
    names = tuple(lineages())
    neighbours = nearest_cells(points, seed=seed)
    scores = [signature_level(cells, genes) for genes in lineages().values()]
    lost = [name for name, score in zip(names, scores, strict=True) if len(score.found) < FEWEST_GENES]
    smoothed = np.stack([smooth(neighbours, score.values) for score in scores], axis=1)
    levels = relative_levels(smoothed, [len(score.found) for score in scores])
    levels = np.where(passed[:, None], levels, 0.0)
    veto = by_protein.veto(names) if by_protein.chance else None
    notes = [f"under two genes measured of: {', '.join(lost)}; these lineages cannot be assessed"] if lost else []
    notes.append("lineages are called by genes" + (" and surface proteins" if veto is not None else ""))
    return _calls(call_lineages(levels, names, points, neighbours, veto=veto), passed, *notes)


def _calls(found: Called, passed: Mask, *notes: str) -> _Calls:
    """Return lineages with T cells under their population's name, CD3, and the populations they make."""
    labels = np.where(found.labels == "T", "CD3", found.labels).astype(object)
    own = {name: (labels == name) & passed for name in (*_LYMPHOID, *_OTHERS)}
    lymphocytes = np.isin(labels, _LYMPHOID) & passed
    members = {"viable": passed, "lymphocytes": lymphocytes, **{name: m for name, m in own.items() if m.any()}}
    chance = {"CD3" if name == "T" else name: values for name, values in found.chance.items()}
    return _Calls(labels, found.confidence, chance, members, notes)


def _t_cells(cells: AnnData, gates: ProteinGates, calls: _Calls, passed: Mask, seed: int) -> _Calls:
    """Return the calls with T cells parted into CD4 and CD8, and CD4 T cells into subsets."""
    t_cells = calls.labels == "CD3"
    parted, note = _cd4_or_cd8(cells, gates, t_cells, seed)
    if parted is None:
        return replace(calls, notes=(*calls.notes, note))
    labels, sure = calls.labels.copy(), calls.sure.copy()
    cd4, cd8 = t_cells & (parted[0] >= SURE), t_cells & (parted[1] >= SURE)
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
        labels, sure, {**calls.chance, **chance}, {**calls.members, **members}, (*calls.notes, note, *answers.notes)
    )


def _spread(values: np.ndarray, among: Mask, elsewhere: float) -> np.ndarray:
    """Return the values of some cells as values of all."""
    result = np.full(len(among), elsewhere, dtype=values.dtype)
    result[among] = values
    return result


def _cd4_or_cd8(
    cells: AnnData, gates: ProteinGates, t_cells: Mask, seed: int
) -> tuple[tuple[Array, Array] | None, str]:
    """Return the probabilities of CD4 and of CD8 among T cells, None where neither can be assessed, and a note."""
    four, eight = gates.split("CD4", "CD4", t_cells), gates.split("CD8", "CD8", t_cells)
    if four is not None and eight is not None:
        return (four * (1 - eight), eight * (1 - four)), "CD4 and CD8 are called by surface proteins"
    one = four if four is not None else 1 - eight if eight is not None else None
    if one is not None:
        note = "CD4 and CD8 are called by one surface protein: the other was not measured or has no valley"
        return (one, 1 - one), note
    genes = [gene for gene in _CD4_GENES if gene in cells.var_names]
    if not genes or t_cells.sum() < 2:
        return None, "CD4 and CD8 cannot be parted: neither their proteins nor their genes were measured"
    chance = _spread(_cd4_by_genes(cells, gates, t_cells, genes, seed), t_cells, 0.0)
    return (chance, np.where(t_cells, 1 - chance, 0.0)), "CD4 and CD8 are called by genes"


def _cd4_by_genes(cells: AnnData, gates: ProteinGates, t_cells: Mask, genes: Sequence[str], seed: int) -> Array:
    points = cell_space(cells, gates, t_cells, genes=_CD4_GENES, seed=seed)
    columns = gene_columns(cells)
    seen = np.zeros((int(t_cells.sum()), len(_CD4_GENES)), dtype=bool)
    for gene in genes:
        seen[:, _CD4_GENES.index(gene)] = cells.X[t_cells][:, [columns[gene]]].toarray()[:, 0] > 0
    return chance_of_cd4(seen, points, nearest_cells(points, _T_NEIGHBOURS, seed))
