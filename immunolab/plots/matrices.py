"""Coloured matrices: patients by endpoints, subsets by scores; every cell holds its number or call."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal

import numpy as np
import pandas as pd

from immunolab.comparison.scales import MULTIPLICATIVE
from immunolab.plots.labels import EndpointLabel, folded
from immunolab.plots.names import box_in_points, shortened, widest
from immunolab.plots.style import MISSING, MM, SMALL, WIDTH, axes, style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.image import AxesImage

_STRONG = 0.6  # share of the colour scale above which text is white
_ROW_NAME = 34  # characters of a row's name
_BESIDE = 55.0  # points beside a matrix: colour bar with its ticks and label
_APART = 1.12  # width of a cell against its words: closer ones of two cells read as one
_SMALLEST = 6.0  # points: smaller letters are not printed
_BAR = 85.0  # points, 30 mm: longest colour bar


@style()
def matrix(
    values: pd.DataFrame,
    words: pd.DataFrame,
    label: str,
    *,
    reach: float | None = None,
    title: str = "",
    ax: Axes | None = None,
) -> Axes:
    """Draw a table of numbers as colours around zero, with words in every cell.

    Parameters
    ----------
    values
        Numbers, rows from the top; a missing one is grey.
    words
        Text of each cell, of the shape of ``values``; not drawn where a column is too narrow for it.
    label
        What the colour is, with its unit.
    reach
        Where the colour scale ends on both sides; None takes the largest number, 1 at least. Numbers beyond it
        keep the last colour.
    title
        A word above the axes; the caption holds the rest.
    ax
        Axes to draw on; None makes a new figure.
    """
    ax = axes(ax, WIDTH, matrix_height(len(values), values.columns))
    numbers = values.to_numpy(dtype=float)
    widest = float(np.nanmax(np.abs(numbers))) if np.isfinite(numbers).any() else 1.0
    end = reach or max(1.0, widest)
    ax.set_facecolor(MISSING)
    picture = ax.imshow(np.ma.masked_invalid(numbers), cmap="PuOr", vmin=-end, vmax=end, aspect="auto")
    size = _word_size(ax, values, words)
    for (row, column), number in np.ndenumerate(numbers) if size else ():
        tint = "white" if abs(number) > _STRONG * end else "black"
        ax.text(column, row, str(words.iat[row, column]), ha="center", va="center", fontsize=size, color=tint)
    ax.set_title(title)
    _frame(ax, values)
    _colour_bar(ax, picture, label, "both" if widest > end else "neither")
    return ax


def _word_size(ax: Axes, values: pd.DataFrame, words: pd.DataFrame) -> float:
    """Return the points of letters at which words stand apart in their cells, beside names and colour bar; 0: none."""
    names = widest(ax, [shortened(str(name), _ROW_NAME) for name in values.index])
    room = ax.figure.bbox.width / ax.figure.dpi * 72 - names - _BESIDE
    lines = {line for text in words.to_numpy().ravel() for line in str(text).split("\n")}
    needed = _APART * widest(ax, sorted(lines)) * values.shape[1]  # at the size of small letters
    return next((size for size in (SMALL, _SMALLEST) if needed * size / SMALL < room), 0.0)


def _frame(ax: Axes, values: pd.DataFrame) -> None:
    """Name columns, slanted, and rows, shortened alike."""
    columns = [shortened(str(name), 40) for name in values.columns]
    ax.set_xticks(range(values.shape[1]), columns, rotation=40, ha="right", rotation_mode="anchor")
    ax.set_yticks(range(values.shape[0]), [shortened(str(name), _ROW_NAME) for name in values.index])
    ax.tick_params(length=0, labelsize=SMALL)
    for spine in ax.spines.values():
        spine.set_visible(False)


def _colour_bar(ax: Axes, picture: AxesImage, label: str, beyond: Literal["both", "neither"]) -> None:
    """Draw the colour bar beside the upper end of the matrix, never longer than it."""
    from matplotlib.ticker import MaxNLocator

    tall = box_in_points(ax).height
    share = min(1.0, _BAR / tall)
    place = ax.inset_axes((1.015, 1 - share, 0.012, share))
    bar = ax.figure.colorbar(picture, cax=place, extend=beyond)
    bar.set_label(folded(label, max(12, int(share * tall / 3.9))), fontsize=SMALL)
    bar.ax.tick_params(labelsize=SMALL)
    low, high = picture.get_clim()
    bar.set_ticks([tick for tick in MaxNLocator(5).tick_values(low, high) if low <= tick <= high])


def matrix_height(n_rows: int, columns: pd.Index) -> float:
    """Return the height in inches at which `matrix` gives every row room, and slanted column names theirs.

    Parameters
    ----------
    n_rows
        Rows of the matrix.
    columns
        Names of its columns.
    """
    longest = max((len(str(name)) for name in columns), default=1)
    return (20 + 0.9 * min(longest, 40) + 6.0 * max(2, n_rows)) * MM


@style()
def heatmap_of_change(pairs: pd.DataFrame, named: Mapping[str, EndpointLabel], *, ax: Axes | None = None) -> Axes:
    """Draw patients by endpoints: the log2 of each change in colour, calls of a rise or fall as triangles.

    A point is a change that could not be called, grey no pair. Endpoints on scales without a ratio (differences) are
    left out: `not_ratios` names them.

    Parameters
    ----------
    pairs
        The table ``pairs`` of one cohort.
    named
        Endpoint id to label.
    ax
        Axes to draw on; None makes a new figure.
    """
    ratio = pairs[pairs["shift_scale"].isin(MULTIPLICATIVE)]
    patients, endpoints = list(dict.fromkeys(ratio["patient_id"])), list(dict.fromkeys(ratio["endpoint"]))
    table = ratio.assign(log2=ratio["shift"].astype(float) / np.log(2))
    shape = {"index": patients, "columns": endpoints}
    log2, calls = (
        table.pivot(index="patient_id", columns="endpoint", values=name).reindex(**shape)
        for name in ("log2", "verdict")
    )
    ax = axes(ax, WIDTH, heatmap_height(len(patients)))
    numbers = log2.to_numpy(dtype=float)
    end = max(1.0, float(np.nanmax(np.abs(numbers)))) if np.isfinite(numbers).any() else 1.0
    ax.set_facecolor(MISSING)
    picture = ax.imshow(np.ma.masked_invalid(numbers), cmap="PuOr", vmin=-end, vmax=end, aspect="auto")
    _calls(ax, numbers, calls.fillna("").to_numpy(dtype=object), end)
    _frame(ax, log2.set_axis([named[e].short if e in named else e for e in endpoints], axis=1))
    _colour_bar(ax, picture, "log2 of odds ratio or fold, after / before", "neither")
    return ax


def _calls(ax: Axes, numbers: np.ndarray, calls: np.ndarray, end: float) -> None:
    """Mark calls of a rise or fall, and changes that could not be called; what is within noise has no mark."""
    dark = np.abs(numbers) > _STRONG * end
    for verdict, shape in (("rise", "^"), ("fall", "v"), ("not_evaluable", ".")):
        for tint, where in (("black", ~dark), ("white", dark)):
            row, column = np.nonzero((calls == verdict) & np.isfinite(numbers) & where)
            ax.plot(column, row, shape, color=tint, markersize=3.5, markeredgewidth=0, linestyle="none", label=verdict)


def heatmap_height(n_patients: int) -> float:
    """Return the height in inches at which `heatmap_of_change` gives every patient a row.

    Parameters
    ----------
    n_patients
        Rows of the heat map.
    """
    return (52 + 5.0 * max(1, n_patients)) * MM


def not_ratios(pairs: pd.DataFrame) -> list[str]:
    """Return the endpoints that `heatmap_of_change` leaves out, for their changes are no ratios.

    Parameters
    ----------
    pairs
        The table ``pairs`` of one cohort.
    """
    ratio = set(pairs.loc[pairs["shift_scale"].isin(MULTIPLICATIVE), "endpoint"])
    return [str(endpoint) for endpoint in dict.fromkeys(pairs["endpoint"]) if endpoint not in ratio]
