"""Memory of drawn figures, whose parts hold each other, so that Python lets them pile up."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache


@cache
def _set_modules_apart() -> None:
    """Leave what is loaded out of the looking: it then takes 10 ms a figure instead of 200."""
    gc.collect()
    gc.freeze()


def free_drawn() -> None:
    """Free the figures that nobody holds any more: 20 to 50 MiB each.

    What the process held when this was first called is not looked at, until the end of `many_drawn`.
    """
    _set_modules_apart()
    gc.collect()


@contextmanager
def many_drawn() -> Iterator[None]:
    """Let Python look again at what `free_drawn` left out once the block ends, also where drawing raised."""
    try:
        yield
    finally:
        gc.unfreeze()
        _set_modules_apart.cache_clear()
