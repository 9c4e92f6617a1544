"""Cluster the events of FCS files study-wide; `immunolab cluster`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from immunolab.clustering.cluster_number import ClusterNumber
from immunolab.clustering.clusters import TRAIN_ON, ClusterMethod, Clusters, find_clusters, train
from immunolab.clustering.embedding import enough_events
from immunolab.clustering.names import LEAST_SCORE, UNASSIGNED, lineage_beside
from immunolab.clustering.som import Labels
from immunolab.clustering.stability import stability
from immunolab.clustering.tables import (
    cluster_numbers,
    cluster_profiles,
    cluster_sizes,
    read_labels,
    shared_events,
    with_labels_of,
)
from immunolab.errors import InputError, Problem
from immunolab.events.scales import ChannelScale
from immunolab.events.subsample import drawn_rows
from immunolab.events.transforms import scale_in_words
from immunolab.gating.gate_source import read_gates
from immunolab.progress import phases, progress
from immunolab.schema.cells import CLUSTERS
from immunolab.schema.files import write_atomically
from immunolab.schema.formula_cells import each_text, neutralised
from immunolab.schema.tables import declared
from immunolab.vocabulary.panel import read_panel
from immunolab.workflow.cluster_tubes import MarkerEvents, TubeReader, markers_of
from immunolab.workflow.cluster_visits import abundance_lines, compare_clusters, sheet_of
from immunolab.workflow.scales import scaled_gates
from immunolab.workflow.workers import Workers, memory_budget

# what only some runs write: of an earlier run into the same folder it would be taken for the next one's
_OF_SOME_RUNS = (
    *(f"{name}.csv" for name in ("abundance", "confusion", "cluster_numbers")),
    *(
        f"figures/{name}.{kind}"
        for name in ("abundance", "abundance_*", "cluster_number", "umap")
        for kind in ("png", "pdf")
    ),
)
# adjusted Rand index with other seeds below which the clusters are said to be chance: judgement, labelled sets have .9
_UNSTEADY = 0.6
_REPEATS = 3  # runs with other seeds, and on halves: judgement, as few as show a spread


@dataclass(frozen=True)
class ClusterOptions:
    """How events are clustered.

    Attributes
    ----------
    method
        ``flowsom`` (self-organising map with metaclusters) or ``leiden`` (graph).
    clusters
        How many; Leiden comes as near as its resolution allows. None takes as many as halves of the events find again.
    markers
        Markers or channels to cluster on; empty takes every marker that all files have, but not
        viability, dump and DNA channels.
    strategy, parent
        Gates, and the population inside which events are clustered; without a parent
        all events are, and the strategy serves the comparison with gated populations only.
    merge
        CSV with columns cluster and label that overrides labels.
    seed
        Of every random draw.
    umap
        Also draw the clusters on a UMAP of a subsample.
    panel
        Table of channels and markers (CSV or YAML), for files that do not name their markers.
    sheet, before, after
        Sample sheet (patient_id, visit and file or sample_id) and the visits whose clusters are compared.
    """

    method: ClusterMethod = "flowsom"
    clusters: int | None = None
    markers: tuple[str, ...] = ()
    strategy: Path | None = None
    parent: str = ""
    merge: Path | None = None
    seed: int = 0
    umap: bool = False
    panel: Path | None = None
    sheet: Path | None = None
    before: str = ""
    after: str = ""


@dataclass(frozen=True)
class ClusterOutcome:
    """What clustering files came to.

    Attributes
    ----------
    out
        The folder written.
    markers
        What the events were clustered on.
    profiles, sizes
        One row a cluster; one row a cluster and file.
    stability
        See `immunolab.clustering.stability.stability`.
    n_events, n_clustered
        Events read, and those inside the parent.
    scales
        Display scale of each marker, and why.
    number
        How many clusters the events bear; None where the method does not ask.
    asked
        The number that was asked for; None where it was chosen.
    abundance
        Clusters at two visits (`schema.cells.ABUNDANCE`); None where no sheet was given.
    """

    out: Path
    markers: tuple[str, ...]
    profiles: pd.DataFrame
    sizes: pd.DataFrame
    stability: pd.DataFrame
    n_events: int
    n_clustered: int
    scales: tuple[ChannelScale, ...] = ()
    number: ClusterNumber | None = None
    asked: int | None = None
    abundance: pd.DataFrame | None = None


def cluster_files(
    files: Sequence[Path | str], out: Path | str, options: ClusterOptions | None = None
) -> ClusterOutcome:
    """Cluster FCS files together and write clusters.csv, profiles.csv, sizes.csv, stability.csv and figures.

    Clusters are found on a balanced subsample (as many events from each file, 100,000 in all) of the
    events inside the parent; then every event is assigned.

    Parameters
    ----------
    files
        FCS files.
    out
        Output folder.
    options
        Defaults where None.

    Raises
    ------
    InputError
        Files that are not there or share a stem, markers that a file lacks, an unknown parent, a
        merging table with faults, a sheet that gives no pairs; all at once.
    """
    chosen = options or ClusterOptions()
    paths = [Path(file) for file in files]
    panel = read_panel(chosen.panel) if chosen.panel else None
    markers = markers_of(paths, chosen.markers, panel)
    names = read_labels(chosen.merge) if chosen.merge else None
    samples = sheet_of(chosen.sheet, paths, chosen.before, chosen.after) if chosen.sheet else None
    pool = Workers(memory=memory_budget())
    source = scaled_gates(read_gates(chosen.strategy), paths, pool, panel) if chosen.strategy else None
    reader = TubeReader(markers, source, chosen.parent, panel, chosen.seed)
    events, scales = reader.sample(paths, TRAIN_ON)
    if len(events) < (chosen.clusters or 1):
        raise InputError(_too_few(len(events), chosen))
    if chosen.umap:
        enough_events(len(events))
    with phases("clustering", ("finding clusters", "stability")) as next_phase:
        found = find_clusters(events, chosen.clusters, method=chosen.method, seed=chosen.seed)
        next_phase()
        again = partial(train, n_clusters=found.n, method=chosen.method, number=found.map.number)
        repeated = stability(found.sample, found.labels, again, runs=_REPEATS, seed=chosen.seed)
    profiles = cluster_profiles(found, markers, {m: one.transform for m, one in zip(markers, scales, strict=True)})
    if names is not None:
        profiles = with_labels_of(profiles, names)
    read = partial(reader.read, scales=scales)
    written = _write(paths, Path(out), markers, read, found, profiles, repeated)
    _write_evidence(scales, found.map.number, Path(out))
    _draw(found, markers, written.profiles, chosen, Path(out))
    written = replace(written, scales=scales, number=found.map.number, asked=chosen.clusters)
    if samples is None:
        return written
    return replace(written, abundance=compare_clusters(written.sizes, samples, Path(out), chosen.before, chosen.after))


def _too_few(n: int, options: ClusterOptions) -> Problem:
    where = f" in {options.parent}" if options.parent else ""
    if not n:
        return Problem(
            "", "", f"there is no event{where} with a value of every marker", "look at the files or the parent"
        )
    text = f"{n} event{'s' if n != 1 else ''}{where} cannot make {options.clusters} clusters"
    return Problem("", "", text, "choose a larger parent or fewer clusters")


def _write(
    paths: Sequence[Path],
    out: Path,
    markers: tuple[str, ...],
    read: Callable[[Path], MarkerEvents],
    found: Clusters,
    profiles: pd.DataFrame,
    repeated: pd.DataFrame,
) -> ClusterOutcome:
    """Write the cluster of every event, a file at a time, and the tables of clusters.

    Events outside the parent have cluster -1, which picks the last label and number: the empty ones.
    """
    labels = np.array([*profiles["label"], ""], dtype=object)
    numbers = np.array([*map(str, profiles["cluster"]), ""], dtype=object)
    sizes, crossed, n_events = [], [], 0

    def write_clusters(part: Path) -> None:
        nonlocal n_events
        with part.open("w", encoding="utf-8", newline="") as handle:
            handle.write(",".join(CLUSTERS.names) + "\n")
            for path in progress(paths, len(paths), "assigning events", logs=False):
                tube = read(path)
                cluster = _clusters_of(tube, found)
                n_events += len(cluster)
                sizes.append(cluster_sizes(cluster, profiles, tube.sample_id))
                if tube.gated is not None:
                    crossed.append(shared_events(cluster, tube.gated.memberships.masks, profiles, tube.sample_id))
                frame = pd.DataFrame(
                    {"s": tube.sample_id, "e": np.arange(len(cluster)), "c": numbers[cluster], "l": labels[cluster]}
                )
                each_text(frame, neutralised).to_csv(handle, index=False, header=False, lineterminator="\n")

    out.mkdir(parents=True, exist_ok=True)
    for pattern in _OF_SOME_RUNS:
        for earlier in out.glob(pattern):
            earlier.unlink()
    write_atomically(out / "clusters.csv", write_clusters)
    size = pd.concat(sizes, ignore_index=True)
    total = size.groupby("cluster")["n_events"].sum()
    profiles = profiles.assign(n_events=[int(total[c]) for c in profiles["cluster"]])
    profiles["percent"] = 100.0 * profiles["n_events"] / max(int(total.sum()), 1)
    tables = {"profiles": profiles, "sizes": size, "stability": repeated}
    if crossed:
        tables["confusion"] = pd.concat(crossed, ignore_index=True)
    for name, table in tables.items():
        declared(name).write(table, out / f"{name}.csv")
    return ClusterOutcome(out, markers, profiles, size, repeated, n_events, int(total.sum()))


def _write_evidence(scales: Sequence[ChannelScale], number: ClusterNumber | None, out: Path) -> None:
    """Write the scale of each marker, and what the number of clusters depends on."""
    rows = [
        {"panel": None, "channel": one.name, "scale": scale_in_words(one.transform), "reason": one.reason}
        for one in scales
    ]
    declared("scales").write(pd.DataFrame(rows), out / "scales.csv")
    if number is None:
        return
    declared("cluster_numbers").write(cluster_numbers(number), out / "cluster_numbers.csv")
    if number.agreement:
        from immunolab.plots.clusters import number_plot
        from immunolab.plots.style import HALF, figure

        fig = figure(HALF, HALF * 0.75)
        number_plot(number, fig.add_subplot())
        _save(fig, out / "figures" / "cluster_number")


def _clusters_of(tube: MarkerEvents, found: Clusters) -> Labels:
    """Return the cluster of each event of a tube, -1 outside the parent."""
    clusters = np.full(tube.inside.size, -1, dtype=np.int32)
    if tube.inside.any():
        clusters[tube.inside] = found.assign(tube.values[:, tube.inside].T)
    return clusters


def _draw(found: Clusters, markers: Sequence[str], profiles: pd.DataFrame, options: ClusterOptions, out: Path) -> None:
    from immunolab.plots.clusters import SHOWN_EVENTS, map_height, map_plot, profile_plot
    from immunolab.plots.style import HALF, WIDTH, figure

    fig = figure(WIDTH, max(0.22 * len(profiles) + 1.2, 2.0))  # inches: room for the words beside the colours
    profile_plot(profiles, markers, ax=fig.add_subplot())
    _save(fig, out / "figures" / "profiles")
    if not options.umap:
        return
    from immunolab.clustering.embedding import umap_of

    rows = drawn_rows(len(found.sample), SHOWN_EVENTS, options.seed)
    names = [f"{c} {label}" for c, label in zip(profiles["cluster"], profiles["label"], strict=True)]
    fig = figure(HALF * 1.6, map_height(len(names)))
    numbers = [str(cluster) for cluster in profiles["cluster"]]
    points = umap_of(found.sample[rows], options.seed)
    map_plot(points, found.labels[rows], names, ax=fig.add_subplot(), numbers=numbers)
    _save(fig, out / "figures" / "umap")


def _save(fig: Any, path: Path) -> None:
    """Write a figure as PNG and PDF."""
    from immunolab.plots.figure_files import save

    for suffix in (".png", ".pdf"):
        save(fig, path.with_suffix(suffix))


def cluster_text(outcome: ClusterOutcome) -> str:
    """Return a summary for the terminal."""
    n = len(outcome.profiles)
    means = outcome.stability.groupby("kind")["adjusted_rand_index"].mean()
    lines = [
        f"{outcome.n_clustered:,} of {outcome.n_events:,} events in {n} cluster{'s' if n != 1 else ''}"
        f" on {', '.join(outcome.markers)}",
        *(
            f"  {row.cluster:>3}  {row.label:<14} {row.percent:6.2f} %  {_reason(row)}"
            for row in outcome.profiles.itertuples()
        ),
        *_evidence_lines(outcome),
    ]
    if n > 1:
        lines.append(
            f"found again: adjusted Rand index {means['seed']:.3f} with other seeds, "
            f"{means['subsample']:.3f} on half the events"
        )
        if means["seed"] < _UNSTEADY:
            lines.append("  mostly chance: other seeds give other clusters; take fewer, or more events")
    if outcome.abundance is not None:
        lines += ["", *abundance_lines(outcome.abundance)]
    return "\n".join(lines)


def _reason(row: Any) -> str:
    """Return how well a cluster's name fits and what else it has; without a name the nearest, or what it has."""
    if row.label != UNASSIGNED:
        beside = lineage_beside(row.phenotype or "", row.evidence or "")
        return f"fit {row.score:.2f}: {row.evidence or ''}" + (f"; beside it {beside}" if beside else "")
    if row.score >= LEAST_SCORE:
        return f"nearest {row.runner_up}, fit {row.score:.2f}: {row.evidence or ''}"
    has = [word for word in (row.phenotype or "").split() if not word.endswith("-")]
    none = "no population fits" if row.evidence else "no population is defined by these markers"
    return f"{none}: {' '.join(has) or 'negative for all'}" if row.phenotype else none


def _evidence_lines(outcome: ClusterOutcome) -> list[str]:
    """Return what the number of clusters and the scales of the markers depend on, in words."""
    lines = []
    if outcome.number is not None:
        words = outcome.number.in_words(outcome.asked, len(outcome.profiles))
        lines.append(f"number: {words} (cluster_numbers.csv)")
    by_scale: dict[str, list[str]] = {}
    for one in outcome.scales:
        by_scale.setdefault(f"{scale_in_words(one.transform)}: {one.reason}", []).append(one.name)
    for words, names in by_scale.items():
        of = "all markers" if len(by_scale) == 1 else ", ".join(names)
        lines.append(f"scale of {of}: {words} (scales.csv)")
    return lines
