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
from immunolab.quality.spillover_lines import FEWEST, SLICES, Floats, Line, bright_slices, dye_line, far_line, unstained

# what names of one detector's channels differ in: FL3-A and FL3-H, FL3 LogH and FL3 LinA, FL3 and FL3-Peak-Lin
_FORM = re.compile(r"(?:[-_ ]+(?:LOG|LIN|INT|PEAK|AREA|HEIGHT|WIDTH|[AHW])+)+$", re.IGNORECASE)
_LEAST_ENTRY = 0.03  # of the matrix: dyes that spill; between others a slope is of cells that carry both antibodies
KNOWN = 0.02  # standard error of an entry, as a share of it, up to which cells show its error (judgement)
_FEW_BELOW = 0.05  # of the cells that are brightest in a dye: fewer than that are below a line through them
_WITHIN = 1.0  # times the matrix's entry: beyond it a marker that goes along with the dye is likelier
# SD of the channel's unstained cells by which the bright cells must be off, and error of the matrix's entry as a share
# of itself: a gate two SD above the unstained cells runs through the middle of the bright ones, or lets in one in six
# of them by an entry that is surely off (judgement; no sound tube of seeds 0 to 99 has either)
_LEAST_MOVE, _LEAST_ERROR = 2.0, 0.12
_LEAST_KNOWN_MOVE, _LEAST_KNOWN_ERROR = 1.0, 0.15
_FAR_BELOW = 8.0  # SD of the unstained cells: counting noise of what was taken off spreads bright cells to 3 to 6


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
        return self.line.slope / max(self.entry, _LEAST_ENTRY)

    @property
    def error(self) -> float:
        """Standard error of that share."""
        return self.line.se * max(self.line.scatter, 1.0) / max(self.entry, _LEAST_ENTRY)

    @property
    def is_off(self) -> bool:
        """Whether the entry is wrong by so much that a gate meets the cells."""
        if self.line.is_off(_LEAST_MOVE) and abs(self.off) >= _LEAST_ERROR:
            return True
        return self.error <= KNOWN and self.line.is_off(_LEAST_KNOWN_MOVE) and abs(self.off) >= _LEAST_KNOWN_ERROR

    @property
    def residual(self) -> Residual:
        """The pair as one that a signal is left in."""
        return Residual(self.dye, self.detector, 100.0 * self.line.slope, self.line.move)


def spilling_pairs(tube: Tube, single_living: NDArray[np.intp]) -> list[SpillingPair]:
    """Return the pairs of a tube whose spillover cells show, with what compensation leaves of it.

    Parameters
    ----------
    tube
        Compensated with its own matrix; pairs are those whose entry in it is at least 3 %, and those that have less
        and leave as much in a channel that is stained: their entry was forgotten.
    single_living
        Rows of single living cells: dead ones shine in every channel, two together carry both antibodies.
    """
    matrix = tube.spillover
    if matrix is None or len(single_living) < SLICES * FEWEST:
        return []
    names = list(matrix.channels)
    values = weighted_sums(tube.weights(names), np.ascontiguousarray(tube.columns[:, single_living]))
    values = values[:, np.isfinite(values).all(axis=0)]
    if values.shape[1] < SLICES * FEWEST:
        return []
    clouds = [unstained(column) for column in values]
    entries = np.asarray(matrix.matrix) / np.diag(matrix.matrix)[:, None]
    areas = set(stained_areas(tube))
    stained = [c.name in areas and bool(c.label or c.marker) for c in map(tube.channel, names)]
    found = []
    for i, dye in enumerate(names):
        slices = bright_slices(values[i], *clouds[i])
        for j in (j for j in range(len(names)) if slices and j != i):
            entry = float(entries[i, j])
            if entry >= _LEAST_ENTRY or (stained[j] and _is_lifted(values[j][slices[-1]], *clouds[j])):
                line = _line_left((values[j], slices, values[i], clouds[i][0], *clouds[j]), entry, stained=stained[j])
                found += [SpillingPair(dye, names[j], entry, line)] if line is not None else []
    return found


def _is_lifted(brightest: Floats, middle: float, spread: float) -> bool:
    """Return whether all cells that are brightest in a dye are above a channel's unstained ones, but for a few."""
    return bool(np.quantile(brightest, _FEW_BELOW) > middle + spread)


def _line_left(
    of: tuple[Floats, list[NDArray[np.intp]], Floats, float, float, float], entry: float, *, stained: bool
) -> Line | None:
    """Return the line of a dye: within its entry any, beyond it one that is so close that a dye alone explains it."""
    line = dye_line(*of)
    if line is not None and entry >= _LEAST_ENTRY and abs(line.slope) <= _WITHIN * entry:
        return line
    line = (line or far_line(*of)) if stained else None
    return line if line is not None and line.is_close and line.slope >= _LEAST_ENTRY else None


def residuals(pairs: Sequence[SpillingPair]) -> list[Residual]:
    """Return the pairs that compensation leaves a signal in, the worst first.

    Parameters
    ----------
    pairs
        Of `spilling_pairs`.
    """
    found = [one.residual for one in pairs if one.is_off]
    return sorted(found, key=lambda one: -abs(one.move))


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
    if len(names) < 2 or len(single_living) < SLICES * FEWEST:
        return []
    values = np.array([tube.raw(name)[single_living] for name in names], dtype=np.float64)
    values = values[:, np.isfinite(values).all(axis=0)]
    if values.shape[1] < SLICES * FEWEST:
        return []
    clouds = [unstained(column) for column in values]
    found = []
    for i, dye in enumerate(names):
        slices = bright_slices(values[i], *clouds[i])
        for j in range(len(names)) if slices else ():
            line = dye_line(values[j], slices, values[i], clouds[i][0], *clouds[j]) if j != i else None
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
    if values.shape[1] < FEWEST:
        return None
    shares = []
    for column in values:
        middle, spread = unstained(column)
        shares.append(100.0 * float((column < middle - _FAR_BELOW * spread).mean()))
    worst = int(np.argmax(shares))
    return shares[worst], names[worst]
