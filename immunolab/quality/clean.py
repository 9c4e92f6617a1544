"""A tube without the stretches of its run that are clearly faulty."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from immunolab.events.removed import RemovedStretch, kept_events
from immunolab.events.tube import Tube
from immunolab.quality.clock import FAST, SLOW, Clock
from immunolab.quality.rows import plain
from immunolab.quality.steadiness import Part, Steadiness, steadiness
from immunolab.schema.gating import RemovalReason

_START = 0.15  # share of the run in which another level is that of the first seconds: carry-over, a new pressure
_WORDS = {
    "clog": "in a stretch of slow flow",
    "burst": "in a stretch of fast flow",
    "start": "at the start of the run",
    "level": "in a stretch of the run",
}


def cleaned(tube: Tube) -> Tube:
    """Return a tube without its faulty stretches; itself where there is none.

    Parameters
    ----------
    tube
        As acquired; one that was cleaned comes back itself.
    """
    return tube if tube.removed else without(tube, steadiness(tube))


def without(tube: Tube, found: Steadiness) -> Tube:
    """Return a tube without the faulty stretches that were found in it.

    Parameters
    ----------
    tube
        As acquired.
    found
        What `steadiness` found in it.
    """
    removed = removable(found)
    if not removed:
        return tube
    kept = kept_events(tube.n_events, removed)
    return replace(tube, columns=np.ascontiguousarray(tube.columns[:, kept]), removed=removed)


def removable(found: Steadiness) -> tuple[RemovedStretch, ...]:
    """Return the stretches that can be cut: those off the level at which most of the run is.

    Parameters
    ----------
    found
        What `steadiness` found.
    """
    ordered = found.clock is None or found.clock.order is None
    if found.stretches is None or not found.off or not found.has_majority or not ordered:
        return ()
    return tuple(_stretch(part, found.stretches.edges, found.clock) for part in _joined(found.off))


def _joined(off: Sequence[Part]) -> list[Part]:
    """Return parts that follow each other as one, with the worse shift of them."""
    found: list[Part] = []
    for part in off:
        if found and found[-1].stop == part.start:
            last = found.pop()
            worse = max(last, part, key=lambda one: one.sure)
            part = replace(worse, start=last.start, stop=part.stop, share=last.share + part.share)
        found.append(part)
    return found


def _stretch(part: Part, edges: NDArray[np.intp], clock: Clock | None) -> RemovedStretch:
    first, last = int(edges[part.start]), int(edges[part.stop]) - 1
    begin, end, when = None, None, ""
    if clock is not None and clock.in_seconds:
        begin, end = float(clock.steps[:first].sum()), float(clock.steps[:last].sum())
        when = f", {plain(begin)} to {plain(end)} s"
    reason = _reason(part, edges, clock)
    message = (
        f"{100 * part.share:.2g} % of the events cut (number {first + 1} to {last + 1}{when}): {_WORDS[reason]} "
        f"{part.channel} is {abs(part.shift):.2g} SD {'higher' if part.shift > 0 else 'lower'} than in the run"
    )
    return RemovedStretch(first, last, 100 * part.share, reason, part.channel, part.shift, begin, end, message)


def _reason(part: Part, edges: NDArray[np.intp], clock: Clock | None) -> RemovalReason:
    rates = clock.rates(edges) if clock is not None else None
    rate = float(np.median(rates[part.start : part.stop])) if rates is not None else 1.0
    if rate < SLOW or rate > FAST:
        return "clog" if rate < SLOW else "burst"
    return "start" if part.start == 0 and part.share < _START else "level"


def removed_rows(tube: Tube) -> list[dict[str, object]]:
    """Return rows of `REMOVED_STRETCHES`, one a stretch that was cut; events are counted from 1 in the file.

    Parameters
    ----------
    tube
        As `cleaned` gives it.
    """
    return [
        {
            "sample_id": tube.sample_id,
            "first_event": one.first + 1,
            "last_event": one.last + 1,
            "percent": one.percent,
            "from_second": one.from_second,
            "to_second": one.to_second,
            "reason": one.reason,
            "channel": one.channel,
            "shift": one.shift,
            "message": one.message,
        }
        for one in tube.removed
    ]
