"""Rows of the quality table in the order in which they are read: the worst tube first, and of it the worst check."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from immunolab.quality.rows import Row
from immunolab.quality.topics import ORDER, TOPICS, light
from immunolab.schema.flags import Check

_SHARED = 0.5  # of all tubes: a check that warns in more of them says little of a single one (judgement)
_FEWEST_SHARED = 4  # tubes that such a check warns in: of fewer each is looked at by itself (judgement)


def is_shared(n_found: int, n_tubes: int) -> bool:
    """Return whether a fault is of so many tubes that it says little of a single one.

    Parameters
    ----------
    n_found, n_tubes
        Tubes with it, of how many.
    """
    return n_found >= _FEWEST_SHARED and n_found > _SHARED * n_tubes


def lit_rows(checks: pd.DataFrame) -> pd.DataFrame:
    """Return the rows that turn a light.

    Parameters
    ----------
    checks
        Of quality.csv.
    """
    shown = [light(str(c), str(s)) != "ok" for c, s in zip(checks["check"], checks["status"], strict=True)]
    return checks[np.array(shown, dtype=bool)]


def each_fault_once(checks: pd.DataFrame) -> pd.DataFrame:
    """Return the rows that turn a light, without those of a run that was cut for the same.

    Parameters
    ----------
    checks
        Of quality.csv.
    """
    lit = lit_rows(checks)
    cut = set(lit.loc[lit["check"] == Check.CLEANED, "sample_id"])
    return lit[~((lit["check"] == Check.STEADINESS) & lit["sample_id"].isin(cut))]


def worst_first(rows: Sequence[Row]) -> list[Row]:
    """Return rows with the worst tube first: by its failures, then its warnings, those that most tubes have last.

    Of a tube the worst check is first, and of those alike as the topics are ordered.

    Parameters
    ----------
    rows
        Of quality.csv.
    """
    lit = [ORDER[light(str(row["check"]), str(row["status"]))] for row in rows]
    common = _common(rows, lit)
    bad: dict[str, list[int]] = {}
    for row, order in zip(rows, lit, strict=True):
        counts = bad.setdefault(str(row["sample_id"]), [0, 0, 0])
        is_common = order == ORDER["warn"] and str(row["check"]) in common
        counts[order + is_common] -= order < ORDER["ok"]
    place = {name: i for i, name in enumerate(sorted(bad, key=lambda name: bad[name]))}
    topic = {check: i for i, checks in enumerate(TOPICS.values()) for check in checks}
    keys = [
        (place[str(row["sample_id"])], order, str(row["check"]) in common, topic.get(Check(str(row["check"])), 99))
        for row, order in zip(rows, lit, strict=True)
    ]
    return [rows[i] for i in sorted(range(len(rows)), key=keys.__getitem__)]


def _common(rows: Sequence[Row], lit: Sequence[int]) -> set[str]:
    """Return the checks that turn a light in most tubes."""
    found: dict[str, set[str]] = {}
    for row, order in zip(rows, lit, strict=True):
        if order < ORDER["ok"]:
            found.setdefault(str(row["check"]), set()).add(str(row["sample_id"]))
    n_tubes = len({str(row["sample_id"]) for row in rows})
    return {check for check, own in found.items() if is_shared(len(own), n_tubes)}
