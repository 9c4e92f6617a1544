"""The events contract: what a tube's events are, and the only speller of AnnData storage keys."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from immunolab.errors import DataFileError, GatingError, nearest
from immunolab.events.compensation import weighted_sums
from immunolab.events.transforms import Identity, Transform

if TYPE_CHECKING:
    from anndata import AnnData

ChannelKind = Literal["scatter", "fluorescence", "mass", "time", "other"]


@dataclass(frozen=True)
class Channel:
    """One detector of a tube.

    Attributes
    ----------
    name : detector name (``$PnN``), unique in the file.
    label : what the operator wrote (``$PnS``).
    marker : canonical marker of the vocabulary, or None when none is known.
    fluorochrome : dye, or None.
    kind : scatter, fluorescence, mass, time or other.
    """

    name: str
    label: str = ""
    marker: str | None = None
    fluorochrome: str | None = None
    kind: ChannelKind = "fluorescence"


@dataclass(frozen=True)
class Spillover:
    """A spillover matrix: row = dye, column = receiving detector, diagonal 1."""

    channels: tuple[str, ...]
    matrix: NDArray[np.float64]
    source: str = ""


@dataclass(frozen=True)
class Tube:
    """All events of one tube on the linear scale of the instrument, in file order.

    Attributes
    ----------
    columns : float32, channels x events, each channel contiguous; before compensation.
    channels : one `Channel` for each row of ``columns``.
    spillover : the tube's matrix, or None when there is nothing to compensate.
    sample_id : the sample the tube belongs to.
    file, sha256 : where the events came from.
    warnings : what is odd about the file, in words.
    """

    columns: NDArray[np.float32]
    channels: tuple[Channel, ...]
    spillover: Spillover | None = None
    sample_id: str = ""
    file: str = ""
    sha256: str = ""
    warnings: tuple[str, ...] = ()
    _inverse: dict[tuple[tuple[str, ...], bytes], NDArray[np.float64]] = field(
        default_factory=dict, repr=False, compare=False
    )

    @property
    def n_events(self) -> int:
        """Number of events."""
        return int(self.columns.shape[1])

    def take(self, events: NDArray[np.bool_] | NDArray[np.intp]) -> Tube:
        """Return the tube of some of its events, given as a mask or as rows."""
        return replace(self, columns=np.ascontiguousarray(self.columns[:, events]))

    def find(self, name: str) -> int:
        """Return the row of a marker or channel name.

        Raises
        ------
        GatingError
            Names what the tube has and the nearest match; or the channels that share the marker.
        """
        rows = self._rows.get(name, ())
        if len(rows) == 1:
            return rows[0]
        place = self.sample_id or self.file
        if rows:
            shared = ", ".join(self.channels[i].name for i in rows)
            raise GatingError(f"marker '{name}' stands on several channels: {shared}", place, "name the channel")
        have = [c.marker or c.name for c in self.channels]
        hint = f"{nearest(name, have)} the tube has: {', '.join(have)}".strip()
        raise GatingError(f"marker or channel '{name}' is not in the tube", place, hint)

    @cached_property
    def _rows(self) -> dict[str, list[int]]:
        """Rows by channel name, and by marker where no channel has that name."""
        names: dict[str, list[int]] = {}
        markers: dict[str, list[int]] = {}
        for i, channel in enumerate(self.channels):
            names.setdefault(channel.name, []).append(i)
            if channel.marker is not None:
                markers.setdefault(channel.marker, []).append(i)
        return markers | names

    def raw(self, name: str) -> NDArray[np.float32]:
        """Return a channel as acquired (no compensation), float32 view, one value an event."""
        return self.columns[self.find(name)]

    def compensated(self, name: str, spillover: Spillover | None = None) -> NDArray[np.float64]:
        """Return a channel compensated with the tube's own matrix (or the one given), float64.

        A channel outside the matrix comes back as acquired. The sum runs in double precision.
        """
        return weighted_sums(self.weights((name,), spillover), self.columns)[0]

    def weights(self, names: Sequence[str], spillover: Spillover | None = None) -> NDArray[np.float64]:
        """Return what compensation multiplies the tube's channels with, names x channels.

        A row is the channel's column of the inverse matrix, or 1 at the channel itself when the
        matrix (the tube's own when None) does not have it.
        """
        matrix = spillover or self.spillover
        weights = np.zeros((len(names), len(self.channels)))
        sources: list[int] = []
        for place, row in enumerate(self.find(name) for name in names):
            if matrix is None or self.channels[row].name not in matrix.channels:
                weights[place, row] = 1.0
                continue
            sources = sources or [self.find(channel) for channel in matrix.channels]
            weights[place, sources] = self._inverted(matrix)[:, matrix.channels.index(self.channels[row].name)]
        return weights

    def _inverted(self, matrix: Spillover) -> NDArray[np.float64]:
        key = matrix.channels, matrix.matrix.tobytes()
        if key not in self._inverse:
            try:
                self._inverse[key] = np.linalg.inv(np.asarray(matrix.matrix, dtype=np.float64))
            except np.linalg.LinAlgError:
                raise DataFileError("the spillover matrix is singular", self.file, "export it again") from None
        return self._inverse[key]


def displayed_blocks(
    events: Tube, transforms: Mapping[str, Transform], n_events: int = 4_096
) -> Iterator[tuple[int, NDArray[np.float64], NDArray[np.float64]]]:
    """Walk a tube block by block, compensated and transformed; no second copy of the tube is made.

    Parameters
    ----------
    events : the tube.
    transforms : scales by channel name; a channel not named stays linear.
    n_events : events a block; the default stays in the processor's cache.

    Yields
    ------
    First event of the block, its compensated linear values and its display values, both float64,
    channels x events. The next block overwrites both arrays: copy what is to stay.
    """
    names = [channel.name for channel in events.channels]
    scales = [transforms.get(name, Identity()) for name in names]
    weights = events.weights(names)
    linear = np.empty((len(names), min(n_events, events.n_events)))
    display = np.empty_like(linear)
    for first in range(0, events.n_events, n_events):
        columns = events.columns[:, first : first + n_events]
        compensated, shown = linear[:, : columns.shape[1]], display[:, : columns.shape[1]]
        weighted_sums(weights, columns, out=compensated)
        for row, scale in enumerate(scales):
            shown[row] = scale.apply(compensated[row])
        yield first, compensated, shown


def to_anndata(events: Tube, transforms: Mapping[str, Transform] | None = None) -> AnnData:
    """Return the tube as AnnData under the events contract.

    ``X`` is compensated and transformed (float32), ``layers["compensated"]`` compensated linear.
    ``transforms`` maps channel names to scales; a channel not named stays linear.
    """
    import pandas as pd
    from anndata import AnnData

    scales = transforms or {}
    linear = np.empty((events.n_events, len(events.channels)), dtype=np.float32)
    display = np.empty_like(linear)
    for first, compensated, shown in displayed_blocks(events, scales):
        linear[first : first + compensated.shape[1]] = compensated.T
        display[first : first + shown.shape[1]] = shown.T
    markers = [c.marker for c in events.channels]
    index = [c.marker if c.marker and markers.count(c.marker) == 1 else c.name for c in events.channels]
    var = pd.DataFrame(
        {
            "channel": [c.name for c in events.channels],
            "marker": [c.marker or "" for c in events.channels],
            "fluorochrome": [c.fluorochrome or "" for c in events.channels],
            "kind": [c.kind for c in events.channels],
            "transform": [repr(scales.get(c.name, Identity())) for c in events.channels],
        },
        index=pd.Index([name.replace("/", "|") for name in index]),
    )
    obs = pd.DataFrame(
        {"sample_id": pd.Categorical([events.sample_id] * events.n_events)},
        index=pd.RangeIndex(events.n_events).astype(str),
    )
    uns: dict[str, Any] = {
        "immunolab": {"modality": "flow", "source_file": events.file, "source_sha256": events.sha256}
    }
    return AnnData(X=display, obs=obs, var=var, layers={"compensated": linear}, uns=uns)
