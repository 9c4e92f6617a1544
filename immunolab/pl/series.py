"""One marker over many tubes or visits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from immunolab.errors import ImmunolabError, InputError, Problem
from immunolab.events.scales import channel_noise, channel_scales
from immunolab.gating.axes import same_source
from immunolab.gating.strategy import Dimension, Rectangle
from immunolab.gating.tubes import GatedTube
from immunolab.pl.event_figure import Limits, check_range
from immunolab.pl.subject import Drawable, Mask, Subject, one_of, subject
from immunolab.plots.event_bins import EventBins, bin_tube
from immunolab.plots.event_panels import bins_for
from immunolab.plots.gates_on_axes import path_of
from immunolab.plots.ridge_lines import Ridge, draw_ridges, ridges_height
from immunolab.plots.scales import ROOM, DisplayScale, limited_scale, whole_scale
from immunolab.plots.style import HALF, axes, style
from immunolab.results.run import Run

if TYPE_CHECKING:
    from matplotlib.axes import Axes


@style()
def ridges(
    data: Sequence[Drawable] | Mapping[str, Drawable] | Run,
    marker: str,
    *,
    patient: str = "",
    within: str = "",
    gates: bool = True,
    xlim: Limits | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw one marker over many tubes, or over the visits of a patient, a row a tube, all on one axis.

    Every row is drawn as a share of its highest bin, with its events and median beside it. Events beyond the axis are
    in no bin: their share is written beside the row.

    Parameters
    ----------
    data
        Tubes, gated tubes or AnnData of events, in order from the top; with names of their own as a mapping of name to
        tube; or a finished run, whose tubes of ``patient`` are read.
    marker
        Marker or channel of every tube.
    patient
        Of a run: whose visits.
    within
        The population whose events are drawn; all events by default.
    gates
        Whether the borders of the gates of ``within`` on this channel are drawn, each tube's own.
    xlim
        Ends of the axis in instrument units; None leaves them to the scale and the events.
    ax
        Axes to draw on; None makes a new figure, as high as the rows need.

    Returns
    -------
    Axes
        Its x axis in instrument units; a row is at y = 0, -1, -2 ...

    Raises
    ------
    InputError
        There is no tube, no such patient, or tubes lack the marker or the population: all of them at once.
    """
    named = _named(data, patient)
    subjects = {name: subject(one) for name, one in named.items()}
    _check(subjects, marker, within, xlim)
    dimensions = _one_scale(subjects, marker)
    masks = {name: one.mask(within) for name, one in subjects.items()}
    scale = _one_axis(subjects, dimensions, masks, xlim)
    rows = [_row(name, one, dimensions[name], scale, masks[name], within, gates) for name, one in subjects.items()]
    ax = axes(ax, HALF * 1.25, ridges_height(len(rows)))
    title = marker if not within else f"{marker} of {within.rsplit('/', 1)[-1]}"
    first = next(iter(dimensions.values()))
    return draw_ridges(ax, rows, first, scale, title=f"{patient}, {title}" if patient else title)


def _named(data: Any, patient: str) -> dict[str, Any]:
    """Return the tubes by the name that each row has."""
    if isinstance(data, Run):
        known = list(dict.fromkeys(s.patient_id for s in data.samples))
        one_of(patient, known, "patient", "patient")
        tubes = [s for s in data.samples if s.patient_id == patient and s.modality != "single_cell"]
        own = sorted(tubes, key=lambda s: _day(data, s.sample_id))
        visits = [s.visit for s in own]
        words = [v if visits.count(v) == 1 else f"{v} {s.sample_id}".strip() for v, s in zip(visits, own, strict=True)]
        return {word or s.sample_id: data.tube(s.sample_id) for word, s in zip(words, own, strict=True)}
    if isinstance(data, Mapping):
        found = {str(name): one for name, one in data.items()}
    elif isinstance(data, list | tuple):
        found = {}
        for place, one in enumerate(data, start=1):
            name = getattr(one, "sample_id", "") or getattr(getattr(one, "tube", one), "file", "") or f"tube {place}"
            found[name if name not in found else f"{name} ({place})"] = one
    else:
        found = {"": data}
    if not found:
        raise InputError(Problem("", "data", "there is no tube to draw", "give at least one"))
    return found


def _day(run: Run, sample_id: str) -> float:
    rows = run.endpoints.loc[run.endpoints["sample_id"] == sample_id, "study_day"].dropna()
    return float(rows.iloc[0]) if len(rows) else float("inf")


def _check(subjects: Mapping[str, Subject], marker: str, within: str, xlim: Limits | None) -> None:
    problems: list[Problem] = []
    for name, one in subjects.items():
        for argument, check in (
            ("marker", lambda one=one: one.tube.find(marker)),
            ("within", lambda one=one: one.mask(within)),
        ):
            try:
                check()  # type: ignore[no-untyped-call]
            except ImmunolabError as error:
                problems.append(Problem(name, argument, error.message, error.hint))
    if xlim is not None:
        try:
            check_range("xlim", xlim)
        except InputError as error:
            problems += error.problems
    if problems:
        raise InputError(problems)


def _one_scale(subjects: Mapping[str, Subject], marker: str) -> dict[str, Dimension]:
    """Return the axis of each tube's channel, all on one scale: that of the first gated tube, else chosen by all."""
    first = next((one for one in subjects.values() if one.gated is not None), None)
    channels = {name: one.tube.channel(marker) for name, one in subjects.items()}
    if first is not None:
        transform = first.dimension(marker).transform
    else:
        chosen = channel_scales([channel_noise(one.tube) for one in subjects.values()])
        usual = next(iter(channels.values())).usual_scale
        wanted = {c.marker or c.name for c in channels.values()}
        transform = next((one.transform for one in chosen if one.name in wanted), usual)
    return {name: replace(one.dimension(marker), transform=transform) for name, one in subjects.items()}


def _one_axis(
    subjects: Mapping[str, Subject],
    dimensions: Mapping[str, Dimension],
    masks: Mapping[str, Mask | None],
    xlim: Limits | None,
) -> DisplayScale:
    first = next(iter(subjects))
    if xlim is not None:
        return limited_scale(dimensions[first], xlim, subjects[first].tube)
    scales = [
        whole_scale(dimensions[name], one.for_ends([dimensions[name]], masks[name])[:, 0], (), one.tube, room=ROOM)
        for name, one in subjects.items()
    ]
    ends = dimensions[first].transform.inverse(np.array([min(s.low for s in scales), max(s.high for s in scales)]))
    return limited_scale(dimensions[first], (float(ends[0]), float(ends[1])), subjects[first].tube)


def _row(
    name: str, one: Subject, dimension: Dimension, scale: DisplayScale, mask: Mask | None, within: str, gates: bool
) -> Ridge:
    n = one.count(mask)
    found: EventBins = bin_tube(one.axes([dimension]), [dimension], [scale], bins_for(n, 1), mask)
    values = one.points([dimension], mask, 200_000)[:, 0]
    median = float(np.median(values)) if len(values) else None
    borders = _borders(one.gated, within, dimension) if gates and one.gated is not None else ()
    return Ridge(name, found, median, borders)


def _borders(gated: GatedTube, within: str, dimension: Dimension) -> tuple[float, ...]:
    """Return the borders on a channel of the gates of a population, on the display scale of the axis."""
    parent = path_of(gated, within)
    found: set[float] = set()
    for population in gated.strategy.populations:
        shape = population.gate
        if population.parent_path != parent or not isinstance(shape, Rectangle):
            continue
        for place, own in enumerate(shape.dimensions):
            if same_source(own, dimension, gated.tube):
                edges = [edge for edge in (shape.lower[place], shape.upper[place]) if edge is not None]
                moved = dimension.transform.apply(own.transform.inverse(np.array(edges)))
                found |= {round(float(edge), 9) for edge in moved}
    return tuple(sorted(found))
