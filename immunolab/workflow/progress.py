"""Progress of long work: a bar with rate and time left on a terminal, a plain line now and then in a log."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from typing import TypeVar

T = TypeVar("T")
log = logging.getLogger("immunolab")
_SECONDS_BETWEEN_LINES = 30.0  # in a log: judgement, a night's run then writes some hundreds
_FIRST_LINE = 5.0  # seconds to the first line of a stage, which doubles up to those: judgement, no long silence
_FEWEST_DONE = 3  # of a stage before the time left is said: judgement, the first one waits for workers to start
_MOST_NAMED = 3  # samples named in one line; judgement: the night log has them all


def progress(items: Iterable[T], total: int, title: str) -> Iterator[T]:
    """Yield the items, showing how many of the total are done.

    Parameters
    ----------
    items
        As they are done.
    total
        Items that are to come.
    title
        In front of the bar or of each line of the log.
    """
    if sys.stderr.isatty():
        from tqdm import tqdm

        yield from tqdm(items, total=total, desc=title, unit="", leave=False)
        return
    started = logged = time.monotonic()
    wait = _FIRST_LINE
    for done, item in enumerate(items, start=1):
        yield item
        now = time.monotonic()
        if now - logged > wait and done < total:
            logged, wait = now, min(2 * wait, _SECONDS_BETWEEN_LINES)
            left = f", about {(now - started) / done * (total - done):.0f} s left" if done >= _FEWEST_DONE else ""
            log.info("%s: %d of %d%s", title, done, total, left)
    if total:
        log.info("%s: %d done in %.1f s", title, total, time.monotonic() - started)


def named(names: Sequence[str], what: str) -> str:
    """Return ``P01_W0, P01_W10`` of few names, ``16 samples`` of many.

    Parameters
    ----------
    names
        In order.
    what
        They are, in the plural.
    """
    return ", ".join(names) if len(names) <= _MOST_NAMED else f"{len(names)} {what}"
