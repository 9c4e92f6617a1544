"""Counts here beside counts there: how far apart, in percent of the parent."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from immunolab.plots.style import ALARM, HALF, NEUTRAL

if TYPE_CHECKING:
    from matplotlib.axes import Axes

LIMIT = 0.2  # percent of the parent
_LEAST = 0.01  # lowest percent drawn


def agreement_plot(table: pd.DataFrame, ax: Axes | None = None, *, limit: float = LIMIT) -> Axes:
    """Draw each population's difference in percent of its parent against its percent of parent.

    Parameters
    ----------
    table
        As `immunolab.gating.agreement.agreement` gives it.
    ax
        Axes to draw on; None makes a new figure.
    limit
        Half-width of the band within which counts agree, in percent of the parent.
    """
    from matplotlib import pyplot as plt

    if ax is None:
        _, ax = plt.subplots(figsize=(HALF, HALF * 0.8), layout="constrained")
    shown = table[(table["path"] != "/") & table["difference_percent_of_parent"].notna()]
    x = pd.to_numeric(shown["percent_of_parent_here"]).to_numpy(dtype=float)
    y = pd.to_numeric(shown["difference_percent_of_parent"]).to_numpy(dtype=float)
    outside = np.abs(y) > limit
    ax.axhspan(-limit, limit, color="#E3EAF2", zorder=0)
    ax.axhline(0.0, color=NEUTRAL, linewidth=0.6)
    ax.scatter(x[~outside], y[~outside], s=10, color=NEUTRAL, label=f"within {limit:g} % (n = {int((~outside).sum())})")
    ax.scatter(x[outside], y[outside], s=12, color=ALARM, marker="D", label=f"beyond (n = {int(outside.sum())})")
    ax.set_xlabel("percent of parent, here (%)")
    ax.set_ylabel("events here - events there (% of parent)")
    ax.legend(loc="best")
    return ax


def method_plot(pairs: pd.DataFrame, summary: pd.DataFrame, methods: tuple[str, str], ax: Axes | None = None) -> Axes:
    """Draw one endpoint's differences of two methods against their mean, with bias and limits of agreement.

    Parameters
    ----------
    pairs
        Rows of one endpoint, as `immunolab.comparison.method_agreement.paired_methods` gives them.
    summary
        That endpoint's row of `method_agreement`.
    methods
        Names of the first and the second method.
    ax
        Axes to draw on; None makes a new figure.
    """
    from immunolab.plots.style import axes

    ax = axes(ax, HALF, HALF * 0.8)
    first, second = pairs["logit_first"].to_numpy(dtype=float), pairs["logit_second"].to_numpy(dtype=float)
    row = summary.iloc[0]
    percent = 100.0 / (1.0 + np.exp(-(first + second) / 2))
    if np.isfinite(row["limit_low"]):
        ax.axhspan(row["limit_low"], row["limit_high"], color="#E3EAF2", zorder=0)
    ax.axhline(0.0, color=NEUTRAL, linewidth=0.6)
    ax.axhline(row["bias"], color=ALARM, linewidth=0.9)
    ax.scatter(np.maximum(percent, _LEAST), second - first, s=12, color=NEUTRAL)
    ax.set_xscale("log")
    ax.set_xlabel(f"mean of both (% of {row['parent']})")
    ax.set_ylabel(f"{methods[1]} less {methods[0]} (log odds)")
    ax.set_title(f"{row['population']}: odds ratio {row['odds_ratio']:.2f} (n = {row['n_pairs']} visits)", fontsize=8)
    return ax
