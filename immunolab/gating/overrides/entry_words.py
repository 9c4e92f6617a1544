"""The gate of an override as its file holds it: in words to read, and exactly."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np

from immunolab.gating.borders import in_units, is_closed
from immunolab.gating.gates import Dimension, Ellipsoid, Gate, Polygon, Ratio, Rectangle
from immunolab.gating.record_codec import from_plain, to_plain
from immunolab.gating.strategy_faults import is_number
from immunolab.gating.strategy_out import words_of

_DIGITS = 6  # significant, of numbers to read: finer than any display; the exact ones are beside them
MOST_CORNERS = 1_000  # of a polygon: twenty times those that data draw (judgement); edges are looked at in pairs
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
        well_formed = isinstance(gate, Rectangle | Polygon | Ellipsoid) and _well_formed(gate)
    except (ValueError, LookupError, TypeError, AttributeError, ArithmeticError, RecursionError) as error:
        raise ValueError("is no gate") from error
    if not well_formed:
        raise ValueError("is no gate with coordinates")
    return gate  # type: ignore[no-any-return]


def _well_formed(gate: Rectangle | Polygon | Ellipsoid) -> bool:
    """Whether every coordinate is a number, as many as there are axes, and every scale can be used."""
    n = len(gate.dimensions)
    usable = all(isinstance(one, Dimension) and isinstance(one.name, str) and _usable(one) for one in gate.dimensions)
    if isinstance(gate, Rectangle):
        sides = [*gate.lower, *gate.upper]
        return usable and len(gate.lower) == len(gate.upper) == n and all(v is None or is_number(v) for v in sides)
    if isinstance(gate, Polygon):
        corners = len(gate.vertices)
        return usable and n == 2 and 3 <= corners <= MOST_CORNERS and all(_numbers(row, 2) for row in gate.vertices)
    rows = (gate.mean, *gate.covariance)
    square = len(gate.covariance) == n and all(_numbers(row, n) for row in rows) and is_number(gate.distance_square)
    return usable and square and bool(np.isfinite(np.linalg.eigvalsh(np.asarray(gate.covariance, float))).all())


def _numbers(row: Any, n: int) -> bool:
    return len(row) == n and all(is_number(value) for value in row)


def _usable(dimension: Dimension) -> bool:
    known = dimension.ratio is None or isinstance(dimension.ratio, Ratio)
    there = float(dimension.transform.inverse(dimension.transform.apply([100.0]))[0])
    return known and isinstance(dimension.compensation, str) and math.isfinite(there)
