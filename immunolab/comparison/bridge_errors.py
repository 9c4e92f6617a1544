"""The error that a bridged shift has from the moves of borders: shared by the patients of a batch, never averaged away.

A move is known within a standard error. Counting again with the borders of one marker further by `FURTHER` of them
gives the slope of a share on that marker's border; the slope times the standard error is what the share may be off by.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pandas as pd

from immunolab.comparison import scales
from immunolab.comparison.plan import Scale
from immunolab.intervals import NORMAL_95
from immunolab.schema.contrast import JOINED_BY

FURTHER = 2.0
"""Standard errors that borders are moved further by: one changes few events (judgement)."""
FOLD_SCALES: tuple[Scale, ...] = ("logit", "log")
"""Scales of a fold."""

Parts = Mapping[tuple[str, str], float]
"""(marker, batch) -> what one standard error of that batch's move changes a shift by."""


def tube_errors(counted: pd.DataFrame, further: pd.DataFrame, scale: str) -> dict[str, dict[str, float]]:
    """Return sample_id -> marker -> change of one endpoint's level for one standard error of the marker's move.

    Parameters
    ----------
    counted, further
        Rows of OTHER_GATINGS of one endpoint: borders that followed, and moved further by `FURTHER`.
    scale
        ``logit`` or ``log``; nothing is returned for another.
    """
    found: dict[str, dict[str, float]] = {}
    known = next((one for one in FOLD_SCALES if one == scale), None)
    if known is None or further.empty:
        return found
    joined = further.merge(counted[["sample_id", "n", "of"]], on="sample_id", suffixes=("", "_first"))
    levels = [scales.from_counts(joined[f"n{which}"], joined[f"of{which}"], known) for which in ("", "_first")]
    change = (levels[0] - levels[1]) / FURTHER
    for sample, marker, d in zip(joined["sample_id"], joined["marker"], change, strict=True):
        found.setdefault(str(sample), {})[str(marker)] = float(d)
    return found


def pair_parts(pair: Mapping[str, Any], tubes: pd.DataFrame, errors: Mapping[str, Mapping[str, float]]) -> Parts:
    """Return what the moves may change one patient's shift by.

    Parameters
    ----------
    pair
        Row of PAIRS.
    tubes
        Columns sample_id, visit and batch of the patient's rows of the endpoint.
    errors
        As `tube_errors` gives them.
    """
    parts: dict[tuple[str, str], float] = {}
    for side, sign in (("visit_before", -1.0), ("visit_after", 1.0)):
        own = tubes[tubes["visit"].astype(str).isin(str(pair[side]).split(JOINED_BY))]
        for sample, batch in zip(own["sample_id"], own["batch"], strict=True):
            for marker, d in errors.get(str(sample), {}).items():
                key = marker, str(batch)
                parts[key] = parts.get(key, 0.0) + sign * d / len(own)
    return parts


def shift_error(pairs: Sequence[Parts]) -> float:
    """Return the standard error of the pairs' mean shift from the moves.

    Within a batch all patients share the error, with its sign. Moves of one marker to several batches start from the
    same tube, so that their errors are taken to add up; markers err apart from each other.

    Parameters
    ----------
    pairs
        As `pair_parts` gives them.
    """
    if not pairs:
        return math.nan
    keys: Iterable[tuple[str, str]] = dict.fromkeys(key for parts in pairs for key in parts)
    by_marker: dict[str, float] = {}
    for key in keys:
        common = abs(sum(parts.get(key, 0.0) for parts in pairs)) / len(pairs)
        by_marker[key[0]] = by_marker.get(key[0], 0.0) + common
    return math.sqrt(sum(error**2 for error in by_marker.values()))


def widened(estimate: float, limit: float, error: float) -> float:
    """Return a 95 % limit that holds the error of the moves too, which is taken as known.

    Parameters
    ----------
    estimate, limit
        Of the shift without it.
    error
        Its standard error.
    """
    reach = math.hypot(limit - estimate, NORMAL_95 * error)
    return estimate + math.copysign(reach, limit - estimate)
