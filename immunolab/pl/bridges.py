"""Bridging controls over the batches of a finished run."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from immunolab.errors import InputError, Problem, nearest
from immunolab.pl.subject import one_of
from immunolab.plots import levey_jennings as charts
from immunolab.plots.style import style
from immunolab.report.figures.bridges import channel_chart
from immunolab.results.run import Run

if TYPE_CHECKING:
    from matplotlib.axes import Axes


@style()
def levey_jennings(
    run: Run, what: str, *, landmark: str = "", bridge: str = "", panel: str = "", ax: Axes | None = None
) -> Axes:
    """Draw a bridging control run after run, with its mean and limits of two (dotted) and three sd (dashed).

    A run that is beyond three sd as the material's other runs say is red.

    Parameters
    ----------
    run
        A finished run of a study with bridging controls.
    what
        Endpoint id; or a marker, whose median in a landmark population is drawn on the display scale.
    landmark
        Of a marker: the population; needed where there are several.
    bridge
        The material; needed where there are several.
    panel
        Of a marker: the panel; needed where several have the marker.
    ax
        Axes to draw on; None makes a new figure.

    Returns
    -------
    Axes
        Runs are at x = 0, 1, 2 ... in run order.

    Raises
    ------
    InputError
        The run has no bridging control, or no such endpoint, marker, population or material.
    """
    values, channels = run.table("bridges"), run.table("bridge_channels")
    if values.empty and channels.empty:
        hint = "name a material and its batch in the sheet's column bridge"
        raise InputError(Problem("", "levey_jennings", "the run has no bridging control", hint))
    endpoints = set(values["endpoint"]) if len(values) else set()
    known = [*dict.fromkeys([*sorted(endpoints), *(channels["marker"] if len(channels) else ())])]
    if what not in known:
        hint = f"{nearest(what, known)} there are: {', '.join(known)}".strip()
        raise InputError(Problem("", "what", f"no endpoint or marker '{what}' of a bridging control", hint))
    of_endpoint = what in endpoints
    rows = values[values["endpoint"] == what] if of_endpoint else channels[channels["marker"] == what]
    rows = rows[rows["bridge"] == _one(bridge, rows["bridge"], "bridge", "material")]
    if of_endpoint:
        return charts.levey_jennings(rows, label=f"{what}, {rows['unit'].iloc[0]}", ax=ax)
    panels = rows["panel"].astype(object).where(rows["panel"].notna(), "")
    rows = rows[panels == _one(panel, panels, "panel", "panel")]
    name = _one(landmark, rows["landmark"], "landmark", "landmark population")
    chart: pd.DataFrame = channel_chart(rows[rows["landmark"] == name])
    return charts.levey_jennings(chart, label=f"{what}, median of {name}, display scale", ax=ax)


def _one(word: str, names: pd.Series, argument: str, what: str) -> str:
    """Return the word, or the only name there is where it is empty."""
    known = list(map(str, dict.fromkeys(names)))
    return one_of(word or (known[0] if len(known) == 1 else ""), known, argument, what)
