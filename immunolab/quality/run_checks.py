"""Rows of the quality table about a tube's run: steadiness, drift, rate, pauses, the clock."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from immunolab.events.tube import Tube
from immunolab.quality.clock import FAST, SLOW, has_constant_time
from immunolab.quality.rows import Row, plain, row
from immunolab.quality.steadiness import LEAST_SHIFT, Steadiness
from immunolab.quality.stretches import FEWEST_STRETCHES, SHORTEST, Stretches
from immunolab.schema.flags import Check

_MOST_OFF_RATE = 2.0  # percent of events at another rate: a stretch of 2 % of the shared real files' is the most seen
_MOST_CUT = 5.0  # percent of events; more is looked at before the tube's numbers are used (judgement)
_NAMED = 3  # parts that a message names; removed_stretches.csv has all


def run_rows(tube: Tube, found: Steadiness) -> Iterator[Row]:
    """Yield the rows of a tube's run.

    Parameters
    ----------
    tube
        As acquired, nothing cut.
    found
        What `steadiness` found in it.
    """
    if found.stretches is not None:
        yield _level_row(tube, found, found.stretches)
        yield _drift_row(tube, found)
    yield from _clock_rows(tube, found)


def cleaned_row(tube: Tube) -> Row | None:
    """Return the row of what was cut from a tube; None where nothing was.

    Parameters
    ----------
    tube
        As `clean` gives it.
    """
    if not tube.removed:
        return None
    worst = max(tube.removed, key=lambda one: one.percent)
    more = f"; with {len(tube.removed) - 1} more, {tube.percent_removed:.2g} %" if len(tube.removed) > 1 else ""
    message = f"{worst.message}{more}"
    return row(tube, Check.CLEANED, tube.percent_removed, _MOST_CUT, "warn", message, worst.channel)


def _level_row(tube: Tube, found: Steadiness, run: Stretches) -> Row:
    share = 100.0 * sum(part.share for part in found.off)
    if not found.off:
        text = f"no part of {run.n} stretches is {LEAST_SHIFT:g} SD of a population off the run's level"
        return row(tube, Check.STEADINESS, 0.0, 0.0, "ok", text)
    worst = max(found.off, key=lambda part: part.sure)
    named = sorted(found.off, key=lambda part: -part.sure)[:_NAMED]
    at = 100.0 * run.edges / run.edges[-1]
    where = ", ".join(f"{at[p.start]:.0f} to {at[p.stop]:.0f} %" for p in named)
    if found.has_majority:
        said = f"{share:.2g} % of the events are off the run's level"
    else:
        said = (
            f"the run has no level that most of it is at: {share:.2g} % of the events are off that of the largest part"
        )
    text = f"{said}, {worst.channel} by {abs(worst.shift):.2g} SD of a population; at {where} of the run"
    return row(tube, Check.STEADINESS, share, 0.0, "warn" if found.has_majority else "fail", text, worst.channel)


def _drift_row(tube: Tube, found: Steadiness) -> Row:
    if found.drift <= LEAST_SHIFT:
        text = f"no channel drifts by {LEAST_SHIFT:g} SD of a population"
        return row(tube, Check.SLOW_DRIFT, found.drift, LEAST_SHIFT, "ok", text, found.drift_channel)
    text = f"{found.drift_channel} drifts by over {found.drift:.2g} SD of a population from the first to the last tenth"
    return row(tube, Check.SLOW_DRIFT, found.drift, LEAST_SHIFT, "warn", text, found.drift_channel)


def _clock_rows(tube: Tube, found: Steadiness) -> Iterator[Row]:
    clock = found.clock
    if clock is None:
        text = (
            "no Time channel that rises: rate and pauses cannot be seen, the file's order is taken for that of the run"
        )
        yield row(tube, Check.TIME, 0.0, 1.0, "warn", text)
        if has_constant_time(tube):
            yield row(tube, Check.TIME_STUCK, 100.0, 0.0, "warn", "Time reads the same in every event: no clock ran")
        return
    if clock.order is not None:
        text = (
            "events are not in the order of Time, as after shuffling or export: they were looked at in its order, and "
            "nothing can be cut"
        )
        yield row(tube, Check.TIME, 0.0, 1.0, "warn", text)
        if tube.n_events < FEWEST_STRETCHES * SHORTEST:
            return
    else:
        yield row(tube, Check.TIME, 1.0, 1.0, "ok", f"Time rises over {plain(clock.total)} {clock.unit}")
    if clock.set_back:
        text = f"Time begins anew {_counted(clock.set_back, 'time')}: files were joined, or the clock was set back"
        yield row(tube, Check.TIME_SET_BACK, clock.set_back, 0, "warn", text)
    if clock.stuck:
        text = f"Time stands still over {clock.stuck:.2g} % of the events: the clock stopped"
        yield row(tube, Check.TIME_STUCK, clock.stuck, 0.0, "warn", text)
    pauses = len(clock.pauses)
    text = f"{_counted(pauses, 'pause')}, the longest {clock.longest_pause:.2g} % of the run" if pauses else "no pause"
    yield row(tube, Check.TIME_GAP, clock.longest_pause, None, "warn" if pauses else "ok", text)
    rates = clock.rates(found.stretches.edges) if found.stretches is not None else None
    if rates is None or found.stretches is None:
        return
    off = (rates < SLOW) | (rates > FAST)
    share = 100.0 * float(found.stretches.events[off].sum() / found.stretches.edges[-1])
    text = f"{share:.2g} % of the events came at under {SLOW:g} or over {FAST:g} times the run's median rate"
    if not np.any(off):
        text = f"between {rates.min():.2g} and {rates.max():.2g} times the run's median rate"
    yield row(tube, Check.FLOW_RATE, share, _MOST_OFF_RATE, "warn" if share > _MOST_OFF_RATE else "ok", text)


def _counted(n: int, word: str) -> str:
    return f"{n} {word}" if n == 1 else f"{n} {word}s"
