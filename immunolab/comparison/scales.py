"""Scales on which a shift is taken, and the counting variance of a shift on each.

Counts y of N enter as log((y + 0.5) / (N - y + 0.5)) (Haldane 1956, Ann Hum Genet 20:309), percentages
(0..100) as log(p / (100 - p)); what is at the end of a scale is for `limits`.
"""

from __future__ import annotations

import re

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import expit

from immunolab.comparison.plan import Scale
from immunolab.vocabulary.variables import resolve_variable, variables

Array = NDArray[np.float64]

ESTIMATE_SCALE: dict[Scale, str] = {
    "logit": "log_odds",
    "log": "log",
    "arcsine": "arcsine",
    "identity": "identity",
}
"""Scale of the values -> scale of the estimate, as the column ``estimate_scale`` names it."""
UNKNOWN_UNIT = "as given"  # unit of values whose unit nobody declared
_WHOLE = 100.0  # percent that a share of a whole cannot exceed
RATIO_WORDS: dict[str, str] = {"logit": "odds ratio", "log_odds": "odds ratio", "log": "ratio"}
"""Scale of a shift or an estimate -> what exp of it is; other scales have no ratio."""
MULTIPLICATIVE: frozenset[Scale] = frozenset({"logit", "log"})
"""Scales on which exp(shift) is a ratio: of odds, or of values."""


_SHARE = re.compile(
    r"(%|percent)( (?!.*\b(pred|predicted|normal|expected|reference|baseline|change|inhibition|suppression)\b).*)?"
)
"""Units of a share of a whole; a percentage of a predicted or an earlier value, or of a change, is none."""
_PLAIN = re.compile(
    r".*\b(points?|slope|score|grade|index)\b.*|.*/(day|d|week|month|year)s?|yes/no|0/1|bool|responder|relapse|cm|mm|min|h|days|years|kg"
    r"|(%|percent) .*|(log|ln)\d* ?.*"
)
"""Units whose values are compared as differences: 0 is an ordinary value of theirs, or they are on a log already."""
_AMOUNT = re.compile(r"[^/]*(/| per ) ?[a-zµμ].*|ratio|fold|mfi|intensity|au|a\.u\.|x ?uln|×uln")
"""Units of positive amounts, which change by factors: per volume, mass or hour; ratios; intensities."""


def declared_scale(unit: str, values: ArrayLike, variable: str = "") -> Scale | None:
    """Return the scale that an endpoint's unit declares, or None where it declares none.

    Shares of a whole take the logit. Points (scores), visual analogue scales (cm), doses a day, slopes a month,
    percentages of a predicted value and signed quantities stay as they are; amounts (concentrations, absolute counts,
    ratios, intensities) take the log. Values never say what they are: any column can be within 0..100.

    Parameters
    ----------
    unit
        As written in the table.
    values
        ``(n,)`` of the endpoint; NaN where missing. One below 0 keeps an amount off the log.
    variable
        Its name; one of the vocabulary (FVC) whose limits are not those of a share is none, whatever its unit.
    """
    word, known = unit.strip().lower(), variables().get(resolve_variable(variable) or "")
    if _SHARE.fullmatch(word):
        beyond = known is not None and known.unit == "%" and (min(known.limits) < 0 or max(known.limits) > _WHOLE)
        return "identity" if beyond else "logit"
    if _PLAIN.fullmatch(word) or (known is not None and word == known.unit == ""):
        return "identity"
    if _AMOUNT.fullmatch(word):
        return "identity" if np.any(np.asarray(values, dtype=float) < 0) else "log"
    return None


def from_counts(n_events: ArrayLike, n_parent: ArrayLike, scale: Scale, *, ratio: bool = False) -> Array:
    """Return counts on a scale.

    Parameters
    ----------
    n_events, n_parent
        Events, same shape; with ``ratio`` the numerator and the denominator of a ratio of two populations of
        one tube.
    scale
        Logit of the proportion, log of it (or of the ratio), arcsine of its root (radians), identity (percent,
        or the ratio).
    ratio
        Whether the counts are of two populations; else n_events are part of n_parent.
    """
    y, n = np.asarray(n_events, dtype=float), np.asarray(n_parent, dtype=float)
    if ratio:
        share = (y + 0.5) / (n + 0.5)
        return np.log(share) if scale == "log" else share
    with np.errstate(divide="ignore", invalid="ignore"):
        if scale == "logit":
            return np.log((y + 0.5) / (n - y + 0.5))
        if scale == "log":
            return np.log((y + 0.5) / (n + 1.0))
        return np.arcsin(np.sqrt(y / n)) if scale == "arcsine" else 100.0 * y / n


def from_values(values: ArrayLike, scale: Scale) -> Array:
    """Return measured values on a scale; what is at an end of it (0 on the log, 0 or 100 % on the logit) is infinite.

    Parameters
    ----------
    values
        ``(n,)`` in the endpoint's unit; NaN stays NaN.
    scale
        Where they go.
    """
    x = np.asarray(values, dtype=float)
    if scale == "identity":
        return x.copy()
    if scale == "arcsine":
        return np.arcsin(np.sqrt(x / 100.0))
    with np.errstate(divide="ignore"):
        return np.asarray(np.log(x) if scale == "log" else np.log(x) - np.log(100.0 - x), dtype=np.float64)


def counting_variance(events: Array, parents: Array, inverse: Array, scale: Scale, *, ratio: bool = False) -> Array:
    """Return the counting variance of after minus before, with one proportion for both visits.

    A common proportion keeps the weight of a pair free of its own shift.

    Parameters
    ----------
    events, parents
        ``(..., 2)`` events and denominator summed over the visits of each side.
    inverse
        ``(..., 2)`` mean of 1/N over the visits of a side, divided by their number; 1/N for one visit.
    scale
        Of the shift.
    ratio
        Numerator and denominator of a ratio, see `from_counts`; then ``inverse`` is not used.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        if ratio:
            terms = 1.0 / (events + 0.5) + 1.0 / (parents + 0.5)
            return terms.sum(axis=-1)
        p = (events.sum(axis=-1) + 1.0) / (parents.sum(axis=-1) + 2.0)
        width = inverse.sum(axis=-1)
        if scale == "logit":
            return width / (p * (1.0 - p))
        if scale == "log":
            return width * (1.0 - p) / p
        return width / 4.0 if scale == "arcsine" else 1e4 * p * (1.0 - p) * width


def single_variance(n_events: ArrayLike, n_parent: ArrayLike, scale: Scale, *, ratio: bool = False) -> Array:
    """Return the counting variance of one sample on a scale.

    Parameters
    ----------
    n_events, n_parent, scale, ratio
        As in `from_counts`.
    """
    y, n = np.asarray(n_events, dtype=float), np.asarray(n_parent, dtype=float)
    with np.errstate(divide="ignore", invalid="ignore"):
        if ratio:
            return 1.0 / (y + 0.5) + 1.0 / (n + 0.5)
        if scale == "logit":
            return 1.0 / (y + 0.5) + 1.0 / (n - y + 0.5)
        if scale == "log":
            return 1.0 / (y + 0.5) - 1.0 / (n + 1.0)
        return 0.25 / n if scale == "arcsine" else 1e4 * (y / n) * (1.0 - y / n) / n


def per_log(level: ArrayLike, scale: Scale) -> Array:
    """Return the change on a scale that goes with a change of the value's logarithm by 1, at a level.

    A coefficient of variation is the SD of the logarithm; of a share p on the logit it weighs 1 / (1 - p) as much.

    Parameters
    ----------
    level
        On the scale.
    scale
        Which it is.
    """
    at = np.asarray(level, dtype=float)
    if scale == "logit":
        return 1.0 + np.exp(at)
    if scale == "arcsine":
        return 0.5 * np.tan(at)
    return np.ones(at.shape) if scale == "log" else np.abs(at)


def to_unit(level: ArrayLike, scale: Scale, *, share: bool) -> Array:
    """Return levels turned back to the endpoint's unit.

    Parameters
    ----------
    level
        On the scale.
    scale
        Which it is.
    share
        Whether it is the level of counts out of a parent, whose unit is percent also on the log.
    """
    at = np.asarray(level, dtype=float)
    if scale == "logit":
        return np.asarray(100.0 * expit(at))
    if scale == "arcsine":
        return 100.0 * np.sin(np.clip(at, 0.0, np.pi / 2.0)) ** 2
    if scale == "log":
        return np.exp(at) * (100.0 if share else 1.0)
    return at
