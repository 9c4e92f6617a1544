"""Gates of a tube: one, all, and the tree of populations."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from immunolab.errors import InputError, Problem
from immunolab.gating.strategy import Boolean, Dimension, Population, Rectangle, Strategy
from immunolab.gating.tubes import GatedTube
from immunolab.pl.event_figure import draw_control, steps_of
from immunolab.pl.subject import Mask, Subject, collected, control_subject
from immunolab.plots.event_bins import bin_tube
from immunolab.plots.event_panels import (
    FEW,
    MOST_DOTS,
    bins_for,
    draw_density,
    draw_dots,
    draw_outline,
    head,
    mark_beyond,
    set_axes,
)
from immunolab.plots.gate_outlines import gate_borders, gate_lines, step_note, within_borders
from immunolab.plots.gate_views import gate_dimensions, gate_views
from immunolab.plots.gates import contact_page
from immunolab.plots.gates_on_axes import parent_words, percent_words
from immunolab.plots.gating_tree import gating_tree
from immunolab.plots.scales import ROOM, whole_scale
from immunolab.plots.style import HALF, MM, axes, style
from immunolab.schema.flags import flag, shown

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from immunolab.events.tube import Tube


@style()
def gate(
    gated: GatedTube,
    population: str,
    *,
    control: Tube | GatedTube | None = None,
    ax: Axes | Sequence[Axes] | None = None,
) -> Axes | NDArray[np.object_]:
    """Draw the gate of a population on the events of its parent, with its count and percent of the parent.

    Parameters
    ----------
    gated
        The tube.
    population
        Name or path.
    control
        A tube without one dye (FMO), drawn over the parent's events as contours, in the same gates.
    ax
        Axes to draw on, as many as the gate has pairs of channels; None makes a new figure.

    Returns
    -------
    Axes or array of Axes
        One for a gate of one or two channels; for a gate of more an array, a pair of channels each, where each shows
        the events inside the borders of those before it. And, or, not gates are drawn as dots on the channels of the
        first gate that they combine.

    Raises
    ------
    InputError
        There is no such population, it has no gate, or the number of axes is another.
    """
    check_gated(gated)
    collected(("population", lambda: gated.mask(population)))
    found = _population(gated, population)
    dimensions = gate_dimensions(found, gated.strategy) if found is not None else ()
    if found is None or not dimensions:
        raise InputError(Problem("", "population", f"'{population}' has no gate to draw", "it equals its parent"))
    pairs = [dimensions[i : i + 2] for i in range(0, len(dimensions), 2)]
    places = _places(ax, len(pairs), one_channel=len(dimensions) == 1)
    events = Subject(gated.tube, gated)
    mask = gated.mask(found.parent_path or "root")
    for step, (pair, place) in enumerate(zip(pairs, places, strict=True)):
        part = f" ({step + 1} of {len(pairs)})" if len(pairs) > 1 else ""
        _step(axes(place), events, found, pair, (step, len(pairs)), mask, control, part)
        mask = _inside(events, found, pair, step, mask)
    return places[0] if len(places) == 1 else np.array(places, dtype=object)


@style()
def gates(gated: GatedTube, *, populations: Sequence[str] = (), ax: Axes | None = None) -> Axes:
    """Draw the gates of a tube side by side, each on its parent's events, with count and percent of the parent.

    At most 20,000 events of a parent are drawn; counts and percentages are of all events.

    Parameters
    ----------
    gated
        The tube.
    populations
        Names or paths of those drawn; all by default.
    ax
        Axes to draw on; None makes a new figure of the width of a page.

    Returns
    -------
    Axes
        One axes for the whole page, in mm.

    Raises
    ------
    InputError
        There is no such population: all of them at once.
    """
    check_gated(gated)
    collected(*(("populations", lambda name=name: gated.mask(name)) for name in populations))  # type: ignore[misc]
    wanted = {found.path for name in populations if (found := _population(gated, name)) is not None}
    views = gate_views(gated.strategy, gated.tube, gated.memberships)
    page = contact_page([view for view in views if not wanted or view.path in wanted], title=gated.sample_id)
    if ax is None:
        ax = axes(None, page.width * MM, page.height * MM)
    page.draw(ax)
    ax.set_aspect("equal")
    return ax


@style()
def tree(gated: GatedTube | Strategy, *, ax: Axes | None = None) -> Axes:
    """Draw the hierarchy of populations: each with its events and percent of its parent, a bar for its share of it.

    Parameters
    ----------
    gated
        A gated tube, or a strategy (drawn without counts).
    ax
        Axes to draw on; None makes a new figure, as high as the tree needs.

    Returns
    -------
    Axes
        A row a population, from 0 at the top.

    Raises
    ------
    InputError
        It is neither.
    """
    if isinstance(gated, Strategy):
        populations = gated.populations
        return gating_tree([(p.path, None) for p in populations], title=gated.name, ax=ax)
    check_gated(gated)
    root, *counts = gated.population_counts
    return gating_tree([(count.path, count) for count in counts], root=root, title=gated.sample_id, ax=ax)


def check_gated(gated: Any) -> None:
    """Raise where something is no gated tube.

    Parameters
    ----------
    gated
        As the user gave it.
    """
    if not isinstance(gated, GatedTube):
        hint = "gate a tube first: immunolab.gate(tube, strategy)"
        raise InputError(Problem("", "gated", f"{type(gated).__name__} is not a gated tube", hint))


def _population(gated: GatedTube, name: str) -> Population | None:
    found = [p for p in gated.strategy.populations if p.path == name]
    return next(iter(found or [p for p in gated.strategy.populations if p.name == name]), None)


def _places(ax: Any, n: int, *, one_channel: bool) -> list[Any]:
    """Return the axes that a gate's steps are drawn on."""
    if ax is None:
        if n == 1:
            return [axes(None, HALF, (62 if one_channel else 86) * MM)]
        import matplotlib.pyplot as plt

        _, grid = plt.subplots(1, n, figsize=(n * HALF, 88 * MM), layout="constrained", squeeze=False)
        return list(grid[0])
    given = list(np.atleast_1d(np.asarray(ax, dtype=object)).ravel())
    if len(given) != n:
        hint = f"give {n} axes: plt.subplots(1, {n})[1]" if n > 1 else "give one"
        raise InputError(Problem("", "ax", f"the gate is drawn on {n} axes, {len(given)} were given", hint))
    return given


def _step(
    ax: Axes,
    events: Subject,
    population: Population,
    pair: Sequence[Dimension],
    step: tuple[int, int],
    mask: Mask,
    control: Tube | GatedTube | None,
    part: str,
) -> None:
    """Draw one pair of channels of a gate."""
    assert events.gated is not None  # noqa: S101  # a gate is of a gated tube
    shape = population.gate
    borders = gate_borders(shape, 2 * step[0], len(pair))
    values = events.for_ends(pair, mask)
    scales = [
        whole_scale(dimension, column, border, events.tube, room=ROOM)
        for dimension, column, border in zip(pair, values.T, borders, strict=True)
    ]
    n = events.count(mask)
    found = bin_tube(events.axes(pair), pair, scales, bins_for(n, len(pair)), mask)
    set_axes(ax, pair, scales)
    count = next(c for c in events.gated.population_counts if c.path == population.path)
    entries = [("note", "", f"{count.n_events:,} of {count.n_parent:,} events of {parent_words(population)}")]
    combined = isinstance(shape, Boolean)
    if len(pair) == 1:
        top = steps_of(ax, scales[0], found, control is not None)
        ax.set_ylim(0, 1.06 * top)
        ax.set_ylabel("of highest bin" if control is not None else "events a bin")
    else:
        points = events.points(pair, mask, FEW) if n <= FEW else None
        draw_density(ax, scales, found, points, grey=combined or control is not None)
    draw_outline(ax, list(gate_lines(shape, 2 * step[0], scales)))
    if combined and len(pair) == 2:
        draw_dots(ax, events.points(pair, mask & events.gated.mask(population.path), MOST_DOTS), scales)
        entries.append(("dots", "", f"members, at most {MOST_DOTS:,} drawn"))
    if control is not None:
        entries += draw_control(ax, events, control, pair, scales, population.parent_path)
        entries += _control_share(events, control, population)
    note = step_note(shape, *step)
    entries += [("note", "", note)] if note else []
    entries += [("beyond", "", found.words())] if found.n_beyond else []
    entries += [
        ("withheld" if flag(word).rank == "unusable" else "doubtful", "", word) for word in shown(count.flag or "")
    ]
    mark_beyond(ax, found)
    of = "" if count.percent_of_parent is None else f" of {parent_words(population)}"
    head(ax, f"{population.name}{part}: {percent_words(count)}{of}", entries=entries)


def _control_share(events: Subject, control: Tube | GatedTube, population: Population) -> list[tuple[str, str, str]]:
    """Return how many of the control's events are in the gate."""
    other = control_subject(events, control).gated
    counts = () if other is None else other.population_counts
    named = [c for c in counts if c.path == population.path] or [c for c in counts if c.population == population.name]
    if len(named) != 1:
        return []
    [count] = named
    share = f"{count.n_events:,} of {count.n_parent:,} in the gate"
    return [("note", "", f"control: {share}, {percent_words(count)}")]


def _inside(events: Subject, population: Population, pair: Sequence[Dimension], step: int, mask: Mask) -> Mask:
    """Return the events inside the borders of a step as well."""
    if not isinstance(population.gate, Rectangle):
        return mask
    block = events.axes(pair).block()
    borders = gate_borders(population.gate, 2 * step, len(pair))
    return mask & within_borders([block.axis(dimension) for dimension in pair], borders)
