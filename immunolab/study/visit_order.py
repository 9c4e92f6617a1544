"""The visits of a study in one order, though no patient may have all of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from graphlib import CycleError, TopologicalSorter
from itertools import pairwise
from statistics import median
from types import MappingProxyType

_UNPLANNED: Mapping[str, float] = MappingProxyType({})


def visits_in_order(
    met: Iterable[tuple[str, str, float | None]], planned: Mapping[str, float] = _UNPLANNED
) -> list[str]:
    """Return visits in calendar order: by planned day or the median of their real days, else between their neighbours.

    Where a visit has neither a planned nor a real day, planned visits keep their order and others come between those
    that their patients had around them.

    Parameters
    ----------
    met
        Patient, visit and study day (None or NaN where it is not known) of each sample or value; a patient's without
        days are in calendar order.
    planned
        The trial's visits with their target days, in calendar order.

    Returns
    -------
    list of str
        Each visit that was met once. Where patients without days contradict each other, planned visits and then others
        as met.

    Examples
    --------
    >>> visits_in_order([("P1", "W2", None), ("P1", "W8", None), ("P2", "W4", None), ("P2", "W8", None)])
    ['W2', 'W4', 'W8']
    >>> visits_in_order([("P1", "W2", 15), ("P1", "W8", 57), ("P2", "end", 40)], {"W2": 15, "W8": 57})
    ['W2', 'end', 'W8']
    """
    own: dict[str, list[tuple[str, float | None]]] = {}
    days: dict[str, list[float]] = {}
    for patient, visit, day in met:
        known = None if day is None or day != day else float(day)
        own.setdefault(str(patient), []).append((str(visit), known))
        days.setdefault(str(visit), []).extend([] if known is None else [known])
    at = {visit: planned.get(visit, median(found) if found else None) for visit, found in days.items()}
    if None not in at.values():
        return sorted(at, key=lambda visit: at[visit] or 0.0)
    known_visits = [visit for visit in planned if visit in days]
    try:
        return _merged([known_visits, *map(_by_day, own.values())])
    except CycleError:
        return [*dict.fromkeys([*known_visits, *days])]


def _by_day(own: Sequence[tuple[str, float | None]]) -> list[str]:
    """Return a patient's visits by day, as given where one of them has none."""
    dated = all(day is not None for _, day in own)
    ordered = sorted(own, key=lambda one: one[1] or 0.0) if dated else own
    return [*dict.fromkeys(visit for visit, _ in ordered)]


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
