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
class NamedPopulation:
    """A population that trials, tables and figures refer to by name.

    Attributes
    ----------
    id
        The name in tables.
    parent
        Id of the population it is cut from; "" at the top.
    definition
        Id of the definition taken unless another is asked for; "" where scatter decides.
    """

    id: str
    parent: str = ""
    definition: str = ""


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
    populations: tuple[NamedPopulation, ...]
    definitions: tuple[_DefinitionText, ...]


@cache
def _file() -> _File:
    return build(_File, read_package_yaml("immunolab.vocabulary", "populations.yaml"))


@cache
def populations() -> MappingProxyType[str, NamedPopulation]:
    """Return the named populations by id, parents before children."""
    return MappingProxyType({population.id: population for population in _file().populations})


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
