"""The threshold rules of a strategy file, checked against the cards of the methods."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from immunolab.config import Place
from immunolab.gating.method_registry import AUTO, DENSITY, Parameter
from immunolab.gating.placement.method_lookup import method, parameter_names, parameters_named, rule_methods
from immunolab.gating.placement.rules import BORDERS, RULE_KEYS, SCOPES
from immunolab.gating.strategy_faults import Faults, is_number, is_range, one_of


def parse_thresholds(data: Any, place: Place, faults: Faults) -> dict[str, Any]:
    """Return marker -> rule; faults are noted."""
    if not isinstance(data, dict):
        faults.add(place, "a mapping from marker to rule is needed", "write thresholds: {CD25: {by: valley}}")
        return {}
    rules = {}
    for marker, rule in data.items():
        if is_number(rule):
            rule = {"by": "fixed", "at": rule}
        if not isinstance(rule, dict):
            faults.add((*place, marker), "a mapping is needed", "write {by: valley} or a number")
            continue
        for border in BORDERS:
            if isinstance(rule.get(border), dict):
                check_rule(rule[border], (*place, marker, border), faults)
        check_rule({k: v for k, v in rule.items() if k not in BORDERS}, (*place, marker), faults, more=BORDERS)
        rules[marker] = rule
    return rules


def check_rule(rule: Mapping[str, Any], place: Place, faults: Faults, *, more: Iterable[str] = ()) -> None:
    """Note the faults of one rule; ``more`` are further keys it may have."""
    faults.unknown_keys(rule, place, (*RULE_KEYS, *parameter_names(), *more))
    by = rule.get("by")
    if by is not None:
        _check_method(str(by), rule, place, faults)
    check_scope(rule, place, faults)
    for key, value in rule.items():
        check_parameter(parameters_named(key), value, (*place, key), faults)


def check_scope(rule: Mapping[str, Any], place: Place, faults: Faults) -> None:
    """Note a scope that is none."""
    scope = rule.get("scope", "patient")
    if scope not in SCOPES:
        faults.add((*place, "scope"), f"unknown scope '{scope}'", one_of("scopes", SCOPES, str(scope)))


def check_parameter(parameters: Iterable[Parameter], value: Any, place: Place, faults: Faults) -> None:
    """Note a value that no parameter of this name takes; nothing for an empty value or no parameter."""
    found = [] if value is None else [_fault(parameter, value) for parameter in parameters]
    first = found[0] if found and all(found) else None
    if first is not None:
        faults.add(place, *first)


def _check_method(by: str, rule: Mapping[str, Any], place: Place, faults: Faults) -> None:
    names = (*rule_methods(), AUTO, DENSITY)
    if by not in names:
        faults.add((*place, "by"), f"unknown method '{by}'", one_of("methods", sorted(names), by))
        return
    if by in (AUTO, DENSITY):
        return
    chosen = method(by)
    for parameter in chosen.required:
        if rule.get(parameter.name) is None:
            hint = (
                f"write {parameter.name}: ... ({parameter.unit})" if parameter.unit else f"write {parameter.name}: ..."
            )
            faults.add((*place, parameter.name), f"a {by} border needs a {parameter.kind}", hint)
    if chosen.card.of_pair and not rule.get("partner"):
        faults.add((*place, "partner"), "the key is missing", "name the second channel, partner: CD127")


def _fault(parameter: Parameter, value: Any) -> tuple[str, str] | None:
    """Return message and hint for a value that the parameter does not take."""
    if parameter.choices:
        fault = f"unknown value '{value}'", f"allowed: {', '.join(parameter.choices)}"
        return None if value in parameter.choices else fault
    if parameter.kind == "range":
        fault = "two numbers in rising order are needed", f"write {parameter.name}: [0.2, 0.7]"
        return None if is_range(value) else fault
    if parameter.kind == "yes_no":
        return None if isinstance(value, bool) else (f"true or false is needed, not '{value}'", "")
    if parameter.kind == "word":
        return None if isinstance(value, str) else (f"a word is needed, not '{value}'", "")
    if not is_number(value):
        return f"a number is needed, not '{value}'", ""
    if parameter.kind == "share" and not 0 < value < 1:
        return f"{value} is not a share between 0 and 1", "write 0.99 for 99 %"
    return None
