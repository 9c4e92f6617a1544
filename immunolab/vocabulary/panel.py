"""The panel of a tube: which channel carries which marker and dye."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from immunolab.config import read_yaml
from immunolab.errors import InputError, Problem, nearest
from immunolab.events.tube import Channel
from immunolab.input_files import path_hint, read_input_text
from immunolab.schema.formula_cells import restored
from immunolab.vocabulary.labels import Resolved, names_nothing, resolve_label
from immunolab.vocabulary.lexicon import key

__all__ = ["Resolved", "is_unused", "misspelled_channels", "read_panel", "resolve_channels", "resolve_label"]

_CHANNEL_HEADERS = ("channel", "fcs_colname", "$pnn", "pnn", "detector", "parameter", "name", "fcs channel", "column")
_MARKER_HEADERS = ("marker", "antigen", "target", "protein", "$pns", "pns", "desc", "label", "description")
_PULSE_SHAPE = re.compile(r"[-_ ]([AHW])(?:rea|eight|idth)?$", re.IGNORECASE)
_ION_CLOUD = frozenset({"CELLLENGTH", "EVENTLENGTH"})  # parameters that mass cytometers write, and no other instrument
_NO_MARKER = frozenset({"", "na", "n/a", "nan", "none", "null", "-", "empty", "unused"})


def _canonical_marker(name: str) -> str:
    """Return the vocabulary's name of a marker, or the name as the user spelled it."""
    return resolve_label(name).marker or name


def resolve_channels(
    names: Sequence[str], labels: Sequence[str], panel: Mapping[str, str] | None = None
) -> tuple[Channel, ...]:
    """Return the channels of a tube with their markers, dyes and kinds, in file order.

    Parameters
    ----------
    names
        Detector names (``$PnN``).
    labels
        What the operator wrote (``$PnS``), one for each name; empty when left blank.
    panel
        Channel -> marker as `read_panel` gives it. What it says about a channel wins over the
        label; an empty marker means that the channel has none.

    Notes
    -----
    Where one detector is recorded as area, height and width under one label, the marker is that of
    the area (or of the height, where there is no area): these are one measurement, not two. A marker
    on two detectors stays on both, and asking for it by name is then an error.

    Raises
    ------
    InputError
        The panel names no channel of the tube.
    """
    said = {_plain(channel): marker for channel, marker in (panel or {}).items()}
    if said and not said.keys() & {_plain(name) for name in names}:
        hint = f"the tube has: {', '.join(names)}"
        raise InputError(Problem("", "panel", f"none of its channels is in the tube: {', '.join(panel or {})}", hint))
    channels = []
    for name, label in zip(names, labels, strict=True):
        found = resolve_label(label.strip(), name.strip())
        marker = found.marker
        if _plain(name) in said and found.kind not in ("scatter", "time"):
            marker = _canonical_marker(said[_plain(name)]) or None
        channels.append(Channel(name, label, marker, found.fluorochrome, found.kind))
    return _one_pulse_shape(_of_ions(channels) if _counts_ions(channels) else channels)


def is_unused(channel: Channel) -> bool:
    """Return whether a detector has no antibody by its panel: neither a marker nor a label that could be one.

    Parameters
    ----------
    channel
        As `resolve_channels` returns it.
    """
    label = channel.label.strip()
    return channel.marker is None and (label.lower() in _NO_MARKER or names_nothing(label, channel.name))


def misspelled_channels(names: Sequence[str], panel: Mapping[str, str]) -> list[str]:
    """Return, in words, channels that a panel names and a tube lacks where the tube has one much like it.

    A panel may serve tubes with fewer channels: one that is like no channel of the tube is no slip.

    Parameters
    ----------
    names
        Detector names of the tube.
    panel
        Channel to marker.
    """
    own = {_plain(name) for name in names}
    said = {_plain(channel) for channel in panel}
    left = [name for name in names if _plain(name) not in said]
    slips = [(channel, nearest(channel, left)) for channel in panel if _plain(channel) not in own]
    return [f"the panel names channel '{channel}', which the file lacks: {meant}" for channel, meant in slips if meant]


def _counts_ions(channels: Sequence[Channel]) -> bool:
    """Return whether a mass cytometer wrote the file: it has the length of ion clouds, and no light is scattered."""
    return any(key(c.name) in _ION_CLOUD for c in channels) and all(c.kind != "scatter" for c in channels)


def _of_ions(channels: Sequence[Channel]) -> list[Channel]:
    """Return channels that are named by their markers alone, without a metal, as those of a mass cytometer."""
    return [replace(c, kind="mass") if c.kind == "fluorescence" else c for c in channels]


def _one_pulse_shape(channels: Sequence[Channel]) -> tuple[Channel, ...]:
    """Leave a marker on the area of a detector only, where height or width of the same pulse carry it too."""
    shapes = [_PULSE_SHAPE.search(channel.name) for channel in channels]
    detectors = [(c.marker, c.name[: s.start()]) if s else None for c, s in zip(channels, shapes, strict=True)]
    ranks = ["AHW".index(shape[1].upper()) if shape else 0 for shape in shapes]
    best: dict[object, int] = {}
    for detector, rank in zip(detectors, ranks, strict=True):
        best[detector] = min(rank, best.get(detector, rank))
    return tuple(
        replace(channel, marker=None) if detector and channel.marker and rank > best[detector] else channel
        for channel, detector, rank in zip(channels, detectors, ranks, strict=True)
    )


def _plain(channel: str) -> str:
    """Compare channels without case, blanks and the prefix of compensated exports."""
    return key(channel).removeprefix("FJ").removeprefix("COMP")


def read_panel(path: Path | str) -> dict[str, str]:
    """Read a panel file: channel -> marker in the vocabulary's spelling, else in the user's own.

    YAML holds a mapping ``BV421-A: CD25``; CSV (comma, semicolon or tab) has one column for the
    channel and one for the marker, named in any usual way (Channel, $PnN, fcs_colname; Marker,
    antigen, $PnS). ``NA`` or nothing means that the channel has no marker and gives "".

    Parameters
    ----------
    path
        YAML or CSV.

    Raises
    ------
    InputError
        Lists every fault of the file.
    """
    path = Path(path)
    pairs = _yaml_pairs(path) if path.suffix.lower() in (".yaml", ".yml") else _csv_pairs(path)
    panel: dict[str, str] = {}
    problems: list[Problem] = []
    for place, channel, text in pairs:
        marker = "" if text.strip().lower() in _NO_MARKER else _canonical_marker(text.strip())
        if not channel.strip():
            problems.append(Problem(str(path), place, "the channel is empty", "write the detector's name ($PnN)"))
        elif panel.get(channel.strip(), marker) != marker:
            problems.append(Problem(str(path), place, f"channel '{channel}' is duplicated", "keep one line a channel"))
        else:
            panel[channel.strip()] = marker
    if not panel and not problems:
        problems.append(Problem(str(path), "", "the panel names no channel", "one line a channel: BV421-A,CD25"))
    if problems:
        raise InputError(problems)
    return panel


def _yaml_pairs(path: Path) -> list[tuple[str, str, str]]:
    document = read_yaml(path)
    if not isinstance(document.data, dict):
        raise InputError(Problem(str(path), "", "a mapping of channel to marker is needed", "write BV421-A: CD25"))
    lines = {channel: str(document.lines.get((channel,), "")) for channel in document.data}
    nested = [c for c, marker in document.data.items() if isinstance(marker, dict | list)]
    if nested:
        raise InputError(
            [Problem(str(path), lines[c], f"{c}: one marker is needed, not a list or mapping") for c in nested]
        )
    return [(lines[c], str(c), "" if marker is None else str(marker)) for c, marker in document.data.items()]


def _csv_pairs(path: Path) -> list[tuple[str, str, str]]:
    try:
        text = read_input_text(path)
    except OSError as error:
        hint = path_hint(path, ".csv", ".yaml", ".yml")
        raise InputError(Problem(str(path), "", f"cannot be read: {error.strerror}", hint)) from None
    except UnicodeDecodeError:
        raise InputError(Problem(str(path), "", "is not UTF-8 text", "save the file as CSV in UTF-8")) from None
    first = text.split("\n", 1)[0]
    delimiter = max(",;\t", key=first.count)
    rows = list(csv.reader(io.StringIO(text), delimiter=delimiter))
    header = [cell.strip().lower() for cell in rows[0]] if rows else []
    channel = next((header.index(name) for name in _CHANNEL_HEADERS if name in header), None)
    marker = next((header.index(name) for name in _MARKER_HEADERS if name in header), None)
    problems = []
    for column, what, allowed in ((channel, "channel", _CHANNEL_HEADERS), (marker, "marker", _MARKER_HEADERS)):
        if column is None:
            close = next((hint for cell in header if (hint := nearest(cell, allowed))), "")
            hint = f"{close} name it one of: {', '.join(allowed)}".strip()
            problems.append(Problem(str(path), "line 1", f"no column for the {what}; there are: {first.strip()}", hint))
    if problems or channel is None or marker is None:
        raise InputError(problems)
    return [
        (f"line {n}", _cell(row, channel), _cell(row, marker))
        for n, row in enumerate(rows[1:], start=2)
        if any(cell.strip() for cell in row)
    ]


def _cell(row: list[str], column: int) -> str:
    return restored(row[column].strip()) if column < len(row) else ""
