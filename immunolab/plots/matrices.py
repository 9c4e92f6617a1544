"""Coloured matrices: patients by endpoints, subsets by scores; every cell holds its number or call."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from immunolab.comparison.scales import MULTIPLICATIVE
from immunolab.plots.labels import EndpointLabel, folded
from immunolab.plots.style import MISSING, MM, SMALL, VERDICT_SYMBOLS, WIDTH, axes, style

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_STRONG = 0.6  # share of the colour scale above which text is white


@style()
def matrix(
    values: pd.DataFrame,
    words: pd.DataFrame,
    label: str,
    *,
    reach: float | None = None,
    title: str = "",
    size: float = SMALL,
    ax: Axes | None = None,
) -> Axes:
    """Draw a table of numbers as colours around zero, with words in every cell.

    Parameters
    ----------
    values
        Numbers, rows from the top; a missing one is grey.
    words
        Text of each cell, of the shape of ``values``.
    label
        What the colour is, with its unit.
    reach
        Where the colour scale ends on both sides; None takes the largest number, 1 at least. Numbers beyond it
        keep the last colour.
    title
        Above the axes.
    size
        Of the text in the cells, points.
    ax
        Axes to draw on; None makes a new figure.
    """
    ax = axes(ax, WIDTH, matrix_height(len(values), values.columns))
    numbers = values.to_numpy(dtype=float)
    widest = float(np.nanmax(np.abs(numbers))) if np.isfinite(numbers).any() else 1.0
    end = reach or max(1.0, widest)
    ax.set_facecolor(MISSING)
    picture = ax.imshow(np.ma.masked_invalid(numbers), cmap="PuOr", vmin=-end, vmax=end, aspect="auto")
    for (row, column), number in np.ndenumerate(numbers):
        tint = "white" if abs(number) > _STRONG * end else "black"
        ax.text(column, row, str(words.iat[row, column]), ha="center", va="center", fontsize=size, color=tint)
    ax.set_xticks(
        range(values.shape[1]), list(map(str, values.columns)), rotation=40, ha="right", rotation_mode="anchor"
    )
    ax.set_yticks(range(values.shape[0]), list(map(str, values.index)))
    ax.tick_params(length=0, labelsize=SMALL)
    for spine in ax.spines.values():
        spine.set_visible(False)
    beyond = "both" if widest > end else "neither"
    bar = ax.figure.colorbar(picture, ax=ax, shrink=0.9, pad=0.01, aspect=25, extend=beyond)
    bar.set_label(folded(label, 44), fontsize=SMALL)
    bar.ax.tick_params(labelsize=SMALL)
    ax.set_title(folded(title, 110))
    return ax


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
    """Draw patients by endpoints: the log2 of each change in colour, the call as a symbol.

    Endpoints on scales without a ratio (differences) are left out, by name, in the title.

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
    others = [str(e) for e in dict.fromkeys(pairs["endpoint"]) if e not in set(ratio["endpoint"])]
    absent = [named[e].short if e in named else e for e in others]
    patients, endpoints = list(dict.fromkeys(ratio["patient_id"])), list(dict.fromkeys(ratio["endpoint"]))
    symbols = [
        VERDICT_SYMBOLS[str(verdict)] if not pd.isna(shift) else "–"
        for verdict, shift in zip(ratio["verdict"], ratio["shift"], strict=True)
    ]
    table = ratio.assign(log2=ratio["shift"].astype(float) / np.log(2), symbol=symbols)
    wide = {
        column: table.pivot(index="patient_id", columns="endpoint", values=column).reindex(
            index=patients, columns=endpoints
        )
        for column in ("log2", "symbol")
    }
    values = wide["log2"].set_axis([named[e].short if e in named else e for e in endpoints], axis=1)
    left_out = f"; not on a ratio scale: {', '.join(absent)}" if absent else ""
    return matrix(
        values,
        wide["symbol"].fillna(""),
        "log2 of odds ratio or fold, after / before",
        title=f"▲ rise  ▼ fall  ● within noise  ○ not evaluable  – no pair (grey){left_out}",
        size=8,
        ax=axes(ax, WIDTH, heatmap_height(len(patients))),
    )


def heatmap_height(n_patients: int) -> float:
    """Return the height in inches at which `heatmap_of_change` gives every patient a row.

    Parameters
    ----------
    n_patients
        Rows of the heat map.
    """
    return (52 + 5.0 * max(1, n_patients)) * MM
