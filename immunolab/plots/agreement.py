"""Counts here beside counts there: how far apart, in percent of the parent."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from immunolab.plots.style import ALARM, HALF, NEUTRAL

if TYPE_CHECKING:
    from matplotlib.axes import Axes

LIMIT = 0.2  # percent of the parent


def agreement_plot(table: pd.DataFrame, ax: Axes | None = None, *, limit: float = LIMIT) -> Axes:
    """Draw each population's difference in percent of its parent against its percent of parent.

    Parameters
    ----------
    table : as `immunolab.gating.agreement.agreement` gives it.
    limit : half-width of the band within which counts agree, in percent of the parent.
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
