"""Threshold rules: what a strategy says of a marker's border, completed by the shipped defaults."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Literal, get_args

from immunolab.config import read_package_yaml
from immunolab.events.transforms import Asinh, Auto, Identity, Logicle, Transform
from immunolab.events.tube import MASS_COFACTOR, Channel
from immunolab.gating.method_registry import AUTO, DENSITY, DISPLAY_SCALE, Parameter
from immunolab.gating.placement.method_lookup import method

Border = Literal["pos", "hi", "lo"]
Scope = Literal["sample", "patient", "batch", "study"]
BORDERS: tuple[Border, ...] = get_args(Border)
SCOPES: tuple[Scope, ...] = get_args(Scope)  # from the narrowest pool to the widest
# best evidence first (Maecker and Trotter 2006, Cytometry A 69A:1037, for the FMO tube before shape); an unstained tube
# lacks the spread of other dyes, so that its border is only the least that another may be
_CONTROL_ORDER = ("fmo", "unstained", "internal_reference", DENSITY, "fixed")
NAIVE = "CD4_naive"  # the reference population that is found even where a strategy does not name it
OWN_NAIVE = "naive"  # as `of`: naive cells of the parent's own lineage, CD4_naive where these are not gated
RULE_KEYS = ("by", "of", "on", "scope", "partner")
_SCATTER = re.compile(r"^(FSC|SSC|FS|SS)\b|^(FSC|SSC)|^Time$|^Event", re.IGNORECASE)
# rSD from the reference's median to the border under `hi` and to the one over `lo`, where no rule gives a distance
# (judgement: clearly bright is beyond nearly all negative cells; clearly dim is below most positive ones)
_HI_K, _LO_K = 4.0, 2.0


@dataclass(frozen=True)
class Rule:
    """How one border is placed.

    Attributes
    ----------
    by
        A threshold method, ``auto`` (the best evidence there is) or ``density``.
    of
        Internal reference population; "" for none.
    on
        Population whose events place the border; "" for the gate's parent.
    scope
        Which tubes are pooled; patient means a patient's tubes within a batch.
    partner
        The second channel, when ``by`` is a method of two.
    parameters
        Settings of the methods.
    numbers
        Unit of those that are positions on the channel's axis: ``instrument`` or ``display``.
    """

    by: str = AUTO
    of: str = ""
    on: str = ""
    scope: Scope = "patient"
    partner: str = ""
    parameters: Mapping[str, Any] = field(default_factory=dict)
    numbers: str = "display"

    def order(self) -> tuple[str, ...]:
        """Return the methods to try, one after the other, until one gives a border."""
        if self.by == AUTO:
            return tuple(name for name in _CONTROL_ORDER if name != "fixed" or "at" in self.parameters)
        if self.by == DENSITY:
            return (DENSITY, "internal_reference")
        return (self.by, *method(self.by).card.instead)

    def settings(self, name: str, scale: Transform) -> dict[str, Any]:
        """Return a method's settings: those of the rule that it has, and what follows from the display scale.

        Parameters
        ----------
        name
            Of a registered method.
        scale
            Display scale of the channel.
        """
        parameters = method(name).card.parameters
        given = {p.name: self._shown(p, scale) for p in parameters if p.name in self.parameters}
        return {p.name: p.automatic(scale) for p in parameters if p.automatic is not None} | given

    def _shown(self, parameter: Parameter, scale: Transform) -> Any:
        """Return a parameter's value as its method takes it: positions on the display scale."""
        value = self.parameters[parameter.name]
        if self.numbers == "display" or parameter.unit != DISPLAY_SCALE:
            return value
        if isinstance(value, list | tuple):
            return [float(one) for one in scale.apply(value)]
        return float(scale.apply([value])[0])


def rule_for(thresholds: Mapping[str, Any], marker: str, border: Border, own: Mapping[str, Any] | None = None) -> Rule:
    """Return the rule of a marker's border: the gate's own keys, else the strategy's, else the shipped ones.

    Parameters
    ----------
    thresholds
        The strategy's block ``thresholds``, marker to rule.
    marker
        Marker name.
    border
        ``pos``, ``hi`` or ``lo``.
    own
        Keys of the gate itself, which go before all others.
    """
    merged = _merge(_default(marker), thresholds.get(marker, {}), border)
    merged = _merge(merged, own or {}, border)
    of_rule = (*RULE_KEYS, "numbers")
    parameters = {key: value for key, value in merged.items() if key not in of_rule and value is not None}
    if not {"k", "quantile", "side"} & parameters.keys() and border != "pos":
        shipped = (_default(marker).get(border) or {}).get("k")
        parameters |= {"k": shipped or _HI_K} if border == "hi" else {"k": shipped or _LO_K, "side": "below"}
    return Rule(**{key: merged[key] for key in of_rule if merged.get(key)}, parameters=parameters)


def takes_defaults(thresholds: Mapping[str, Any], *markers: str) -> bool:
    """Whether the strategy leaves the rules of all these markers to the defaults.

    Parameters
    ----------
    thresholds
        The strategy's block ``thresholds``, marker to rule.
    markers
        Marker names.
    """
    return not set(markers) & set(thresholds)


def display_scale(transform: Mapping[str, Any], channel: Channel) -> Transform:
    """Return the display scale of a channel under a strategy's transform block.

    Without a default, fluorescence is on logicle and mass on asinh with cofactor 5; scatter and
    time are linear unless the block says otherwise.

    Parameters
    ----------
    transform
        Keys ``default``, ``scatter`` and ``markers`` with transforms, and ``measured`` with what data chose for each
        channel (`immunolab.gating.placement.scales`); each may be missing.
    channel
        Its kind decides where the block says nothing.
    """
    scale = _named_scale(transform, channel)
    if not isinstance(scale, Auto):
        return scale
    measured = transform.get("measured")
    found = (measured or {}).get(channel.marker) or (measured or {}).get(channel.name)
    if channel.kind == "mass":
        return found.transform if found else Asinh(MASS_COFACTOR)
    if measured is None:
        return scale
    # a channel that no tube of the study has in this form stays as it is
    return found.transform if found else Identity()


def _named_scale(transform: Mapping[str, Any], channel: Channel) -> Transform:
    """Return the scale that the block names for a channel, or that of its kind."""
    by_marker: Mapping[str, Transform] = transform.get("markers", {})
    for name in (channel.marker, channel.name):
        if name and name in by_marker:
            return by_marker[name]
    if channel.kind in ("scatter", "time") or is_scatter(channel.name):
        return transform.get("scatter") or Identity()
    if transform.get("default") is not None:
        scale: Transform = transform["default"]
        return scale
    return Asinh(MASS_COFACTOR) if channel.kind == "mass" else Logicle()


def is_scatter(name: str) -> bool:
    """Whether a channel's name is that of scatter or time, which no dye spills into."""
    return bool(_SCATTER.match(name))


def same_name(a: str, b: str) -> bool:
    """Whether two population names differ only in case, blanks, dashes or underscores.

    Parameters
    ----------
    a, b
        Names as they were written.
    """
    return _bare(a) == _bare(b)


@cache
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


def negatives_of(marker: str) -> tuple[str, ...]:
    """Return which cells of a tube lack a marker, best first: ``CD3-``, ``CD19+``; none for most markers."""
    return tuple(_defaults()["negatives"].get(marker, ()))


def has_known_cells(marker: str) -> bool:
    """Whether the rules say which cells lack or carry a marker."""
    return any(marker in _defaults()[block] for block in ("negatives", "carried_by_either", "single_hump"))


def exclusive_of(marker: str) -> tuple[str, str]:
    """Return the marker that cells with this one lack, and on which side of it borders are placed: ``-`` or "".

    "" is the side that the gate asks for; two empty words for most markers.
    """
    word = str(_defaults()["exclusive"].get(marker, ""))
    return (word[:-1], word[-1]) if word.endswith("-") else (word, "")


def dim_on(marker: str) -> str:
    """Return the marker whose cells may carry a little of this one; "" for most markers."""
    return str(_defaults()["dim"].get(marker, ""))


def parted_among(marker: str) -> str:
    """Return the cells that are of two groups by a marker, such as ``CCR6+``; "" for most markers."""
    return str(_defaults()["parted"].get(marker, ""))


def faint_among(marker: str) -> tuple[str, str]:
    """Return cells of which some carry a little of a marker, and cells of which none do: ``CCR6-``, ``CXCR5+``.

    Two empty words for most markers.
    """
    found = _defaults()["faint"].get(marker, {})
    return str(found.get("among", "")), str(found.get("never", ""))


def carried_by_either(marker: str) -> tuple[str, ...]:
    """Return two markers whose cells, with one and without the other, carry this marker; none for most markers."""
    return tuple(_defaults()["carried_by_either"].get(marker, ()))


def lymphocyte_markers() -> tuple[str, ...]:
    """Return markers of T cells that show lymphocytes of any size, best first."""
    return tuple(_defaults()["lymphocytes"])


def usual_hump(marker: str) -> str:
    """Return what a marker's only group of events usually is, ``positive`` or ``negative``; "" where it may be both."""
    return str(_defaults()["single_hump"].get(marker, ""))


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
