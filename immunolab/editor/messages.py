"""Messages of the page, checked: what is not of the protocol is refused in words and changes nothing.

A message is a JSON object with ``type`` and the fields of that type. Places are shares of the picture, 0 to 1 from the
lower left; values are instrument units; paths are those of populations, "" for all events.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from immunolab.errors import InputError, Problem

MOST_POINTS = 500  # corners of a polygon that is drawn; by hand nobody sets a tenth
_LONGEST = 400  # characters of a word

_WORD, _NUMBER, _INDEX, _FLAG, _POINTS = "text", "number", "whole number", "true or false", "points"
FIELDS: dict[str, dict[str, str]] = {
    "open": {},
    "gate": {"path": _WORD},  # show a population's gate on its parent's events
    "show": {"path": _WORD},  # show the events of a population
    "axis": {"letter": _WORD, "source": _INDEX, "scale": _INDEX},  # source -1 on y: a histogram
    "drag": {"path": _WORD, "handle": _WORD, "x": _NUMBER, "y": _NUMBER, "together": _FLAG, "serial": _INDEX},
    "drop": {"path": _WORD, "handle": _WORD, "x": _NUMBER, "y": _NUMBER, "together": _FLAG, "joined": _FLAG},
    "value": {"path": _WORD, "handle": _WORD, "letter": _WORD, "value": _NUMBER, "together": _FLAG},
    "add_corner": {"path": _WORD, "handle": _WORD},
    "remove_corner": {"path": _WORD, "handle": _WORD},
    "draw": {"shape": _WORD, "points": _POINTS, "name": _WORD},
    "rename": {"path": _WORD, "name": _WORD},
    "remove": {"path": _WORD},
    "undo": {},
    "redo": {},
}


def checked_message(message: Any) -> tuple[str, dict[str, Any]]:
    """Return the type of a message and its fields.

    Parameters
    ----------
    message
        As it came.

    Raises
    ------
    InputError
        It has no known type, or lacks a field, or has one of another kind.
    """
    kind = message.get("type") if isinstance(message, Mapping) else None
    if not isinstance(kind, str) or kind not in FIELDS:
        raise InputError(Problem("", "type", f"{str(kind)[:40]!r} is no message", f"one of: {', '.join(FIELDS)}"))
    problems = [
        Problem("", f"{kind}.{name}", f"{str(message.get(name))[:40]!r} is no {wanted}", "")
        for name, wanted in FIELDS[kind].items()
        if not _is(message.get(name), wanted)
    ]
    if problems:
        raise InputError(problems)
    return kind, {name: message[name] for name in FIELDS[kind]}


def _is(value: Any, wanted: str) -> bool:
    if wanted == _WORD:
        return isinstance(value, str) and len(value) <= _LONGEST
    if wanted == _FLAG:
        return isinstance(value, bool)
    if wanted == _INDEX:
        return isinstance(value, int) and not isinstance(value, bool)
    if wanted == _NUMBER:
        return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    pairs = isinstance(value, list) and len(value) <= MOST_POINTS
    return pairs and all(
        isinstance(one, list) and len(one) == 2 and all(_is(number, _NUMBER) for number in one) for one in value
    )
