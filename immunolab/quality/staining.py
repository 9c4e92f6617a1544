"""Stains of a tube that are exchanged, or absent, by what its other channels say and the panel's other tubes have."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np

from immunolab.quality.panel_fit import Pair, PanelFit, StainFit
from immunolab.quality.staining_sample import StainingSample

FEWEST_TUBES = 4
"""Tubes of a panel: of three, one that is odd cannot be set apart from two that happen to agree (judgement)."""
FEWEST_EVENTS = 500
"""Events of a tube: the slope of a stain on what is expected then has a standard error below .1."""
_FEWEST_MARKERS = 4  # stains that others can speak for
_CANDIDATES = 8  # pairs a tube that are looked at event by event, the likeliest first: of 960 planted ones 3 were later
_LEAST_ERROR_RATIO = 1.25  # squared error as labelled over that when exchanged: planted 1.5 to 14, sound below .9
_LEAST_LOSS = 0.1  # of one stain's correlation against the panel's usual: half of the least that an exchange takes off
_LEAST_CORRELATION_GAIN = 0.1  # of the two stains' correlations with what is expected, summed: planted .3 or more
_MOST_SLOPE = 0.33  # of the panel's usual slope: planted absences at most .25, sound tubes at least .59
_LEAST_SPREAD = 0.5  # of the panel's usual spread of what is expected: less, and the stain's cells are few
_ABSENT_SPREAD = 0.25  # of the same: less, and they are absent

Kind = Literal["exchanged", "absent_stain", "absent_population"]


@dataclass(frozen=True)
class StainFinding:
    """A stain of a tube that is not as in the panel's other tubes.

    Attributes
    ----------
    tube, marker, other
        sample_id; the stain, and the one that it is exchanged with ("" for the other kinds).
    kind
        As in `STAINING`.
    value, limit
        What was measured, and the value beyond which it is named.
    """

    tube: str
    marker: str
    kind: Kind
    value: float
    limit: float
    other: str = ""

    @property
    def message(self) -> str:
        """In words."""
        if self.kind == "exchanged":
            return (
                f"{self.marker} and {self.other} fit the panel's other tubes {self.value:.2g} times better when they "
                "are exchanged: labels or antibodies may be swapped"
            )
        if self.kind == "absent_stain":
            return (
                f"no cell is stained for {self.marker}, though the other markers say that its cells are there: the "
                "antibody may be missing"
            )
        return f"cells with {self.marker} are absent by the other markers too: the population, not the antibody"


def staining_findings(tubes: Mapping[str, StainingSample]) -> list[StainFinding]:
    """Return what is exchanged or absent in tubes that should be stained alike.

    Parameters
    ----------
    tubes
        By sample_id: all of one panel, fully stained.

    Returns
    -------
    list of StainFinding
        In the order of the tubes. Fewer than four tubes, or tubes of few events, are not compared.
    """
    tubes = {name: tube for name, tube in tubes.items() if tube.n_events >= FEWEST_EVENTS}
    panel = PanelFit(tubes)
    if len(tubes) < FEWEST_TUBES or len(panel.markers) < _FEWEST_MARKERS:
        return []
    numbers = range(len(panel.markers))
    fits = {name: [panel.fit(name, a) for a in numbers] for name in tubes}
    usual = [_usual([fits[name][a] for name in tubes]) for a in numbers]
    found: list[StainFinding] = []
    for name in tubes:
        odd = any(fit.correlation < one.correlation - _LEAST_LOSS for fit, one in zip(fits[name], usual, strict=True))
        exchanged = _exchanged(panel, name, fits[name]) if odd else None
        found += [exchanged] if exchanged else []
        taken = {exchanged.marker, exchanged.other} if exchanged else set()
        found += [one for one in _absent(panel, name, fits[name], usual) if one.marker not in taken]
    return found


def exchange_evidence(tubes: Mapping[str, StainingSample], tube: str, markers: tuple[str, str]) -> float:
    """Return how many times better two stains of a tube fit the others when they are exchanged; NaN where unclear.

    Parameters
    ----------
    tubes
        By sample_id, the tube among them.
    tube
        The one in question.
    markers
        The two stains.
    """
    tubes = {name: one for name, one in tubes.items() if one.n_events >= FEWEST_EVENTS}
    panel = PanelFit(tubes)
    if tube not in tubes or len(tubes) < 2 or not set(markers) <= set(panel.markers):
        return float("nan")
    a, b = (panel.markers.index(marker) for marker in markers)
    ratio, gain = _gain(panel, tube, (a, b), panel.fit(tube, a), panel.fit(tube, b))
    agree = (ratio > 1) == (gain > 0)
    return ratio if agree else float("nan")


@dataclass(frozen=True)
class _Usual:
    """What a stain of the panel usually has: medians over the tubes, see `StainFit`."""

    correlation: float
    slope: float
    spread: float


def _usual(fits: list[StainFit]) -> _Usual:
    slope = float(np.nanmedian([fit.slope for fit in fits]))
    return _Usual(
        float(np.median([fit.correlation for fit in fits])), slope, float(np.median([fit.expected_sd for fit in fits]))
    )


def _exchanged(panel: PanelFit, tube: str, fits: list[StainFit]) -> StainFinding | None:
    best: tuple[float, Pair] | None = None
    for a, b in panel.likeliest_exchanges(tube, _CANDIDATES):
        ratio, gain = _gain(panel, tube, (a, b), fits[a], fits[b])
        if ratio > _LEAST_ERROR_RATIO and gain > _LEAST_CORRELATION_GAIN and (best is None or ratio > best[0]):
            best = ratio, (a, b)
    if best is None:
        return None
    first, second = (panel.markers[i] for i in best[1])
    return StainFinding(tube, first, "exchanged", best[0], _LEAST_ERROR_RATIO, second)


def _gain(panel: PanelFit, tube: str, pair: Pair, *as_labelled: StainFit) -> tuple[float, float]:
    """Return squared error as labelled over that when exchanged, and what the correlations gain by the exchange."""
    swapped = [panel.fit(tube, i, pair) for i in pair]
    ratio = sum(fit.error for fit in as_labelled) / max(sum(fit.error for fit in swapped), 1e-9)
    return ratio, sum(fit.correlation for fit in swapped) - sum(fit.correlation for fit in as_labelled)


def _absent(panel: PanelFit, tube: str, fits: list[StainFit], usual: list[_Usual]) -> Iterator[StainFinding]:
    for marker, fit, one in zip(panel.markers, fits, usual, strict=True):
        if not one.slope > 0 or not one.spread > 0:
            continue
        present = fit.expected_sd / one.spread
        if present < _ABSENT_SPREAD:
            yield StainFinding(tube, marker, "absent_population", present, _ABSENT_SPREAD)
        elif present >= _LEAST_SPREAD:
            ratio = 0.0 if np.isnan(fit.slope) else fit.slope / one.slope
            if np.isnan(fit.slope) or ratio + 2 * fit.slope_se / one.slope < _MOST_SLOPE:
                yield StainFinding(tube, marker, "absent_stain", ratio, _MOST_SLOPE)
