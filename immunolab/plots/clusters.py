"""Clusters: what each expresses, and where they are on a map."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from immunolab.plots.numbers import number, p_number
from immunolab.plots.style import HALF, MM, NEUTRAL, SMALL, WIDTH, axes, style
from immunolab.plots.texts_apart import texts_apart

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from immunolab.clustering.cluster_number import ClusterNumber

# palettes of matplotlib and their greys, which are left out: grey is what has no label
_PALETTES = {"tab20": (14, 15), "tab20b": (), "tab20c": (16, 17, 18, 19)}
SHOWN_EVENTS = 5_000  # on a UMAP; more take minutes and overlap


def profile_plot(
    profiles: pd.DataFrame, markers: Sequence[str], ax: Axes | None = None, *, what: str = "cluster"
) -> Axes:
    """Draw the median of every marker in every cluster, each marker from its lowest to its highest cluster.

    Parameters
    ----------
    profiles
        As ``profiles.csv`` holds it; medians are on the display scale.
    markers
        Names, the columns from the left.
    ax
        Axes to draw on; None makes a new figure.
    what
        What a row is.
    """
    ax = axes(ax, HALF)
    values = profiles[[f"median_{marker}" for marker in markers]].to_numpy(dtype=float)
    low, high = np.nanmin(values, axis=0), np.nanmax(values, axis=0)
    shown = (values - low) / np.where(high > low, high - low, 1.0)
    image = ax.imshow(shown, aspect="auto", cmap="viridis", vmin=0, vmax=1, interpolation="nearest")
    ax.set_xticks(range(len(markers)), list(markers), rotation=60, ha="right")
    rows = profiles.itertuples()
    names = [
        f"{' '.join(filter(None, (str(row.cluster), row.label)))}  ({row.percent:.1f} %, n = {row.n_events:,})"
        for row in rows
    ]
    ax.set_yticks(range(len(profiles)), names)
    bar = ax.figure.colorbar(image, ax=ax, shrink=0.6)
    bar.set_label(f"median, lowest\nto highest {what}")
    return ax


def distinct_colours() -> list[Any]:
    """Return 54 colours that differ, without greys; the first 18 differ most."""
    from matplotlib import colormaps

    return [
        tint for name, greys in _PALETTES.items() for k, tint in enumerate(colormaps[name](range(20))) if k not in greys
    ]


def map_height(n: int) -> float:
    """Return the height in inches at which `map_plot` has room for every name beside the map.

    Parameters
    ----------
    n
        How many names.
    """
    return max(HALF, 0.17 * n)


def map_plot(
    points: NDArray[np.float64],
    labels: NDArray[np.integer],
    names: Sequence[str],
    ax: Axes | None = None,
    *,
    colours: Sequence[Any] = (),
    unit: str = "events",
    numbers: Sequence[str] = (),
) -> Axes:
    """Draw events on a two-dimensional map, one colour a cluster.

    Parameters
    ----------
    points
        Events x 2.
    labels
        Cluster of each event, counted from 0.
    names
        Of the clusters, for the legend.
    ax
        Axes to draw on; None makes a new figure.
    colours
        Of the clusters; `distinct_colours` by default.
    unit
        What a point is: events or cells.
    numbers
        Of the clusters, written in the middle of each; empty ones, and by default all, are not.
    """
    ax = axes(ax, 1.6 * HALF, map_height(len(names)))
    palette = colours or distinct_colours()
    for k, name in enumerate(names):
        own = labels == k
        ax.scatter(
            points[own, 0],
            points[own, 1],
            s=1.5,
            linewidths=0,
            rasterized=True,
            label=name,
            color=palette[k % len(palette)],
        )
    ax.set_xlabel(f"UMAP 1 (n = {len(points):,} {unit})")
    ax.set_ylabel("UMAP 2")
    ax.set_xticks([])
    ax.set_yticks([])
    ax.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), markerscale=4, fontsize=SMALL, labelspacing=0.3)
    written = [k for k, text in enumerate(numbers) if text and np.any(labels == k)]
    texts_apart(ax, _middles(points, labels, written), [numbers[k] for k in written])
    return ax


def _middles(points: NDArray[np.float64], labels: NDArray[np.integer], clusters: Sequence[int]) -> NDArray[np.float64]:
    """Return of each cluster the one of its events that is nearest to the middle of them: few stay seen."""
    own = (points[labels == k] for k in clusters)
    middle = [one[np.argmin(((one - np.median(one, axis=0)) ** 2).sum(axis=1))] for one in own]
    return np.array(middle, dtype=np.float64).reshape(-1, 2)


@style()
def number_plot(number: ClusterNumber, ax: Axes | None = None) -> Axes:
    """Draw how many clusters are found again and how far clusterings agree, by the number they are cut into.

    Parameters
    ----------
    number
        With numbers that were tried.
    ax
        Axes to draw on; None makes a new figure.
    """
    from matplotlib.ticker import MaxNLocator

    ax = axes(ax, HALF)
    found_again, agreement = number.found_again, number.agreement
    most = max(found_again.values())
    low, high = zip(*number.between.values(), strict=True)
    ax.fill_between(list(number.between), low, high, step="mid", color=NEUTRAL, alpha=0.35, linewidth=0)
    ax.step(list(found_again), list(found_again.values()), where="mid", color="#000000", linewidth=1.2)
    ax.axhline(most, color=NEUTRAL, linewidth=0.7, zorder=1)
    ax.text(min(found_again), most, f"{most} found again", fontsize=SMALL, ha="left", va="bottom")
    ax.set_ylim(0, 1.25 * max(*high, 2))
    ax.yaxis.set_major_locator(MaxNLocator(integer=True))
    ax.set_xlabel("clusters that events are parted into, at most")
    ax.set_ylabel("clusters found again\nby halves (line; 9 of 11 maps)")
    beside, tint = ax.twinx(), "#2166ac"
    beside.plot(list(agreement), list(agreement.values()), color=tint, linewidth=1.0, linestyle="--")
    beside.set_ylim(0, 1.25)
    beside.set_yticks([0.0, 0.5, 1.0])
    beside.set_ylabel("agreement of halves\n(adjusted Rand index, dashed)", color=tint, fontsize=8)
    beside.tick_params(axis="y", colors=tint, labelsize=SMALL, width=0.6)
    return ax


def signal_map(
    points: NDArray[np.float64], values: NDArray[np.float64], what: str, *, ax: Axes, unit: str = "events"
) -> Axes:
    """Draw events on a two-dimensional map, coloured by a number; the highest are drawn last.

    Parameters
    ----------
    points
        Events x 2.
    values
        One an event.
    what
        Label of the colours, with their scale.
    ax
        Axes to draw on.
    unit
        What a point is: events or cells.

    Returns
    -------
    Axes
        The axes drawn on.
    """
    known = np.isfinite(values)
    low, high = np.quantile(values[known], [0.01, 0.99]) if known.any() else (0.0, 1.0)
    order = np.argsort(np.where(known, values, -np.inf), kind="stable")
    drawn = ax.scatter(
        points[order, 0],
        points[order, 1],
        c=values[order],
        s=1.5,
        linewidths=0,
        cmap="viridis",
        vmin=low,
        vmax=high,
        rasterized=True,
    )
    bar = ax.figure.colorbar(drawn, ax=ax, shrink=0.6, extend="both")
    bar.set_label(f"{what}, 1 to 99 %")
    ax.set_xlabel(f"UMAP 1 (n = {len(points):,} {unit})")
    ax.set_ylabel("UMAP 2")
    ax.set_xticks([])
    ax.set_yticks([])
    return ax


def abundance_height(rows: pd.DataFrame) -> float:
    """Return the height in inches at which `abundance_plot` has room for every cluster.

    Parameters
    ----------
    rows
        The rows it draws.
    """
    return (24 + 5.2 * len(rows)) * MM


@style()
def abundance_plot(rows: pd.DataFrame, ax: Axes | None = None) -> Axes:
    """Draw the change of each cluster between two visits, the greatest rise first, with shares and q beside it.

    Parameters
    ----------
    rows
        Rows of ``abundance.csv`` of one cohort.
    ax
        Axes to draw on; None makes a new figure.
    """
    ax = axes(ax, WIDTH, abundance_height(rows))
    ordered = rows.sort_values("estimate", ascending=False, na_position="last")
    beside: dict[str, Any] = {"transform": ax.get_yaxis_transform(), "fontsize": SMALL, "va": "center"}
    drawn = [0.0]
    for y, row in enumerate(ordered.to_dict("records")):
        shares = f"{number(row['median_before'])} to {number(row['median_after'])} %"
        ax.text(1.01, y, shares, **beside)
        if pd.isna(row["p_value"]):
            ax.text(0.5, y, str(row["method"]), ha="center", color="#666666", **beside)
            continue
        ax.text(1.22, y, p_number(row["q_value"]), **beside)
        drawn += _abundance_row(ax, y, row)
    reach = max(1.0, 1.1 * float(np.abs(np.array(drawn) / np.log(2.0)).max()))
    ax.axvline(0.0, color=NEUTRAL, linewidth=0.7, zorder=1)
    ax.set_xlim(-reach, reach)
    step = max(1, int(reach) // 3)
    ticks = list(range(-step * (int(reach) // step), int(reach) + 1, step))
    ax.set_xticks(ticks, [f"{2.0**tick:g}" for tick in ticks])
    ax.set_yticks(range(len(ordered)), [f"{row.cluster}  {row.label}" for row in ordered.itertuples()])
    ax.set_ylim(len(ordered) - 0.4, -0.8)
    first = rows.iloc[0]
    ax.set_xlabel(f"share after / before ({first['contrast']}, n = {first['n_pairs']} pairs), log2 axis, 95 % interval")
    for x, word in ((1.01, "median share"), (1.22, "q")):
        ax.text(x, 1.0, word, transform=ax.transAxes, fontsize=SMALL, weight="bold", va="bottom")
    return ax


def _abundance_row(ax: Axes, y: float, row: Mapping[Hashable, Any]) -> list[float]:
    """Draw a cluster's interval, an arrow where it has no end, and return what is drawn (log)."""
    called = row["q_value"] < 0.05
    tint = "#000000" if called else "#808080"
    ends = [row["ci_low"], row["ci_high"]]
    known = [end for end in (*ends, row["estimate"]) if np.isfinite(end)]
    low, high = (
        end if np.isfinite(end) else known[0] + side * np.log(2.0) for end, side in zip(ends, (-1, 1), strict=True)
    )
    ax.plot([low / np.log(2.0), high / np.log(2.0)], [y, y], color=tint, linewidth=1.2, zorder=2)
    for end, at, marker in zip(ends, (low, high), "<>", strict=True):
        if not np.isfinite(end):
            ax.plot(at / np.log(2.0), y, marker, color=tint, markersize=4)
    if np.isfinite(row["estimate"]):
        face = tint if called else "white"
        ax.plot(row["estimate"] / np.log(2.0), y, "s", color=tint, markerfacecolor=face, markersize=4, zorder=3)
    return [low, high]
