"""What an FCS data set is: its channels, its events and where they lie, decided before one is read."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from immunolab.errors import DataFileError
from immunolab.loaders.fcs.text import Segments, Span, span_of, whole_number

DataType = Literal["I", "F", "D", "A"]
_TYPES: dict[str, str] = {"I": "integers", "F": "32-bit floats", "D": "64-bit floats", "A": "ASCII numbers"}
_AGAIN = "export the file again"
_MOST_SLACK = 4096  # padding to a disk block is seen; more is a sign of a wrong layout


@dataclass(frozen=True)
class FcsChannel:
    """One channel as its file describes it.

    Attributes
    ----------
    name
        ``$PnN``, made unique; ``P3`` when the file leaves it empty.
    label
        ``$PnS``.
    datatype
        I integer, F float, D double, A ASCII.
    bits
        Width of a value (``$PnB``); characters for A, 0 for delimited ASCII.
    range
        ``$PnR``, 0 when missing.
    amplification
        Decades and value at 0 (``$PnE``); (0, 0) is linear.
    gain
        ``$PnG``, 1 when missing.
    """

    name: str
    label: str
    datatype: DataType
    bits: int
    range: float
    amplification: tuple[float, float]
    gain: float


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
        Bits a value takes in the file, channel by channel (10-bit values may stand in 16 bits).
    byte_order
        ``<`` or ``>``.
    data_start, data_bytes
        Where DATA begins in the file, and its length.
    warnings
        What is odd, in words.
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
        return self.text.get("$CYT", "").strip()

    @property
    def timestep(self) -> float:
        """Seconds a tick of the time channel lasts (``$TIMESTEP``); 1 when missing or unreadable."""
        step = _number(self.text.get("$TIMESTEP", ""))
        return step if step is not None and step > 0 else 1.0


def describe(
    segments: Segments,
    text: Mapping[str, str],
    size: int,
    file: str,
    *,
    dataset: int,
    datasets: int,
    odd: list[str],
) -> FcsHeader:
    """Return the data set's header, or say why its events cannot be read right.

    Parameters
    ----------
    segments, text
        HEADER and keywords of the data set.
    size
        Bytes in the file.
    odd
        What was odd so far; words are added.

    Raises
    ------
    DataFileError
        Names the keyword or segment and the mend.
    """
    mode = text.get("$MODE", "L").strip().upper()
    if mode != "L":
        raise DataFileError(f"$MODE is {mode!r}: the file holds histograms, not events", file, "export it as list mode")
    datatype = _datatype(text, file, odd)
    channels = _channels(text, datatype, file, odd)
    byte_order = _byte_order(text, channels, file)
    place = _place(segments, text, channels, size, file, odd)
    step = text.get("$TIMESTEP", "").strip()
    if step and _number(step) is None:
        odd.append("$TIMESTEP is not a number; time stays in ticks")
    return FcsHeader(
        file=file,
        version=segments.version,
        dataset=dataset,
        datasets=datasets,
        text=dict(text),
        channels=channels,
        n_events=place.n_events,
        widths=place.widths,
        byte_order=byte_order,
        data_start=segments.origin + place.start,
        data_bytes=place.length,
        warnings=tuple(odd),
    )


def _number(text: str) -> float | None:
    word = text.strip().strip("\0").strip()
    if not re.fullmatch(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]{1,3})?", word):
        return None
    value = float(word)
    return value if math.isfinite(value) else None


def _datatype(text: Mapping[str, str], file: str, odd: list[str]) -> DataType:
    word = text.get("$DATATYPE", "").strip().upper()
    if word in ("I", "F", "D", "A"):
        return word  # type: ignore[return-value]
    if word:
        allowed = ", ".join(f"{key} ({value})" for key, value in _TYPES.items())
        raise DataFileError(f"$DATATYPE {word[:8]!r} is not known", file, f"allowed: {allowed}")
    widths = {whole_number(value) for key, value in text.items() if re.fullmatch(r"\$P[0-9]+B", key)}
    if widths and widths <= {8, 16, 24}:
        odd.append("$DATATYPE is missing; values of 8 to 24 bits can only be integers and were read as such")
        return "I"
    raise DataFileError("$DATATYPE is missing and the widths do not tell integers from floats", file, _AGAIN)


def _channels(text: Mapping[str, str], datatype: DataType, file: str, odd: list[str]) -> tuple[FcsChannel, ...]:
    n_channels = whole_number(text.get("$PAR", ""))
    if n_channels is None or n_channels < 1:
        raise DataFileError("$PAR does not give the number of channels", file, _AGAIN)
    described = {int(m.group(1)) for key in text if (m := re.fullmatch(r"\$P([0-9]{1,6})[NBR]", key))}
    absent = next((i for i in range(1, n_channels + 1) if i not in described), None)
    if absent is not None:
        raise DataFileError(
            f"$PAR declares {n_channels:,} channels, but TEXT does not describe channel {absent}",
            file,
            _AGAIN,
        )
    names = _unique_names([text.get(f"$P{i}N", "") for i in range(1, n_channels + 1)], odd)
    remarks: list[str] = []
    channels = tuple(_channel(text, i, name, datatype, file, remarks) for i, name in enumerate(names, start=1))
    odd += _gathered(remarks)
    if len({c.bits == 0 for c in channels}) > 1:
        raise DataFileError("ASCII values are in part delimited and in part of fixed width ($PnB)", file)
    if any(c.datatype == "A" for c in channels) and any(c.datatype != "A" for c in channels):
        raise DataFileError("ASCII and binary values stand in one DATA segment ($PnDATATYPE)", file)
    return channels


def _unique_names(raw: list[str], odd: list[str]) -> list[str]:
    names: list[str] = []
    given = {name.strip().strip("\0").strip() for name in raw}
    for i, word in enumerate(raw, start=1):
        name = word.strip().strip("\0").strip()
        if not name:
            name = f"P{i}"
            odd.append(f"channel {i} has no name ($P{i}N); it is called {name}")
        unique, count = name, 1
        while unique in names or (count > 1 and unique in given):
            count += 1
            unique = f"{name}_{count}"
        if unique != name:
            odd.append(f"the channel name {name} stands more than once; channel {i} is called {unique}")
        names.append(unique)
    return names


def _channel(text: Mapping[str, str], i: int, name: str, datatype: DataType, file: str, odd: list[str]) -> FcsChannel:
    own = text.get(f"$P{i}DATATYPE", "").strip().upper()  # FCS 3.2: a channel may differ from $DATATYPE
    kind: DataType = own if own in ("I", "F", "D") else datatype  # type: ignore[assignment]
    bits = _bits(text.get(f"$P{i}B", ""), i, kind, file, odd)
    value_range = _number(text.get(f"$P{i}R", ""))
    if value_range is None or value_range < 0:
        value_range = 0.0
    decades, at_zero = _amplification(text.get(f"$P{i}E", ""), i, odd)
    if decades > 0 and kind in ("F", "D"):
        odd.append(f"logarithmic $PnE on floating-point values is ignored, as the standard asks: {name}")
        decades, at_zero = 0.0, 0.0
    if decades > 0 and value_range == 0:
        odd.append(f"logarithmic $PnE without $PnR cannot be undone, values stay as stored: {name}")
        decades, at_zero = 0.0, 0.0
    gain = _number(text.get(f"$P{i}G", ""))
    if gain is None or gain <= 0:
        gain = 1.0
    if decades > 0 and gain != 1.0:
        odd.append(f"$PnG on a logarithmic channel is ignored, as the standard asks: {name}")
        gain = 1.0
    label = text.get(f"$P{i}S", "").strip().strip("\0").strip()
    return FcsChannel(name, label, kind, bits, value_range, (decades, at_zero), gain)


def _gathered(remarks: list[str]) -> list[str]:
    """Return remarks in order, those that begin alike (up to the colon) as one with all their channels."""
    alike: dict[str, list[str]] = {}
    for remark in remarks:
        head, _, name = remark.partition(": ")
        alike.setdefault(head, []).append(name)
    return [f"{head}: {', '.join(names)}" for head, names in alike.items()]


def _bits(word: str, i: int, kind: DataType, file: str, odd: list[str]) -> int:
    if kind == "A" and word.strip() == "*":
        return 0
    bits = whole_number(word)
    if kind in ("F", "D"):
        width = 32 if kind == "F" else 64
        if bits != width:
            odd.append(f"$PnB is not {width}, which {_TYPES[kind]} take; {width} is used for: channel {i}")
        return width
    least, most = (1, 64) if kind == "A" else (8, 64)
    if bits is None or not least <= bits <= most:
        unit = "characters" if kind == "A" else "bits"
        raise DataFileError(f"$P{i}B gives no usable width of {_TYPES[kind]} ({least} to {most} {unit})", file, _AGAIN)
    return bits


def _amplification(word: str, i: int, odd: list[str]) -> tuple[float, float]:
    if not word.strip():
        return 0.0, 0.0
    parts = [_number(part) for part in word.split(",")]
    if len(parts) != 2 or parts[0] is None or parts[1] is None or parts[0] < 0:
        odd.append(f"$PnE is not two numbers, taken as linear: channel {i}")
        return 0.0, 0.0
    decades, at_zero = parts[0], parts[1]
    if decades == 0:
        return 0.0, 0.0
    if decades > 30 or at_zero < 0:
        odd.append(f"$PnE is absurd, taken as linear: channel {i}")
        return 0.0, 0.0
    return decades, at_zero or 1.0  # the standard: 0 at the bottom of a log scale is to be read as 1


def _byte_order(text: Mapping[str, str], channels: tuple[FcsChannel, ...], file: str) -> Literal["<", ">"]:
    word = re.sub(r"\s", "", text.get("$BYTEORD", ""))
    places = [whole_number(part) for part in word.split(",")]
    ascending = list(range(1, len(places) + 1))
    if places == ascending and len(places) > 1:
        return "<"
    if places == ascending[::-1] and len(places) > 1:
        return ">"
    if all(c.datatype == "A" or c.bits == 8 for c in channels):
        return "<"
    raise DataFileError(
        f"$BYTEORD {word[:32]!r} is neither little endian (1,2,3,4) nor big endian (4,3,2,1)",
        file,
        _AGAIN,
    )


@dataclass(frozen=True)
class _Place:
    """One reading of where the events lie: a segment's limits and a layout of values."""

    source: str
    start: int
    length: int
    n_events: int
    widths: tuple[int, ...]
    excess: int
    rank: tuple[int, ...]


def _place(
    segments: Segments,
    text: Mapping[str, str],
    channels: tuple[FcsChannel, ...],
    size: int,
    file: str,
    odd: list[str],
) -> _Place:
    total = whole_number(text.get("$TOT", ""))
    if total is not None and total < 0:
        total = None
    if total is None:
        odd.append("$TOT is missing; the number of events follows from the length of DATA")
    own = span_of(whole_number(text.get("$BEGINDATA", "")), whole_number(text.get("$ENDDATA", "")))
    if total is None and all(c.bits == 0 for c in channels):
        raise DataFileError("$TOT is missing; delimited ASCII values cannot be read without it", file, _AGAIN)
    spans = {"HEADER": segments.data, "TEXT": own}
    places = [
        _weigh(source, span, widths, total, segments, size, order)
        for order, (source, span) in enumerate(spans.items())
        if span is not None
        for widths in _layouts(channels)
    ]
    if not places and total == 0:
        return _Place("HEADER", 0, 0, 0, _layouts(channels)[0], 0, ())
    if not places:
        raise DataFileError("neither HEADER nor TEXT says where DATA lies", file, _AGAIN)
    best = min(places, key=lambda place: place.rank)
    _judge(best, total, segments, size, file, odd)
    if segments.data and own and segments.data != own:
        odd.append(
            f"HEADER and TEXT disagree on DATA (bytes {segments.data.first}-{segments.data.last} against "
            f"{own.first}-{own.last}); {best.source} fits the file and was followed"
        )
    return best


def _layouts(channels: tuple[FcsChannel, ...]) -> list[tuple[int, ...]]:
    declared = tuple(c.bits * 8 if c.datatype == "A" else c.bits for c in channels)
    if all(bits % 8 == 0 for bits in declared):
        return [declared]
    padded = tuple(next(width for width in (8, 16, 32, 64) if bits <= width) for bits in declared)
    return [declared, padded]  # some instruments declare 10 bits and store 16


def _weigh(
    source: str,
    span: Span,
    widths: tuple[int, ...],
    total: int | None,
    segments: Segments,
    size: int,
    order: int,
) -> _Place:
    event_bits = sum(widths)
    if event_bits == 0:  # delimited ASCII: only the values themselves tell
        n_events, length = total or 0, span.length
    elif not total and span.length * 8 >= event_bits:
        n_events = span.length * 8 // event_bits
        length = -(-n_events * event_bits // 8)
    else:
        n_events = total or 0
        length = -(-n_events * event_bits // 8)
    excess = span.length - length
    taken = Span(span.first, span.first + length - 1)
    rank = (
        int(segments.origin + span.first + length > size),
        int(taken.overlap(segments.text) > 1),
        int(abs(excess) > 1),
        int(excess != 0),
        order,
    )
    return _Place(source, span.first, length, n_events, widths, excess, rank)


def _judge(place: _Place, total: int | None, segments: Segments, size: int, file: str, odd: list[str]) -> None:
    """Refuse a DATA segment that does not hold what TEXT declares; put smaller oddities into words."""
    event_bits = sum(place.widths)
    room = max(0, size - segments.origin - place.start)
    if not event_bits and place.n_events > (place.length + 1) // 2:
        raise DataFileError(f"$TOT declares {place.n_events:,} events, more than DATA can hold", file, _AGAIN)
    if place.length > room:
        held = f": {room * 8 // event_bits:,} of {place.n_events:,} events are there" if event_bits else ""
        raise DataFileError(
            f"the DATA segment is cut short{held}", file, "the file is incomplete: copy or export it again"
        )
    if place.excess < -1:
        held_events = (place.length + place.excess) * 8 // event_bits
        raise DataFileError(
            f"$TOT declares {place.n_events:,} events, the DATA segment holds {held_events:,}",
            file,
            _AGAIN,
        )
    event_bytes = max(event_bits, 8) / 8
    if place.excess > max(_MOST_SLACK, event_bytes) and (place.excess % event_bytes) > 1:
        raise DataFileError(
            f"the DATA segment is {place.excess:,} bytes longer than $TOT and $PnB ask for, which is no whole "
            "number of events: the layout of the values is not as declared",
            file,
            _AGAIN,
        )
    if place.excess > 1:
        odd.append(f"DATA is {place.excess:,} bytes longer than its {place.n_events:,} events; the rest is not read")
    elif place.excess:
        odd.append("the end of DATA is off by one byte; it is safe to read")
    if total == 0 and place.n_events:
        odd.append(f"$TOT is 0; DATA holds {place.n_events:,} events, which were read")
    if place.rank[1]:
        odd.append("DATA and TEXT overlap in the file")
