"""A process as another one finds it again: its machine, its number, when it began; and the memory it took."""

from __future__ import annotations

import gc
import os
import platform
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

_PROC = Path("/proc")
_BOOT = _PROC / "sys/kernel/random/boot_id"
_MOST_JOBS = 8  # that nobody asked for: judgement, a shared computer is left to others too
_MEMORY_OF_JOB = 1 << 30  # bytes: a worker on a tube of a million events, or one that draws, takes 300 to 800 MB
_START_FIELD = 22  # of /proc/PID/stat: clock ticks from boot to the start of the process (proc(5))


def here() -> dict[str, Any]:
    """Return host, pid and, where the system says it, the numbers' space and when the process began.

    Returns
    -------
    dict
        ``host``; ``space``, within which a pid means one process (boot and namespace, "" where unknown); ``pid``;
        ``ticks`` from boot to its start (0 where unknown).
    """
    return {"host": platform.node(), "space": _space(), "pid": os.getpid(), "ticks": _ticks(os.getpid())}


def is_alive(place: Mapping[str, Any]) -> bool | None:
    """Return whether the process of a place is there; None where this process cannot see it.

    Parameters
    ----------
    place
        As `here` gave it, perhaps on another machine.
    """
    elsewhere = (place["host"], place["space"]) != (platform.node(), _space())
    if elsewhere or sys.platform == "win32":  # where signal 0 is no question but an interruption
        return None
    try:
        os.kill(place["pid"], 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # of another user, and there
        pass
    return _ticks(place["pid"]) == place["ticks"]


def _space() -> str:
    try:
        return f"{_BOOT.read_text(encoding='ascii').strip()} {os.readlink(_PROC / 'self/ns/pid')}"
    except OSError:
        return ""


def _ticks(pid: int) -> int:
    """Return when a process began; 0 where the system does not say; -1 for one that has ended."""
    try:
        text = (_PROC / str(pid) / "stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return 0
    rest = text.rpartition(")")[2].split()  # the name before may hold spaces; rest begins with field 3
    return -1 if rest[0] == "Z" else int(rest[_START_FIELD - 3])


def peak_memory() -> dict[str, int]:
    """Return the largest resident memory in bytes of this process and of its largest ended child; empty on Windows."""
    try:
        import resource
    except ImportError:
        return {}
    unit = 1 if sys.platform == "darwin" else 1024  # getrusage(2): bytes there, KiB on Linux
    kinds = {"run": resource.RUSAGE_SELF, "worker": resource.RUSAGE_CHILDREN}
    return {name: resource.getrusage(kind).ru_maxrss * unit for name, kind in kinds.items()}


@contextmanager
def many_imports() -> Iterator[None]:
    """Import inside without Python looking for what can be freed, a fifth of the time; nor later among what is there.

    For a process that does one thing.
    """
    looks = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        if looks:
            gc.enable()


def resident_memory() -> int:
    """Return the bytes of memory that this process holds now; the most it ever held where the system says only that."""
    try:
        pages = int((_PROC / "self/statm").read_text(encoding="ascii").split()[1])
    except (OSError, IndexError):
        return peak_memory().get("run", 0)
    return pages * os.sysconf("SC_PAGE_SIZE")


def usable_jobs() -> int:
    """Return how many workers this computer has cores and free memory for, at least one and at most eight."""
    try:
        cores = len(os.sched_getaffinity(0))  # fewer than the computer's in a container or a batch job
    except AttributeError:  # not on macOS and Windows
        cores = os.cpu_count() or 1
    return max(1, min(cores, _MOST_JOBS, _available_memory() // _MEMORY_OF_JOB))


def _available_memory() -> int:
    """Return the bytes that programs can have without swapping; more than any need where the system says nothing."""
    try:
        lines = (_PROC / "meminfo").read_text(encoding="ascii").splitlines()
        return next(int(line.split()[1]) << 10 for line in lines if line.startswith("MemAvailable:"))
    except (OSError, StopIteration, ValueError, IndexError):
        return _MOST_JOBS * _MEMORY_OF_JOB
