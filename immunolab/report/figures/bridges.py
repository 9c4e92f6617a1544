"""Charts of bridging controls: every endpoint and every channel over the batches."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial

import numpy as np
import pandas as pd

from immunolab.comparison.bridge_charts import FEWEST_RUNS, OUTSIDE
from immunolab.plots.levey_jennings import CHARTS_ON_PAGE, levey_jennings_page
from immunolab.report.figure import FigureSet, ReportFigure, figure_name
from immunolab.results.run import Run

_LIMITS = (
    "Line: mean; dotted: 2 sd; dashed: 3 sd; red cross: beyond 3 sd as the other runs say; cross on the axis: no value."
)


def channel_chart(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of one channel and landmark with the limits of their chart.

    Parameters
    ----------
    rows
        Of BRIDGE_CHANNELS, of one material, marker and landmark.
    """
    places = rows["median"].to_numpy(dtype=float)
    known = places[np.isfinite(places)]
    enough = known.size >= FEWEST_RUNS
    centre, sd = (float(known.mean()), float(known.std(ddof=1))) if enough else (np.nan, np.nan)
    limits = {"centre": 0.0, "low_2s": -2.0, "high_2s": 2.0, "low_3s": -OUTSIDE, "high_3s": OUTSIDE}
    return rows.assign(value=places, **{name: centre + k * sd for name, k in limits.items()})


def run_figures(run: Run) -> Iterator[ReportFigure]:
    """Yield the charts of every material: its endpoints, and its channels at one landmark population each."""
    values, channels = run.table("bridges"), run.table("bridge_channels")
    named = [table["bridge"] for table in (values, channels) if len(table)]
    for bridge in dict.fromkeys(name for names in named for name in names):
        if len(values):
            own = values[values["bridge"] == bridge]
            charts = [(run.label_of(str(name)).short, rows) for name, rows in own.groupby("endpoint", sort=False)]
            n = own["sample_id"].nunique()
            caption = f"Bridging control {bridge}, n = {n} tubes: every endpoint over the batches. {_LIMITS}"
            yield from _pages("bridge_endpoints", str(bridge), charts, caption)
        theirs = channels[channels["bridge"] == bridge] if len(channels) else channels
        if len(theirs):
            n = theirs["sample_id"].nunique()
            caption = (
                f"Bridging control {bridge}, n = {n} tubes: median of each marker in the landmark population that "
                f"repeats itself best, display scale, over the batches. {_LIMITS}"
            )
            yield from _pages("bridge_channels", str(bridge), _steadiest(theirs), caption)


def _steadiest(rows: pd.DataFrame) -> list[tuple[str, pd.DataFrame]]:
    """Return a chart a marker: of the landmark with the smallest spread of its events, which is one cloud."""
    found = []
    for (panel, marker), of in rows.groupby(["panel", "marker"], sort=False, dropna=False):
        spreads = of.groupby("landmark")["spread"].median()
        name = spreads.idxmin()
        title = f"{marker} of {name}" + (f" ({panel})" if pd.notna(panel) and rows["panel"].nunique() > 1 else "")
        found.append((title, channel_chart(of[of["landmark"] == name])))
    return found


def _pages(kind: str, bridge: str, charts: Sequence[tuple[str, pd.DataFrame]], caption: str) -> Iterator[ReportFigure]:
    shown = [(title, rows) for title, rows in charts if rows["value"].notna().any()]
    for page in range(-(-len(shown) // CHARTS_ON_PAGE)):
        some = shown[page * CHARTS_ON_PAGE : (page + 1) * CHARTS_ON_PAGE]
        data = pd.concat([rows for _, rows in some], ignore_index=True)
        name = figure_name(kind, bridge, str(page + 1) if page else "")
        yield ReportFigure(name, "quality", caption, partial(levey_jennings_page, some), data, wide=True)


FIGURES = FigureSet(91, per_run=run_figures)
