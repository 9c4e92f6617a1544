"""Progress of a run, whose bars name the stage that is on, and names of few samples."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TypeVar

from immunolab.progress import progress
from immunolab.workflow.night_log import night_log

T = TypeVar("T")
_MOST_NAMED = 3  # samples named in one line; judgement: the night log has them all


def stage_progress(items: Iterable[T], total: int, title: str, stage: str, *, logs: bool = True) -> Iterator[T]:
    """Yield the items, showing how many of the total are done, and which of the run's stages this is.

    Parameters
    ----------
    items
        As they are done.
    total
        Items that are to come.
    title
        In front of the bar or of each line of the log.
    stage
        One of `immunolab.schema.night_log.STAGES`; a bar has its place among those of the run, as ``(3 of 6)``.
    logs
        Whether lines are written where there is no bar.
    """
    planned = night_log().state.planned
    where = f"({planned.index(stage) + 1} of {len(planned)})" if stage in planned else ""
    return progress(items, total, title, where=where, logs=logs)


def named(names: Sequence[str], what: str) -> str:
    """Return ``P01_W0, P01_W10`` of few names, ``16 samples`` of many.

    Parameters
    ----------
    names
        In order.
    what
        They are, in the plural.
    """
    return ", ".join(names) if len(names) <= _MOST_NAMED else f"{len(names)} {what}"
