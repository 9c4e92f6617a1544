"""The line along which a dye adds to another channel: the cloud of cells without that antibody, from dim to bright."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from immunolab.order_statistics import median

Floats = NDArray[np.float64]

LEAST_SLOPE = 1.0  # percent of the dye's signal; matrices of single-stained controls are right within one (judgement)
SLICES = 8  # of the bright cells by their dye's signal
FEWEST = 60  # cells of a slice's cloud: its middle is then within a sixth of its SD
_CLOUD = 3.0  # SD of the cloud around its middle that are taken for it
_LEAST_SHARE = 0.3  # of a slice's cells: with fewer the dye's cells carry the other antibody, and nothing can be said
_BRIGHT = 20.0  # SD of the dye's unstained cells from which on a cell counts as bright
_RANGE = 2.0  # of signals among the bright cells, brightest slice over dimmest; with less there is no line
_FIT = 0.5  # share of the line's rise by which the slices may be off it (root mean square)
# the same, and the share by which the rise among bright cells may differ from that up to them, of a line that no entry
# of the matrix foretells: what truly spills has .03 and .06 at most, markers that go along have .1 and more (simulated
# and real tubes)
_CLOSE_FIT, _CLOSE_RISE = 0.05, 0.1
_SURE = 3.0  # standard errors


@dataclass(frozen=True)
class Line:
    """What a dye adds to another channel, by the cloud that is followed from dim to bright cells.

    Attributes
    ----------
    slope, se
        Share of the dye's signal, and its standard error by the number of cells.
    move
        How far the bright cells are off, SD of the channel's unstained cells.
    scatter
        Of the slices around the line, in their standard errors.
    is_straight, is_close
        Whether the slices are on a line through the unstained cells, and so closely that nothing but a dye does it.
    """

    slope: float
    se: float
    move: float
    scatter: float
    is_straight: bool
    is_close: bool = False

    def is_off(self, least_move: float) -> bool:
        """Return whether a signal is left that moves bright cells as far.

        Parameters
        ----------
        least_move
            SD of the channel's unstained cells.
        """
        sure = 100.0 * (abs(self.slope) - _SURE * self.se) >= LEAST_SLOPE
        return sure and abs(self.move) >= least_move and self.is_straight


def unstained(column: Floats) -> tuple[float, float]:
    """Return middle and SD of the unstained cells: the lowest cloud of the channel, from its lower side.

    Parameters
    ----------
    column
        Signal of the cells in one channel, finite.
    """
    ordered = np.sort(column)
    low = ordered[int(0.001 * len(ordered))]
    # shortest interval that holds a tenth of the cells, among the lower two thirds: the densest place
    width = max(2, len(ordered) // 10)
    last = max(1, int(len(ordered) * 0.67) - width)
    spans = ordered[width : width + last] - ordered[:last]
    at = int(spans.argmin())
    middle = float(np.median(ordered[at : at + width]))
    below = middle - ordered[(ordered < middle) & (ordered >= low)]
    # the nearest quarter, of a normal within .319 SD: cells that were taken too much off from are farther
    return middle, float(np.quantile(below, 0.25) / 0.3186) if len(below) else 1.0


def bright_slices(column: Floats, middle: float, spread: float) -> list[NDArray[np.intp]]:
    """Return the cells that are bright in a dye, from dim to bright in slices; empty where a line cannot be drawn.

    Parameters
    ----------
    column
        The dye's signal.
    middle, spread
        Of its unstained cells.
    """
    own = np.flatnonzero(column > middle + _BRIGHT * max(spread, 1e-9))
    if len(own) < SLICES * FEWEST:
        return []
    slices = np.array_split(own[np.argsort(column[own])], SLICES)
    dim, bright = (float(np.median(column[slices[i]])) - middle for i in (0, -1))
    return slices if bright > _RANGE * dim else []


def dye_line(
    column: Floats, slices: Sequence[NDArray[np.intp]], dye: Floats, dye_middle: float, middle: float, spread: float
) -> Line | None:
    """Return the line of the cloud of one channel along another dye; None where there is no such cloud.

    The cloud is followed from the unstained cells on: little is left.

    Parameters
    ----------
    column, dye
        Signals of the channel and of the dye.
    slices
        Of `bright_slices`.
    dye_middle
        Of the dye's unstained cells.
    middle, spread
        Of the channel's unstained cells.
    """
    signal = np.array([median(dye[rows]) for rows in slices]) - dye_middle
    return _followed([column[rows] - middle for rows in slices], signal, 0.0, max(spread, 1e-9), spread)


def far_line(
    column: Floats, slices: Sequence[NDArray[np.intp]], dye: Floats, dye_middle: float, middle: float, spread: float
) -> Line | None:
    """Return the line of the lowest cloud of the dye's cells, however far it is from the unstained ones.

    Parameters
    ----------
    column, slices, dye, dye_middle, middle, spread
        As in `dye_line`.
    """
    signal = np.array([median(dye[rows]) for rows in slices]) - dye_middle
    values = [column[rows] - middle for rows in slices]
    lowest, width = unstained(values[0])
    return _followed(values, signal, lowest / signal[0], max(width, spread, 1e-9), spread)


def _followed(slices: Sequence[Floats], signal: Floats, slope: float, width: float, spread: float) -> Line | None:
    """Return the line of a cloud that is followed from dim to bright cells."""
    offs, errors = [], []
    for values, bright in zip(slices, signal, strict=True):
        centre = slope * bright
        cloud = _cloud(values, centre, width)
        if cloud is None:
            return None
        off, width, n = cloud
        offs.append(off)
        errors.append(1.2533 * width / np.sqrt(n))
        weights = signal[: len(offs)] / np.array(errors) ** 2
        slope = float((weights * np.array(offs)).sum() / (weights * signal[: len(offs)]).sum())
    found, error = np.array(offs), np.array(errors)
    se = float(1.0 / np.sqrt((signal**2 / error**2).sum()))
    move = slope * float(np.median(signal)) / max(spread, 1e-9)
    rise = slope * signal
    misfit = np.sqrt(np.mean((found - rise) ** 2)) / max(np.sqrt(np.mean(rise**2)), 1e-9)
    # a line through the unstained cells rises among the bright ones as it does up to them
    among = np.polyfit(signal, found, 1, w=1.0 / error)[0]
    as_far = 0.5 * slope < among < 2.0 * slope or 2.0 * slope < among < 0.5 * slope
    is_close = misfit <= _CLOSE_FIT and abs(among - slope) <= _CLOSE_RISE * abs(slope)
    scatter = float(np.sqrt(np.mean(((found - rise) / error) ** 2)))
    return Line(slope, se, move, scatter, bool(misfit <= _FIT and as_far), bool(is_close))


def _cloud(values: Floats, centre: float, width: float) -> tuple[float, float, int] | None:
    """Return middle, SD and number of the cells around a centre, which moves to where they are."""
    fewest = max(FEWEST, _LEAST_SHARE * len(values))
    for _ in range(6):
        apart = np.abs(values - centre)
        inside = apart < _CLOUD * width
        if np.count_nonzero(inside) < fewest:
            inside = apart < 2 * _CLOUD * width
            if np.count_nonzero(inside) < fewest:
                return None
        held = values[inside]
        before = centre, width
        centre = median(held)
        width = max(1.4826 * median(np.abs(held - centre)), 1e-9)
        if (centre, width) == before:
            break  # it stays where it is
    return centre, width, int(np.count_nonzero(inside))
