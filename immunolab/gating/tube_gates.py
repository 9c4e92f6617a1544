"""The gates of one tube, and what is recorded of how they were placed."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import pandas as pd

from immunolab.errors import Problem
from immunolab.gating.strategy import Declared, Strategy
from immunolab.schema.gating import THRESHOLDS


@dataclass(frozen=True)
class Threshold:
    """One border on one channel: a row of `THRESHOLDS`, whose columns are documented there."""

    sample_id: str
    population: str
    marker: str | None
    channel: str
    threshold: float | None
    threshold_raw: float | None
    method: str
    control: str
    scope: str
    ci_low: float | None = None
    ci_high: float | None = None
    flag: str | None = None
    reason: str | None = None
    scale: str | None = None
    automatic: float | None = None
    automatic_raw: float | None = None


def thresholds_table(records: Iterable[Threshold]) -> pd.DataFrame:
    """Return records as a checked table `THRESHOLDS`."""
    return THRESHOLDS.frame([vars(record) for record in records])


@dataclass(frozen=True)
class GateSpread:
    """How far a percentage depends on where its gates were placed: ``gate_sd`` is on the logit scale."""

    population: str
    parent: str
    gate_sd: float


@dataclass(frozen=True)
class RuleCount:
    """Events (``n`` in a population, ``of`` in its denominator) under another rule; the marker it is about, if one."""

    rule: str
    population: str
    parent: str
    n: int
    of: int
    marker: str | None = None


@dataclass(frozen=True)
class PoolBorder:
    """A border as the events of its pool placed it, before other pools of the study are looked at.

    Attributes
    ----------
    key
        Words that name the border: place, marker, level, rule, scale.
    pool
        Samples that share it, sorted.
    batch
        Of the pool.
    value, sd, spread
        Border, its standard deviation on resampled events, that of the events behind it: display scale.
    shown
        Whether the events show a border; if not, its value says nothing.
    """

    key: tuple[str, ...]
    pool: tuple[str, ...]
    batch: str
    value: float
    sd: float
    spread: float
    shown: bool


@dataclass(frozen=True)
class OverrideUse:
    """What a run did with an override of one population: the columns of `OVERRIDES` but for the percentages."""

    sample_id: str
    population: str
    path: str | None
    id: str
    change: str
    status: str
    message: str | None
    automatic: str | None
    override: str
    parent: str | None
    reason: str
    comment: str | None
    reader: str
    at: str | None
    entry: str | None


@dataclass(frozen=True)
class TubeGates:
    """The gates of one tube.

    Attributes
    ----------
    strategy
        Geometric, or declared with gates that the tube's own events have yet to place.
    thresholds
        The borders that data placed; None for gates that were drawn.
    spreads, rule_counts
        What placing the gates of a study found out beside the borders.
    pool_borders
        Its borders as its own pool placed them, for the other pools of a study.
    unread
        Gates of an import that could not be read.
    notes
        In words, for the log.
    bridged
        The gates with borders that follow a bridging control from another batch; None where nothing follows.
    bridged_further
        The same with the borders of one marker (first) moved further by standard errors of its move.
    bridge_anchor
        Whether these borders are those that the patient's other batches have followed.
    overrides
        What became of the gates that a reader placed; those that were used are in `strategy`.
    automatic
        The strategy without them; None where none was used.
    """

    strategy: Strategy
    thresholds: tuple[Threshold, ...] | None = None
    spreads: tuple[GateSpread, ...] = ()
    rule_counts: tuple[RuleCount, ...] = ()
    pool_borders: tuple[PoolBorder, ...] = ()
    unread: tuple[Problem, ...] = ()
    notes: tuple[str, ...] = ()
    bridged: Strategy | None = None
    bridged_further: tuple[tuple[str, Strategy], ...] = ()
    bridge_anchor: bool = False
    overrides: tuple[OverrideUse, ...] = ()
    automatic: Strategy | None = None

    @property
    def needs_placing(self) -> bool:
        """Whether any gate has yet to be placed by data."""
        return any(isinstance(population.gate, Declared) for population in self.strategy.populations)


@dataclass(frozen=True)
class FailedPlacement:
    """Why no gate could be placed on a tube, and how to fix it."""

    message: str
    hint: str
