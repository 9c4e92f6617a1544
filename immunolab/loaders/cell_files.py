"""Files of single cells, opened as they are: h5ad, h5mu, zarr, 10x HDF5 and Matrix Market folders."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

from immunolab.errors import DataFileError
from immunolab.input_files import is_there
from immunolab.loaders.matrix_folder import read_folder
from immunolab.loaders.multimodal import read_h5mu

_IN_MEMORY = ("obs", "var", "obsm", "varm", "uns")  # of a backed file: all but X, layers and graphs of neighbours
_ZARR = (".zgroup", "zarr.json")  # of a group of zarr 2, and of zarr 3


def open_cells(source: Path, *, backed: bool = False) -> Any:
    """Return what a file of single cells holds, as it is.

    Parameters
    ----------
    source
        File or folder.
    backed
        Leave the matrices in the file; ``.h5ad`` alone.

    Raises
    ------
    DataFileError
        The file is missing, is no single-cell file, is damaged, or cannot be left in the file.
    """
    kind = kind_of_cells(source)
    if backed and kind != "h5ad":
        hint = "read_cells(file) once without backed, write_h5ad, and open that file"
        raise DataFileError("only an h5ad file can be left on the disk (backed)", str(source), hint)
    if kind == "h5ad":
        return _read_h5ad(source, backed=backed)
    return {"mtx": read_folder, "zarr": _read_zarr, "10x": _read_10x, "h5mu": read_h5mu}[kind](source)


def kind_of_cells(source: Path) -> str:
    """Return which kind of single-cell file this is: h5ad, h5mu, zarr, 10x or mtx; by its first bytes and groups.

    Parameters
    ----------
    source
        File or folder.

    Raises
    ------
    DataFileError
        The file is missing, is no single-cell file, or is damaged.
    """
    if not is_there(source):
        raise DataFileError("there is no such file", str(source), "check the path")
    if source.is_dir():
        return "zarr" if any((source / name).exists() for name in _ZARR) else "mtx"
    with source.open("rb") as handle:
        start = handle.read(4)
    if start != b"\x89HDF" and not start.startswith(b"MuDa"):
        hint = "give the folder that it is in"
        if source.name.removesuffix(".gz").endswith((".mtx", "features.tsv", "genes.tsv", "barcodes.tsv")):
            raise DataFileError("this is one of the three files of a 10x folder", str(source), hint)
        is_table = source.name.casefold().removesuffix(".gz").endswith(_TABLES)
        what = "this is a table, not a single-cell file" if is_table else "this is no single-cell file"
        raise DataFileError(what, str(source), _way_out(source))
    return _kind_of_hdf5(source)


_READ = "give a .h5ad, a .h5mu, a zarr folder, a 10x .h5, or a folder with matrix.mtx"
_TABLES = (".csv", ".tsv", ".txt")
_FROM_R = "write it as .h5ad in R: zellkonverter::writeH5AD(as.SingleCellExperiment(object), 'cells.h5ad')"


def _way_out(source: Path) -> str:
    """Return how what is not read becomes what is."""
    name = source.name.casefold().removesuffix(".gz")
    if name.endswith(_TABLES):
        parted = "" if name.endswith(".csv") else ", '\\t'"
        read = f"anndata.io.read_csv('{source.name}'{parted})"
        return (
            f"of a table of counts, in Python: {read}.write_h5ad('cells.h5ad'); {read}.T where its rows are genes; "
            "give that .h5ad"
        )
    return _FROM_R if name.endswith((".rds", ".rdata", ".rda")) else _READ


def _kind_of_hdf5(source: Path) -> str:
    import h5py

    try:
        with h5py.File(source, "r") as handle:
            keys = set(handle)
            if other := _of_another_kind(keys):
                raise DataFileError(other[0], str(source), other[1])
            if "mod" in keys and "X" not in keys:
                return "h5mu"
            return (
                "10x"
                if "X" not in keys and ("matrix" in keys or any("barcodes" in handle[k] for k in keys))
                else "h5ad"
            )
    except DataFileError:
        raise
    except Exception as error:  # noqa: BLE001  whatever the library makes of a damaged file
        raise DataFileError(f"the file is damaged: {error}", str(source), "copy it again") from None


def _of_another_kind(keys: set[str]) -> tuple[str, str] | None:
    """Return what an HDF5 file is that is not read, by its groups, and the way out; None for all others."""
    if {"row_attrs", "col_attrs"} <= keys:
        return "this is a loom file", "in Python: scanpy.read_loom(file, sparse=True).write_h5ad('cells.h5ad')"
    if {"assays", "meta.data"} <= keys:
        return "this is a file of Seurat", _FROM_R
    if "barcode_idx" in keys:
        return "this file lists molecules, not cells", "give filtered_feature_bc_matrix.h5, which is beside it"
    return None


def _read_h5ad(source: Path, *, backed: bool) -> Any:
    import anndata

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return _backed(source) if backed else anndata.read_h5ad(source)
    except Exception as error:  # anndata raises a dozen kinds, its registry's own among them
        raise _unreadable("h5ad", source, error) from error


def _backed(source: Path) -> Any:
    """Return the file with its layers left in it too, where `anndata.read_h5ad` would take them into memory."""
    import anndata
    import h5py

    with h5py.File(source, "r") as handle:
        parts = {name: anndata.io.read_elem(handle[name]) for name in _IN_MEMORY if name in handle}
    data = anndata.AnnData(**parts, filename=source, filemode="r")
    layers = data.file["layers"]
    for name, layer in layers.items() if layers is not None else ():
        dense = isinstance(layer, h5py.Dataset)
        data.layers[name] = layer if dense else anndata.io.sparse_dataset(layer)
    return data


def _read_zarr(folder: Path) -> Any:
    import anndata

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return anndata.read_zarr(folder)
    except Exception as error:  # as with h5ad
        raise _unreadable("zarr", folder, error) from error


def _unreadable(kind: str, source: Path, error: Exception) -> DataFileError:
    import anndata

    first = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
    hint = f"this is anndata {anndata.__version__}; write the file again with a version near it"
    return DataFileError(f"the {kind} file cannot be read: {first}", str(source), hint)


def _read_10x(source: Path) -> Any:
    import scanpy

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return scanpy.read_10x_h5(source, gex_only=False)
    except Exception as error:  # whatever h5py and scanpy make of a file that only looks like one
        if "more than one genome" in str(error):
            hint = "export the human one alone, as read_10x_h5(file, genome='GRCh38').write_h5ad(...)"
            raise DataFileError("the 10x file holds several genomes", str(source), hint) from error
        raise DataFileError(f"the 10x file cannot be read: {error}", str(source), "export it again") from error
