"""A unit of work, and why one has no result."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, TypeVar

T = TypeVar("T")


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
