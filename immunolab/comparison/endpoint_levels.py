"""Values of each endpoint on the scale it is compared on, with the variances of counting and of gates."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from immunolab.comparison import scales
from immunolab.comparison.diagnostics import Finding, check_scale
from immunolab.comparison.limits import PlacedValues, beyond_limits, placed_values
from immunolab.comparison.plan import Plan, Scale
from immunolab.errors import Problem
from immunolab.intervals import NORMAL_95
from immunolab.schema.endpoints import POINTS
from immunolab.schema.flags import READERS, Code, split

Array = NDArray[np.float64]
_PERCENT = ("%", "percent")


@dataclass(frozen=True)
class EndpointLevels:
    """One endpoint's rows on its scale."""

    unit: str
    scale: Scale
    counted: bool
    ratio: bool
    absolute: bool
    corrected: bool
    place: NDArray[np.int64]
    level: Array
    gate_variance: Array
    beyond: NDArray[np.int64]
    unlimited: NDArray[np.bool_]
    findings: tuple[Finding, ...]


def endpoint_levels(
    rows: pd.DataFrame, plan: Plan, where: str
) -> tuple[dict[str, EndpointLevels], dict[str, list[Problem]]]:
    """Return the endpoints on their scales, and what is wrong with those whose values have no place on theirs.

    Parameters
    ----------
    rows
        Rows of `ENDPOINTS` that are compared.
    plan
        Of the comparison.
    where
        What the rows are of, for messages.
    """
    levels: dict[str, EndpointLevels] = {}
    faults: dict[str, list[Problem]] = {}
    for name, place in rows.groupby("endpoint", sort=False).indices.items():
        own, endpoint = rows.iloc[place], str(name)
        found = _endpoint_levels(own, np.asarray(place), endpoint, plan.scales.get(endpoint))
        off = [] if found.counted else check_scale(own["value"].to_numpy(), own.index, found.scale, endpoint, where)
        if off:
            faults[endpoint] = off
        else:
            levels[endpoint] = found
    return levels, faults


def without_faults(
    rows: pd.DataFrame, levels: Mapping[str, EndpointLevels], faults: Mapping[str, object]
) -> tuple[pd.DataFrame, dict[str, EndpointLevels]]:
    """Return rows without the faulty endpoints, and the others with their places among those rows.

    Parameters
    ----------
    rows, levels
        Rows, and their endpoints by name.
    faults
        By endpoint that is left out.
    """
    if not faults:
        return rows, dict(levels)
    kept = rows[~rows["endpoint"].isin(faults)]
    places = kept.groupby("endpoint", sort=False).indices
    return kept, {name: replace(one, place=np.asarray(places[name])) for name, one in levels.items()}


def _endpoint_levels(own: pd.DataFrame, place: NDArray[np.int64], endpoint: str, asked: Scale | None) -> EndpointLevels:
    value, events, parents = (own[name].to_numpy() for name in ("value", "n_events", "n_parent"))
    unit = str(own["unit"].iloc[0])
    variable = str(own["population"].iloc[0]) or endpoint
    declared = asked or scales.declared_scale(unit, value, variable)
    scale: Scale = declared or "identity"
    ratio, measured = unit == "ratio", np.isfinite(value)
    has_counts = np.isfinite(events) & np.isfinite(parents)
    every_row = bool(has_counts[measured].all())
    counted = bool(measured.any()) and every_row and (unit in _PERCENT or (ratio and scale == "log"))
    findings: tuple[Finding, ...] = ()
    if declared is None:
        text = f"unit '{unit}' says no scale: compared as differences (identity); give the unit, or a scale"
        findings = (Finding(Code.W_UNIT, "", endpoint, text),)
    elif asked is None and declared != scales.declared_scale(unit, (), variable):
        below = value[value < 0]
        text = (
            f"{below.size} value(s) below 0 (lowest {below.min():g} {unit}): compared as differences, as an amount "
            "below 0 has no ratio; correct them where they are errors"
        )
        findings = (Finding(Code.W_NEGATIVE, "", endpoint, text),)
    placed = PlacedValues(np.zeros(value.size), np.zeros(value.size, dtype=np.int64), np.zeros(value.size, dtype=bool))
    if counted:
        usable = np.where(has_counts & measured, 1.0, np.nan)
        placed = replace(placed, level=scales.from_counts(events, parents, scale, ratio=ratio) * usable)
    else:
        with np.errstate(invalid="ignore"):  # values off the scale are reported by check_scale
            placed = placed_values(value, scale, beyond_limits(own["flag"]), own["one_event"].to_numpy())
        if placed.unlimited.any():
            text = (
                f"{placed.unlimited.sum()} value(s) at an end of the {scale} scale, and no limit of the assay is known"
            )
            findings += (Finding(Code.W_ZERO_VALUE, "", endpoint, text),)
    gate = _gate_variance(own["gate_low"].to_numpy(), own["gate_high"].to_numpy(), scale, _by_reader(own["flag"]))
    absolute = "/ul" in unit.lower() and scale == "log" and every_row
    corrected = unit == POINTS and scale == "identity" and bool(np.isfinite(own["count_low"][measured]).all())
    return EndpointLevels(
        unit,
        scale,
        counted,
        ratio,
        absolute,
        corrected,
        place,
        placed.level,
        gate,
        placed.beyond,
        placed.unlimited,
        findings,
    )


def _by_reader(flags: pd.Series) -> Array:
    """Return which values depend on a gate that a reader placed."""
    return np.array([not READERS.isdisjoint(split(words)) for words in flags], dtype=bool)


def _gate_variance(low: Array, high: Array, scale: Scale, by_reader: Array) -> Array:
    """Return the variance that 95 % limits of the gate's uncertainty mean on a scale; 0 where there are none.

    How well a reader places a gate is not known; it is taken to be as well as data place the endpoint's other gates
    (their median), for without any error a patient's change would be called too easily.
    """
    if not np.isfinite(low).any():
        return np.zeros(low.size)
    width = (scales.from_values(high, scale) - scales.from_values(low, scale)) / (2.0 * NORMAL_95)
    known = np.isfinite(width)
    usual = float(np.median(width[known] ** 2)) if known.any() else 0.0
    return np.where(known, np.where(known, width, 0.0) ** 2, np.where(by_reader, usual, 0.0))
