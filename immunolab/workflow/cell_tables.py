"""What single cells add to a study's tables: counts, endpoints, clusters, expression, agreement with flow."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from immunolab.cells.pseudobulk import paired_expression, pseudobulk, response_by_sample
from immunolab.clustering.som import train_map
from immunolab.comparison.method_agreement import method_agreement, paired_methods
from immunolab.errors import InputError
from immunolab.schema.flags import count_flags
from immunolab.schema.tables import COUNTS, QUALITY, THRESHOLDS
from immunolab.study.endpoints import Endpoint, PairedChange, PercentOfParent
from immunolab.study.sheet import Sample, Study
from immunolab.workflow.study_cells import (
    CELLS,
    CLUSTERS,
    SUFFIX,
    SingleCells,
    cell_counts,
    cell_endpoints,
    cell_values,
)

RESPONSES = {"Treg": "IL2_STAT5_response", "CD4": "IFN_response"}
_CLUSTERS = 15
_TRAIN_ON = 50_000
_EXPRESSION_OF = "Treg"


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


def cell_tables(
    study: Study,
    found: SingleCells,
    endpoints: Sequence[Endpoint],
    place: Callable[[Study, Sample], dict[str, Any]],
    seed: int = 0,
) -> CellTables:
    """Return what the labelled cells of a study add to its tables.

    Besides the study's own endpoints these are exploratory: the share of every cluster of cells (the guard
    against closure is the log-ratio against the median sibling, in log_ratios.csv) and the response scores of
    `RESPONSES`. The paired expression table is of Treg.

    Parameters
    ----------
    place : gives a sample's patient, visit and phase columns.
    """
    if found.labelled is None or found.cells is None:
        return CellTables()
    counts = pd.concat([cell_counts(found), _cluster_counts(found, seed)], ignore_index=True)
    scores = {name: response_by_sample(found.cells, m, RESPONSES[name]) for name, m in _responding(found).items()}
    own = (*cell_endpoints(endpoints, study), *_cluster_endpoints(counts), *map(_response_endpoint, scores))
    rows: list[dict[str, Any]] = []
    for sample in found.samples:
        where = {**place(study, sample), "modality": "single_cell"}
        rows += [{**where, **row} for row in cell_values(own, counts, sample)]
        rows += [{**where, **_response_row(name, table, sample)} for name, table in scores.items()]
    expression, notes = _expression(study, found)
    return CellTables(
        COUNTS.check(counts),
        found.labelled.thresholds,
        found.labelled.quality.table,
        tuple(rows),
        own,
        expression,
        (*found.labelled.notes, *notes),
    )


def agreement_tables(endpoints: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Return flow against single cells of the same patient visits: the pairs, and bias and limits by endpoint."""
    pairs = paired_methods(endpoints, SUFFIX)
    if pairs.empty:
        return {}
    return {"method_pairs": pairs, "method_agreement": method_agreement(pairs)}


def _responding(found: SingleCells) -> dict[str, np.ndarray]:
    if found.labelled is None or found.cells is None or found.cells.normalised is None:
        return {}
    return {name: found.labelled.members[name] for name in RESPONSES if name in found.labelled.members}


def _response_endpoint(name: str) -> Endpoint:
    return PairedChange(
        id=f"{RESPONSES[name]}_in_{name}",
        source="signature of the vocabulary",
        role="exploratory",
        family=CELLS,
        variable=f"{RESPONSES[name]} in {name}",
        unit="score",
    )


def _response_row(name: str, table: pd.DataFrame, sample: Sample) -> dict[str, Any]:
    row = table[table["sample_id"] == sample.sample_id].iloc[0]
    return {
        "endpoint": f"{RESPONSES[name]}_in_{name}",
        "population": name,
        "parent": None,
        "definition": f"score.{RESPONSES[name]}",
        "value": row["value"],
        "unit": "score",
        "n_events": int(row["n_cells"]),
        "n_parent": None,
        "flag": row["flag"],
    }


def _cluster_counts(found: SingleCells, seed: int) -> pd.DataFrame:
    """Return rows of `COUNTS` for clusters of the cells that passed, each called by its commonest label."""
    assert found.labelled is not None and found.cells is not None  # noqa: S101, PT018 - asked by the caller
    passed = np.flatnonzero(found.labelled.quality.passed)
    if len(passed) < 10 * _CLUSTERS:
        return COUNTS.empty()
    points = found.labelled.points[passed].astype(np.float32)
    rng = np.random.default_rng(seed)
    train = points if len(points) <= _TRAIN_ON else points[np.sort(rng.choice(len(points), _TRAIN_ON, replace=False))]
    cluster = train_map(train, _CLUSTERS, seed=seed).assign(points)
    labels = found.labelled.table["label"].to_numpy()[passed]
    samples = found.cells.sample_ids[passed]
    rows: list[dict[str, object]] = []
    for number in range(int(cluster.max()) + 1):
        inside = cluster == number
        names, sizes = np.unique(labels[inside].astype(str), return_counts=True)
        name = f"cluster_{number + 1:02d}"
        for sample in found.samples:
            own = samples == sample.sample_id
            n, of = int((inside & own).sum()), int(own.sum())
            rows.append(
                {
                    "sample_id": sample.sample_id,
                    "population": name,
                    "parent": "viable",
                    "path": f"/viable/{name}",
                    "definition": f"mostly {names[sizes.argmax()]}" if len(names) else None,
                    "n_events": n,
                    "n_parent": of,
                    "percent_of_parent": 100.0 * n / of if of else None,
                    "flag": ";".join(count_flags(n, of)) or None,
                    "modality": "single_cell",
                }
            )
    return COUNTS.frame(rows)


def _cluster_endpoints(counts: pd.DataFrame) -> tuple[Endpoint, ...]:
    names = [name for name in dict.fromkeys(counts["population"]) if str(name).startswith("cluster_")]
    return tuple(
        PercentOfParent(
            id=f"cells_{name}_pct_viable",
            source="clusters of single cells",
            role="exploratory",
            family=CLUSTERS,
            population=name,
            parent="viable",
        )
        for name in names
    )


def _expression(study: Study, found: SingleCells) -> tuple[dict[str, pd.DataFrame], tuple[str, ...]]:
    """Return the paired expression table of Treg between the compared visits, or why there is none."""
    assert found.labelled is not None and found.cells is not None  # noqa: S101, PT018 - asked by the caller
    members = found.labelled.members.get(_EXPRESSION_OF)
    if members is None or found.cells.counts is None:
        return {}, ()
    visits = pd.DataFrame(
        [{"sample_id": s.sample_id, "patient_id": s.patient_id, "visit": s.visit} for s in found.samples]
    )
    before, after = _visits(study)
    try:
        table, reason = paired_expression(pseudobulk(found.cells, members), visits, before, after)
    except InputError as error:
        table, reason = pd.DataFrame(), error.message
    if reason:
        return {}, (f"expression of {_EXPRESSION_OF}, {after} against {before}, is not tested: {reason}",)
    return {f"expression_{_EXPRESSION_OF}": table}, ()


def _visits(study: Study) -> tuple[str, str]:
    """Return the two visits that subsets are compared at."""
    for endpoint in study.endpoints:
        contrast = study.contrast_of(endpoint) if endpoint.share else None
        if contrast is not None:
            return contrast
    return study.comparison.before, study.comparison.after
