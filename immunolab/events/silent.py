"""Channels in which nothing was recorded."""

from __future__ import annotations

from immunolab.events.tube import Tube

FEWEST_EVENTS = 500
"""Events of a tube: of fewer a channel that was recorded may read alike in all (judgement)."""


def is_silent(tube: Tube, row: int) -> bool:
    """Return whether a channel reads one value in every event as acquired; False of tubes of few events.

    Parameters
    ----------
    tube
        As acquired, or a part of it.
    row
        Of the channel in the tube's columns.
    """
    column = tube.columns[row]
    return tube.n_events >= FEWEST_EVENTS and bool(column.min() == column.max())
