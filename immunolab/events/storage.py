"""A tube as AnnData under the storage contract, whose keys are spelt here alone, and as a file of the cache."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from immunolab.events.compensation import weighted_sums
from immunolab.events.transforms import Identity, Transform
from immunolab.events.tube import Channel, Spillover, Tube

if TYPE_CHECKING:
    from anndata import AnnData


# of zlib: an eighth to a third less on the disk, for a tenth of the time that placing a tube's gates takes; level 6
# takes twice as long and three hundredths less at best (measured on a simulated tube and three published ones)
_QUICK = 1
_BLOCK = 8_192  # events that are compensated and transformed at once: what stays in the processor's cache


def to_anndata(events: Tube, transforms: Mapping[str, Transform] | None = None) -> AnnData:
    """Return a tube as AnnData.

    Parameters
    ----------
    events
        The tube.
    transforms
        Display scale by channel name; a channel not named stays linear.

    Returns
    -------
    AnnData
        ``X`` compensated on the display scale, ``layers["compensated"]`` in instrument units, both float32; ``var``
        indexed by marker where one channel has it, else by channel.
    """
    from anndata import AnnData

    scales = transforms or {}
    linear = np.empty((events.n_events, len(events.channels)), dtype=np.float32)
    display = np.empty_like(linear)
    for first, compensated, shown in displayed_blocks(events, scales):
        linear[first : first + compensated.shape[1]] = compensated.T
        display[first : first + shown.shape[1]] = shown.T
    var = channel_table(events, scales)
    obs = pd.DataFrame(
        {"sample_id": pd.Categorical([events.sample_id] * events.n_events)},
        index=pd.RangeIndex(events.n_events).astype(str),
    )
    uns = {"immunolab": {"modality": "flow", "source_file": events.file, "source_sha256": events.sha256}}
    return AnnData(X=display, obs=obs, var=var, layers={"compensated": linear}, uns=uns)


def channel_table(events: Tube, scales: Mapping[str, Transform]) -> pd.DataFrame:
    """Return ``var``: one row a channel, indexed by marker where one channel has it, else by channel.

    Parameters
    ----------
    events
        The tube.
    scales
        Display scale by channel name; a channel not named stays linear.
    """
    return pd.DataFrame(
        {
            "channel": [c.name for c in events.channels],
            "marker": [c.marker or "" for c in events.channels],
            "fluorochrome": [c.fluorochrome or "" for c in events.channels],
            "kind": [c.kind for c in events.channels],
            "transform": [repr(scales.get(c.name, Identity())) for c in events.channels],
        },
        index=pd.Index([name.replace("/", "|") for name in events.names]),
    )


def join_events(parts: Sequence[AnnData]) -> AnnData:
    """Return the events of several tubes below each other.

    Parameters
    ----------
    parts
        As `to_anndata` gives them, with the same ``var`` names in the same order. Of ``obs`` and
        ``obsm["populations"]`` the columns that all of them have are kept, of ``var`` what is the same in all.
    """
    from anndata import AnnData

    first = parts[0]
    tables = [part.obsm["populations"] for part in parts if "populations" in part.obsm]
    names = [name for name in (tables[0] if tables else ()) if all(name in table for table in tables)]
    columns = [name for name in first.obs if all(name in part.obs for part in parts)]
    obs = pd.concat([part.obs[columns].astype({"sample_id": str}) for part in parts])
    obs["sample_id"] = pd.Categorical(obs["sample_id"], categories=list(dict.fromkeys(obs["sample_id"])))
    var = first.var.copy()
    for name in var:
        alike = np.logical_and.reduce([var[name].to_numpy() == part.var[name].to_numpy() for part in parts])
        var[name] = var[name].where(alike, "")
    return AnnData(
        X=np.concatenate([part.X for part in parts]),
        obs=obs,
        var=var,
        layers={"compensated": np.concatenate([part.layers["compensated"] for part in parts])},
        obsm={"populations": pd.concat([t[names] for t in tables])} if len(tables) == len(parts) else {},
    )


def displayed_blocks(
    events: Tube, transforms: Mapping[str, Transform]
) -> Iterator[tuple[int, NDArray[np.float64], NDArray[np.float64]]]:
    """Walk a tube block by block, compensated and transformed; no second copy of the tube is made.

    Parameters
    ----------
    events
        The tube.
    transforms
        Scales by channel name; a channel not named stays linear.

    Yields
    ------
    tuple of (int, array, array)
        First event of the block, its compensated linear values and its display values, both float64, channels x
        events. The next block overwrites both arrays: copy what is to stay.
    """
    names = [channel.name for channel in events.channels]
    alike = _alike([transforms.get(name, Identity()) for name in names])
    weights = events.weights(names)
    linear = np.empty((len(names), min(_BLOCK, events.n_events)))
    display = np.empty_like(linear)
    for first in range(0, events.n_events, _BLOCK):
        columns = events.columns[:, first : first + _BLOCK]
        compensated, shown = linear[:, : columns.shape[1]], display[:, : columns.shape[1]]
        weighted_sums(weights, columns, out=compensated)
        for rows, scale in alike:
            shown[rows] = scale.apply(compensated[rows])
        yield first, compensated, shown


def _alike(scales: Sequence[Transform]) -> list[tuple[slice, Transform]]:
    """Return each run of rows that share a scale, so that a block costs a call a run and not a call a row."""
    found: list[tuple[slice, Transform]] = []
    for row, scale in enumerate(scales):
        if found and found[-1][1] == scale:
            found[-1] = (slice(found[-1][0].start, row + 1), scale)
        else:
            found.append((slice(row, row + 1), scale))
    return found


def save_tube(tube: Tube, path: Path) -> None:
    """Write a tube to an npz file, without what its file's header was noted for.

    Parameters
    ----------
    tube
        Written with channels, spillover, names and checksum.
    path
        Ends in ``.npz``.
    """
    words = {
        "channels": [asdict(channel) for channel in tube.channels],
        "spillover": list(tube.spillover.channels) if tube.spillover else None,
        "sample_id": tube.sample_id,
        "file": tube.file,
        "sha256": tube.sha256,
    }
    matrix = tube.spillover.matrix if tube.spillover else np.empty((0, 0))
    arrays = {"columns": tube.columns, "matrix": matrix, "meta": np.array(json.dumps(words))}
    with ZipFile(path, "w") as archive:  # as numpy.savez writes it, but deflated at a quick level, and without a time
        for name, array in arrays.items():
            data = BytesIO()
            np.lib.format.write_array(data, np.asanyarray(array), allow_pickle=False)
            archive.writestr(ZipInfo(f"{name}.npy"), data.getbuffer(), ZIP_DEFLATED, _QUICK)


def load_tube(path: Path) -> Tube:
    """Return the tube that `save_tube` wrote."""
    with np.load(path) as stored:
        words = json.loads(str(stored["meta"]))
        columns, matrix = stored["columns"], stored["matrix"]
    spillover = Spillover(tuple(words["spillover"]), matrix) if words["spillover"] else None
    channels = tuple(Channel(**channel) for channel in words["channels"])
    return Tube(columns, channels, spillover, words["sample_id"], words["file"], words["sha256"])
