"""What a tube's Time channel says: whether it rises, pauses between events, and how fast stretches were acquired."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from immunolab.events.tube import Tube
from immunolab.quality.stretches import time_row

# of the run's median events a second: beyond, the flow was disturbed (judgement: of 63 real files of 20 cytometers
# three have such a stretch: a pause before the sample, a clock that was full, a MoFlo's start)
SLOW, FAST = 0.4, 2.5
_OUT_OF_ORDER = 0.01  # share of events before their forerunner: more, and the file is not in the order of acquisition
_SET_BACK = 0.05  # share of the clock's range by which it falls where it begins anew; less is jitter
_AT_TOP = 0.98  # of the clock's end ($PnR): a fall from there is a counter that is full, which begins at 0 again
_PAUSE = 10.0  # times the longest pause of a steady flow of as many events (ln n mean intervals): judgement
_TICKS = 5.0  # ticks of the clock that a pause must last: in coarse clocks every tick is a pause
_LEAST_TICKS = 20  # of the clock for a rate: with fewer it is the clock's rounding, and neighbours are taken together
# share of events at one time from which on the clock stood still, and times the usual events of a tick: a coarse clock
# has ticks of a fifth of the run, all alike (judgement; real files with coarse clocks have 5 times at most)
_STUCK, _TIMES_A_TICK = 0.05, 20.0
_MOST_TOGETHER = 0.1  # of the run's stretches; a clock that needs more says nothing about a tenth of the run

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Clock:
    """The Time channel of a tube.

    Attributes
    ----------
    steps
        Time from each event to the next, in the order of acquisition, none where the clock was set back.
    order
        Rows of the events in the order of acquisition; None where the file has that order.
    set_back
        How often the clock begins anew.
    in_seconds
        Whether times are seconds; else they are ticks of a length that the file does not give.
    """

    steps: Floats
    order: NDArray[np.intp] | None
    set_back: int
    in_seconds: bool

    @cached_property
    def total(self) -> float:
        """Time from the first event to the last."""
        return float(self.steps.sum())

    @cached_property
    def tick(self) -> float:
        """Shortest time that the clock can show."""
        rising = self.steps[self.steps > 0]
        return float(np.quantile(rising, 0.01)) if len(rising) else 0.0

    @cached_property
    def pauses(self) -> NDArray[np.intp]:
        """Rows of the events after which nothing was acquired for longer than a steady flow can explain."""
        if not self.total:
            return np.empty(0, dtype=np.intp)
        mean = self.total / len(self.steps)
        longest = max(_PAUSE * np.log(len(self.steps)) * mean, _TICKS * self.tick)
        return np.flatnonzero(self.steps > longest)

    @property
    def unit(self) -> str:
        """What times are in, for texts."""
        return "s" if self.in_seconds else "ticks of the clock"

    @property
    def stuck(self) -> float:
        """Percent of the events that follow each other at one time where the clock stood still; 0 where it did not."""
        change = np.flatnonzero(np.concatenate([[True], self.steps > 0, [True]]))
        together = np.diff(change)
        longest = int(together.max())
        still = longest > _STUCK * (len(self.steps) + 1) and longest > _TIMES_A_TICK * float(np.median(together))
        return 100.0 * longest / (len(self.steps) + 1) if still else 0.0

    @property
    def longest_pause(self) -> float:
        """Longest time between two events, percent of the run's."""
        return 100.0 * float(self.steps.max()) / self.total if self.total else 0.0

    def rates(self, edges: NDArray[np.intp]) -> Floats | None:
        """Return each stretch's events a second against the run's median, pauses left out; None for a coarse clock.

        Where a stretch is but some ticks of the clock, its neighbours are counted with it.

        Parameters
        ----------
        edges
            Rows of the events between stretches.
        """
        steps = self.steps.copy()
        steps[self.pauses] = 0.0
        passed = np.concatenate([[0.0], np.cumsum(steps)])
        seconds = np.diff(passed[np.minimum(edges, len(passed) - 1)])
        usual = float(np.median(seconds))
        together = int(np.ceil(_LEAST_TICKS * self.tick / usual)) if self.tick and usual else len(seconds)
        if together > max(1.0, _MOST_TOGETHER * len(seconds)):
            return None
        window = np.ones(together)
        events, seconds = (np.convolve(one, window, mode="same") for one in (np.diff(edges), seconds))
        if not (seconds > 0).all():
            return None
        rate = events / seconds
        return np.asarray(rate / np.median(rate))


def has_constant_time(tube: Tube) -> bool:
    """Return whether a tube has a Time channel with one value in every event.

    Parameters
    ----------
    tube
        As acquired.
    """
    times = [tube.columns[i] for i, channel in enumerate(tube.channels) if channel.kind == "time"]
    return bool(times) and tube.n_events > 1 and bool(times[0].min() == times[0].max())


def read_clock(tube: Tube) -> Clock | None:
    """Return what a tube's Time channel says; None without one.

    Parameters
    ----------
    tube
        As acquired.
    """
    row = time_row(tube)
    if row is None or tube.n_events < 2:
        return None
    time = tube.columns[row].astype(np.float64)
    steps = np.diff(time)
    back, in_seconds = steps < 0, tube.channels[row].in_seconds
    if back.mean() > _OUT_OF_ORDER:
        order = np.argsort(time, kind="stable")
        return Clock(np.diff(time[order]), order, 0, in_seconds)
    fallen = np.flatnonzero(steps < -_SET_BACK * np.ptp(time)) if back.any() else np.empty(0, dtype=np.intp)
    full = time[fallen] >= _AT_TOP * (tube.channels[row].top or np.inf)
    for other, channel in enumerate(tube.channels):
        if channel.kind == "time" and other != row:  # a second word of the clock counts how often the first was full
            full |= tube.columns[other][fallen + 1] > tube.columns[other][fallen]
    return Clock(np.maximum(steps, 0.0), None, int((~full).sum()), in_seconds)
