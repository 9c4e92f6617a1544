"""How batches are distributed over the pairs of a comparison, and what can then be answered."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from immunolab.schema.contrast import JOINED_BY
from immunolab.schema.flags import READERS, split

_FEWEST = 3  # pairs of a tested shift, as everywhere (`Code.E_N_MIN`)
ONE_BATCH, _MIXED, _SAME = "one batch a patient", "batches differ within patients", "visit equals batch"
_NOT_SAID = (
    "what the bridge does not show (intensities, absolute counts, gates of scatter and viability) is not answered"
)
_PLACES = ("patient_id", "visit", "endpoint")

Batches = Mapping[tuple[str, str, str], str]
"""(patient, visit, endpoint) -> batch: tubes of two panels may be of two."""
ByReaders = frozenset[tuple[str, str, str]]
"""(patient, visit, endpoint) whose number depends on a reader's gate."""
Group = tuple[tuple[str, ...], tuple[str, ...]]
"""Batches of a pair's earlier tubes, and of its later ones."""


def batches_of(rows: pd.DataFrame) -> Batches:
    """Return the batch of each patient's tube that an endpoint is of, where the sheet names one.

    Parameters
    ----------
    rows
        The endpoint table.
    """
    known = rows.dropna(subset=["batch"]) if "batch" in rows else rows.iloc[:0].assign(batch="")
    places = zip(*(known[name].astype(str) for name in _PLACES), strict=True)
    return dict(zip(places, known["batch"].astype(str), strict=True))


def by_readers_of(rows: pd.DataFrame) -> ByReaders:
    """Return whose numbers depend on a gate that a reader placed.

    Parameters
    ----------
    rows
        The endpoint table.
    """
    if "flag" not in rows:
        return frozenset()
    own = rows.loc[[not READERS.isdisjoint(split(words)) for words in rows["flag"]]]
    return frozenset(zip(*(own[name].astype(str) for name in _PLACES), strict=True))


def sides_of(pair: Mapping[str, Any], batches: Batches) -> tuple[set[str], set[str]]:
    """Return the batches of a pair's earlier and later tubes; "" for those of none.

    Parameters
    ----------
    pair
        Row of PAIRS.
    batches
        Of `batches_of`.
    """
    who, endpoint = str(pair["patient_id"]), str(pair["endpoint"])
    before, after = (
        {batches.get((who, visit, endpoint), "") for visit in str(pair[side]).split(JOINED_BY)}
        for side in ("visit_before", "visit_after")
    )
    return before, after


def group_of(pair: Mapping[str, Any], batches: Batches) -> Group:
    """Return the batches of a pair's earlier tubes and of its later ones, in order.

    Parameters
    ----------
    pair
        Row of PAIRS.
    batches
        Of `batches_of`.
    """
    before, after = sides_of(pair, batches)
    return tuple(sorted(before)), tuple(sorted(after))


def design_of(pairs: Sequence[Mapping[str, Any]], batches: Batches) -> str:
    """Return how batches are distributed over the visits of some pairs.

    Parameters
    ----------
    pairs
        Rows of PAIRS.
    batches
        Of `batches_of`.
    """
    sides = [sides_of(pair, batches) for pair in pairs]
    if sides and all(before == after and len(before) == 1 and "" not in before for before, after in sides):
        return ONE_BATCH
    before, after = (set().union(*(pair[i] for pair in sides)) for i in (0, 1))
    return _SAME if sides and before.isdisjoint(after) else _MIXED


def answer_of(design: str, n_followed: int, n_refused: int, reason: str, *, withheld: bool) -> str:
    """Return what can be answered and what cannot, in words.

    Parameters
    ----------
    design
        Of `design_of`.
    n_followed, n_refused
        Pairs that are answered and that are not.
    reason
        Why not.
    withheld
        Whether the error of the moves is not known.
    """
    pairs = "1 pair is" if n_refused == 1 else f"{n_refused} pairs are"
    left = f" {pairs} left out: {reason}." if n_refused else ""
    left += " Its limits are withheld: the error of the moves is not known." if withheld and n_followed else ""
    if design == ONE_BATCH:
        return f"Every patient's visits are of one batch: nothing had to follow.{left}"
    if n_followed < _FEWEST:
        lost = (
            "batch and visit coincide, so that the uncorrected shift may be the batches'; " if design == _SAME else ""
        )
        return (
            f"Not answered: {lost}the bridge can be used for {n_followed} pair{'' if n_followed == 1 else 's'}.{left}"
        )
    if design == _SAME:
        return (
            "Batch and visit coincide: the uncorrected shift may be the batches'. With borders that follow the bridge "
            f"the shift of this share can be answered, as far as the bridge holds; {_NOT_SAID}.{left}"
        )
    return f"Borders followed the bridge from batch to batch; {_NOT_SAID}.{left}"
