"""What experts found in real tubes, as the strategy, tubes and expectations of one study.

Read from the folder of shared data (``IMMUNOLAB_TEST_DATA``, by default ``../shared/data``; sources: its README).
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from immunolab.config import parse_yaml
from immunolab.events.tube import Tube
from immunolab.gating.strategy import Strategy
from immunolab.gating.strategy_file import parse_strategy

ROOT = Path(__file__).resolve().parent.parent
Mask = NDArray[np.bool_]


def data_folder(name: str) -> Path:
    """Return a folder of the shared flow data."""
    return Path(os.environ.get("IMMUNOLAB_TEST_DATA", ROOT.parent / "shared" / "data")) / "flow" / name


@dataclass(frozen=True)
class Expected:
    """What an expert found of one population in one tube.

    Attributes
    ----------
    population
        Its name in the strategy that is tried.
    of
        The population of that strategy whose events are the denominator.
    n, n_of
        Events that the expert counted, and in the expert's denominator.
    events
        Which events they are, where that is recorded.
    within
        The events that are compared; None for all.
    """

    population: str
    of: str
    n: int
    n_of: int
    events: Mask | None = None
    within: Mask | None = None


@dataclass(frozen=True)
class RealSet:
    """Tubes of one laboratory or study.

    Attributes
    ----------
    strategy
        Tried on every tube; its borders are placed by data.
    tubes
        Named by sample_id.
    expected
        sample_id to what the expert found; an empty list where there is nothing to compare with.
    patients, batches
        By sample_id, for the run of all tubes as one study.
    shown
        Populations that are printed without an expert's figure.
    """

    strategy: Strategy
    tubes: list[Tube]
    expected: Mapping[str, list[Expected]]
    patients: Mapping[str, str] = field(default_factory=dict)
    batches: Mapping[str, str] = field(default_factory=dict)
    shown: tuple[str, ...] = ()


def yaml_strategy(text: str) -> Strategy:
    """Return a strategy of a YAML text."""
    return parse_strategy(parse_yaml(text, "benchmark.yaml"))


def masked(name: str, of: str, events: Mask, parent: Mask, within: Mask | None = None) -> Expected:
    """Return an expectation whose events are known one by one."""
    kept = events if within is None else events & within
    base = parent if within is None else parent & within
    return Expected(name, of, int(kept.sum()), int(base.sum()), events, within)
