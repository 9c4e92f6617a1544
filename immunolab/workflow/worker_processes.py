"""The worker processes of this machine: how one starts, is kept from step to step, and ends with its parent."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from importlib import import_module
from types import ModuleType
from typing import Any

from immunolab.workflow.night_log import night_log
from immunolab.workflow.process import many_imports, peak_memory, resident_memory
from immunolab.workflow.tasks import Task, attempt_task

_INTERRUPTED = 130  # exit code of a process that Ctrl-C ends, as shells have it (128 + SIGINT)
_WATCH_SECOND = 1.0  # between two looks at the parent: a glance costs microseconds, a scheduler waits seconds
_MEMORY_KEPT = (
    512 << 20
)  # bytes that a worker may hold and stay for the next step (judgement: one that draws has 300 MB)
_ROOMS_OF_WORK = (  # of placing and gating, and of drawing with what that imports when the first figure is made
    "immunolab.workflow.tubes",
    "immunolab.gating.placement.fit",
    "immunolab.report.page",
    "matplotlib.backends.backend_pdf",
    "scipy.stats",
)
_starting = threading.Lock()  # one thread at a time changes what a new process is given


def _begin_worker(parent: int) -> None:
    """End this worker at Ctrl-C without a word, and soon after its parent, which may be killed before it can say so.

    Ctrl-C reaches every process of a terminal; `_new_process` holds it back until here.
    """
    signal.signal(signal.SIGINT, lambda *_: os._exit(_INTERRUPTED))
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(_WATCH_SECOND)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


class WorkerProcesses:
    """Processes of one worker each, so that the death of a worker costs no other task its work.

    A pool of several processes ends them all when one dies, and waits for ever for one that it started meanwhile
    (Python 3.11); a pool of one starts none.
    """

    def __init__(self) -> None:
        self._idle: list[ProcessPoolExecutor] = []

    def attempt(self, function: Callable[[Any], Any], task: Task[Any]) -> Any:
        """Run a task in an idle process or a new one.

        Parameters
        ----------
        function
            From a task's argument to a result; both must be picklable.
        task
            The task.

        Raises
        ------
        BrokenProcessPool
            The process died.
        """
        process = self._idle.pop() if self._idle else _new_process()
        try:
            result = process.submit(attempt_task, function, task).result()
        except BrokenProcessPool:
            process.shutdown()
            raise
        except BaseException:
            self._idle.append(process)
            raise
        self._idle.append(process)
        return result

    def start(self, count: int) -> None:
        """Start processes that import what they need while nothing waits for them."""
        started = [_new_process() for _ in range(count)]
        for process in started:
            process.submit(_import_what_runs_need)
        self._idle += started

    def are_there(self, count: int) -> bool:
        """Return whether so many processes wait for work."""
        return len(self._idle) >= count

    def end_large(self) -> None:
        """End idle processes that hold so much memory that later work had better have it."""
        for process in [self._idle.pop() for _ in range(len(self._idle))]:
            with suppress(BrokenProcessPool):  # one that was killed since has no memory
                most, now = process.submit(_memory).result()
                night_log().note_worker_memory(most)
                if now <= _MEMORY_KEPT:
                    self._idle.append(process)
                    continue
            process.shutdown()

    def close(self) -> None:
        """End the processes once their tasks are done."""
        while self._idle:
            self._idle.pop().shutdown()


def _new_process() -> ProcessPoolExecutor:
    """Start a process, deaf to Ctrl-C while its interpreter starts, that does not run the calling script again."""
    spawn = multiprocessing.get_context("spawn")
    process = ProcessPoolExecutor(1, spawn, _begin_worker, (os.getpid(),))
    with _starting, _without_interrupt(), _without_script():
        process.submit(os.getpid)  # the first work starts the process
    return process


@contextmanager
def _without_interrupt() -> Iterator[None]:
    """Block SIGINT, which what this thread starts inherits: an interpreter that starts answers it with a traceback."""
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def _without_script() -> Iterator[None]:
    """Show an empty `__main__` to `multiprocessing`, which would import the user's script in the new process.

    A script without ``if __name__ == "__main__"`` would begin its own run there. What workers call is the package's.
    """
    script = sys.modules["__main__"]
    sys.modules["__main__"] = ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = script


def _memory() -> tuple[int, int]:
    """Return the bytes that this process took at most, and those it holds."""
    return peak_memory().get("run", 0), resident_memory()


def _import_what_runs_need() -> None:
    """Import the rooms of placing, gating and drawing: a second in which the run reads its files."""
    with many_imports():
        for room in _ROOMS_OF_WORK:
            import_module(room)


_kept: ContextVar[WorkerProcesses | None] = ContextVar("worker_processes", default=None)


@contextmanager
def kept_workers(jobs: int) -> Iterator[None]:
    """Keep the worker processes of what runs inside from one step to the next: each takes seconds to start.

    Inside another such block nothing is done; there the outer block's processes work.

    Parameters
    ----------
    jobs
        Processes that are started at once; none for 1, where work is done without them.
    """
    if _kept.get() is not None:
        yield
        return
    processes = WorkerProcesses()
    token = _kept.set(processes)
    try:
        if jobs > 1:
            processes.start(jobs)
        yield
    finally:
        _kept.reset(token)
        processes.close()


def kept_processes() -> WorkerProcesses | None:
    """Return the processes that `kept_workers` keeps; None outside of it."""
    return _kept.get()


def workers_wait(jobs: int) -> bool:
    """Return whether so many worker processes wait for work, so that even a short one is worth giving away.

    Parameters
    ----------
    jobs
        Tasks at once.
    """
    processes = _kept.get()
    return processes is not None and processes.are_there(jobs)
