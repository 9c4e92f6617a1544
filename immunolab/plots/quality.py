"""Quality over the run: one check's values sample by sample."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import pandas as pd

from immunolab.plots.labels import folded
from immunolab.plots.names import name_ticks
from immunolab.plots.style import ALARM, BATCH_COLOURS, MM, SMALL, WIDTH, axes, style
from immunolab.schema.flags import Check

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_STATUS_MARKERS = {"ok": "o", "warn": "s", "fail": "X"}


@style()
def check_over_run(
    quality: pd.DataFrame,
    check: str,
    order: Sequence[str],
    *,
    batches: Mapping[str, str] | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw one check's value of every sample in run order, its limit, and what warned or failed in red.

    Parameters
    ----------
    quality
        QUALITY rows.
    check
        Name of the check.
    order
        sample_ids in the order they were acquired.
    batches
        sample_id to batch, which colours the points.
    ax
        Axes to draw on; None makes a new figure.
    """
    ax = axes(ax, WIDTH, 62 * MM)
    rows = quality[quality["check"] == check].drop_duplicates("sample_id").set_index("sample_id").reindex(list(order))
    names = list(dict.fromkeys((batches or {}).get(sample, "") for sample in order))
    for i, (sample, row) in enumerate(rows.iterrows()):
        if pd.isna(row["value"]):
            continue
        tint = BATCH_COLOURS[names.index((batches or {}).get(str(sample), "")) % len(BATCH_COLOURS)]
        bad = row["status"] != "ok"
        ax.plot(i, row["value"], _STATUS_MARKERS[str(row["status"])], color=ALARM if bad else tint, markersize=4)
    limits = rows["limit"].dropna()
    if limits.nunique() == 1:
        ax.axhline(float(limits.iloc[0]), color="#777777", linewidth=0.7, linestyle=":")
        limit = float(limits.iloc[0])
        ax.annotate(f"limit {limit:g}", (1, limit), (-1, -1), xycoords=ax.get_yaxis_transform(),
                    textcoords="offset points", ha="right", va="top", fontsize=SMALL, color="#555555")  # fmt: skip
    low = float(rows["value"].min()) if rows["value"].notna().any() else 0.0
    if low >= 0:
        ax.set_ylim(0, None)
    ax.set_xlim(-0.7, max(len(order), 1) - 0.3)
    name_ticks(ax, list(order), "samples, in run order")
    ax.set_ylabel(folded(Check(check).meaning, 20))
    return ax
