"""HEADER and TEXT of an FCS file as plain facts: versions, byte offsets, keywords.

Layouts follow FCS 2.0 (Cytometry 11:323, 1990), 3.0 (28:118, 1997), 3.1 (77A:97, 2010) and 3.2 (99A:100, 2021).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import BinaryIO

from immunolab.errors import DataFileError

READ_AS_LATIN = "TEXT is not UTF-8; it was read as Latin-1"
HEADER_BYTES = 58  # version, 4 blanks and six offsets of 8 characters (FCS 3.1)
_AGAIN = "export the file again"
_VERSIONS = ("2.0", "3.0", "3.1", "3.2")
_MOST_TEXT_BYTES = 16 * 2**20  # the largest of the test files is 19 KB; a wrong offset would ask for the whole file
_MOST_KEYWORDS = 100_000  # the most in the test files are 703; a wrong delimiter gives millions
_MOST_DATA_SETS = 2_000  # of a file; plates of 384 wells are written as one file (judgement: five of them)
_MOST_CHAIN_BYTES = 64 * 2**20  # of TEXT in all data sets, whose places a damaged file may make overlap (judgement)
# controls, and marks that only steer how text is shown: direction, zero width, line and paragraph ends
_UNSEEN = re.compile("[\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ud800-\udfff]+")
_INTEGER = re.compile(r"[+-]?[0-9]{1,18}(\.0*)?")
_NEXT_DATA = re.compile(rb"\$NEXTDATA(.)[ ]*([0-9]{1,18})", re.IGNORECASE | re.DOTALL)


@dataclass(frozen=True)
class Span:
    """First and last byte of a segment, counted from the start of its data set, both inclusive."""

    first: int
    last: int

    @property
    def length(self) -> int:
        """Bytes in the segment."""
        return self.last - self.first + 1

    def overlap(self, other: Span) -> int:
        """Bytes that both spans claim."""
        return max(0, min(self.last, other.last) - max(self.first, other.first) + 1)


@dataclass(frozen=True)
class Segments:
    """What the HEADER of one data set says.

    Attributes
    ----------
    origin
        Byte of the file at which the data set starts.
    version
        ``3.1``.
    text
        The primary TEXT segment.
    data
        The DATA segment, or None when the HEADER leaves it to TEXT (blank or 0).
    unreadable
        What the HEADER says of DATA where that is neither number nor blank.
    """

    origin: int
    version: str
    text: Span
    data: Span | None
    unreadable: str = ""


def whole_number(text: str) -> int | None:
    """Return the integer a keyword's value spells, or None when it spells none."""
    word = text.strip().strip("\0").strip()
    return int(word.split(".")[0]) if _INTEGER.fullmatch(word) else None


def visible(text: str) -> str:
    """Return a keyword's value without characters that cannot be seen, a blank in their place, and none at its ends.

    Parameters
    ----------
    text
        The value.
    """
    return _UNSEEN.sub(" ", text).strip()


def _read_segments(handle: BinaryIO, origin: int, size: int, file: str) -> Segments:
    """Return the HEADER of the data set that starts at ``origin``.

    Raises
    ------
    DataFileError
        When there is no FCS HEADER or its TEXT segment is not in the file.
    """
    handle.seek(origin)
    header = handle.read(HEADER_BYTES)
    match = re.match(rb"FCS([0-9]\.[0-9])", header)
    if len(header) < HEADER_BYTES or match is None:
        raise DataFileError(
            f"not an FCS file: there is no HEADER such as 'FCS3.1' at byte {origin:,} ({size:,} bytes in all)",
            file,
            "give the .fcs or .lmd file as the cytometer exported it",
        )
    version = match.group(1).decode("ascii")
    if version not in _VERSIONS:
        raise DataFileError(
            f"FCS version {version} in the HEADER is not known", file, f"versions read: {', '.join(_VERSIONS)}"
        )
    text = _span(header[10:18], header[18:26])
    room = size - origin
    if text is None or text.first < HEADER_BYTES or text.length < 2 or text.first >= room:
        raise DataFileError("the HEADER gives no usable place of the TEXT segment", file, _AGAIN)
    if text.last >= room:
        raise DataFileError(
            f"the TEXT segment ends at byte {text.last:,}, the file at {room - 1:,}",
            file,
            "the file is cut short: copy or export it again",
        )
    fields = header[26:34], header[34:42]
    words = [field.decode("latin-1").strip().strip("\0").strip() for field in fields]
    strange = any(word and whole_number(word) is None for word in words)
    return Segments(origin, version, text, _span(*fields), " to ".join(words) if strange else "")


def _span(first: bytes, last: bytes) -> Span | None:
    numbers = [whole_number(field.decode("latin-1")) for field in (first, last)]
    return span_of(*numbers)


def span_of(first: int | None, last: int | None) -> Span | None:
    """Return the span, or None when a limit is missing, the start is 0 or the end is before the start.

    Parameters
    ----------
    first, last
        Bytes from the start of the data set, both inclusive; None where the header has no number.
    """
    if first is None or last is None or first <= 0 or last < first - 1:
        return None
    return Span(first, last)


def data_sets(handle: BinaryIO, size: int, file: str) -> Iterator[Segments]:
    """Yield the HEADER of every data set of the file, following ``$NEXTDATA``.

    The value counts from the start of its own data set; files that count from the start of the
    file are followed too. The chain ends where no further HEADER is.

    Parameters
    ----------
    handle
        The open file.
    size
        Bytes in the file.
    file
        For messages.

    Raises
    ------
    DataFileError
        A HEADER cannot be read, or there are more data sets than any instrument writes.
    """
    segments = _read_segments(handle, 0, size, file)
    n_sets = n_bytes = 0
    while True:
        n_sets, n_bytes = n_sets + 1, n_bytes + segments.text.length
        if n_sets > _MOST_DATA_SETS or (n_sets > 1 and n_bytes > _MOST_CHAIN_BYTES):
            most = f"{_MOST_DATA_SETS:,} data sets, with {_MOST_CHAIN_BYTES // 2**20} MiB of TEXT, are followed"
            raise DataFileError(f"$NEXTDATA leads on and on: at most {most}", file, _AGAIN)
        yield segments
        raw = read_span(handle, segments, segments.text, file)
        match = _NEXT_DATA.search(raw)
        step = int(match.group(2)) if match and match.group(1) == raw[:1] else 0
        # a data set holds at least its HEADER and TEXT, so the chain moves on and has an end
        least = segments.origin + segments.text.last + 1 if segments.text.first < step else segments.origin + step
        following = [o for o in (segments.origin + step, step) if max(least, segments.origin + 1) <= o < size]
        found = [o for o in following if step and _starts_here(handle, o)]
        if not found:
            return
        segments = _read_segments(handle, found[0], size, file)


def _starts_here(handle: BinaryIO, origin: int) -> bool:
    handle.seek(origin)
    return handle.read(HEADER_BYTES).startswith(b"FCS")


def read_span(handle: BinaryIO, segments: Segments, span: Span, file: str) -> bytes:
    """Return the bytes of a segment of keywords.

    Parameters
    ----------
    handle
        The open file.
    segments
        HEADER of the data set, from whose start the span counts.
    span
        The segment.
    file
        For messages.
    """
    if span.length > _MOST_TEXT_BYTES:
        raise DataFileError(
            f"the TEXT segment claims {span.length:,} bytes; at most {_MOST_TEXT_BYTES:,} are read",
            file,
            _AGAIN,
        )
    handle.seek(segments.origin + span.first)
    return handle.read(span.length)


def keywords(raw: bytes, file: str) -> tuple[dict[str, str], list[str]]:
    """Return the keywords of a TEXT segment (upper case, with their ``$``) and what is unusual about it, in words.

    The first byte is the delimiter. Doubled it is itself, inside a value; directly after a
    keyword it ends an empty value, which the standard forbids and many cytometers write.

    Parameters
    ----------
    raw
        The bytes of the segment.
    file
        For messages.
    """
    notes: list[str] = []
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError:
        text = raw.decode("latin-1")
        notes.append(READ_AS_LATIN)
    delimiter = text[0]
    if text.count(delimiter) > 2 * _MOST_KEYWORDS:
        raise DataFileError(f"TEXT holds more than {_MOST_KEYWORDS:,} keywords", file, _AGAIN)
    parts = text[1:].split(delimiter)
    found: dict[str, str] = {}
    repeated: set[str] = set()
    i, n = 0, len(parts)
    while i + 1 < n:
        key, pieces, i = parts[i].strip().strip("\0").upper(), [parts[i + 1]], i + 2
        while pieces[0] and i + 1 < n and not parts[i]:
            pieces.append(parts[i + 1])
            i += 2
        if key in found:
            repeated.add(key)
        if key:
            found[key] = delimiter.join(pieces)
    if i < n and parts[i].strip(" \0\r\n\t"):
        notes.append("the last keyword of TEXT has no value")
    if repeated:
        notes.append(f"keywords that are duplicated in TEXT: {len(repeated)}; the last value of each is used")
    return found, notes


def supplement(
    handle: BinaryIO, segments: Segments, text: Mapping[str, str], size: int, file: str
) -> tuple[dict[str, str], list[str]]:
    """Return the keywords of the supplemental TEXT segment, and what is unusual about it in words.

    Parameters
    ----------
    handle
        The open file.
    segments, text
        HEADER and keywords of the data set; where both segments have a keyword the primary one's is to be used.
    size
        Bytes in the file.
    file
        For messages.
    """
    span = span_of(whole_number(text.get("$BEGINSTEXT", "")), whole_number(text.get("$ENDSTEXT", "")))
    if span is None or span.length < 2 or span.overlap(segments.text):
        return {}, []
    if segments.origin + span.last >= size:
        return {}, ["the supplemental TEXT segment ends after the file and was not read"]
    found, notes = keywords(read_span(handle, segments, span, file), file)
    return found, [f"supplemental TEXT: {note}" for note in notes]
