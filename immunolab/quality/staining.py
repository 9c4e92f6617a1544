"""Stains of a tube that are exchanged, or absent, by what its other channels say and the panel's other tubes have."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from immunolab.quality.panel_fit import Pair, PanelFit, StainFit
from immunolab.quality.staining_sample import StainingSample

FEWEST_TUBES = 4
"""Tubes of a panel: of three, one that is odd cannot be set apart from two that happen to agree (judgement)."""
FEWEST_EVENTS = 500
"""Events of a tube: the slope of a stain on what is expected then has a standard error of about .06."""
MOST_TUBES = 250
"""Tubes that are compared with each other: the work goes with their square (judgement: seconds of work)."""
_FEWEST_MARKERS = 4  # stains that others can speak for
_CANDIDATES = (
    5  # pairs a tube that are looked at event by event; of 960 planted ones 957 were the likeliest by features
)
_LEAST_ERROR_RATIO = 1.15  # squared error of both as labelled over that when exchanged: 28 planted ones 1.23 to 9.7
# of features of both stains by the exchange, in spreads between tubes a feature: most sound tubes lose .2 and more by
# every exchange, 98 % of planted ones gain
_LEAST_GAIN = -0.1
# how much nearer both slopes beside other dyes' light come to the panel's by the exchange, which are 1: planted ones of
# eight tubes of 2,000 events .17 and more; a sound tube that fits twice as well by leaked light loses 1.0
_LEAST_NEARER = 0.1
_LEAST_SLOPE = 0.2  # that is taken as usual: where it is less, the other channels say little of the stain (judgement)
# mean of the stain's slope on what is expected beside other dyes' light and of its 99.5th percentile, both 1 as in the
# panel, as brightly dead cells or a neighbour's light keep up one of them: of 384 planted absences in 24 studies of
# monthly runs all but one are under it, of their 9,216 sound stains the least is .52
_LEAST_ANSWER = 0.5
_LEAST_SPREAD = 0.5  # of the panel's usual spread of what is expected: less, and the stain's cells are few
_ABSENT_SPREAD = 0.25  # of the same: less, and they are absent

Kind = Literal["exchanged", "absent_stain", "absent_population", "crossed"]


@dataclass(frozen=True)
class StainFinding:
    """A stain of a tube that is not as in the panel's other tubes.

    Attributes
    ----------
    tube, marker, other
        sample_id; the stain, and the one that it is exchanged with ("" of what is absent).
    kind
        As in `STAINING`.
    value, limit
        What was measured, and the value beyond which it is named.
    said
        Of crossed labels: what the events say of them.
    """

    tube: str
    marker: str
    kind: Kind
    value: float
    limit: float
    other: str = ""
    said: str = ""

    @property
    def message(self) -> str:
        """In words."""
        if self.kind == "exchanged":
            return (
                f"{self.marker} and {self.other} fit the panel's other tubes {self.value:.2g} times better when they "
                "are exchanged: labels or antibodies may be swapped"
            )
        if self.kind == "crossed":
            return (
                f"{self.marker} and {self.other} are named on each other's detector: the panel's other tubes have them "
                f"the other way round{self.said}"
            )
        if self.kind == "absent_stain":
            return (
                f"no cell is stained for {self.marker}, though the other markers say that its cells are there: the "
                "antibody may be missing"
            )
        return f"cells with {self.marker} are absent by the other markers too: the population, not the antibody"


def staining_findings(tubes: Mapping[str, StainingSample], names: Sequence[str] | None = None) -> list[StainFinding]:
    """Return what is exchanged or absent in tubes that should be stained alike.

    Parameters
    ----------
    tubes
        By sample_id. More than 250 are compared in equal parts, each drawn over all.
    names
        Those of one panel, fully stained, which are compared; all of them where None.

    Returns
    -------
    list of StainFinding
        In the order of the tubes. Fewer than four tubes, or tubes of few events, are not compared.
    """
    chosen = [name for name in (tubes if names is None else names) if name in tubes]
    place = {name: i for i, name in enumerate(chosen)}
    found = [one for part in _parts(tubes, chosen) for one in _unlike_others({name: tubes[name] for name in part})]
    return sorted(found, key=lambda one: place[one.tube])


def _parts(tubes: Mapping[str, StainingSample], chosen: Sequence[str]) -> list[list[str]]:
    """Return the tubes of enough events in equal parts, each drawn over all of them: a run alone would be its own."""
    names = [name for name in chosen if tubes[name].n_events >= FEWEST_EVENTS]
    drawn = np.random.default_rng(0).permutation(len(names))
    parts = np.array_split(drawn, max(1, -(-len(names) // MOST_TUBES)))
    return [[names[i] for i in sorted(part)] for part in parts]


def _unlike_others(tubes: Mapping[str, StainingSample]) -> list[StainFinding]:
    panel = PanelFit(tubes)
    if len(tubes) < FEWEST_TUBES or len(panel.markers) < _FEWEST_MARKERS:
        return []
    numbers = range(len(panel.markers))
    fits = {name: [panel.fit(name, a) for a in numbers] for name in tubes}
    usual = [_usual([fits[name][a] for name in tubes]) for a in numbers]
    found: list[StainFinding] = []
    for name in tubes:
        absent = [one for one in _absent(panel, name, fits[name], usual) if one.marker not in tubes[name].unused]
        exchanged = _exchanged(panel, name, usual)
        found += [exchanged] if exchanged else []
        taken = {exchanged.marker, exchanged.other} if exchanged else set()
        found += [one for one in absent if one.marker not in taken]
    return found


def exchange_evidence(tubes: Mapping[str, StainingSample], tube: str, markers: tuple[str, str]) -> float:
    """Return how many times better two stains of a tube fit the others when they are exchanged; NaN where unclear.

    Parameters
    ----------
    tubes
        By sample_id, the tube among them; of more than 250 those of its part, as `staining_findings` draws them.
    tube
        The one in question.
    markers
        The two stains.
    """
    part = next((part for part in _parts(tubes, list(tubes)) if tube in part), [])
    panel = PanelFit({name: tubes[name] for name in part})
    if len(part) < 2 or not set(markers) <= set(panel.markers):
        return float("nan")
    a, b = (panel.markers.index(marker) for marker in markers)
    ratio, gain = _gain(panel, tube, (a, b))
    return float("nan") if ratio > 1 and gain < 0 else ratio


@dataclass(frozen=True)
class _Usual:
    """What a stain of the panel usually has: medians over the tubes, see `StainFit`."""

    slope: float
    top: float
    spread: float


def _usual(fits: list[StainFit]) -> _Usual:
    return _Usual(
        float(np.median([fit.slope for fit in fits])),
        float(np.median([fit.top for fit in fits])),
        float(np.median([fit.expected_sd for fit in fits])),
    )


def _exchanged(panel: PanelFit, tube: str, usual: list[_Usual]) -> StainFinding | None:
    """Return the exchange by which a tube fits the others better, and by its stains and not by light that leaked."""
    found: list[tuple[float, Pair]] = []
    for pair in panel.likeliest_exchanges(tube, _CANDIDATES, _LEAST_GAIN):
        ratio, _ = _gain(panel, tube, pair)
        if ratio > _LEAST_ERROR_RATIO and _nearer(panel, tube, pair, usual) > _LEAST_NEARER:
            found.append((ratio, pair))
    if not found:
        return None
    ratio, pair = max(found)
    first, second = (panel.markers[i] for i in pair)
    return StainFinding(tube, first, "exchanged", ratio, _LEAST_ERROR_RATIO, second)


def _nearer(panel: PanelFit, tube: str, pair: Pair, usual: list[_Usual]) -> float:
    """Return how much nearer to the usual ones, which are 1, two stains' slopes come by their exchange."""
    total = 0.0
    for i in pair:
        own = max(usual[i].slope, _LEAST_SLOPE)
        labelled, swapped = (panel.fit(tube, i, how, by_others=True).slope for how in (None, pair))
        total += abs(labelled - own) / own - abs(swapped - own) / own
    return total


def _gain(panel: PanelFit, tube: str, pair: Pair) -> tuple[float, float]:
    """Return squared error as labelled over that when exchanged, and what the correlations gain by it, the lesser."""
    as_labelled = [panel.fit(tube, i, by_others=True) for i in pair]
    swapped = [panel.fit(tube, i, pair, by_others=True) for i in pair]
    ratio = sum(fit.error for fit in as_labelled) / max(sum(fit.error for fit in swapped), 1e-9)
    return ratio, min(new.correlation - old.correlation for new, old in zip(swapped, as_labelled, strict=True))


def _absent(panel: PanelFit, tube: str, fits: list[StainFit], usual: list[_Usual]) -> Iterator[StainFinding]:
    for marker, fit, one in zip(panel.markers, fits, usual, strict=True):
        if min(one.slope, one.top, one.spread) <= 0:
            continue
        present = fit.expected_sd / one.spread
        answer = (fit.slope / one.slope + max(fit.top, 0.0) / one.top) / 2
        if present < _ABSENT_SPREAD:
            yield StainFinding(tube, marker, "absent_population", present, _ABSENT_SPREAD)
        elif present >= _LEAST_SPREAD and answer < _LEAST_ANSWER:
            yield StainFinding(tube, marker, "absent_stain", answer, _LEAST_ANSWER)
