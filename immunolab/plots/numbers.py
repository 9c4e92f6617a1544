"""Numbers on figures and in reports: p, intervals, changes turned back from a scale."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd

_SCALE_WORDS = {
    "log_odds": "odds ratio",
    "logit": "odds ratio",
    "log": "fold",
    "identity": "difference",
    "arcsine": "difference on the arcsine scale",
}
_LEAST_SHOWN = 0.01  # of a probability, or of what lacks to 1: two digits, which a thousand simulations give
_ALPHA, _SAME = 0.05, 1e-12  # what p is judged by; rounding of numbers
_BELOW_ZERO = re.compile(r"(?<![\w.)-])-(?=\d)")  # a hyphen before a number and after no word
_SUPERSCRIPT = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def number(value: float, digits: int = 3) -> str:
    """Return a number with so many significant digits, without an exponent where it can be read without.

    Parameters
    ----------
    value
        Any number; missing and infinite ones are written in words and signs.
    digits
        Significant digits.
    """
    if pd.isna(value):
        return "not available"
    if not np.isfinite(value):
        return "∞" if value > 0 else "-∞"
    if value == 0 or 1e-4 <= abs(value) < 10**6:
        rounded = float(f"{value:.{digits - 1}e}")
        places = max(0, digits - 1 - int(np.floor(np.log10(abs(rounded))))) if rounded else 0
        return f"{rounded:.{places}f}".replace("-", "−")
    return _power(value, digits)


def probability(value: float) -> str:
    """Return a probability with two digits behind the point; one that is not certain is never shown as 0 or 1.

    Parameters
    ----------
    value
        Between 0 and 1, or missing.
    """
    if pd.isna(value):
        return "not available"
    if 0 < value < _LEAST_SHOWN or 1 - _LEAST_SHOWN < value < 1:
        return f"< {_LEAST_SHOWN}" if value < 0.5 else f"> {1 - _LEAST_SHOWN}"
    return f"{value:.2f}"


def p_text(p_value: float, symbol: str = "p") -> str:
    """Return ``p = 0.0078``: the number itself, never stars or a threshold.

    Parameters
    ----------
    p_value
        Between 0 and 1, or missing.
    symbol
        ``p`` or ``q``.
    """
    if pd.isna(p_value):
        return f"{symbol} not computed"
    return f"{symbol} = {p_number(p_value)}"


def with_minus(text: str) -> str:
    """Return a text whose numbers below zero have a minus, which is as wide as a plus, in place of a hyphen.

    Parameters
    ----------
    text
        As a table has it; hyphens of names, dates and ranges stay.
    """
    return _BELOW_ZERO.sub("−", text)


def p_number(p_value: float) -> str:
    """Return a p or q value with two significant digits (three above 0.1).

    Parameters
    ----------
    p_value
        Between 0 and 1, or missing.
    """
    if pd.isna(p_value):
        return "–"
    if p_value >= 0.001:
        return f"{p_value:.3f}" if p_value >= 0.1 else number(p_value, 2 + _beside_alpha(p_value))
    return "0" if p_value == 0 else _power(p_value, 2)


def _beside_alpha(p_value: float) -> int:
    """Return the further digits that a value beside 0.05 needs, so that it does not read as 0.050 on its other side."""
    reads_as = (abs(float(f"{p_value:.{digits}g}") - _ALPHA) < _SAME for digits in (2, 3))
    return 0 if abs(p_value - _ALPHA) < _SAME else sum(reads_as)


def scale_word(scale: str) -> str:
    """Return what an estimate on a scale is called once it is turned back: odds ratio, fold, difference.

    Parameters
    ----------
    scale
        ``log_odds``, ``logit``, ``log``, ``identity`` or ``arcsine``.
    """
    return _SCALE_WORDS.get(scale, scale)


def interval(estimate: float, low: float, high: float, scale: str) -> str:
    """Return ``odds ratio 2.11 [1.71, 2.60]`` from an estimate and 95 % limits on a scale.

    Parameters
    ----------
    estimate, low, high
        Estimate and 95 % limits on ``scale``.
    scale
        As for `scale_word`.
    """
    return f"{scale_word(scale)} {bracket(estimate, low, high, scale)}"


def bracket(estimate: float, low: float, high: float, scale: str) -> str:
    """Return ``2.11 [1.71, 2.60]``, turned back from log odds or log.

    Parameters
    ----------
    estimate, low, high
        Estimate and 95 % limits on ``scale``; limits may be missing.
    scale
        As for `scale_word`.
    """
    if pd.isna(estimate):
        return "not estimable"
    values = [back(value, scale) for value in (estimate, low, high)]
    limits = (
        f" [{number(values[1])}, {number(values[2])}]" if not pd.isna(low) and not pd.isna(high) else " [no interval]"
    )
    return number(values[0]) + limits


def back(value: float, scale: str) -> float:
    """Return exp(value) on log scales, the value itself on others.

    Parameters
    ----------
    value
        Estimate or limit on ``scale``.
    scale
        As for `scale_word`.
    """
    if scale not in ("log_odds", "logit", "log"):
        return float(value)
    with np.errstate(over="ignore"):
        return float(np.exp(value))  # an open limit, as of few pairs adjusted for batch, is infinite


def span(values: pd.Series) -> str:
    """Return ``71`` or, when the values differ, ``69 to 73``.

    Parameters
    ----------
    values
        Numbers, some of them missing.
    """
    present = values.dropna()
    if present.empty:
        return "unknown"
    low, high = f"{present.min():g}", f"{present.max():g}"
    return (low if low == high else f"{low} to {high}").replace("-", "−")


def _power(value: float, digits: int) -> str:
    mantissa, exponent = f"{value:.{digits - 1}e}".split("e")
    return f"{mantissa} × 10{str(int(exponent)).translate(_SUPERSCRIPT)}".replace("-", "−")
