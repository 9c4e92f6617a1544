"""What a file of single cells says of its samples and columns, without reading a cell."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from immunolab.errors import DataFileError
from immunolab.loaders.cell_files import kind_of_cells

SAMPLE_COLUMNS = (
    "sample_id",
    "sample",
    "sampleid",
    "sample_name",
    "library_id",
    "library",
    "orig.ident",
    "hash.id",
    "hto_classification",
    "donor_id",
    "donor",
    "patient_id",
    "patient",
    "subject",
)
"""Columns of ``obs`` that name the sample, the first that is there."""


@dataclass(frozen=True)
class CellHeader:
    """Columns of ``obs``, and the samples that one of them names; None where the file does not show them by a column.

    Attributes
    ----------
    columns
        Empty for files other than h5ad.
    samples
        In the order of the file's categories.
    n_cells
        None for files other than h5ad.
    """

    columns: tuple[str, ...] = ()
    samples: tuple[str, ...] | None = None
    n_cells: int | None = None


def sample_column(columns: Iterable[str]) -> str:
    """Return the column that names the sample, "" where none of the usual ones is there.

    Parameters
    ----------
    columns
        Of ``obs``.
    """
    by_lower = {name.lower(): name for name in columns}
    return next((by_lower[name] for name in SAMPLE_COLUMNS if name in by_lower), "")


def read_cell_header(source: Path) -> CellHeader:
    """Return what an h5ad file says of its cells' columns and samples; other kinds are only recognised.

    Parameters
    ----------
    source
        File or folder.

    Raises
    ------
    DataFileError
        The file is missing, is no single-cell file, or is damaged.
    """
    if kind_of_cells(source) != "h5ad":
        return CellHeader()
    import h5py

    try:
        with h5py.File(source, "r") as handle:
            obs = handle.get("obs")
            if not isinstance(obs, h5py.Group):  # one table, as anndata wrote before 0.7
                return CellHeader(tuple(obs.dtype.names or ()), None, len(obs)) if obs is not None else CellHeader()
            columns = tuple(_text(name) for name in obs.attrs.get("column-order", [k for k in obs if k[0] != "_"]))
            named = sample_column(columns)
            return CellHeader(columns, _values(obs, named) if named else None, _n_cells(obs))
    except (OSError, KeyError, RuntimeError, TypeError) as error:
        raise DataFileError(f"the file is damaged: {error}", str(source), "copy it again") from None


def _n_cells(obs: Any) -> int | None:
    """Return how many names of cells there are; None where the file does not say which column has them."""
    import h5py

    names = obs.get(_text(obs.attrs.get("_index", "_index")))
    names = names.get("values") if isinstance(names, h5py.Group) else names
    return None if names is None else len(names)


def _values(obs: Any, column: str) -> tuple[str, ...]:
    """Return the different values of a column that some cell has, as text."""
    import h5py

    item = obs[column]
    if isinstance(item, h5py.Group) and "categories" in item:  # anndata since 0.8
        used = set(item["codes"][()].tolist())
        return tuple(_text(name) for code, name in enumerate(item["categories"][()]) if code in used)
    values = item["values"][()] if isinstance(item, h5py.Group) else item[()]
    if isinstance(item, h5py.Group) and "mask" in item:  # of whole numbers, of which some are missing
        values = values[~item["mask"][()]]
    if "__categories" in obs and column in obs["__categories"]:  # anndata 0.7
        names = obs["__categories"][column][()]
        return tuple(_text(names[code]) for code in dict.fromkeys(values.tolist()) if code >= 0)
    return tuple(dict.fromkeys(map(_text, values)))


def _text(value: object) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)
