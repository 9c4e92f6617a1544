"""Single-cell samples of a study, in the same tables as flow."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pandas as pd

from immunolab.cells.label import Labelled, label_cells
from immunolab.errors import DataFileError
from immunolab.events.cells import Cells
from immunolab.loaders.concatenate import join_cells
from immunolab.loaders.single_cell import read_cells
from immunolab.quantify import endpoint_values
from immunolab.schema.files import file_sha256
from immunolab.schema.flags import count_flags
from immunolab.schema.tables import COUNTS
from immunolab.study.endpoints import Endpoint, SampleCounts
from immunolab.study.sheet import Sample, Study
from immunolab.vocabulary.populations import populations
from immunolab.workflow.workers import Failure

log = logging.getLogger("immunolab")
SUFFIX = "_cells"
# Families, each moderated and adjusted by itself: single cells must not change what flow says, nor clusters either.
CELLS, CLUSTERS = "cells", "clusters of cells"
_TOP = {"viable": "", "lymphocytes": "viable"}
_PARENTS = {**_TOP, **dict.fromkeys(("CD3", "NK", "B", "Plasma"), "lymphocytes")}
_LINEAGES = ("CD3", "NK", "B", "Plasma", "CD4", "CD8")


@dataclass(frozen=True)
class SingleCells:
    """The labelled single cells of a study.

    Attributes
    ----------
    samples : rows of the sheet that could be labelled.
    cells, labelled : all their cells together, and what they are; None without any.
    failures : by sample, those whose file could not be used.
    hashes : sha256 of each sample's file.
    """

    samples: tuple[Sample, ...] = ()
    cells: Cells | None = None
    labelled: Labelled | None = None
    failures: Mapping[str, Failure] = field(default_factory=dict)
    hashes: Mapping[str, str] = field(default_factory=dict)


def label_study(study: Study, seed: int = 0) -> SingleCells:
    """Label the single cells of a study, all samples together: every border is placed once for the cohort."""
    wanted = [s for s in study.samples if s.modality == "single_cell" and not s.control_of]
    failures: dict[str, Failure] = {}
    parts, kept, hashes = [], [], {}
    read: dict[Path, Cells] = {}
    for sample in wanted:
        try:
            if sample.file not in read:
                read[sample.file] = read_cells(sample.file, sample_id=sample.sample_id)
            parts.append(_own(read[sample.file], sample, wanted))
        except DataFileError as error:
            failures[sample.sample_id] = Failure("read", error.message, error.hint)
            continue
        kept.append(sample)
        if sample.file.is_file():
            hashes[sample.sample_id] = file_sha256(sample.file)
    if not parts:
        return SingleCells(failures=failures)
    cells = join_cells(parts)
    labelled = label_cells(cells, seed=seed)
    for note in labelled.notes:
        log.info("single cells: %s", note)
    return SingleCells(tuple(kept), cells, labelled, failures, hashes)


def _own(cells: Cells, sample: Sample, wanted: Iterable[Sample]) -> Cells:
    """Return a sample's cells: those its file calls so, or the whole file where it has the file alone."""
    named = cells.sample_ids == sample.sample_id
    if not named.any():
        if sum(other.file == sample.file for other in wanted) > 1:
            shown = ", ".join(list(dict.fromkeys(map(str, cells.sample_ids)))[:5])
            raise DataFileError(
                f"the file has no cells of sample '{sample.sample_id}'", str(sample.file), f"its samples: {shown}"
            )
        named = np.ones(cells.n_cells, dtype=bool)
    rows = np.flatnonzero(named)
    return replace(
        cells,
        cell_ids=cells.cell_ids[rows],
        sample_ids=np.full(len(rows), sample.sample_id, dtype=object),
        normalised=None if cells.normalised is None else cells.normalised[rows],
        counts=None if cells.counts is None else cells.counts[rows],
        protein=None if cells.protein is None else cells.protein[rows],
        obs=cells.obs.iloc[rows],
    )


def cell_counts(found: SingleCells) -> pd.DataFrame:
    """Return rows of `COUNTS` with ``modality``: cells of every population in every sample."""
    if found.labelled is None or found.cells is None:
        return COUNTS.empty()
    parents = _parents(found.labelled.members)
    rows: list[dict[str, object]] = []
    for sample in found.samples:
        own = found.cells.sample_ids == sample.sample_id
        n = {"": int(own.sum())} | {name: int((mask & own).sum()) for name, mask in found.labelled.members.items()}
        rows.append(_row(sample.sample_id, "root", "", "/", n[""], n[""], None))
        for name, parent in parents.items():
            definition = _definition(name, found.labelled.by_protein)
            rows.append(
                _row(sample.sample_id, name, parent or "root", _path(name, parents), n[name], n[parent], definition)
            )
    return COUNTS.frame(rows)


def _row(
    sample: str, name: str, parent: str, path: str, n: int, n_parent: int, definition: str | None
) -> dict[str, object]:
    return {
        "sample_id": sample,
        "population": name,
        "parent": parent or None,
        "path": path,
        "definition": definition,
        "n_events": n,
        "n_parent": n_parent,
        "percent_of_parent": 100.0 * n / n_parent if n_parent else None,
        "flag": ";".join(count_flags(n, n_parent)) or None,
        "modality": "single_cell",
    }


def _parents(members: Mapping[str, np.ndarray]) -> dict[str, str]:
    """Return each population's parent in the tree that the members make: CD4 holds every subset of it."""
    found = {}
    for name in members:
        if name in _PARENTS:
            found[name] = _PARENTS[name]
        elif name in ("CD4", "CD8"):
            found[name] = "CD3"
        else:
            found[name] = "CD4" if name in populations() else "viable"
    return found


def _path(name: str, parents: Mapping[str, str]) -> str:
    above = parents[name]
    return f"{_path(above, parents) if above else ''}/{name}"


def _definition(name: str, by_protein: frozenset[str]) -> str | None:
    """Return the vocabulary's definition where proteins follow it, else what the population rests on."""
    known = populations().get(name)
    if name in ("viable", "lymphocytes") or known is None:
        return None
    if name == "CD4_naive" and name in by_protein and "CD4_CM" not in by_protein:
        return "CD45RA+ (CCR7 not told)"
    told = name in by_protein or _TOLD_WITH.get(name) in by_protein
    return known.definition if told or name not in _BY_SCORE else _BY_SCORE[name]


_TOLD_WITH = {"CD4_mem": "CD4_naive", "Tfh_CXCR5": "Tfh"}
_BY_SCORE = {
    "Treg": "score.Treg_core",
    "CD4_naive": "score.CD4_naive-CD4_memory",
    "CD4_mem": "score.CD4_naive-CD4_memory",
    "Tfh_CXCR5": "score.cTfh_blood",
    "Th1": "score.Th1",
    "Th2": "score.Th2",
    "Th17": "score.Th17",
}


def cell_endpoints(endpoints: Sequence[Endpoint], study: Study) -> tuple[Endpoint, ...]:
    """Return the endpoints that single cells answer.

    Where the study also has flow, their ids end in ``_cells`` and they are exploratory: one visit is
    then measured twice, and only one of the two is the registered endpoint.
    """
    both = any(s.modality != "single_cell" and not s.control_of for s in study.samples)
    counted = [e for e in endpoints if e.counted and not e.needs.blood_count]
    if not both:
        return tuple(counted)
    return tuple(replace(e, id=f"{e.id}{SUFFIX}", role="exploratory", family=CELLS, repeats=e.id) for e in counted)


def cell_values(endpoints: Sequence[Endpoint], counts: pd.DataFrame, sample: Sample) -> list[dict[str, object]]:
    """Return one record an endpoint that a sample's cells answer; denominators are on the population's lineage."""
    own = counts[counts["sample_id"] == sample.sample_id]
    within = [e for e in endpoints if _on_lineage(e, own)]
    return [{**row, "modality": "single_cell"} for row in endpoint_values(within, SampleCounts(own))]


def _on_lineage(endpoint: Endpoint, counts: pd.DataFrame) -> bool:
    if endpoint.share is None:
        return True
    population, parent = endpoint.share
    paths = counts.loc[counts["population"] == population, "path"]
    return len(paths) > 0 and parent in str(paths.iloc[0]).split("/")
