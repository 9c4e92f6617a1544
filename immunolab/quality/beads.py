"""Counting beads of a tube: found by their light in every channel, counted, and what one event stands for.

A bead shines in every fluorescence channel; a cell is dark in some. So an event is judged by one of its dimmest
channels: beads are a narrow peak there, far above all cells. Cells per microlitre are cells / beads x beads in the tube
/ blood stained (single platform; Brando 2000, Cytometry 42:327; CLSI H42).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from immunolab.events.tube import Tube
from immunolab.intervals import NORMAL_95
from immunolab.schema.flags import Check, Flag

_COFACTOR = 150.0  # of asinh, instrument units: a usual one for fluorescence (judgement); the border is on this scale
_DARK = 0.15  # share of channels in which a bead may be dark: lots do not shine in all lasers' lines (judgement)
_FEWEST_CHANNELS = 3  # of fluorescence: fewer do not tell a bead from a cell that has all markers (judgement)
_LEAST = 30  # events of a peak of beads: fewer may be debris (judgement)
ENOUGH_BEADS = 400
"""Beads from which their counting error is a twentieth of the count (Poisson)."""
_BIN = 0.05  # width of a bin, asinh: a third of the width of a bead peak of CV 15 % (judgement)
_KERNEL = np.exp(-0.5 * (np.arange(-4, 5) / 1.5) ** 2)  # smooths over .075 asinh, half of that width
_MOST = (
    0.8  # share of the largest gate that the best parted one holds at least: two beads at once are fewer (judgement)
)
_WIDEST = 0.35  # sd of a bead peak, asinh: lots have a CV under a fifth, dead cells three times that (judgement)
_VALLEY = 0.1  # density between beads and cells, share of the beads' peak, above which they are not apart (judgement)
_DIM = 0.1  # share of events that are surely dim, so that beads may be most of a tube (judgement)
_ABOVE = 1.5  # asinh that beads are above those at least: 4.5 times their light (judgement)
_NEAR = 0.3  # share of the way from the border to the peak within which an event is doubtful (judgement)
_DOUBTFUL = 0.05  # share of the beads that may be doubtful: what few beads add to the error (judgement)

Array = NDArray[np.float64]


@dataclass(frozen=True)
class BeadGate:
    """The beads of a tube.

    Attributes
    ----------
    n_beads
        Events in the gate; 0 where no bead was found.
    border
        Least signal of a bead, asinh(x / 150) of one of its dimmest channels; NaN without beads.
    n_doubtful
        Events near the border.
    uncertain
        Whether beads and other events are not apart.
    apart
        Density of the valley below as a share of the peak, and its width (asinh) negated: lower is better parted.
    """

    n_beads: int
    border: float
    n_doubtful: int
    uncertain: bool
    apart: tuple[float, float] = (math.inf, 0.0)


def find_beads(tube: Tube) -> BeadGate:
    """Return the beads of a tube; its signals are taken as acquired, for no matrix is a bead's.

    Parameters
    ----------
    tube
        All its events.
    """
    rows = [i for i, channel in enumerate(tube.channels) if channel.kind == "fluorescence"]
    nothing = BeadGate(0, math.nan, 0, uncertain=False)
    if len(rows) < _FEWEST_CHANNELS or not tube.n_events:
        return nothing
    light = np.arcsinh(tube.columns[rows] / _COFACTOR)
    place = int(_DARK * len(rows))
    return _gate(np.partition(light, place, axis=0)[place].astype(np.float64), nothing)


def _gate(light: Array, nothing: BeadGate) -> BeadGate:
    """Return the gate on the light of each event in one of its dimmest channels."""
    least = float(np.quantile(light, _DIM)) + _ABOVE
    edges = np.arange(float(light.min()) - 4 * _BIN, float(light.max()) + 5 * _BIN, _BIN)
    density = np.convolve(np.histogram(light, edges)[0], _KERNEL, mode="same")
    tops = np.flatnonzero((density[1:-1] > density[:-2]) & (density[1:-1] >= density[2:])) + 1
    found = [one for top in tops[1:] if (one := _peak(light, edges, density, tops, int(top), least)) is not None]
    most = max((one.n_beads for one in found), default=0)
    return min((one for one in found if one.n_beads >= _MOST * most), key=lambda one: one.apart, default=nothing)


def _peak(
    light: Array, edges: Array, density: Array, tops: NDArray[np.intp], top: int, least: float
) -> BeadGate | None:
    """Return the gate over the valley below a peak; None where it is no narrow peak far above the other events."""
    place = float(edges[top] + _BIN / 2)
    below = tops[tops < top]
    start = int(below[np.argmax(density[below])])  # the largest group of other events
    valley = float(density[start:top].min())
    if place < least or valley >= density[top] / 2:
        return None
    least_dense = start + np.flatnonzero(density[start:top] <= valley)
    runs = np.split(least_dense, np.flatnonzero(np.diff(least_dense) > 1) + 1)
    empty = max(runs, key=len)  # the widest stretch without events
    border = float((edges[empty[0]] + edges[empty[-1]] + _BIN) / 2)
    beads = light[light > border]
    if len(beads) < _LEAST or np.subtract(*np.quantile(beads, [0.841, 0.159])) / 2 > _WIDEST:
        return None
    doubtful = int((np.abs(light - border) < _NEAR * (place - border)).sum())
    uncertain = valley > _VALLEY * density[top] or doubtful > _DOUBTFUL * len(beads)
    apart = valley / density[top], -float(edges[empty[-1]] - edges[empty[0]])
    return BeadGate(len(beads), border, doubtful, bool(uncertain), apart)


def bead_row(
    sample_id: str, tube: Tube, beads_per_tube: float | None, volume_ul: float | None, cv_percent: float | None
) -> dict[str, object]:
    """Return a row of `BEADS`: what one event stands for, with its error.

    Parameters
    ----------
    sample_id, tube
        The tube, the same events as its populations are counted from.
    beads_per_tube, volume_ul, cv_percent
        As the sheet gives them; None where a cell is empty.
    """
    gate = find_beads(tube)
    row: dict[str, object] = {
        "sample_id": sample_id,
        "n_beads": gate.n_beads,
        "n_events": tube.n_events,
        "border": None if math.isnan(gate.border) else gate.border,
        "n_doubtful": gate.n_doubtful,
        "beads_per_tube": beads_per_tube,
        "volume_ul": volume_ul,
        "bead_cv_percent": cv_percent,
    }
    if not gate.n_beads or beads_per_tube is None or volume_ul is None:
        text = "no peak of events that shine in every channel" if not gate.n_beads else "the sheet gives no volume"
        return row | {"flag": Flag.NO_BEADS, "reason": text}
    each = beads_per_tube / (gate.n_beads * volume_ul)
    error = NORMAL_95 * math.hypot(1 / math.sqrt(gate.n_beads), (cv_percent or 0.0) / 100.0)
    row |= {"per_ul_per_event": each, "ci_low": each * math.exp(-error), "ci_high": each * math.exp(error)}
    flags = [Flag.FEW_BEADS] * (gate.n_beads < ENOUGH_BEADS) + [Flag.BEAD_GATE] * gate.uncertain
    reasons = [f"{gate.n_beads} beads: their counting error is {100 / math.sqrt(gate.n_beads):.0f} %"] * (
        gate.n_beads < ENOUGH_BEADS
    )
    reasons += [f"{gate.n_doubtful} events are near the border of {gate.n_beads} beads"] * gate.uncertain
    return row | {"flag": ";".join(flags) or None, "reason": "; ".join(reasons) or None}


def check_beads(row: dict[str, object]) -> dict[str, object]:
    """Return the check of a tube's beads, a row of `QUALITY`.

    Parameters
    ----------
    row
        Of `BEADS`.
    """
    return {
        "sample_id": row["sample_id"],
        "check": Check.BEADS,
        "value": row["n_beads"],
        "limit": ENOUGH_BEADS,
        "status": "ok" if row["flag"] is None else "fail" if row["flag"] == Flag.NO_BEADS else "warn",
        "message": row["reason"],
    }
