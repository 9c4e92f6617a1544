"""Two gatings: the difference of each tube against its mean, and all populations at a glance."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from immunolab.plots.style import ALARM, HALF, MM, NEUTRAL, SMALL, WIDTH, axes, figure, style
from immunolab.vocabulary.display_names import display_name

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

PANELS = 6  # populations of a page, two beside each other
_TINT = "#E3EAF2"
_FIRST, _SECOND = "#0072B2", "#D55E00"  # Okabe and Ito


@style()
def bland_altman(pairs: pd.DataFrame, summary: pd.Series, words: tuple[str, str], *, ax: Axes | None = None) -> Axes:
    """Draw the difference of two gatings against their mean, with bias and limits of agreement.

    Parameters
    ----------
    pairs
        Rows of one population of `GATING_PAIRS`.
    summary
        Its row of `GATING_AGREEMENT`.
    words
        What the gatings are called.
    ax
        Axes to draw on; None makes a new figure.

    Returns
    -------
    Axes
        The axes drawn on.
    """
    ax = axes(ax, HALF, 66 * MM)
    shown = pairs.dropna(subset=["percent_a", "percent_b"])
    mean = (shown["percent_a"] + shown["percent_b"]).to_numpy(dtype=float) / 2
    difference = shown["difference"].to_numpy(dtype=float)
    ax.axhline(0.0, color=NEUTRAL, linewidth=0.6)
    limits = summary[["limit_low", "limit_high"]].to_numpy(dtype=float)
    bias = float(summary["bias"])
    if np.isfinite(limits).all():
        ax.axhspan(*limits, color=_TINT, zorder=0)
        for limit in limits:
            ax.axhline(limit, color=NEUTRAL, linewidth=0.8, linestyle="--")
    if len(shown):
        ax.axhline(bias, color=ALARM, linewidth=1.0)
    ax.plot(mean, difference, "o", markersize=3.5, color="#1A1A1A", alpha=0.65, markeredgewidth=0)
    lines = [(bias, ALARM), *((float(limit), "#444444") for limit in limits)]
    _write_beside(ax, [(value, colour) for value, colour in lines if np.isfinite(value)])
    ax.set_xlabel("mean of both (% of parent)")
    ax.set_ylabel(f"{words[1]} less {words[0]}\n(percentage points)")
    ax.set_title(f"{display_name(str(summary['population']))} (n = {len(shown)} tubes)", fontsize=8, loc="left")
    return ax


def _write_beside(ax: Axes, lines: list[tuple[float, str]]) -> None:
    """Write each line's value right of the axes, moved apart where they are too close to be read."""
    ax.margins(y=0.12)
    ax.autoscale_view()
    low, high = ax.get_ylim()
    values = [value for value, _ in lines]
    low, high = min([low, *values]), max([high, *values])
    room = 0.06 * (high - low)
    ax.set_ylim(low - room, high + room)
    step = 0.085 * (high - low + 2 * room)  # height of a line of text in a panel of a page
    at = -np.inf
    for value, colour in sorted(lines):
        at = max(value, at + step)
        ax.annotate(
            _signed(value),
            (1.0, at), xycoords=("axes fraction", "data"), xytext=(2, 0), textcoords="offset points",
            va="center", fontsize=SMALL, color=colour, annotation_clip=False,
        )  # fmt: skip


def _signed(value: float) -> str:
    """Return a difference with its sign and two significant digits."""
    digits = 2 if 0.1 <= abs(value) < 10 else 1
    text = f"{value:+.{digits}f}" if abs(value) >= 0.1 else f"{value:+.2g}"
    return text.replace("-", "\N{MINUS SIGN}")


@style()
def bland_altman_page(pairs: pd.DataFrame, summaries: pd.DataFrame, words: tuple[str, str]) -> Figure:
    """Draw up to `PANELS` populations on a printed page.

    Parameters
    ----------
    pairs
        Rows of `GATING_PAIRS`.
    summaries
        Rows of `GATING_AGREEMENT`, one a panel.
    words
        What the gatings are called.
    """
    rows = -(-len(summaries) // 2)
    fig = figure(WIDTH, rows * 66 * MM)
    panels = fig.subplots(rows, 2, squeeze=False).ravel()
    for ax, (_, row) in zip(panels, summaries.iterrows(), strict=False):
        own = pairs[(pairs["path_a"] == row["path_a"]) & (pairs["path_b"] == row["path_b"])]
        bland_altman(own, row, words, ax=ax)
    for ax in panels[len(summaries) :]:
        ax.set_axis_off()
    return fig


@style()
def agreement_overview(summaries: pd.DataFrame, words: tuple[str, str]) -> Figure:
    """Draw the ratio of two gatings with its limits of agreement, and concordance and F1, a line a population.

    Parameters
    ----------
    summaries
        Rows of `GATING_AGREEMENT`.
    words
        What the gatings are called.
    """
    n = len(summaries)
    fig = figure(WIDTH, (22 + 4.6 * n) * MM)
    left, right = fig.subplots(1, 2, sharey=True, width_ratios=(1.25, 1.0))
    at = np.arange(n)[::-1]
    column = {
        name: summaries[name].to_numpy(dtype=float, na_value=np.nan) for name in summaries.select_dtypes("number")
    }
    for ax in (axes(left), axes(right)):
        ax.set_ylim(-0.8, n - 0.2)
        ax.grid(axis="y", color="#ECECEC", linewidth=0.6)
    left.hlines(at, column["ratio_limit_low"], column["ratio_limit_high"], color="#9DB4C8", linewidth=3.0)
    left.hlines(at, column["ratio_ci_low"], column["ratio_ci_high"], color="#1A1A1A", linewidth=1.0)
    left.plot(column["ratio"], at, "o", color=ALARM, markersize=3.5)
    left.axvline(1.0, color=NEUTRAL, linewidth=0.8)
    left.set_xscale("log")
    ends = ("limit_low", "limit_high", "ci_low", "ci_high")  # of few tubes the interval is the wider
    _plain_log(left, [column["ratio"], *(column[f"ratio_{name}"] for name in ends)])
    left.set_yticks(at, [display_name(str(name)) for name in summaries["population"]])
    left.set_xlabel(f"{words[1]} over {words[0]}: ratio of percents\nwith 95 % interval and limits of agreement")
    right.hlines(at, column["concordance_ci_low"], column["concordance_ci_high"], color=_FIRST, linewidth=1.0)
    right.plot(column["concordance"], at, "o", color=_FIRST, markersize=3.5, label="Lin's concordance, 95 % interval")
    if np.isfinite(column["f1"]).any():
        right.plot(column["f1"], at, "D", color=_SECOND, markersize=3.2, label="F1 of events")
    lowest = np.nanmin(np.concatenate([column["concordance_ci_low"], column["f1"], [0.9]]))
    right.set_xlim(max(-1.0, lowest - 0.03), 1.01)
    right.set_xlabel("agreement (1: equal)")
    fig.legend(loc="outside upper right", fontsize=SMALL, frameon=False, ncols=2)  # beyond the axes: none is narrowed
    return fig


def _plain_log(ax: Axes, columns: list[np.ndarray]) -> None:
    """Set ticks of a ratio's log axis that are read as numbers."""
    values = np.concatenate(columns)
    values = values[np.isfinite(values) & (values > 0)]
    low, high = (min(values.min(), 0.9), max(values.max(), 1.1)) if len(values) else (0.5, 2.0)
    steps = [0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 0.8, 0.9, 1.0, 1.1, 1.25, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0]
    ticks = [step for step in steps if low / 1.02 <= step <= high * 1.02]
    if high / low > 3:
        ticks = [step for step in ticks if step not in (0.8, 0.9, 1.1, 1.25)]
    ax.set_xlim(low / 1.04, high * 1.04)
    ax.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    ax.minorticks_off()
