"""Time to an event with patients at risk under the axis, and the curves of a suppression assay."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import cycle
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from immunolab.plots.style import HALF, MM, NEUTRAL, WIDTH, axes, style

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_VISIT_COLOURS = (NEUTRAL, "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")


@style()
def survival_curve(curve: pd.DataFrame, summary: pd.Series, *, ax: Axes | None = None) -> Axes:
    """Draw a Kaplan-Meier curve with its 95 % band, a tick for each censored patient and n at risk under the axis.

    Parameters
    ----------
    curve
        One cohort and endpoint of the table survival.
    summary
        Its row of the table time_to_event.
    ax
        Axes to draw on; None makes a new figure.
    """
    ax = axes(ax, WIDTH, 70 * MM)
    steps = pd.concat([pd.DataFrame({"study_day": [1], "percent": [100.0]}), curve], ignore_index=True)
    known = steps.dropna(subset=["percent"])
    day, percent = (known[name].to_numpy(dtype=float) for name in ("study_day", "percent"))
    low, high = (known[name].to_numpy(dtype=float) for name in ("ci_low", "ci_high"))
    ax.fill_between(day, low, high, step="post", color="#0072B2", alpha=0.18, linewidth=0)
    ax.step(day, percent, where="post", color="#0072B2", linewidth=1.4)
    lost = known[known["n_censored"] > 0]
    ax.plot(lost["study_day"].to_numpy(), lost["percent"].to_numpy(), "|", color="black", markersize=7, zorder=3)
    marked = curve[curve["visit"].notna()]
    marked = marked if len(marked) else curve.iloc[[0, -1]]
    ax.set_xticks(marked["study_day"].astype(int).tolist(), [_under(row) for _, row in marked.iterrows()])
    ax.set_ylim(0, 103)
    ax.set_xlim(-4, max(day.max(), marked["study_day"].max()) + 8)
    ax.set_ylabel("patients without the event, %")
    median = "not reached" if pd.isna(summary["median_day"]) else f"day {summary['median_day']:.0f}"
    happened = "1 event" if summary["n_events"] == 1 else f"{summary['n_events']} events"
    ax.set_title(
        f"{summary['endpoint']}: {happened}, {summary['n_censored']} censored (ticks), "
        f"n = {summary['n_with_outcome']} of {summary['n_patients']}; median {median}"
    )
    return ax


def _under(row: pd.Series) -> str:
    name = "" if pd.isna(row["visit"]) else f"{row['visit']}\n"
    return f"{name}day {row['study_day']}\n{row['n_at_risk']} at risk"


@style()
def suppression_curves(curves: pd.DataFrame, visits: Sequence[str], *, ax: Axes | None = None) -> Axes:
    """Draw percent inhibition over the Treg to responder ratio: thin lines patients, thick the median, by visit.

    Parameters
    ----------
    curves
        Rows of the table suppression.
    visits
        Those to draw, the earliest first.
    ax
        Axes to draw on; None makes a new figure.
    """
    ax = axes(ax, HALF, 75 * MM)
    for visit, colour in zip(visits, cycle(_VISIT_COLOURS), strict=False):
        table = curves[curves["visit"] == visit].pivot(
            index="patient_id", columns="treg_per_responder", values="percent_inhibition"
        )
        at = np.log2(table.columns.to_numpy(dtype=float))
        for _, line in table.iterrows():
            ax.plot(at, line.to_numpy(dtype=float), "-", color=colour, linewidth=0.5, alpha=0.45)
        middle, n = table.median().to_numpy(dtype=float), table.count()
        text = f"{visit}, median (n = {n.max() if n.nunique() == 1 else f'{n.min()} to {n.max()}'})"
        ax.plot(at, middle, "-o", color=colour, linewidth=1.8, markersize=4, label=text)
    ratios = curves.drop_duplicates("treg_per_responder").sort_values("treg_per_responder")
    ax.set_xticks(np.log2(ratios["treg_per_responder"].to_numpy(dtype=float)), ratios["ratio"].tolist())
    ax.axhline(0, color="#777777", linewidth=0.6)
    ax.set_xlabel("Treg to responder cells, log scale")
    ax.set_ylabel("inhibition of proliferation, %")
    ax.legend(loc="upper left")
    return ax
