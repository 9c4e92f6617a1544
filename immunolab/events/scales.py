"""The display scale of each channel from data: the noise around zero of all tubes that are compared.

A scale on which the noise is wider than its linear part tears the negative events into two humps with a valley at
zero; a scale whose linear part is far wider than the noise presses dim events into them. The noise is seen below zero,
where no signal is. It is measured in each tube and the middle of all tubes is taken, so that neither a drug nor a
patient moves the scale, and one scale serves all tubes.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice, zip_longest

import numpy as np
from numpy.typing import NDArray

from immunolab.events.compensation import weighted_sums
from immunolab.events.transforms import Asinh, Identity, Transform, scale_in_words
from immunolab.events.tube import MASS_COFACTOR, ChannelKind, Tube
from immunolab.order_statistics import median, quantiles

MOST_TUBES = 24  # tubes of a study that are measured: their median is known to a tenth (judgement, against time)
_LOOKED_AT = 20_000  # events of a tube, evenly spaced: 200 at the least share of negative ones (judgement)
# least cofactor for a channel of 18 bits, the usual one of conventional cytometers; a scale that ends lower (10 bits,
# logarithmic amplifiers) has less in proportion, one that ends higher has not more: at 24 bits the noise of an Accuri
# C6 is 2 to 16 units
_USUAL_COFACTOR, _USUAL_TOP = 150.0, 262_144.0
# cofactor in standard deviations of the noise: above 1 a normal noise has one hump on the display scale, at 1 it has a
# flat top (second derivative of its log density at zero: 1 - cofactor^2 / sd^2). In 30 Aurora tubes, 2026-11-26, 150
# puts 443 of 900 valleys within one sd of zero, 1 to 12 sd put none there; simulated tubes are gated alike by 1 to 2.5
_NOISE_SDS = 1.5
_HALF_NORMAL_MEDIAN = 0.6745  # median of |z| of a standard normal
_LEAST_NEGATIVE = 0.01  # share of events below zero under which they are a tail or outliers of compensation (judgement)
_FEWEST_NEGATIVE = 30  # events whose median is known to a sixth (judgement)
# end of the scales that programs write instead of signals: logicle (1 or 4.5) and arcsinh (150: 8.2), and channel
# numbers of at most 12 bits (FlowJo, CellQuest), which begin at zero
_TRANSFORMED_TOP, _CHANNEL_TOP = 10.0, 4096.0
# share of a channel's numbers below zero, after compensation: up to 3 % in tubes of the HIPC, while noise around zero
# has half of its events there (judgement between the two)
_MOST_BELOW = 0.2
# (99 % - median) / (median - 1 %) that no channel exceeds on a display scale: 1 to 2.6 in tubes of the HIPC, up to 28
# of linear signals with any positive event (conventional tubes: 13 to 200)
_DISPLAY_SKEW = 10.0
# noise of mass channels below which they are on a display scale: software spreads counts of zero over -1 to 0, which is
# 0.74 as noise is measured here and a fifth of that on arcsinh(x / 5) (judgement between the two)
_MOST_DISPLAYED_NOISE = 0.3
_DIGITS = 2  # of a cofactor: another tube seldom changes it, and people can read it


@dataclass(frozen=True)
class ChannelNoise:
    """What one tube shows of a channel's scale.

    Attributes
    ----------
    name
        Marker, or the channel where it has none.
    kind
        Fluorescence or mass.
    top
        End of the channel, instrument units; 0 where the file does not say.
    sd
        Standard deviation of the noise around zero, instrument units; None where too few events are below zero.
    below
        Share of events below zero.
    high
        99.9 % quantile, instrument units.
    skew
        (99 % - median) / (median - 1 %); infinite where the lower half is one value.
    whole
        Whether all events are whole numbers, as counts are.
    """

    name: str
    kind: ChannelKind
    top: float
    sd: float | None
    below: float
    high: float
    skew: float
    whole: bool = False


@dataclass(frozen=True)
class ChannelScale:
    """The display scale of a channel in all tubes that are compared, and why.

    Attributes
    ----------
    name
        Marker, or the channel where it has none.
    transform
        The scale.
    reason
        What it rests on, in words.
    """

    name: str
    transform: Transform
    reason: str

    def __str__(self) -> str:
        return f"{self.name} {scale_in_words(self.transform)}"


def channel_noise(tube: Tube) -> tuple[ChannelNoise, ...]:
    """Return what a tube shows of the scale of each of its fluorescence and mass channels.

    Parameters
    ----------
    tube
        Its events, or a subsample; values are compensated with the tube's own matrix.
    """
    stained = [channel for channel in tube.channels if channel.kind in ("fluorescence", "mass")]
    if not stained or not len(tube):
        return ()
    columns = tube.columns[:, :: max(1, len(tube) // _LOOKED_AT)]
    values = weighted_sums(tube.weights([channel.name for channel in stained]), columns)
    found = []
    for channel, row in zip(stained, values, strict=True):
        row = row[np.isfinite(row)]
        if not len(row):
            continue
        low, middle, upper, high = quantiles(np.sort(row), [0.01, 0.5, 0.99, 0.999])
        skew = (upper - middle) / (middle - low) if middle > low else np.inf
        name, below = channel.marker or channel.name, float(np.mean(row < 0))
        whole = bool(np.all(row == np.rint(row)))
        found.append(ChannelNoise(name, channel.kind, channel.top, _noise(row), below, high, float(skew), whole))
    return tuple(found)


def _noise(values: NDArray[np.float64]) -> float | None:
    negative = values[values < 0]
    if len(negative) < max(_FEWEST_NEGATIVE, _LEAST_NEGATIVE * len(values)):
        return None
    return median(-negative) / _HALF_NORMAL_MEDIAN


def channel_scales(tubes: Iterable[Sequence[ChannelNoise]]) -> tuple[ChannelScale, ...]:
    """Return one display scale for each channel of tubes that are compared.

    Fluorescence is on arcsinh(x / cofactor), where the cofactor is 1.5 standard deviations of the noise (the median of
    the tubes) and at least what 150 is for a scale that ends at 262,144; mass on arcsinh(x / 5). Values of either that
    are on a display scale already stay as they are.

    Parameters
    ----------
    tubes
        What `channel_noise` found in each.
    """
    read = [tube for tube in tubes if tube]
    by_name: dict[str, list[ChannelNoise]] = {}
    for one in (one for tube in read for one in tube):
        by_name.setdefault(one.name, []).append(one)
    light = [[one for one in tube if one.kind == "fluorescence"] for tube in read]
    mass = _mass_scale([one for tube in read for one in tube if one.kind == "mass"])
    if any(light) and all(_is_displayed(tube) for tube in light if tube):
        reason = f"values end below {_CHANNEL_TOP:g} and are not skewed as signals are: they are on a display scale"
        return tuple(
            ChannelScale(name, Identity(), reason) if found[0].kind == "fluorescence" else replace(mass, name=name)
            for name, found in by_name.items()
        )
    measured = {name: _cofactor(found) for name, found in by_name.items() if found[0].kind == "fluorescence"}
    seen = [cofactor for cofactor, n in measured.values() if n]
    other = float(np.median(seen)) if seen else 0.0
    return tuple(
        _scale(name, *measured[name], other) if name in measured else replace(mass, name=name) for name in by_name
    )


def spread_over_batches(batches: Mapping[str, str]) -> tuple[str, ...]:
    """Return the names of at most 24 tubes, batch after batch in turn; others seldom change which.

    Parameters
    ----------
    batches
        Name of each tube to its batch.

    Returns
    -------
    tuple of str
        Sorted.
    """
    queues: dict[str, list[str]] = {}
    for name in sorted(batches, key=lambda name: (zlib.crc32(name.encode()), name)):
        queues.setdefault(batches[name], []).append(name)
    turns = (name for turn in zip_longest(*(queues[batch] for batch in sorted(queues))) for name in turn if name)
    return tuple(sorted(islice(turns, MOST_TUBES)))


def _is_displayed(tube: Sequence[ChannelNoise]) -> bool:
    """Whether a tube's values are on a display scale instead of in instrument units."""
    if max(one.skew for one in tube) > _DISPLAY_SKEW:
        return False
    high, below = max(one.high for one in tube), max(one.below for one in tube)
    return high <= _TRANSFORMED_TOP or (high <= _CHANNEL_TOP and below <= _MOST_BELOW)


def _cofactor(found: Sequence[ChannelNoise]) -> tuple[float, int]:
    """Return the cofactor of a channel, and in how many tubes its noise was seen."""
    end = max(float(np.median([one.top or _USUAL_TOP for one in found])), float(np.median([one.high for one in found])))
    least = _USUAL_COFACTOR * min(1.0, end / _USUAL_TOP)
    sds = [one.sd for one in found if one.sd is not None]
    return max(least, _NOISE_SDS * float(np.median(sds))) if sds else least, len(sds)


def _scale(name: str, cofactor: float, n_tubes: int, other: float) -> ChannelScale:
    if n_tubes:
        reason = f"noise around zero in {n_tubes} tube{'s' if n_tubes > 1 else ''}"
    elif other > cofactor:
        cofactor, reason = other, "no noise below zero; the median of the other channels"
    else:
        reason = "no noise below zero; the usual cofactor for the end of the channel"
    return ChannelScale(name, Asinh(float(f"{cofactor:.{_DIGITS}g}")), reason)


def _mass_scale(found: Sequence[ChannelNoise]) -> ChannelScale:
    """Return the scale of the mass channels of all tubes, for a channel without a name."""
    high = max((one.high for one in found), default=np.inf)
    noise = max((one.sd for one in found if one.sd is not None), default=0.0)
    if high <= _TRANSFORMED_TOP and noise < _MOST_DISPLAYED_NOISE and not all(one.whole for one in found):
        reason = f"no mass channel goes beyond {high:.3g}, where counts go to hundreds: they are on a display scale"
        return ChannelScale("", Identity(), reason)
    return ChannelScale("", Asinh(MASS_COFACTOR), "counts of a mass cytometer")
