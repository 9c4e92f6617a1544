"""Published and assumed variation of subsets from day to day and from assay to assay, without any treatment."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from immunolab.config import build, read_package_yaml


@dataclass(frozen=True)
class Variation:
    """A coefficient of variation, percent of the value, where it comes from, and whether it was published.

    Attributes
    ----------
    cv
        Percent.
    kind
        ``published`` for this very subset, or ``assumed``.
    source
        In words.
    """

    cv: float
    kind: Literal["published", "assumed"]
    source: str


@dataclass(frozen=True)
class _Subset:
    populations: tuple[str, ...]
    cv: float
    kind: Literal["published", "assumed"]
    source: str


@dataclass(frozen=True)
class _WithinPerson:
    schema: str
    subsets: tuple[_Subset, ...]
    other: Variation
    assay: Variation
    blood_count: Variation


@lru_cache(maxsize=1)
def _read() -> _WithinPerson:
    return build(_WithinPerson, read_package_yaml("immunolab.vocabulary", "within_person.yaml"))


def within_person(population: str) -> Variation:
    """Return how a subset's share varies within a person from day to day; the assumption for one without a value.

    Parameters
    ----------
    population
        Its name; "" where it is not known.
    """
    for subset in _read().subsets:
        if population in subset.populations:
            return Variation(subset.cv, subset.kind, subset.source)
    return _read().other


def between_assays() -> Variation:
    """Return how percentages vary between assays of the same blood, where a laboratory has not measured it."""
    return _read().assay


def between_blood_counts() -> Variation:
    """Return how a blood cell counter repeats itself, which an absolute count carries besides."""
    return _read().blood_count
