"""Events on one or two channels, and all pairs of channels."""

from __future__ import annotations

from typing import TYPE_CHECKING

from immunolab.pl.event_figure import (
    Limits,
    axes_of,
    beyond_entry,
    both,
    check_names,
    draw_control,
    draw_population,
    share_words_of,
    steps_of,
    title_of,
)
from immunolab.pl.subject import Drawable, subject
from immunolab.plots.event_bins import bin_tube
from immunolab.plots.event_panels import (
    FEW,
    MEMBER,
    bins_for,
    draw_density,
    head,
    mark_beyond,
    set_axes,
)
from immunolab.plots.gates_on_axes import draw_gates, gates_between
from immunolab.plots.style import HALF, MM, axes, style

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from immunolab.events.tube import Tube
    from immunolab.gating.tubes import GatedTube

_HEIGHT = 86 * MM  # inches of a figure of two channels: about square within its axes


@style()
def scatter(
    data: Drawable,
    x: str,
    y: str,
    *,
    within: str = "",
    population: str = "",
    control: Tube | GatedTube | None = None,
    gates: bool = True,
    xlim: Limits | None = None,
    ylim: Limits | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw events on two channels: each a dot where there are few, else their density.

    Axes are in instrument units on the scale of the gates, or on the scale that the events choose. Events beyond an
    axis are counted, said above it and marked at its edge, and are in no bin.

    Parameters
    ----------
    data
        A tube, a gated tube, or the AnnData of one.
    x, y
        Markers or channels.
    within
        The population whose events are drawn; all events by default.
    population
        A population drawn over them, as dots.
    control
        A tube without one dye (FMO) or without any, drawn over them as contours that hold 50, 90 and 98 % of its events
        in the same gates.
    gates
        Whether the gates of ``within`` on these two channels are drawn, each with its percent of the parent and count.
    xlim, ylim
        Ends of the axes in instrument units; None leaves them to the scale and the events.
    ax
        Axes to draw on; None makes a new figure.

    Returns
    -------
    Axes
        In instrument units: ``ax.axvline(3000)`` is at 3,000.

    Raises
    ------
    InputError
        A marker or a population is not there, or limits are no range: all at once.
    """
    events = subject(data)
    check_names(events, (("x", x), ("y", y)), (("within", within), ("population", population)), xlim=xlim, ylim=ylim)
    dimensions = [events.dimension(x), events.dimension(y)]
    mask = events.mask(within)
    scales = axes_of(events, dimensions, mask, (xlim, ylim))
    n = events.count(mask)
    found = bin_tube(events.axes(dimensions), dimensions, scales, bins_for(n, 2), mask)
    ax = axes(ax, HALF, _HEIGHT)
    set_axes(ax, dimensions, scales)
    overlaid = bool(population) or control is not None
    points = events.points(dimensions, mask, FEW) if n <= FEW else None
    draw_density(ax, scales, found, points, grey=overlaid)
    entries = beyond_entry(found)
    if control is not None:
        entries += draw_control(ax, events, control, dimensions, scales, within)
    if population:
        entries += draw_population(ax, events, dimensions, scales, mask, population, within)
    if gates and events.gated is not None:
        draw_gates(ax, gates_between(events.gated, within, dimensions, scales))
    mark_beyond(ax, found)
    head(ax, title_of(events, within, n), entries=entries)
    return ax


@style()
def histogram(
    data: Drawable,
    marker: str,
    *,
    within: str = "",
    population: str = "",
    control: Tube | GatedTube | None = None,
    gates: bool = True,
    xlim: Limits | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw events on one channel as a histogram.

    With an overlay every histogram is drawn as a share of its highest bin. Events beyond the axis are counted, said
    above it and marked at its edge, and are in no bin.

    Parameters
    ----------
    data
        A tube, a gated tube, or the AnnData of one.
    marker
        Marker or channel.
    within
        The population whose events are drawn; all events by default.
    population
        A population drawn over them.
    control
        A tube without one dye (FMO) or without any, in the same gates, as an outline.
    gates
        Whether the borders of the gates of ``within`` on this channel alone are drawn, each with its percent of the
        parent and count.
    xlim
        Ends of the axis in instrument units; None leaves them to the scale and the events.
    ax
        Axes to draw on; None makes a new figure.

    Returns
    -------
    Axes
        Its x axis in instrument units.

    Raises
    ------
    InputError
        A marker or a population is not there, or limits are no range: all at once.
    """
    events = subject(data)
    check_names(events, (("marker", marker),), (("within", within), ("population", population)), xlim=xlim)
    dimension = events.dimension(marker)
    mask = events.mask(within)
    [scale] = axes_of(events, [dimension], mask, (xlim,))
    n = events.count(mask)
    found = bin_tube(events.axes([dimension]), [dimension], [scale], bins_for(n, 1), mask)
    ax = axes(ax, HALF, 62 * MM)
    set_axes(ax, [dimension], [scale])
    overlaid = bool(population) or control is not None
    entries = beyond_entry(found)
    top = steps_of(ax, scale, found, overlaid)
    if population:
        own = both(mask, events.mask(population))
        inside = bin_tube(events.axes([dimension]), [dimension], [scale], bins_for(events.count(own), 1), own)
        steps_of(ax, scale, inside, True, tint=MEMBER, fill=None)
        entries.append(("line", MEMBER, share_words_of(population, events.count(own), n, within)))
    if control is not None:
        entries += draw_control(ax, events, control, [dimension], [scale], within)
    ax.set_ylim(0, top * (1.28 if gates and events.gated is not None else 1.06))
    ax.set_ylabel("of highest bin" if overlaid else "events a bin")
    if gates and events.gated is not None:
        draw_gates(ax, gates_between(events.gated, within, [dimension], [scale]))
    mark_beyond(ax, found)
    head(ax, title_of(events, within, n), entries=entries)
    return ax
