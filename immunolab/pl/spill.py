"""All pairs of stained channels of a tube."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from immunolab.errors import InputError, Problem
from immunolab.pl.event_figure import axes_of, check_names, title_of
from immunolab.pl.subject import Drawable, Subject, subject
from immunolab.plots.event_panels import head
from immunolab.plots.spill_matrix import matrix_size, spill_matrix
from immunolab.plots.style import MM, axes, style

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_MOST = 100_000  # events drawn; more change no pixel of pairs this small (judgement)


@style()
def compensation(
    data: Drawable,
    *,
    channels: Sequence[str] = (),
    within: str = "",
    compensated: bool = True,
    ax: Axes | None = None,
) -> Axes:
    """Draw every pair of stained channels, N x N, to look for spillover that is left or taken too much.

    A row is a detector, a column the dye that may spill into it, both on display scales; fine lines are zero. The
    orange line is the median of the row's signal along the column's: level where the dye does not spill, rising where
    too little is taken off, falling below zero where too much is.

    Parameters
    ----------
    data
        A tube, a gated tube, or the AnnData of one.
    channels
        Markers or channels; all stained ones by default.
    within
        The population whose events are drawn; all events by default.
    compensated
        False draws the events as acquired, on the same scales.
    ax
        Axes to draw on; None makes a new figure.

    Returns
    -------
    Axes
        One axes for all pairs: a pair is a square of side 1, the first channel at the upper left.

    Raises
    ------
    InputError
        A channel or population is not there, or fewer than two channels are stained.
    """
    events = subject(data)
    check_names(events, tuple(("channels", name) for name in channels), (("within", within),))
    names = [events.tube.channel(name).name for name in channels]
    names = names or [c.name for c in events.tube.channels if c.kind in ("fluorescence", "mass")]
    if len(names) < 2:
        raise InputError(Problem("", "channels", f"{len(names)} stained channel(s) make no pair", "name at least two"))
    dimensions = [events.dimension(name) for name in names]
    if not compensated:
        dimensions = [replace(dimension, compensation="none") for dimension in dimensions]
    mask = events.mask(within)
    scales = axes_of(events, dimensions, mask, (None,) * len(names))
    side = matrix_size(len(names))
    ax = axes(ax, side, side + 8 * MM)
    points = events.points(dimensions, mask, _MOST)
    spill_matrix(ax, points, scales, [d.transform for d in dimensions])
    how = _matrix_words(events, {dimension.compensation for dimension in dimensions})
    head(ax, title_of(events, within, events.count(mask)), entries=[("note", "", how)])
    return ax


def _matrix_words(events: Subject, used: set[str]) -> str:
    """Return what the events are compensated with, in words."""
    named = sorted(used - {"sample", "none"})
    if named:
        return f"gates' matrix {', '.join(named)}"
    matrix = events.tube.spillover
    if used == {"none"}:
        return "as acquired"
    return f"tube's matrix, {len(matrix.channels)} channels" if matrix else "no matrix"
