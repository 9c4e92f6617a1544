"""Tasks on an existing Dask cluster, whose workers must run this very package."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import CancelledError
from typing import TYPE_CHECKING, Any

from immunolab.errors import InputError, Problem
from immunolab.version import VERSION, package_content
from immunolab.workflow.store import is_folder_fault
from immunolab.workflow.tasks import Failure, Task
from immunolab.workflow.workers import logged

if TYPE_CHECKING:
    from distributed import Client

WAIT_SECOND = 60.0  # for the first worker: judgement, batch systems start one within a minute where a node is free


def run_on_cluster(
    function: Callable[[Any], Any], tasks: Sequence[Task[Any]], address: str, *, wait_second: float = WAIT_SECOND
) -> Iterator[tuple[Task[Any], Any]]:
    """Yield ``(task, result or Failure)`` as tasks end.

    Parameters
    ----------
    function
        From a task's argument to a result, both picklable.
    tasks
        Any order.
    address
        Of the scheduler.
    wait_second
        How long a scheduler without workers is waited for.

    Raises
    ------
    InputError
        No scheduler answers, it has no worker, it went away, or a worker's package differs from this one.
    """
    if not tasks:
        return
    with _client(address) as client:
        try:
            _wait_for_a_worker(client, address, wait_second)
            yield from logged(_results(client, function, tasks), tasks)
        except (CancelledError, OSError, TimeoutError) as error:
            if is_folder_fault(error):
                raise
            hint = "finished samples are kept: start the scheduler and run the same command again"
            raise _refused(f"the scheduler at {address} went away ({type(error).__name__})", hint) from None


def _client(address: str) -> Client:
    try:
        from distributed import Client
    except ImportError:
        raise _refused("the package distributed is not installed", 'pip install "immunolab[cluster]"') from None
    try:
        return Client(address, timeout="30s")
    except (OSError, ValueError, TimeoutError) as error:
        hint = "give the address that the scheduler printed, such as tcp://node01:8786"
        raise _refused(f"no Dask scheduler answers at {address}: {error}", hint) from None


def _wait_for_a_worker(client: Client, address: str, seconds: float) -> None:
    try:
        client.wait_for_workers(1, timeout=seconds)
    except TimeoutError:
        text = f"the scheduler at {address} has had no worker for {seconds:g} s"
        raise _refused(text, f"start one: dask worker {address}") from None


def _results(
    client: Client, function: Callable[[Any], Any], tasks: Sequence[Task[Any]]
) -> Iterator[tuple[Task[Any], Any]]:
    from distributed import as_completed
    from distributed.scheduler import KilledWorker

    content, guarded = travelling()
    expected = content()
    futures = {
        # once more for a task whose worker died: a node that failed is excused, a file that kills is not
        client.submit(guarded, expected, pickle.dumps((function, task)), pure=False, retries=1): task
        for task in tasks
    }
    for future in as_completed(list(futures)):
        task = futures[future]
        try:
            same, result = future.result()
        except KilledWorker:
            yield task, Failure(task.stage, "the worker died", "it may need more memory")
            continue
        if not same:
            hint = f"install version {VERSION} from one wheel on every node; no result of this run is of that worker"
            raise _refused(f"a worker's immunolab differs from the one that asks: {result}", hint)
        yield task, result


def travelling() -> tuple[Callable[[], str], Callable[[str, bytes], tuple[bool, Any]]]:
    """Return what hashes a package, and what runs a task where that hash is as expected.

    Both are functions within a function, and so are sent as code: a worker would look up a function of this module in
    its own package, which is what is in question.
    """

    content = package_content()

    def guarded(expected: str, packed: bytes) -> tuple[bool, Any]:
        import platform
        from pickle import loads

        found = content()
        if found != expected:
            return False, f"on {platform.node()}, content {found[:12]} for {expected[:12]}"
        from immunolab.workflow.tasks import attempt_task

        return True, attempt_task(*loads(packed))

    return content, guarded


def _refused(message: str, hint: str) -> InputError:
    return InputError(Problem("", "--scheduler", message, hint))
