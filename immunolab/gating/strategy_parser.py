"""The words of a gate in a strategy file, checked, as gates of the strategy model."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from immunolab.config import Place
from immunolab.errors import InputError
from immunolab.events.tube import Channel
from immunolab.gating.borders import on_axis
from immunolab.gating.gates import Boolean, Declared, Dimension, Ellipsoid, Gate, Polygon, Rectangle, is_unscaled
from immunolab.gating.placement.method_lookup import method, method_names
from immunolab.gating.placement.rules import NAIVE, OWN_NAIVE, display_scale, same_name, takes_defaults
from immunolab.gating.rule_parser import parameter_faults, rule_faults, scope_faults
from immunolab.gating.strategy_faults import (
    StrategyFault,
    is_number,
    is_pair,
    is_range,
    unknown_keys,
    unknown_population,
)
from immunolab.gating.strategy_units import Numbers, with_unit
from immunolab.vocabulary.phenotypes import parse_phenotype

BOOLEAN = ("all_of", "any_of", "not")
_ONE_AXIS = ("above", "below", "between")
# two markers that only together set their subset apart
_CLOUDS = ((("CD25", "hi"), ("CD127", "lo")), (("PD-1", "hi"), ("CCR7", "lo")))


def gate_keys() -> tuple[str, ...]:
    """Return the words that begin a gate; methods of two channels are among them."""
    return ("where", *_ONE_AXIS, "rectangle", "polygon", "ellipse", *method_names(pair=True), *BOOLEAN)


def cloud_of(conditions: Iterable[tuple[str, str]]) -> tuple[str, str] | None:
    """Return the two markers of a phenotype that one sloping border sets apart; None for any other."""
    wanted = set(conditions)
    return next(((x, y) for (x, high), (y, low) in _CLOUDS if wanted == {(x, high), (y, low)}), None)


def population_meant(name: str, names: Iterable[str]) -> str | None:
    """Return the population meant by a name, which may differ in case, blanks and dashes.

    Parameters
    ----------
    name
        As it was written.
    names
        All populations of the strategy.
    """
    names = tuple(names)
    return name if name in names else next((n for n in names if same_name(n, name)), None)


class GateReader:
    """Turns the gate of a population's entry into a gate of the model, and keeps what is wrong in ``faults``.

    Parameters
    ----------
    transform, thresholds
        The blocks beside the populations, as read.
    names
        All populations of the strategy.
    numbers
        Unit of the file's numbers.
    """

    def __init__(
        self, transform: Mapping[str, Any], thresholds: Mapping[str, Any], names: Iterable[str], numbers: Numbers
    ) -> None:
        self.faults: list[StrategyFault] = []
        self._transform = transform
        self._thresholds = thresholds
        self._names = tuple(names)
        self._numbers = numbers

    def gate(self, row: Mapping[str, Any], place: Place) -> Gate | None:
        """Return the gate of an entry; None, and a fault, where it has none.

        Parameters
        ----------
        row
            The entry of a population as YAML gives it.
        place
            Keys that lead to the entry.
        """
        keys = [key for key in gate_keys() if key in row]
        if set(keys) & set(BOOLEAN):
            extra = [key for key in keys if key not in BOOLEAN]
            if extra:
                message = f"cannot be combined with {keys[-1]}"
                self._add((*place, extra[0]), message, "make it a separate population")
            return self._boolean(row, place)
        if len(keys) != 1:
            message = "a gate is missing" if not keys else f"one gate is needed, not {len(keys)}: {', '.join(keys)}"
            self._add(place, message, f"gates: {', '.join(gate_keys())}")
            return None
        key = keys[0]
        build = {"where": self._where, "rectangle": self._rectangle, "polygon": self._polygon, "ellipse": self._ellipse}
        if key in build:
            return build[key](row[key], (*place, key))
        return (self._threshold if key in _ONE_AXIS else self._pair)(key, row[key], (*place, key))

    def _add(self, place: Place, message: str, hint: str = "") -> None:
        self.faults.append(StrategyFault(place, message, hint))

    def _boolean(self, row: Mapping[str, Any], place: Place) -> Boolean | None:
        operands: list[str] = []
        complement: list[bool] = []
        for key in (k for k in BOOLEAN if k in row):
            listed = row[key] if isinstance(row[key], list) else [row[key]]
            for index, name in enumerate(listed):
                found = population_meant(str(name), self._names)
                if found is None:
                    spot = (*place, key, index) if isinstance(row[key], list) else (*place, key)
                    self.faults.append(unknown_population(spot, str(name), self._names))
                else:
                    operands.append(found)
                    complement.append(key == "not")
        if "any_of" in row and ("all_of" in row or "not" in row):
            hint = "make it a separate population"
            self._add((*place, "any_of"), "cannot be combined with all_of or not", hint)
        if not operands:
            return None
        return Boolean("or" if "any_of" in row else "and", tuple(operands), tuple(complement))

    def _where(self, data: Any, place: Place) -> Declared | None:
        try:
            conditions = tuple((c.marker, str(c.level)) for c in parse_phenotype(str(data)))
        except InputError as error:
            for problem in error.problems:
                self._add(place, problem.message, problem.hint)
            return None
        cloud = cloud_of(conditions)
        if cloud and takes_defaults(self._thresholds, *cloud):
            return Declared("diagonal", {"x": cloud[0], "y": cloud[1]})
        return Declared("where", {"phenotype": conditions})

    def _threshold(self, side: str, data: Any, place: Place) -> Declared | None:
        if isinstance(data, str):
            data = {"marker": data}
        if not isinstance(data, dict) or not isinstance(data.get("marker"), str):
            hint = f"write {side}: {{marker: CD25, by: valley}}"
            self._add((*place, "marker"), "the key is missing", hint)
            return None
        rule = {key: value for key, value in data.items() if key not in ("marker", "low", "high")}
        if "at" in rule and "by" not in rule:
            rule["by"] = "fixed"
        ends = [data.get("low"), data.get("high")]
        if side == "between" and ends != [None, None] and not is_range(ends):
            message = f"low and high are to be two rising numbers, not {ends[0]} and {ends[1]}"
            self._add(place, message, "write the smaller number as low")
            return None
        if side == "between" and is_range(ends):
            rule = {"low": float(data["low"]), "high": float(data["high"])}
        else:
            self.faults += rule_faults(rule, place, more=("low", "high") if side == "between" else ())
        for key in ("of", "on"):
            name = str(rule.get(key) or NAIVE)
            if population_meant(name, self._names) is None and not same_name(name, NAIVE) and name != OWN_NAIVE:
                self.faults.append(unknown_population((*place, key), name, self._names))
        return Declared("threshold", {"marker": data["marker"], "side": side, **with_unit(rule, self._numbers)})

    def _pair(self, kind: str, data: Any, place: Place) -> Declared | None:
        data = {} if data is None or data is True else data
        if not isinstance(data, dict):
            self._add(place, "a mapping is needed", f"write {kind}: {{x: FSC-A, y: FSC-H}}")
            return None
        chosen = method(kind)
        self.faults += unknown_keys(data, place, ("x", "y", "of", "on", "scope", *chosen.defaults))
        x, y = chosen.card.channels
        settings = {"x": data.get("x", x), "y": data.get("y", y), **{k: v for k, v in data.items() if k not in "xy"}}
        for axis in ("x", "y"):
            if not settings[axis]:
                self._add((*place, axis), "the key is missing", "name a marker or channel")
        self.faults += scope_faults(data, place)
        for parameter in chosen.card.parameters:
            value = settings.get(parameter.name)
            if value is None and parameter in chosen.required:
                hint = f"allowed: {', '.join(parameter.choices)}" if parameter.choices else parameter.meaning
                self._add((*place, parameter.name), "the key is missing", hint)
            self.faults += parameter_faults((parameter,), value, (*place, parameter.name))
        if settings.get("of") and population_meant(str(settings["of"]), self._names) is None:
            self.faults.append(unknown_population((*place, "of"), str(settings["of"]), self._names))
        return Declared(kind, settings)

    def _dimension(self, name: str) -> Dimension:
        return Dimension(name, display_scale(self._transform, Channel(name)))

    def _rectangle(self, data: Any, place: Place) -> Rectangle | None:
        if isinstance(data, dict) and {"x", "y", "points"} <= data.keys():
            (x0, y0), (x1, y1) = self._points(data, place, 2) or ((0, 0), (0, 0))
            data = {data["x"]: [min(x0, x1), max(x0, x1)], data["y"]: [min(y0, y1), max(y0, y1)]}
        if not isinstance(data, dict) or not data:
            self._add(place, "a mapping from channel to [low, high] is needed", "write {FSC-A: [4e4, null]}")
            return None
        for name, side in data.items():
            if not (isinstance(side, list) and len(side) == 2 and all(v is None or is_number(v) for v in side)):
                hint = "write [4e4, null]"
                self._add((*place, name), "two numbers are needed, null for an open side", hint)
                return None
            if None not in side and side[0] >= side[1]:
                message = f"the low end {side[0]:g} is not below the high end {side[1]:g}"
                self._add((*place, name), message, "write [low, high]")
                return None
        dimensions = tuple(self._dimension(name) for name in data)
        lower, upper = (
            tuple(self._shown(one, side) for one, side in zip(dimensions, sides, strict=True))
            for sides in zip(*data.values(), strict=True)
        )
        return Rectangle(dimensions, lower, upper)

    def _polygon(self, data: Any, place: Place) -> Polygon | None:
        points = self._points(data, place, 3) if self._has_axes(data, place) else None
        if not points:
            return None
        x, y = self._dimension(data["x"]), self._dimension(data["y"])
        across, up = (
            self._on_axis(axis, values) for axis, values in zip((x, y), zip(*points, strict=True), strict=True)
        )
        return Polygon((x, y), tuple(zip(across, up, strict=True)))

    def _ellipse(self, data: Any, place: Place) -> Ellipsoid | None:
        if not self._has_axes(data, place):
            return None
        self.faults += unknown_keys(data, place, ("x", "y", "mean", "covariance", "distance_square", "center", "ends"))
        if "center" in data or "ends" in data:
            return self._round(data, place)
        mean, covariance, reach = data.get("mean"), data.get("covariance"), data.get("distance_square", 1.0)
        rows = [mean, *covariance] if isinstance(covariance, list) and len(covariance) == 2 else []
        if not (rows and all(is_pair(row) for row in rows) and is_number(reach)):
            message = "mean [x, y] and covariance [[a, b], [b, c]] are needed"
            self._add(place, message, "all on the display scale")
            return None
        centre, *matrix = (tuple(float(v) for v in row) for row in rows)
        ellipse = Ellipsoid(
            (self._dimension(data["x"]), self._dimension(data["y"])), centre, tuple(matrix), float(reach)
        )
        return self._scaled(ellipse, place)

    def _round(self, data: Mapping[str, Any], place: Place) -> Ellipsoid | None:
        """Return the ellipse of a centre and the ends of two half axes: round on the scales of its channels."""
        center, ends = data.get("center"), data.get("ends")
        points = [center, *ends] if isinstance(ends, list) and len(ends) == 2 else []
        if not (points and all(is_pair(point) for point in points)):
            message = "center [x, y] and ends [[x, y], [x, y]] of two half axes are needed"
            self._add(place, message, "all in the unit of the file's numbers")
            return None
        axes = self._dimension(data["x"]), self._dimension(data["y"])
        shown = [[self._on_axis(d, [value])[0] for d, value in zip(axes, point, strict=True)] for point in points]
        (cx, cy), *halves = shown
        arms = [(x - cx, y - cy) for x, y in halves]
        spread = tuple(tuple(sum(arm[i] * arm[j] for arm in arms) for j in (0, 1)) for i in (0, 1))
        if spread[0][0] * spread[1][1] <= spread[0][1] ** 2:
            self._add((*place, "ends"), "the two half axes have one direction", "give ends in two directions")
            return None
        return self._scaled(Ellipsoid(axes, (cx, cy), spread, 1.0), place)

    def _scaled(self, ellipse: Ellipsoid, place: Place) -> Ellipsoid | None:
        if is_unscaled(ellipse):
            hint = "name the scales of both channels under 'transform': an ellipse is round on them"
            self._add(place, "an ellipse on a scale that data choose has no unit", hint)
            return None
        return ellipse

    def _on_axis(self, dimension: Dimension, values: Sequence[float]) -> tuple[float, ...]:
        """Return numbers of the file on the scale of an axis."""
        if self._numbers == "display":
            return tuple(float(value) for value in values)
        return tuple(on_axis(dimension, value) for value in values)

    def _shown(self, dimension: Dimension, side: float | None) -> float | None:
        return None if side is None else self._on_axis(dimension, [side])[0]

    def _has_axes(self, data: Any, place: Place) -> bool:
        if not isinstance(data, dict):
            self._add(place, "a mapping is needed", "write {x: FSC-A, y: SSC-A, ...}")
            return False
        missing = [axis for axis in ("x", "y") if not isinstance(data.get(axis), str)]
        for axis in missing:
            self._add((*place, axis), "the key is missing", "name a marker or channel")
        return not missing

    def _points(self, data: Mapping[str, Any], place: Place, fewest: int) -> tuple[tuple[float, float], ...] | None:
        self.faults += unknown_keys(data, place, ("x", "y", "points"))
        points = data.get("points")
        if not isinstance(points, list) or len(points) < fewest or not all(is_pair(p) for p in points):
            message = f"at least {fewest} points [x, y] are needed"
            self._add((*place, "points"), message, "write points: [[x, y], ...] with numbers")
            return None
        return tuple((float(x), float(y)) for x, y in points)
