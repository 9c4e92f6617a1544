"""Clusters: what each expresses, and where they are on a map."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from immunolab.plots.style import HALF, axes

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SHOWN_EVENTS = 5_000  # on a UMAP; more take minutes and overlap


def profile_plot(profiles: pd.DataFrame, markers: Sequence[str], ax: Axes | None = None) -> Axes:
    """Draw the median of every marker in every cluster, each marker from its lowest to its highest cluster.

    Parameters
    ----------
    profiles
        As ``profiles.csv`` holds it; medians are on the display scale.
    markers
        Names, the columns from the left.
    ax
        Axes to draw on; None makes a new figure.
    """
    ax = axes(ax, HALF)
    values = profiles[[f"median_{marker}" for marker in markers]].to_numpy(dtype=float)
    low, high = np.nanmin(values, axis=0), np.nanmax(values, axis=0)
    shown = (values - low) / np.where(high > low, high - low, 1.0)
    image = ax.imshow(shown, aspect="auto", cmap="viridis", vmin=0, vmax=1, interpolation="nearest")
    ax.set_xticks(range(len(markers)), list(markers), rotation=60, ha="right")
    rows = profiles.itertuples()
    names = [f"{row.cluster}  {row.label}  ({row.percent:.1f} %, n = {row.n_events:,})" for row in rows]
    ax.set_yticks(range(len(profiles)), names)
    bar = ax.figure.colorbar(image, ax=ax, shrink=0.6)
    bar.set_label("median, lowest to highest cluster")
    return ax


def map_plot(
    points: NDArray[np.float64], labels: NDArray[np.integer], names: Sequence[str], ax: Axes | None = None
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
    """
    from matplotlib import colormaps

    ax = axes(ax, HALF)
    palette = colormaps["tab20"](range(20))
    for number, name in enumerate(names):
        own = labels == number
        ax.scatter(
            points[own, 0], points[own, 1], s=1.5, linewidths=0, rasterized=True, label=name, color=palette[number % 20]
        )
    ax.set_xlabel(f"UMAP 1 (n = {len(points):,} events)")
    ax.set_ylabel("UMAP 2")
    ax.set_xticks([])
    ax.set_yticks([])
    ax.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), markerscale=4)
    return ax
