"""What is compared with what: the two sides of a contrast, and how cells of tables write them."""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple

JOINED_BY = "+"  # visits of one side, averaged within a patient, in a cell of pairs.csv


class Contrast(NamedTuple):
    """Two sides that are compared: visits, phases or periods.

    Attributes
    ----------
    before, after
        As the user names them.
    """

    before: str
    after: str

    def __str__(self) -> str:
        """Return ``W10 - W0``: the later side against the earlier, as tables write it."""
        return f"{self.after} - {self.before}"

    @property
    def in_words(self) -> str:
        """``W10 against W0``."""
        return f"{self.after} against {self.before}"


def side_visits(cell: str, known: Collection[str]) -> list[str]:
    """Return the visits of a side as pairs.csv names it.

    Parameters
    ----------
    cell
        ``visit_before`` or ``visit_after`` of a pair.
    known
        Visits of the samples; one that holds a "+" in its name is one visit.
    """
    parts = [cell] if cell in known else [part for part in cell.split(JOINED_BY) if part in known]
    return parts or [cell]
