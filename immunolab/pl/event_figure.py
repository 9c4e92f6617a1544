"""Parts that the figures of events share: axes, key, overlays, and the checks of what a call names."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from immunolab.errors import ImmunolabError, InputError, Problem
from immunolab.gating.changes.move_parts import are_ends
from immunolab.gating.strategy import ROOT, Dimension
from immunolab.pl.subject import Mask, Subject, collected, control_subject
from immunolab.plots.event_bins import EventBins, bin_tube
from immunolab.plots.event_panels import (
    CONTROL,
    FILL,
    MOST_DOTS,
    OUTLINE,
    bins_for,
    draw_contours,
    draw_dots,
    draw_steps,
)
from immunolab.plots.numbers import number
from immunolab.plots.scales import ROOM, DisplayScale, limited_scale, whole_scale

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from immunolab.events.tube import Tube
    from immunolab.gating.tubes import GatedTube

Limits = tuple[float, float]
Entry = tuple[str, str, str]  # a line of the key: kind of mark, colour, words
_CONTROL_BINS = (32, 64)  # of an axis, below contours: of few events, and of more
_FEW_OF_CONTROL = 5_000  # events


def axes_of(
    events: Subject, dimensions: Sequence[Dimension], mask: Mask | None, limits: Sequence[Limits | None]
) -> list[DisplayScale]:
    """Return the axes that hold the events, or those between limits.

    Parameters
    ----------
    events
        What is drawn.
    dimensions
        Of the axes.
    mask
        The events that are drawn; None for all.
    limits
        Of each axis in instrument units, or None.
    """
    values = events.for_ends(dimensions, mask)
    return [
        whole_scale(dimension, column, (), events.tube, room=ROOM)
        if ends is None
        else limited_scale(dimension, ends, events.tube)
        for dimension, column, ends in zip(dimensions, values.T, limits, strict=True)
    ]


def title_of(events: Subject, within: str, n: int) -> str:
    """Return ``P01_W0, CD4: 1,377 events``.

    Parameters
    ----------
    events, within
        What is drawn.
    n
        How many events.
    """
    where = "" if within in ("", ROOT, "/") else f", {within.rsplit('/', 1)[-1]}"
    return f"{events.name}{where}: {n:,} event{'' if n == 1 else 's'}"


def check_names(
    events: Subject,
    markers: Sequence[tuple[str, str]],
    populations: Sequence[tuple[str, str]],
    **limits: Limits | None,
) -> None:
    """Raise every problem of a call at once.

    Parameters
    ----------
    events
        What is drawn.
    markers, populations
        Argument and name of each that has to be there.
    **limits
        Ends of axes by argument.
    """
    collected(
        *((argument, lambda name=name: events.tube.find(name)) for argument, name in markers),  # type: ignore[misc]
        *((argument, lambda name=name: events.mask(name)) for argument, name in populations),  # type: ignore[misc]
        *((key, lambda key=key, ends=ends: check_range(key, ends)) for key, ends in limits.items() if ends is not None),  # type: ignore[misc]
    )


def check_range(name: str, ends: Limits) -> None:
    """Raise where two ends are no range.

    Parameters
    ----------
    name
        The argument.
    ends
        Lower and upper end, instrument units.
    """
    ends = ends.tolist() if isinstance(ends, np.ndarray) else ends
    if not are_ends(ends) or None in ends or not np.isfinite(ends).all() or ends[0] >= ends[1]:
        hint = "give the lower end first, in instrument units: (-1000, 100000)"
        raise InputError(Problem("", name, f"{ends} is no range", hint))


def beyond_entry(found: EventBins) -> list[Entry]:
    """Return the line of the key that says how many events are beyond the axes; none where all are within."""
    return [("beyond", "", found.words())] if found.n_beyond else []


def share_words_of(population: str, n: int, of: int, within: str) -> str:
    """Return a population's count, and its percent of the events that are drawn.

    Parameters
    ----------
    population
        Name or path.
    n, of
        Its events, and all that are drawn.
    within
        What is drawn.
    """
    percent = f", {number(100.0 * n / of)} %" if of else ""
    where = "" if within in ("", ROOT, "/") else f" {within.rsplit('/', 1)[-1]}"
    return f"{population.rsplit('/', 1)[-1]}: {n:,} of {of:,}{where}{percent}"


def both(one: Mask | None, other: Mask | None) -> Mask | None:
    """Return the events of two masks, where None is all events.

    Parameters
    ----------
    one, other
        Of the same tube.
    """
    return other if one is None else one if other is None else one & other


def draw_population(
    ax: Axes,
    events: Subject,
    dimensions: Sequence[Dimension],
    scales: Sequence[DisplayScale],
    mask: Mask | None,
    population: str,
    within: str,
) -> list[Entry]:
    """Draw a population as dots over the others.

    Parameters
    ----------
    ax
        Axes in instrument units.
    events
        What is drawn.
    dimensions, scales
        Of x and y.
    mask
        The events drawn below it; None for all.
    population, within
        Names or paths of both.

    Returns
    -------
    list
        Its line of the key.
    """
    own = both(mask, events.mask(population))
    n = events.count(own)
    draw_dots(ax, events.points(dimensions, own, MOST_DOTS), scales)
    drawn = f", {MOST_DOTS:,} drawn" if n > MOST_DOTS else ""
    return [("dots", "", share_words_of(population, n, events.count(mask), within) + drawn)]


def _control_mask(other: Subject, within: str) -> Mask | None:
    """Return the control's events in the same population."""
    try:
        return other.mask(within)
    except ImmunolabError as error:
        raise InputError(
            Problem("", "control", f"the control has no events of '{within}': {error}", "leave within out, or gate it")
        ) from error


def draw_control(
    ax: Axes,
    events: Subject,
    control: Tube | GatedTube,
    dimensions: Sequence[Dimension],
    scales: Sequence[DisplayScale],
    within: str,
) -> list[Entry]:
    """Draw a control over the events of a population: its contours on two channels, its outline on one.

    Parameters
    ----------
    ax
        Axes in instrument units.
    events
        What it is drawn over.
    control
        The tube without one dye.
    dimensions, scales
        Of the axes.
    within
        The population of both; empty for all events.

    Returns
    -------
    list
        Its line of the key, as `head` takes it.
    """
    other = control_subject(events, control)
    collected(*(("control", lambda d=d: other.tube.find(d.name)) for d in dimensions))  # type: ignore[misc]
    own = _control_mask(other, within)
    n = other.count(own)
    bins = bins_for(n, 1) if len(dimensions) == 1 else _CONTROL_BINS[n > _FEW_OF_CONTROL]
    found = bin_tube(other.axes(dimensions), dimensions, scales, bins, own)
    if len(dimensions) == 1:
        steps_of(ax, scales[0], found, True, tint=CONTROL, fill=None)
        shares = ""
    else:
        draw_contours(ax, scales, found)
        shares = "50, 90, 98 % of "
    beyond = f"; {found.words()}" if found.n_beyond else ""
    return [("line", "", f"control {other.name}: {shares}{n:,} events{beyond}")]


def steps_of(
    ax: Axes, scale: DisplayScale, found: EventBins, share: bool, *, tint: str = OUTLINE, fill: str | None = FILL
) -> float:
    """Draw a histogram, its highest bin at 1 or as counted.

    Parameters
    ----------
    ax
        Axes in instrument units.
    scale
        Of x.
    found
        The events in bins.
    share
        Whether the highest bin is at 1.
    tint, fill
        Colours of the outline and below it; None fills nothing.

    Returns
    -------
    float
        Height of the highest bin, 1 at least.
    """
    heights = found.counts.astype(np.float64)
    most = float(heights.max(initial=0.0))
    draw_steps(ax, scale, heights / most if share and most else heights, tint=tint, fill=fill)
    return 1.0 if share else max(1.0, most)
