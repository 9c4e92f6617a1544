"""Where populations of a tube are on every channel: what a bridging control is compared with patients' tubes by."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from immunolab.gating.following.bridge import stain_edges
from immunolab.gating.following.template import GatedEvents
from immunolab.gating.method_results import Array
from immunolab.gating.strategy import ROOT, Dimension

LANDMARK_EVENTS = 100  # fewest events of a landmark population: its median is then known to .13 sd (judgement)
# most events within a spread of a border, share of the positives: however it cuts them, the positives' median changes
# by less than .13 of their spread (normal distribution; a lot moves a channel by about a spread)
_APART = 0.1
# most that the quantiles of .4 and .6 are apart, shares of the spread, .5 in a normal cloud: of two clouds of nearly
# one size the median jumps from one to the other when a patient's cells change by a little (judgement)
_ONE_CLOUD = 0.8

Median = tuple[float, float, int]
"""Median, robust sd and events of a population on a channel."""


def medians(
    gated: GatedEvents, names: Sequence[str], dimensions: Mapping[str, Dimension], *, steady: bool = False
) -> dict[tuple[str, str], tuple[float, float, int]]:
    """Return (landmark, marker) -> median, robust sd and events of a landmark population on a channel.

    Parameters
    ----------
    gated
        A tube with its own gates.
    names
        Names of the landmark populations; ``root`` is all events.
    dimensions
        Axis by marker.
    steady
        Only where the median is inside a cloud, and not between two.
    """
    by_name = {p.path.rsplit("/", 1)[-1]: p.path for p in gated.strategy.populations}
    found: dict[tuple[str, str], tuple[float, float, int]] = {}
    for name in names:
        mask = gated.masks.get(by_name.get(name, ""))
        if mask is None and name != ROOT:
            continue
        rows = slice(None) if mask is None else mask
        for marker, dimension in dimensions.items():
            if dimension.name in gated.tube:
                values = gated.block.axis(dimension)[rows]
                low, middle, high, n = _middle(values)
                if n and not (steady and _between_clouds(values, high - low)):
                    found[name, marker] = middle, (high - low) / 2, n
    return found


def positives(gated: GatedEvents, *, apart: bool = False) -> dict[tuple[str, str], Median]:
    """Return (landmark, marker) -> median, robust sd and events of a marker's positives, as `medians` gives them.

    A landmark is the events of a population above the border that its gates have on the marker: negatives do not show
    a stain that fades.

    Parameters
    ----------
    gated
        A tube with its own gates.
    apart
        Only where few events are near the border: else it cuts other cells once they have moved.
    """
    found: dict[tuple[str, str], Median] = {}
    for (path, marker), (dimension, place) in stain_edges(gated).items():
        parent = path.rsplit("/", 1)[0]
        key = f"{marker}+ {parent.rsplit('/', 1)[-1] or ROOT}", marker
        if key in found or not np.isfinite(place):
            continue
        values = gated.block.axis(dimension)
        values = values[gated.masks[parent]] if parent in gated.masks else values
        low, middle, high, n = _middle(values[values > place])
        spread = (high - low) / 2
        if n and (not apart or np.count_nonzero(np.abs(values - place) < spread) <= _APART * n):
            found[key] = middle, spread, n
    return found


def heights(
    gated: GatedEvents, dimensions: Mapping[str, Dimension], keys: Iterable[tuple[str, str]]
) -> dict[tuple[str, str], float]:
    """Return how far the brightest twentieth of a population is above its median, display scale.

    Parameters
    ----------
    gated
        A tube with its own gates.
    dimensions
        Axis by marker.
    keys
        Population and marker.
    """
    by_name = {path.rsplit("/", 1)[-1]: mask for path, mask in gated.masks.items()}
    found = {}
    for name, marker in keys:
        if name not in by_name or dimensions[marker].name not in gated.tube:
            continue
        values = gated.block.axis(dimensions[marker])[by_name[name]]
        values = values[np.isfinite(values)]
        if len(values) >= LANDMARK_EVENTS:
            middle, bright = np.quantile(values, [0.5, 0.95])
            found[name, marker] = float(bright - middle)
    return found


def by_others(gated: GatedEvents, dimensions: Mapping[str, Dimension]) -> dict[tuple[str, str], Median]:
    """Return (landmark, marker) -> median, robust sd and events, of populations that no gate on the marker made.

    Where positives are the tail of the negatives, a border within it cannot show that they faded: those above it are
    other cells then. Cells that other markers chose are the same ones.

    Parameters
    ----------
    gated
        A tube with its own gates.
    dimensions
        Axis by marker.
    """
    gates = [(path, marker) for path, marker in stain_edges(gated)]
    found: dict[tuple[str, str], Median] = {}
    for marker, dimension in dimensions.items():
        own = [path for path, gated_by in gates if gated_by == marker]
        for path, mask in gated.masks.items():
            if dimension.name not in gated.tube or any(f"{path}/".startswith(f"{one}/") for one in own):
                continue
            values = gated.block.axis(dimension)[mask]
            low, middle, high, n = _middle(values)
            if n and not _between_clouds(values, high - low):
                found[path.rsplit("/", 1)[-1], marker] = middle, (high - low) / 2, n
    return found


def _between_clouds(values: Array, width: float) -> bool:
    """Return whether the median is between two clouds; the width is that of the middle 68 % of the events."""
    low, high = np.quantile(values[np.isfinite(values)], [0.4, 0.6])
    return bool(high - low > _ONE_CLOUD * width / 2)


def _middle(values: Array) -> tuple[float, float, float, int]:
    values = values[np.isfinite(values)]
    if len(values) < LANDMARK_EVENTS:
        return np.nan, np.nan, np.nan, 0
    low, middle, high = np.quantile(values, [0.159, 0.5, 0.841])
    return float(low), float(middle), float(high), len(values)
