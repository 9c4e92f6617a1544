"""The threshold rules of a strategy file, checked against the cards of the methods."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from immunolab.config import Place
from immunolab.gating.method_registry import AUTO, DENSITY, Parameter
from immunolab.gating.placement.method_lookup import method, parameter_names, parameters_named, rule_methods
from immunolab.gating.placement.rules import BORDERS, RULE_KEYS, SCOPES
from immunolab.gating.strategy_faults import StrategyFault, is_number, is_range, one_of, unknown_keys


def parse_thresholds(data: Any, place: Place) -> tuple[dict[str, Any], list[StrategyFault]]:
    """Return marker -> rule, and what is wrong.

    Parameters
    ----------
    data
        The block as YAML gives it.
    place
        Keys that lead to the block.
    """
    if not isinstance(data, dict):
        hint = "write thresholds: {CD25: {by: valley}}"
        return {}, [StrategyFault(place, "a mapping from marker to rule is needed", hint)]
    rules = {marker: {"by": "fixed", "at": rule} if is_number(rule) else rule for marker, rule in data.items()}
    faults: list[StrategyFault] = []
    for marker, rule in rules.items():
        if not isinstance(rule, dict):
            faults.append(StrategyFault((*place, marker), "a mapping is needed", "write {by: valley} or a number"))
            continue
        for border in BORDERS:
            if isinstance(rule.get(border), dict):
                faults += rule_faults(rule[border], (*place, marker, border))
        faults += rule_faults({k: v for k, v in rule.items() if k not in BORDERS}, (*place, marker), more=BORDERS)
    return {marker: rule for marker, rule in rules.items() if isinstance(rule, dict)}, faults


def rule_faults(rule: Mapping[str, Any], place: Place, *, more: Iterable[str] = ()) -> Iterator[StrategyFault]:
    """Yield the faults of one rule; ``more`` are further keys it may have.

    Parameters
    ----------
    rule
        One rule as YAML gives it.
    place
        Keys that lead to the rule.
    more
        Further keys that it may have.
    """
    yield from unknown_keys(rule, place, (*RULE_KEYS, *parameter_names(), *more))
    if rule.get("by") is not None:
        yield from _method_faults(str(rule["by"]), rule, place)
    yield from scope_faults(rule, place)
    for key, value in rule.items():
        yield from parameter_faults(parameters_named(key), value, (*place, key))


def scope_faults(rule: Mapping[str, Any], place: Place) -> Iterator[StrategyFault]:
    """Yield a fault for a scope that is none.

    Parameters
    ----------
    rule
        May have the key ``scope``.
    place
        Keys that lead to the rule.
    """
    scope = rule.get("scope", "patient")
    if scope not in SCOPES:
        yield StrategyFault((*place, "scope"), f"unknown scope '{scope}'", one_of("scopes", SCOPES, str(scope)))


def parameter_faults(parameters: Iterable[Parameter], value: Any, place: Place) -> Iterator[StrategyFault]:
    """Yield a fault for a value that no parameter of this name takes; none for an empty value or no parameter.

    Parameters
    ----------
    parameters
        All parameters of this name, of one method or of several.
    value
        As YAML gives it.
    place
        Keys that lead to the value.
    """
    found = [] if value is None else [_fault(parameter, value) for parameter in parameters]
    first = found[0] if found and all(found) else None
    if first is not None:
        yield StrategyFault(place, *first)


def _method_faults(by: str, rule: Mapping[str, Any], place: Place) -> Iterator[StrategyFault]:
    names = (*rule_methods(), AUTO, DENSITY)
    if by not in names:
        yield StrategyFault((*place, "by"), f"unknown method '{by}'", one_of("methods", sorted(names), by))
    elif by not in (AUTO, DENSITY):
        chosen = method(by)
        for parameter in chosen.required:
            if rule.get(parameter.name) is None:
                hint = f"{parameter.name} is {parameter.meaning}, {parameter.unit}"
                yield StrategyFault((*place, parameter.name), f"a {by} border needs a {parameter.kind}", hint)
        if chosen.card.of_pair and not rule.get("partner"):
            yield StrategyFault((*place, "partner"), "the key is missing", "name the second channel, partner: CD127")


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
