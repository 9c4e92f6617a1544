"""Hot loops that numba compiles when they are first called, so that importing what has some costs nothing."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from functools import cache, wraps
from importlib import import_module
from types import ModuleType
from typing import Any, TypeVar, cast

F = TypeVar("F", bound=Callable[..., Any])


@cache
def _load_numba() -> None:
    """Import numba's parts without scipy.linalg, which it imports only to see whether it is there (14 MiB, 90 ms).

    A loop that calls BLAS imports it when it is compiled, as ever. A numba with other parts imports itself as it does.
    """
    try:
        from numba.np import linalg

        look = linalg.ensure_blas
    except (ImportError, AttributeError):
        return
    linalg.ensure_blas = lambda: None
    try:
        with suppress(ImportError):
            import numba.np.arraymath  # noqa: F401
    finally:
        linalg.ensure_blas = look


def jit(loop: F) -> F:
    """Return a loop that numba compiles, kept on disk where there is a place for it.

    A read-only package without a home folder (a container, a service account) has none, and compiles in each process.

    Parameters
    ----------
    loop
        May call other such loops.
    """
    from numba import njit

    _load_numba()
    try:
        return cast("F", njit(cache=True, nogil=True)(loop))
    except RuntimeError as error:
        if "cannot cache" not in str(error):
            raise
        return cast("F", njit(nogil=True)(loop))


def kept_on_disk(loop: Any) -> None:
    """Have a loop that another package compiles with numba kept on disk, as those here are.

    Parameters
    ----------
    loop
        As numba wrapped it; anything else stays as it is, for another version of the package may have none.
    """
    keep = getattr(loop, "enable_caching", None)
    if keep is not None:
        with suppress(RuntimeError):  # no place for it: compiled in each process, as without this
            keep()


def imported(name: str) -> ModuleType:
    """Return another package's module, with the loops that it compiles when it is imported kept on disk.

    Those of pynndescent 0.6 take each process 7 s otherwise. What is compiled when it is called stays as it is.

    Parameters
    ----------
    name
        Of the module.
    """
    numba: Any = import_module("numba")  # the module itself, whose word is another one for as long as this takes
    plain = numba.njit

    def njit(*words: Any, **options: Any) -> Any:
        if not words or callable(words[0]) or "cache" in options:
            return plain(*words, **options)

        def decorate(loop: Any) -> Any:
            try:
                return plain(*words, cache=True, **options)(loop)
            except RuntimeError:  # no place for it
                return plain(*words, **options)(loop)

        return decorate

    numba.njit = njit
    try:
        return import_module(name)
    finally:
        numba.njit = plain


def compiled(loop: F) -> F:
    """Return the function compiled without the interpreter's lock, from numba's cache on disk where it is there.

    The loop may call numpy, but no other loop: it is compiled by itself.
    """

    @cache
    def kernel() -> Callable[..., Any]:
        return jit(loop)

    @wraps(loop)
    def run(*arguments: Any) -> Any:
        return kernel()(*arguments)

    return run  # type: ignore[return-value]
