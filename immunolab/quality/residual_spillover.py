"""What a dye still adds to another channel after compensation, pair by pair.

Cells that are bright in a dye and have none of the other channel's antibody read zero there when compensation is
right. Where it is not, they read a share of the dye's signal: the brighter the cell, the more, on a line through the
unstained cells. The share is found by following that cloud from dim to bright cells, so that cells that carry the
other antibody have no say; a marker that only goes along with the dye gives no such line.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from immunolab.events.compensation import weighted_sums
from immunolab.events.tube import Tube

Floats = NDArray[np.float64]

# what names of one detector's channels differ in: FL3-A and FL3-H, FL3 LogH and FL3 LinA, FL3 and FL3-Peak-Lin
_FORM = re.compile(r"(?:[-_ ]+(?:LOG|LIN|INT|PEAK|AREA|HEIGHT|WIDTH|[AHW])+)+$", re.IGNORECASE)
LEAST_SLOPE = 1.0  # percent of the dye's signal; matrices of single-stained controls are right within one (judgement)
# of the matrix's entries, root mean square: single-stained controls give an entry within a twentieth (judgement)
LEAST_MATRIX_ERROR = 0.12
_LEAST_ENTRY = 0.03  # of the matrix: dyes that spill; between others a slope is of cells that carry both antibodies
_KNOWN = 0.02  # standard error of an entry, as a share of it, up to which cells show its error: a sixth of the limit
_FEWEST_PAIRS = 3  # by which a matrix is judged as a whole (judgement)
_WITHIN = 1.0  # times the matrix's entry: an error beyond it is no error of that entry
# SD of the channel's unstained cells by which the bright cells must be off, and error of the matrix's entry as a share
# of itself: a gate two SD above the unstained cells runs through the middle of the bright ones, or lets in one in six
# of them by an entry that is surely off (judgement; no sound tube of seeds 0 to 99 has either)
_LEAST_MOVE, _LEAST_ERROR = 2.0, 0.12
_LEAST_KNOWN_MOVE, _LEAST_KNOWN_ERROR = 1.0, 0.15
_SLICES = 8  # of the bright cells by their dye's signal
_FEWEST = 60  # cells of a slice's cloud: its middle is then within a sixth of its SD
_CLOUD = 3.0  # SD of the cloud around its middle that are taken for it
_LEAST_SHARE = 0.3  # of a slice's cells: with fewer the dye's cells carry the other antibody, and nothing can be said
_BRIGHT = 20.0  # SD of the dye's unstained cells from which on a cell counts as bright
_RANGE = 2.0  # of signals among the bright cells, brightest slice over dimmest; with less there is no line
_FIT = 0.5  # share of the line's rise by which the slices may be off it (root mean square)
_FAR_BELOW = 8.0  # SD of the unstained cells: counting noise of what was taken off spreads bright cells to 3 to 6
_SURE = 3.0  # standard errors


@dataclass(frozen=True)
class Residual:
    """A pair of channels with signal left or taken too much.

    Attributes
    ----------
    dye, detector
        Names of the channel of the dye, and of the one that it still adds to.
    slope
        Percent of the dye's signal; negative where too much is taken off.
    move
        How far the bright cells are off, SD of the detector's unstained cells.
    """

    dye: str
    detector: str
    slope: float
    move: float

    @property
    def pair(self) -> str:
        """``dye > detector``."""
        return f"{self.dye} > {self.detector}"


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
    is_straight
        Whether the slices are on a line through the unstained cells.
    """

    slope: float
    se: float
    move: float
    scatter: float
    is_straight: bool

    def is_off(self, least_move: float) -> bool:
        """Return whether a signal is left that moves bright cells as far.

        Parameters
        ----------
        least_move
            SD of the channel's unstained cells.
        """
        sure = 100.0 * (abs(self.slope) - _SURE * self.se) >= LEAST_SLOPE
        return sure and abs(self.move) >= least_move and self.is_straight


@dataclass(frozen=True)
class SpillingPair:
    """A pair of channels whose spillover cells show.

    Attributes
    ----------
    dye, detector
        Names of the channel of the dye, and of the one that it spills into.
    entry
        Of the matrix.
    line
        What is left.
    """

    dye: str
    detector: str
    entry: float
    line: Line

    @property
    def off(self) -> float:
        """What is left as a share of the entry."""
        return self.line.slope / self.entry

    @property
    def error(self) -> float:
        """Standard error of that share."""
        return self.line.se * max(self.line.scatter, 1.0) / self.entry

    @property
    def is_off(self) -> bool:
        """Whether the entry is wrong by so much that a gate meets the cells."""
        if self.line.is_off(_LEAST_MOVE) and abs(self.off) >= _LEAST_ERROR:
            return True
        return self.error <= _KNOWN and self.line.is_off(_LEAST_KNOWN_MOVE) and abs(self.off) >= _LEAST_KNOWN_ERROR

    @property
    def residual(self) -> Residual:
        """The pair as one that a signal is left in."""
        return Residual(self.dye, self.detector, 100.0 * self.line.slope, self.line.move)


def spilling_pairs(tube: Tube, single_living: NDArray[np.intp]) -> list[SpillingPair]:
    """Return the pairs of a tube whose spillover cells show, with what compensation leaves of it.

    Parameters
    ----------
    tube
        Compensated with its own matrix; only pairs are looked at whose entry in it is at least 3 %.
    single_living
        Rows of single living cells: dead ones shine in every channel, two together carry both antibodies.
    """
    matrix = tube.spillover
    if matrix is None or len(single_living) < _SLICES * _FEWEST:
        return []
    names = list(matrix.channels)
    values = weighted_sums(tube.weights(names), np.ascontiguousarray(tube.columns[:, single_living]))
    values = values[:, np.isfinite(values).all(axis=0)]
    if values.shape[1] < _SLICES * _FEWEST:
        return []
    clouds = [unstained(column) for column in values]
    entries = np.asarray(matrix.matrix) / np.diag(matrix.matrix)[:, None]
    found = []
    for i, dye in enumerate(names):
        slices = _slices(values[i], *clouds[i])
        for j in np.flatnonzero(entries[i] >= _LEAST_ENTRY) if slices else ():
            line = _line(values[j], slices, values[i], clouds[i][0], *clouds[j]) if j != i else None
            if line is not None and abs(line.slope) <= _WITHIN * entries[i, j]:
                found.append(SpillingPair(dye, names[j], float(entries[i, j]), line))
    return found


def residuals(pairs: Sequence[SpillingPair]) -> list[Residual]:
    """Return the pairs that compensation leaves a signal in, the worst first.

    Parameters
    ----------
    pairs
        Of `spilling_pairs`.
    """
    found = [one.residual for one in pairs if one.is_off]
    return sorted(found, key=lambda one: -abs(one.move))


def matrix_error(pairs: Sequence[SpillingPair]) -> tuple[float, list[SpillingPair]]:
    """Return how far the entries of a matrix are off, as a share of themselves: root mean square over its pairs.

    A matrix of another day or of other voltages is off in all of its entries, though no one of them may move cells
    across a gate. An error of chance, as of single-stained controls, is small in most of them.

    Parameters
    ----------
    pairs
        Of `spilling_pairs`; those are taken whose entry cells show to 2 % of itself.

    Returns
    -------
    tuple of (float, list of SpillingPair)
        0 for fewer than three such pairs; and these, the one with the most signal left first.
    """
    known = sorted((one for one in pairs if one.error <= _KNOWN), key=lambda one: -abs(one.line.slope))
    if len(known) < _FEWEST_PAIRS:
        return 0.0, known
    return float(np.sqrt(np.mean([one.off**2 for one in known]))), known


def pairs_uncompensated(tube: Tube, single_living: NDArray[np.intp]) -> list[Residual]:
    """Return the pairs of channels that share a dye as acquired, the worst first.

    Parameters
    ----------
    tube
        Its values are taken as they are.
    single_living
        Rows of single living cells.
    """
    names = stained_areas(tube)
    if len(names) < 2 or len(single_living) < _SLICES * _FEWEST:
        return []
    values = np.array([tube.raw(name)[single_living] for name in names], dtype=np.float64)
    values = values[:, np.isfinite(values).all(axis=0)]
    if values.shape[1] < _SLICES * _FEWEST:
        return []
    clouds = [unstained(column) for column in values]
    found = []
    for i, dye in enumerate(names):
        slices = _slices(values[i], *clouds[i])
        for j in range(len(names)) if slices else ():
            line = _line(values[j], slices, values[i], clouds[i][0], *clouds[j]) if j != i else None
            if line is not None and line.is_off(_LEAST_MOVE) and _LEAST_ENTRY <= line.slope <= _WITHIN:
                found.append(Residual(dye, names[j], 100.0 * line.slope, line.move))
    return sorted(found, key=lambda one: -abs(one.move))


def stained_areas(tube: Tube) -> list[str]:
    """Return the fluorescence channels of a tube, one a detector: of the forms that it is recorded in the area.

    Parameters
    ----------
    tube
        Any.
    """
    of_detector: dict[str, str] = {}
    names = [channel.name for channel in tube.channels if channel.kind == "fluorescence"]
    for name in sorted(names, key=_is_other_than_area):
        of_detector.setdefault(_FORM.sub("", name).casefold(), name)
    kept = set(of_detector.values())
    return [name for name in names if name in kept]


def _is_other_than_area(name: str) -> bool:
    form = _FORM.search(name)
    return form is not None and any(word in form[0].upper() for word in ("H", "W", "PEAK"))


def hyper_negative(tube: Tube, single_living: NDArray[np.intp]) -> tuple[float, str] | None:
    """Return the percent of cells far below the unstained ones in a compensated channel, and the worst channel.

    None for fewer than 60 cells, or without a matrix.

    Parameters
    ----------
    tube
        Compensated with its own matrix.
    single_living
        Rows of single living cells.
    """
    if tube.spillover is None:
        return None
    names = list(tube.spillover.channels)
    values = weighted_sums(tube.weights(names), np.ascontiguousarray(tube.columns[:, single_living]))
    values = values[:, np.isfinite(values).all(axis=0)]
    if values.shape[1] < _FEWEST:
        return None
    shares = []
    for column in values:
        middle, spread = unstained(column)
        shares.append(100.0 * float((column < middle - _FAR_BELOW * spread).mean()))
    worst = int(np.argmax(shares))
    return shares[worst], names[worst]


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


def _slices(column: Floats, middle: float, spread: float) -> list[NDArray[np.intp]]:
    """Return the cells that are bright in a dye, from dim to bright in slices; empty where a line cannot be drawn."""
    own = np.flatnonzero(column > middle + _BRIGHT * max(spread, 1e-9))
    if len(own) < _SLICES * _FEWEST:
        return []
    slices = np.array_split(own[np.argsort(column[own])], _SLICES)
    dim, bright = (float(np.median(column[slices[i]])) - middle for i in (0, -1))
    return slices if bright > _RANGE * dim else []


def _line(
    column: Floats, slices: Sequence[NDArray[np.intp]], dye: Floats, dye_middle: float, middle: float, spread: float
) -> Line | None:
    """Return the line of the cloud of one channel along another dye; None where there is no such cloud."""
    signal = np.array([np.median(dye[rows]) for rows in slices]) - dye_middle
    slope, offs, errors, width = 0.0, [], [], max(spread, 1e-9)
    for rows, bright in zip(slices, signal, strict=True):
        centre = slope * bright
        cloud = _cloud(column[rows] - middle, centre, width)
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
    scatter = float(np.sqrt(np.mean(((found - rise) / error) ** 2)))
    return Line(slope, se, move, scatter, bool(misfit <= _FIT and as_far))


def _cloud(values: Floats, centre: float, width: float) -> tuple[float, float, int] | None:
    """Return middle, SD and number of the cells around a centre, which moves to where they are."""
    for _ in range(6):
        inside = np.abs(values - centre) < _CLOUD * width
        if inside.sum() < max(_FEWEST, _LEAST_SHARE * len(values)):
            wider = np.abs(values - centre) < 2 * _CLOUD * width
            if wider.sum() < max(_FEWEST, _LEAST_SHARE * len(values)):
                return None
            inside = wider
        held = values[inside]
        centre = float(np.median(held))
        width = max(float(1.4826 * np.median(np.abs(held - centre))), 1e-9)
    return centre, width, int(inside.sum())
