"""Independent pieces of a step: done here, in worker processes, or on a cluster, and given back in order."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import Any

from immunolab.errors import ImmunolabError
from immunolab.workflow.cluster import run_on_cluster
from immunolab.workflow.night_log import night_log
from immunolab.workflow.progress import stage_progress
from immunolab.workflow.tasks import Failure, Task
from immunolab.workflow.workers import Workers, run_tasks

_BARS = {
    "cells": "labelling cells",
    "compare": "comparing",
    "verify": "reading events",
}  # bars of stages whose log has no line of its own


@dataclass(frozen=True)
class SpreadWork:
    """Maps a function over items, as `map` does, wherever a run's work is done; results do not depend on where.

    Attributes
    ----------
    jobs
        Items at once on this machine; one of them is done here, without a worker.
    scheduler
        Address of a Dask scheduler that takes the items instead.
    stage, what
        Of a message on an item whose worker died: the step, and what an item is.
    title
        In front of the progress that is shown; "" shows a bar named by its stage, and no line in a log.
    """

    jobs: int = 1
    scheduler: str = ""
    stage: str = field(default="report", kw_only=True)
    what: str = field(default="figure", kw_only=True)
    title: str = field(default="drawing figures", kw_only=True)

    @property
    def elsewhere(self) -> bool:
        """Whether items are done in other processes, and so must be picklable."""
        return self.jobs > 1 or bool(self.scheduler)

    def __call__(self, function: Callable[[Any], Any], items: Iterable[Any]) -> Sequence[Any]:
        """Return the function of each item, in order.

        Parameters
        ----------
        function
            From an item to a result; picklable where the work is done elsewhere.
        items
            Any.

        Raises
        ------
        ImmunolabError
            The first item's own that has one, or what became of those whose worker failed.
        """
        tasks = [Task(f"{self.what} {i}", self.stage, item) for i, item in enumerate(items, start=1)]
        if not self.elsewhere:
            return _here(function, tasks, self.title)
        kept = _Kept(function)
        if self.scheduler:
            results = run_on_cluster(kept, tasks, self.scheduler)
        else:
            results = run_tasks(kept, tasks, Workers(self.jobs), "processes")
        found = {task.name: result for task, result in _shown(results, len(tasks), self.title, self.stage)}
        failed = [f"{name}: {result.error}" for name, result in found.items() if isinstance(result, Failure)]
        if failed:
            hint = "run again with --jobs 1"
            raise ImmunolabError(f"{self.what}s cannot be made: " + "; ".join(sorted(failed)), hint=hint)
        for task in tasks:
            if isinstance(found[task.name], ImmunolabError):
                raise found[task.name]
        return [found[task.name] for task in tasks]


def _shown(items: Iterable[Any], total: int, title: str, stage: str) -> Iterable[Any]:
    return stage_progress(items, total, title or _BARS.get(stage, stage), stage, logs=bool(title))


def _here(function: Callable[[Any], Any], tasks: Sequence[Task[Any]], title: str) -> list[Any]:
    """Return the results in order; an error ends it as it is, with its traceback."""
    night, found = night_log(), []
    with night.stage(tasks[0].stage, len(tasks)) if tasks else nullcontext():
        for task in _shown(tasks, len(tasks), title, tasks[0].stage if tasks else ""):
            night.take(task)
            found.append(function(task.argument))
            night.end(task, None)
    return found


@dataclass(frozen=True)
class _Kept:
    """A function whose own errors are given back as values, whole, instead of as a worker's failure."""

    function: Callable[[Any], Any]

    def __call__(self, item: Any) -> Any:
        try:
            return self.function(item)
        except ImmunolabError as error:
            return error
