"""Memory of drawn figures, whose parts hold each other, so that Python lets them pile up."""

from __future__ import annotations

import gc
from functools import cache


@cache
def _set_modules_apart() -> None:
    """Leave what is loaded out of the looking: it then takes 10 ms a figure instead of 200."""
    gc.collect()
    gc.freeze()


def free_drawn() -> None:
    """Free the figures that nobody holds any more: 20 to 50 MiB each.

    What the process held when this was first called is not looked at, until `look_at_all`.
    """
    _set_modules_apart()
    gc.collect()


def look_at_all() -> None:
    """Let Python look again at what `free_drawn` left out."""
    gc.unfreeze()
    _set_modules_apart.cache_clear()
