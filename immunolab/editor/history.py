"""Undo and redo of whole strategies."""

from __future__ import annotations

from dataclasses import dataclass

from immunolab.gating.strategy import Strategy


@dataclass(frozen=True)
class Step:
    """A change: the strategy before it, what was done in words, and what further steps of its kind join it."""

    before: Strategy
    words: str
    joined_by: str = ""


class History:
    """Steps that can be undone, and those that were."""

    def __init__(self) -> None:
        self._done: list[Step] = []
        self._undone: list[Step] = []

    @property
    def undo_words(self) -> str:
        """What `undo` takes back; empty where there is nothing."""
        return self._done[-1].words if self._done else ""

    @property
    def redo_words(self) -> str:
        """What `redo` does again; empty where there is nothing."""
        return self._undone[-1].words if self._undone else ""

    def add(self, before: Strategy, words: str, joined_by: str = "") -> None:
        """Note a change; one that joins the last one is undone with it.

        Parameters
        ----------
        before
            The strategy before the change.
        words
            What was done.
        joined_by
            Steps with the same key that follow each other are one.
        """
        self._undone = []
        if joined_by and self._done and self._done[-1].joined_by == joined_by:
            before = self._done.pop().before
        self._done.append(Step(before, words, joined_by))

    def undo(self, now: Strategy) -> Strategy | None:
        """Return the strategy before the last change; None where there is none.

        Parameters
        ----------
        now
            The strategy to come back to with `redo`.
        """
        if not self._done:
            return None
        last = self._done.pop()
        self._undone.append(Step(now, last.words))
        return last.before

    def redo(self, now: Strategy) -> Strategy | None:
        """Return the strategy that was undone last; None where there is none.

        Parameters
        ----------
        now
            The strategy to come back to with `undo`.
        """
        if not self._undone:
            return None
        last = self._undone.pop()
        self._done.append(Step(now, last.words))
        return last.before
