"""Whether an HDF5 file can be read at all: meant for a process of its own, which a damaged file may end."""

from __future__ import annotations

from pathlib import Path

from immunolab.errors import DataFileError
from immunolab.input_files import is_there


def is_hdf5(path: str) -> bool:
    """Whether a path leads to an HDF5 file; only its first bytes are looked at.

    Parameters
    ----------
    path
        As someone wrote it.
    """
    import h5py

    return is_there(path) and Path(path).is_file() and h5py.is_hdf5(path)


def read_through(path: str) -> None:
    """Read every value of an HDF5 file once and keep none; other files are passed over.

    The library that reads these files trusts what they say of themselves, so that some damage ends the process.

    Parameters
    ----------
    path
        The file.

    Raises
    ------
    DataFileError
        It is damaged.
    """
    import h5py

    if not is_hdf5(path):
        return
    try:
        with h5py.File(path, "r") as handle:
            handle.visititems(_read)
    except Exception as error:  # noqa: BLE001  the library raises whatever its first damaged part makes of it
        first = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise DataFileError(f"the file is damaged ({first})", path, "copy it again") from None


def _read(_name: str, item: object) -> None:
    import h5py

    if isinstance(item, h5py.Dataset) and item.size != 0:  # of no cells there is nothing to read, and nothing damaged
        for part in item.iter_chunks() if item.chunks else [()]:
            item[part]
    for value in item.attrs.values():  # type: ignore[attr-defined]
        del value
