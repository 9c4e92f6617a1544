"""Make FCS files of any version and data type for tests, from the standard alone; faults on request."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np


def data_bytes(events: np.ndarray, datatype: str, bits: Sequence[int | str], order: str) -> bytes:
    """Return DATA of events x channels; bits is a width a channel, characters for A, ``*`` for delimited."""
    if datatype == "F" or datatype == "D":
        return events.astype(f"{order}f{4 if datatype == 'F' else 8}").tobytes()
    if datatype == "A" and bits[0] == "*":
        return " ".join(f"{value:g}" for value in events.ravel()).encode()
    if datatype == "A":
        return b"".join(
            f"{value:g}".rjust(int(width)).encode() for row in events for value, width in zip(row, bits, strict=True)
        )
    if all(int(width) % 8 == 0 for width in bits):
        endian = "little" if order == "<" else "big"
        return b"".join(
            int(value).to_bytes(int(width) // 8, endian)
            for row in events
            for value, width in zip(row, bits, strict=True)
        )
    stream = []
    for row in events:
        for value, width in zip(row, bits, strict=True):
            word = [int(value) >> place & 1 for place in range(int(width))]
            stream += word if order == "<" else word[::-1]
    return np.packbits(stream, bitorder="little" if order == "<" else "big").tobytes()


def fcs_bytes(
    events: np.ndarray,
    names: Sequence[str],
    *,
    version: str = "3.1",
    datatype: str = "F",
    bits: Sequence[int | str] | None = None,
    order: str = "<",
    ranges: Sequence[float] | None = None,
    delimiter: str = "/",
    keywords: Mapping[str, str | None] | None = None,
    data: bytes | None = None,
    supplement: Mapping[str, str] | None = None,
    header_shift: int = 0,
    text_shift: int = 0,
    end_shift: int = 0,
    header_data: bool = True,
) -> bytes:
    """Return an FCS file.

    ``keywords`` overwrite or, with None, remove what would be written; ``data`` replaces DATA. The
    shifts move DATA's offsets in HEADER or TEXT, or its end in both, away from the truth.
    """
    events = np.asarray(events)
    n_channels = len(names)
    bits = list(bits or [{"I": 16, "F": 32, "D": 64, "A": 8}[datatype]] * n_channels)
    text: dict[str, str | None] = {
        "$MODE": "L",
        "$DATATYPE": datatype,
        "$BYTEORD": "1,2,3,4" if order == "<" else "4,3,2,1",
        "$PAR": str(n_channels),
        "$TOT": str(len(events)),
        "$NEXTDATA": "0",
    }
    for i, name in enumerate(names, start=1):
        own_range = ranges[i - 1] if ranges else (2 ** int(bits[i - 1]) if datatype == "I" else 262144)
        text |= {f"$P{i}N": name, f"$P{i}B": str(bits[i - 1]), f"$P{i}E": "0,0", f"$P{i}R": f"{own_range:.0f}"}
    text |= dict(keywords or {})
    payload = data_bytes(events, datatype, bits, order) if data is None else data
    extra = _text(supplement or {}, delimiter).encode() if supplement else b""
    first = 58
    width = 12
    placed = dict(text)
    for _ in range(2):  # the second time every length is known
        size = len(_text({k: v for k, v in placed.items() if v is not None}, delimiter).encode())
        begin_extra = first + size
        begin = begin_extra + len(extra)
        end = begin + len(payload) - 1 + end_shift
        offsets = {"$BEGINDATA": begin + text_shift, "$ENDDATA": end + text_shift}
        offsets |= {"$BEGINSTEXT": begin_extra if extra else 0, "$ENDSTEXT": begin - 1 if extra else 0}
        placed = {k: f"{v:0{width}d}" for k, v in offsets.items()} | text if version != "2.0" else dict(text)
    kept = {k: v for k, v in placed.items() if v is not None}
    body = _text(kept, delimiter).encode()
    spots = [first, first + len(body) - 1, begin + header_shift, end + header_shift, 0, 0]
    if not header_data:
        spots[2:4] = [0, 0]
    header = f"FCS{version}    ".encode() + b"".join(struct.pack("8s", f"{spot:>8d}".encode()) for spot in spots)
    return header + body + extra + payload


def write_fcs(path: Path, *arguments: object, **settings: object) -> Path:
    """Write `fcs_bytes` to a file and return its path."""
    path.write_bytes(fcs_bytes(*arguments, **settings))  # type: ignore[arg-type]
    return path


def _text(keywords: Mapping[str, str], delimiter: str) -> str:
    def escaped(word: str) -> str:
        return word.replace(delimiter, 2 * delimiter)

    return delimiter + "".join(f"{escaped(k)}{delimiter}{escaped(v)}{delimiter}" for k, v in keywords.items())
