"""A tube as AnnData under the storage contract, whose keys are spelt here alone, and as a file of the cache."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from immunolab.events.compensation import weighted_sums
from immunolab.events.transforms import Identity, Transform
from immunolab.events.tube import Channel, Spillover, Tube

if TYPE_CHECKING:
    from anndata import AnnData


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
    var = pd.DataFrame(
        {
            "channel": [c.name for c in events.channels],
            "marker": [c.marker or "" for c in events.channels],
            "fluorochrome": [c.fluorochrome or "" for c in events.channels],
            "kind": [c.kind for c in events.channels],
            "transform": [repr(scales.get(c.name, Identity())) for c in events.channels],
        },
        index=pd.Index([name.replace("/", "|") for name in events.names]),
    )
    obs = pd.DataFrame(
        {"sample_id": pd.Categorical([events.sample_id] * events.n_events)},
        index=pd.RangeIndex(events.n_events).astype(str),
    )
    uns = {"immunolab": {"modality": "flow", "source_file": events.file, "source_sha256": events.sha256}}
    return AnnData(X=display, obs=obs, var=var, layers={"compensated": linear}, uns=uns)


def displayed_blocks(
    events: Tube, transforms: Mapping[str, Transform], n_events: int = 8_192
) -> Iterator[tuple[int, NDArray[np.float64], NDArray[np.float64]]]:
    """Walk a tube block by block, compensated and transformed; no second copy of the tube is made.

    Parameters
    ----------
    events
        The tube.
    transforms
        Scales by channel name; a channel not named stays linear.
    n_events
        Events a block; the default stays in the processor's cache.

    Yields
    ------
    tuple of (int, array, array)
        First event of the block, its compensated linear values and its display values, both float64, channels x
        events. The next block overwrites both arrays: copy what is to stay.
    """
    names = [channel.name for channel in events.channels]
    alike = _alike([transforms.get(name, Identity()) for name in names])
    weights = events.weights(names)
    linear = np.empty((len(names), min(n_events, events.n_events)))
    display = np.empty_like(linear)
    for first in range(0, events.n_events, n_events):
        columns = events.columns[:, first : first + n_events]
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
    np.savez(path, columns=tube.columns, matrix=matrix, meta=json.dumps(words))


def load_tube(path: Path) -> Tube:
    """Return the tube that `save_tube` wrote."""
    with np.load(path) as stored:
        words = json.loads(str(stored["meta"]))
        columns, matrix = stored["columns"], stored["matrix"]
    spillover = Spillover(tuple(words["spillover"]), matrix) if words["spillover"] else None
    channels = tuple(Channel(**channel) for channel in words["channels"])
    return Tube(columns, channels, spillover, words["sample_id"], words["file"], words["sha256"])
