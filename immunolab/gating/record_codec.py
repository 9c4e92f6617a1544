"""Records of gating as plain data (dicts, lists, numbers, text) and back, for the cache and for keys."""

from __future__ import annotations

from typing import Any

from immunolab.errors import Problem
from immunolab.events import scales, transforms
from immunolab.events.tube import Spillover
from immunolab.gating import strategy, tube_gates
from immunolab.schema import records

_TYPES = records.record_types(strategy, transforms, scales, tube_gates) | {
    one.__name__: one for one in (Spillover, Problem)
}


def to_plain(value: Any) -> Any:
    """Return a record (a strategy, a tube's gates, a threshold) as data that JSON holds without loss."""
    return records.to_plain(value)


def from_plain(data: Any) -> Any:
    """Return the record that `to_plain` was given; sequences are tuples."""
    return records.from_plain(data, _TYPES)
