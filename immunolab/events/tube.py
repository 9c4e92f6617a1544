"""The events of one FCS file: channels, spillover, and values before and after compensation."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from importlib import import_module
from pathlib import PurePath
from typing import TYPE_CHECKING, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from immunolab.errors import DataFileError, GatingError, InputError, nearest, unknown_words
from immunolab.events.compensation import weighted_sums
from immunolab.events.explored import EXPLORE, Explored
from immunolab.events.removed import CLEAN, RemovedStretch, events_removed, kept_events
from immunolab.events.transforms import Asinh, Identity, Logicle, Transform, scale_in_words

if TYPE_CHECKING:
    import pandas as pd

ChannelKind = Literal["scatter", "fluorescence", "mass", "time", "other"]
EventScale = Literal["compensated", "raw", "display"]
MASS_COFACTOR = 5.0  # of asinh, in counts: the usual one of mass cytometry (Bendall et al. 2011, Science 332:687)


# keywords of FCS by which a file is found again, the surest first: of FCS 3.1 (Spidlen 2010, Cytometry A 77:97) those
# with a $; GUID and the names without a $ are those of BD FACSDiva
IDENTITY_KEYWORDS = (
    "$FIL", "$TOT", "GUID", "$DATE", "$BTIM", "$ETIM", "TUBE NAME", "WELL ID", "PLATE NAME", "EXPERIMENT NAME", "$SRC"
)  # fmt: skip


def identity(text: Mapping[str, str]) -> dict[str, str]:
    """Return the keywords by which a file is found again, without blanks around their values.

    Parameters
    ----------
    text
        The keywords of TEXT, upper case.
    """
    return {key: text[key].strip() for key in IDENTITY_KEYWORDS if text.get(key, "").strip()}


@dataclass(frozen=True)
class Channel:
    """One detector of a tube.

    Attributes
    ----------
    name
        Detector name (``$PnN``), unique in the file.
    label
        What the operator wrote (``$PnS``).
    marker
        Canonical marker of the vocabulary, or None when none is known.
    fluorochrome
        Dye, or None.
    kind
        Scatter, fluorescence, mass, time or other.
    top
        The highest value the instrument can give (``$PnR``, after amplification and gain), instrument units; 0 where
        that is not known.
    in_seconds
        Whether values are seconds: of Time, in a file that says how long a tick of its clock is (``$TIMESTEP``).
    """

    name: str
    label: str = ""
    marker: str | None = None
    fluorochrome: str | None = None
    kind: ChannelKind = "fluorescence"
    top: float = 0.0
    in_seconds: bool = False

    @property
    def usual_scale(self) -> Transform:
        """The display scale of the channel's kind, where no strategy names another."""
        if self.kind == "mass":
            return Asinh(MASS_COFACTOR)
        return Logicle() if self.kind == "fluorescence" else Identity()


@dataclass(frozen=True)
class Spillover:
    """A spillover matrix: row = dye, column = receiving detector, diagonal 1."""

    channels: tuple[str, ...]
    matrix: NDArray[np.float64]
    source: str = ""


@dataclass(frozen=True, eq=False, repr=False)
class Tube:
    """All events of one tube on the linear scale of the instrument, in file order.

    ``tube["CD4"]`` is a channel after compensation, ``len(tube)`` the number of events; iterating gives names.

    Attributes
    ----------
    columns
        float32, channels x events, each channel contiguous; before compensation.
    channels
        One `Channel` for each row of ``columns``.
    spillover
        The tube's matrix, or None when there is nothing to compensate.
    sample_id
        The sample the tube belongs to.
    file, sha256
        Where the events came from.
    warnings
        What is unusual about the file, in words.
    keywords
        Those of `IDENTITY_KEYWORDS` that the file has: what parts files that share a name.
    removed
        Stretches of the run that `clean` cut, in the file's order.
    """

    columns: NDArray[np.float32]
    channels: tuple[Channel, ...]
    spillover: Spillover | None = None
    sample_id: str = ""
    file: str = ""
    sha256: str = ""
    warnings: tuple[str, ...] = ()
    keywords: Mapping[str, str] = field(default_factory=dict)
    removed: tuple[RemovedStretch, ...] = ()
    _inverse: dict[tuple[tuple[str, ...], bytes], NDArray[np.float64]] = field(default_factory=dict)

    @property
    def fil(self) -> str:
        """The name that the cytometer gave the file (``$FIL``)."""
        return self.keywords.get("$FIL", "")

    @property
    def n_events(self) -> int:
        """Number of events."""
        return int(self.columns.shape[1])

    def __len__(self) -> int:
        return self.n_events

    def __iter__(self) -> Iterator[str]:
        return iter(self.names)

    def __contains__(self, name: object) -> bool:
        return name in self._rows

    def __getitem__(self, name: str) -> NDArray[np.float64]:
        """Return a channel after compensation with the tube's own matrix, in instrument units, by marker or channel.

        Raises
        ------
        GatingError
            The tube has no such channel, or several channels share the marker.
        """
        return self.compensated(name)

    @property
    def names(self) -> list[str]:
        """The marker of each channel where only one channel has it, else the channel's name."""
        markers = [channel.marker for channel in self.channels]
        return [c.marker if c.marker and markers.count(c.marker) == 1 else c.name for c in self.channels]

    def channel(self, name: str) -> Channel:
        """Return the channel of a marker or channel name; raises as `find`."""
        return self.channels[self.find(name)]

    def to_frame(self, scale: EventScale = "compensated") -> pd.DataFrame:
        """Return all events, one row an event and one column a channel.

        Parameters
        ----------
        scale
            ``compensated`` (instrument units), ``raw`` (as acquired), or ``display`` (compensated, then the usual
            scale of each kind of channel: logicle 0..1, asinh for mass, linear for scatter and time).

        Raises
        ------
        InputError
            The scale is none of these.
        """
        import pandas as pd

        if problems := unknown_words(scale=(scale, get_args(EventScale))):
            raise InputError(problems)
        if scale == "raw":
            return self._described(pd.DataFrame(self.columns.T, columns=self.names), scale)
        values = weighted_sums(self.weights([channel.name for channel in self.channels]), self.columns)
        if scale == "display":
            values = np.stack([c.usual_scale.apply(row) for c, row in zip(self.channels, values, strict=True)])
        return self._described(pd.DataFrame(values.T, columns=self.names), scale)

    def head(self, n: int = 5, scale: EventScale = "compensated") -> pd.DataFrame:
        """Return the first events as a table.

        Parameters
        ----------
        n
            How many.
        scale
            As in `to_frame`.

        Returns
        -------
        DataFrame
            One row an event, one column a channel.
        """
        return self.take(np.arange(min(n, len(self)))).to_frame(scale)

    def _described(self, frame: pd.DataFrame, scale: EventScale) -> pd.DataFrame:
        """Return a frame of events with its units and its data dictionary in ``attrs``."""
        units, columns = {}, {}
        for name, channel in zip(self.names, self.channels, strict=True):
            own = scale_in_words(channel.usual_scale) if scale == "display" else ""
            units[name] = own or ("time" if channel.kind == "time" else "instrument units")
            place = f"{channel.marker} on {channel.name}" if channel.marker else channel.name
            meaning = f"{place}{f' ({channel.fluorochrome})' if channel.fluorochrome else ''}, {scale}"
            columns[name] = {"meaning": meaning, "unit": units[name], "kind": "number", "may_be_missing": False}
        frame.attrs = {"table": "events", "meaning": "one event a row", "units": units, "columns": columns}
        return frame

    def _ipython_key_completions_(self) -> list[str]:
        return list(dict.fromkeys([*self.names, *(channel.name for channel in self.channels)]))

    def __repr__(self) -> str:
        shown = self.sample_id or PurePath(self.file).name
        return f"Tube({shown}: {self.n_events:,} events x {len(self.channels)} channels)"

    def _repr_html_(self) -> str:
        import pandas as pd

        rows = {
            "file": PurePath(self.file).name,
            "sample": self.sample_id,
            "events x channels": f"{self.n_events:,} x {len(self.channels)}",
            "markers": ", ".join(c.marker for c in self.channels if c.marker),
            "compensation": ", ".join(self.spillover.channels) if self.spillover else "none",
            "unusual": "; ".join(self.warnings),
            "cut": "; ".join(stretch.message for stretch in self.removed),
        }
        with pd.option_context("display.max_colwidth", None):
            shown = pd.DataFrame([(key, text) for key, text in rows.items() if text])
            return str(shown.to_html(header=False, index=False, border=0))

    def explore(self) -> Explored:
        """Return an editor of gates on this tube: a widget in a notebook, a picture where none can run.

        It begins without a gate; its ``strategy`` and ``gated`` are what has been drawn so far.
        """
        found: Explored = import_module(EXPLORE).explore(self)
        return found

    def clean(self) -> Tube:
        """Return the tube without the stretches of its run that are clearly faulty; this one stays as it is.

        A stretch is cut where a channel is at another level than in most of the run (a clog, a burst, the first
        seconds); never one that is only slow or fast, never where less than 70 % of the events are at one level, and
        never in a file whose events are not in the order of acquisition. A steady tube comes back itself.

        Returns
        -------
        Tube
            ``removed`` says what was cut and why; ``percent_removed`` the share.

        Examples
        --------
        >>> tube = il.read_fcs("sample_data/sle/fcs/SLE001_W0.fcs")
        >>> tube.clean() is tube
        True
        """
        cleaned: Tube = import_module(CLEAN).cleaned(self)
        return cleaned

    @property
    def percent_removed(self) -> float:
        """Percent of the file's events that `clean` cut."""
        return sum(stretch.percent for stretch in self.removed)

    def in_file(self, mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Return a mask of this tube's events as one of all events of its file; those that were cut are not in it.

        Parameters
        ----------
        mask
            One value an event.
        """
        if not self.removed:
            return mask
        whole = kept_events(len(self) + events_removed(self.removed), self.removed)
        whole[whole] = mask
        return whole

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
            raise GatingError(f"marker '{name}' is on several channels: {shared}", place, "name the channel")
        have = [c.marker or c.name for c in self.channels]
        hint = f"{nearest(name, have)} the tube has: {', '.join(have)}".strip()
        if not any(channel.marker for channel in self.channels):
            hint += "; the file names no marker: give them, read_fcs(file, panel='panel.csv')"
        raise GatingError(f"marker or channel '{name}' is not in the tube", place, hint)

    def rows_of(self, name: str) -> tuple[int, ...]:
        """Return the rows of a channel, or of the channels that share a marker; none for a name that is not there."""
        return tuple(self._rows.get(name, ()))

    def one_name(self, name: str) -> str:
        """Return the marker of a channel where only it has that marker, else the channel; an unknown name as it is."""
        rows = self.rows_of(name)
        return self.names[rows[0]] if len(rows) == 1 else name

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
        column: NDArray[np.float32] = self.columns[self.find(name)]
        return column

    def compensated(self, name: str, spillover: Spillover | None = None) -> NDArray[np.float64]:
        """Return a channel compensated with the tube's own matrix (or the one given), float64.

        A channel outside the matrix comes back as acquired. The sum runs in double precision.

        Parameters
        ----------
        name
            Channel or marker.
        spillover
            Matrix instead of the tube's own.
        """
        column: NDArray[np.float64] = weighted_sums(self.weights((name,), spillover), self.columns)[0]
        return column

    def weights(self, names: Sequence[str], spillover: Spillover | None = None) -> NDArray[np.float64]:
        """Return what compensation multiplies the tube's channels with, names x channels.

        A row is the channel's column of the inverse matrix, or 1 at the channel itself when the
        matrix (the tube's own when None) does not have it.

        Parameters
        ----------
        names
            Channels or markers.
        spillover
            Matrix instead of the tube's own.
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
