"""Time to an event with patients at risk under the axis, and the curves of a suppression assay."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import cycle
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from immunolab.plots.labels import folded
from immunolab.plots.style import HALF, MM, NEUTRAL, WIDTH, axes, style
from immunolab.vocabulary.display_names import display_name

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_VISIT_COLOURS = (NEUTRAL, "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
_MOST_TICKS, _MOST_TICKS_SMALL = 9, 3  # visits under a time axis: a name with patients at risk takes so much room


@style()
def survival_curve(curve: pd.DataFrame, summary: pd.Series, *, small: bool = False, ax: Axes | None = None) -> Axes:
    """Draw a Kaplan-Meier curve with its 95 % band, a tick for each censored patient and n at risk under the axis.

    Parameters
    ----------
    curve
        One cohort and endpoint of the table survival.
    summary
        Its row of the table time_to_event.
    small
        Whether only the visits' names and the patients at risk are under the axis.
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
    end = max(day.max(), float(marked["study_day"].max()))
    _risk_ticks(ax, marked, end, _MOST_TICKS_SMALL if small else _MOST_TICKS, small)
    ax.set_ylim(0, 103)
    ax.set_xlim(-0.02 * end, 1.04 * end)
    ax.set_ylabel(folded(_free_of(str(summary["endpoint"])), 26 if small else 44))
    return ax


def _free_of(endpoint: str) -> str:
    """Return whose share the curve is: of survival the event is death, and the curve that of the living."""
    return "patients alive, %" if endpoint == "survival" else f"patients without {display_name(endpoint)}, %"


def _risk_ticks(ax: Axes, marked: pd.DataFrame, end: float, most: int, small: bool) -> None:
    """Name visits with the patients at risk under the axis, as many as have room."""
    kept: list[pd.Series] = []
    for _, row in marked.iterrows():
        if not kept or row["study_day"] - kept[-1]["study_day"] >= end / most:
            kept.append(row)
    ax.set_xticks([int(row["study_day"]) for row in kept], [_under(row, small) for row in kept])


def _under(row: pd.Series, small: bool) -> str:
    name = [] if pd.isna(row["visit"]) else [folded(str(row["visit"]), 10)]
    day = [] if small and name else [f"day {row['study_day']}"]
    return "\n".join([*name, *day, f"{row['n_at_risk']} at risk"])


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
