"""Changes of what a labelled tube's channels read: detectors, dyes, reagents, compensation."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from labelled_tube import Change, Labelled, groups, negatives

_NOISE = 2.0  # standard deviation of added noise, in sd of the negative events: an old detector or a high gain
_SCATTERED = 0.4  # sd of the log of a factor for each event: few photons, or cells that take up stain unevenly
SPILL = 0.15  # share of one signal that is left in another channel: a matrix of another day
# share of one signal that is taken off another channel too much: a coefficient of 0.25 that is 20 % off
TOO_MUCH = -0.05


def gain(factor: float, *markers: str) -> Change:
    """Return a change of the detectors' gain; no marker is all that are gated."""

    def change(one: Labelled) -> Labelled:
        for marker in markers:
            one = one.with_linear(marker, factor * one.linear(marker))
        return one

    return change


def noise(*markers: str) -> Change:
    """Return a change that adds electronic noise."""

    def change(one: Labelled) -> Labelled:
        rng = np.random.default_rng(1)
        for marker in markers:
            low, high = np.quantile(negatives(one, marker), [0.16, 0.84])
            added = rng.normal(0.0, _NOISE * (high - low) / 2, len(one.tube))
            one = one.with_linear(marker, one.linear(marker) + added)
        return one

    return change


def scattered(*markers: str) -> Change:
    """Return a change that multiplies each event's signal by a factor of its own."""

    def change(one: Labelled) -> Labelled:
        rng = np.random.default_rng(10)
        for marker in markers:
            one = one.with_linear(marker, one.linear(marker) * np.exp(rng.normal(0.0, _SCATTERED, len(one.tube))))
        return one

    return change


def other_scatter(forward: float, side: float) -> Change:
    """Return a change of the detectors of scatter."""

    def change(one: Labelled) -> Labelled:
        columns = one.tube.columns.copy()
        for i, channel in enumerate(one.tube.channels):
            if channel.kind == "scatter" and not channel.name.endswith("-W"):
                columns[i] *= forward if channel.name.startswith("FSC") else side
        return replace(one, tube=replace(one.tube, columns=columns))

    return change


def other_range(factor: float) -> Change:
    """Return a change to an instrument whose numbers go so many times as far, in every channel."""

    def change(one: Labelled) -> Labelled:
        columns, channels = one.tube.columns.copy(), []
        for i, channel in enumerate(one.tube.channels):
            columns[i] *= factor
            channels.append(replace(channel, top=channel.top * factor if channel.top else channel.top))
        return replace(one, tube=replace(one.tube, columns=columns, channels=tuple(channels)))

    return change


def dimmer(share: float, marker: str) -> Change:
    """Return a change that moves the positive events towards the negative ones, by a share of their distance."""

    def change(one: Labelled) -> Labelled:
        shown = one.shown(marker)
        border, low, high = groups(shown)
        return one.with_shown(marker, np.where(shown >= border, shown - share * (high - low), shown))

    return change


def missing(marker: str) -> Change:
    """Return a change that leaves an antibody out: every event reads what a negative one may."""

    def change(one: Labelled) -> Labelled:
        drawn = np.random.default_rng(2).choice(negatives(one, marker), len(one.tube))
        return one.with_linear(marker, drawn)

    return change


def swapped(first: str, second: str) -> Change:
    """Return a change that exchanges two reagents."""

    def change(one: Labelled) -> Labelled:
        a, b = one.tube[first], one.tube[second]
        return one.with_column(first, b).with_column(second, a)

    return change


def spilled(source: str, into: str, share: float = SPILL) -> Change:
    """Return a change that leaves a share of one signal in another channel; a negative one takes it off too much."""

    def change(one: Labelled) -> Labelled:
        return one.with_linear(into, one.linear(into) + share * one.linear(source))

    return change
