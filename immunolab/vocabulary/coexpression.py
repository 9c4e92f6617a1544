"""Which markers cells carry together, apart, or independently: what every sample of blood shows of a sound staining."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from immunolab.config import build, read_package_yaml

Pairs = tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class RisingMarkers:
    """Pairs of markers that rise together over the cells of the population ``within``.

    Attributes
    ----------
    within
        Name of the population.
    least
        Rank correlation that they have at least.
    markers
        The pairs.
    """

    within: str
    least: float
    markers: Pairs


@dataclass(frozen=True)
class ExchangedMarkers:
    """What sets the cells of one marker from those of another beside the two markers themselves.

    Attributes
    ----------
    markers
        The two, which are also the names of the populations.
    higher
        Third marker to the population that reads it higher.
    more
        Memory class to the population that has the greater share of it.
    classes
        Markers of the memory classes.
    """

    markers: tuple[str, ...]
    higher: dict[str, str]
    more: dict[str, str]
    classes: tuple[str, ...]


@dataclass(frozen=True)
class CompactGroup:
    """Markers that the cells of a compact population carry, and those that they lack."""

    carry: tuple[str, ...]
    lack: tuple[str, ...]


@dataclass(frozen=True)
class IndependentMarkers:
    """Populations in which carried and lacking markers are independent, up to a rank correlation of ``most``."""

    most: float
    groups: dict[str, CompactGroup]


@dataclass(frozen=True)
class Coexpression:
    """Rules of coexpression.yaml.

    Attributes
    ----------
    together, apart
        Cells with the first marker carry one of the others; or none of them.
    lack
        Population to markers that most of its cells lack.
    rise, exchanged, independent
        See their classes.
    """

    schema: str
    together: Pairs
    apart: Pairs
    lack: dict[str, tuple[str, ...]]
    rise: RisingMarkers
    exchanged: ExchangedMarkers
    independent: IndependentMarkers


@lru_cache(maxsize=1)
def coexpression() -> Coexpression:
    """Return the rules."""
    return build(Coexpression, read_package_yaml("immunolab.vocabulary", "coexpression.yaml"))
