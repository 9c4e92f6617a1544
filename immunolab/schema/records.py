"""Frozen dataclasses as plain data (dicts, lists, numbers, text) that JSON holds without loss, and back."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

_TAG = "is"  # key that names the type of a value that JSON has no word for


def record_types(*modules: ModuleType) -> dict[str, type]:
    """Return the dataclasses that modules hold, by name.

    Parameters
    ----------
    modules
        Where to look; classes that a module imports count too.
    """
    held = (value for module in modules for value in vars(module).values())
    return {value.__name__: value for value in held if isinstance(value, type) and is_dataclass(value)}


def to_plain(value: Any, *, folder: Path | None = None) -> Any:
    """Return a value as data for JSON: floats keep every digit, lists and tuples are alike.

    Parameters
    ----------
    value
        Dataclasses, mappings with text keys, sequences, arrays, numbers, text; with ``folder`` paths too.
    folder
        Paths are stored relative to it.

    Raises
    ------
    TypeError
        The value holds something else.
    """
    if is_dataclass(value) and not isinstance(value, type):
        own = {f.name: to_plain(getattr(value, f.name), folder=folder) for f in fields(value) if f.init}
        return {_TAG: type(value).__name__} | own
    if isinstance(value, Mapping):
        return {str(key): to_plain(item, folder=folder) for key, item in value.items()}
    if isinstance(value, (tuple, list)):
        return [to_plain(item, folder=folder) for item in value]
    if isinstance(value, np.ndarray):
        return {_TAG: "array", "values": value.tolist()}
    if isinstance(value, Path) and folder is not None:
        return {_TAG: "path", "path": Path(os.path.relpath(value, folder)).as_posix()}
    if isinstance(value, np.generic):
        return value.item()
    if value is None or isinstance(value, (str, bool, int, float)):
        return value
    raise TypeError(f"no plain form of {type(value).__name__}")


def from_plain(data: Any, types: Mapping[str, type], *, folder: Path | None = None) -> Any:
    """Return the value that `to_plain` gave; sequences are tuples, paths absolute.

    Parameters
    ----------
    data
        As `to_plain` returned it, also after JSON.
    types
        The dataclasses that may occur, by name.
    folder
        The folder that stored paths are relative to.

    Raises
    ------
    KeyError
        A record is of an unknown type.
    """
    if isinstance(data, list):
        return tuple(from_plain(item, types, folder=folder) for item in data)
    if not isinstance(data, Mapping):
        return data
    kind = data.get(_TAG)
    if kind == "array":
        return np.asarray(data["values"], dtype=np.float64)
    if kind == "path":
        return Path(os.path.abspath((folder or Path()) / data["path"]))
    values = {key: from_plain(item, types, folder=folder) for key, item in data.items() if key != _TAG}
    return values if kind is None else types[kind](**values)
