"""A geometric strategy as plain data (dicts, lists, numbers, text) and back, for caches and keys."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any

import numpy as np

from immunolab.events import transforms
from immunolab.events.tube import Spillover
from immunolab.gating import strategy as model
from immunolab.gating.strategy import Strategy

_TAG = "is"
_RECORDS: dict[str, type] = {
    record.__name__: record
    for module in (model, transforms)
    for record in vars(module).values()
    if isinstance(record, type) and is_dataclass(record)
} | {"Spillover": Spillover}


def strategy_to_dict(strategy: Strategy) -> dict[str, Any]:
    """Return a strategy as data that JSON holds without loss (floats keep every digit)."""
    plain: dict[str, Any] = _plain(strategy)
    return plain


def strategy_from_dict(data: Mapping[str, Any]) -> Strategy:
    """Return the strategy that `strategy_to_dict` gave."""
    strategy = _record(data)
    if not isinstance(strategy, Strategy):
        raise TypeError(f"not a strategy: {type(strategy).__name__}")
    return strategy


def _plain(value: Any) -> Any:
    if is_dataclass(value) and not isinstance(value, type):
        return {_TAG: type(value).__name__} | {f.name: _plain(getattr(value, f.name)) for f in fields(value) if f.init}
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (tuple, list)):
        return [_plain(item) for item in value]
    if isinstance(value, np.ndarray):
        return {_TAG: "array", "values": value.tolist()}
    return value.item() if isinstance(value, np.generic) else value


def _record(data: Any) -> Any:
    if isinstance(data, list):
        return tuple(_record(item) for item in data)
    if not isinstance(data, Mapping):
        return data
    values = {key: _record(item) for key, item in data.items() if key != _TAG}
    name = data.get(_TAG)
    if name is None:
        return values
    if name == "array":
        return np.asarray(data["values"], dtype=np.float64)
    return _RECORDS[name](**values)
