"""A gated tube as numbers: which events are in which population, counts, percentages and medians."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, overload

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from immunolab.errors import GatingError, Problem, nearest
from immunolab.events.tube import EventScale, Tube
from immunolab.gating.axes import on_channels
from immunolab.gating.counts import PopulationCount, count_populations, counts_table
from immunolab.gating.evaluate import Mask
from immunolab.gating.strategy import ROOT, Ellipsoid, Memberships, Polygon, Population, Rectangle, Strategy
from immunolab.gating.tube_gates import Threshold, thresholds_table
from immunolab.schema.flags import withheld
from immunolab.schema.gating import INTENSITIES

if TYPE_CHECKING:
    from immunolab.events.transforms import Transform


@dataclass(frozen=True)
class MarkerIntensity:
    """A marker's median in one population: a row of `INTENSITIES`, in instrument units."""

    sample_id: str
    population: str
    marker: str
    median_intensity: float | None
    n_events: int


@dataclass(frozen=True, eq=False, repr=False)
class PopulatedTube:
    """The events of a tube with their populations; `GatedTube`, which describes the attributes, changes the gates."""

    tube: Tube
    memberships: Memberships
    borders: tuple[Threshold, ...]
    left_out: tuple[Problem, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def strategy(self) -> Strategy:
        """The geometric strategy that was evaluated."""
        return self.memberships.strategy

    @property
    def sample_id(self) -> str:
        """The sample of the tube."""
        return self.tube.sample_id

    def __contains__(self, name: object) -> bool:
        return name in (ROOT, "/") or any(name in (p.path, p.name) for p in self.strategy.populations)

    def __iter__(self) -> Iterator[str]:
        return iter(self.memberships.masks)

    def __len__(self) -> int:
        """Return the number of populations; ``len(gated.tube)`` is that of all events."""
        return len(self.strategy.populations)

    @overload
    def __getitem__(self, name: str) -> Tube: ...

    @overload
    def __getitem__(self, name: tuple[str, str]) -> NDArray[np.float64]: ...

    def __getitem__(self, name: str | tuple[str, str]) -> Tube | NDArray[np.float64]:
        """Return the tube of a population's events, by name or path; of ``["Treg", "CD25"]`` a marker's values.

        Raises
        ------
        GatingError
            There is no such population or marker, or several have the name.
        """
        if isinstance(name, tuple):
            population, marker = name
            return self.tube[marker][self.mask(population)]
        return self.tube.take(self.mask(name))

    def head(self, n: int = 5, *, population: str = ROOT, scale: EventScale = "compensated") -> pd.DataFrame:
        """Return the first events of a population as a table.

        Parameters
        ----------
        n
            How many.
        population, scale
            As in `to_frame`.

        Returns
        -------
        DataFrame
            One row an event, one column a channel.

        Raises
        ------
        GatingError
            There is no such population, or several have the name.
        """
        rows = np.flatnonzero(self.mask(population))[:n]
        return self.tube.take(rows).to_frame(scale)

    def to_frame(self, *, population: str = ROOT, scale: EventScale = "compensated") -> pd.DataFrame:
        """Return the events of a population as a table; `memberships_frame` says which events are in which.

        Parameters
        ----------
        population
            Name or path; all events by default.
        scale
            As in `Tube.to_frame`.

        Returns
        -------
        DataFrame
            One row an event, one column a channel; units in ``attrs["units"]``.

        Raises
        ------
        GatingError
            There is no such population, or several have the name.
        """
        return self.tube.take(self.mask(population)).to_frame(scale)

    def mask(self, name: str) -> Mask:
        """Return which events are in a population, given by name or path; ``root`` is all events.

        Raises
        ------
        GatingError
            There is no such population, or several have the name.
        """
        if name in (ROOT, "/"):
            return np.ones(len(self.tube), dtype=np.bool_)
        return self.memberships.masks[self._population(name).path]

    def _population(self, name: str) -> Population:
        found = [p for p in self.strategy.populations if p.path == name]
        found = found or [p for p in self.strategy.populations if p.name == name]
        if len(found) == 1:
            return found[0]
        if found:
            paths = ", ".join(p.path for p in found)
            raise GatingError(f"{len(found)} populations are called '{name}'", self.sample_id, f"give a path: {paths}")
        names = [p.name for p in self.strategy.populations]
        hint = f"{nearest(name, names)} populations: {', '.join(names)}".strip()
        if name in self.tube:
            hint = f"it is a channel: tube['{name}'], or gated['{names[-1]}', '{name}'] in a population; {hint}"
        raise GatingError(f"there is no population '{name}'", self.sample_id, hint)

    def percent(self, name: str, *, of: str = "") -> float:
        """Return a population's events as percent of its parent, or of any other population.

        Parameters
        ----------
        name
            Name or path of the population.
        of
            Name or path of the denominator; only events in both are counted.

        Returns
        -------
        float
            0..100; NaN where the denominator holds no event, or where either population is withheld (`is_withheld`).

        Raises
        ------
        GatingError
            There is no such population, or several have the name.
        """
        of = of or (self._population(name).parent_path if name not in (ROOT, "/") else ROOT) or ROOT
        inside, base = self.mask(name), self.mask(of)
        n = int(np.count_nonzero(base))
        known = n and not any(self.is_withheld(one) for one in (name, of))
        return 100.0 * int(np.count_nonzero(inside & base)) / n if known else float("nan")

    def is_withheld(self, name: str) -> bool:
        """Return whether a population, or one that it depends on, has no border or an impossible share.

        Its mask then holds no event, or too many; its count has no percentage, and `counts` gives the reason.

        Parameters
        ----------
        name
            Name or path; ``root`` never is.

        Raises
        ------
        GatingError
            There is no such population, or several have the name.
        """
        return name not in (ROOT, "/") and withheld(self._population(name).flag)

    @cached_property
    def population_counts(self) -> tuple[PopulationCount, ...]:
        """The rows of `counts`: root first, then every population in the strategy's order."""
        return tuple(count_populations(self.memberships, self.sample_id, len(self.tube)))

    @property
    def counts(self) -> pd.DataFrame:
        """Events in every population, as `counts_table` gives them."""
        return counts_table(self.memberships, self.sample_id, len(self.tube))

    @property
    def thresholds(self) -> pd.DataFrame:
        """Every border on one channel, as the table `THRESHOLDS`."""
        return thresholds_table(self.borders)

    @property
    def named_masks(self) -> dict[str, Mask]:
        """Events by population name, for the populations whose name is unique."""
        names = [population.name for population in self.strategy.populations]
        return {p.name: self.memberships.masks[p.path] for p in self.strategy.populations if names.count(p.name) == 1}

    def median_intensities(self) -> tuple[MarkerIntensity, ...]:
        """Return the median compensated signal of every marker in every population whose name is unique.

        A population without events, or one that is withheld (`is_withheld`), has no median.
        """
        members = {name: np.flatnonzero(mask) for name, mask in self.named_masks.items()}
        known = {name for name, rows in members.items() if rows.size and not self.is_withheld(name)}
        found = []
        for channel in self.tube.channels:
            if not channel.marker or channel.kind not in ("fluorescence", "mass"):
                continue
            column = self.tube[channel.name].astype(np.float32)
            for name, rows in members.items():
                median = float(np.median(column[rows])) if name in known else None
                found.append(MarkerIntensity(self.sample_id, name, channel.marker, median, rows.size))
        return tuple(found)

    @property
    def intensities(self) -> pd.DataFrame:
        """Median signal of every marker in every population, as the table `INTENSITIES`."""
        return INTENSITIES.frame([vars(intensity) for intensity in self.median_intensities()])

    def joint_counts(self, pairs: Iterable[tuple[str, str]]) -> dict[tuple[str, str], int]:
        """Return the events shared by each (population, denominator) whose names are both unique, sorted."""
        masks = self.named_masks
        wanted = sorted({pair for pair in pairs if pair[0] in masks and pair[1] in masks})
        return {(a, b): int(np.count_nonzero(masks[a] & masks[b])) for a, b in wanted}

    def memberships_frame(self) -> pd.DataFrame:
        """Return one bool column a population, one row an event in file order.

        A column is the population's name, or its path with ``|`` between names where the name is not unique.
        """
        named = self.named_masks
        columns = {
            p.name if p.name in named else p.path[1:].replace("/", "|"): self.memberships.masks[p.path]
            for p in self.strategy.populations
        }
        return pd.DataFrame(columns, copy=False)

    def on_channels(self) -> Strategy:
        """Return the strategy with every dimension naming the tube's channel instead of its marker, for export."""
        return on_channels(self.strategy, self.tube)

    def scales(self) -> dict[str, Transform]:
        """Return the display scale of each channel: that of the first gate on it, else the usual one of its kind."""
        return {channel.name: channel.usual_scale for channel in self.tube.channels} | self.drawn_scales()

    def drawn_scales(self) -> dict[str, Transform]:
        """Return the display scale of each channel that has a gate: that of the first one."""
        found: dict[str, Transform] = {}
        gates = [p.gate for p in self.strategy.populations if isinstance(p.gate, Rectangle | Polygon | Ellipsoid)]
        for dimension in reversed([d for gate in gates for d in gate.dimensions if d.ratio is None]):
            found[self.tube.channel(dimension.name).name] = dimension.transform
        return found
