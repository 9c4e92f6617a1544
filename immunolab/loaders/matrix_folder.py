"""Folders of Matrix Market files: Cell Ranger of any version, STARsolo, and what GEO keeps of them."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from immunolab.errors import DataFileError
from immunolab.schema.csv_files import read_without_header

if TYPE_CHECKING:
    from anndata import AnnData

_MATRIX, _CELLS, _FEATURES = ("matrix.mtx",), ("barcodes.tsv",), ("features.tsv", "genes.tsv")
# where the matrices of a folder of Cell Ranger are: its own, those of `outs`, and those of each sample of `multi`
_COUNTED = "per_sample_outs/*/count"
_BELOW = ("*/*", "outs/*/*", *(f"{place}{_COUNTED}/{depth}" for place in ("", "outs/") for depth in ("*", "*/*")))
_NEEDED = "matrix.mtx, barcodes.tsv, and features.tsv or genes.tsv of one library are needed, each zipped (.gz) or not"


def read_folder(folder: Path) -> AnnData:
    """Return the cells of a folder with ``matrix.mtx``, ``barcodes.tsv`` and ``features.tsv`` or ``genes.tsv``.

    Each may be zipped, and all three may begin with one prefix, as ``GSM123_blood_matrix.mtx.gz`` does. Names stay as
    the file has them: an antibody called as a gene differs from it by its feature type, not by a number after it.

    Parameters
    ----------
    folder
        The folder.

    Raises
    ------
    DataFileError
        A file is missing or damaged, there are several libraries, or the three differ in their numbers.
    """
    matrix, prefix = _matrix(folder)
    barcodes, features = (_beside(folder, prefix, names) for names in (_CELLS, _FEATURES))
    try:
        return _joined(matrix, barcodes, features)
    except Exception as error:  # pandas' and scipy's own errors, and of zipped files
        raise DataFileError(f"the 10x folder cannot be read: {error}", str(folder), _NEEDED) from error


def _ending(name: str, wanted: tuple[str, ...]) -> str:
    """Return what is before one of the wanted names; "-" where it is none of them."""
    plain = name.removesuffix(".gz")
    return next((plain.removesuffix(one) for one in wanted if plain.endswith(one)), "-")


def _matrix(folder: Path) -> tuple[Path, str]:
    found = sorted(path for path in folder.iterdir() if _ending(path.name, _MATRIX) != "-")
    prefixes = sorted({_ending(path.name, _MATRIX) for path in found})
    if len(prefixes) > 1:
        shown = ", ".join(path.name for path in found[:3])
        hint = "one folder a library; study.yaml and join_cells put them together"
        raise DataFileError(f"the folder holds {len(prefixes)} matrices: {shown}", str(folder), hint)
    if found:
        return found[0], prefixes[0]
    deeper = [path for place in _BELOW for path in sorted(folder.glob(place))]
    below = [path.parent for path in deeper if _ending(path.name, _MATRIX) != "-"]
    files = [path for path in deeper if path.name.endswith("feature_bc_matrix.h5")]
    inside = [
        path.relative_to(folder).as_posix() for path in dict.fromkeys((*below, *sorted(folder.glob("*.h5")), *files))
    ]
    beside = ", ".join(sorted(path.name for path in folder.iterdir())[:5])
    hint = f"give one of those in it: {', '.join(inside[:4])}" if inside else f"it holds: {beside}" if beside else ""
    raise DataFileError("the folder holds no matrix.mtx", str(folder), hint)


def _beside(folder: Path, prefix: str, names: tuple[str, ...]) -> Path:
    for name in names:
        for path in (folder / f"{prefix}{name}.gz", folder / f"{prefix}{name}"):
            if path.exists():
                return path
    raise DataFileError(f"the folder holds no {prefix}{' or '.join(names)}", str(folder), _NEEDED)


def _joined(matrix: Path, barcodes: Path, features: Path) -> AnnData:
    from anndata import AnnData
    from scipy.io import mmread
    from scipy.sparse import csr_matrix

    cells = read_without_header(barcodes)[0]
    var = read_without_header(features)
    counts = csr_matrix(mmread(matrix).T, dtype="float32")
    if counts.shape != (len(cells), len(var)):
        has = f"{counts.shape[0]} cells x {counts.shape[1]} features"
        raise ValueError(
            f"the matrix holds {has}, and beside it {len(cells)} barcodes and {len(var)} features are named"
        )
    ids, names = var[0], var[1] if var.shape[1] > 1 else var[0]
    about = pd.DataFrame({"gene_ids": ids.to_numpy()}, index=pd.Index(names.to_numpy(), dtype=object))
    if var.shape[1] > 2:
        about["feature_types"] = var[2].to_numpy()
    with warnings.catch_warnings():  # an antibody may be called as its gene
        warnings.filterwarnings("ignore", message="Variable names are not unique")
        return AnnData(counts, obs=pd.DataFrame(index=pd.Index(cells.to_numpy(), dtype=object)), var=about)
