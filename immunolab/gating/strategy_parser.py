"""The words of a gate in a strategy file, checked, as gates of the strategy model."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import MISSING, fields
from typing import Any

from immunolab.config import Document, Place
from immunolab.errors import InputError, Problem, nearest
from immunolab.events.transforms import Asinh, Hyperlog, Identity, Linear, Log, Logicle, ScaledAsinh, Transform
from immunolab.events.tube import Channel
from immunolab.gating.method_registry import method, method_names
from immunolab.gating.placement.rules import (
    AUTO,
    BORDERS,
    DENSITY,
    RULE_KEYS,
    SCOPES,
    display_scale,
    rule_parameters,
    same_name,
    takes_defaults,
)
from immunolab.gating.strategy import Boolean, Declared, Dimension, Ellipsoid, Gate, Polygon, Rectangle
from immunolab.vocabulary.phenotypes import parse_phenotype

GATE_KEYS = (
    "where", "above", "below", "between", "rectangle", "polygon", "ellipse",
    "singlets", "lymphocytes", "diagonal", "quadrants", "all_of", "any_of", "not",
)  # fmt: skip
_BOOLEAN = ("all_of", "any_of", "not")
_PAIRS = {"singlets": ("FSC-A", "FSC-H"), "lymphocytes": ("FSC-A", "SSC-A"), "diagonal": ("CD25", "CD127")}
_SCALES: dict[str, type] = {
    "linear": Identity, "logicle": Logicle, "asinh": Asinh, "log": Log, "hyperlog": Hyperlog,
    "linear_range": Linear, "scaled_asinh": ScaledAsinh,
}  # fmt: skip
# two markers that only together set their subset apart
CLOUDS = ((("CD25", "hi"), ("CD127", "lo")), (("PD-1", "hi"), ("CCR7", "lo")))


def cloud_of(conditions: Iterable[tuple[str, str]]) -> tuple[str, str] | None:
    """Return the two markers of a phenotype that one sloping border sets apart; None for any other."""
    wanted = set(conditions)
    return next(((x, y) for (x, high), (y, low) in CLOUDS if wanted == {(x, high), (y, low)}), None)


class Reader:
    """Turns parts of a document into gates and collects every fault on the way."""

    def __init__(self, document: Document) -> None:
        self.document = document
        self.problems: list[Problem] = []
        self.settings: dict[str, Any] = {"transform": {}, "thresholds": {}}

    def fault(self, place: Place, message: str, hint: str = "") -> None:
        """Note a fault at a place of the document."""
        self.problems.append(self.document.problem(place, message, hint))

    def known_keys(self, data: Mapping[str, Any], place: Place, known: Iterable[str]) -> None:
        """Note every key that is not known."""
        known = tuple(known)
        for key in data:
            if key not in known:
                hint = f"{nearest(str(key), known)} known keys: {', '.join(known)}".strip()
                self.fault((*place, key), f"unknown key '{key}'", hint)

    def population(self, name: str, names: tuple[str, ...]) -> str | None:
        """Return the population meant by a name, which may differ in case, blanks and dashes."""
        return next((n for n in names if n == name), None) or next((n for n in names if same_name(n, name)), None)

    # --- blocks beside the populations

    def transform(self, data: Any, place: Place) -> dict[str, Any]:
        """Return ``{default, scatter, markers}`` with transforms as records."""
        if not isinstance(data, dict):
            self.fault(place, "a mapping is needed", "write transform: {default: {logicle: {}}, scatter: linear}")
            return {}
        markers = {k: v for k, v in data.items() if k not in ("default", "scatter", "markers")}
        markers |= data.get("markers") or {}
        block: dict[str, Any] = {
            key: self._scale(data[key], (*place, key)) for key in ("default", "scatter") if key in data
        }
        block["markers"] = {name: self._scale(value, (*place, name)) for name, value in markers.items()}
        return block

    def _scale(self, data: Any, place: Place) -> Transform | None:
        name, parameters = (
            (data, {})
            if isinstance(data, str)
            else next(iter(data.items()), ("", {}))
            if isinstance(data, dict)
            else ("", {})
        )
        if name not in _SCALES or (isinstance(data, dict) and len(data) != 1):
            hint = f"{nearest(str(name), _SCALES)} scales: {', '.join(_SCALES)}".strip()
            self.fault(place, f"unknown scale '{name}'", hint)
            return None
        record = _SCALES[name]
        parameters = parameters or {}
        known = {f.name: f for f in fields(record)}
        self.known_keys(parameters, (*place, name), known)
        for key, value in parameters.items():
            if not _is_number(value):
                self.fault((*place, name, key), f"a number is needed, not '{value}'")
        absent = [n for n, f in known.items() if f.default is MISSING and n not in parameters]
        for key in absent:
            self.fault((*place, name, key), "the key is missing")
        sound = {k: float(v) for k, v in parameters.items() if k in known and _is_number(v)}
        return None if absent else record(**sound)

    def thresholds(self, data: Any, place: Place) -> dict[str, Any]:
        """Return marker -> rule, checked."""
        if not isinstance(data, dict):
            self.fault(place, "a mapping from marker to rule is needed", "write thresholds: {CD25: {by: valley}}")
            return {}
        rules = {}
        for marker, rule in data.items():
            if _is_number(rule):
                rule = {"by": "fixed", "at": rule}
            if not isinstance(rule, dict):
                self.fault((*place, marker), "a mapping is needed", "write {by: valley} or a number")
                continue
            for border in BORDERS:
                if isinstance(rule.get(border), dict):
                    self.rule(rule[border], (*place, marker, border))
            self.rule({k: v for k, v in rule.items() if k not in BORDERS}, (*place, marker), BORDERS)
            rules[marker] = rule
        return rules

    def rule(self, rule: Mapping[str, Any], place: Place, more: tuple[str, ...] = ()) -> None:
        """Check the keys of one threshold rule."""
        parameters = rule_parameters()
        self.known_keys(rule, place, (*RULE_KEYS, *parameters, *more))
        names = (*method_names(), AUTO, DENSITY, "diagonal")
        by = rule.get("by")
        if by is not None and by not in names:
            hint = f"{nearest(str(by), names)} methods: {', '.join(sorted(names))}".strip()
            self.fault((*place, "by"), f"unknown method '{by}'", hint)
        elif by == "fixed" and not _is_number(rule.get("at")):
            self.fault((*place, "at"), "a fixed border needs a number on the display scale", "write at: 0.4")
        elif by == "diagonal" and not rule.get("partner"):
            self.fault((*place, "partner"), "the key is missing", "name the second channel, partner: CD127")
        if rule.get("scope", "patient") not in SCOPES:
            hint = f"{nearest(str(rule['scope']), SCOPES)} scopes: {', '.join(SCOPES)}".strip()
            self.fault((*place, "scope"), f"unknown scope '{rule['scope']}'", hint)
        self._parameter_kinds(rule, place)

    def _parameter_kinds(self, rule: Mapping[str, Any], place: Place) -> None:
        within = rule.get("within")
        if within is not None and not _is_range(within):
            self.fault((*place, "within"), "two numbers in rising order are needed", "write within: [0.2, 0.7]")
        for key in ("k", "q", "quantile", "at", "bandwidth", "depth", "cap", "slope", "width", "components"):
            value = rule.get(key)
            if value is not None and not _is_number(value):
                self.fault((*place, key), f"a number is needed, not '{value}'")
            elif key in ("q", "quantile") and value is not None and not 0 < value < 1:
                self.fault((*place, key), f"{value} is not a share between 0 and 1", "write 0.99 for 99 %")
        if rule.get("side", "above") not in ("above", "below"):
            self.fault((*place, "side"), f"unknown value '{rule['side']}'", "allowed: above, below")

    # --- gates

    def gate(self, row: Mapping[str, Any], place: Place, names: tuple[str, ...]) -> Gate | None:
        """Return the gate of a population's entry; None (and a fault, unless it equals its parent) without."""
        keys = [key for key in GATE_KEYS if key in row]
        if set(keys) & set(_BOOLEAN):
            extra = [key for key in keys if key not in _BOOLEAN]
            if extra:
                self.fault((*place, extra[0]), f"cannot stand beside {keys[-1]}", "make it a population of its own")
            return self._boolean(row, place, names)
        if len(keys) != 1:
            message = "a gate is missing" if not keys else f"one gate is needed, not {len(keys)}: {', '.join(keys)}"
            self.fault(place, message, f"gates: {', '.join(GATE_KEYS)}")
            return None
        key = keys[0]
        build = {"where": self._where, "rectangle": self._rectangle, "polygon": self._polygon, "ellipse": self._ellipse}
        if key in build:
            return build[key](row[key], (*place, key))
        if key in ("above", "below", "between"):
            return self._threshold(key, row[key], (*place, key), names)
        return self._pair(key, row[key], (*place, key), names)

    def _boolean(self, row: Mapping[str, Any], place: Place, names: tuple[str, ...]) -> Boolean | None:
        operands: list[str] = []
        complement: list[bool] = []
        for key in (k for k in _BOOLEAN if k in row):
            listed = row[key] if isinstance(row[key], list) else [row[key]]
            for index, name in enumerate(listed):
                found = self.population(str(name), names)
                if found is None:
                    hint = f"{nearest(str(name), names)} populations: {', '.join(names)}".strip()
                    spot = (*place, key, index) if isinstance(row[key], list) else (*place, key)
                    self.fault(spot, f"unknown population '{name}'", hint)
                else:
                    operands.append(found)
                    complement.append(key == "not")
        if "any_of" in row and ("all_of" in row or "not" in row):
            self.fault((*place, "any_of"), "cannot stand beside all_of or not", "make it a population of its own")
        if not operands:
            return None
        return Boolean("or" if "any_of" in row else "and", tuple(operands), tuple(complement))

    def _where(self, data: Any, place: Place) -> Declared | None:
        try:
            conditions = tuple((c.marker, str(c.level)) for c in parse_phenotype(str(data)))
        except InputError as error:
            self.problems += [self.document.problem(place, p.message, p.hint) for p in error.problems]
            return None
        cloud = cloud_of(conditions)
        if cloud and takes_defaults(self.settings["thresholds"], *cloud):
            return Declared("diagonal", {"x": cloud[0], "y": cloud[1]})
        return Declared("where", {"phenotype": conditions})

    def _threshold(self, side: str, data: Any, place: Place, names: tuple[str, ...]) -> Declared | None:
        if isinstance(data, str):
            data = {"marker": data}
        if not isinstance(data, dict) or not isinstance(data.get("marker"), str):
            self.fault((*place, "marker"), "the key is missing", f"write {side}: {{marker: CD25, by: valley}}")
            return None
        rule = {key: value for key, value in data.items() if key not in ("marker", "low", "high")}
        if "at" in rule and "by" not in rule:
            rule["by"] = "fixed"
        if side == "between" and _is_range([data.get("low"), data.get("high")]):
            rule = {"low": float(data["low"]), "high": float(data["high"])}
        else:
            self.rule(rule, place, ("low", "high") if side == "between" else ())
        for key in ("of", "on"):
            if (
                rule.get(key)
                and self.population(str(rule[key]), names) is None
                and not same_name(str(rule[key]), "CD4_naive")
            ):
                hint = f"{nearest(str(rule[key]), names)} populations: {', '.join(names)}".strip()
                self.fault((*place, key), f"unknown population '{rule[key]}'", hint)
        return Declared("threshold", {"marker": data["marker"], "side": side, **rule})

    def _pair(self, kind: str, data: Any, place: Place, names: tuple[str, ...]) -> Declared | None:
        data = {} if data is None or data is True else data
        if not isinstance(data, dict):
            self.fault(place, "a mapping is needed", f"write {kind}: {{x: FSC-A, y: FSC-H}}")
            return None
        parameters = method(kind).defaults
        more = ("quadrant",) if kind == "quadrants" else ()
        self.known_keys(data, place, ("x", "y", "of", "on", "scope", *more, *parameters))
        x, y = _PAIRS.get(kind, ("", ""))
        settings = {"x": data.get("x", x), "y": data.get("y", y), **{k: v for k, v in data.items() if k not in "xy"}}
        for axis in ("x", "y"):
            if not settings[axis]:
                self.fault((*place, axis), "the key is missing", "name a marker or channel")
        if more and settings.get("quadrant") not in ("++", "+-", "-+", "--"):
            self.fault((*place, "quadrant"), f"unknown value '{settings.get('quadrant')}'", "allowed: ++, +-, -+, --")
        if settings.get("y_side", "lo") not in ("lo", "hi"):
            self.fault((*place, "y_side"), f"unknown value '{settings['y_side']}'", "allowed: lo, hi")
        if settings.get("of") and self.population(str(settings["of"]), names) is None:
            hint = f"{nearest(str(settings['of']), names)} populations: {', '.join(names)}".strip()
            self.fault((*place, "of"), f"unknown population '{settings['of']}'", hint)
        return Declared(kind, settings)

    def _dimension(self, name: str) -> Dimension:
        return Dimension(name, display_scale(self.settings["transform"], Channel(name)))

    def _rectangle(self, data: Any, place: Place) -> Rectangle | None:
        if isinstance(data, dict) and {"x", "y", "points"} <= data.keys():
            (x0, y0), (x1, y1) = self._points(data, place, 2) or ((0, 0), (0, 0))
            data = {data["x"]: [min(x0, x1), max(x0, x1)], data["y"]: [min(y0, y1), max(y0, y1)]}
        if not isinstance(data, dict) or not data:
            self.fault(place, "a mapping from channel to [low, high] is needed", "write {FSC-A: [4e4, null]}")
            return None
        for name, side in data.items():
            if not (isinstance(side, list) and len(side) == 2 and all(v is None or _is_number(v) for v in side)):
                self.fault((*place, name), "two numbers are needed, null for an open side", "write [4e4, null]")
                return None
        lower, upper = zip(*data.values(), strict=True)
        return Rectangle(tuple(self._dimension(n) for n in data), tuple(map(_side, lower)), tuple(map(_side, upper)))

    def _polygon(self, data: Any, place: Place) -> Polygon | None:
        points = self._points(data, place, 3) if self._has_axes(data, place) else None
        return Polygon((self._dimension(data["x"]), self._dimension(data["y"])), points) if points else None

    def _ellipse(self, data: Any, place: Place) -> Ellipsoid | None:
        if not self._has_axes(data, place):
            return None
        self.known_keys(data, place, ("x", "y", "mean", "covariance", "distance_square"))
        mean, covariance, reach = data.get("mean"), data.get("covariance"), data.get("distance_square", 1.0)
        rows = [mean, *covariance] if isinstance(covariance, list) and len(covariance) == 2 else []
        if not (rows and all(_is_pair(row) for row in rows) and _is_number(reach)):
            self.fault(place, "mean [x, y] and covariance [[a, b], [b, c]] are needed", "all on the display scale")
            return None
        centre, *matrix = (tuple(float(v) for v in row) for row in rows)
        return Ellipsoid((self._dimension(data["x"]), self._dimension(data["y"])), centre, tuple(matrix), float(reach))

    def _has_axes(self, data: Any, place: Place) -> bool:
        if not isinstance(data, dict):
            self.fault(place, "a mapping is needed", "write {x: FSC-A, y: SSC-A, ...}")
            return False
        for axis in ("x", "y"):
            if not isinstance(data.get(axis), str):
                self.fault((*place, axis), "the key is missing", "name a marker or channel")
        return isinstance(data.get("x"), str) and isinstance(data.get("y"), str)

    def _points(self, data: Mapping[str, Any], place: Place, fewest: int) -> tuple[tuple[float, float], ...] | None:
        self.known_keys(data, place, ("x", "y", "points"))
        points = data.get("points")
        if not isinstance(points, list) or len(points) < fewest or not all(_is_pair(p) for p in points):
            self.fault(
                (*place, "points"), f"at least {fewest} points [x, y] are needed", "numbers on the display scale"
            )
            return None
        return tuple((float(x), float(y)) for x, y in points)


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _is_pair(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 2 and all(_is_number(v) for v in value)


def _is_range(value: Any) -> bool:
    return _is_pair(value) and value[0] < value[1]


def _side(value: float | None) -> float | None:
    return None if value is None else float(value)
