"""DATA of an FCS file into one float32 block, channels x events, each channel contiguous.

The file is read once, in blocks that stay in the processor's cache. What needs more precision
than float32 (undoing logarithmic amplification, gain, ticks to seconds) is done in double
precision on the values as stored, then rounded once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, BinaryIO, Literal

import numpy as np
from numpy.typing import NDArray

from immunolab.errors import DataFileError
from immunolab.loaders.fcs.channels import FcsChannel
from immunolab.loaders.fcs.header import FcsHeader

_BLOCK_BYTES = 2**19  # fits the second-level cache of common processors (judgement; benchmarks/reading.py times it)
_ASCII_BLOCK_BYTES = 2**20  # of text, whose words become Python objects several times as large (judgement)
_LARGEST_TABLE = 2**16  # values: a table of 16-bit integers; wider ones are calculated event by event
_AGAIN = "export the file again"
Scale = Callable[[NDArray[Any]], NDArray[np.float64]]


def decode(handle: BinaryIO, header: FcsHeader, *, stored: bool = False) -> tuple[NDArray[np.float32], list[str]]:
    """Return the events of a data set, and what is unusual about them in words.

    Parameters
    ----------
    handle
        The open file.
    header
        What `describe` decided about it.
    stored
        Values as they are in the file, after the ``$PnR`` bit mask but before ``$PnE``,
        ``$PnG`` and ``$TIMESTEP``.

    Returns
    -------
    array
        float32 array, channels x events. By default on the linear scale of the instrument: integers of logarithmic
        amplifiers undone, linear channels divided by their gain, the channel called Time multiplied by ``$TIMESTEP``
        (seconds) and not divided by a gain.
    list
        A note on channels whose values have bits above ``$PnR``.

    Raises
    ------
    DataFileError
        When ASCII values are no numbers or too few, or the file ends early.
    """
    handle.seek(header.data_start)
    columns = np.empty((len(header.channels), header.n_events), dtype=np.float32)
    scales = [
        None if stored else _scale(c, width, header.timestep)
        for c, width in zip(header.channels, header.widths, strict=True)
    ]
    cut = np.zeros(len(header.channels), dtype=np.int64)  # values that lost bits to the mask
    if header.channels[0].datatype == "A":
        blocks: Iterator[NDArray[Any]] = _ascii_blocks(handle, header)
    elif any(width % 8 for width in header.widths):
        blocks = _packed_blocks(handle, header, cut)
    else:
        blocks = _byte_blocks(handle, header, cut)
    first = 0
    with np.errstate(over="ignore", invalid="ignore"):
        for block in blocks:
            last = first + block.shape[0]
            _fill(columns[:, first:last], block, scales)
            first = last
    return columns, _masked(header, cut)


def _masked(header: FcsHeader, cut: NDArray[np.int64]) -> list[str]:
    """Return a note on the channels whose values lost bits, with the greatest share that did."""
    lost = [(channel.name, n / header.n_events) for channel, n in zip(header.channels, cut.tolist(), strict=True) if n]
    if not lost:
        return []
    most = max(share for _, share in lost)
    return [
        f"bits above $PnR (or $PnB) are not read, as the standard asks, in up to {most:.1%} of values: "
        f"{', '.join(name for name, _ in lost)}; where that is no flag of the instrument, $PnR is wrong"
    ]


def not_finite(columns: NDArray[np.float32], names: Sequence[str]) -> list[str]:
    """Return words for every channel that holds NaN or infinite values.

    Parameters
    ----------
    columns
        Channels x events.
    names
        Of the channels.
    """
    notes = []
    for name, column in zip(names, columns, strict=True):
        with np.errstate(over="ignore", invalid="ignore"):
            sound = np.isfinite(column.dot(column))  # a sum is far cheaper than a mask, and rarely overflows
        n_bad = 0 if sound else int(column.size - np.isfinite(column).sum())
        if n_bad:
            notes.append(f"{name}: {n_bad:,} events hold NaN or infinite values")
    return notes


def _fill(out: NDArray[np.float32], block: NDArray[Any], scales: list[Scale | None]) -> None:
    if block.dtype.names is None:
        out[...] = block.T
    for row, scale in enumerate(scales):
        values = block[block.dtype.names[row]] if block.dtype.names else block[:, row]
        if scale is not None:
            out[row] = scale(values)
        elif block.dtype.names:
            out[row] = values


def _scale(channel: FcsChannel, width: int, timestep: float) -> Scale | None:
    """Return what turns stored values of a channel into instrument units, or None when nothing has to."""
    factor, (decades, at_zero) = 1.0, channel.amplification
    if channel.is_time:
        factor, divisor = timestep, 1.0
    else:
        divisor = channel.gain
    if decades == 0:
        return None if factor == divisor == 1.0 else lambda values: values.astype(np.float64) * factor / divisor

    def linear(values: NDArray[Any]) -> NDArray[np.float64]:
        return 10 ** (decades * (values.astype(np.float64) * factor) / channel.range) * at_zero / divisor

    top = _mask(channel, width)
    if top is None and 2**width <= _LARGEST_TABLE:
        top = 2**width - 1
    if top is None or top >= _LARGEST_TABLE or channel.datatype != "I":
        return linear
    table = linear(np.arange(top + 1))
    return lambda values: table[values]


def _mask(channel: FcsChannel, width: int) -> int | None:
    """Return the bits that an integer stored in ``width`` bits may use, or None where those are all.

    They are the bits of ``$PnB`` (10 bits may be stored in 16) below the power of two at or above ``$PnR``.
    """
    if channel.datatype != "I":
        return None
    bits = channel.bits
    if channel.range > 1:
        bits = min(bits, (int(np.ceil(channel.range)) - 1).bit_length())
    return None if bits >= width else (1 << bits) - 1


def _masks(header: FcsHeader) -> list[int | None]:
    return [_mask(channel, width) for channel, width in zip(header.channels, header.widths, strict=True)]


def _read(handle: BinaryIO, n_bytes: int, header: FcsHeader) -> bytearray:
    buffer = bytearray(n_bytes)
    if handle.readinto(buffer) != n_bytes:  # type: ignore[attr-defined]
        raise DataFileError("the DATA segment ended while it was read", header.file, "copy the file again")
    return buffer


def _counts(n_events: int, step: int) -> Iterator[int]:
    for first in range(0, n_events, step):
        yield min(step, n_events - first)


def _byte_blocks(handle: BinaryIO, header: FcsHeader, cut: NDArray[np.int64]) -> Iterator[NDArray[Any]]:
    """Yield events x channels, or a structured block when channels differ in type; integers masked, counted in cut."""
    codes = [
        _code(channel, width, header.byte_order) for channel, width in zip(header.channels, header.widths, strict=True)
    ]
    masks = _masks(header)
    event_bytes = sum(header.widths) // 8
    uniform = len(set(codes)) == 1 and not codes[0].startswith("V")
    dtype = np.dtype(codes[0]) if uniform else np.dtype([(f"c{i}", code) for i, code in enumerate(codes)])
    for count in _counts(header.n_events, max(1, _BLOCK_BYTES // event_bytes)):
        block = np.frombuffer(_read(handle, count * event_bytes, header), dtype=dtype)
        if not uniform:
            yield _widen(block, header, masks, cut)
            continue
        block = block.reshape(count, len(codes))
        if not dtype.isnative:
            block = block.byteswap(inplace=True).view(dtype.newbyteorder("="))
        if any(mask is not None for mask in masks):
            largest = np.iinfo(block.dtype).max
            allowed = np.array([largest if mask is None else mask for mask in masks], dtype=block.dtype)
            cut += (block > allowed).sum(axis=0)
            block &= allowed
        yield block


def _code(channel: FcsChannel, width: int, order: str) -> str:
    size = width // 8
    if channel.datatype in ("F", "D"):
        return f"{order}f{size}"
    return f"{order}u{size}" if size in (1, 2, 4, 8) else f"V{size}"


def _widen(block: NDArray[Any], header: FcsHeader, masks: list[int | None], cut: NDArray[np.int64]) -> NDArray[Any]:
    """Return a structured block in which 24-bit and other unusual widths have become plain integers."""
    kinds = [("c" + str(i), np.uint64 if c.datatype == "I" else np.float64) for i, c in enumerate(header.channels)]
    wide = np.empty(block.shape[0], dtype=kinds)
    for i, mask in enumerate(masks):
        field = block[f"c{i}"]
        if field.dtype.kind == "V":
            field = _join(field, header.byte_order)
        if mask is not None:
            cut[i] += int((field > mask).sum())
            field = field & field.dtype.type(mask)
        wide[f"c{i}"] = field
    return wide


def _join(field: NDArray[Any], order: str) -> NDArray[np.uint64]:
    size = field.dtype.itemsize
    parts = np.ascontiguousarray(field).view(np.uint8).reshape(-1, size)
    total = np.zeros(parts.shape[0], dtype=np.uint64)
    for place in range(size) if order == ">" else range(size - 1, -1, -1):
        total = (total << np.uint64(8)) | parts[:, place]
    return total


def _packed_blocks(handle: BinaryIO, header: FcsHeader, cut: NDArray[np.int64]) -> Iterator[NDArray[Any]]:
    """Yield events x channels of a continuous bit stream without padding.

    With big-endian ``$BYTEORD`` a value's highest bit comes first and bytes are filled from their
    highest bit; with little-endian both run the other way.
    """
    event_bits = sum(header.widths)
    step = max(8, _BLOCK_BYTES // event_bits // 8 * 8)  # whole bytes a block
    order: Literal["big", "little"] = "big" if header.byte_order == ">" else "little"
    ends = np.cumsum(header.widths)
    masks = _masks(header)
    for count in _counts(header.n_events, step):
        raw = np.frombuffer(_read(handle, -(-count * event_bits // 8), header), dtype=np.uint8)
        bits = np.unpackbits(raw, count=count * event_bits, bitorder=order).reshape(count, event_bits)
        block = np.zeros((count, len(ends)), dtype=np.uint64)
        for row, (width, end) in enumerate(zip(header.widths, ends, strict=True)):
            places = range(end - width, end) if order == "big" else range(end - 1, end - width - 1, -1)
            for place in places:
                block[:, row] = (block[:, row] << np.uint64(1)) | bits[:, place]
            mask = masks[row]
            if mask is not None:
                cut[row] += int((block[:, row] > np.uint64(mask)).sum())
                block[:, row] &= np.uint64(mask)
        yield block


def _ascii_blocks(handle: BinaryIO, header: FcsHeader) -> Iterator[NDArray[np.float64]]:
    """Yield events x channels of numbers written out as text."""
    n_channels = len(header.channels)
    missing = header.n_events * n_channels
    rest: list[float] = []
    words = _delimited(handle, header) if header.widths[0] == 0 else _fixed(handle, header)
    for some in words:
        try:
            rest += [float(word) for word in some[: missing - len(rest)]]
        except ValueError:
            raise DataFileError("DATA holds ASCII values that are no numbers", header.file, _AGAIN) from None
        whole = len(rest) // n_channels * n_channels
        yield np.array(rest[:whole], dtype=np.float64).reshape(-1, n_channels)
        rest, missing = rest[whole:], missing - whole
    if missing:
        raise DataFileError(
            f"DATA holds {header.n_events * n_channels - missing + len(rest):,} ASCII values, "
            f"{header.n_events * n_channels:,} are declared",
            header.file,
            _AGAIN,
        )


def _delimited(handle: BinaryIO, header: FcsHeader) -> Iterator[list[bytes]]:
    """Yield values between spaces, tabs, commas or line ends; a value cut by a block's end is kept whole."""
    rest = b""
    for count in _counts(header.data_bytes, _ASCII_BLOCK_BYTES):
        text = rest + bytes(_read(handle, count, header)).replace(b",", b" ")
        cut = max(text.rfind(space) for space in (b" ", b"\t", b"\r", b"\n")) + 1
        rest = text[cut:]
        yield text[:cut].split()
    yield rest.split()


def _fixed(handle: BinaryIO, header: FcsHeader) -> Iterator[list[bytes]]:
    """Yield values of fixed width, with nothing between them."""
    ends = np.cumsum(header.widths) // 8
    spans = [slice(end - width // 8, end) for end, width in zip(ends.tolist(), header.widths, strict=True)]
    for count in _counts(header.n_events, max(1, _ASCII_BLOCK_BYTES // int(ends[-1]))):
        text = bytes(_read(handle, count * int(ends[-1]), header))
        events = (text[at : at + int(ends[-1])] for at in range(0, len(text), int(ends[-1])))
        yield [event[span] for event in events for span in spans]
