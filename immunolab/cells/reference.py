"""Labels of single cells by a labelled reference of the user's own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from immunolab.cells.label import LabelledCells, label_cells
from immunolab.cells.population_tree import parents_of
from immunolab.cells.quality import CellQuality
from immunolab.cells.reference_classifier import Calls, HeldOut, Values, classify
from immunolab.cells.reference_evidence import is_informative, own_evidence
from immunolab.cells.reference_lineages import contradicted_lineages, lineage_of_labels
from immunolab.cells.reference_siblings import PARENT, chance_between_siblings, contradicted, is_of, lacking
from immunolab.clustering.expression import Array
from immunolab.clustering.names import UNASSIGNED
from immunolab.errors import InputError, Problem, nearest
from immunolab.events.cells import (
    counts_of,
    gene_columns,
    has_genes,
    notes_of,
    proteins_are_counts,
    proteins_of,
    sample_ids_of,
)
from immunolab.progress import phases, quietly
from immunolab.schema.gating import THRESHOLDS
from immunolab.vocabulary.populations import populations

if TYPE_CHECKING:
    from anndata import AnnData
    from scipy.sparse import csr_matrix

UNLIKE = "unlike the reference"
"""Label of a cell that is unlike every label of the reference."""

_FEWEST_CELLS = 20  # of a label in the reference: half of them must call the other half (judgement)
_MOST_CELLS = 3_000  # of a label that are learnt from: ten labels are then seconds, and more change no call (judgement)
_FEWEST_GENES, _FEWEST_PROTEINS = 100, 3  # in common; celltypist refuses below a third of a model's some 500 genes
_OF_A_LABEL, _VARIABLE = 300, 1_500  # genes looked at: that part a label best, and that vary most in either data set
_OTHER_SCALE = "surface proteins are counts in one of reference and cells and not in the other: they are not compared"
_NAMED_MISSING = 8  # genes that a note names
_DONOR_COLUMNS = ("donor_id", "donor", "patient_id", "patient", "subject_id", "subject", "individual")
_FEWEST_SAMPLES = 4  # to hold out whole ones where donors are not named: fewer may be one person in several states
_UNSURE = 0.5  # of all cells unlike the reference: then it is another tissue, platform or state, which is said
_PHASES = ("quality", "neighbours", "reference", "labels")
_LINEAGES = {"CD3": "lymphocytes", "NK": "lymphocytes", "B": "lymphocytes", "Plasma": "lymphocytes"}


def label_by_reference(cells: AnnData, reference: AnnData, labels: str, *, seed: int = 0) -> LabelledCells:
    """Return for each cell the reference's most probable label, or that it is unlike the reference.

    Parameters
    ----------
    cells, reference
        Under the storage contract, with genes or at least three surface proteins in common.
    labels
        Column of the reference's ``obs``; an empty label is no label.
    seed
        Of every random draw.

    Raises
    ------
    InputError
        There is no such column, fewer than two labels have 20 cells, or too little was measured in both.
    """
    with phases("labelling", _PHASES) as next_phase:
        known, own, left_out = _learnt(reference, labels, seed)
        next_phase()
        with (
            quietly()
        ):  # each by itself: its lineages, its quality, and the space that its neighbours are looked for in
            by_itself, of_known = label_cells(cells, seed=seed), label_cells(known, seed=seed)
        quality, points = by_itself.quality, by_itself.points
        passed = np.flatnonzero(quality.passed)
        if not passed.size:
            said = (*quality.notes, *left_out, "no cell passes every limit: none has a label of the reference")
            return replace(by_itself, thresholds=THRESHOLDS.empty(), notes=(*notes_of(cells), *said))
        next_phase()
        some = cells if len(passed) == cells.n_obs else cells[passed]
        learnt, query, notes = _in_common(known, own, some)
        groups, of = _groups(known)
        names = {str(name): population_called(str(name)) for name in np.unique(own)}
        evidence = _evidence(own, of_known, by_itself, passed, names)
        calls, held = classify(learnt, own, groups, query, (of_known.points, points[passed]), seed, evidence)
        next_phase()
    lineages = [lineage_of_labels(one.table["label"].to_numpy(dtype=object)) for one in (of_known, by_itself)]
    away, of_lineages = contradicted_lineages((own, lineages[0]), (calls.best, lineages[1][passed]), names)
    calls = replace(calls, like=np.where(away, 0.0, calls.like))
    said = (*quality.notes, *left_out, *notes, *_said(calls, held, of), *of_lineages)
    return _labelled(cells, passed, calls, said, points, quality, by_itself, (own, of_known))


def _learnt(reference: AnnData, labels: str, seed: int) -> tuple[AnnData, NDArray[np.object_], tuple[str, ...]]:
    """Return the reference's cells that are learnt from, at most so many of a label, their labels, and notes."""
    if labels not in reference.obs:
        hint = nearest(labels, reference.obs.columns) or f"it has: {', '.join(map(str, reference.obs.columns))}"
        raise InputError(Problem("reference", f"obs, column '{labels}'", "there is no such column", hint))
    own = reference.obs[labels].astype("string").fillna("").str.strip().str.replace("/", "-").to_numpy(dtype=object)
    names, sizes = np.unique(own[own != ""].astype(str), return_counts=True)
    kept = names[sizes >= _FEWEST_CELLS]
    if len(kept) < 2:
        there = ", ".join(f"{name} ({size})" for name, size in zip(names, sizes, strict=True)) or "none"
        text = f"a reference needs two labels of {_FEWEST_CELLS} cells; labels: {there}"
        raise InputError(Problem("reference", f"obs, column '{labels}'", text, "name another column"))
    rng = np.random.default_rng(seed)
    rows = [rng.permutation(np.flatnonzero(own == name))[:_MOST_CELLS] for name in kept]
    chosen = np.sort(np.concatenate(rows))
    few = [f"{name} ({size})" for name, size in zip(names, sizes, strict=True) if size < _FEWEST_CELLS]
    said = (
        [f"labels of fewer than {_FEWEST_CELLS} cells of the reference, which no cell can get: {', '.join(few)}"]
        if few
        else []
    )
    if unlabelled := int((own == "").sum()):
        said.append(f"{unlabelled} of {len(own)} cells of the reference have no label; they are not learnt from")
    return reference[chosen].copy(), own[chosen], tuple(said)


def _evidence(
    labels: NDArray[np.object_],
    of_known: LabelledCells,
    by_itself: LabelledCells,
    passed: NDArray[np.int64],
    names: Mapping[str, str],
) -> tuple[Array, Array] | None:
    """Return what the cells' own genes and proteins say of each label, None where that is nothing in the reference."""
    first = own_evidence(of_known, list(names.values()))
    if not is_informative(first, np.searchsorted(np.array(list(names), dtype=object), labels)):
        return None
    return first, own_evidence(by_itself, list(names.values()))[passed]


def _groups(reference: AnnData) -> tuple[NDArray[np.object_], str]:
    """Return the donor of each cell of a reference, else its sample where there are several; and which of the two."""
    by_lower = {str(name).lower(): name for name in reference.obs.columns}
    for name in _DONOR_COLUMNS:
        if name in by_lower:
            donors = reference.obs[by_lower[name]].astype("string").fillna("").to_numpy(dtype=object)
            if len(set(donors)) > 1 and "" not in set(donors):
                return donors, "donors"
            return np.full(reference.n_obs, "one", dtype=object), "donors"
    samples = sample_ids_of(reference)
    if len(set(samples)) >= _FEWEST_SAMPLES:
        return samples, "samples"
    return np.full(reference.n_obs, "one", dtype=object), "samples"


def _in_common(
    reference: AnnData, labels: NDArray[np.object_], cells: AnnData
) -> tuple[Values, Values, tuple[str, ...]]:
    """Return the values of what both measured, and notes: genes on one scale, proteins beside them."""
    blocks: list[tuple[Values, Values]] = []
    notes: list[str] = []
    measured = gene_columns(cells)
    genes = [gene for gene in reference.var_names if gene in measured] if has_genes(reference) else []
    if len(genes) >= _FEWEST_GENES:
        first, second = _log_shares(reference, cells, genes)
        chosen = _looked_at(first, second, labels)
        blocks.append((_dense(first, chosen), _dense(second, chosen)))
        notes += _missing(reference, labels, set(genes))
    one, other = proteins_of(reference), proteins_of(cells)
    names = [name for name in one if name in other] if one is not None and other is not None else []
    alike = proteins_are_counts(reference) == proteins_are_counts(cells)
    if names and not alike:
        notes.append(_OTHER_SCALE)
    if one is not None and other is not None and alike and len(names) >= _FEWEST_PROTEINS:
        blocks.append((_centred_logs(one[names]), _centred_logs(other[names])))
        lacking = [str(name) for name in one if name not in names]
        notes += [f"proteins of the reference that were not measured: {', '.join(lacking)}"] if lacking else []
    if not blocks:
        text = f"{len(genes)} genes and {len(names)} surface proteins are in both"
        text = text if alike or not names else f"{text}; {_OTHER_SCALE}"
        hint = f"a reference needs {_FEWEST_GENES} genes, by the same names, or {_FEWEST_PROTEINS} proteins in common"
        raise InputError(Problem("reference", "", text, hint))
    sides = zip(*blocks, strict=True)
    learnt, query = (np.hstack(side) for side in sides)
    return learnt, query, tuple(notes)


def _log_shares(reference: AnnData, cells: AnnData, genes: Sequence[str]) -> tuple[csr_matrix, csr_matrix]:
    """Return log1p of counts per 10,000 of the genes in common; without counts on both sides, as normalised before.

    The deeper of the two is thinned to the other's median count: genes that fewer counts leave unseen, and the noise of
    a cell, are then those of one depth.
    """
    sides = reference, cells
    columns = [[measured[gene] for gene in genes] for measured in map(gene_columns, sides)]
    counts = [one for one in map(counts_of, sides) if one is not None]
    if len(counts) < len(sides):
        return reference.X[:, columns[0]].tocsr(), cells.X[:, columns[1]].tocsr()
    own = [one[:, some].astype(np.float32).tocsr() for one, some in zip(counts, columns, strict=True)]
    depth = [max(float(np.median(np.asarray(one.sum(axis=1)))), 1.0) for one in own]
    first, second = (_logged(_thinned(one, min(depth) / deep)) for one, deep in zip(own, depth, strict=True))
    return first, second


def _thinned(counts: csr_matrix, share: float) -> csr_matrix:
    """Return counts of which each was kept with that probability; the same ones in every call."""
    if share >= 1.0:
        return counts
    counts.data = np.random.default_rng(0).binomial(np.round(counts.data).astype(np.int64), share).astype(np.float32)
    counts.eliminate_zeros()
    return counts


def _logged(counts: csr_matrix) -> csr_matrix:
    total = np.maximum(np.asarray(counts.sum(axis=1)).ravel(), 1.0)
    counts.data = np.log1p(counts.data * np.repeat(1e4 / total, np.diff(counts.indptr))).astype(np.float32)
    return counts


def _looked_at(reference: csr_matrix, query: csr_matrix, labels: NDArray[np.object_]) -> NDArray[np.int64]:
    """Return the genes that part a label from the others, and those that vary most in either data set."""
    mean, variance = _moments(reference)
    chosen: set[int] = set()
    for name in np.unique(labels.astype(str)):
        inside = labels == name
        level, own = _moments(reference[inside])
        rest = (mean * len(labels) - level * inside.sum()) / max((~inside).sum(), 1)
        t = np.abs(level - rest) / np.sqrt(own / inside.sum() + variance / max((~inside).sum(), 1) + 1e-4)
        chosen |= set(np.argsort(-t, kind="stable")[:_OF_A_LABEL].tolist())
    for values in (reference, query):
        level, spread = _moments(values)
        chosen |= set(np.argsort(-spread / (level + 0.05), kind="stable")[:_VARIABLE].tolist())
    return np.array(sorted(chosen), dtype=np.int64)


def _moments(values: csr_matrix) -> tuple[Array, Array]:
    mean = np.asarray(values.mean(axis=0), dtype=np.float64).ravel()
    return mean, np.maximum(np.asarray(values.multiply(values).mean(axis=0)).ravel() - mean**2, 0.0)


def _dense(values: csr_matrix, columns: NDArray[np.int64]) -> Values:
    return np.asarray(values[:, columns].toarray(), dtype=np.float32)


def _centred_logs(proteins: pd.DataFrame) -> Values:
    """Return the centred log-ratio of each cell's proteins (Stoeckius et al. 2017, Nat Methods 14:865)."""
    logs = np.log1p(np.maximum(proteins.to_numpy(dtype=np.float64), 0.0))
    return np.asarray(logs - logs.mean(axis=1, keepdims=True), dtype=np.float32)


def _missing(reference: AnnData, labels: NDArray[np.object_], shared: set[str]) -> Iterator[str]:
    """Yield how many of the genes that part the reference's labels best the cells lack, and the first of them."""
    mean, variance = _moments(reference.X.tocsr())
    wanted: dict[str, float] = {}
    for name in np.unique(labels.astype(str)):
        inside = labels == name
        level, _ = _moments(reference.X[inside].tocsr())
        t = np.abs(level - mean) / np.sqrt(variance + 1e-4)
        for column in np.argsort(-t, kind="stable")[:50]:
            gene = str(reference.var_names[column])
            wanted[gene] = max(wanted.get(gene, 0.0), float(t[column]))
    lacking = sorted((gene for gene in wanted if gene not in shared), key=lambda gene: -wanted[gene])
    if lacking:
        more = ", ..." if len(lacking) > _NAMED_MISSING else ""
        named = ", ".join(lacking[:_NAMED_MISSING])
        parting = f"{len(lacking)} of the {len(wanted)} genes that part the reference's labels best"
        yield f"{parting} are missing: {named}{more}"


def _said(calls: Calls, held: HeldOut, of: str) -> Iterator[str]:
    way = of if held.by_group else "cells"
    yield (
        f"labels are those of the reference: of its own held-out {way} {100 * held.accuracy:.1f} % are called rightly, "
        f"expected calibration error {100 * held.calibration_error:.1f} %"
    )
    if not held.by_group:
        why = "names no two donors" if held.n_groups == 1 else f"has labels that hardly two {of} share"
        yield f"the reference {why}: its probabilities hold within it, and may be too high in other donors"
    share = float(calls.unlike.mean()) if len(calls.unlike) else 0.0
    if share:
        yield f"{100 * share:.1f} % of the cells are unlike the reference and get none of its labels"
    if share > _UNSURE:
        yield "most cells are unlike the reference: it may be of another tissue, platform or state than these"


def _labelled(
    cells: AnnData,
    passed: NDArray[np.int64],
    calls: Calls,
    notes: Sequence[str],
    points: Array,
    quality: CellQuality,
    by_itself: LabelledCells,
    reference: tuple[NDArray[np.object_], LabelledCells],
) -> LabelledCells:
    label, sure = np.full(cells.n_obs, UNASSIGNED, dtype=object), np.zeros(cells.n_obs)
    names = {str(name): population_called(str(name)) for name in calls.classes}
    best = np.array([names[str(name)] for name in calls.best], dtype=object)
    label[passed] = np.where(calls.unlike, UNLIKE, best)
    sure[passed] = np.where(calls.unlike, 0.0, calls.probability.max(axis=1))
    against, of_siblings = contradicted(by_itself, label, names, reference)
    label[against] = PARENT
    sure = np.minimum(sure, chance_between_siblings(by_itself, label, names))
    chance: dict[str, Array] = {}
    for column, name in enumerate(calls.classes):
        values = chance.setdefault(names[str(name)], np.full(cells.n_obs, np.nan))
        values[passed] = np.nan_to_num(values[passed]) + calls.probability[:, column]
    for name in chance if against.any() else ():
        if any(is_of(name, one) for one in ("CD4", "CD8")):
            chance[name][against] = 0.0
    table = pd.DataFrame(
        {
            "cell_id": np.asarray(cells.obs_names, dtype=object),
            "sample_id": sample_ids_of(cells),
            "label": label,
            "confidence": np.round(sure, 4),
        }
    )
    # UNLIKE, and the parent of a sibling that lacks: seen at each visit
    seen = (*names.values(), *((PARENT,) if of_siblings else ()), UNLIKE)
    found = {name: label == name for name in dict.fromkeys(seen)}
    return LabelledCells(
        table=table,
        thresholds=THRESHOLDS.empty(),
        quality=quality,
        notes=tuple(dict.fromkeys((*notes_of(cells), *notes, *of_siblings))),
        members=_with_parents(found, quality.passed),
        chance=chance,
        by_protein=frozenset(),
        points=points,
        definition="label of the reference",
        unparted=by_itself.unparted if lacking(names.values()) else frozenset(),
    )


def _with_parents(found: Mapping[str, NDArray[np.bool_]], passed: NDArray[np.bool_]) -> dict[str, NDArray[np.bool_]]:
    """Return populations with those above them: a cell that is labelled Treg is of CD4, CD3 and lymphocytes."""
    members = {name: inside.copy() for name, inside in found.items()}
    for name in list(members):
        above = parents_of([name])[name]
        while above and above != "viable":
            members[above] = members.get(above, np.zeros(len(passed), dtype=bool)) | members[name]
            above = parents_of([above])[above]
    return {"viable": passed, **members}


def population_called(label: str) -> str:
    """Return the population of the vocabulary that a label names, in other words (``CD4 T cells``), else the label.

    Parameters
    ----------
    label
        As the reference has it.
    """
    words = label.replace("_", " ").split()
    while len(words) > 1 and words[-1].casefold() in ("cell", "cells", "t", "lymphocytes"):
        if [word.casefold() for word in words] == ["nk", "t"]:
            return label  # neither NK nor T cells
        words = words[:-1]
    short = " ".join(words).casefold()
    by_name = {name.casefold().replace("_", " "): name for name in (*populations(), *_LINEAGES, "CD4", "CD8", *_OTHERS)}
    by_name |= {other: name for name, others in _OTHER_WORDS.items() for other in others}
    return by_name.get(short, label)


_OTHERS = ("Mono", "DC", "pDC", "HSPC", "Platelet", "Ery")
_OTHER_WORDS = {  # as published annotations write them
    "CD3": ("t",),
    "Mono": ("monocyte", "monocytes"),
    "Treg": ("tregs", "regulatory", "cd4 treg", "regulatory cd4"),
    "CD4_naive": ("naive cd4", "cd4 naive", "naive cd4 t"),
    "CD4_mem": ("memory cd4", "cd4 memory"),
    "Plasma": ("plasmablast", "plasmablasts"),
    "pDC": ("plasmacytoid dendritic", "plasmacytoid dc"),
    "DC": ("dcs", "dendritic"),
}
