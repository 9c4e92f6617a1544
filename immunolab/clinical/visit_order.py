"""The visits of a study in one order, though no patient may have all of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from graphlib import CycleError, TopologicalSorter
from itertools import pairwise

import pandas as pd


def visits_in_order(rows: pd.DataFrame, planned: Sequence[str] = ()) -> list[str]:
    """Return the visits of a table in calendar order: as planned, others between those their patients had around them.

    Parameters
    ----------
    rows
        With ``patient_id`` and ``visit``, each patient's in calendar order.
    planned
        The trial's visits in calendar order.

    Returns
    -------
    list of str
        Each visit of the table once. Where patients contradict each other, planned visits and then others as met.

    Examples
    --------
    >>> met = pd.DataFrame({"patient_id": ["P1", "P1", "P2", "P2", "P2"], "visit": ["W2", "W8", "W2", "W4", "W8"]})
    >>> visits_in_order(met)
    ['W2', 'W4', 'W8']
    """
    own = [list(dict.fromkeys(map(str, visits))) for _, visits in rows.groupby("patient_id", sort=False)["visit"]]
    met = dict.fromkeys(visit for visits in own for visit in visits)
    known = [visit for visit in planned if visit in met]
    try:
        return _merged([known, *own])
    except CycleError:
        return [*dict.fromkeys([*known, *met])]


def _merged(sequences: Iterable[Sequence[str]]) -> list[str]:
    """Return the elements of sequences, each behind those that precede it in any of them, else as first met."""
    order: TopologicalSorter[str] = TopologicalSorter()
    met: dict[str, None] = {}
    for sequence in sequences:
        met |= dict.fromkeys(sequence)
        for first in sequence[:1]:
            order.add(first)
        for earlier, later in pairwise(sequence):
            order.add(later, earlier)
    order.prepare()
    place = {name: at for at, name in enumerate(met)}
    ready, found = list(order.get_ready()), []
    while ready:
        found.append(min(ready, key=lambda name: place[name]))
        ready.remove(found[-1])
        order.done(found[-1])
        ready += order.get_ready()
    return found
