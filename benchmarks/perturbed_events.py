"""Changes of which events a labelled tube holds: cells that are gone, dead, debris or two at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from labelled_tube import Change, Labelled, groups, negatives
from numpy.typing import NDArray

_SMALL_DEBRIS = (0.1, 0.35)  # scatter of debris, share of a cell's
_DEAD = 0.2  # dead cells that are added, share of the events
_DEAD_SCATTER = (0.6, 1.4)  # forward and side scatter of a dead cell, times a living one's
_DOUBLETS = 0.1  # pairs of cells that are added, share of the events


def subsampled(share: float) -> Change:
    """Return a change that keeps a share of the events."""

    def change(one: Labelled) -> Labelled:
        n = len(one.tube)
        return one.only(np.sort(np.random.default_rng(3).choice(n, round(share * n), replace=False)))

    return change


def depleted(population: str, kept: float) -> Change:
    """Return a change that keeps a share of one population's events and all others."""

    def change(one: Labelled) -> Labelled:
        events = one.events(population)
        drawn = np.random.default_rng(4).random(len(one.tube)) < kept
        return one.only(np.flatnonzero(drawn | ~events)) if events is not None else one

    return change


def sorted_for(population: str) -> Change:
    """Return a change that keeps one population's events alone."""

    def change(one: Labelled) -> Labelled:
        events = one.events(population)
        return one.only(np.flatnonzero(events)) if events is not None else one

    return change


def shuffled() -> Change:
    """Return a change of the events' order."""
    return lambda one: one.only(np.random.default_rng(5).permutation(len(one.tube)))


def debris(markers: Sequence[str]) -> Change:
    """Return a change that adds as many fragments as there are events: small, and without the markers."""

    def change(one: Labelled) -> Labelled:
        n, rng = len(one.tube), np.random.default_rng(6)
        added = one.only(rng.integers(0, n, n // 2))
        columns = added.tube.columns.copy()
        size = rng.uniform(*_SMALL_DEBRIS, columns.shape[1])
        for i, channel in enumerate(one.tube.channels):
            if channel.kind == "scatter" and not channel.name.endswith("-W"):
                columns[i] *= size
        for marker in markers:
            columns[one.tube.find(marker)] = rng.choice(negatives(one, marker), columns.shape[1])
        return _with_added(one, columns)

    return change


def dead_cells(markers: Sequence[str], dye: str) -> Change:
    """Return a change that adds dead cells: smaller, more granular, with the dye, and sticky for every antibody."""

    def change(one: Labelled) -> Labelled:
        rng = np.random.default_rng(7)
        columns = one.only(rng.integers(0, len(one.tube), round(_DEAD * len(one.tube)))).tube.columns.copy()
        n = columns.shape[1]
        for i, channel in enumerate(one.tube.channels):
            if channel.kind == "scatter" and channel.name.endswith(("-A", "-H")):
                columns[i] *= _DEAD_SCATTER[0] if channel.name.startswith("FSC") else _DEAD_SCATTER[1]
        for marker in markers:
            shown = one.shown(marker)
            border = groups(shown)[0]
            source = one.linear(marker)[shown >= border] if marker == dye else negatives(one, marker)
            sticky = 1.0 if marker == dye else np.exp(rng.normal(0.5, 0.5, n))
            columns[one.tube.find(marker)] = rng.choice(source, n) * sticky
        return _with_added(one, columns)

    return change


def doublets() -> Change:
    """Return a change that adds pairs of cells: areas and signals of both, as wide or as high as the sum allows."""

    def change(one: Labelled) -> Labelled:
        rng = np.random.default_rng(8)
        n = round(_DOUBLETS * len(one.tube))
        first, second = (one.only(rng.integers(0, len(one.tube), n)) for _ in range(2))
        columns = first.tube.columns.copy()
        for i, channel in enumerate(one.tube.channels):
            a, b = first.tube.columns[i], second.tube.columns[i]
            if channel.kind == "time":
                continue
            if channel.kind == "scatter":
                columns[i] = np.maximum(a, b) if channel.name.endswith("-H") else a + b
            else:
                both = first.linear(channel.name) + second.linear(channel.name)
                columns[i] = first.with_linear(channel.name, both).tube.columns[i]
        return _with_added(one, columns)

    return change


def fewer_positives(marker: str, kept: float) -> Change:
    """Return a change that keeps a share of a marker's positive events, and all others."""

    def change(one: Labelled) -> Labelled:
        shown = one.shown(marker)
        drawn = np.random.default_rng(9).random(len(one.tube)) < kept
        return one.only(np.flatnonzero(drawn | (shown < groups(shown)[0])))

    return change


def _with_added(one: Labelled, columns: NDArray[np.float32]) -> Labelled:
    """Return a tube with further events, none of which is of a population."""
    none = np.zeros(columns.shape[1], bool)
    expected = tuple(
        replace(
            e,
            events=None if e.events is None else np.concatenate([e.events, none]),
            within=None if e.within is None else np.concatenate([e.within, ~none]),
        )
        for e in one.expected
    )
    joined = np.ascontiguousarray(np.concatenate([one.tube.columns, columns], axis=1))
    return replace(one, tube=replace(one.tube, columns=joined), expected=expected)
