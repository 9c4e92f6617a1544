"""Surface proteins of a file of single cells: where they are, what they are called, isotype controls beside them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from immunolab.errors import DataFileError
from immunolab.events.cells import ProteinScale, is_cell_data, proteins_of
from immunolab.loaders.cell_features import Features, isotype_columns, protein_markers, split_features
from immunolab.loaders.cell_matrices import dense_proteins, protein_scale

if TYPE_CHECKING:
    from anndata import AnnData

_PROTEIN_KEYS = ("protein", "proteins", "adt", "antibody_capture", "protein_expression", "cite", "antibodies")


@dataclass(frozen=True)
class Proteins:
    """Surface proteins of the cells, cells x markers, and isotype controls, where there are any."""

    values: pd.DataFrame
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
    key = next((k for k in data.obsm if str(k).lower() in _PROTEIN_KEYS), None)
    if key is not None:
        table = data.obsm[key]
        names = _column_names(table, data, str(key), where)
        values = table.to_numpy(dtype=np.float64) if isinstance(table, pd.DataFrame) else dense_proteins(table)
    elif features.protein_columns.size:
        names = features.protein_names
        values = dense_proteins(_where_counted(data)[:, features.protein_columns])
    else:
        return None
    markers, kept, notes = protein_markers(names)
    if not kept:
        return None
    chosen = np.nan_to_num(values[:, kept])
    scale = protein_scale(chosen)
    if scale == "transformed":
        notes = [*notes, "surface proteins are not counts; they are used on the scale they are on"]
    isotypes = isotype_columns(names)
    controls = (
        pd.DataFrame(np.nan_to_num(values[:, isotypes]), columns=[names[i] for i in isotypes]) if isotypes else None
    )
    return Proteins(pd.DataFrame(chosen, columns=list(markers)), scale, tuple(notes), controls)


def _where_counted(data: AnnData) -> Any:
    return data.layers.get("counts", data.X)


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
