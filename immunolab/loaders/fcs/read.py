"""Read FCS files: `read_header` for what a file holds, `read_fcs` for its events."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO, Literal

import numpy as np
from numpy.typing import NDArray

from immunolab.errors import DataFileError
from immunolab.events.tube import Channel, Spillover, Tube, identity
from immunolab.input_files import is_special, path_hint
from immunolab.loaders.fcs.channels import FcsChannel
from immunolab.loaders.fcs.data import decode, not_finite
from immunolab.loaders.fcs.header import FcsHeader, describe
from immunolab.loaders.fcs.spillover import keyword_spillover, match_spillover, read_spillover
from immunolab.loaders.fcs.text import data_sets, keywords, read_span, supplement
from immunolab.loaders.preprocessing_checks import signs_of_processing
from immunolab.vocabulary.panel import misspelled_channels, read_panel, resolve_channels

_BLOCK_BYTE = 2**20  # read at once while hashing; larger blocks were no faster
# a file that is hashed by a thread of its own: starting one costs what hashing 200 kB does, more on a busy machine
_WORTH_A_THREAD_BYTE = 2**20

__all__ = ["FcsChannel", "FcsHeader", "read_fcs", "read_header"]


def read_header(path: str | Path, *, dataset: int = 0) -> FcsHeader:
    """Return what an FCS file holds without reading an event.

    Parameters
    ----------
    path
        An FCS 2.0, 3.0, 3.1 or 3.2 file (``.fcs``, ``.lmd``, ``.001``).
    dataset
        Which data set of the file, counted from 0.

    Returns
    -------
    FcsHeader
        TEXT keywords, channels, and where DATA is; no event is read.

    Raises
    ------
    DataFileError
        When the file cannot be read right; names segment or keyword, and how to fix it.

    Examples
    --------
    >>> header = il.read_header("sample_data/sle/fcs/SLE001_W0.fcs")
    >>> header.n_events
    5000
    """
    with _open(path) as handle:
        return _header(handle, str(path), dataset)


def read_fcs(
    path: str | Path,
    *,
    dataset: int = 0,
    panel: Mapping[str, str] | str | Path | None = None,
    spillover: Literal["file"] | str | Path | Spillover | None = "file",
    sample_id: str = "",
    stored: bool = False,
) -> Tube:
    """Read an FCS file's events onto the linear scale of the instrument.

    Parameters
    ----------
    path
        An FCS 2.0, 3.0, 3.1 or 3.2 file.
    dataset
        Which data set of the file, counted from 0.
    panel
        Markers by channel name, or a panel file (CSV, YAML); it wins over the labels in the file.
    spillover
        ``file`` takes the file's own matrix, a path reads one (CSV or FlowJo .mtx), None
        leaves the tube without.
    sample_id
        The sample the tube belongs to.
    stored
        Values as they are in the file, before ``$PnE``, ``$PnG`` and ``$TIMESTEP``; such a
        tube has no matrix, which is meant for linear values.

    Returns
    -------
    Tube
        Events, not compensated: float32, channels x events; time in seconds where ``$TIMESTEP`` is given.

    Raises
    ------
    DataFileError
        When file or matrix cannot be read right; names segment or keyword, and how to fix it.

    Examples
    --------
    >>> tube = il.read_fcs("sample_data/sle/fcs/SLE001_W0.fcs")
    >>> tube
    Tube(SLE001_W0.fcs: 5,000 events x 20 channels)
    >>> len(tube), tube["CD4"].shape
    (5000, (5000,))
    """
    file = str(path)
    with _open(path) as handle:
        header = _header(handle, file, dataset)
        names, labels = [c.name for c in header.channels], [c.label for c in header.channels]
        markers = read_panel(Path(panel)) if isinstance(panel, str | Path) else panel
        named = resolve_channels(names, labels, markers)
        # values as stored have another end
        channels = named if stored else _with_units(named, header)
        matrix, notes = (None, []) if stored else _choose_spillover(header, spillover)
        before = os.fstat(handle.fileno())
        columns, masked, sha256 = _decoded(handle, header, stored)
        _check_unchanged(before, os.fstat(handle.fileno()), file)
    notes += [*masked, *not_finite(columns, names), *misspelled_channels(names, markers or {})]
    notes += signs_of_processing(columns, channels, matrix, header.cytometer)
    return Tube(
        columns=columns,
        channels=channels,
        spillover=matrix,
        sample_id=sample_id,
        file=file,
        sha256=sha256,
        warnings=header.warnings + tuple(notes),
        keywords=identity(header.text),
    )


def _decoded(handle: BinaryIO, header: FcsHeader, stored: bool) -> tuple[NDArray[np.float32], list[str], str]:
    """Return the events, what is unusual about them, and the file's hash, which a large file's other reader makes."""
    if os.fstat(handle.fileno()).st_size < _WORTH_A_THREAD_BYTE:
        return *decode(handle, header, stored=stored), _sha256(handle, header.file)
    with ThreadPoolExecutor(1) as other:
        digest = other.submit(_sha256, handle, header.file)
        return *decode(handle, header, stored=stored), digest.result()


def _with_units(channels: Sequence[Channel], header: FcsHeader) -> tuple[Channel, ...]:
    return tuple(
        replace(channel, top=one.top, in_seconds=one.is_time and header.has_timestep)
        for channel, one in zip(channels, header.channels, strict=True)
    )


def _choose_spillover(
    header: FcsHeader, spillover: Literal["file"] | str | Path | Spillover | None = "file"
) -> tuple[Spillover | None, list[str]]:
    """Return the matrix a tube is to be compensated with, in its channel names, and what is unusual about it.

    Parameters
    ----------
    header
        Of the tube.
    spillover
        As in `read_fcs`.

    Raises
    ------
    DataFileError
        When the matrix is not usable for this tube.
    """
    notes: list[str] = []
    if spillover == "file":
        matrix, notes = keyword_spillover(header.text, header.file)
    else:
        matrix = read_spillover(spillover) if isinstance(spillover, str | Path) else spillover
    if matrix is None:
        return None, notes
    names, labels = [c.name for c in header.channels], [c.label for c in header.channels]
    matched, more = match_spillover(matrix, names, labels, header.file)
    return matched, notes + more


def _open(path: str | Path) -> BinaryIO:
    try:
        if is_special(path):
            raise DataFileError("is no regular file", str(path), "check the path")
        return open(path, "rb", buffering=0)
    except OSError as error:
        reason = error.strerror or type(error).__name__
        hint = path_hint(path, ".fcs", ".lmd")
        raise DataFileError(f"the file cannot be opened: {reason}", str(path), hint) from None


def _header(handle: BinaryIO, file: str, dataset: int) -> FcsHeader:
    size = handle.seek(0, 2)
    sets = list(data_sets(handle, size, file))
    if not 0 <= dataset < len(sets):
        raise DataFileError(
            f"data set {dataset} is not in the file; it holds {len(sets)}", file, "data sets count from 0"
        )
    segments = sets[dataset]
    text, notes = keywords(read_span(handle, segments, segments.text, file), file)
    extra, more = supplement(handle, segments, text, size, file)
    notes = [*notes, *more]
    if len(sets) > 1:
        notes.append(f"the file holds {len(sets)} data sets; this is number {dataset}, counted from 0")
    return describe(segments, extra | text, size, file, dataset=dataset, datasets=len(sets), notes=notes)


def _sha256(handle: BinaryIO, file: str) -> str:
    """Return the hash of the file that is open, which may no longer be the one at its path."""
    if os.name == "nt":  # no positioned reads there, but an open file cannot be replaced
        with open(file, "rb") as other:
            return hashlib.file_digest(other, "sha256").hexdigest()
    digest, offset = hashlib.sha256(), 0
    # positioned, so that the other reader of the same handle keeps its place
    while block := os.pread(handle.fileno(), _BLOCK_BYTE, offset):
        digest.update(block)
        offset += len(block)
    return digest.hexdigest()


def _check_unchanged(before: os.stat_result, after: os.stat_result, file: str) -> None:
    if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns):
        raise DataFileError("the file changed while it was read", file, "start again when the file is complete")
