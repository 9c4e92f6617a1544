"""The transform block of a strategy file, checked, as transforms."""

from __future__ import annotations

from dataclasses import MISSING, fields
from typing import Any

from immunolab.config import Place
from immunolab.events.transforms import Asinh, Hyperlog, Identity, Linear, Log, Logicle, ScaledAsinh, Transform
from immunolab.gating.strategy_faults import Faults, is_number, one_of

_SCALES: dict[str, type] = {
    "linear": Identity, "logicle": Logicle, "asinh": Asinh, "log": Log, "hyperlog": Hyperlog,
    "linear_range": Linear, "scaled_asinh": ScaledAsinh,
}  # fmt: skip


def parse_scales(data: Any, place: Place, faults: Faults) -> dict[str, Any]:
    """Return ``{default, scatter, markers}`` with transforms as records; faults are noted."""
    if not isinstance(data, dict):
        faults.add(place, "a mapping is needed", "write transform: {default: {logicle: {}}, scatter: linear}")
        return {}
    markers = {k: v for k, v in data.items() if k not in ("default", "scatter", "markers")}
    markers |= data.get("markers") or {}
    block: dict[str, Any] = {
        key: _scale(data[key], (*place, key), faults) for key in ("default", "scatter") if key in data
    }
    block["markers"] = {name: _scale(value, (*place, name), faults) for name, value in markers.items()}
    return block


def _scale(data: Any, place: Place, faults: Faults) -> Transform | None:
    name, parameters = "", None
    if isinstance(data, str):
        name = data
    elif isinstance(data, dict) and len(data) == 1:
        name, parameters = next(iter(data.items()))
    if name not in _SCALES:
        faults.add(place, f"unknown scale '{name}'", one_of("scales", _SCALES, str(name)))
        return None
    parameters = parameters or {}
    known = {f.name: f for f in fields(_SCALES[name])}
    faults.unknown_keys(parameters, (*place, name), known)
    for key, value in parameters.items():
        if not is_number(value):
            faults.add((*place, name, key), f"a number is needed, not '{value}'")
    missing = [n for n, f in known.items() if f.default is MISSING and n not in parameters]
    for key in missing:
        faults.add((*place, name, key), "the key is missing")
    usable = {k: float(v) for k, v in parameters.items() if k in known and is_number(v)}
    return None if missing else _SCALES[name](**usable)
