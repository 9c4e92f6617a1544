"""The gate of an override as its file holds it: in words to read, and exactly."""

from __future__ import annotations

import json
from typing import Any

from immunolab.gating.borders import in_units, is_closed
from immunolab.gating.gates import Ellipsoid, Gate, Polygon, Rectangle
from immunolab.gating.record_codec import from_plain, to_plain
from immunolab.gating.strategy_out import words_of

_DIGITS = 6  # significant, of numbers to read: finer than any display; the exact ones are beside them
_NONE = "no border"  # words of a gate that data left closed


def gate_words(gate: Gate) -> Any:
    """Return a gate in the words of a strategy file, numbers in instrument units with six digits; else as a text.

    Parameters
    ----------
    gate
        With coordinates.
    """
    if is_closed(gate):
        return _NONE
    words = words_of(gate) if isinstance(gate, Rectangle | Polygon | Ellipsoid) else None
    return in_units(gate) if words is None else rounded(words)


def rounded(words: Any) -> Any:
    """Return plain data with every number at six significant digits.

    Parameters
    ----------
    words
        Mappings, lists, numbers and text.
    """
    if isinstance(words, dict):
        return {key: rounded(value) for key, value in words.items()}
    if isinstance(words, (list, tuple)):
        return [rounded(value) for value in words]
    if isinstance(words, (int, float)) and not isinstance(words, bool):
        short = float(f"{words:.{_DIGITS}g}")
        return int(short) if short.is_integer() and abs(short) < 10**_DIGITS else short
    return words


def exact_text(gate: Gate) -> str:
    """Return a gate with all its digits and scales as one line of JSON.

    Parameters
    ----------
    gate
        With coordinates.
    """
    return json.dumps(to_plain(gate), separators=(",", ":"))


def exact_gate(text: Any) -> Rectangle | Polygon | Ellipsoid:
    """Return the gate that `exact_text` was given.

    Parameters
    ----------
    text
        One line of JSON.

    Raises
    ------
    ValueError
        It is something else.
    """
    try:
        gate = from_plain(json.loads(text))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError("is no gate") from error
    if not isinstance(gate, Rectangle | Polygon | Ellipsoid):
        raise ValueError("is no gate with coordinates")
    return gate
