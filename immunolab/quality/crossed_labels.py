"""Tubes in which two detectors carry each other's marker: labels, detectors' names or antibodies were exchanged."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Literal

from immunolab.quality.staining import StainFinding, exchange_evidence
from immunolab.quality.staining_sample import StainingSample

FITS_EXCHANGED, FITS_LABELLED = 1.15, 0.87
"""Squared error as labelled over that when exchanged: above the first the labels are wrong, below the second right;
planted exchanges have 1.23 and more (`quality.staining`), the second is its inverse."""
MOST_ALIKE = 0.5
"""Share of a panel's tubes that name two detectors as the tube does: from it on there is no usual way (judgement)."""
_FEWEST_TUBES = 3  # of two, neither is the usual one

Fit = Literal["exchanged", "labelled", "unclear"]
_SAID: Mapping[Fit, str] = {
    "exchanged": "; the events fit the other tubes when the two are exchanged: this file's labels are wrong",
    "labelled": "; the events fit the labels: the antibodies were on these detectors, or the detectors' names are "
    "exchanged and compensation by them is wrong",
    "unclear": "; the events do not say which is right",
}


def fit_of(ratio: float) -> Fit:
    """Return what the events of a tube with crossed labels fit.

    Parameters
    ----------
    ratio
        As `quality.staining.exchange_evidence` returns it; NaN is unclear.
    """
    return "exchanged" if ratio > FITS_EXCHANGED else "labelled" if ratio < FITS_LABELLED else "unclear"


def crossed_labels(tubes: Mapping[str, StainingSample], names: Sequence[str]) -> list[StainFinding]:
    """Return the tubes in which two detectors carry each other's marker, and what the events say of them.

    Parameters
    ----------
    tubes
        By sample_id.
    names
        Those of one panel, in order, which are compared.
    """
    carried = {name: _markers(tubes[name]) for name in names if name in tubes}
    if len(carried) < _FEWEST_TUBES:
        return []
    usual = _usual(carried.values())
    found = []
    for name, own in carried.items():
        for first, second in _crossed(own, usual):
            alike = sum(o.get(first) == own[first] and o.get(second) == own[second] for o in carried.values())
            if (share := alike / len(carried)) < MOST_ALIKE:
                pair = own[first], own[second]
                ratio = exchange_evidence({one: tubes[one] for one in carried}, name, pair)
                found.append(StainFinding(name, pair[0], "crossed", share, MOST_ALIKE, pair[1], _SAID[fit_of(ratio)]))
    return found


def _markers(tube: StainingSample) -> dict[str, str]:
    """Return marker by detector where a marker is known, by name."""
    return {name: marker for name, marker in sorted(zip(tube.names, tube.markers, strict=True)) if name != marker}


def _usual(carried: Iterable[Mapping[str, str]]) -> dict[str, str]:
    """Return the marker that most tubes have on each detector, by itself: tubes may differ in others."""
    found: dict[str, Counter[str]] = {}
    for own in carried:
        for name, marker in own.items():
            found.setdefault(name, Counter())[marker] += 1
    return {name: counted.most_common(1)[0][0] for name, counted in found.items()}


def _crossed(own: Mapping[str, str], usual: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Yield two detectors that carry, in one tube, what the other does as a rule."""
    place = {marker: name for name, marker in usual.items()}
    for name, marker in own.items():
        other = place.get(marker, name)
        if name < other and other in own and usual.get(name) == own[other]:
            yield name, other
