"""Running one function over many tasks in threads or processes of this machine.

A task's failure is a value, not an exception; a worker that dies costs its own task a retry, then a
failure; no more tasks are in flight than the memory budget holds.
"""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, ThreadPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass
from importlib import import_module
from types import ModuleType
from typing import Any, Literal

from immunolab.errors import ImmunolabError
from immunolab.workflow.night_log import night_log
from immunolab.workflow.process import many_imports, peak_memory, resident_memory
from immunolab.workflow.store import is_folder_fault
from immunolab.workflow.tasks import Failure, Task

Kind = Literal["threads", "processes"]
log = logging.getLogger("immunolab")
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
MEMORY_PER_FILE_BYTE = 4  # bytes that a tube in work may take, for each byte of its file


@dataclass(frozen=True)
class Workers:
    """How work is spread.

    Attributes
    ----------
    jobs
        Tasks at once on this machine.
    memory
        Bytes that the tasks in flight may need together.
    """

    jobs: int = 1
    memory: int = 0


def run_tasks(
    function: Callable[[Any], Any], tasks: Sequence[Task[Any]], pool: Workers, kind: Kind = "threads"
) -> Iterator[tuple[Task[Any], Any]]:
    """Yield ``(task, result or Failure)`` as tasks end, in no fixed order.

    Parameters
    ----------
    function
        From a task's argument to a result; in processes both must be picklable.
    tasks
        Any order.
    pool
        How many at once, and the memory for them.
    kind
        ``threads`` or ``processes`` on this machine.

    Raises
    ------
    InputError
        The output folder cannot be written (no task could succeed).
    """
    if not tasks:
        return
    if kind == "threads" and (pool.jobs == 1 or len(tasks) == 1):
        yield from logged(_one_by_one(function, tasks), tasks)
    else:
        yield from logged(_on_this_machine(function, tasks, pool, kind), tasks)


def logged(results: Iterator[tuple[Task[Any], Any]], tasks: Sequence[Task[Any]]) -> Iterator[tuple[Task[Any], Any]]:
    """Yield results as they come, and note them in the run's log as a stage.

    Parameters
    ----------
    results
        (task, result or Failure).
    tasks
        All of them, of one stage.
    """
    night = night_log()
    with night.stage(tasks[0].stage, len(tasks)):
        for task, result in results:
            failure = result if isinstance(result, Failure) else None
            night.end(task, failure, events=getattr(result, "n_events", 0))  # of a tube that was gated
            yield task, result


def _one_by_one(function: Callable[[Any], Any], tasks: Sequence[Task[Any]]) -> Iterator[tuple[Task[Any], Any]]:
    for task in tasks:
        night_log().take(task)
        yield task, attempt_task(function, task)


def attempt_task(function: Callable[[Any], Any], task: Task[Any]) -> Any:
    """Run a task and return its value or Failure; only a fault of the output folder is raised.

    Parameters
    ----------
    function
        From a task's argument to a result.
    task
        The task.
    """
    try:
        return function(task.argument)
    except ImmunolabError as error:
        return Failure(task.stage, error.message, error.hint)
    except MemoryError:
        return Failure(task.stage, "out of memory", "give more memory or fewer --jobs")
    except Exception as error:
        if is_folder_fault(error):
            raise
        log.debug("%s %s\n%s", task.name, task.stage, traceback.format_exc())
        return Failure(task.stage, f"internal error: {type(error).__name__}: {error}", "run again with --debug")


def _begin_worker(parent: int) -> None:
    """End this worker at Ctrl-C without a word, and soon after its parent, which may be killed before it can say so.

    Ctrl-C reaches every process of a terminal; `_submit` holds it back until here.
    """
    signal.signal(signal.SIGINT, lambda *_: os._exit(_INTERRUPTED))
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(_WATCH_SECOND)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


class _WorkerProcesses:
    """Processes of one worker each, so that the death of a worker costs no other task its work.

    A pool of several processes ends them all when one dies, and waits for ever for one that it started meanwhile
    (Python 3.11); a pool of one starts none.
    """

    def __init__(self) -> None:
        self._idle: list[ProcessPoolExecutor] = []

    def attempt(self, function: Callable[[Any], Any], task: Task[Any]) -> Any:
        """Run a task in an idle process or a new one; raise BrokenProcessPool where that died."""
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


_kept: ContextVar[_WorkerProcesses | None] = ContextVar("worker_processes", default=None)


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
    processes = _WorkerProcesses()
    token = _kept.set(processes)
    try:
        if jobs > 1:
            processes.start(jobs)
        yield
    finally:
        _kept.reset(token)
        processes.close()


def workers_wait(jobs: int) -> bool:
    """Return whether so many worker processes wait for work, so that even a short one is worth giving away.

    Parameters
    ----------
    jobs
        Tasks at once.
    """
    processes = _kept.get()
    return processes is not None and processes.are_there(jobs)


def _on_this_machine(
    function: Callable[[Any], Any], tasks: Sequence[Task[Any]], pool: Workers, kind: Kind
) -> Iterator[tuple[Task[Any], Any]]:
    waiting = list(reversed(tasks))
    flying: dict[Future[Any], Task[Any]] = {}
    died: list[Task[Any]] = []
    lasting = _kept.get()
    processes = lasting or _WorkerProcesses()
    work = processes.attempt if kind == "processes" else attempt_task
    threads = ThreadPoolExecutor(pool.jobs)
    try:
        while waiting or flying:
            while waiting and _fits(waiting[-1], list(flying.values()), pool):
                task = waiting.pop()
                night_log().take(task)
                flying[threads.submit(work, function, task)] = task
            done, _ = wait(flying, return_when=FIRST_COMPLETED)
            for future in done:
                task = flying.pop(future)
                if isinstance(future.exception(), BrokenProcessPool):
                    died.append(task)
                else:
                    yield task, future.result()
        if died:
            processes.close()  # memory for those that may have died of its lack
        for task in died:
            yield task, _once_more(function, task, processes)
        if kind == "processes":
            processes.end_large()
    finally:
        threads.shutdown(wait=True, cancel_futures=True)
        if lasting is None:
            processes.close()


def _once_more(function: Callable[[Any], Any], task: Task[Any], processes: _WorkerProcesses) -> Any:
    """Run a task whose worker died again, with nothing beside it."""
    log.info("%s: a worker died, trying once more", task.name)
    night_log().write("worker_died", stage=task.stage, samples=list(task.samples))
    try:
        return processes.attempt(function, task)
    except BrokenProcessPool:
        return Failure(task.stage, "the worker died twice", "it may need more memory than there is")


def _fits(task: Task[Any], flying: Sequence[Task[Any]], pool: Workers) -> bool:
    if not flying:
        return True
    needed = task.cost + sum(other.cost for other in flying)
    return len(flying) < pool.jobs and (pool.memory <= 0 or needed <= pool.memory)


def memory_budget() -> int:
    """Return the bytes that tasks in flight may need together: half of the machine's free memory."""
    try:
        return int(os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2)
    except (ValueError, OSError, AttributeError):
        return 0
