"""Shares of a tube's events that are no single living cell: debris, doublets, dead cells."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d

from immunolab.events.tube import Channel, Tube
from immunolab.quality.rows import Row, row
from immunolab.schema.flags import Check

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]

_MOST_DOUBLETS = 15.0  # percent: twice what a well diluted tube has at usual rates (judgement)
_MOST_DEAD = 20.0  # percent of cells: thawed PBMC less than 80 % alive are commonly left out (judgement)
_MOST_DEBRIS = 50.0  # percent of events: lysed blood that was not washed has a third (judgement)
_FEWEST = 2_000  # events: a share of 5 % is then known within a tenth of itself
_LOOKED_AT = 50_000  # events, evenly over the file: a share of 5 % is known within a fiftieth of itself
_BINS = 256
_SMOOTH = 4.0  # bins: a thirtieth of the range, half the SD of a population that takes an eighth of it
_DIP = 0.7  # height of a valley against the lower of its hills: shallower ones are noise of the counts (judgement)
_SMALLEST_HILL = 0.02  # of the highest hill
_COFACTOR = 0.0006  # of the asinh, share of the detector's end: 150 of 262,144, the usual one
_FAR = 6.0  # SD of the ridge of single cells, or of living cells, beyond which an event is no part of it
_BRIGHTER = (
    2.0  # asinh units of dead cells above living ones: 7 times, where amine dyes stain the dead 20 times or more
)
_LEAST_APART = (
    0.08  # of log area against height: two cells in a row are a fifth apart at the least overlap that is seen
)


@dataclass(frozen=True)
class Kinds:
    """What some of a tube's events are, evenly over the file.

    Attributes
    ----------
    rows
        Which events of the tube were looked at; those with a value in every channel that has any.
    debris, doublets, dead
        One value an event looked at; None where the tube has no channel that shows it.
    """

    rows: NDArray[np.intp]
    debris: Mask | None
    doublets: Mask | None
    dead: Mask | None

    @property
    def cells(self) -> Mask:
        """Which are no debris."""
        return np.ones(len(self.rows), dtype=bool) if self.debris is None else ~self.debris

    @property
    def single(self) -> Mask:
        """Which are single cells."""
        return self.cells if self.doublets is None else self.cells & ~self.doublets

    @property
    def single_living(self) -> Mask:
        """Which are single living cells, as far as the tube's channels show it."""
        return self.single if self.dead is None else self.single & ~self.dead


def cell_kinds(tube: Tube) -> Kinds:
    """Return what a tube's events are.

    Parameters
    ----------
    tube
        Linear scale.
    """
    rows = np.arange(0, tube.n_events, max(1, -(-tube.n_events // _LOOKED_AT)))
    measured = [i for i, channel in enumerate(tube.channels) if channel.kind not in ("time", "other")]
    known = np.isfinite(tube.columns[:, rows][measured])
    # one event without a value is in every compensated channel, whose quantiles would have none either; a channel that
    # has none at all leaves scatter as it is
    rows = rows[known[known.any(axis=1)].all(axis=0)]
    if len(rows) < _FEWEST:
        return Kinds(rows, None, None, None)
    forward = scatter_channel(tube, "FSC", "A")
    debris = None if forward is None else _debris(tube.columns[forward, rows].astype(np.float64))
    found = Kinds(rows, debris, None, None)
    found = replace(found, doublets=_doublets(tube, rows, found.cells))
    return replace(found, dead=_dead(tube, rows, found.single))


def share_rows(tube: Tube, found: Kinds) -> Iterator[Row]:
    """Yield the rows of what is no single living cell: debris of all events, doublets of cells, dead of single cells.

    Parameters
    ----------
    tube, found
        The tube and its kinds.
    """
    every = np.ones(len(found.rows), dtype=bool)
    for check, kind, of, limit, words in (
        (Check.DEBRIS, found.debris, every, _MOST_DEBRIS, "of the events are below the cells in forward scatter"),
        (Check.DOUBLETS, found.doublets, found.cells, _MOST_DOUBLETS, "of the cells are two, by area against height"),
        (Check.DEAD, found.dead, found.single, _MOST_DEAD, "of the single cells take up the viability dye"),
    ):
        if kind is not None and of.any():
            value = 100.0 * float(kind[of].mean())
            yield row(tube, check, value, limit, "warn" if value > limit else "ok", f"{value:.2g} % {words}")


def scatter_channel(tube: Tube, axis: str, kind: str) -> int | None:
    """Return which channel is a scatter's area, height or width; None where the tube has none.

    Parameters
    ----------
    tube
        Any.
    axis, kind
        ``FSC`` or ``SSC``; ``A``, ``H`` or ``W``.
    """
    for i, channel in enumerate(tube.channels):
        name = channel.name.upper().replace(" ", "").replace("_", "-")
        if channel.kind == "scatter" and name in (f"{axis}-{kind}", f"{axis}{kind}"):
            return i
    return None


def pulse_channels(tube: Tube) -> tuple[int, int] | None:
    """Return the channels, area and height of one scatter, that doublets are seen by; None without both.

    Parameters
    ----------
    tube
        Any.
    """
    for axis in ("FSC", "SSC"):
        area, height = scatter_channel(tube, axis, "A"), scatter_channel(tube, axis, "H")
        if area is None or height is None:
            continue
        measured = (tube.columns[area] > 0) & (tube.columns[height] > 0)
        if np.any(measured & (tube.columns[area] != tube.columns[height])):
            return area, height
    return None


def dye_cofactor(channel: Channel) -> float:
    """Return the cofactor of the asinh on which a channel is looked at.

    Parameters
    ----------
    channel
        Of light or mass.
    """
    return 5.0 if channel.kind == "mass" else max(150.0, _COFACTOR * channel.top)


def _debris(forward: Floats) -> Mask:
    """Return which events are below the valley under the cells; none where there is no such valley."""
    shown = _within(forward)
    low, high = np.quantile(shown, (0.001, 0.995))
    border = _valley_below(shown, low, high)
    return forward <= border if border is not None else np.zeros(len(forward), dtype=bool)


def _within(values: Floats) -> Floats:
    """Return values without those that share the lowest or the highest one; all where few are left.

    A detector that is full, and values that were set to zero, pile events up at an end: a hill there is no population.
    """
    ends = [end for end in (values.min(), values.max()) if np.count_nonzero(values == end) > 1]
    inside = values[~np.isin(values, ends)]
    return inside if len(inside) >= _FEWEST else values


def _density(values: Floats, low: float, high: float) -> tuple[Floats, Floats]:
    counts, edges = np.histogram(values, _BINS, (low, high))
    return gaussian_filter1d(counts.astype(np.float64), _SMOOTH), (edges[1:] + edges[:-1]) / 2


def _hills(density: Floats) -> NDArray[np.intp]:
    inner = (density[1:-1] >= density[:-2]) & (density[1:-1] > density[2:])
    padded = np.concatenate([[density[0] > density[1]], inner, [density[-1] > density[-2]]])
    return np.flatnonzero(padded & (density > _SMALLEST_HILL * density.max()))


def _valley_below(values: Floats, low: float, high: float) -> float | None:
    """Return the deepest valley between the lowest hill and the highest hill that is above it."""
    if not high > low:
        return None
    density, at = _density(values, low, high)
    hills = _hills(density)
    upper = [h for h in hills if at[h] > low + 0.15 * (high - low)]
    if not upper:
        return None
    top = max(upper, key=lambda h: density[h])
    below = [h for h in hills if h < top]
    if not below:
        return None
    valley = below[0] + int(density[below[0] : top + 1].argmin())
    shallow = density[valley] > _DIP * min(density[below[0]], density[top])
    return None if shallow else float(at[valley])


def _doublets(tube: Tube, rows: NDArray[np.intp], cells: Mask) -> Mask | None:
    """Return the events whose area is more than their height can explain; None without both."""
    found = pulse_channels(tube)
    if found is None:
        return None
    area, height = (tube.columns[i, rows].astype(np.float64) for i in found)
    sound = cells & (area > 0) & (height > 0)
    if not sound.any():
        return None
    ratio = np.full(len(area), -np.inf)
    ratio[sound] = np.log(area[sound] / height[sound])
    middle = np.median(ratio[sound])
    below = middle - ratio[sound & (ratio <= middle)]
    spread = 1.4826 * np.median(below)  # of the side without doublets
    return np.asarray(ratio > middle + max(_FAR * spread, _LEAST_APART))


def _dead(tube: Tube, rows: NDArray[np.intp], single: Mask) -> Mask | None:
    """Return the events beyond the valley above the living, in the viability channel; None without one, or values."""
    found = tube.rows_of("Viability")
    if len(found) != 1 or single.sum() < _FEWEST:
        return None
    channel = tube.channels[found[0]]
    values = tube.take(rows).compensated(channel.name)
    stained = np.arcsinh(values / dye_cofactor(channel))
    if not np.isfinite(stained).all():  # a channel has no value at all, and so no compensated one has
        return None
    shown = _within(stained[single])
    low, high = np.quantile(shown, (0.001, 0.999))
    if not high > low:
        return np.zeros(len(rows), dtype=bool)
    density, at = _density(shown, low, high)
    hills = _hills(density)
    living = int(hills[0]) if len(hills) else int(density.argmax())
    border = _valley_above(density, hills[at[hills] >= at[living] + _BRIGHTER], living)
    if border is not None:
        return np.asarray(stained > at[border])
    below = shown[shown <= at[living]]
    spread = 1.4826 * float(np.median(at[living] - below)) if len(below) else 0.0
    return np.asarray(stained > at[living] + max(_FAR * spread, _BRIGHTER))


def _valley_above(density: Floats, hills: NDArray[np.intp], living: int) -> int | None:
    """Return the deepest valley between the living and a hill above them."""
    best: tuple[float, int] | None = None
    for hill in hills[hills > living]:
        valley = living + int(density[living : hill + 1].argmin())
        depth = density[valley] / min(density[living], density[hill])
        if depth < _DIP and (best is None or density[valley] < best[0]):
            best = float(density[valley]), valley
    return best[1] if best else None
