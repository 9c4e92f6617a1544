"""Clusters and a map of the events or cells of an AnnData, in place."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, get_args

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from immunolab.clustering.cell_names import named_by_cells
from immunolab.clustering.clusters import NOT_CLUSTERED_ON, TRAIN_ON, ClusterMethod, Clusters, find_clusters
from immunolab.clustering.embedding import umap_of
from immunolab.clustering.expression import components, variable_genes
from immunolab.clustering.names import UNASSIGNED
from immunolab.clustering.tables import cluster_profiles
from immunolab.errors import InputError, Problem, nearest, unknown_words
from immunolab.events.cells import STORED, check_anndata, has_genes, is_cell_data
from immunolab.events.subsample import drawn_rows
from immunolab.events.transforms import scale_from_text
from immunolab.progress import phases

if TYPE_CHECKING:
    from anndata import AnnData

_EVIDENCE = ("clusters", "cluster_number")  # of an earlier clustering, none of which holds of the next
_SPACE = "X_immunolab"  # where `immunolab.label` leaves the space that cells are compared in


def cluster(
    data: AnnData,
    *,
    clusters: int | None = None,
    method: ClusterMethod = "flowsom",
    markers: Sequence[str] = (),
    seed: int = 0,
    quiet: bool = False,
) -> None:
    """Cluster the events of a tube, or single cells, in place.

    Parameters
    ----------
    data
        Events on display scale (`GatedTube.to_anndata`), or cells as `immunolab.read_cells` gives them. It gets
        ``obs["immunolab_cluster"]`` (number from 1; missing where an event has no finite value) and, in
        ``uns["immunolab"]["clusters"]``, one row a cluster. Clusters of events are named by their phenotype, clusters
        of labelled cells by the narrowest population that most of them are in: ``obs["immunolab_cluster_label"]``.
    clusters
        How many; Leiden comes as near as its resolution allows. Left out, as many as halves of the events find again
        (of Leiden those at resolution 1); ``uns["immunolab"]["cluster_number"]`` says why, in words, and the
        agreement of halves and the clusters they find again by number.
    method
        ``flowsom`` (self-organising map with metaclusters) or ``leiden`` (nearest-neighbour graph).
    markers
        Of a tube; left out, all markers but viability, dump and DNA channels. Cells are compared by all their genes and
        proteins.
    seed
        Of every random draw.
    quiet
        Show no bar.

    Raises
    ------
    InputError
        It is no AnnData, a marker is missing, the method is unknown, there are fewer events than clusters, or the
        cells were never read or labelled here.

    Examples
    --------
    >>> gated = il.gate(il.read_fcs("sample_data/sle/fcs/SLE001_W0.fcs"), "treg_th17_tfh_teff")
    >>> adata = gated.to_anndata()
    >>> il.cluster(adata, clusters=12)
    >>> adata.obs["immunolab_cluster"].nunique()
    12
    """
    if problems := unknown_words(method=(method, get_args(ClusterMethod))):
        raise InputError(problems)
    points, names = _points(data, markers, seed)
    inside = np.flatnonzero(np.isfinite(points).all(axis=1))
    if not len(inside):
        raise InputError(_without_values(points, names))
    if clusters is not None and (isinstance(clusters, bool) or not isinstance(clusters, (int, np.integer))):
        raise InputError(Problem("", "clusters", f"{clusters!r} is no whole number", "give one, as clusters=12"))
    least = 1 if clusters is None else clusters
    if not 1 <= least <= len(inside):
        n = len(inside)
        text = f"{n} event{'s' if n != 1 else ''} cannot make {least} clusters"
        raise InputError(Problem("", "clusters", text, f"choose 1 to {n} clusters"))
    train = points[drawn_rows(inside, TRAIN_ON, seed)]
    with phases("clustering", ("finding clusters", "every event", "names"), quiet=quiet) as next_phase:
        found = find_clusters(train, clusters, method=method, seed=seed, scale=bool(names))
        next_phase()
        whole = len(inside) == len(points)
        number = found.assign(points if whole else points[inside]) + 1
        next_phase()
        table = _named(found, names, data.var) if names else named_by_cells(number, _labels(data, inside), found.n)
    numbers = [str(one + 1) for one in range(found.n)]
    data.obs["immunolab_cluster"] = _categories(number, numbers, inside, data.n_obs)
    data.obs["immunolab_cluster_label"] = _categories(number, list(table["label"].astype(str)), inside, data.n_obs)
    stored = {"clusters": table.assign(**_as_text(table)), **_evidence(found, clusters)}
    earlier = {key: value for key, value in data.uns.get(STORED, {}).items() if key not in _EVIDENCE}
    data.uns[STORED] = {**earlier, **stored}


def umap(
    data: AnnData, *, markers: Sequence[str] = (), events: int = 20_000, seed: int = 0, quiet: bool = False
) -> None:
    """Place events or cells on a UMAP (McInnes, Healy and Melville 2018), in place as ``obsm["X_umap"]``.

    Parameters
    ----------
    data, markers
        See `cluster`.
    events
        How many are placed, drawn at random; the others are missing on the map, which is for figures only.
    seed
        Of the draw and of the map.
    quiet
        Show no bar.

    Raises
    ------
    InputError
        As `cluster`.

    Examples
    --------
    >>> gated = il.gate(il.read_fcs("sample_data/sle/fcs/SLE001_W0.fcs"), "treg_th17_tfh_teff")
    >>> adata = gated.to_anndata()
    >>> il.umap(adata, events=500)
    >>> adata.obsm["X_umap"].shape
    (5000, 2)
    """
    points, _ = _points(data, markers, seed)
    rows = drawn_rows(np.flatnonzero(np.isfinite(points).all(axis=1)), events, seed)
    placed = np.full((data.n_obs, 2), np.nan)
    with phases("umap", ("placing events",), quiet=quiet):
        placed[rows] = umap_of(points[rows], seed)
    data.obsm["X_umap"] = placed


def _points(data: AnnData, markers: Sequence[str], seed: int) -> tuple[NDArray[np.float32], tuple[str, ...]]:
    """Return what events are compared in, events x dimensions, and the markers of its columns; cells have none."""
    check_anndata(data)
    if not data.n_obs:
        raise InputError(Problem("", "AnnData", "it holds no event or cell", "look at how it was filtered"))
    if "kind" not in data.var and markers:
        hint = "leave markers out, or cluster a copy that holds those genes alone: cells[:, [...]]"
        raise InputError(Problem("", "markers", "single cells are compared by all their genes and proteins", hint))
    if "kind" in data.var:
        names = tuple(markers) or compared_by(data.var)
        if again := sorted({name for name in names if names.count(name) > 1}):
            hint = "name each once; given twice it would count twice"
            raise InputError(Problem("", "markers", f"given twice: {', '.join(again)}", hint))
        missing = [name for name in names if name not in data.var_names]
        if missing:
            known = list(map(str, data.var_names))
            hints = [f"{nearest(marker, known)} markers: {', '.join(known)}".strip() for marker in missing]
            raise InputError(
                [
                    Problem("", "markers", f"there is no marker '{marker}'", hint)
                    for marker, hint in zip(missing, hints, strict=True)
                ]
            )
        return np.asarray(data[:, list(names)].X, dtype=np.float32), names
    if _SPACE in data.obsm:
        return np.asarray(data.obsm[_SPACE], dtype=np.float32), ()
    if data.isbacked:
        hint = "label(cells := cells.to_memory()), write_h5ad, and open that file with backed=True"
        raise InputError(Problem("", "AnnData", "cells in a file have no space to compare in until labelled", hint))
    if is_cell_data(data) and has_genes(data):
        return components(data.X, variable_genes(data.X), seed=seed).astype(np.float32), ()
    hint = "read them with immunolab.read_cells, or call immunolab.label first"
    raise InputError(
        Problem("", "AnnData", "it holds neither a tube nor single cells with a space to compare in", hint)
    )


def _without_values(points: NDArray[np.float32], names: tuple[str, ...]) -> Problem:
    """Return why no event can be compared: the markers that have no finite value, as far as it is they."""
    blank = [name for name, column in zip(names, points.T, strict=False) if not np.isfinite(column).any()]
    said = f": {', '.join(blank)} without any" if blank else ""
    return Problem("", "markers", f"no event has a value of every marker{said}", "give the others as markers=[...]")


def compared_by(var: pd.DataFrame) -> tuple[str, ...]:
    """Return the channels that events are compared by: markers but viability, dump and DNA; without any, all dyes.

    Parameters
    ----------
    var
        Channels of a tube, as in ``var`` of `GatedTube.to_anndata`.
    """
    stained = var["kind"].isin(("fluorescence", "mass"))
    named = stained & (var["marker"] != "") & ~var["marker"].isin(NOT_CLUSTERED_ON)
    return tuple(var.index[named if named.any() else stained])


def _named(found: Clusters, names: tuple[str, ...], var: pd.DataFrame) -> pd.DataFrame:
    """Return one row a cluster of events, with its name."""
    said = var.loc[list(names), "transform"].astype(str) if "transform" in var else pd.Series(dtype=str)
    read = {str(name): scale_from_text(text) for name, text in said.items()}
    return cluster_profiles(found, names, {name: scale for name, scale in read.items() if scale is not None})


def _labels(data: AnnData, inside: NDArray[np.intp]) -> NDArray[np.object_]:
    """Return the labels of the cells that were clustered; none where cells were not labelled."""
    if "immunolab_label" not in data.obs:
        return np.empty(0, dtype=object)
    labels = data.obs["immunolab_label"].astype(object)
    return np.asarray(labels.where(labels.notna(), UNASSIGNED), dtype=object)[inside]


def _categories(number: NDArray[np.int32], names: list[str], rows: NDArray[np.intp], n: int) -> pd.Categorical:
    """Return the name of each event's cluster, missing where it has none; clusters may share a name."""
    there = {names[one] for one in np.unique(number) - 1}
    order = sorted(there, key=lambda value: (len(value), value) if value.isdigit() else (0, value))
    code = np.array([order.index(name) if name in there else -1 for name in names], dtype=np.int32)
    every = np.full(n, -1, dtype=np.int32)
    every[rows] = code[number - 1]
    return pd.Categorical.from_codes(every, categories=pd.Index(order, dtype=object))


def _evidence(found: Clusters, wanted: int | None) -> dict[str, object]:
    """Return how many clusters the events bear, as h5ad can hold it; nothing where the method does not ask."""
    number = found.map.number
    if number is None:
        return {}
    words = number.in_words(wanted, found.n)
    low, high = number.likely
    taken = {"chosen": wanted is None, "borne": number.borne, "taken": number.borne, "low": low, "high": high}
    tried = {
        "clusters": np.array([*number.agreement]),
        "agreement": np.array([*number.agreement.values()]),
        "found_again": np.array([*number.found_again.values()]),
    }
    return {"cluster_number": {"words": words, **taken, **tried}}


def _as_text(table: pd.DataFrame) -> dict[str, pd.Series]:
    """Return the columns of texts with missing ones empty, as h5ad can hold them."""
    return {name: table[name].fillna("").astype(str) for name in table if table[name].dtype == object}
