"""Surface proteins of a file of single cells: where they are, what they are called, isotype controls beside them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from immunolab.errors import DataFileError
from immunolab.events.cells import ProteinScale, is_cell_data, proteins_of
from immunolab.loaders.cell_features import Features, isotype_columns, protein_markers, split_features
from immunolab.loaders.cell_matrices import COUNT_LAYERS, dense_proteins
from immunolab.loaders.protein_counts import are_counts, counts_from

if TYPE_CHECKING:
    from anndata import AnnData

_PROTEIN_KEYS = ("protein", "proteins", "adt", "antibody_capture", "protein_expression", "cite", "antibodies")
_KEY_ENDS = re.compile(r"^x_|_(raw|counts?|umis?|clr|dsb|norm(ali[sz]ed)?|log1?p?)$")
_RAW = re.compile(r"_(raw|counts?|umis?)$")
_REACH = (0.01, 0.99)  # quantiles that two antibodies against one marker are compared by
_MISSING = (
    0.01  # share of cells without a value from which a protein is left out: fewer count as without it (judgement)
)


@dataclass(frozen=True)
class Proteins:
    """Surface proteins of the cells, cells x markers, and isotype controls, where there are any.

    ``values`` is None where none can be used; the notes say why.
    """

    values: pd.DataFrame | None
    scale: ProteinScale
    notes: tuple[str, ...]
    controls: pd.DataFrame | None = None


def find_proteins(data: AnnData, features: Features, where: str) -> Proteins | None:
    """Return the surface proteins of a file, in ``obsm`` or among its features; None where it has none.

    Parameters
    ----------
    data
        As the file holds it.
    features
        Its columns.
    where
        The file, for messages.

    Raises
    ------
    DataFileError
        Proteins of ``obsm`` are not named.
    """
    key = _key(data)
    if key is not None:
        table = data.obsm[key]
        names = _column_names(table, data, str(key), where)
        values = table.to_numpy(dtype=np.float64) if isinstance(table, pd.DataFrame) else dense_proteins(table)
    elif features.protein_columns.size:
        names = features.protein_names
        values = dense_proteins(_where_counted(data)[:, features.protein_columns])
    else:
        return None
    there = np.isfinite(values)
    values = np.where(there, values, _without(np.where(there, values, np.inf)))
    markers, kept, notes = protein_markers(names, np.ptp(np.quantile(values, _REACH, axis=0), axis=0).tolist())
    isotypes = isotype_columns(names)
    chosen, scale, said = _as_counts(values[:, [*kept, *isotypes]])
    proteins = pd.DataFrame(chosen[:, : len(kept)], columns=list(markers))
    missing = pd.Series((~there[:, kept]).sum(axis=0), index=proteins.columns)
    lost = missing[missing > _MISSING * len(values)]
    if not kept:
        return None
    if len(lost) == len(kept):
        some = int((~there[:, kept]).all(axis=1).sum())
        text = f"surface proteins are left out: each lacks a value in {lost.min():,} of {len(values):,} cells and more"
        return Proteins(None, "counts", (f"{text}, {some:,} cells lack all",))
    controls = pd.DataFrame(chosen[:, len(kept) :], columns=[names[i] for i in isotypes]) if isotypes else None
    left_out = [f"{name}: {n:,} of {len(values):,} cells have no value; it is left out" for name, n in lost.items()]
    return Proteins(proteins.drop(columns=lost.index), scale, (*notes, *left_out, *said), controls)


def _without(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return what a protein that is not there would have in each cell: 0, of centred ratios the least of the cell."""
    least = values.min(axis=1, keepdims=True, initial=np.inf)
    return np.where((least < 0).any() & np.isfinite(least), least, 0.0)


def _key(data: AnnData) -> str | None:
    """Return where in ``obsm`` the proteins are; of several tables the one that is called raw, or counts, or plain."""
    by_lower = {str(key).lower(): str(key) for key in data.obsm}
    tables = [name for name in by_lower if _KEY_ENDS.sub("", _KEY_ENDS.sub("", name)) in _PROTEIN_KEYS]
    best = sorted(tables, key=lambda name: (not _RAW.search(name), name not in _PROTEIN_KEYS))
    return by_lower[best[0]] if best else None


def _as_counts(values: NDArray[np.float64]) -> tuple[NDArray[np.float64], ProteinScale, tuple[str, ...]]:
    """Return counts, worked out where values were made of them; else the values and that they are none; and a note."""
    if are_counts(values):
        return values, "counts", ()
    counts, made_of = counts_from(values)
    if counts is None:
        return values, "transformed", ("surface proteins are not counts; they are used on the scale they are on",)
    return counts, "counts", (f"surface proteins are {made_of}; they are used as counts",)


def _where_counted(data: AnnData) -> Any:
    return next((data.layers[name] for name in COUNT_LAYERS if name in data.layers), data.X)


def _column_names(table: Any, data: AnnData, key: str, where: str) -> tuple[str, ...]:
    if isinstance(table, pd.DataFrame):
        return tuple(map(str, table.columns))
    names = next((data.uns[k] for k in (f"{key}_names", "protein_names", "adt_names") if k in data.uns), None)
    if names is None or len(names) != table.shape[1]:
        hint = f"store it as a data frame with the markers as columns, or their names in uns['{key}_names']"
        raise DataFileError(f"obsm['{key}'] does not name its {table.shape[1]} proteins", where, hint)
    return tuple(map(str, names))


def read_proteins(data: AnnData, where: str) -> pd.DataFrame | None:
    """Return the surface proteins of any AnnData by marker, cells x markers; None where it has none.

    Parameters
    ----------
    data
        As a file holds it, or under the storage contract.
    where
        The file, for messages.
    """
    if is_cell_data(data):
        return proteins_of(data)
    found = find_proteins(data, split_features(data.var, where), where)
    return None if found is None else found.values
