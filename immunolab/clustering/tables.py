"""Tables of clusters: profiles with names, sizes, and what they share with gated populations."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from immunolab.clustering.cluster_number import FOUND_AGAIN, HALVES, ClusterNumber
from immunolab.clustering.clusters import Clusters
from immunolab.clustering.marker_levels import marker_levels
from immunolab.clustering.names import NO_NAME, name_cluster, phenotype_in_words, phenotypes_of
from immunolab.clustering.som import Labels
from immunolab.errors import InputError, Problem
from immunolab.events.transforms import Transform
from immunolab.study.spreadsheet import TextTable, read_text_table


def cluster_profiles(found: Clusters, markers: Sequence[str], scales: Mapping[str, Transform]) -> pd.DataFrame:
    """Return one row a cluster: its name and how sure, and its medians.

    Parameters
    ----------
    found
        Clusters, with their training sample.
    markers
        Of the sample's columns.
    scales
        Display scales of markers, as far as they are known: where unstained events are around zero it is known when
        no group of events has a marker, so that no cluster is named by it.

    Returns
    -------
    pd.DataFrame
        cluster (from 1), label, score, runner_up, margin (see `names.name_cluster`), consensus (flowsom only, 0
        to 1), evidence (conditions of the label, or of the runner-up of an unassigned cluster, each with the
        cluster's level: 0 the marker's negative events, 1 its positive ones), phenotype (markers that it has, has in
        part and has not, of those that tell events apart), and ``median_MARKER`` on the display scale.
    """
    medians = np.array([_median(found.sample[found.labels == cluster]) for cluster in range(found.n)])
    levels = marker_levels(found, medians, markers, scales)
    candidates = phenotypes_of(levels.parting, levels.absent)
    rows = []
    for cluster in range(found.n):
        place = levels.of(medians[cluster], markers)
        empty = bool(np.isnan(medians[cluster]).any())
        events = levels.of(found.sample[found.labels == cluster], markers)
        named = NO_NAME if empty else name_cluster(events, candidates)
        shown = found.shown(medians[cluster])
        rows.append(
            {
                "cluster": cluster + 1,
                "label": named.label,
                "score": named.score,
                "runner_up": named.runner_up or None,
                "margin": named.margin,
                "consensus": None if found.map.stability is None else float(found.map.stability[cluster]),
                "evidence": named.evidence or None,
                "phenotype": None
                if empty
                else phenotype_in_words({m: float(place[m]) for m in levels.parting}) or None,
                **{f"median_{marker}": float(value) for marker, value in zip(markers, shown, strict=True)},
            }
        )
    return pd.DataFrame(rows)


def _median(events: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the median of each marker, not a number where there is no event."""
    return np.median(events, axis=0) if len(events) else np.full(events.shape[1], np.nan, dtype=np.float32)


def cluster_numbers(number: ClusterNumber) -> pd.DataFrame:
    """Return one row a number of clusters that was tried, with the agreement of halves of the events.

    Parameters
    ----------
    number
        How many clusters the events bear.
    """
    rows = [
        {
            "clusters": n,
            "agreement": index,
            "n_pairs": HALVES * (HALVES - 1) // 2,
            "least": FOUND_AGAIN,
            "found_again": number.found_again[n],
            "found_again_low": number.between[n][0],
            "found_again_high": number.between[n][1],
        }
        for n, index in number.agreement.items()
    ]
    found = ["found_again", "found_again_low", "found_again_high"]
    return pd.DataFrame(rows, columns=["clusters", "agreement", "n_pairs", "least", *found])


def read_labels(path: Path) -> TextTable:
    """Return a merging table, which has the columns cluster and label.

    Parameters
    ----------
    path
        CSV (comma, semicolon or tab) or XLSX.

    Raises
    ------
    InputError
        It cannot be read, or columns are missing.
    """
    table = read_text_table(path)
    missing = [name for name in ("cluster", "label") if name not in table.columns]
    if missing:
        raise InputError([table.problem(None, m, "the column is missing", "cluster,label") for m in missing])
    return table


def with_labels_of(profiles: pd.DataFrame, table: TextTable) -> pd.DataFrame:
    """Return the profiles with labels from a merging table.

    Parameters
    ----------
    profiles
        As `cluster_profiles` gives them.
    table
        As `read_labels` gives it; a cluster that it leaves out keeps its label.

    Raises
    ------
    InputError
        Unknown or duplicated clusters, empty labels; all at once.
    """
    known = [str(cluster) for cluster in profiles["cluster"]]
    problems = list(_merging_problems(table, known))
    if problems:
        raise InputError(problems)
    given = {row["cluster"]: row["label"] for row in table.rows}
    return profiles.assign(label=[given.get(c, label) for c, label in zip(known, profiles["label"], strict=True)])


def _merging_problems(table: TextTable, known: Sequence[str]) -> Iterator[Problem]:
    for row in table.rows:
        if row["cluster"] not in known:
            yield table.problem(row, "cluster", f"there is no cluster '{row['cluster']}'", f"1 to {known[-1]}")
        if not row["label"]:
            yield table.problem(row, "label", "the label is empty", "name it, or leave the row out")
    counts = Counter(row["cluster"] for row in table.rows)
    for cluster in (cluster for cluster, n in counts.items() if n > 1):
        yield table.problem(None, "", f"cluster {cluster} is duplicated", "keep one row")


def cluster_sizes(clusters: Labels, profiles: pd.DataFrame, sample_id: str) -> pd.DataFrame:
    """Return each cluster's events in one sample, and their percentage of the events that were clustered.

    Parameters
    ----------
    clusters
        Cluster of each event, counted from 0; -1 where an event was not clustered.
    profiles
        Numbers and labels of the clusters.
    sample_id
        Of the events.
    """
    n = np.bincount(clusters[clusters >= 0], minlength=len(profiles))
    return pd.DataFrame(
        {
            "sample_id": sample_id,
            "cluster": profiles["cluster"],
            "label": profiles["label"],
            "n_events": n,
            "n_parent": int(n.sum()),
            "percent_of_parent": 100.0 * n / n.sum() if n.sum() else np.nan,
        }
    )


def shared_events(
    clusters: Labels, populations: Mapping[str, NDArray[np.bool_]], profiles: pd.DataFrame, sample_id: str
) -> pd.DataFrame:
    """Return the events that each cluster shares with each gated population of one sample.

    Parameters
    ----------
    clusters, profiles, sample_id
        See `cluster_sizes`.
    populations
        Path of a population -> which events are in it.
    """
    size = np.bincount(clusters[clusters >= 0], minlength=len(profiles))
    rows = []
    for path, inside in populations.items():
        shared = np.bincount(clusters[inside & (clusters >= 0)], minlength=len(profiles))
        rows += [
            {
                "sample_id": sample_id,
                "cluster": int(number),
                "label": label,
                "path": path,
                "n_events": int(n),
                "percent_of_cluster": 100.0 * n / m if m else None,
                "percent_of_population": 100.0 * n / shared.sum() if shared.sum() else None,
            }
            for number, label, n, m in zip(profiles["cluster"], profiles["label"], shared, size, strict=True)
        ]
    return pd.DataFrame(rows)
