"""Progress of long work: a bar on a terminal and in a notebook, a plain line now and then in a log."""

from __future__ import annotations

import logging
import sys
import time
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, TypeVar

T = TypeVar("T")
log = logging.getLogger("immunolab")
_SECONDS_BETWEEN_LINES = 30.0  # in a log: judgement, a night's run then writes some hundreds
_FIRST_LINE = 5.0  # seconds to the first line of a stage, which doubles up to those: judgement, no long silence
_FEWEST_DONE = 3  # of a stage before the time left is said: judgement, the first one waits for workers to start
_quiet: ContextVar[bool] = ContextVar("quiet", default=False)


@contextmanager
def quietly(quiet: bool = True) -> Iterator[None]:
    """Show no progress within, neither bars nor lines of the log.

    Parameters
    ----------
    quiet
        False leaves it as it is outside.
    """
    token = _quiet.set(quiet or _quiet.get())
    try:
        yield
    finally:
        _quiet.reset(token)


def in_notebook() -> bool:
    """Return whether the code runs in the kernel of a notebook, where a bar is drawn in the page."""
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    return type(shell).__name__ == "ZMQInteractiveShell"


def progress(
    items: Iterable[T], total: int, title: str, *, where: str = "", logs: bool = True, quiet: bool = False
) -> Iterator[T]:
    """Yield the items, showing how many of the total are done.

    Parameters
    ----------
    items
        As they are done.
    total
        Items that are to come.
    title
        In front of the bar or of each line of the log.
    where
        Behind the title of a bar: the phase of a longer work.
    logs
        Whether lines are written where there is no bar.
    quiet
        Show nothing.
    """
    if quiet or _quiet.get() or not total:
        yield from items
    elif in_notebook() or sys.stderr.isatty():
        with _bar(total, f"{title} {where}".strip()) as bar:
            for item in items:
                yield item
                bar.update()
    elif logs:
        yield from _logged(items, total, title)
    else:
        yield from items


@contextmanager
def phases(title: str, names: Sequence[str], *, quiet: bool = False) -> Iterator[Callable[[], None]]:
    """Show a work of several phases as a bar that names the one that is on; in a log nothing is written.

    Parameters
    ----------
    title
        Of the work.
    names
        Of its phases, in order.
    quiet
        Show nothing.

    Yields
    ------
    callable
        To be called when a phase is done.
    """
    if quiet or _quiet.get() or not (in_notebook() or sys.stderr.isatty()):
        yield lambda: None
        return
    with _bar(len(names), f"{title}: {names[0]}") as bar:
        done = iter([*names[1:], names[-1]])

        def next_phase() -> None:
            bar.n += 1
            bar.set_description(f"{title}: {next(done, names[-1])}")  # drawn at once, however short a phase is

        yield next_phase


def _bar(total: int, title: str) -> Any:
    """Return a bar of the notebook or the terminal, which is gone when the work is done."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="IProgress not found")  # a bar of characters serves as well
        from tqdm.auto import tqdm
    return tqdm(total=total, desc=title, unit="", leave=False)


def _logged(items: Iterable[T], total: int, title: str) -> Iterator[T]:
    started = logged = time.monotonic()
    wait = _FIRST_LINE
    for done, item in enumerate(items, start=1):
        yield item
        now = time.monotonic()
        if now - logged > wait and done < total:
            logged, wait = now, min(2 * wait, _SECONDS_BETWEEN_LINES)
            left = f", about {(now - started) / done * (total - done):.0f} s left" if done >= _FEWEST_DONE else ""
            log.info("%s: %d of %d%s", title, done, total, left)
    log.info("%s: %d done in %.1f s", title, total, time.monotonic() - started)
