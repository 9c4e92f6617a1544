"""Some events of a tube, drawn with a seed of its own, and what is known of the whole tube."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import PurePath

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from immunolab.events.scales import channel_noise, channel_scales
from immunolab.events.subsample import drawn_rows
from immunolab.events.transforms import Identity, Transform
from immunolab.events.tube import Tube
from immunolab.gating.tubes import GatedTube
from immunolab.schema.flags import withheld


@dataclass(frozen=True, eq=False)
class DrawnEvents:
    """Some events of a tube; the tube itself is not kept.

    Attributes
    ----------
    tube
        The events drawn.
    rows
        Their rows in the file, from 0.
    n_events
        Events of the whole tube.
    scales
        Display scale by name of a marker, or of a channel without one.
    populations
        bool, events drawn x populations; None for a tube that was not gated.
    tree
        Name, path and parent of each column of `populations`, and whether its share is withheld.
    counts
        Rows of COUNTS of the whole tube.
    strategy
        Name of the strategy.
    """

    tube: Tube
    rows: NDArray[np.intp]
    n_events: int
    scales: Mapping[str, Transform]
    populations: pd.DataFrame | None = None
    tree: pd.DataFrame | None = None
    counts: pd.DataFrame | None = None
    strategy: str = ""

    @property
    def name(self) -> str:
        """The sample."""
        return self.tube.sample_id

    def depth(self, population: str) -> int:
        """Return how many gates lead to a population; 0 in a tube that was not gated.

        Parameters
        ----------
        population
            A column of `populations`.
        """
        return 0 if self.tree is None else str(self.tree.loc[population, "path"]).count("/")

    def first_of(self, order: Sequence[str], outside: str) -> NDArray[np.object_]:
        """Return the first population of an order that each event is in, past those that are withheld.

        Parameters
        ----------
        order
            Populations.
        outside
            What an event is called that is in none.
        """
        found = np.full(len(self.rows), outside, dtype=object)
        if self.populations is not None and self.tree is not None:
            for name in reversed([name for name in order if not self.tree.loc[name, "withheld"]]):
                found[self.populations[name].to_numpy()] = name
        return found


def draw_events(subject: Tube | GatedTube, events: int | None, seed: int) -> DrawnEvents:
    """Draw events of a tube without replacement.

    Parameters
    ----------
    subject
        The tube, gated or not.
    events
        How many at most; None takes all.
    seed
        Of the draw, with the sample_id: another tube beside it changes nothing.
    """
    tube = subject.tube if isinstance(subject, GatedTube) else subject
    name = tube.sample_id or PurePath(tube.file).stem or "tube"
    own = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big")
    rows = drawn_rows(tube.n_events, tube.n_events if events is None else events, (seed, own))
    part = replace(tube if len(rows) == tube.n_events else tube.take(rows), sample_id=name)
    if isinstance(subject, Tube):
        found = channel_scales([channel_noise(tube)])
        shown_already = {one.name for one in found if one.transform == Identity()}
        scales = {
            name: Identity() if (channel.marker or channel.name) in shown_already else channel.usual_scale
            for name, channel in zip(tube.names, tube.channels, strict=True)
        }
        return DrawnEvents(part, rows, tube.n_events, scales)
    by_channel = subject.scales()
    scales = {shown: by_channel[channel.name] for shown, channel in zip(tube.names, tube.channels, strict=True)}
    populations = subject.memberships_frame()
    return DrawnEvents(
        part,
        rows,
        tube.n_events,
        scales,
        populations.iloc[rows],
        _tree(subject, populations),
        subject.counts,
        subject.strategy.name,
    )


def _tree(gated: GatedTube, populations: pd.DataFrame) -> pd.DataFrame:
    rows = [
        {
            "name": p.name,
            "path": p.path,
            "parent": p.parent,
            "gate": type(p.gate).__name__.lower() if p.gate else "",
            "withheld": withheld(p.flag),
        }
        for p in gated.strategy.populations
    ]
    return pd.DataFrame(rows, index=populations.columns)
