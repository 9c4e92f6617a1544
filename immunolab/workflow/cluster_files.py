"""Cluster the events of FCS files study-wide; `immunolab cluster`."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from immunolab.clustering.clusters import (
    NOT_CLUSTERED_ON,
    TRAIN_ON,
    ClusterMethod,
    Clusters,
    find_clusters,
    train,
)
from immunolab.clustering.som import Labels, Matrix
from immunolab.clustering.stability import stability
from immunolab.clustering.tables import cluster_profiles, cluster_sizes, shared_events, with_labels_of
from immunolab.errors import DataFileError, GatingError, ImmunolabError, InputError, Problem, nearest
from immunolab.events.subsample import drawn_rows
from immunolab.events.tube import Tube
from immunolab.gating.gate_source import Gates, read_gates
from immunolab.gating.placement.rules import display_scale
from immunolab.gating.tubes import GatedTube, gate_tube
from immunolab.loaders.fcs.read import read_fcs, read_header
from immunolab.progress import phases, progress
from immunolab.schema.cells import CLUSTERS
from immunolab.schema.files import write_atomically
from immunolab.schema.formula_cells import each_text, neutralised
from immunolab.schema.tables import declared
from immunolab.vocabulary.panel import read_panel, resolve_channels
from immunolab.workflow.cluster_visits import abundance_lines, compare_clusters, sheet_of
from immunolab.workflow.scales import scaled_gates
from immunolab.workflow.workers import Workers, memory_budget

log = logging.getLogger("immunolab")
Mask = NDArray[np.bool_]
_REPEATS = 3  # runs with other seeds, and on halves: judgement, as few as show a spread


@dataclass(frozen=True)
class ClusterOptions:
    """How events are clustered.

    Attributes
    ----------
    method
        ``flowsom`` (self-organising map with consensus metaclusters) or ``leiden`` (graph).
    clusters
        How many; Leiden comes as near as its resolution allows.
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
    clusters: int = 15
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
    abundance: pd.DataFrame | None = None


@dataclass(frozen=True)
class _Tube:
    """One file's events on the display scale, markers x events float32; the parent; gated populations."""

    sample_id: str
    shown: Matrix
    inside: Mask
    gated: GatedTube | None


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
    markers = _markers(paths, chosen, panel)
    samples = sheet_of(chosen.sheet, paths, chosen.before, chosen.after) if chosen.sheet else None
    pool = Workers(memory=memory_budget())
    source = scaled_gates(read_gates(chosen.strategy), paths, pool, panel) if chosen.strategy else None
    share = max(TRAIN_ON // len(paths), 1)
    read = partial(_read, markers=markers, source=source, options=chosen, panel=panel)
    shown = progress(paths, len(paths), "reading", logs=False)
    subsamples = [_subsample(read(path), share, chosen.seed) for path in shown]
    events = np.concatenate(subsamples)
    if len(events) < chosen.clusters:
        where = f" in {chosen.parent}" if chosen.parent else ""
        hint = "choose a larger parent or fewer clusters"
        raise InputError(Problem("", "", f"{len(events)} events{where} cannot make {chosen.clusters} clusters", hint))
    with phases("clustering", ("finding clusters", "stability")) as next_phase:
        found = find_clusters(events, chosen.clusters, method=chosen.method, seed=chosen.seed)
        next_phase()
        again = partial(train, n_clusters=chosen.clusters, method=chosen.method)
        repeated = stability(found.sample, found.labels, again, runs=_REPEATS, seed=chosen.seed)
    profiles = cluster_profiles(found, markers)
    if chosen.merge:
        profiles = with_labels_of(profiles, chosen.merge)
    written = _write(paths, Path(out), markers, read, found, profiles, repeated)
    _draw(found, markers, written.profiles, chosen, Path(out))
    if samples is None:
        return written
    return replace(written, abundance=compare_clusters(written.sizes, samples, Path(out), chosen.before, chosen.after))


def _markers(paths: Sequence[Path], options: ClusterOptions, panel: Mapping[str, str] | None) -> tuple[str, ...]:
    problems = [Problem(str(p), "", "there is no such file", "check the path") for p in paths if not p.is_file()]
    stems = [path.stem for path in paths]
    problems += [
        Problem(stem, "", "several files share this stem", "cluster them in separate runs")
        for stem in dict.fromkeys(stems)
        if stems.count(stem) > 1
    ]
    if problems:
        raise InputError(problems)
    have = [_names(path, panel) for path in paths]
    if options.markers:
        for path, names in zip(paths, have, strict=True):
            for marker in options.markers:
                if marker not in names:
                    hint = f"{nearest(marker, names)} the file has: {', '.join(names)}".strip()
                    problems.append(Problem(str(path), "", f"there is no marker '{marker}'", hint))
        if problems:
            raise InputError(problems)
        return tuple(dict.fromkeys(options.markers))
    common = [name for name, stained in have[0].items() if stained and all(other.get(name) for other in have)]
    if len(common) < 2:
        hint = "name markers in $PnS or in a table for --panel, or choose channels with --markers"
        raise InputError(Problem("", "", f"{len(common)} markers are in all files, 2 are needed", hint))
    return tuple(common)


def _names(path: Path, panel: Mapping[str, str] | None) -> dict[str, bool]:
    """Return markers and channels of a file, and whether each is a marker to cluster on by default."""
    try:
        header = read_header(path)
    except DataFileError as error:
        raise InputError(Problem(str(path), "", error.message, error.hint)) from error
    channels = resolve_channels([c.name for c in header.channels], [c.label for c in header.channels], panel)
    stained = [c for c in channels if c.kind in ("fluorescence", "mass")]
    named = [c.marker for c in stained if c.marker and c.marker not in NOT_CLUSTERED_ON]
    names = {c.name: not named and c in stained for c in channels}
    return {**{marker: named.count(marker) == 1 for marker in named}, **names}


def _read(
    path: Path,
    markers: Sequence[str],
    source: Gates | None,
    options: ClusterOptions,
    panel: Mapping[str, str] | None,
) -> _Tube:
    try:
        events = read_fcs(path, panel=panel, sample_id=path.stem)
    except DataFileError as error:
        raise InputError(Problem(str(path), "", error.message, error.hint)) from error
    gated = _gated(events, path, source, options) if source else None
    inside = np.ones(events.n_events, dtype=bool)
    if options.parent and gated is not None:
        inside = _parent_mask(gated, options.parent)
    settings = source.declared.settings.get("transform", {}) if source and source.declared else {}
    shown = np.empty((len(markers), events.n_events), dtype=np.float32)
    for row, marker in enumerate(markers):
        channel = events.channels[events.find(marker)]
        shown[row] = display_scale(settings, channel).apply(events.compensated(channel.name))
    return _Tube(path.stem, shown, inside & np.isfinite(shown).all(axis=0), gated)


def _gated(tube: Tube, path: Path, source: Gates, options: ClusterOptions) -> GatedTube:
    try:
        gated = gate_tube(tube, source.for_file(tube.file, tube.keywords), seed=options.seed)
    except ImmunolabError as error:
        raise InputError(Problem(str(path), "", error.message, error.hint)) from error
    for fault in gated.left_out:
        log.info("%s: %s is not gated: %s", path.name, fault.place, fault.message)
    return gated


def _parent_mask(gated: GatedTube, name: str) -> Mask:
    try:
        return gated.mask(name)
    except GatingError as error:
        raise InputError(Problem("", "--parent", error.message, error.hint)) from None


def _subsample(tube: _Tube, n: int, seed: int) -> Matrix:
    inside = drawn_rows(np.flatnonzero(tube.inside), n, [seed, *tube.sample_id.encode()])
    return np.ascontiguousarray(tube.shown[:, inside].T)


def _write(
    paths: Sequence[Path],
    out: Path,
    markers: tuple[str, ...],
    read: Callable[[Path], _Tube],
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


def _clusters_of(tube: _Tube, found: Clusters) -> Labels:
    """Return the cluster of each event of a tube, -1 outside the parent."""
    clusters = np.full(tube.inside.size, -1, dtype=np.int32)
    if tube.inside.any():
        clusters[tube.inside] = found.assign(tube.shown[:, tube.inside].T)
    return clusters


def _draw(found: Clusters, markers: Sequence[str], profiles: pd.DataFrame, options: ClusterOptions, out: Path) -> None:
    from immunolab.plots.clusters import SHOWN_EVENTS, map_plot, profile_plot
    from immunolab.plots.style import HALF, WIDTH, figure, save

    fig = figure(WIDTH, 0.22 * len(profiles) + 1.2)
    profile_plot(profiles, markers, ax=fig.add_subplot())
    save(fig, out / "figures" / "profiles.png")
    save(fig, out / "figures" / "profiles.pdf")
    if not options.umap:
        return
    from immunolab.clustering.embedding import umap_of

    rows = drawn_rows(len(found.sample), SHOWN_EVENTS, options.seed)
    names = [f"{c} {label}" for c, label in zip(profiles["cluster"], profiles["label"], strict=True)]
    fig = figure(HALF * 1.4, HALF)
    map_plot(umap_of(found.sample[rows], options.seed), found.labels[rows], names, ax=fig.add_subplot())
    save(fig, out / "figures" / "umap.png")
    save(fig, out / "figures" / "umap.pdf")


def cluster_text(outcome: ClusterOutcome) -> str:
    """Return a summary for the terminal."""
    means = outcome.stability.groupby("kind")["adjusted_rand_index"].mean()
    lines = [
        f"{outcome.n_clustered:,} of {outcome.n_events:,} events in {len(outcome.profiles)} clusters"
        f" on {', '.join(outcome.markers)}",
        *(
            f"  {row.cluster:>3}  {row.label:<14} {row.percent:6.2f} %  score {row.score:.2f}, next {row.runner_up}"
            for row in outcome.profiles.itertuples()
        ),
        f"found again: adjusted Rand index {means['seed']:.3f} with other seeds, "
        f"{means['subsample']:.3f} on half the events",
    ]
    if outcome.abundance is not None:
        lines += ["", *abundance_lines(outcome.abundance)]
    return "\n".join(lines)
