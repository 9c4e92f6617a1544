"""Changes of labelled tubes that a laboratory would meet and whose truth stays known: what nobody has tuned gates on.

A change takes a tube whose values are compensated and linear, and which events are in which population. It returns
the tube as another staining, instrument or donor would have given it, and what is then true.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import combinations

from labelled_tube import Change
from perturbed_events import (
    dead_cells,
    debris,
    depleted,
    doublets,
    fewer_positives,
    shuffled,
    sorted_for,
    subsampled,
)
from perturbed_signals import (
    TOO_MUCH,
    dimmer,
    gain,
    missing,
    noise,
    other_range,
    other_scatter,
    scattered,
    spilled,
    swapped,
)

_DYES = ("Viability", "Hoechst-405")  # what dead cells take up
_OTHER_RANGE = 16.0  # from 18 to 22 bits, as from a conventional to a spectral instrument
Named = tuple[str, str, Change]


def changes(markers: Sequence[str], populations: Sequence[str], scatter: bool) -> Iterator[Named]:
    """Yield kind, name and change: of all gated markers, of each, of two, of populations, of events.

    Parameters
    ----------
    markers
        Those that the strategy gates.
    populations
        Large ones, of which some are removed.
    scatter
        Whether the tube has scatter.
    """
    yield "none", "none", lambda one: one
    yield from _of_signals(markers)
    yield from of_reagents(markers)
    yield from _of_events(markers, populations)
    if scatter:
        yield "half as much debris more", "", debris(markers)
        for forward, side in ((0.75, 1.25), (1.25, 0.75)):
            yield "other scatter", f"FSC x{forward:g}, SSC x{side:g}", other_scatter(forward, side)
        for dye in set(_DYES) & set(markers):
            yield "a fifth dead cells more", "", dead_cells(markers, dye)


def of_reagents(markers: Sequence[str]) -> Iterator[Named]:
    """Yield mistakes at the bench: an antibody left out, or two exchanged.

    Parameters
    ----------
    markers
        Those that the strategy gates.
    """
    for marker in markers:
        yield "antibody missing", marker, missing(marker)
    for first, second in combinations(markers, 2):
        yield "reagents swapped", f"{first} {second}", swapped(first, second)


def _of_signals(markers: Sequence[str]) -> Iterator[Named]:
    for factor in (0.3, 0.5, 2.0, 3.0):
        yield f"gain x{factor:g}, all", "all", gain(factor, *markers)
        for marker in markers:
            yield f"gain x{factor:g}", marker, gain(factor, marker)
    yield "noise, all", "all", noise(*markers)
    yield "scattered signals, all", "all", scattered(*markers)
    for marker in markers:
        yield "noise", marker, noise(marker)
        yield "scattered signals", marker, scattered(marker)
        yield "dimmer by 30 %", marker, dimmer(0.3, marker)
        yield "dimmer by 60 %", marker, dimmer(0.6, marker)
    for first, second in zip(markers, (*markers[1:], markers[0]), strict=True):
        yield "spillover 15 %", f"{first} into {second}", spilled(first, second)
        yield "compensated 5 % too much", f"{first} off {second}", spilled(first, second, TOO_MUCH)
    yield "range x16", "", other_range(_OTHER_RANGE)


def _of_events(markers: Sequence[str], populations: Sequence[str]) -> Iterator[Named]:
    for share in (0.3, 0.1, 0.05):
        yield f"{share:.0%} of events", "", subsampled(share)
    for population in populations:
        yield "depleted to 10 %", population, depleted(population, 0.1)
        yield "removed", population, depleted(population, 0.0)
        yield "sorted for", population, sorted_for(population)
    for marker in markers:
        yield "half of the positives", marker, fewer_positives(marker, 0.5)
    yield "a tenth doublets more", "", doublets()
    yield "events in another order", "", shuffled()
