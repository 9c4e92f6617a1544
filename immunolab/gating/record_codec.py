"""Records of gating as plain data (dicts, lists, numbers, text) and back, for the cache and for keys."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any

import numpy as np

from immunolab.errors import Problem
from immunolab.events import transforms
from immunolab.events.tube import Spillover
from immunolab.gating import strategy as model
from immunolab.gating import tube_gates

_TAG = "is"
_RECORDS: dict[str, type] = {
    record.__name__: record
    for module in (model, transforms, tube_gates)
    for record in vars(module).values()
    if isinstance(record, type) and is_dataclass(record)
} | {record.__name__: record for record in (Spillover, Problem)}


def to_plain(value: Any) -> Any:
    """Return a record (a strategy, a tube's gates, a threshold) as data that JSON holds without loss.

    Floats keep every digit, tuples come back as tuples, and a record's class is kept by its name.
    """
    if is_dataclass(value) and not isinstance(value, type):
        return {_TAG: type(value).__name__} | {
            f.name: to_plain(getattr(value, f.name)) for f in fields(value) if f.init
        }
    if isinstance(value, Mapping):
        return {str(key): to_plain(item) for key, item in value.items()}
    if isinstance(value, (tuple, list)):
        return [to_plain(item) for item in value]
    if isinstance(value, np.ndarray):
        return {_TAG: "array", "values": value.tolist()}
    return value.item() if isinstance(value, np.generic) else value


def from_plain(data: Any) -> Any:
    """Return the record that `to_plain` was given."""
    if isinstance(data, list):
        return tuple(from_plain(item) for item in data)
    if not isinstance(data, Mapping):
        return data
    values = {key: from_plain(item) for key, item in data.items() if key != _TAG}
    name = data.get(_TAG)
    if name is None:
        return values
    if name == "array":
        return np.asarray(data["values"], dtype=np.float64)
    return _RECORDS[name](**values)
