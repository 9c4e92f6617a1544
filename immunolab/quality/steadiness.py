"""Whether a run was steady: parts at another level of some channel, slow drift, rate, pauses, a clock set back."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from immunolab.events.tube import Tube
from immunolab.quality.clock import FAST, SLOW, Clock, read_clock
from immunolab.quality.segments import borders, parts
from immunolab.quality.stretches import Stretches, stretches

Floats = NDArray[np.float64]

# SD of a population by which a level must move, beyond two standard errors. A border at an end of a population (2 SD)
# then gains or loses over half of the events beyond it, one in its middle 15 % of all (judgement; unlike a p-value it
# does not shrink with the number of events)
LEAST_SHIFT = 0.4
_LEAST_DISTURBED = 0.2  # the same in a part that came much slower or faster, too: two signs of one fault (judgement)
_SURE = 2.0  # standard errors of a level that are taken off its shift
MAJORITY = 0.7  # share of the events at one level from which on the others are taken for the fault (judgement)


@dataclass(frozen=True)
class Part:
    """A part of the run at one level.

    Attributes
    ----------
    start, stop
        Stretches.
    share
        Of the run's events, 0 to 1.
    shift
        Of the level that moved most against the run's, SD of a population; with its sign.
    sure
        Size of the shift less two standard errors.
    channel
        Name of the channel of that level.
    """

    start: int
    stop: int
    share: float
    shift: float
    sure: float
    channel: str


@dataclass(frozen=True)
class Steadiness:
    """What became of a tube's run.

    Attributes
    ----------
    stretches
        The run in stretches; None for too few events.
    clock
        What the Time channel says; None without one.
    parts
        In order of acquisition.
    drift, drift_channel
        Slow change of a channel from the first to the last stretch, SD of a population, less two standard errors.
    """

    stretches: Stretches | None
    clock: Clock | None
    parts: tuple[Part, ...] = ()
    drift: float = 0.0
    drift_channel: str = ""
    off: tuple[Part, ...] = field(default=())

    @property
    def has_majority(self) -> bool:
        """Whether most of the run is at one level, so that the other parts can be cut."""
        return sum(part.share for part in self.off) <= 1.0 - MAJORITY


def steadiness(tube: Tube) -> Steadiness:
    """Look through a tube's run.

    Parameters
    ----------
    tube
        As acquired; a file whose events are not in the order of Time is looked at in that order.
    """
    clock = read_clock(tube)
    ordered = tube if clock is None or clock.order is None else tube.take(clock.order)
    found = stretches(ordered)
    if found is None:
        return Steadiness(None, clock)
    scores, drift, drift_level = _without_drift(found)
    cut = borders(scores, found.noise)
    looked = _parts(tube, found, scores, list(parts(found.n, cut)))
    name = tube.channels[found.channels[drift_level]].name if drift else ""
    return Steadiness(found, clock, looked, drift, name, tuple(_off(looked, found, clock)))


def _off(parts: Sequence[Part], found: Stretches, clock: Clock | None) -> Iterator[Part]:
    """Yield the parts that leave the run's level, by less where their flow was disturbed, too."""
    rates = clock.rates(found.edges) if clock is not None else None
    for part in parts:
        rate = float(np.median(rates[part.start : part.stop])) if rates is not None else 1.0
        if part.sure > (_LEAST_DISTURBED if rate < SLOW or rate > FAST else LEAST_SHIFT):
            yield part


def _parts(tube: Tube, found: Stretches, scores: Floats, spans: Sequence[tuple[int, int]]) -> tuple[Part, ...]:
    """Return the parts with their shift from the level at which most events of the run are."""
    levels = np.array([scores[start:stop].mean(axis=0) for start, stop in spans])
    errors = np.array([found.noise / np.sqrt(stop - start) for start, stop in spans])
    shares = np.array([found.events[start:stop].sum() for start, stop in spans]) / found.edges[-1]
    apart = np.abs(levels[:, None] - levels[None]).max(axis=2) < LEAST_SHIFT
    together = apart @ shares
    # the run's level is that of the group that holds most events; of groups alike that of the longest part
    usual = max(range(len(spans)), key=lambda i: (round(together[i], 6), shares[i]))
    group = apart[usual]
    level = np.average(levels[group], axis=0, weights=shares[group])
    shifts = levels - level
    sure = np.abs(shifts) - _SURE * errors
    made = []
    for i, (start, stop) in enumerate(spans):
        worst = int(sure[i].argmax())
        name = tube.channels[found.channels[worst]].name
        made.append(Part(start, stop, float(shares[i]), float(shifts[i, worst]), float(sure[i, worst]), name))
    return tuple(made)


def _without_drift(found: Stretches) -> tuple[Floats, float, int]:
    """Return the scores without slow changes, the largest of those (SD, less two SE), and its level.

    A change is slow where a parabola over the run leaves less than the best single step does.
    """
    scores, n = found.scores, found.n
    x = np.linspace(-1.0, 1.0, n)
    basis, _ = np.linalg.qr(np.column_stack([np.ones(n), x, x**2]))
    fitted = basis @ (basis.T @ scores)
    slow = ((scores - fitted) ** 2).sum(axis=0) < _left_by_a_step(scores)
    # of the ends: a tenth of the run each
    tenth = max(2, n // 10)
    change = fitted[-tenth:].mean(axis=0) - fitted[:tenth].mean(axis=0)
    sure = np.where(slow, np.abs(change) - _SURE * found.noise * np.sqrt(2.0 / tenth), 0.0)
    worst = int(sure.argmax())
    moved = slow & (np.abs(change) > LEAST_SHIFT / 2)
    left = scores - np.where(moved, fitted - fitted.mean(axis=0), 0.0)
    return left, max(0.0, float(sure[worst])), worst


def _left_by_a_step(scores: Floats) -> Floats:
    """Return what the best single step of each series leaves, sum of squares."""
    n = len(scores)
    sums = np.cumsum(scores, axis=0)[:-1]
    total = sums[-1] + scores[-1]
    left, right = np.arange(1, n)[:, None], np.arange(n - 1, 0, -1)[:, None]
    explained = (sums**2 / left + (total - sums) ** 2 / right).max(axis=0)
    return np.asarray((scores**2).sum(axis=0) - explained)
