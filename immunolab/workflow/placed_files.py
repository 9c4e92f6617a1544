"""The gates of tubes between placing and gating, in the cache: one file a sample."""

from __future__ import annotations

import gzip
import json
from collections.abc import Mapping
from pathlib import Path

from immunolab.gating.record_codec import from_plain, to_plain
from immunolab.gating.tube_gates import FailedPlacement, TubeGates
from immunolab.schema.files import write_folder_atomically

Placed = TubeGates | FailedPlacement


def write_placed(records: Mapping[str, Placed], folder: Path) -> None:
    """Write a folder with one compressed JSON file a sample, a tenth of its text; same gates, same bytes.

    Parameters
    ----------
    records
        What became of each tube, by sample.
    folder
        Not there yet.
    """
    packed = {name: gzip.compress(json.dumps(to_plain(record)).encode(), mtime=0) for name, record in records.items()}

    def write(part: Path) -> None:
        for name, data in packed.items():
            (part / f"{name}.json.gz").write_bytes(data)

    write_folder_atomically(folder, write)


def read_placed(folder: str, sample_id: str) -> Placed:
    """Return what `write_placed` stored for a sample.

    Parameters
    ----------
    folder
        Of the set of tubes.
    sample_id
        One of them.

    Raises
    ------
    TypeError
        The file holds something else.
    """
    data = gzip.decompress((Path(folder) / f"{sample_id}.json.gz").read_bytes())
    record = from_plain(json.loads(data))
    if not isinstance(record, Placed):
        raise TypeError(f"not the gates of a tube: {type(record).__name__}")
    return record
