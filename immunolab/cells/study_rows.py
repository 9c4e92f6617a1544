"""Rows of a study's tables that labelled cells give: counts of populations and clusters, endpoints, response scores."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import fields, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from immunolab.cells.label import LabelledCells
from immunolab.cells.population_tree import border_of, definition_of, parents_of, path_of
from immunolab.cells.pseudobulk import FEWEST_CELLS
from immunolab.clustering.som import train_map
from immunolab.events.subsample import drawn_rows
from immunolab.quantify import endpoint_values
from immunolab.schema.endpoints import BY_SCORE, MOSTLY, SCORE
from immunolab.schema.flags import WITHHELD, Flag, count_flags, split
from immunolab.schema.gating import COUNTS
from immunolab.study.endpoints import Assay, Endpoint, PairedChange, PercentOfParent, SampleCounts
from immunolab.study.sheet import DEFAULT_SOURCE, Study
from immunolab.vocabulary.signatures import signature

_REST = "Tconv"  # CD4 T cells that are no Treg: what Treg leave, and no second answer
_SUFFIX = "_cells"  # of the id of an endpoint that flow measures as well; `Endpoint.repeats` says of which
# Families, each moderated and adjusted by itself: single cells must not change what flow says, nor clusters either.
_CELLS, _CLUSTERS, _COMPOSITION = "cells", "clusters of cells", "composition of cells"
RESPONSES = {"Treg": "IL2_STAT5_response", "CD4": "IFN_response"}
_N_CLUSTERS = 15  # the default of the command for flow
_TRAIN_ON = 50_000  # cells: half of what flow's clusters are trained on, in twice as many dimensions
_CELLS_A_CLUSTER = 10  # fewer cells than this for each cluster are not clustered


def population_counts(found: LabelledCells, samples: Sequence[str], genes: Collection[str]) -> pd.DataFrame:
    """Return rows of `COUNTS` with ``modality``: cells of every population in every sample.

    What is doubtful about the border of a population is a flag of its rows, as in a gated tube: a border put too high
    takes most of a small population away, and the count alone does not show it. Nor does the count of a subset that a
    signature defines of which more than half of the genes are absent: it is withheld, as CD4 and CD8 T cells are of a
    sample in which ambient RNA does not let them be parted.

    Parameters
    ----------
    found
        Labelled cells of all samples.
    samples
        sample_id of each sample that gets rows.
    genes
        Genes that some cell shows.
    """
    doubts = _doubts(found.thresholds)
    own_of = found.table["sample_id"].to_numpy()
    parents = parents_of(found.members)
    rows = []
    for sample in samples:
        own = own_of == sample
        n = {"": int(own.sum())} | {name: int((inside & own).sum()) for name, inside in found.members.items()}
        rows.append(_row(sample, "root", None, "/", n[""], n[""], None))
        for name, parent in parents.items():
            path = path_of(name, parents)
            definition = found.definition or definition_of(name, found.by_protein)
            doubt = [*doubts.get((sample, border_of(name)), ()), *_genes_missing(definition, genes)]
            if sample in found.unparted and not {"CD4", "CD8"}.isdisjoint(path.split("/")):
                doubt.append(Flag.NO_BORDER)
            rows.append(_row(sample, name, parent or "root", path, n[name], n[parent], definition, doubt))
    return COUNTS.frame(rows)


def _genes_missing(definition: str | None, genes: Collection[str]) -> Iterator[str]:
    """Yield the flag of a population whose signature has more genes absent than there."""
    if definition and definition.startswith(BY_SCORE) and "-" not in definition:  # naive less memory: by their kinds
        wanted = signature(definition.removeprefix(BY_SCORE))
        if 2 * sum(gene in genes for gene in wanted) < len(wanted):
            yield Flag.MISSING_GENES


def _doubts(thresholds: pd.DataFrame) -> dict[tuple[str, str], list[str]]:
    """Return the flags of the borders of each sample's populations, by sample and population."""
    columns = (thresholds[name] for name in ("sample_id", "population", "flag"))
    doubts: dict[tuple[str, str], list[str]] = {}
    for sample, population, words in zip(*columns, strict=True):
        doubts.setdefault((sample, population), []).extend(split(words))
    return doubts


def cluster_counts(found: LabelledCells, samples: Sequence[str], seed: int) -> pd.DataFrame:
    """Return rows of `COUNTS` for clusters of the cells that passed, each called by its commonest label.

    Parameters
    ----------
    found
        Labelled cells of all samples, with a point for each.
    samples
        sample_id of each sample that gets rows.
    seed
        Of the subsample and of the map.
    """
    passed = np.flatnonzero(found.quality.passed)
    if len(passed) < _CELLS_A_CLUSTER * _N_CLUSTERS:
        return COUNTS.empty()
    points = found.points[passed].astype(np.float32)
    trained = train_map(points[drawn_rows(len(points), _TRAIN_ON, seed)], _N_CLUSTERS, seed=seed)
    cluster = trained.assign(points)
    labels, own_of = (found.table[name].to_numpy()[passed] for name in ("label", "sample_id"))
    rows = []
    for number in range(int(cluster.max()) + 1):
        inside = cluster == number
        name, definition = f"cluster_{number + 1:02d}", _commonest(labels[inside])
        for sample in samples:
            own = own_of == sample
            n, of = int((inside & own).sum()), int(own.sum())
            rows.append(_row(sample, name, "viable", f"/viable/{name}", n, of, definition))
    return COUNTS.frame(rows)


def _commonest(labels: NDArray[np.object_]) -> str | None:
    names, sizes = np.unique(labels.astype(str), return_counts=True)
    return f"{MOSTLY}{names[sizes.argmax()]}" if len(names) else None


def _row(
    sample: str,
    name: str,
    parent: str | None,
    path: str,
    n: int,
    n_parent: int,
    definition: str | None,
    doubts: Sequence[str] = (),
) -> dict[str, object]:
    return {
        "sample_id": sample,
        "population": name,
        "parent": parent,
        "path": path,
        "definition": definition,
        "n_events": n,
        "n_parent": n_parent,
        "percent_of_parent": 100.0 * n / n_parent if n_parent and WITHHELD.isdisjoint(doubts) else None,
        "flag": ";".join(dict.fromkeys((*doubts, *count_flags(n, n_parent)))) or None,
        "modality": "single_cell",
    }


def cell_endpoints(
    study: Study, found: LabelledCells, clusters: pd.DataFrame, responses: Mapping[str, object]
) -> tuple[Endpoint, ...]:
    """Return the endpoints that single cells answer.

    Where the study also has flow, the study's own are exploratory: one visit is then measured twice, and only one of
    the two is the registered endpoint. The share of every labelled population in its parent, shares of clusters and
    response scores always are. A study of cells alone that registers nothing compares these as its own endpoints.

    Parameters
    ----------
    study
        The study.
    found
        Its labelled cells.
    clusters
        Counts of clusters.
    responses
        Subsets with a response score.
    """
    counted = [e for e in study.endpoints if e.counted and not e.needs.blood_count]
    own = registers_nothing(study)
    if own:
        counted = [e for e in counted if e.share and set(e.share) <= found.members.keys()]
    elif any(s.modality != "single_cell" and not s.control_of for s in study.samples):
        counted = [replace(e, id=f"{e.id}{_SUFFIX}", role="exploratory", family=_CELLS, repeats=e.id) for e in counted]
    of_clusters = [
        PercentOfParent(
            id=f"cells_{name}_pct_viable",
            source="clusters of single cells",
            role="exploratory",
            family=_CLUSTERS,
            population=name,
            parent="viable",
        )
        for name in dict.fromkeys(clusters["population"])
    ]
    of_responses = [
        PairedChange(
            id=_response_id(name),
            source="signature of the vocabulary",
            role="exploratory",
            family="" if own else _CELLS,
            variable=f"{RESPONSES[name]} in {name}",
            unit=SCORE,
        )
        for name in responses
    ]
    known = {e.share for e in counted}
    of_labels = [e for e in _composition(found, "" if own else _COMPOSITION) if e.share not in known]
    return (*counted, *of_responses, *of_labels, *of_clusters)


def registers_nothing(study: Study) -> bool:
    """Return whether a study is of single cells alone, without a trial and without endpoints of its own.

    Parameters
    ----------
    study
        The study.
    """
    of_cells = all(s.modality == "single_cell" for s in study.samples)
    return of_cells and study.trial is None and all(e.source == DEFAULT_SOURCE for e in study.endpoints)


def _composition(found: LabelledCells, family: str) -> Iterator[Endpoint]:
    """Yield the share of each labelled population in its parent, of those with cells enough to be compared."""
    for name, parent in parents_of(found.members).items():
        if parent in found.members and name != _REST and found.members[name].sum() >= FEWEST_CELLS:
            yield PercentOfParent(
                id=f"cells_{name}_pct_{parent}".replace(" ", "_"),
                source="labels of single cells",
                role="exploratory",
                family=family,
                population=name,
                parent=parent,
            )


def registered_parts(study: Study, found: LabelledCells) -> tuple[Endpoint, ...]:
    """Return the measures by which cells answer the assays that a trial registers on them.

    Parameters
    ----------
    study
        The study.
    found
        Its labelled cells; an assay of a population that was not found has none.

    Returns
    -------
    tuple of Endpoint
        Of each assay the share of its population and the score of each of its signatures, with the assay's role and
        visits, in a family of their own.
    """
    parts: list[Endpoint] = []
    for one in study.endpoints:
        if not isinstance(one, Assay) or one.population not in found.members or one.parent not in found.members:
            continue
        stated = {f.name: getattr(one, f.name) for f in fields(Endpoint)} | {"family": one.id, "part_of": one.id}
        share = stated | {"id": f"{one.id}_pct_{one.parent.lower()}"}
        parts.append(PercentOfParent(**share, population=one.population, parent=one.parent))
        for name in one.signatures:
            score = stated | {"id": f"{one.id}_{name}", "unit": SCORE}
            parts.append(PairedChange(**score, variable=f"{name} in {one.population}"))
    return tuple(parts)


def _response_id(name: str) -> str:
    return f"{RESPONSES[name]}_in_{name}"


def endpoint_rows(endpoints: Sequence[Endpoint], counts: pd.DataFrame, sample: str) -> Iterator[dict[str, object]]:
    """Yield one record an endpoint that a sample's cells answer; denominators are on the population's lineage.

    Parameters
    ----------
    endpoints
        Those of the study; one of another lineage is passed over.
    counts
        `population_counts` and `cluster_counts` of all samples.
    sample
        Its sample_id.
    """
    own = counts[counts["sample_id"] == sample]
    yield from endpoint_values([e for e in endpoints if _on_lineage(e, own)], SampleCounts(own))


def _on_lineage(endpoint: Endpoint, counts: pd.DataFrame) -> bool:
    if endpoint.share is None:
        return True
    population, parent = endpoint.share
    paths = counts.loc[counts["population"] == population, "path"]
    return len(paths) > 0 and parent in str(paths.iloc[0]).split("/")


def response_row(
    name: str, scores: pd.DataFrame, sample: str, *, endpoint: str = "", signature: str = ""
) -> dict[str, object]:
    """Return the record of a subset's response score in a sample; scores are those of `response_by_sample`.

    Parameters
    ----------
    name
        A subset that has a response signature.
    scores
        Rows of `response_by_sample`.
    sample
        Its sample_id.
    endpoint, signature
        Id and signature, where it is not the subset's own response.

    Returns
    -------
    dict
        A row of ENDPOINTS without what names the sample; in standard deviations of a gene.
    """
    row = scores[scores["sample_id"] == sample].iloc[0]
    return {
        "endpoint": endpoint or _response_id(name),
        "population": name,
        "parent": None,
        "definition": f"{BY_SCORE}{signature or RESPONSES[name]}",
        "value": row["value"],
        "unit": SCORE,
        "n_events": int(row["n_cells"]),
        "n_parent": None,
        "flag": row["flag"],
    }
