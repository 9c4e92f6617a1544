"""Where the events of an FCS data set are, decided before one is read.

HEADER and TEXT both give the limits of DATA, and files exist in which either is wrong. Each reading is
weighed against the size of the file, the TEXT segment and the number of events; the one that fits is taken.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from immunolab.errors import DataFileError
from immunolab.loaders.fcs.channels import FcsChannel
from immunolab.loaders.fcs.text import Segments, Span, span_of, whole_number

END_OFF_BY_ONE = "the end of DATA is off by one byte; it is safe to read"
_AGAIN = "export the file again"
_MOST_SLACK = 4096  # bytes after the events: padding to a disk block is seen; more is a sign of a wrong layout


@dataclass(frozen=True)
class DataSegment:
    """One reading of where the events are: a segment's limits and a layout of values.

    Attributes
    ----------
    source
        ``HEADER`` or ``TEXT``, whichever gave the limits.
    start, length
        First byte, counted from the start of the data set, and bytes that the events take.
    n_events
        Events in the segment.
    widths
        Bits a value takes, channel by channel.
    excess
        Bytes by which the declared segment is longer than its events.
    rank
        What speaks against this reading, the gravest first; the smallest is taken.
    """

    source: str
    start: int
    length: int
    n_events: int
    widths: tuple[int, ...]
    excess: int
    rank: tuple[int, ...]


def find_data(
    segments: Segments, text: Mapping[str, str], channels: Sequence[FcsChannel], size: int, file: str
) -> tuple[DataSegment, list[str]]:
    """Return where the events are, and what is unusual about it in words.

    Parameters
    ----------
    segments
        The HEADER of the data set.
    text
        Its keywords, upper case.
    channels
        Its channels.
    size
        Bytes in the file.
    file
        For messages.

    Raises
    ------
    DataFileError
        DATA is cut short, or does not hold what TEXT declares.
    """
    declared = whole_number(text.get("$TOT", ""))
    total = None if declared is not None and declared < 0 else declared
    notes = [] if total is not None else ["$TOT is missing; the number of events follows from the length of DATA"]
    own = span_of(whole_number(text.get("$BEGINDATA", "")), whole_number(text.get("$ENDDATA", "")))
    if total is None and all(c.bits == 0 for c in channels):
        raise DataFileError("$TOT is missing; delimited ASCII values cannot be read without it", file, _AGAIN)
    readings = [
        _weigh(source, span, widths, total, segments, size, order)
        for order, (source, span) in enumerate({"HEADER": segments.data, "TEXT": own}.items())
        if span is not None
        for widths in _layouts(channels)
    ]
    if not readings and total == 0:
        return DataSegment("HEADER", 0, 0, 0, _layouts(channels)[0], 0, ()), notes
    if not readings:
        raise DataFileError("neither HEADER nor TEXT says where DATA is", file, _AGAIN)
    best = min(readings, key=lambda reading: reading.rank)
    _check(best, segments, size, file)
    notes = [*notes, *_notes(best, total)]
    if segments.unreadable:
        notes.append(f"HEADER's place of DATA is no number ({segments.unreadable!r}); TEXT was followed")
    if segments.data and own and segments.data != own:
        notes.append(
            f"HEADER and TEXT disagree on DATA (bytes {segments.data.first}-{segments.data.last} against "
            f"{own.first}-{own.last}); {best.source} fits the file and was followed"
        )
    return best, notes


def _layouts(channels: Sequence[FcsChannel]) -> list[tuple[int, ...]]:
    declared = tuple(c.bits * 8 if c.datatype == "A" else c.bits for c in channels)
    if all(bits % 8 == 0 for bits in declared):
        return [declared]
    padded = tuple(next(width for width in (8, 16, 32, 64) if bits <= width) for bits in declared)
    return [declared, padded]  # some instruments declare 10 bits and store 16


def _weigh(
    source: str, span: Span, widths: tuple[int, ...], total: int | None, segments: Segments, size: int, order: int
) -> DataSegment:
    event_bits = sum(widths)
    n_events, length = total or 0, span.length
    if event_bits:  # 0 for delimited ASCII, where only the values themselves show how many there are
        if not total and span.length * 8 >= event_bits:
            n_events = span.length * 8 // event_bits
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
    return DataSegment(source, span.first, length, n_events, widths, excess, rank)


def _check(data: DataSegment, segments: Segments, size: int, file: str) -> None:
    """Refuse a DATA segment that does not hold what TEXT declares."""
    event_bits = sum(data.widths)
    room = max(0, size - segments.origin - data.start)
    if not event_bits and data.n_events * len(data.widths) > (data.length + 1) // 2:  # a digit and a blank a value
        message = f"$TOT declares {data.n_events:,} events of {len(data.widths):,} channels, more than DATA can hold"
        raise DataFileError(message, file, _AGAIN)
    if data.length > room:
        held = f": {room * 8 // event_bits:,} of {data.n_events:,} events are there" if event_bits else ""
        hint = "the file is incomplete: copy or export it again"
        raise DataFileError(f"the DATA segment is cut short{held}", file, hint)
    if data.excess < -1:
        n_held = (data.length + data.excess) * 8 // event_bits
        message = f"$TOT declares {data.n_events:,} events, the DATA segment holds {n_held:,}"
        raise DataFileError(message, file, _AGAIN)
    event_bytes = max(event_bits, 8) / 8
    if data.excess > max(_MOST_SLACK, event_bytes) and (data.excess % event_bytes) > 1:
        raise DataFileError(
            f"the DATA segment is {data.excess:,} bytes longer than $TOT and $PnB ask for, which is no whole "
            "number of events: the layout of the values is not as declared",
            file,
            _AGAIN,
        )


def _notes(data: DataSegment, total: int | None) -> list[str]:
    notes = []
    if data.excess > 1:
        notes.append(f"DATA is {data.excess:,} bytes longer than its {data.n_events:,} events; the rest is not read")
    elif data.excess:
        notes.append(END_OFF_BY_ONE)
    if total == 0 and data.n_events:
        notes.append(f"$TOT is 0; DATA holds {data.n_events:,} events, which were read")
    if data.rank[1]:
        notes.append("DATA and TEXT overlap in the file")
    return notes
