"""The unit of the numbers in a strategy file: the instrument's, or those of the display scale.

``numbers: instrument`` or ``numbers: display`` at the top of the file settles it. Files without the key are read as
they always were where all their numbers can be positions on the display scale, and in instrument units where none can.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

from immunolab.config import Place
from immunolab.events.transforms import Asinh, Auto, Identity, Transform
from immunolab.events.tube import MASS_COFACTOR, Channel
from immunolab.gating.method_registry import DISPLAY_SCALE
from immunolab.gating.placement.method_lookup import parameters_named
from immunolab.gating.placement.rules import BORDERS, display_scale
from immunolab.gating.strategy_faults import StrategyFault, is_number, one_of

Numbers = Literal["instrument", "display"]
NUMBERS: tuple[Numbers, ...] = get_args(Numbers)
# instrument value whose place is the end of a display scale: 22 bits, the top of spectral cytometers
_TOP = 2.0**22
# end of what a number may be on a scale that a file without `transform` had before version 0.3: mass counts up to 10^4
# on asinh 5; logicle ends lower
_UNNAMED_END = float(Asinh(MASS_COFACTOR).apply([1e4])[0])
_MIXED_HINT = "write 'numbers: instrument' or 'numbers: display' at the top of the file"


@dataclass(frozen=True)
class Stated:
    """A number that a file gives for a channel, and where."""

    place: Place
    channel: str
    value: float


def numbers_of(
    data: Mapping[str, Any], transform: Mapping[str, Any], *, named: bool
) -> tuple[Numbers, list[StrategyFault]]:
    """Return the unit of a file's numbers, and what is wrong with them.

    Parameters
    ----------
    data
        The file as YAML gives it.
    transform
        Its scales, as read.
    named
        Whether the file itself names the default scale.
    """
    key = data.get("numbers")
    stated = [one for one in _stated(data) if one.value and not isinstance(_scale(transform, one), Identity)]
    if key is not None and key not in NUMBERS:
        return "instrument", [StrategyFault(("numbers",), f"unknown unit '{key}'", one_of("units", NUMBERS, str(key)))]
    if key == "instrument":
        return "instrument", []
    auto = [one for one in stated if named and isinstance(_scale(transform, one), Auto)]
    if key == "display":
        hint = "name the channel's scale under 'transform', or write 'numbers: instrument'"
        chosen = [one for one in stated if isinstance(_scale(transform, one), Auto)]
        message = "is on a display scale that data choose"
        return "display", [StrategyFault(one.place, f"{one.value:g} {message}", hint) for one in chosen]
    rest = [one for one in stated if one not in auto]
    within = [one for one in rest if abs(one.value) <= _end(_scale(transform, one))]
    beyond = [*auto, *(one for one in rest if one not in within)]
    if within and beyond:
        other = f"{beyond[0].value:g} for {beyond[0].channel} is in instrument units"
        message = f"can be a position on the display scale, but {other}"
        return "instrument", [StrategyFault(one.place, f"{one.value:g} {message}", _MIXED_HINT) for one in within]
    return ("display" if within else "instrument"), []


def with_unit(rule: Any, numbers: Numbers) -> Any:
    """Return a rule, or a gate's settings, that says in which unit its numbers are.

    Parameters
    ----------
    rule
        As YAML gives it; what is no mapping comes back.
    numbers
        The file's unit; rules on the display scale need not say it.
    """
    if not isinstance(rule, Mapping) or numbers == "display":
        return rule
    own = {key: with_unit(rule[key], numbers) for key in BORDERS if key in rule}
    return {**rule, **own, **({"numbers": numbers} if has_position(rule) else {})}


def has_position(rule: Mapping[str, Any]) -> bool:
    """Whether a rule, or a gate's settings, has a number that is a position on a channel's axis."""
    return any(key in ("low", "high") or _is_position(key) for key in rule)


def _is_position(key: str) -> bool:
    """Whether a parameter of this name is a position on a channel's axis."""
    return any(parameter.unit == DISPLAY_SCALE for parameter in parameters_named(key))


def _scale(transform: Mapping[str, Any], stated: Stated) -> Transform:
    return display_scale(transform, Channel(stated.channel))


def _end(scale: Transform) -> float:
    return _UNNAMED_END if isinstance(scale, Auto) else float(scale.apply([_TOP])[0])


def _stated(data: Mapping[str, Any]) -> Iterator[Stated]:
    thresholds = data.get("thresholds")
    for marker, rule in thresholds.items() if isinstance(thresholds, Mapping) else ():
        yield from _of_rule(rule, ("thresholds", marker), str(marker))
    populations = data.get("populations")
    for index, row in enumerate(populations if isinstance(populations, list) else ()):
        if not isinstance(row, Mapping):
            continue
        yield from _of_gate(row, ("populations", index))
        if isinstance(row.get("otherwise"), Mapping):
            yield from _of_gate(row["otherwise"], ("populations", index, "otherwise"))


def _of_rule(rule: Any, place: Place, marker: str) -> Iterator[Stated]:
    if not isinstance(rule, Mapping):
        yield from _numbers(rule, place, marker)
        return
    for key, value in rule.items():
        if key in BORDERS:
            yield from _of_rule(value if isinstance(value, Mapping) else {}, (*place, key), marker)
        elif key in ("low", "high") or _is_position(key):
            yield from _numbers(value, (*place, key), marker)


def _of_gate(row: Mapping[str, Any], place: Place) -> Iterator[Stated]:
    for key in ("above", "below", "between"):
        gate = row.get(key)
        if isinstance(gate, Mapping):
            yield from _of_rule(gate, (*place, key), str(gate.get("marker")))
    for key in ("rectangle", "polygon"):
        gate = row.get(key)
        if not isinstance(gate, Mapping):
            continue
        points = gate.get("points")
        if not isinstance(points, list):
            for channel, sides in gate.items():
                yield from _numbers(sides, (*place, key, channel), str(channel))
            continue
        for index, point in enumerate(points):
            for axis, value in zip(("x", "y"), point if isinstance(point, list) else (), strict=False):
                yield from _numbers(value, (*place, key, "points", index), str(gate.get(axis)))


def _numbers(value: Any, place: Place, channel: str) -> Iterator[Stated]:
    for one in value if isinstance(value, list) else [value]:
        if is_number(one):
            yield Stated(place, channel, float(one))
