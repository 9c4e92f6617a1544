"""Write an FCS data set from keywords and an untouched DATA segment."""

from __future__ import annotations

import binascii
import hashlib
from collections.abc import Mapping
from typing import BinaryIO

_TEXT_START = 256  # byte; after the HEADER's 58, with room for user-defined segments
_MOST_IN_HEADER = 99_999_999  # the HEADER has 8 characters for an offset; larger ones are in TEXT (FCS 3.1)
_BLOCK = 1 << 22  # bytes copied at a time
# tried in this order: the first that no value contains needs no doubling
_DELIMITERS = "|\x0c\x1e!~^"


def write_data_set(
    out: BinaryIO, version: str, keywords: Mapping[str, str], source: BinaryIO, start: int, length: int, *, last: bool
) -> str:
    """Write HEADER, TEXT, DATA and CRC of one data set; return the SHA-256 of DATA.

    Parameters
    ----------
    out
        At the place where the data set begins.
    version
        Of FCS. An FCS 2.0 data set whose DATA ends beyond byte 99,999,999 becomes 3.0, because
        2.0 cannot say where such DATA is.
    keywords
        Of TEXT, without those that say where segments are.
    source, start, length
        Where DATA comes from, in bytes.
    last
        Whether no data set follows.
    """
    if version == "2.0" and _TEXT_START + length + 100_000 > _MOST_IN_HEADER:
        version = "3.0"
    text, begin = _laid_out(keywords, version, length, last)
    end = begin + length - 1 if length else 0
    begin = begin if length else 0
    in_header = (begin, end) if end <= _MOST_IN_HEADER else (0, 0)
    header = f"FCS{version}    " + "".join(
        f"{n:8d}" for n in (_TEXT_START, _TEXT_START + len(text) - 1, *in_header, 0, 0)
    )
    head = header.encode("ascii").ljust(_TEXT_START) + text
    out.write(head)
    crc, digest, left = binascii.crc_hqx(head, 0), hashlib.sha256(), length
    source.seek(start)
    while left:
        block = source.read(min(_BLOCK, left))
        if not block:
            raise EOFError("DATA is shorter than its header says")
        out.write(block)
        digest.update(block)
        crc, left = binascii.crc_hqx(block, crc), left - len(block)
    if version != "2.0":
        out.write(f"{crc:08d}".encode("ascii"))  # CRC-16-CCITT from HEADER to the end of DATA
    return digest.hexdigest()


def _laid_out(keywords: Mapping[str, str], version: str, length: int, last: bool) -> tuple[bytes, int]:
    """Return TEXT and the first byte of DATA; the offsets are in TEXT, whose length they change."""
    delimiter = next(d for d in _DELIMITERS if not any(d in value for value in keywords.values()))
    begin = _TEXT_START
    while True:
        end = begin + length - 1 if length else 0
        size = begin + length + (0 if version == "2.0" else 8)
        places = {"$NEXTDATA": "0" if last else str(size)}
        if version != "2.0":
            places |= {"$BEGINDATA": str(begin if length else 0), "$ENDDATA": str(end)}
            places |= dict.fromkeys(("$BEGINSTEXT", "$ENDSTEXT", "$BEGINANALYSIS", "$ENDANALYSIS"), "0")
        pairs = {**places, **keywords}
        text = delimiter + "".join(f"{key}{delimiter}{value}{delimiter}" for key, value in pairs.items() if value)
        raw = text.encode("ascii")
        if begin == _TEXT_START + len(raw):
            return raw, begin
        begin = _TEXT_START + len(raw)
