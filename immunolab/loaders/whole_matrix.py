"""The whole matrix of a file: all its genes where X has the variable ones, and cells rather than all droplets."""

from __future__ import annotations

from typing import Any

import numpy as np

from immunolab.errors import DataFileError
from immunolab.loaders.cell_features import ABOUT_FEATURES
from immunolab.loaders.cell_matrices import COUNT_LAYERS, kind_of

_EMPTY_COUNTS = 50.0  # counts of genes: half of what a cell needs to pass at all; a median under it is of empty ones
_NO_COUNTS = 0.1  # share of droplets without any count of a gene: cells that were called have some (judgement)
_CELL_COUNTS, _FEWEST_CELLS = 500.0, 50  # counts that a cell has and a droplet without one has not; how many show it


def with_all_genes(data: Any) -> tuple[Any, tuple[str, ...]]:
    """Return the cells with the genes of ``raw``, where it has more than X and no worse values, and a note on it.

    Scanpy's usual script keeps the 2,000 most variable genes in X and all of them in ``raw``. Lineages need all.

    Parameters
    ----------
    data
        As the file holds it; left as it is.
    """
    from anndata import AnnData

    raw = data.raw
    if raw is None or raw.n_vars <= data.n_vars or not set(data.var_names) <= set(raw.var_names):
        return data, ()
    if any(name in data.var.columns and name not in raw.var.columns for name in ABOUT_FEATURES):
        return data, ()
    kind = kind_of(raw.X)
    own = [data.layers[name] for name in COUNT_LAYERS if name in data.layers] + ([] if data.X is None else [data.X])
    counted = any(kind_of(matrix) == "counts" for matrix in own)
    if kind != "counts" and (kind != "log" or counted):
        return data, ()
    whole = AnnData(raw.X, obs=data.obs, var=raw.var, obsm=dict(data.obsm), uns=dict(data.uns))
    what = "counts" if kind == "counts" else "logs"
    return whole, (f"all {raw.n_vars:,} genes are taken from raw ({what}); X has {data.n_vars:,} of them",)


def check_droplets(counts: Any, where: str) -> None:
    """Raise where a matrix holds all droplets, most of them without a cell, as 10x's raw matrix does.

    Parameters
    ----------
    counts
        Cells x genes.
    where
        The file, for messages.

    Raises
    ------
    DataFileError
        Half of the droplets have under 50 counts, or a tenth has none, and 50 or more have 500 or more, as cells have.
    """
    totals = np.asarray(counts.sum(axis=1)).ravel()
    cells = int((totals >= _CELL_COUNTS).sum())
    empty = float(np.median(totals)) < _EMPTY_COUNTS or float((totals == 0).mean()) > _NO_COUNTS
    if cells >= _FEWEST_CELLS and empty:
        few = int((totals < _EMPTY_COUNTS).sum())
        text = f"these are all droplets: {few:,} of {len(totals):,} have under {_EMPTY_COUNTS:.0f} counts, so no cell"
        hint = "give the filtered matrix (filtered_feature_bc_matrix); this one may go with it as empty (--empty)"
        raise DataFileError(text, where, hint)
