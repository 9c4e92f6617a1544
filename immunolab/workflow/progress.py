"""Progress of long work: a bar with rate and time left on a terminal, a plain line now and then in a log."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

T = TypeVar("T")
log = logging.getLogger("immunolab")
_SECONDS_BETWEEN_LINES = 30.0  # in a log: judgement, a night's run then writes some hundreds


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
    for done, item in enumerate(items, start=1):
        yield item
        now = time.monotonic()
        if now - logged > _SECONDS_BETWEEN_LINES and done < total:
            logged = now
            left = (now - started) / done * (total - done)
            log.info("%s: %d of %d, about %.0f s left", title, done, total, left)
    if total:
        log.info("%s: %d done in %.1f s", title, total, time.monotonic() - started)
