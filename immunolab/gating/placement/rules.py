"""Threshold rules: what a strategy says of a marker's border, completed by the shipped defaults."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Literal

from immunolab.config import read_package_yaml
from immunolab.events.transforms import Asinh, Identity, Logicle, Transform
from immunolab.events.tube import Channel
from immunolab.gating.method_registry import Parameter, method, method_names

Border = Literal["pos", "hi", "lo"]
BORDERS: tuple[Border, ...] = ("pos", "hi", "lo")
SCOPES = ("sample", "patient", "batch", "study")
AUTO, DENSITY = "auto", "density"
CONTROL_ORDER = ("fmo", "unstained", "internal_reference", DENSITY, "fixed")
RULE_KEYS = ("by", "of", "on", "scope", "partner")
_SCATTER = re.compile(r"^(FSC|SSC|FS|SS)\b|^(FSC|SSC)|^Time$|^Event", re.IGNORECASE)
_HI_K, _LO_K = 4.0, 2.0


@dataclass(frozen=True)
class Rule:
    """How one border is placed.

    Attributes
    ----------
    by : a threshold method, ``auto`` (the best control there is) or ``density``.
    of : internal reference population; "" for none.
    on : population whose events place the border; "" for the gate's parent.
    scope : which tubes are pooled: sample, patient (within a batch), batch, study.
    partner : the second channel when ``by`` is ``diagonal``.
    parameters : settings of the method.
    """

    by: str = AUTO
    of: str = ""
    on: str = ""
    scope: str = "patient"
    partner: str = ""
    parameters: Mapping[str, Any] = field(default_factory=dict)

    def settings(self, name: str) -> dict[str, Any]:
        """Return the parameters that a method knows."""
        return {key: value for key, value in self.parameters.items() if key in method(name).defaults}


def rule_for(thresholds: Mapping[str, Any], marker: str, border: Border, own: Mapping[str, Any] | None = None) -> Rule:
    """Return the rule of a marker's border: the gate's own keys, else the strategy's, else the shipped ones."""
    merged = _merge(_default(marker), thresholds.get(marker, {}), border)
    merged = _merge(merged, own or {}, border)
    parameters = {key: value for key, value in merged.items() if key not in RULE_KEYS and value is not None}
    if not {"k", "quantile", "side"} & parameters.keys() and border != "pos":
        shipped = (_default(marker).get(border) or {}).get("k")
        parameters |= {"k": shipped or _HI_K} if border == "hi" else {"k": shipped or _LO_K, "side": "below"}
    return Rule(**{key: merged[key] for key in RULE_KEYS if merged.get(key)}, parameters=parameters)


def takes_defaults(thresholds: Mapping[str, Any], *markers: str) -> bool:
    """Whether the strategy leaves the rules of all these markers to the defaults."""
    return not set(markers) & set(thresholds)


def rule_parameters() -> dict[str, Parameter]:
    """Return every parameter of every method by name."""
    names = (*method_names(), *method_names(pair=True))
    return {p.name: p for name in names for p in method(name).card.parameters}


def display_scale(transform: Mapping[str, Any], channel: Channel) -> Transform:
    """Return the display scale of a channel under a strategy's transform block.

    Without a default, fluorescence is on logicle and mass on asinh with cofactor 5; scatter and
    time are linear unless the block says otherwise.
    """
    by_marker: Mapping[str, Transform] = transform.get("markers", {})
    for name in (channel.marker, channel.name):
        if name and name in by_marker:
            return by_marker[name]
    if channel.kind in ("scatter", "time") or _SCATTER.match(channel.name):
        return transform.get("scatter") or Identity()
    if transform.get("default") is not None:
        scale: Transform = transform["default"]
        return scale
    return Asinh(5.0) if channel.kind == "mass" else Logicle()


def same_name(a: str, b: str) -> bool:
    """Whether two population names differ only in case, blanks, dashes or underscores."""
    return _bare(a) == _bare(b)


def _bare(name: str) -> str:
    return re.sub(r"[\s_-]", "", name).casefold()


def _merge(base: Mapping[str, Any], over: Mapping[str, Any], border: Border) -> dict[str, Any]:
    flat_base, flat_over = _flat(base, border), _flat(over, border)
    if "by" in flat_over:
        # another method: the base keeps only where to look, not how
        flat_base = {key: value for key, value in flat_base.items() if key in ("of", "on", "scope")}
    return {**flat_base, **flat_over}


def _flat(rule: Mapping[str, Any], border: Border) -> dict[str, Any]:
    top = {key: value for key, value in rule.items() if key not in BORDERS}
    own = rule.get(border) or {}
    if "by" in own:
        top = {key: value for key, value in top.items() if key in ("of", "on", "scope")}
    return {**top, **own}


@cache
def _defaults() -> Mapping[str, Any]:
    data: Mapping[str, Any] = read_package_yaml("immunolab.gating", "default_rules.yaml").data
    return data


def _default(marker: str) -> Mapping[str, Any]:
    rules = _defaults()["rules"]
    if marker in rules:
        found: Mapping[str, Any] = rules[marker]
        return found
    return {"by": "valley"} if marker in _defaults()["lineage"] else {"by": AUTO}
