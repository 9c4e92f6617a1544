"""Signs that a file's events are not raw: compensated, transformed, unmixed, or of a mass cytometer."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from immunolab.events.tube import Channel, Spillover
from immunolab.loaders.fcs.data_segment import END_OFF_BY_ONE
from immunolab.loaders.fcs.text import READ_AS_LATIN

_LEAST_EVENTS = 20  # fewer show nothing about the file (judgement)
_LOOKED_AT = 20_000  # events, evenly spaced: a share of 1 % is known to a tenth of itself
_MOST_NEGATIVE = 1.0  # percent of scatter values; scatter is positive but for electronic noise (judgement)
_LARGEST_TRANSFORMED = 10.0  # logicle ends at 1 or 4.5, arcsinh(x / 150) at 8.2; raw signals go far beyond
_SPECTRAL_CYTOMETERS = re.compile(r"aurora|northern ?lights|nl-[123]000|id7000|sp6800|discover|bigfoot", re.IGNORECASE)
_DETECTOR = re.compile(r"(UV|V|B|YG|R|IR)[0-9]{1,2}-[AHW]")
_UNMIXED_PANEL = 15  # channels: conventional panels seldom have as many dyes (judgement)
COMPENSATED = "channels are called Comp-...: the events were compensated or unmixed before export"
UNMIXED = "the events look unmixed (spectral cytometer, no spillover): they need no compensation"
MASS = "the file is of a mass cytometer: use asinh with cofactor 5; fluorescence spillover does not apply"
NOTHING_TO_DO = frozenset({COMPENSATED, UNMIXED, MASS, END_OFF_BY_ONE, READ_AS_LATIN})
"""What is said of a file that was read rightly as it is: nobody has to do anything about it."""


def signs_of_processing(
    columns: NDArray[np.float32],
    channels: Sequence[Channel],
    spillover: Spillover | None,
    cytometer: str = "",
) -> list[str]:
    """Return what shows that events are not as acquired, in words; empty when nothing does.

    Parameters
    ----------
    columns
        Channels x events, instrument units; an even sample of the events is looked at.
    channels
        One for each row.
    spillover
        The tube's matrix.
    cytometer
        ``$CYT``.
    """
    kinds = np.array([channel.kind for channel in channels])
    looked = columns[:, :: max(1, columns.shape[1] // _LOOKED_AT)]
    notes = _by_name(channels, spillover, cytometer)
    if looked.shape[1] < _LEAST_EVENTS:
        return notes
    with np.errstate(invalid="ignore"):
        scatter, light = looked[kinds == "scatter"], looked[kinds == "fluorescence"]
        negative = 100.0 * float((scatter < 0).mean()) if scatter.size else 0.0
        if negative > _MOST_NEGATIVE:
            notes.append(
                f"{negative:.0f} % of scatter values are negative: much noise, or compensated or transformed events"
            )
        if len(light) > 1 and _looks_transformed(light):
            notes.append("all fluorescence is near 0 to 5: the events look transformed already")
    return notes


def _looks_transformed(light: NDArray[np.float32]) -> bool:
    finite = light[np.isfinite(light)]
    if not finite.size or not finite.any():
        return False
    return bool(np.abs(finite).max() <= _LARGEST_TRANSFORMED and (finite != np.round(finite)).mean() > 0.5)


def _by_name(channels: Sequence[Channel], spillover: Spillover | None, cytometer: str) -> list[str]:
    light = [channel.name for channel in channels if channel.kind == "fluorescence"]
    mass = [channel for channel in channels if channel.kind == "mass"]
    trivial = spillover is None or np.allclose(spillover.matrix, np.eye(len(spillover.channels)), atol=1e-5)
    if len(mass) > 2 or re.search(r"cytof|helios|dvs", cytometer, re.IGNORECASE):
        return [MASS]
    notes = []
    if any(re.match(r"(FJ)?Comp-", name) for name in light):
        notes.append(COMPENSATED)
    detectors = [name for name in light if _DETECTOR.fullmatch(name)]
    spectral = bool(_SPECTRAL_CYTOMETERS.search(cytometer))
    if trivial and len(detectors) >= _UNMIXED_PANEL and len(detectors) * 2 > len(light):
        notes.append("channels are spectral detectors, not dyes: the events are not unmixed")
    elif trivial and light and (spectral or _is_wide(light)):
        notes.append(UNMIXED)
    return notes


def _is_wide(light: Sequence[str]) -> bool:
    areas = [name for name in light if name.endswith("-A")]
    return len(areas) >= _UNMIXED_PANEL and len(areas) == len(light)
