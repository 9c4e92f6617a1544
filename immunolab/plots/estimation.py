"""Estimation plots: the patients' lines, and beside them their changes with the cohort's estimate and its interval.

In the manner of Gardner and Altman (1986, BMJ 292:746) and Ho et al. 2019 (Nature Methods 16:565): the size of a
change and how sure it is are drawn; p-values are in the caption.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from scipy import stats

from immunolab.comparison.scales import MULTIPLICATIVE
from immunolab.plots.figure_files import settle
from immunolab.plots.labels import folded, labels
from immunolab.plots.names import LINE
from immunolab.plots.numbers import scale_word
from immunolab.plots.paired import name_lines, paired_lines
from immunolab.plots.style import HALF, MM, NEUTRAL, SMALL, axes, colour, figure, style
from immunolab.plots.values import log_ticks

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SMALL_SIZE = (3.2, 2.0)  # inches, beside a sentence
FULL_SIZE = (HALF, 78 * MM)  # inches, one of two columns of a printed page
_ARROWS = {"increase": "▲", "decrease": "▼"}
_NOT_TO_SEE = 1e-3  # share of an interval by which its halves may differ and still be of one t distribution
_MOST_NAMED = 32  # patients whose names a figure grows for
_FRAME = 1.0  # inches below and above the axes
_AT = 0.72  # place of the estimate on the axis of changes; the patients are at 0


@dataclass(frozen=True)
class PairedRows:
    """One panel of an estimation plot: the rows of one endpoint in one cohort.

    Attributes
    ----------
    endpoints, pairs, shifts
        Rows of the tables of these names.
    title
        Above the panel; empty for none.
    """

    endpoints: pd.DataFrame
    pairs: pd.DataFrame
    shifts: pd.DataFrame
    title: str = ""


@style()
def estimation_plot(
    panels: Sequence[PairedRows],
    endpoint: str,
    *,
    what: str = "",
    sides: tuple[str, str] | None = None,
    direction: str = "",
    small: bool = False,
) -> Figure:
    """Return the patients' lines of an endpoint, and their changes with the cohort's estimate and 95 % interval.

    Changes are on the scale of the test: ratios (odds ratios of percentages) on a log axis around 1, differences
    around 0. The curve is the t distribution that the interval is cut from.

    Parameters
    ----------
    panels
        One a cohort.
    endpoint
        Endpoint id.
    what
        Label of the values; empty takes the endpoint's own.
    sides
        Names of both sides; None takes the visits'.
    direction
        Which way was registered; ``increase`` and ``decrease`` are marked at the axis of changes, not called a benefit.
    small
        As beside a sentence (3.2 x 2 in), without names; else as a figure of a page.
    """
    width, height = SMALL_SIZE if small else (FULL_SIZE[0], _height(panels))
    fig = figure(width * len(panels), height)
    grid = fig.subplots(1, 2 * len(panels), squeeze=False, width_ratios=[1.25, 1] * len(panels))[0]
    for panel, left, right in zip(panels, grid[::2], grid[1::2], strict=True):
        paired_lines(panel.endpoints, panel.pairs, panel.shifts, endpoint, names=False, ax=left)
        if what:
            left.set_ylabel(folded(what, 26))
        if sides:
            left.set_xticks([0, 1], [folded(side, 7) for side in sides])
        changes(panel.pairs, panel.shifts, direction=direction, tint=_tint(panel.endpoints, endpoint), ax=right)
        left.set_title(panel.title)
    settle(fig)
    for panel, left in zip(panels if not small else (), grid[::2], strict=False):
        name_lines(left, panel.pairs.dropna(subset=["before", "after"]))
    return fig


def _height(panels: Sequence[PairedRows]) -> float:
    """Return the height in inches at which every patient has room for its name, as far as a page has it."""
    most = max(int(panel.pairs["shift"].notna().sum()) for panel in panels)
    return max(FULL_SIZE[1], (most * LINE / 72 + _FRAME) if most <= _MOST_NAMED else 0.0)


def _tint(endpoints: pd.DataFrame, endpoint: str) -> str:
    named = labels(endpoints).get(endpoint)
    return named.colour if named else colour(endpoint)


@style()
def changes(
    pairs: pd.DataFrame, shifts: pd.DataFrame, *, direction: str = "", tint: str = NEUTRAL, ax: Axes | None = None
) -> Axes:
    """Draw every patient's change of one endpoint, and the cohort's estimate with its 95 % interval.

    Parameters
    ----------
    pairs, shifts
        Rows of one endpoint and cohort.
    direction
        Which way was registered.
    tint
        Colour of the patients.
    ax
        Axes to draw on; None makes a new figure.
    """
    ax = axes(ax, HALF / 2, 78 * MM)
    scale = next(iter(pairs["shift_scale"].dropna()), "identity")
    ratio = scale in MULTIPLICATIVE
    own = np.sort(pairs["shift"].to_numpy(dtype=float))
    own = own[np.isfinite(own)]
    ax.plot(_spread(own), own, "o", color=tint, alpha=0.75, markersize=3, markeredgewidth=0, zorder=3)
    drawn = [0.0, *own, *_estimate(ax, shifts)]
    low, high = min(drawn), max(drawn)
    room = 0.08 * ((high - low) or 1.0)
    ax.set_ylim(low - room, high + room)
    ax.axhline(0, color="#777777", linewidth=0.6, zorder=1)
    if ratio:
        ticks = log_ticks(*np.exp(ax.get_ylim()))
        ax.set_yticks(np.log(ticks), [f"{tick:g}" for tick in ticks])
    else:
        ax.locator_params(axis="y", nbins=5)
    ax.yaxis.tick_right()
    ax.yaxis.set_label_position("right")
    ax.spines["right"].set_visible(True)
    ax.spines["left"].set_visible(False)
    ax.spines["bottom"].set_visible(False)
    ax.set_xlim(-0.35, 1.2)
    ax.set_xticks([0, _AT], ["each", "all"])
    ax.tick_params(axis="x", length=0)
    ax.set_ylabel(_change_words(pairs, scale))
    if direction in _ARROWS:
        ax.set_xlabel(f"{_ARROWS[direction]} as registered", fontsize=SMALL, color=NEUTRAL)
    return ax


def _spread(ordered: np.ndarray) -> np.ndarray:
    """Return places beside each other for neighbours, so that equal changes are all seen."""
    steps = np.array([0.0, 0.06, -0.06, 0.12, -0.12])
    return steps[np.arange(len(ordered)) % len(steps)] if len(ordered) > 3 else np.zeros(len(ordered))


def _estimate(ax: Axes, shifts: pd.DataFrame) -> list[float]:
    """Draw the estimate with its interval and the curve it is cut from; return what was drawn, on the scale."""
    if shifts.empty or pd.isna(shifts["estimate"].iloc[0]):
        return []
    row = shifts.iloc[0]
    middle, low, high = (float(row[name]) for name in ("estimate", "ci_low", "ci_high"))
    if np.isfinite([low, high]).all():
        _curve(ax, middle, low, high, row.get("df"))
        ax.plot([_AT, _AT], [low, high], color="black", linewidth=1.6, solid_capstyle="butt", zorder=4)
    ax.plot(_AT, middle, "o", color="black", markersize=4.5, zorder=5)
    return [value for value in (middle, low, high) if np.isfinite(value)]


def _curve(ax: Axes, middle: float, low: float, high: float, df: Any) -> None:
    """Fill the density of the t distribution that a symmetric interval is cut from."""
    half = (high - low) / 2
    if pd.isna(df) or half <= 0 or abs((high + low) / 2 - middle) > _NOT_TO_SEE * half:
        return
    error = half / stats.t.ppf(0.975, float(df))
    at = np.linspace(-1.3 * half, 1.3 * half, 81)
    density = stats.t.pdf(at / error, float(df))
    wide = _AT + 0.38 * density / density.max()
    ax.fill_betweenx(middle + at, _AT, wide, color="#BDBDBD", linewidth=0, zorder=2)


def _change_words(pairs: pd.DataFrame, scale: str) -> str:
    ratio = scale in MULTIPLICATIVE
    unit = next(iter(pairs["unit"].dropna()), "") if not ratio and "unit" in pairs else ""
    return folded(f"{scale_word(scale)}{', ' + str(unit) if unit and scale == 'identity' else ''}", 26)
