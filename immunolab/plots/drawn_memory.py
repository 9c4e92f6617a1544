"""Memory of drawn figures, whose parts hold each other, so that Python lets them pile up."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


def free_drawn() -> None:
    """Free the figures that nobody holds any more: 20 to 50 MiB each.

    What is left is not looked at again, until the end of `many_drawn`: a figure is then freed in 10 ms instead of 200.
    """
    gc.collect()
    gc.freeze()


@contextmanager
def drawn_at_once() -> Iterator[None]:
    """Draw inside without Python looking for what can be freed: in one figure it finds little for its tenth."""
    looks = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if looks:
            gc.enable()


@contextmanager
def many_drawn() -> Iterator[None]:
    """Let Python look again at what `free_drawn` left out once the block ends, also where drawing raised.

    Not in a process that had left something out before, as a command leaves what it imported: all would come back.
    """
    left_out = gc.get_freeze_count() > 0
    try:
        yield
    finally:
        if not left_out:
            gc.unfreeze()
