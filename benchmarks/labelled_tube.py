"""A tube whose events experts have labelled, as what a change of benchmarks/perturbations.py takes and returns."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from real_set import Expected

from immunolab.events.transforms import Logicle
from immunolab.events.tube import Tube

Values = NDArray[np.float32]
Mask = NDArray[np.bool_]
Change = Callable[["Labelled"], "Labelled"]
# the scale on which FlowJo's channel numbers 0..4096 are taken back to instrument units: its usual one for 18 bits
_CHANNELS, _CHANNEL_SCALE = 4096.0, Logicle(262_144.0, 0.5, 4.5, 0.0)


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
