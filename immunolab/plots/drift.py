"""Where borders were placed over the run: one panel a border, ticks in instrument units."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from immunolab.plots.names import shortened
from immunolab.plots.numbers import number
from immunolab.plots.style import BATCH_COLOURS, MM, NEUTRAL, SMALL, WIDTH, axes, figure, style
from immunolab.schema.flags import shown

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

BORDERS_ON_PAGE = 24  # panels of a printed page, four in a row
_ACROSS = 4
_TITLE = 24  # characters over a panel: what its width holds of these letters
_APART = 0.3  # share of an axis between two ticks with text


@style()
def gate_drift(thresholds: pd.DataFrame, order: Sequence[str], *, batches: Mapping[str, str] | None = None) -> Figure:
    """Return where each border was placed in each sample, in run order, one panel a border.

    Places are on the display scale of the gate; ticks are the instrument values at the lowest, the middle and the
    highest border. Populations that share a border share its panel. A line marks each change of batch.

    Parameters
    ----------
    thresholds
        THRESHOLDS rows.
    order
        sample_ids in the order they were acquired.
    batches
        sample_id to batch, which colours the points.
    """
    panels = list(borders(thresholds, order))
    rows = max(1, -(-len(panels) // _ACROSS))
    height = 22 + 34 * rows
    fig = figure(WIDTH, height * MM, layout=None)
    grid = fig.add_gridspec(
        rows, _ACROSS, left=0.085, right=0.99, bottom=11 / height, top=1 - 12 / height, wspace=0.42, hspace=0.48
    )
    tints = _tints(order, batches or {})
    for i, (marker, populations, frame) in enumerate(panels):
        ax = axes(fig.add_subplot(grid[i]))
        _draw_border(ax, frame, order, batches or {}, tints)
        ax.set_title(_title(marker, populations), fontsize=SMALL)
        if (n := int(np.isfinite(frame["threshold"].to_numpy(dtype=float)).sum())) < len(frame):
            ax.set_xlabel(f"n = {n}", fontsize=SMALL)
        if i % _ACROSS == 0:
            ax.set_ylabel("border", fontsize=SMALL)
    fig.text(0.53, 1.5 / height, f"{len(order)} samples, in run order", fontsize=8, ha="center", va="bottom")
    _batch_key(fig, tints, 1 - 2 / height)
    return fig


def borders(thresholds: pd.DataFrame, order: Sequence[str]) -> Iterator[tuple[str, list[str], pd.DataFrame]]:
    """Yield each distinct border: its marker, its populations, and its rows by sample in run order.

    Parameters
    ----------
    thresholds, order
        As for `gate_drift`.

    Yields
    ------
    (str, list of str, DataFrame)
        Marker, populations that share the border, and rows indexed by sample.
    """
    shared: dict[tuple[object, ...], tuple[list[str], pd.DataFrame]] = {}
    for (marker, population), rows in thresholds.groupby(["marker", "population"], sort=False):
        frame = rows.drop_duplicates("sample_id").set_index("sample_id").reindex(list(order))
        key = (marker, *frame["threshold"].fillna(np.inf))
        shared.setdefault(key, ([], frame))[0].append(str(population))
    for key, (populations, frame) in shared.items():
        yield str(key[0]), populations, frame


def _title(marker: str, populations: Sequence[str]) -> str:
    """Return the marker and its first population, as long as the number of further ones leaves room for."""
    more = f" +{len(populations) - 1}" if len(populations) > 1 else ""
    return f"{shortened(f'{marker}: {populations[0]}', _TITLE - len(more))}{more}"


def _tints(order: Sequence[str], batches: Mapping[str, str]) -> dict[str, str]:
    names = dict.fromkeys(batches.get(sample, "") for sample in order)
    return {name: BATCH_COLOURS[i % len(BATCH_COLOURS)] for i, name in enumerate(names)}


def _draw_border(
    ax: Axes,
    frame: pd.DataFrame,
    order: Sequence[str],
    batches: Mapping[str, str],
    tints: Mapping[str, str],
) -> None:
    places = np.arange(len(frame))
    batch = np.array([batches.get(str(sample), "") for sample in frame.index], dtype=object)
    values, low, high = (frame[name].to_numpy(dtype=float) for name in ("threshold", "ci_low", "ci_high"))
    doubtful = np.array([bool(shown(flag)) for flag in frame["flag"]])
    for name, tint in tints.items():
        own = (batch == name) & np.isfinite(values)
        ax.vlines(places[own], low[own], high[own], color=tint, linewidth=0.8)
        for part, face in ((own & ~doubtful, tint), (own & doubtful, "white")):
            ax.plot(places[part], values[part], "o", color=tint, markersize=2.6, markerfacecolor=face)
    for i in np.flatnonzero(batch[1:] != batch[:-1]) + 0.5:
        ax.axvline(i, color="#888888", linewidth=0.6, linestyle=":")
    ax.set(xlim=(-0.7, max(len(order), 1) - 0.3), xticks=[])
    _instrument_ticks(ax, frame)


def _instrument_ticks(ax: Axes, frame: pd.DataFrame) -> None:
    """Label the lowest, middle and highest border with what the instrument reads there, as far as they are apart."""
    known = frame.dropna(subset=["threshold", "threshold_raw"]).sort_values("threshold")
    if known.empty:
        return
    span = float(np.ptp(ax.get_ylim()))
    ticks: dict[float, str] = {}
    for place in (0, len(known) - 1, len(known) // 2):
        at, raw = float(known["threshold"].iloc[place]), float(known["threshold_raw"].iloc[place])
        if all(abs(at - other) > _APART * span for other in ticks):
            ticks[at] = number(raw, 3)
    ax.set_yticks(list(ticks), list(ticks.values()))


def _batch_key(fig: Figure, tints: Mapping[str, str], height: float) -> None:
    at = 0.012
    for name, tint in tints.items():
        text = f"● batch {shortened(name, 20)}"
        if name and at < 0.9:
            fig.text(at, height, text, fontsize=SMALL, color=tint if tint != "#000000" else NEUTRAL, va="top")
            at += 0.012 * len(text) + 0.01
