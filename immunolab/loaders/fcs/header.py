"""What an FCS data set is: its channels, its events and where they are, decided before one is read."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from immunolab.errors import DataFileError
from immunolab.loaders.fcs.channels import FcsChannel, decimal_number, read_channels
from immunolab.loaders.fcs.data_segment import find_data
from immunolab.loaders.fcs.text import Segments, visible, whole_number


@dataclass(frozen=True)
class FcsHeader:
    """All of an FCS data set but its events.

    Attributes
    ----------
    file
        As the user named it.
    version
        ``3.1``.
    dataset, datasets
        Which data set this is, counted from 0, and how many the file holds.
    text
        Keywords in upper case with their ``$``, supplemental TEXT included.
    channels
        One for each column of the events.
    n_events
        Events in the data set.
    widths
        Bits a value takes in the file, channel by channel (10-bit values may take 16).
    byte_order
        ``<`` or ``>``.
    data_start, data_bytes
        Where DATA begins in the file, and its length.
    warnings
        What is unusual, in words.
    """

    file: str
    version: str
    dataset: int
    datasets: int
    text: Mapping[str, str]
    channels: tuple[FcsChannel, ...]
    n_events: int
    widths: tuple[int, ...]
    byte_order: Literal["<", ">"]
    data_start: int
    data_bytes: int
    warnings: tuple[str, ...]

    @property
    def cytometer(self) -> str:
        """``$CYT``, or an empty string."""
        return visible(self.text.get("$CYT", ""))

    @property
    def timestep(self) -> float:
        """Seconds a tick of the time channel lasts (``$TIMESTEP``); 1 when missing or unreadable."""
        step = decimal_number(self.text.get("$TIMESTEP", ""))
        return step if step is not None and step > 0 else 1.0

    @property
    def has_timestep(self) -> bool:
        """Whether ``$TIMESTEP`` is known, without which time stays in ticks of the clock."""
        return (decimal_number(self.text.get("$TIMESTEP", "")) or 0.0) > 0


def describe(
    segments: Segments,
    text: Mapping[str, str],
    size: int,
    file: str,
    *,
    dataset: int,
    datasets: int,
    notes: Sequence[str],
) -> FcsHeader:
    """Return the data set's header, or say why its events cannot be read right.

    Parameters
    ----------
    segments, text
        HEADER and keywords of the data set.
    size
        Bytes in the file.
    file
        For messages.
    dataset, datasets
        Number of the data set, counted from 0, and how many the file holds.
    notes
        What was unusual so far; the header's warnings begin with it.

    Raises
    ------
    DataFileError
        Names the keyword or segment and how to fix it.
    """
    mode = text.get("$MODE", "L").strip().upper()
    if mode != "L":
        raise DataFileError(f"$MODE is {mode!r}: the file holds histograms, not events", file, "export it as list mode")
    channels, channel_notes = read_channels(text, file)
    byte_order = _byte_order(text, channels, file)
    data, data_notes = find_data(segments, text, channels, size, file)
    step = text.get("$TIMESTEP", "").strip()
    time_notes = ["$TIMESTEP is not a number; time stays in ticks"] if step and decimal_number(step) is None else []
    return FcsHeader(
        file=file,
        version=segments.version,
        dataset=dataset,
        datasets=datasets,
        text=dict(text),
        channels=channels,
        n_events=data.n_events,
        widths=data.widths,
        byte_order=byte_order,
        data_start=segments.origin + data.start,
        data_bytes=data.length,
        warnings=(*notes, *channel_notes, *data_notes, *time_notes),
    )


def _byte_order(text: Mapping[str, str], channels: Sequence[FcsChannel], file: str) -> Literal["<", ">"]:
    word = re.sub(r"\s", "", text.get("$BYTEORD", ""))
    places = [whole_number(part) for part in word.split(",")]
    ascending = list(range(1, len(places) + 1))
    if places == ascending and len(places) > 1:
        return "<"
    if places == ascending[::-1] and len(places) > 1:
        return ">"
    if all(c.datatype == "A" or c.bits == 8 for c in channels):
        return "<"
    message = f"$BYTEORD {word[:32]!r} is neither little endian (1,2,3,4) nor big endian (4,3,2,1)"
    raise DataFileError(message, file, "export the file again")
