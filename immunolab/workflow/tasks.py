"""A unit of work: done, or why it has no result."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from immunolab.errors import ImmunolabError
from immunolab.workflow.store import is_folder_fault

T = TypeVar("T")
log = logging.getLogger("immunolab")


@dataclass(frozen=True)
class Failure:
    """Why a task has no result."""

    stage: str
    error: str
    hint: str = ""


@dataclass(frozen=True)
class Task(Generic[T]):
    """One unit of work: its name for messages, its stage, its argument, the bytes it may need, its samples."""

    name: str
    stage: str
    argument: T
    cost: int = 0
    samples: tuple[str, ...] = ()


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
