"""The order in which batches were run."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any


def batches_in_order(first_days: Mapping[str, Any]) -> list[str]:
    """Return batches by their first day where each has one, else by their names, numbers in them as numbers.

    Parameters
    ----------
    first_days
        Batch -> its first day, of any kind that can be sorted; None where that is not known.

    Examples
    --------
    >>> batches_in_order({"B10": None, "B2": None})
    ['B2', 'B10']
    """
    if all(day is not None for day in first_days.values()):
        return sorted(first_days, key=lambda name: (first_days[name], natural(name)))
    return sorted(first_days, key=natural)


def natural(name: str) -> tuple[tuple[int, str], ...]:
    """Return what sorts names with the numbers in them as numbers: B2 before B10.

    Parameters
    ----------
    name
        Of a batch, or any text.
    """
    return tuple((int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"(\d+)", name) if part)
