"""Gates and populations, and the tree of them: a flat list of populations, each with a parent and one gate.

Two kinds of gate live in one tree. *Geometric* gates (rectangle, polygon, ellipsoid, boolean) have
coordinates and can be evaluated. *Declared* gates (a phenotype such as ``CD25hi CD127lo``, a singlet band, a scatter
cloud) are placed by data: fitting a strategy replaces each by the geometric gate it becomes, so that evaluation, export
and figures deal with geometry only.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from immunolab.errors import Problem, UnknownName, nearest
from immunolab.events.transforms import Auto, Identity, Transform
from immunolab.events.tube import Spillover
from immunolab.schema.gating import Specimen

ROOT = "root"


@dataclass(frozen=True)
class Ratio:
    """Gating-ML fratio of two channels: a * (numerator - b) / (denominator - c)."""

    numerator: str
    denominator: str
    a: float = 1.0
    b: float = 0.0
    c: float = 0.0


@dataclass(frozen=True)
class Dimension:
    """One axis of a gate.

    Attributes
    ----------
    name
        Channel or marker; with ``ratio`` a label of the derived axis.
    transform
        Scale the gate's coordinates are on.
    compensation
        ``sample`` (the tube's matrix), ``none``, or an id in `Strategy.matrices`.
    ratio
        When given, the axis is this ratio instead of one channel.
    """

    name: str
    transform: Transform = field(default_factory=Identity)
    compensation: str = "sample"
    ratio: Ratio | None = None


@dataclass(frozen=True)
class Rectangle:
    """lower <= value < upper in every dimension; None leaves a side open (Gating-ML 2.0)."""

    dimensions: tuple[Dimension, ...]
    lower: tuple[float | None, ...]
    upper: tuple[float | None, ...]


@dataclass(frozen=True)
class Polygon:
    """Even-odd rule over two dimensions; vertices as (x, y) on the dimensions' scales."""

    dimensions: tuple[Dimension, Dimension]
    vertices: tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class Ellipsoid:
    """(v - mean)' inv(covariance) (v - mean) <= distance_square."""

    dimensions: tuple[Dimension, ...]
    mean: tuple[float, ...]
    covariance: tuple[tuple[float, ...], ...]
    distance_square: float


@dataclass(frozen=True)
class Boolean:
    """and, or, not over other populations, named by path; ``complement`` marks the negated ones."""

    operator: Literal["and", "or", "not"]
    operands: tuple[str, ...]
    complement: tuple[bool, ...]


@dataclass(frozen=True)
class Declared:
    """A gate that data must place.

    Attributes
    ----------
    kind
        ``where`` (settings: ``phenotype``, pairs of marker and level), ``threshold`` (settings: ``marker``, ``side``
        and the rule), or the name of a method of two channels (settings: ``x``, ``y`` and the method's own).
    settings
        As the strategy gives them.
    """

    kind: str
    settings: Mapping[str, Any]


Gate = Rectangle | Polygon | Ellipsoid | Boolean | Declared


def is_unscaled(gate: Gate | None) -> bool:
    """Whether data have yet to choose the scale of a drawn gate; its coordinates are then in instrument units.

    Parameters
    ----------
    gate
        Of a population.
    """
    if not isinstance(gate, Rectangle | Polygon | Ellipsoid):
        return False
    return any(isinstance(dimension.transform, Auto) for dimension in gate.dimensions)


@dataclass(frozen=True)
class Population:
    """One population.

    Attributes
    ----------
    path
        Lineage from root, ``/CD3/CD4/Treg``; unique. The last part is the name, the rest the parent's path.
    gate
        None for a population that equals its parent.
    definition
        Id of the published definition followed, or "".
    original_name
        The name as imported, when it held a "/".
    flag
        Words that qualify it (``no_valley`` ...), joined by ";".
    reason
        What its share was compared with, in words, where that qualifies it.
    """

    path: str
    gate: Gate | None
    definition: str = ""
    original_name: str = ""
    flag: str = ""
    reason: str = ""

    @property
    def name(self) -> str:
        """The last part of the path."""
        return self.path.rsplit("/", 1)[1]

    @property
    def parent_path(self) -> str:
        """The parent's path; "" when the parent is root."""
        return self.path.rsplit("/", 1)[0]

    @property
    def parent(self) -> str:
        """The parent's name; ``root`` at the top."""
        return self.parent_path.rsplit("/", 1)[1] if self.parent_path else ROOT

    @property
    def depends_on(self) -> frozenset[str]:
        """The paths whose events decide which events it holds: its parent's, and those that its gate combines."""
        return frozenset({self.parent_path, *(self.gate.operands if isinstance(self.gate, Boolean) else ())})


@dataclass(frozen=True)
class PopulationTree:
    """A tree of populations, parents before children.

    Attributes
    ----------
    name
        Of the strategy.
    populations
        In an order where parents and boolean operands come before what needs them.
    matrices
        Spillover matrices that dimensions name by id.
    settings
        What fitting needs (threshold rules by marker, transforms, optional populations); empty for imported gates.
    source
        File and its sha256, for the manifest.
    specimen
        What the tubes hold: ``blood`` is adult human blood, whose shares are known; of ``other`` none is.
    """

    name: str
    populations: tuple[Population, ...] = ()
    matrices: Mapping[str, Spillover] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)
    source: str = ""
    specimen: Specimen = "other"

    def __getitem__(self, path: str) -> Population:
        """Return the population of a path, or of a name when only one path ends in it.

        Raises
        ------
        UnknownName
            There is no such population, or several have the name.
        """
        hits = [p for p in self.populations if path in (p.path, p.name)]
        exact = [p for p in hits if p.path == path] or hits
        if len(exact) == 1:
            return exact[0]
        if exact:
            hint = f"give a path: {', '.join(p.path for p in exact)}"
            raise UnknownName(Problem(self.name, "", f"{len(exact)} populations are called '{path}'", hint))
        names = [p.name for p in self.populations]
        hint = f"{nearest(path, names)} populations: {', '.join(names)}".strip()
        raise UnknownName(Problem(self.name, "", f"there is no population '{path}'", hint))
