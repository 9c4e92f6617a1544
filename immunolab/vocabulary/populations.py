"""Populations by name, and the published definitions of each."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from types import MappingProxyType
from typing import Literal

from immunolab.config import build, read_package_yaml
from immunolab.errors import InputError, Problem, nearest
from immunolab.vocabulary.phenotypes import Condition, parse_phenotype

Source = Literal["checked", "unchecked", "judged"]
_LINEAGES = frozenset({"lymphocytes", "CD3", "CD4", "CD8"})


@dataclass(frozen=True)
class OrientationRange:
    """Percent of the reported parent in adult blood: for orientation, never a limit."""

    low: float
    median: float
    high: float


@dataclass(frozen=True)
class NamedPopulation:
    """A population that trials, tables and figures refer to by name.

    Attributes
    ----------
    id
        The name in tables.
    title
        In words, for figures.
    parent
        Id of the population it is cut from; "" at the top.
    definition
        Id of the definition taken unless another is asked for; "" where scatter decides.
    report_parent
        Denominator of its reported percentage.
    also_report
        Further denominators to report.
    aliases
        Other names in use.
    healthy, sle
        Orientation ranges in percent of ``report_parent``, or None.
    source
        Where those figures come from (checked in a source, unchecked, judged).
    on_il2
        What low-dose IL-2 is expected to do, in words.
    controls
        Control tubes its borders deserve.
    note
        The main pitfall.
    """

    id: str
    title: str
    parent: str = ""
    definition: str = ""
    report_parent: str = ""
    also_report: tuple[str, ...] = ()
    aliases: tuple[str, ...] = ()
    healthy: OrientationRange | None = None
    sle: OrientationRange | None = None
    source: Source = "judged"
    on_il2: str = ""
    controls: tuple[str, ...] = ()
    note: str = ""


@dataclass(frozen=True)
class Definition:
    """One way to define a subset.

    Attributes
    ----------
    id
        ``Treg.CD25hiCD127lo``; printed beside every number it gives.
    subset
        What it defines: ``Treg``, ``Th17``, ``Tfh``, ``Teff`` ...
    parent
        Id of the population it is cut from.
    phenotypes
        Alternatives; an event needs to meet all conditions of one. Empty: the whole parent.
    exclude
        Ids of populations whose events are taken out.
    required
        Markers a panel needs for it, those of the gates between CD4 and it included; the
        markers of the lineage gates themselves (CD3, CD4, CD8) are the gating strategy's affair.
    literature
        Papers that define it so.
    source
        Whether the wording was checked in such a paper.
    note
        What is particular about it.
    """

    id: str
    subset: str
    parent: str
    phenotypes: tuple[tuple[Condition, ...], ...]
    exclude: tuple[str, ...]
    required: frozenset[str]
    literature: tuple[str, ...]
    source: Source
    note: str = ""


@dataclass(frozen=True)
class PopulationRatio:
    """A ratio of two populations counted against one parent."""

    id: str
    numerator: str
    denominator: str
    parent: str


@dataclass(frozen=True)
class _PopulationText:
    id: str
    title: str
    parent: str = ""
    definition: str = ""
    report_parent: str = ""
    also_report: tuple[str, ...] = ()
    aliases: tuple[str, ...] = ()
    healthy: tuple[float, ...] = ()
    sle: tuple[float, ...] = ()
    source: Source = "judged"
    on_il2: str = ""
    controls: tuple[str, ...] = ()
    note: str = ""


@dataclass(frozen=True)
class _DefinitionText:
    id: str
    subset: str
    parent: str
    phenotype: str | None = ""
    exclude: tuple[str, ...] = ()
    literature: tuple[str, ...] = ()
    source: Source = "judged"
    note: str = ""


@dataclass(frozen=True)
class _File:
    schema: str
    populations: tuple[_PopulationText, ...]
    definitions: tuple[_DefinitionText, ...]
    ratios: tuple[PopulationRatio, ...]


@cache
def _file() -> _File:
    return build(_File, read_package_yaml("immunolab.vocabulary", "populations.yaml"))


@cache
def populations() -> MappingProxyType[str, NamedPopulation]:
    """Return the named populations by id, parents before children."""
    return MappingProxyType({text.id: _population(text) for text in _file().populations})


def _population(text: _PopulationText) -> NamedPopulation:
    fields = dict(vars(text))
    for name in ("healthy", "sle"):
        fields[name] = OrientationRange(*fields[name]) if fields[name] else None
    return NamedPopulation(**fields)


def population(name: str) -> NamedPopulation:
    """Return a named population by its id or one of its aliases.

    Raises
    ------
    InputError
        Names the nearest id.
    """
    by_name = {alias: p for p in populations().values() for alias in p.aliases} | dict(populations())
    if name not in by_name:
        hint = f"{nearest(name, by_name)} known: {', '.join(populations())}".strip()
        raise InputError(Problem("", "population", f"unknown population '{name}'", hint))
    return by_name[name]


@cache
def definitions() -> tuple[Definition, ...]:
    """Return every definition of the vocabulary; the default of a population first among its subset's."""
    defaults = {p.definition for p in populations().values()}
    ordered = sorted(_file().definitions, key=lambda text: text.id not in defaults)
    return tuple(_definition(text) for text in ordered)


def definition(id: str) -> Definition:
    """Return a definition by its id.

    Raises
    ------
    InputError
        Names the nearest id.
    """
    by_id = {d.id: d for d in definitions()}
    if id not in by_id:
        raise InputError(Problem("", "definition", f"unknown definition '{id}'", nearest(id, by_id)))
    return by_id[id]


@cache
def ratios() -> tuple[PopulationRatio, ...]:
    """Return the ratios of populations that the trials ask for."""
    return _file().ratios


def _definition(text: _DefinitionText) -> Definition:
    return Definition(
        id=text.id,
        subset=text.subset,
        parent=text.parent,
        phenotypes=_phenotypes(text.phenotype or ""),
        exclude=text.exclude,
        required=_required(text),
        literature=text.literature,
        source=text.source,
        note=text.note,
    )


def _phenotypes(text: str) -> tuple[tuple[Condition, ...], ...]:
    return tuple(parse_phenotype(part) for part in text.split(" or ")) if text else ()


def _required(text: _DefinitionText) -> frozenset[str]:
    by_id = {d.id: d for d in _file().definitions}
    defaults = {p.id: p.definition for p in _file().populations}
    own = {condition.marker for conditions in _phenotypes(text.phenotype or "") for condition in conditions}
    for name in (text.parent, *text.exclude):
        if name not in _LINEAGES:
            own |= _required(by_id[defaults[name]])
    return frozenset(own)
