"""What labelled single cells add to a study's tables: counts, endpoints, clusters, expression, agreement with flow."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from immunolab.cells.compare import counts_table
from immunolab.cells.label import LabelledCells, label_cells
from immunolab.cells.pseudobulk import FEWEST_CELLS, pseudobulk, response_by_sample
from immunolab.cells.reference import label_by_reference
from immunolab.cells.study_rows import (
    RESPONSES,
    cell_endpoints,
    cluster_counts,
    endpoint_rows,
    population_counts,
    registered_parts,
    response_row,
)
from immunolab.comparison.expression import expression_change, why_untested
from immunolab.comparison.method_agreement import method_agreement, paired_methods
from immunolab.errors import DataFileError
from immunolab.events.cells import counts_of, has_genes
from immunolab.loaders.single_cell import cells_of_sample, check_no_events, read_cells
from immunolab.schema.gating import COUNTS, QUALITY, THRESHOLDS
from immunolab.study.endpoints import Assay, Endpoint
from immunolab.study.sheet import Sample, Study

if TYPE_CHECKING:
    from anndata import AnnData

EXPRESSION_OF = ("Treg", "CD4", "CD8")  # subsets whose genes are compared


@dataclass(frozen=True)
class CellTables:
    """Rows of `COUNTS`, `THRESHOLDS` and `QUALITY`, endpoint rows, the endpoints, further tables, remarks."""

    counts: pd.DataFrame = field(default_factory=COUNTS.empty)
    thresholds: pd.DataFrame = field(default_factory=THRESHOLDS.empty)
    quality: pd.DataFrame = field(default_factory=QUALITY.empty)
    rows: tuple[dict[str, Any], ...] = ()
    endpoints: tuple[Endpoint, ...] = ()
    further: Mapping[str, pd.DataFrame] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def read_samples(samples: Sequence[Sample]) -> tuple[dict[str, AnnData], dict[str, DataFileError]]:
    """Return the cells of each sample, and why a sample has none; a file that holds several is read once."""
    files: dict[Path, AnnData] = {}
    cells: dict[str, AnnData] = {}
    failures: dict[str, DataFileError] = {}
    for name, file in ((sample.sample_id, sample.file) for sample in samples):
        alone = sum(other.file == file for other in samples) == 1
        try:
            if file not in files:
                files[file] = read_cells(file, sample_id=name)
            cells[name] = cells_of_sample(files[file], name, str(file), alone=alone)
        except DataFileError as error:
            failures[name] = error
    return cells, failures


def cell_tables(
    study: Study,
    samples: Sequence[Sample],
    cells: AnnData,
    *,
    seed: int = 0,
) -> CellTables:
    """Label the cells of a study and return what they add to its tables.

    All samples are labelled together, so that every border is placed once for the cohort. Besides the study's own
    endpoints these are exploratory: the share of every cluster of cells (against closure, log_ratios.csv holds its
    log-ratio to the median sibling) and the response scores of `RESPONSES`. Genes are compared within
    patients in each subset of `EXPRESSION_OF`.

    Parameters
    ----------
    study
        The study.
    samples
        Those that the cells are of.
    cells
        All their cells together; ``obs["sample_id"]`` names the sample.
    seed
        Of every random draw.
    """
    found = _labelled(study, samples, cells, seed)
    names = [sample.sample_id for sample in samples]
    clusters = cluster_counts(found, names, seed)
    counts = pd.concat([population_counts(found, names, _genes_shown(cells)), clusters], ignore_index=True)
    scores = _responses(cells, found)
    parts = registered_parts(study, found) if has_genes(cells) else ()
    further = _part_scores(study, cells, found)
    endpoints = (*cell_endpoints(study, found, clusters, scores), *parts)
    rows = []
    for sample in samples:
        own = [*endpoint_rows(endpoints, counts, sample.sample_id)]
        own += [response_row(name, table, sample.sample_id) for name, table in scores.items()]
        own += [
            response_row(population, table, sample.sample_id, endpoint=endpoint, signature=signature)
            for (endpoint, population, signature), table in further.items()
        ]
        rows += [{**study.place_of(sample), "modality": "single_cell", **row} for row in own]
    expression, untested = _expression(study, samples, cells, found)
    return CellTables(
        COUNTS.check(counts),
        found.thresholds,
        found.quality.table,
        tuple(rows),
        endpoints,
        expression,
        (*found.notes, *untested),
    )


def _genes_shown(cells: AnnData) -> frozenset[str]:
    """Return the genes that some cell shows; none without genes."""
    if not has_genes(cells):
        return frozenset()
    return frozenset(cells.var_names[np.asarray(cells.X.getnnz(axis=0)).ravel() > 0].astype(str))


def _labelled(study: Study, samples: Sequence[Sample], cells: AnnData, seed: int) -> LabelledCells:
    """Return labels by the study's reference, where it names one, else by genes and proteins."""
    chosen = study.single_cells
    if chosen.reference is None:
        return label_cells(cells, sorts={sample.sample_id: sample.sorted_as for sample in samples}, seed=seed)
    reference = read_cells(chosen.reference)
    check_no_events(reference, str(chosen.reference))
    return label_by_reference(cells, reference, chosen.labels, seed=seed)


def agreement_tables(rows: pd.DataFrame, endpoints: Sequence[Endpoint]) -> dict[str, pd.DataFrame]:
    """Return flow against single cells of the same patient visits: the pairs, and bias and limits by endpoint.

    Parameters
    ----------
    rows
        The endpoint table.
    endpoints
        Those of it; each on single cells says which one of flow it repeats.
    """
    pairs = paired_methods(rows, {endpoint.id: endpoint.repeats for endpoint in endpoints if endpoint.repeats})
    if pairs.empty:
        return {}
    return {"method_pairs": pairs, "method_agreement": method_agreement(pairs)}


def _responses(cells: AnnData, found: LabelledCells) -> dict[str, pd.DataFrame]:
    if not has_genes(cells):
        return {}
    subsets = {name: found.members[name] for name in RESPONSES if name in found.members}
    return {name: response_by_sample(cells, inside, RESPONSES[name]) for name, inside in subsets.items()}


def _part_scores(study: Study, cells: AnnData, found: LabelledCells) -> dict[tuple[str, str, str], pd.DataFrame]:
    """Return the scores that registered assays ask for, by endpoint id, population and signature."""
    return {
        (f"{one.id}_{name}", one.population, name): response_by_sample(cells, found.members[one.population], name)
        for one in study.endpoints
        if isinstance(one, Assay) and one.population in found.members and has_genes(cells)
        for name in one.signatures
    }


def _expression(
    study: Study, samples: Sequence[Sample], cells: AnnData, found: LabelledCells
) -> tuple[dict[str, pd.DataFrame], list[str]]:
    """Return summed counts and changes of genes of each subset between the compared visits, and what is untested."""
    if counts_of(cells) is None:
        return {}, ["genes are not compared: the cells come without raw counts"] if has_genes(cells) else []
    columns = ("sample_id", "patient_id", "visit", "cohort", "batch")
    sheet = pd.DataFrame([{name: getattr(s, name) for name in columns} for s in samples])
    before, after = compared_visits(study)
    if reason := _why_not_compared(sheet, before, after):
        return {}, [f"genes are not compared: {reason}"]
    tables: dict[str, pd.DataFrame] = {}
    notes = []
    for name in (name for name in EXPRESSION_OF if name in found.members):
        bulk = pseudobulk(cells, found.members[name])
        table = expression_change(bulk.counts.T, sheet, before=before, after=after)
        lost = [s for s in bulk.left_out if s in set(sheet.loc[sheet["visit"].isin((before, after)), "sample_id"])]
        if lost:
            notes.append(f"genes of {name}: fewer than {FEWEST_CELLS} cells in {', '.join(lost)}, left out")
        if len(table):
            tables |= {f"expression_{name}": table, f"pseudobulk_{name}": counts_table(bulk.counts.T)}
        for cohort in dict.fromkeys(table["cohort"].fillna("")) if len(table) else ("",):
            own = table[table["cohort"].fillna("") == cohort] if len(table) else table
            if reason := why_untested(own):
                of = f" of {cohort}" if cohort else ""
                notes.append(f"genes of {name}{of}, {after} against {before}, are not tested: {reason}")
    return tables, notes


def _why_not_compared(sheet: pd.DataFrame, before: str, after: str) -> str:
    """Return why no subset's genes can be compared between two visits, in words; "" where they can."""
    lacking = [visit for visit in (before, after) if visit not in set(sheet["visit"])]
    if lacking:
        return f"no cells of {' and '.join(lacking)}"
    used = sheet[sheet["visit"].isin((before, after))]
    twice = used.loc[used.duplicated(["patient_id", "visit"]), ["patient_id", "visit"]].drop_duplicates()
    several = [f"{row.patient_id} has several samples of {row.visit}" for row in twice.itertuples()]
    return "; ".join(several)


def compared_visits(study: Study) -> tuple[str, str]:
    """Return the two visits that subsets are compared at: those of the first share, else the study's own."""
    for endpoint in study.endpoints:
        contrast = study.contrast_of(endpoint) if endpoint.share else None
        if contrast is not None:
            return contrast
    return study.comparison.before, study.comparison.after
