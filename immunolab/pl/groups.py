"""Clusters and populations: where they are on a map, and what they express."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from immunolab.errors import InputError, Problem, nearest
from immunolab.events.cells import STORED, check_anndata
from immunolab.gating.tubes import GatedTube
from immunolab.pl.gating import check_gated
from immunolab.pl.subject import Subject, collected, one_of
from immunolab.plots.clusters import distinct_colours, map_height, map_plot, profile_plot, signal_map
from immunolab.plots.event_panels import GATE
from immunolab.plots.style import HALF, MISSING, MM, NEUTRAL, WIDTH, axes, colour, style

if TYPE_CHECKING:
    from anndata import AnnData
    from matplotlib.axes import Axes

_LABELS = (
    "immunolab_label",
    "immunolab_cluster_label",
    "immunolab_cluster",
)  # what color="label" is, the first there is
_MOST_WORDS = 40  # values of a column that are colours; of more, colours look alike (judgement)
_WITHOUT = ("none", "unassigned", "unknown", "nan")  # words of events without a label
_NOT_SHOWN = ("Viability", "dump")


@style()
def umap(data: AnnData, *, color: str = "label", ax: Axes | None = None) -> Axes:
    """Draw the map that `immunolab.umap` made, coloured by a label, a marker or gene, a population or a column.

    Parameters
    ----------
    data
        Events or cells with ``obsm["X_umap"]``.
    color
        ``label`` (of cells, else of clusters), the name of a marker or gene (its display value or log count), of a
        surface protein, of a gated population, or of a column of ``obs``.
    ax
        Axes to draw on; None makes a new figure.

    Returns
    -------
    Axes
        The axes drawn on; n is the number of events or cells that are on the map.

    Raises
    ------
    InputError
        There is no map yet, or nothing of that name.
    """
    check_anndata(data)
    if "X_umap" not in data.obsm:
        raise InputError(Problem("", "data", "it has no map yet", "call immunolab.umap(data) first"))
    points = np.asarray(data.obsm["X_umap"], dtype=np.float64)
    placed = np.flatnonzero(np.isfinite(points).all(axis=1))
    values, what = _colour_of(data, color)
    unit = "events" if "kind" in data.var else "cells"
    if values.dtype.kind in "fiu":
        ax = axes(ax, WIDTH * 0.72, 92 * MM)
        return signal_map(points[placed], values[placed].astype(np.float64), what, ax=ax, unit=unit)
    words = pd.Series(values[placed]).fillna("none").astype(str)
    order = [str(name) for name in words.value_counts().index]
    if len(order) > _MOST_WORDS:
        hint = f"it has {len(order)} different values; name a column of at most {_MOST_WORDS}, or a marker"
        raise InputError(Problem("", "color", f"'{color}' has too many values for colours", hint))
    codes = words.map({name: place for place, name in enumerate(order)}).to_numpy(dtype=np.intp)
    named = [f"{name} (n = {int((codes == place).sum()):,})" for place, name in enumerate(order)]
    clustered = color == "immunolab_cluster"
    numbers = ["" if name in _WITHOUT else name for name in order] if clustered else ()
    ax = axes(ax, WIDTH * 0.72, max(92 * MM, map_height(len(order))))
    ax.set_title(what, fontsize=8, weight="bold")
    return map_plot(points[placed], codes, named, ax, colours=_colours(order), unit=unit, numbers=numbers)


def _colours(names: Sequence[str]) -> list[Any]:
    """Return a colour a name: grey for what has none and for what is outside a population, which has its own."""
    palette = distinct_colours()
    found: list[Any] = []
    for name in names:
        known = colour(name)
        if name.startswith("not ") or name in _WITHOUT:
            found.append(MISSING)
        elif len(names) == 2 and any(other == f"not {name}" for other in names):
            found.append(known if known != NEUTRAL else GATE)
        else:
            found.append(palette[len(found) % len(palette)])
    return found


def _colour_of(data: AnnData, color: str) -> tuple[NDArray[Any], str]:
    """Return the value of every event that a map is coloured by, and what it is in words."""
    if color == "label":
        found = next((name for name in _LABELS if name in data.obs), None)
        if found is None:
            hint = "call immunolab.label(cells) or immunolab.cluster(data) first, or name a marker"
            raise InputError(Problem("", "color", "neither labels nor clusters are there", hint))
        return data.obs[found].astype(object).to_numpy(), "label" if found == _LABELS[0] else "cluster"
    if color in data.obs:
        column = data.obs[color]
        numeric = pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(column)
        return (column.to_numpy(dtype=float) if numeric else column.astype(object).to_numpy()), color
    if color in data.var_names:
        column = data[:, color].X
        dense = column.toarray() if hasattr(column, "toarray") else np.asarray(column)
        flow = "kind" in data.var
        return dense.ravel().astype(np.float64), f"{color}, {'display scale' if flow else 'log1p of counts per 10,000'}"
    for key, what in (("populations", "population"), ("protein", "protein")):
        frame = data.obsm.get(key)
        if frame is not None and color in frame:
            own = frame[color].to_numpy()
            inside = np.where(own, color, f"not {color}") if key == "populations" else own.astype(np.float64)
            return inside, f"{color}, {what}"
    names = ["label", *map(str, data.obs), *map(str, data.var_names)]
    names += [str(name) for key in ("populations", "protein") if key in data.obsm for name in data.obsm[key]]
    some = ", ".join(names[:30]) + (f" and {len(names) - 30} more" if len(names) > 30 else "")
    raise InputError(
        Problem("", "color", f"there is no '{color}'", f"{nearest(color, names)} there are: {some}".strip())
    )


@style()
def profiles(
    data: AnnData | GatedTube,
    *,
    populations: Sequence[str] = (),
    markers: Sequence[str] = (),
    ax: Axes | None = None,
) -> Axes:
    """Draw the median of every marker in every cluster or population, each marker from its lowest to its highest.

    Parameters
    ----------
    data
        A gated tube (its populations), or the AnnData of a tube that `immunolab.cluster` has clustered.
    populations
        Of a gated tube: those drawn; all that hold an event and are not withheld by default.
    markers
        Those drawn; all stained ones by default.
    ax
        Axes to draw on; None makes a new figure.

    Returns
    -------
    Axes
        Rows are clusters or populations, columns markers; medians are taken on the display scale.

    Raises
    ------
    InputError
        There are no clusters yet, or a marker or population is not there: all of them at once.
    """
    there_are_clusters = type(data).__name__ == "AnnData"
    if there_are_clusters:
        table, there = _clusters(data)
        if populations:
            raise InputError(Problem("", "populations", "an AnnData is drawn by cluster", "give the GatedTube"))
    else:
        check_gated(data)
        table, there = _populations(data, populations, markers)  # type: ignore[arg-type]
    collected(*(("markers", lambda m=m: one_of(m, there, "markers", "marker")) for m in markers))  # type: ignore[misc]
    shown = list(markers) or there
    high = (30 + 4.6 * len(table)) * MM
    what = "cluster" if there_are_clusters else "population"
    return profile_plot(table, shown, axes(ax, HALF + 5.5 * len(shown) * MM, max(70 * MM, high)), what=what)


def _clusters(data: Any) -> tuple[pd.DataFrame, list[str]]:
    """Return one row a cluster, with its events, and the markers there are."""
    table = data.uns.get(STORED, {}).get("clusters")
    if table is None:
        raise InputError(Problem("", "data", "it has no clusters yet", "call immunolab.cluster(data) first"))
    markers = [str(name).removeprefix("median_") for name in table if str(name).startswith("median_")]
    if not markers:
        hint = "clusters of cells have no medians of markers; scanpy's dotplot draws genes by obs['immunolab_cluster']"
        raise InputError(Problem("", "data", "it holds single cells", hint))
    counts = data.obs["immunolab_cluster"].value_counts()
    n = np.array([int(counts.get(str(cluster), 0)) for cluster in table["cluster"]])
    return table.assign(n_events=n, percent=100.0 * n / max(1, n.sum())), markers


def _populations(gated: GatedTube, names: Sequence[str], markers: Sequence[str]) -> tuple[pd.DataFrame, list[str]]:
    """Return one row a population: medians on the display scale, events and percent of all events."""
    collected(*(("populations", lambda name=name: gated.mask(name)) for name in names))  # type: ignore[misc]
    events = Subject(gated.tube, gated)
    stained = [c for c in gated.tube.channels if c.marker and c.kind in ("fluorescence", "mass")]
    own = dict(zip((c.name for c in gated.tube.channels), gated.tube.names, strict=True))  # two of a marker: channels
    there = [own[c.name] for c in stained if c.marker not in _NOT_SHOWN or own[c.name] in markers]
    dimensions = [events.dimension(c.name) for c in stained]
    paths = [p.path for p in gated.strategy.populations if not gated.is_withheld(p.path)]
    chosen = list(names) or [path for path in paths if gated.mask(path).any()]
    block = events.axes(dimensions).block()
    last = [name.rsplit("/", 1)[-1] for name in chosen]
    rows = []
    for name, short in zip(chosen, last, strict=True):
        inside = np.flatnonzero(gated.mask(name))
        row: dict[str, Any] = {
            "cluster": short if last.count(short) == 1 else name,
            "label": "",
            "n_events": len(inside),
            "percent": 100.0 * len(inside) / max(1, len(gated.tube)),
        }
        for channel, dimension in zip(stained, dimensions, strict=True):
            row[f"median_{own[channel.name]}"] = (
                float(np.median(block.axis(dimension)[inside])) if len(inside) else np.nan
            )
        rows.append(row)
    if not rows:
        raise InputError(Problem("", "data", "no population holds an event", "look at gated.counts"))
    return pd.DataFrame(rows), there
