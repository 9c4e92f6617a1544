"""Reading a file in a process of its own, which a damaged HDF5 file may end without an error."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from immunolab.errors import DataFileError
from immunolab.workflow.tasks import Failure, Task
from immunolab.workflow.workers import Workers, run_tasks

T = TypeVar("T")


def read_apart(function: Callable[[str], T], path: str) -> T:
    """Return what a function makes of a file, in another process.

    Parameters
    ----------
    function
        From a path to a result, both picklable.
    path
        The file.

    Raises
    ------
    DataFileError
        The function's own, or the process died.
    """
    ((_, found),) = run_tasks(function, [Task(path, "read", path)], Workers(), "processes")
    if isinstance(found, Failure):
        raise failed_reading(found, path)
    result: T = found
    return result


def failed_reading(why: Failure, path: str) -> DataFileError:
    """Return the error of a file that a worker could not read.

    Parameters
    ----------
    why
        The worker's failure.
    path
        The file.
    """
    return DataFileError(f"{why.error}, reading the file", path, why.hint or "copy it again")
