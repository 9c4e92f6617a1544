"""The channels of an FCS data set, as the keywords of TEXT describe them."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from immunolab.errors import DataFileError
from immunolab.loaders.fcs.text import visible, whole_number

DataType = Literal["I", "F", "D", "A"]
_TYPES: dict[DataType, str] = {"I": "integers", "F": "32-bit floats", "D": "64-bit floats", "A": "ASCII numbers"}
_AGAIN = "export the file again"
_FLOAT_BITS = {"F": 32, "D": 64}
_MOST_CHANNELS = 10_000  # of a data set; the most of any instrument or export seen are some hundred (judgement)
_MOST_NAMES = 20  # notes on changed names that are listed; the others are counted (judgement: as long as a panel)
_MOST_DECADES = 30  # of a logarithmic amplifier: real ones have 3 to 5, beyond 30 values overflow float32
_LINEAR = (0.0, 0.0)  # $PnE of a linear amplifier


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

    @property
    def is_time(self) -> bool:
        """Whether it is the channel that ``$TIMESTEP`` is of."""
        return self.name.lower() == "time"

    @property
    def top(self) -> float:
        """The end of the channel's scale in instrument units; 0 where ``$PnR`` is missing."""
        decades, at_zero = self.amplification
        return (at_zero * 10.0**decades if decades else self.range) / self.gain


def read_channels(text: Mapping[str, str], file: str) -> tuple[tuple[FcsChannel, ...], list[str]]:
    """Return the channels of a data set, and what is unusual about them in words.

    Parameters
    ----------
    text
        The keywords of TEXT, upper case.
    file
        For messages.

    Raises
    ------
    DataFileError
        The number of channels, the type of values or a width is missing or unknown.
    """
    datatype, type_notes = _datatype(text, file)
    n_channels = whole_number(text.get("$PAR", ""))
    if n_channels is None or n_channels < 1:
        raise DataFileError("$PAR does not give the number of channels", file, _AGAIN)
    described = {int(m.group(1)) for key in text if (m := re.fullmatch(r"\$P([0-9]{1,6})[NBR]", key))}
    absent = next((i for i in range(1, n_channels + 1) if i not in described), None)
    if absent is not None:
        message = f"$PAR declares {n_channels:,} channels, but TEXT does not describe channel {absent}"
        raise DataFileError(message, file, _AGAIN)
    if n_channels > _MOST_CHANNELS:
        raise DataFileError(f"$PAR is {n_channels:,}; at most {_MOST_CHANNELS:,} channels are read", file, _AGAIN)
    names, name_notes = unique_names([text.get(f"$P{i}N", "") for i in range(1, n_channels + 1)])
    made = [_channel(text, i, name, datatype, file) for i, name in enumerate(names, start=1)]
    channels = tuple(channel for channel, _ in made)
    if len({c.bits == 0 for c in channels}) > 1:
        raise DataFileError("ASCII values are in part delimited and in part of fixed width ($PnB)", file)
    if len({c.datatype == "A" for c in channels}) > 1:
        raise DataFileError("ASCII and binary values are in one DATA segment ($PnDATATYPE)", file)
    return channels, [*type_notes, *name_notes, *_gathered([note for _, notes in made for note in notes])]


def _datatype(text: Mapping[str, str], file: str) -> tuple[DataType, list[str]]:
    word = text.get("$DATATYPE", "").strip().upper()
    for known in _TYPES:
        if word == known:
            return known, []
    if word:
        allowed = ", ".join(f"{key} ({value})" for key, value in _TYPES.items())
        raise DataFileError(f"$DATATYPE {word[:8]!r} is not known", file, f"allowed: {allowed}")
    widths = {whole_number(value) for key, value in text.items() if re.fullmatch(r"\$P[0-9]+B", key)}
    if widths and widths <= {8, 16, 24}:
        return "I", ["$DATATYPE is missing; values of 8 to 24 bits can only be integers and were read as such"]
    raise DataFileError("$DATATYPE is missing, and the widths fit integers as well as floats", file, _AGAIN)


def unique_names(raw: Sequence[str]) -> tuple[list[str], list[str]]:
    """Return channel names without blanks, unseen characters and duplicates, and what is not as given in words.

    Parameters
    ----------
    raw
        ``$PnN`` of every channel, in file order.
    """
    plain = [visible(word) for word in raw]
    given, taken, counts = set(plain), set[str](), dict[str, int]()
    names: list[str] = []
    notes = []
    for i, (word, written) in enumerate(zip(plain, raw, strict=True), start=1):
        name = word or f"P{i}"
        if not word:
            notes.append(f"channel {i} has no name ($P{i}N); it is called {name}")
        elif word != _plain(written):
            notes.append(f"the name of channel {i} holds characters that cannot be seen; it is called {name}")
        unique, count = name, counts.get(name, 1)
        while unique in taken or (count > 1 and unique in given):
            count += 1
            unique = f"{name}_{count}"
        if unique != name:
            notes.append(f"the channel name {name} is duplicated; channel {i} is called {unique}")
            counts[name] = count
        taken.add(unique)
        names.append(unique)
    more = len(notes) - _MOST_NAMES
    rest = [f"{more:,} further channels have other names than in the file"] if more > 0 else []
    return names, [*notes[:_MOST_NAMES], *rest]


def _channel(text: Mapping[str, str], i: int, name: str, datatype: DataType, file: str) -> tuple[FcsChannel, list[str]]:
    kind: DataType = datatype
    own = text.get(f"$P{i}DATATYPE", "").strip().upper()  # FCS 3.2: a channel may differ from $DATATYPE
    if own in ("I", "F", "D"):
        kind = own  # type: ignore[assignment]
    bits, width_note = _bits(text.get(f"$P{i}B", ""), i, kind, file)
    value_range = max(decimal_number(text.get(f"$P{i}R", "")) or 0.0, 0.0)
    amplification, amplifier_note = _amplification(text.get(f"$P{i}E", ""), i)
    ignored = _why_linear(kind, value_range) if amplification[0] > 0 else ""
    if ignored:
        amplification = _LINEAR
    gain = decimal_number(text.get(f"$P{i}G", ""))
    gain = 1.0 if gain is None or gain <= 0 else gain
    if amplification[0] > 0 and gain != 1.0:
        ignored, gain = "$PnG on a logarithmic channel is ignored, as the standard asks", 1.0
    channel = FcsChannel(name, visible(text.get(f"$P{i}S", "")), kind, bits, value_range, amplification, gain)
    return channel, [note for note in (width_note, amplifier_note, f"{ignored}: {name}" if ignored else "") if note]


def _why_linear(kind: DataType, value_range: float) -> str:
    """Return why a logarithmic amplification is not undone, or nothing."""
    if kind in _FLOAT_BITS:
        return "logarithmic $PnE on floating-point values is ignored, as the standard asks"
    return "" if value_range else "logarithmic $PnE without $PnR cannot be undone, values stay as stored"


def _bits(word: str, i: int, kind: DataType, file: str) -> tuple[int, str]:
    if kind == "A" and word.strip() == "*":
        return 0, ""
    bits = whole_number(word)
    if kind in _FLOAT_BITS:
        width = _FLOAT_BITS[kind]
        note = f"$PnB is not {width}, which {_TYPES[kind]} take; {width} is used for: channel {i}"
        return width, "" if bits == width else note
    least, most = (1, 64) if kind == "A" else (8, 64)
    if bits is None or not least <= bits <= most:
        unit = "characters" if kind == "A" else "bits"
        raise DataFileError(f"$P{i}B gives no usable width of {_TYPES[kind]} ({least} to {most} {unit})", file, _AGAIN)
    return bits, ""


def _amplification(word: str, i: int) -> tuple[tuple[float, float], str]:
    if not word.strip():
        return _LINEAR, ""
    parts = [decimal_number(part) for part in word.split(",")]
    if len(parts) != 2 or parts[0] is None or parts[1] is None or parts[0] < 0:
        return _LINEAR, f"$PnE is not two numbers, taken as linear: channel {i}"
    decades, at_zero = parts[0], parts[1]
    if decades == 0:
        return _LINEAR, ""
    if decades > _MOST_DECADES or at_zero < 0:
        return _LINEAR, f"$PnE is absurd, taken as linear: channel {i}"
    return (decades, at_zero or 1.0), ""  # the standard: 0 at the bottom of a log scale is to be read as 1


def _gathered(notes: Sequence[str]) -> list[str]:
    """Return notes in order, those that begin alike (up to the colon) as one with all their channels."""
    alike: dict[str, list[str]] = {}
    for note in notes:
        head, _, name = note.partition(": ")
        alike.setdefault(head, []).append(name)
    return [f"{head}: {', '.join(names)}" for head, names in alike.items()]


def _plain(text: str) -> str:
    return text.strip().strip("\0").strip()


def decimal_number(text: str) -> float | None:
    """Return the finite number that a keyword's value spells, or None when it spells none."""
    word = _plain(text)
    if not re.fullmatch(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]{1,3})?", word):
        return None
    value = float(word)
    return value if math.isfinite(value) else None
