"""Shares of doublets, dead cells and debris beside those of the other tubes: what is ordinary there is not flagged."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence

import numpy as np

from immunolab.quality.rows import Row
from immunolab.schema.flags import Check

_COMPARED = (Check.DOUBLETS, Check.DEAD, Check.DEBRIS)
_FEWEST_OTHERS = 5  # tubes: fewer have no spread to compare with
_TIMES = 1.6  # the others' median: less is how the same blood differs from tube to tube (judgement)
_APART = 3.5  # robust SD of the others, log odds (Iglewicz and Hoaglin 1993, the usual limit of an outlier)
_LEAST_SPREAD = 0.1  # log odds: tubes of one dilution differ by a tenth
_LEAST_PERCENT = 3.0  # a share below does no harm, however unlike the others


def beside_others(rows: Sequence[Row], kinds: Mapping[str, Hashable]) -> list[Row]:
    """Return rows of the quality table, with a warning where a share is far above that of the other tubes.

    Parameters
    ----------
    rows
        Of all tubes.
    kinds
        What parts tubes that are not compared, such as their channels, by sample_id.
    """
    own: dict[tuple[object, Hashable], list[Row]] = {}
    for row in rows:
        if row["check"] in _COMPARED:
            own.setdefault((row["check"], kinds.get(str(row["sample_id"]))), []).append(row)
    marked = {id(row): text for alike in own.values() for row, text in _unlike(alike)}
    return [
        {**row, "status": "warn", "message": f"{row['message']}; {marked[id(row)]}"} if id(row) in marked else row
        for row in rows
    ]


def _unlike(rows: Sequence[Row]) -> list[tuple[Row, str]]:
    values = np.array([float(str(row["value"])) for row in rows])
    found = []
    for i, row in enumerate(rows):
        others = np.delete(values, i)
        if len(others) < _FEWEST_OTHERS or values[i] < _LEAST_PERCENT:
            continue
        usual = float(np.median(others))
        odds = _log_odds(others)
        spread = max(1.4826 * float(np.median(np.abs(odds - np.median(odds)))), _LEAST_SPREAD)
        apart = float(_log_odds(values[i : i + 1])[0] - np.median(odds)) / spread
        if values[i] > _TIMES * usual and apart > _APART:
            found.append((row, f"the other tubes have {usual:.2g} %"))
    return found


def _log_odds(percent: np.ndarray) -> np.ndarray:
    share = np.clip(percent, 0.05, 99.95) / 100.0
    return np.log(share / (1.0 - share))
