"""Running one function over many tasks in threads or processes of this machine.

A task's failure is a value, not an exception; a worker that dies costs its own task a retry, then a
failure; no more tasks are in flight than the memory budget holds.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from typing import Any, Literal

from immunolab.workflow.night_log import night_log
from immunolab.workflow.tasks import Failure, Task, attempt_task
from immunolab.workflow.worker_processes import WorkerProcesses, kept_processes

Kind = Literal["threads", "processes"]
log = logging.getLogger("immunolab")
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


def _on_this_machine(
    function: Callable[[Any], Any], tasks: Sequence[Task[Any]], pool: Workers, kind: Kind
) -> Iterator[tuple[Task[Any], Any]]:
    waiting = list(reversed(tasks))
    flying: dict[Future[Any], Task[Any]] = {}
    died: list[Task[Any]] = []
    lasting = kept_processes()
    processes = lasting or WorkerProcesses()
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


def _once_more(function: Callable[[Any], Any], task: Task[Any], processes: WorkerProcesses) -> Any:
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
