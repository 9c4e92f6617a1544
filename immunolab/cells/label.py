"""Label single cells: lineage first, then subsets of CD4 T cells; `immunolab label`."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from immunolab.cells.lineage import (
    FEWEST_GENES,
    UNASSIGNED,
    Called,
    call_lineages,
    chance_of_cd4,
    relative_levels,
    share_of,
)
from immunolab.cells.proteins import ProteinGates, protein_lineages, spread_of
from immunolab.cells.quality import CellQuality, check_cells
from immunolab.cells.subsets import (
    Answers,
    above_most,
    above_reference,
    chance_above,
    gene_scores,
    members_of_cd4,
    name_cd4,
)
from immunolab.clustering.expression import (
    Array,
    Neighbours,
    components,
    nearest_cells,
    signature_score,
    smooth,
    variable_genes,
)
from immunolab.events.cells import Cells
from immunolab.gating.placement.methods.mixture import mixture
from immunolab.gating.placement.methods.tail import tail
from immunolab.loaders.single_cell import read_cells
from immunolab.schema.flags import Flag
from immunolab.schema.tables import LABELS, THRESHOLDS
from immunolab.vocabulary.signatures import lineages, signature

log = logging.getLogger("immunolab")
_SURE = 0.5
_CD4_GENES = ("CD4", "CD8A", "CD8B")
_LYMPHOID = ("CD3", "NK", "B", "Plasma")
_OTHERS = ("Mono", "DC", "pDC", "HSPC")
_SPACE_SIGNATURES = ("Treg_core", "CD4_naive", "CD4_memory", "Th1", "Th2", "Th17", "cTfh_blood", "Teff_cytotoxic")


@dataclass(frozen=True)
class Labelled:
    """Labels of cells and what they rest on.

    Attributes
    ----------
    table : cell_id, sample_id, label, confidence; one row a cell in file order.
    thresholds : rows of `tables.THRESHOLDS`: borders of surface proteins and of the Treg score.
    quality : limits and what each cell came to.
    notes : what the labels rest on, and what could not be answered.
    members : population -> which cells are in it, overlapping as in a gate tree.
    by_protein : populations that surface proteins define; the others rest on genes.
    points : the space lineages are learnt in, cells x dimensions (components of genes, proteins beside them).
    """

    table: pd.DataFrame
    thresholds: pd.DataFrame
    quality: CellQuality
    notes: tuple[str, ...]
    members: Mapping[str, NDArray[np.bool_]]
    by_protein: frozenset[str]
    points: NDArray[np.float64]


def label_file(path: Path | str, out: Path | str, *, sample_column: str = "", seed: int = 0) -> Labelled:
    """Label the cells of a file and write the table.

    Raises
    ------
    DataFileError
        The file cannot be used.
    """
    cells = read_cells(path, sample_column=sample_column)
    found = label_cells(cells, seed=seed)
    LABELS.write(found.table, Path(out))
    return found


def label_cells(cells: Cells, *, seed: int = 0) -> Labelled:
    """Return a label for each cell: a subset of CD4 T cells, a lineage, or ``unassigned``.

    Surface proteins decide where they were measured and their borders can be placed; genes decide the
    rest. A cell that fails quality control is ``unassigned`` with confidence 0.
    """
    quality = check_cells(cells, seed=seed)
    gates = ProteinGates(cells, seed)
    notes = [*cells.notes, *quality.notes]
    points = _points(cells, gates, np.ones(cells.n_cells, dtype=bool), (), seed)
    lineage = _lineages(cells, gates, points, quality.passed, seed, notes)
    labels, sure = lineage.labels.copy(), lineage.confidence.copy()
    t_cells = labels == "T"
    four = _cd4_or_cd8(cells, gates, t_cells, seed, notes)
    labels[t_cells] = "CD3"
    members = _lineage_members(labels, quality.passed)
    if four is not None:
        cd4, cd8 = t_cells & (four[0] >= _SURE), t_cells & (four[1] >= _SURE)
        labels[cd4], labels[cd8] = "CD4", "CD8"
        sure[cd4], sure[cd8] = np.minimum(sure, four[0])[cd4], np.minimum(sure, four[1])[cd8]
        answers = _cd4_answers(cells, gates, cd4, seed, notes)
        subset = name_cd4(int(cd4.sum()), answers)
        labels[cd4] = subset.labels
        sure[cd4] = np.minimum(sure[cd4], subset.confidence)
        members |= {"CD4": cd4 & quality.passed, "CD8": cd8 & quality.passed}
        for name, inside in members_of_cd4(int(cd4.sum()), answers, subset.labels).items():
            members[name] = np.zeros(cells.n_cells, dtype=bool)
            members[name][cd4] = inside & quality.passed[cd4]
    labels[~quality.passed], sure[~quality.passed] = UNASSIGNED, 0.0
    table = pd.DataFrame(
        {
            "cell_id": cells.cell_ids,
            "sample_id": cells.sample_ids,
            "label": labels,
            "confidence": np.round(sure, 4),
        }
    )
    by_protein = frozenset(str(row["population"]) for row in gates.rows if row["channel"] != "genes")
    return Labelled(
        table, _threshold_rows(gates, cells), quality, tuple(dict.fromkeys(notes)), members, by_protein, points
    )


def _lineage_members(labels: NDArray[np.object_], passed: NDArray[np.bool_]) -> dict[str, NDArray[np.bool_]]:
    """Return the cells that passed, the lymphocytes among them, and each lineage."""
    found = {name: (labels == name) & passed for name in (*_LYMPHOID, *_OTHERS)}
    lymphocytes = np.isin(labels, _LYMPHOID) & passed
    return {"viable": passed.copy(), "lymphocytes": lymphocytes, **{n: m for n, m in found.items() if m.any()}}


def _lineages(
    cells: Cells,
    gates: ProteinGates,
    points: NDArray[np.float64],
    good: NDArray[np.bool_],
    seed: int,
    notes: list[str],
) -> Called:
    by_protein = protein_lineages(gates, cells.n_cells) if cells.protein is not None else None
    if cells.normalised is None:
        assert by_protein is not None  # noqa: S101 - a file holds genes or proteins
        notes.append("lineages rest on surface proteins")
        return _most_probable(by_protein.chance, cells.n_cells)
    names = tuple(lineages())
    columns = cells.gene_columns()
    neighbours = nearest_cells(points, seed=seed)
    scores = [signature_score(cells.normalised, columns, genes) for genes in lineages().values()]
    lost = [name for name, score in zip(names, scores, strict=True) if len(score.found) < FEWEST_GENES]
    if lost:
        notes.append(f"under two genes measured of: {', '.join(lost)}; these lineages cannot be told")
    smoothed = np.stack([smooth(neighbours, score.values) for score in scores], axis=1)
    levels = relative_levels(smoothed, [len(score.found) for score in scores])
    levels[~good] = 0.0
    veto = by_protein.veto(names) if by_protein is not None and by_protein.chance else None
    notes.append("lineages rest on genes" + (" and surface proteins" if veto is not None else ""))
    return call_lineages(levels, names, points, neighbours, veto=veto)


def _most_probable(chance: Mapping[str, Array], n: int) -> Called:
    if not chance:
        return Called(np.full(n, UNASSIGNED, dtype=object), np.zeros(n))
    table = np.stack(list(chance.values()), axis=1)
    best = table.max(axis=1)
    labels = np.array(list(chance), dtype=object)[table.argmax(axis=1)]
    return Called(np.where(best >= _SURE, labels, UNASSIGNED), best)


def _points(
    cells: Cells, gates: ProteinGates, among: NDArray[np.bool_], genes: tuple[str, ...], seed: int
) -> NDArray[np.float64]:
    """Return principal components of the cells' genes, with the proteins beside them where there are any."""
    beside = np.empty((int(among.sum()), 0))
    if cells.protein is not None:
        shown = np.stack([gates.shown(marker)[among] for marker in cells.proteins], axis=1)
        beside = (shown - shown.mean(axis=0)) / np.maximum(shown.std(axis=0), 1e-9)
        beside /= np.sqrt(max(beside.shape[1] / 4, 1.0))
    if cells.normalised is None:
        return beside
    own = cells.normalised[among]
    columns = cells.gene_columns()
    extra = [columns[gene] for gene in genes if gene in columns]
    chosen = np.unique(np.concatenate([variable_genes(own), np.array(extra, dtype=np.int64)]))
    return np.hstack([components(own, chosen, seed=seed), beside])


def _cd4_or_cd8(
    cells: Cells, gates: ProteinGates, t_cells: NDArray[np.bool_], seed: int, notes: list[str]
) -> tuple[Array, Array] | None:
    """Return the probabilities of CD4 and of CD8 among T cells; None where nothing tells."""
    four, eight = gates.split("CD4", "CD4", t_cells), gates.split("CD8", "CD8", t_cells)
    if four is not None and eight is not None:
        notes.append("CD4 and CD8 rest on surface proteins")
        return four * (1 - eight), eight * (1 - four)
    if four is not None or eight is not None:
        one = four if four is not None else 1 - eight if eight is not None else None
        assert one is not None  # noqa: S101 - one of the two is there
        notes.append("CD4 and CD8 rest on one surface protein: the other was not measured or has no valley")
        return one, 1 - one
    columns = cells.gene_columns()
    if cells.normalised is None or not set(_CD4_GENES) & set(columns) or t_cells.sum() < 2:
        notes.append("CD4 and CD8 cannot be told apart: neither proteins nor genes of theirs")
        return None
    own = cells.normalised[t_cells]
    points = _points(cells, gates, t_cells, _CD4_GENES, seed)
    neighbours = nearest_cells(points, 30, seed)
    seen = np.zeros((int(t_cells.sum()), len(_CD4_GENES)), dtype=bool)
    for place, gene in enumerate(_CD4_GENES):
        if gene in columns:
            seen[:, place] = own[:, [columns[gene]]].toarray()[:, 0] > 0
    notes.append("CD4 and CD8 rest on genes")
    chance = np.zeros(cells.n_cells)
    chance[t_cells] = chance_of_cd4(seen, points, neighbours)
    return chance, np.where(t_cells, 1 - chance, 0.0)


def _cd4_answers(cells: Cells, gates: ProteinGates, cd4: NDArray[np.bool_], seed: int, notes: list[str]) -> Answers:
    n = int(cd4.sum())
    answers = _protein_answers(gates, cd4)
    if cells.normalised is not None and n >= 2:
        answers = _gene_answers(cells, gates, cd4, answers, seed, notes)
    said = [
        name for name in ("treg", "naive", "ccr7", "tfh", "cxcr3", "ccr6", "ccr4") if getattr(answers, name) is None
    ]
    if answers.treg is None:
        notes.append("Treg cannot be told: neither CD25 with CD127 nor half of the core genes")
    if said and not answers.helper:
        notes.append("not answered: " + ", ".join(said))
    return answers


def _protein_answers(gates: ProteinGates, cd4: NDArray[np.bool_]) -> Answers:
    """Return what the surface proteins tell of each CD4 T cell."""
    if gates.cells.protein is None:
        return Answers()
    naive = gates.split("CD4_naive", "CD45RA", cd4)
    if naive is None and (memory := gates.split("CD4_mem", "CD45RO", cd4)) is not None:
        naive = 1 - memory
    ccr7 = gates.split("CD4_CM", "CCR7", cd4)
    reference = None if naive is None else cd4 & (naive >= 0.5) & (True if ccr7 is None else ccr7 >= 0.5)
    treg = gates.treg(cd4, reference)

    def receptor(population: str, marker: str) -> Array | None:
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


def _inside(chance: Array | None, cd4: NDArray[np.bool_]) -> Array | None:
    return None if chance is None else chance[cd4]


def _gene_answers(
    cells: Cells, gates: ProteinGates, cd4: NDArray[np.bool_], known: Answers, seed: int, notes: list[str]
) -> Answers:
    """Complete what proteins tell by signatures; borders of scores are placed once, on all samples."""
    assert cells.normalised is not None  # noqa: S101 - asked by the caller
    genes = tuple(gene for name in _SPACE_SIGNATURES for gene in signature(name))
    neighbours: Neighbours = nearest_cells(_points(cells, gates, cd4, genes, seed), 15, seed)
    scores = gene_scores(cells.normalised[cd4], cells.gene_columns(), neighbours, seed)
    notes += scores.missing
    treg, naive = known.treg, known.naive
    if treg is None and scores.treg is not None:
        treg = _treg_by_score(scores.treg, gates, notes)
    if naive is None and scores.naive is not None:
        cut = mixture(scores.naive)
        if np.isfinite(cut.value):
            naive = chance_above(scores.naive, cut.value, 0.5 * (cut.spread or 1.0))
    memory = np.ones(int(cd4.sum()), dtype=bool) if naive is None else naive < 0.5
    reference = ~memory if naive is not None else memory.copy()
    if treg is not None:
        memory &= treg < 0.5
    helper = {name: above_most(score, memory) for name, score in scores.helper.items()}
    effector = None if scores.effector is None else above_reference(scores.effector, reference)
    cytotoxic = None if scores.cytotoxic is None else above_reference(scores.cytotoxic, reference)
    return replace(
        known,
        treg=treg,
        naive=naive,
        helper=helper,
        effector=None if effector is None else chance_above(effector, 2.33, 1.0),
        cytotoxic=None if cytotoxic is None else chance_above(cytotoxic, 6.0, 1.0),
        missing=scores.missing,
    )


def _treg_by_score(score: Array, gates: ProteinGates, notes: list[str]) -> Array | None:
    """Cut the Treg core score between two groups; where they are not apart, over the main summit's tail."""
    cut, name = mixture(score), "mixture"
    if np.isnan(cut.value) or Flag.UNIMODAL in cut.flags:
        cut, name = tail(score), "tail"
    if np.isnan(cut.value):
        notes.append("too few CD4 T cells for a border of the Treg score")
        return None
    gates.rows.append(
        {
            "population": "Treg",
            "marker": "Treg_core score",
            "channel": "genes",
            "threshold": cut.value,
            "method": name,
            "control": "density",
            "scope": "study",
            "flag": ";".join(cut.flags) or None,
        }
    )
    return chance_above(score, cut.value, 0.5 * (cut.spread or spread_of(score)))


def _threshold_rows(gates: ProteinGates, cells: Cells) -> pd.DataFrame:
    """Return every border once a sample, as the table has them."""
    samples = list(dict.fromkeys(cells.sample_ids))
    return THRESHOLDS.frame([{"sample_id": sample, **row} for sample in samples for row in gates.rows])


def label_text(found: Labelled) -> str:
    """Return the notes, limits and label shares as lines for the terminal."""
    shares = share_of(found.table["label"].to_numpy())
    counted = ", ".join(f"{name} {100 * share:.1f} %" for name, share in shares.items())
    lines = [f"note: {note}" for note in found.notes]
    return "\n".join([*lines, f"{len(found.table):,} cells: {counted}"])
