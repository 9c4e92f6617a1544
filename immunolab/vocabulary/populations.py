"""Populations by name, and the published definitions of each."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, cached_property
from types import MappingProxyType
from typing import Literal

from immunolab.config import build, read_package_yaml
from immunolab.errors import InputError, Problem, nearest
from immunolab.vocabulary.phenotypes import Condition, parse_phenotype

Source = Literal["checked", "unchecked", "judged"]
_LINEAGES = frozenset({"lymphocytes", "CD3", "CD4", "CD8"})


@dataclass(frozen=True)
class BloodRange:
    """What gating may find of a population in adult human blood, ill or healthy, treated or not; never a diagnosis.

    Attributes
    ----------
    of
        Id of the denominator.
    plausible
        Lowest and highest percentage that is not doubtful, 0..100.
    possible
        Lowest and highest percentage that is not withheld, 0..100.
    """

    of: str
    plausible: tuple[float, float]
    possible: tuple[float, float]


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
    blood
        Bounds in adult human blood; None where nothing is known.
    """

    id: str
    parent: str = ""
    definition: str = ""
    blood: BloodRange | None = None


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
    phenotype
        Alternatives joined by "or"; empty or null is the whole parent.
    exclude
        Ids of populations whose events are taken out.
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
    phenotype: str | None = ""
    exclude: tuple[str, ...] = ()
    literature: tuple[str, ...] = ()
    source: Source = "judged"
    note: str = ""

    @cached_property
    def phenotypes(self) -> tuple[tuple[Condition, ...], ...]:
        """The alternatives; an event needs to meet all conditions of one. Empty: the whole parent."""
        return tuple(parse_phenotype(part) for part in self.phenotype.split(" or ")) if self.phenotype else ()

    @cached_property
    def required(self) -> frozenset[str]:
        """Markers a panel needs for it, those of the gates between CD4 and it included.

        The markers of the lineage gates themselves (CD3, CD4, CD8) are the gating strategy's affair.
        """
        own = {condition.marker for conditions in self.phenotypes for condition in conditions}
        for name in (self.parent, *self.exclude):
            if name not in _LINEAGES:
                own |= definition(populations()[name].definition).required
        return frozenset(own)


@dataclass(frozen=True)
class _File:
    schema: str
    populations: tuple[NamedPopulation, ...]
    definitions: tuple[Definition, ...]


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
    return tuple(sorted(_file().definitions, key=lambda definition: definition.id not in defaults))


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
