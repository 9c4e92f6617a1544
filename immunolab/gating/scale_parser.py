"""The transform block of a strategy file, checked, as transforms."""

from __future__ import annotations

from dataclasses import MISSING, fields
from typing import Any

from immunolab.config import Place
from immunolab.events.transforms import Asinh, Hyperlog, Identity, Linear, Log, Logicle, ScaledAsinh, Transform
from immunolab.gating.strategy_faults import StrategyFault, is_number, one_of, unknown_keys

_SCALES: dict[str, type] = {
    "linear": Identity, "logicle": Logicle, "asinh": Asinh, "log": Log, "hyperlog": Hyperlog,
    "linear_range": Linear, "scaled_asinh": ScaledAsinh,
}  # fmt: skip


def parse_scales(data: Any, place: Place) -> tuple[dict[str, Any], list[StrategyFault]]:
    """Return ``{default, scatter, markers}`` with transforms as records, and what is wrong.

    Parameters
    ----------
    data
        The block ``transform`` as YAML gives it.
    place
        Keys that lead to the block.
    """
    if not isinstance(data, dict):
        hint = "write transform: {default: {logicle: {}}, scatter: linear}"
        return {}, [StrategyFault(place, "a mapping is needed", hint)]
    common = {key: data[key] for key in ("default", "scatter") if key in data}
    markers = {key: value for key, value in data.items() if key not in ("default", "scatter", "markers")}
    markers |= data.get("markers") or {}
    read = {name: _scale(value, (*place, name)) for name, value in (common | markers).items()}
    block: dict[str, Any] = {key: read[key][0] for key in common}
    block["markers"] = {name: read[name][0] for name in markers}
    return block, [fault for _, faults in read.values() for fault in faults]


def _scale(data: Any, place: Place) -> tuple[Transform | None, list[StrategyFault]]:
    name, parameters = "", None
    if isinstance(data, str):
        name = data
    elif isinstance(data, dict) and len(data) == 1:
        name, parameters = next(iter(data.items()))
    if name not in _SCALES:
        return None, [StrategyFault(place, f"unknown scale '{name}'", one_of("scales", _SCALES, str(name)))]
    parameters = parameters or {}
    known = {f.name: f for f in fields(_SCALES[name])}
    missing = [n for n, f in known.items() if f.default is MISSING and n not in parameters]
    faults = [
        *unknown_keys(parameters, (*place, name), known),
        *(
            StrategyFault((*place, name, key), f"a number is needed, not '{value}'")
            for key, value in parameters.items()
            if not is_number(value)
        ),
        *(StrategyFault((*place, name, key), "the key is missing") for key in missing),
    ]
    usable = {k: float(v) for k, v in parameters.items() if k in known and is_number(v)}
    return None if missing else _SCALES[name](**usable), faults
