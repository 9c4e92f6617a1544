"""Work that ends its process, in a module that imports little: a worker imports it anew each time that it dies."""

from __future__ import annotations

import os
import signal
from pathlib import Path


def draw_once(item: tuple[int, str]) -> int:
    """Return the square of a number; the worker that takes a 2 first dies, and a 5 is an error."""
    number, marker = item
    if number == 2 and not Path(marker).exists():
        Path(marker).touch()
        os.kill(os.getpid(), signal.SIGKILL)
    if number == 5:
        raise ValueError("an axis without values")
    return number * number


def end_the_process(path: str) -> None:
    """Do what a library does on some damage."""
    if "damaged" in path:
        os.kill(os.getpid(), signal.SIGSEGV)


def inspect_or_end(path: str, **_more: object) -> dict[str, object]:
    """Inspect a file that is whole."""
    from immunolab.loaders.inspect import inspect_file

    end_the_process(str(path))
    return inspect_file(path)
