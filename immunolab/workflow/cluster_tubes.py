"""The events of FCS files that are clustered: the markers that all have, on one display scale each."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from immunolab.clustering.clusters import NOT_CLUSTERED_ON
from immunolab.clustering.som import Matrix
from immunolab.errors import DataFileError, GatingError, ImmunolabError, InputError, Problem, nearest
from immunolab.events.scales import ChannelNoise, ChannelScale, channel_noise, channel_scales, spread_over_batches
from immunolab.events.subsample import drawn_rows
from immunolab.events.tube import Channel, Tube
from immunolab.gating.gate_source import Gates
from immunolab.gating.placement.rules import display_scale
from immunolab.gating.placement.scales import measured_scales
from immunolab.gating.tubes import GatedTube, gate_tube
from immunolab.loaders.fcs.read import read_fcs, read_header
from immunolab.progress import progress
from immunolab.schema.files import file_sha256
from immunolab.vocabulary.panel import resolve_channels

log = logging.getLogger("immunolab")
Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class MarkerEvents:
    """One file's events.

    Attributes
    ----------
    sample_id
        Stem of the file.
    values
        float32, markers x events, compensated; instrument units, or display scale where scales were given.
    inside
        Events of the parent with a finite value of every marker.
    gated
        The tube with its gates; None without a strategy.
    channels
        Channel of each marker.
    noise
        What the tube shows of its channels' scales.
    """

    sample_id: str
    values: Matrix
    inside: Mask
    gated: GatedTube | None
    channels: tuple[Channel, ...]
    noise: tuple[ChannelNoise, ...] = ()


@dataclass(frozen=True)
class TubeReader:
    """How files are read for clustering.

    Attributes
    ----------
    markers
        Markers or channels.
    source
        Gates; None for none.
    parent
        Population whose events are clustered; "" for all.
    panel
        Markers by channel, as `read_fcs` takes them.
    seed
        Of placing gates.
    """

    markers: tuple[str, ...]
    source: Gates | None
    parent: str
    panel: Mapping[str, str] | None
    seed: int

    def read(self, path: Path, scales: Sequence[ChannelScale] | None = None, *, measure: bool = False) -> MarkerEvents:
        """Return the events of a file.

        Parameters
        ----------
        path
            FCS file.
        scales
            One a marker; None leaves instrument units.
        measure
            Also look at the channels' scales.
        """
        try:
            tube = read_fcs(path, panel=self.panel, sample_id=path.stem)
        except DataFileError as error:
            raise InputError(Problem(str(path), "", error.message, error.hint)) from error
        gated = self._gated(tube, path, self.source) if self.source else None
        inside = np.ones(tube.n_events, dtype=bool)
        if self.parent and gated is not None:
            inside = _parent_mask(gated, self.parent)
        channels = tuple(tube.channels[tube.find(marker)] for marker in self.markers)
        values = np.empty((len(channels), tube.n_events), dtype=np.float32)
        for row, channel in enumerate(channels):
            column = tube.compensated(channel.name)
            values[row] = column if scales is None else scales[row].transform.apply(column)
        finite = inside & np.isfinite(values).all(axis=0)
        return MarkerEvents(path.stem, values, finite, gated, channels, channel_noise(tube) if measure else ())

    def _gated(self, tube: Tube, path: Path, source: Gates) -> GatedTube:
        try:
            gated = gate_tube(tube, source.for_file(tube.file, tube.keywords), seed=self.seed)
        except ImmunolabError as error:
            raise InputError(Problem(str(path), "", error.message, error.hint)) from error
        for fault in gated.left_out:
            log.info("%s: %s is not gated: %s", path.name, fault.place, fault.message)
        return gated

    def sample(self, paths: Sequence[Path], events: int) -> tuple[Matrix, tuple[ChannelScale, ...]]:
        """Return as many events of each file, on display scale, and the scale of each marker.

        Parameters
        ----------
        paths
            FCS files.
        events
            In all; a file with fewer than its part gives all that it has.
        """
        share = max(events // len(paths), 1)
        measured = set(spread_over_batches({str(path): "" for path in paths}))
        drawn, noise = [], []
        channels: tuple[Channel, ...] = ()
        for path in progress(paths, len(paths), "reading", logs=False):
            tube = self.read(path, measure=str(path) in measured)
            rows = drawn_rows(np.flatnonzero(tube.inside), share, [self.seed, *tube.sample_id.encode()])
            drawn.append(tube.values[:, rows].T)
            noise.append(tube.noise)
            channels = channels or tube.channels
        scales = self._scales(channels, noise)
        values = np.concatenate(drawn)
        shown = [scale.transform.apply(column) for scale, column in zip(scales, values.T, strict=True)]
        return np.ascontiguousarray(np.stack(shown, axis=1), dtype=np.float32), scales

    def _scales(self, channels: Sequence[Channel], noise: Iterable[Sequence[ChannelNoise]]) -> tuple[ChannelScale, ...]:
        """Return the scale of each marker: that of the strategy, else that which the files choose together."""
        declared = self.source.declared if self.source else None
        if declared is None:
            found = {one.name: one for one in channel_scales(noise)}
            names = [(channel.marker or channel.name, channel) for channel in channels]
            return tuple(found.get(name) or ChannelScale(name, c.usual_scale, "no event") for name, c in names)
        reasons = {one.name: one.reason for one in measured_scales(declared)}
        block = declared.settings.get("transform", {})
        return tuple(
            ChannelScale(name, display_scale(block, channel), reasons.get(name, "named by the strategy"))
            for channel in channels
            for name in [channel.marker or channel.name]
        )


def markers_of(paths: Sequence[Path], wanted: Sequence[str], panel: Mapping[str, str] | None) -> tuple[str, ...]:
    """Return the markers to cluster on: those wanted, else all that every file has.

    Parameters
    ----------
    paths
        FCS files.
    wanted
        Markers or channels; empty for all but viability, dump and DNA.
    panel
        Markers by channel, as `read_fcs` takes them.

    Raises
    ------
    InputError
        Files that are not there, share a stem or are copies of each other, markers that a file lacks; all at once.
    """
    problems = [Problem(str(p), "", "there is no such file", "check the path") for p in paths if not p.is_file()]
    stems = [path.stem for path in paths]
    problems += [
        Problem(
            stem, "", "several files have this name", "give each file once; other files of one name in separate runs"
        )
        for stem in dict.fromkeys(stems)
        if stems.count(stem) > 1
    ]
    problems = problems or list(_copies(paths))
    if problems:
        raise InputError(problems)
    have = [_names(path, panel) for path in paths]
    if wanted:
        for path, names in zip(paths, have, strict=True):
            for marker in wanted:
                if marker not in names:
                    hint = f"{nearest(marker, names)} the file has: {', '.join(names)}".strip()
                    problems.append(Problem(str(path), "", f"there is no marker '{marker}'", hint))
        if problems:
            raise InputError(problems)
        return _each_once(wanted, paths, panel)
    common = [name for name, stained in have[0].items() if stained and all(other.get(name) for other in have)]
    if len(common) < 2:
        hint = "name markers in $PnS or in a table for --panel, or choose channels with --markers"
        raise InputError(Problem("", "", f"{len(common)} markers are in all files, 2 are needed", hint))
    for name, channels in _carried_twice(paths, panel).items():
        log.info("not clustered on: %s, carried by %s; name one of them in --markers", name, " and ".join(channels))
    return tuple(common)


def _copies(paths: Sequence[Path]) -> Iterator[Problem]:
    """Yield a Problem for each file with the bytes of an earlier one: its events would count twice, as two samples."""
    sizes = [path.stat().st_size for path in paths]
    first: dict[str, Path] = {}
    for path, size in zip(paths, sizes, strict=True):
        if sizes.count(size) > 1:
            earlier = first.setdefault(file_sha256(path), path)
            if earlier is not path:
                yield Problem(
                    str(path), "", f"it is a copy of {earlier}", "give one of them, or the file that was meant"
                )


def _each_once(wanted: Sequence[str], paths: Sequence[Path], panel: Mapping[str, str] | None) -> tuple[str, ...]:
    """Return the markers wanted; a channel named twice, by its marker or its own name, would count twice."""
    problems = []
    for path in paths:
        named = {c.marker: c.name for c in _channels(path, panel) if c.marker}
        own = [named.get(name, name) for name in wanted]
        again = [name for name, channel in zip(wanted, own, strict=True) if own.count(channel) > 1]
        if again:
            text = f"these are one channel: {', '.join(again)}"
            problems.append(Problem(str(path), "", text, "name it once; given twice it would count twice"))
    if problems:
        raise InputError(problems)
    return tuple(wanted)


def _carried_twice(paths: Sequence[Path], panel: Mapping[str, str] | None) -> dict[str, list[str]]:
    """Return markers that several channels of a file carry, with the channels."""
    found: dict[str, list[str]] = {}
    for path in paths:
        by_marker: dict[str, list[str]] = {}
        for channel in _channels(path, panel):
            if channel.kind in ("fluorescence", "mass") and channel.marker and channel.marker not in NOT_CLUSTERED_ON:
                by_marker.setdefault(channel.marker, []).append(channel.name)
        found = {name: channels for name, channels in by_marker.items() if len(channels) > 1} | found
    return found


def _channels(path: Path, panel: Mapping[str, str] | None) -> list[Channel]:
    try:
        header = read_header(path)
    except DataFileError as error:
        raise InputError(Problem(str(path), "", error.message, error.hint)) from error
    return list(resolve_channels([c.name for c in header.channels], [c.label for c in header.channels], panel))


def _names(path: Path, panel: Mapping[str, str] | None) -> dict[str, bool]:
    """Return markers and channels of a file, and whether each is a marker to cluster on by default."""
    channels = _channels(path, panel)
    stained = [c for c in channels if c.kind in ("fluorescence", "mass")]
    named = [c.marker for c in stained if c.marker and c.marker not in NOT_CLUSTERED_ON]
    names = {c.name: not named and c in stained for c in channels}
    return {**{marker: named.count(marker) == 1 for marker in named}, **names}


def _parent_mask(gated: GatedTube, name: str) -> Mask:
    try:
        return gated.mask(name)
    except GatingError as error:
        raise InputError(Problem("", "--parent", error.message, error.hint)) from None
