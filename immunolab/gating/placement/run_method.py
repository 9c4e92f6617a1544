"""Running one registered method: its settings, its scale, its faults, and its border on resampled events."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from immunolab.errors import GatingError
from immunolab.events.transforms import Asinh, Identity, Linear, Transform
from immunolab.gating.method_registry import Method
from immunolab.gating.method_results import Array, Cut
from immunolab.gating.placement.density import FEWEST_EVENTS, finite, noise_spread, robust_sd

RESAMPLES = 24  # rounds: the sd of a border is known to 15 % (1 / sqrt(2 * 23)); judgement, against time
_LARGEST_RESAMPLE = 4000  # events of a round; deviations are scaled to all events (judgement: time)
# cofactor that makes the noise of negative cells even on asinh, for a range of 262,144 (the usual choice for
# fluorescence, as in the shipped strategies); it grows with the range
_EVEN_COFACTOR, _EVEN_RANGE = 150.0, 262_144.0
# least cofactor, in sd of events without signal: below 1 asinh shows a normal around zero as two humps (its second
# derivative there is 1 - (cofactor / sd)^2); half more, as they are not centred on zero
_ONE_HUMP = 1.5
_STEP = 1e-3  # step of the slope by which a spread is turned back to the display scale


def call_method(chosen: Method, arguments: tuple[Any, ...], settings: Mapping[str, Any], path: str) -> Any:
    """Return what a method's function returns.

    Parameters
    ----------
    chosen
        A registered method.
    arguments
        What its card ``wants``.
    settings
        Keywords.
    path
        Of the population, for the message.

    Raises
    ------
    GatingError
        The function failed; names the method, the fault and the population.
    """
    try:
        return chosen.function(*arguments, **settings)
    except Exception as error:
        name = chosen.card.name
        raise GatingError(f"threshold method '{name}' failed: {type(error).__name__}: {error}", path) from error


def one_axis(
    chosen: Method, settings: Mapping[str, Any], shown: Transform, path: str, *, bend: float | None = None
) -> Callable[..., Cut]:
    """Return the method as a function from display values to a border on the display scale ``shown``.

    Parameters
    ----------
    chosen
        A registered method of one channel.
    settings
        Keywords of the method.
    shown
        Display scale of the channel, on which values come and borders go.
    path
        Of the population, for messages.
    bend
        Where the asinh scale bends on which values are given, standard deviations of their noise; None for the display
        scale.
    """
    # a linear display says that values are even as they are
    own = None if isinstance(shown, (Identity, Linear)) else bend
    usual = _even_scale(shown) if chosen.card.even_noise else None

    def run(*values: Array) -> Cut:
        even = _as_wide_as(usual, shown.inverse(values[1])) if usual is not None and len(values) > 1 else usual
        even = _own_scale(shown, values[0], own) if own else even
        given = values if even is None else tuple(even.apply(shown.inverse(v)) for v in values)
        found = call_method(chosen, given, _on(settings, shown, even), path)
        cut = found if isinstance(found, Cut) else Cut(_number(found, chosen, path))
        if even is None:
            return cut
        value, beside = shown.apply(even.inverse([cut.value, cut.value + _STEP]))
        return replace(cut, value=float(value), spread=cut.spread * float(beside - value) / _STEP)

    return run


def _own_scale(shown: Transform, values: Array, bend: float) -> Asinh | None:
    """Return the asinh scale that bends at so many sd of the values' noise; None where they do not spread."""
    raw = finite(shown.inverse(values))
    spread = noise_spread(raw) if len(raw) >= FEWEST_EVENTS else 0.0
    return Asinh(bend * spread) if spread > 0 else None


def _on(settings: Mapping[str, Any], shown: Transform, even: Asinh | None) -> Mapping[str, Any]:
    """Return the settings with a window on the display scale taken to the scale of the values."""
    within = settings.get("within")
    if within is None or even is None:
        return settings
    return {**settings, "within": tuple(float(v) for v in even.apply(shown.inverse(within)))}


def on_scale(cut: Cut, shown: Transform) -> Cut:
    """Return a border in instrument units on the display scale; its spread is that of the side behind it.

    Parameters
    ----------
    cut
        Instrument units.
    shown
        Display scale.
    """
    if np.isnan(cut.value):
        return cut
    value, behind = (float(v) for v in shown.apply([cut.value, cut.value - cut.spread]))
    return replace(cut, value=value, spread=value - behind)


def resampled(function: Callable[[Array], Cut], values: Array, rng: np.random.Generator | None) -> Array:
    """Return borders of resampled events (at most 4000 a round, deviations scaled to all of them).

    Parameters
    ----------
    function
        From display values to a border.
    values
        The events it was placed on, display scale.
    rng
        None resamples nothing.

    Returns
    -------
    array
        Display scale, finite; empty when nothing was resampled.
    """
    if len(values) < 2 or rng is None:
        return np.empty(0)
    size = min(len(values), _LARGEST_RESAMPLE)
    draws = np.array([function(values[rng.integers(0, len(values), size)]).value for _ in range(RESAMPLES)])
    draws = draws[np.isfinite(draws)]
    if not len(draws):
        return draws
    return np.asarray(draws.mean() + (draws - draws.mean()) * np.sqrt(size / len(values)))


def evenly(shown: Transform, negatives: Array, *values: Array) -> tuple[Array, ...]:
    """Return values, and known negatives last, on a scale where those are one hump of even spread.

    Parameters
    ----------
    shown
        Display scale, on which all are given.
    negatives
        Events without signal.
    values
        Other events.
    """
    usual = _even_scale(shown)
    if usual is None:
        return (*values, negatives)
    even = _as_wide_as(usual, shown.inverse(negatives))
    return tuple(even.apply(shown.inverse(one)) for one in (*values, negatives))


def _as_wide_as(scale: Asinh, negatives: Array) -> Asinh:
    """Return the scale with a cofactor of at least the spread of known negatives, so that they are one hump."""
    return Asinh(max(scale.cofactor, _ONE_HUMP * robust_sd(negatives)))


def _number(found: Any, chosen: Method, path: str) -> float:
    try:
        return float(found)
    except (TypeError, ValueError) as error:
        what = f"threshold method '{chosen.card.name}' returned {type(found).__name__}"
        raise GatingError(what, path, "return a number or a Cut") from error


def _even_scale(shown: Transform) -> Asinh | None:
    """Return the scale on which negative cells spread evenly; None where the display scale is such a one.

    Logicle and its kin stretch the noise around zero, so that standard deviations counted from there would put a
    border far too high.
    """
    top = getattr(shown, "t", None)
    if isinstance(shown, (Asinh, Identity, Linear)) or top is None:
        return None
    return Asinh(_EVEN_COFACTOR * float(top) / _EVEN_RANGE)
