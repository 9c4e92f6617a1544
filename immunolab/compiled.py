"""Hot loops that numba compiles when they are first called, so that importing what has some costs nothing."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, wraps
from typing import Any, TypeVar

F = TypeVar("F", bound=Callable[..., Any])


def compiled(loop: F) -> F:
    """Return the function compiled without the interpreter's lock, from numba's cache on disk where it is there.

    The loop may call numpy, but no other loop: it is compiled by itself.
    """

    @cache
    def kernel() -> Callable[..., Any]:
        from numba import njit

        return njit(cache=True, nogil=True)(loop)  # type: ignore[no-any-return]

    @wraps(loop)
    def run(*arguments: Any) -> Any:
        return kernel()(*arguments)

    return run  # type: ignore[return-value]
