"""Changes of labelled tubes that a laboratory would meet and whose truth stays known: what nobody has tuned gates on.

A change takes a tube whose values are compensated and linear, and which events are in which population. It returns
the tube as another staining, instrument or donor would have given it, and what is then true.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from real_sets import Expected

from immunolab.events.transforms import Logicle
from immunolab.events.tube import Tube

Values = NDArray[np.float32]
Mask = NDArray[np.bool_]
Change = Callable[["Labelled"], "Labelled"]
# the scale on which FlowJo's channel numbers 0..4096 are taken back to instrument units: its usual one for 18 bits
_CHANNELS, _CHANNEL_SCALE = 4096.0, Logicle(262_144.0, 0.5, 4.5, 0.0)
_NOISE = 2.0  # standard deviation of added noise, in sd of the negative events: an old detector or a high gain
_SPILL = 0.15  # share of one signal that is left in another channel: a matrix of another day
_SMALL_DEBRIS = (0.1, 0.35)  # scatter of debris, share of a cell's


@dataclass(frozen=True)
class Labelled:
    """A tube and what is true of its events.

    Attributes
    ----------
    tube
        Compensated.
    expected
        What an expert found.
    displayed
        Whether its values are channel numbers 0..4096 of a display scale.
    """

    tube: Tube
    expected: tuple[Expected, ...]
    displayed: bool = False

    def linear(self, marker: str) -> NDArray[np.float64]:
        """Return a channel in instrument units."""
        values = self.tube[marker]
        return _CHANNEL_SCALE.inverse(values / _CHANNELS) if self.displayed else values

    def shown(self, marker: str) -> NDArray[np.float64]:
        """Return a channel on a display scale."""
        return self.tube[marker] if self.displayed else np.arcsinh(self.tube[marker] / self._unit)

    @property
    def _unit(self) -> float:
        return 5.0 if any(channel.kind == "mass" for channel in self.tube.channels) else 150.0

    def with_linear(self, marker: str, values: NDArray[np.float64]) -> Labelled:
        """Return it with a channel of other instrument units, which end where the instrument does."""
        top = self.tube.channel(marker).top or (262_144.0 if self.displayed else np.inf)
        values = np.minimum(values, top)
        return self.with_column(marker, _CHANNEL_SCALE.apply(values) * _CHANNELS if self.displayed else values)

    def with_shown(self, marker: str, values: NDArray[np.float64]) -> Labelled:
        """Return it with a channel of other display values."""
        return self.with_column(marker, values if self.displayed else np.sinh(values) * self._unit)

    def with_column(self, marker: str, values: NDArray[np.float64]) -> Labelled:
        """Return it with a channel of other values of the tube's own kind."""
        columns = self.tube.columns.copy()
        columns[self.tube.find(marker)] = values
        return replace(self, tube=replace(self.tube, columns=columns))

    def only(self, events: NDArray[np.intp]) -> Labelled:
        """Return it with some of its events, by their numbers."""
        columns = np.ascontiguousarray(self.tube.columns[:, events])
        return replace(
            self,
            tube=replace(self.tube, columns=columns),
            expected=tuple(_of_events(one, events) for one in self.expected),
        )

    def events(self, population: str) -> Mask | None:
        """Return the events of a population by the expert; None where it is not there."""
        return next((one.events for one in self.expected if one.population == population), None)


def compensated(tube: Tube) -> Tube:
    """Return the tube with compensated values and no matrix."""
    if tube.spillover is None:
        return tube
    names = [channel.name for channel in tube.channels]
    columns = np.array([tube.compensated(name) for name in names], dtype=np.float32)
    return replace(tube, columns=columns, spillover=None, _inverse={})


def _of_events(one: Expected, events: NDArray[np.intp]) -> Expected:
    kept = None if one.events is None else one.events[events]
    within = None if one.within is None else one.within[events]
    n = one.n if kept is None else int((kept if within is None else kept & within).sum())
    return replace(
        one, n=n, n_of=max(round(one.n_of * n / one.n), n) if one.n else one.n_of, events=kept, within=within
    )


def gain(factor: float, *markers: str) -> Change:
    """Return a change of the detectors' gain; no marker is all that are gated."""

    def change(one: Labelled) -> Labelled:
        for marker in markers:
            one = one.with_linear(marker, factor * one.linear(marker))
        return one

    return change


def groups(values: NDArray[np.float64]) -> tuple[float, float, float]:
    """Return the border with least variance on its two sides (Otsu 1979), and the means of both sides."""
    counts, edges = np.histogram(values, 256, np.quantile(values, [0.001, 0.999]))
    centres = (edges[1:] + edges[:-1]) / 2
    below, total = np.cumsum(counts)[:-1], np.cumsum(counts * centres)[:-1]
    above, all_of_it = counts.sum() - below, (counts * centres).sum()
    with np.errstate(divide="ignore", invalid="ignore"):
        between = np.nan_to_num(below * above * (total / below - (all_of_it - total) / above) ** 2)
    border = float(edges[1 + int(np.argmax(between))])
    return border, float(values[values < border].mean()), float(values[values >= border].mean())


def negatives(one: Labelled, marker: str) -> NDArray[np.float64]:
    """Return the events of a channel's lower group, instrument units."""
    shown = one.shown(marker)
    return one.linear(marker)[shown < groups(shown)[0]]


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


def spilled(source: str, into: str) -> Change:
    """Return a change that leaves a share of one signal in another channel."""

    def change(one: Labelled) -> Labelled:
        return one.with_linear(into, one.linear(into) + _SPILL * one.linear(source))

    return change


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
        joined = np.ascontiguousarray(np.concatenate([one.tube.columns, columns], axis=1))
        none = np.zeros(columns.shape[1], bool)
        expected = tuple(
            replace(
                e,
                events=None if e.events is None else np.concatenate([e.events, none]),
                within=None if e.within is None else np.concatenate([e.within, ~none]),
            )
            for e in one.expected
        )
        return replace(one, tube=replace(one.tube, columns=joined), expected=expected)

    return change


def changes(markers: Sequence[str], populations: Sequence[str], scatter: bool) -> Iterator[tuple[str, str, Change]]:
    """Yield kind, name and change: of all gated markers, of each, of neighbours, of populations, of events.

    Parameters
    ----------
    markers
        Those that the strategy gates.
    populations
        Large ones, of which some are removed.
    scatter
        Whether the tube has scatter.
    """
    yield "none", "none", lambda one: one
    for factor in (0.5, 2.0):
        yield f"gain x{factor:g}, all", "all", gain(factor, *markers)
        for marker in markers:
            yield f"gain x{factor:g}", marker, gain(factor, marker)
    yield "noise, all", "all", noise(*markers)
    for marker in markers:
        yield "noise", marker, noise(marker)
        yield "dimmer by 30 %", marker, dimmer(0.3, marker)
        yield "dimmer by 60 %", marker, dimmer(0.6, marker)
        yield "antibody missing", marker, missing(marker)
    for first, second in zip(markers, (*markers[1:], markers[0]), strict=True):
        yield "reagents swapped", f"{first} {second}", swapped(first, second)
        yield "spillover 15 %", f"{first} into {second}", spilled(first, second)
    for share in (0.3, 0.05):
        yield f"{share:.0%} of events", "", subsampled(share)
    for population in populations:
        yield "depleted to 10 %", population, depleted(population, 0.1)
        yield "removed", population, depleted(population, 0.0)
        yield "sorted for", population, sorted_for(population)
    yield "events in another order", "", shuffled()
    if scatter:
        yield "half as much debris more", "", debris(markers)
