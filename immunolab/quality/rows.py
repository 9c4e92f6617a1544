"""A row of the quality table, and that of a tube in particular."""

from __future__ import annotations

from immunolab.events.tube import Tube
from immunolab.schema.flags import Check

Row = dict[str, object]


def plain(value: float) -> str:
    """Return a number for a message: three figures, never with an exponent.

    Parameters
    ----------
    value
        Any.
    """
    return f"{value:,.0f}" if abs(value) >= 1_000 else f"{value:.3g}"


def row(
    tube: Tube, check: Check, value: float | None, limit: float | None, status: str, message: str, channel: str = ""
) -> Row:
    """Return one row of `QUALITY`.

    Parameters
    ----------
    tube
        Names the sample.
    check
        What was checked.
    value, limit
        What was found, and what is allowed.
    status
        ``ok``, ``warn`` or ``fail``.
    message
        In words.
    channel
        Where it is worst; empty where the check is of no channel.
    """
    return {
        "sample_id": tube.sample_id,
        "check": check.value,
        "value": value,
        "limit": limit,
        "status": status,
        "message": message,
        "channel": channel or None,
    }
