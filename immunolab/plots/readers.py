"""How far two readers agree, gate by gate."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from immunolab.plots.style import ALARM, MM, SMALL, WIDTH, axes, figure, style
from immunolab.vocabulary.display_names import display_name

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_CONCORDANCE, _EVENTS, _DECISIONS = "#0072B2", "#D55E00", "#009E73"  # Okabe and Ito


@style()
def readers_plot(table: pd.DataFrame) -> Figure:
    """Draw CV, concordance and kappas of two readers, a line a gate.

    Parameters
    ----------
    table
        Rows of `READERS` of two readers.
    """
    n = len(table)
    fig = figure(WIDTH, (24 + 4.6 * n) * MM)
    left, right = fig.subplots(1, 2, sharey=True, width_ratios=(1.0, 1.3))
    at = np.arange(n)[::-1]
    column = {name: table[name].to_numpy(dtype=float, na_value=np.nan) for name in table.select_dtypes("number")}
    for ax in (axes(left), axes(right)):
        ax.set_ylim(-0.8, n - 0.2)
        ax.grid(axis="y", color="#ECECEC", linewidth=0.6)
    left.hlines(at, 0, column["cv"], color=ALARM, linewidth=1.0)
    left.plot(column["cv"], at, "o", color=ALARM, markersize=3.5)
    left.set_xlim(0, max(1.0, 1.08 * float(np.nanmax([*column["cv"], 0.0]))))
    left.set_yticks(at, [display_name(str(name)) for name in table["population"]])
    left.set_xlabel("CV between readers (%)")
    marks = (("concordance", _CONCORDANCE, "o", "Lin's concordance, 95 % interval"), ("kappa_events", _EVENTS, "D", ""))
    right.hlines(at, column["concordance_ci_low"], column["concordance_ci_high"], color=_CONCORDANCE, linewidth=1.0)
    words = {"kappa_events": "kappa of events", "kappa_decisions": "kappa of decisions"}
    for name, tint, mark, label in (*marks, ("kappa_decisions", _DECISIONS, "s", "")):
        if np.isfinite(column[name]).any():
            right.plot(column[name], at, mark, color=tint, markersize=3.5, label=label or words[name])
    values = [column[name] for name in ("concordance_ci_low", "concordance", "kappa_events", "kappa_decisions")]
    right.set_xlim(max(-1.0, float(np.nanmin(np.concatenate([*values, [0.9]]))) - 0.03), 1.01)
    right.set_xlabel("agreement (1: equal)")
    fig.legend(loc="outside upper right", fontsize=SMALL, frameon=False, ncols=3)  # beyond the axes: none is narrowed
    first = table.iloc[0]
    left.set_title(f"{first['reader_a']} and {first['reader_b']}", fontsize=8, loc="left")
    return fig
