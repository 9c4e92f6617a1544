"""Gating-ML 2.0 out: valid against the standard's schemas, names kept in custom information."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import Element, SubElement

from immunolab.errors import GatingError, Problem
from immunolab.events.transforms import Biex, Bounded, Identity, Transform
from immunolab.gating.exchange.edge_conversion import bend, border, ellipse_corners
from immunolab.gating.exchange.safe_xml import DATATYPES, GATING
from immunolab.gating.exchange.scales import write_matrix, write_ratio, write_scale
from immunolab.gating.exchange.xml_out import (
    add_channel,
    add_coordinates,
    add_vertices,
    shortest,
    write_document,
)
from immunolab.gating.gates import (
    Boolean,
    Declared,
    Dimension,
    Ellipsoid,
    Gate,
    Polygon,
    Population,
    PopulationTree,
    Ratio,
    Rectangle,
)

_NO_BIEX = "Gating-ML has no biex scale: written in instrument units, edges are within 1e-6 of the display"


def write_gatingml(strategy: PopulationTree, path: Path | str) -> tuple[Problem, ...]:
    """Write a strategy as Gating-ML 2.0.

    Parameters
    ----------
    strategy
        Its gates have coordinates, and its dimensions name channels (see `axes.on_channels`).
    path
        The file; replaced when it exists.

    Returns
    -------
    tuple of Problem
        A note for every gate that the standard cannot express exactly: FlowJo's biexponential scale does not exist in
        it, so such gates are written in instrument units, with curved edges as short straight pieces.

    Raises
    ------
    GatingError
        A gate has no coordinates yet.
    """
    writer = _Writer(strategy)
    root = Element(f"{GATING}Gating-ML")
    gates = [writer.element(population) for population in strategy.populations]
    root.extend([*writer.definitions, *gates])
    write_document(root, path)
    unknown = [population.path for population in strategy.populations if _is_redrawn(population.gate)]
    return tuple(Problem(str(path), where, _NO_BIEX) for where in unknown)


class _Writer:
    """Makes the elements of one document; every id in it is a legal and unique XML name."""

    def __init__(self, strategy: PopulationTree) -> None:
        self.definitions: list[Element] = []
        self.ids = {p.path: _legal(f"P{i + 1}_{p.name}") for i, p in enumerate(strategy.populations)}
        names = [d.name for p in strategy.populations for d in getattr(p.gate, "dimensions", ()) if d.ratio is None]
        self.some_channel = names[0] if names else "Time"
        self.matrices = {"sample": "FCS", "none": "uncompensated"}
        self.defined: dict[Transform | Ratio, str] = {}
        for number, (name, matrix) in enumerate(strategy.matrices.items()):
            if len(matrix.channels) > 1:  # the standard has none of one channel, which would change nothing
                self.matrices[name] = _legal(f"M{number + 1}_{name}")
                self.definitions.append(write_matrix(matrix, self.matrices[name]))

    def element(self, population: Population) -> Element:
        """Return the element of one population; scales and ratios it needs join the definitions."""
        gate = population.gate or Rectangle((Dimension(self.some_channel, compensation="none"),), (None,), (None,))
        if isinstance(gate, Declared):
            raise GatingError("the gate has no coordinates yet", population.path, "fit the strategy to the tube first")
        exact = _expressible(gate, population.path)
        element = Element(f"{GATING}{type(exact).__name__}Gate", {f"{GATING}id": self.ids[population.path]})
        if population.parent_path:
            element.set(f"{GATING}parent_id", self.ids[population.parent_path])
        info = SubElement(SubElement(element, f"{DATATYPES}custom_info"), "immunolab")
        name = population.original_name or population.name
        for tag, text in (("name", name), ("definition", population.definition), ("flag", population.flag)):
            if text:
                SubElement(info, tag).text = text
        match exact:
            case Rectangle():
                self._rectangle(element, exact)
            case Polygon():
                self._polygon(element, exact)
            case Ellipsoid():
                self._ellipsoid(element, exact)
            case Boolean():
                self._boolean(element, exact)
        return element

    def _rectangle(self, element: Element, gate: Rectangle) -> None:
        for dimension, low, high in zip(gate.dimensions, gate.lower, gate.upper, strict=True):
            side = self._dimension(element, dimension)
            for name, value in (("min", low), ("max", high)):
                if value is not None:
                    side.set(f"{GATING}{name}", shortest(value))

    def _polygon(self, element: Element, gate: Polygon) -> None:
        for dimension in gate.dimensions:
            self._dimension(element, dimension)
        add_vertices(element, gate.vertices)

    def _ellipsoid(self, element: Element, gate: Ellipsoid) -> None:
        for dimension in gate.dimensions:
            self._dimension(element, dimension)
        add_coordinates(SubElement(element, f"{GATING}mean"), gate.mean)
        matrix = SubElement(element, f"{GATING}covarianceMatrix")
        for row in gate.covariance:
            line = SubElement(matrix, f"{GATING}row")
            for value in row:
                SubElement(line, f"{GATING}entry", {f"{DATATYPES}value": shortest(value)})
        SubElement(element, f"{GATING}distanceSquare", {f"{DATATYPES}value": shortest(gate.distance_square)})

    def _boolean(self, element: Element, gate: Boolean) -> None:
        operation = SubElement(element, f"{GATING}{gate.operator}")
        terms = list(zip(gate.operands, gate.complement, strict=True))
        if gate.operator != "not" and len(terms) == 1:  # the standard wants two
            terms *= 2
        for path, flip in terms:
            reference = SubElement(operation, f"{GATING}gateReference", {f"{GATING}ref": self.ids[path]})
            if flip:
                reference.set(f"{GATING}use-as-complement", "true")

    def _dimension(self, gate: Element, dimension: Dimension) -> Element:
        element = SubElement(gate, f"{GATING}dimension")
        element.set(f"{GATING}compensation-ref", self.matrices.get(dimension.compensation, "uncompensated"))
        scale, ratio = dimension.transform, dimension.ratio
        if not isinstance(scale, Identity):
            element.set(f"{GATING}transformation-ref", self._reference(scale, type(scale).__name__, write_scale))
        if ratio is None:
            add_channel(element, dimension.name)
        else:
            reference = {f"{DATATYPES}transformation-ref": self._reference(ratio, "ratio", write_ratio)}
            SubElement(element, f"{DATATYPES}new-dimension", reference)
        return element

    def _reference(self, item: Any, kind: str, write: Callable[[Any, str], Element]) -> str:
        """Return the id of a scale or ratio, defined when first asked for."""
        if item not in self.defined:
            letter = "R" if kind == "ratio" else "T"
            number = sum(key.startswith(letter) for key in self.defined.values()) + 1
            self.defined[item] = f"{letter}{number}_{kind}"
            self.definitions.append(write(item, self.defined[item]))
        return self.defined[item]


def _legal(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9_.-]", "_", text)


def _unknown(scale: Transform) -> bool:
    return isinstance(scale.scale if isinstance(scale, Bounded) else scale, Biex)


def _is_redrawn(gate: Gate | None) -> bool:
    """Whether a gate changes its shape: edges that are not along the axes, on a scale unknown to the standard."""
    return isinstance(gate, Polygon | Ellipsoid) and any(_unknown(axis.transform) for axis in gate.dimensions)


def _expressible(gate: Gate, path: str) -> Gate:
    """Return the gate itself, or the nearest the standard can say."""
    if isinstance(gate, Rectangle):
        return _linear_rectangle(gate)
    if not isinstance(gate, Polygon | Ellipsoid) or not _is_redrawn(gate):
        return gate
    if len(gate.dimensions) != 2:
        raise GatingError("an ellipsoid of 3 or more dimensions on a biex scale cannot be written", path)
    x, y = gate.dimensions
    corners = gate.vertices if isinstance(gate, Polygon) else ellipse_corners(gate)
    bent = bend(corners, (x.transform, y.transform), ("linear", "linear"))
    return Polygon((replace(x, transform=Identity()), replace(y, transform=Identity())), tuple(bent))


def _linear_rectangle(gate: Rectangle) -> Rectangle:
    """Return a rectangle in instrument units where its scale is unknown to the standard; scales only rise."""
    dimensions: list[Dimension] = []
    lower: list[float | None] = []
    upper: list[float | None] = []
    for dimension, low, high in zip(gate.dimensions, gate.lower, gate.upper, strict=True):
        scale = dimension.transform
        if not _unknown(scale):
            dimensions.append(dimension)
            lower.append(low)
            upper.append(high)
            continue
        bottom, top = float(scale.apply(-1e300)), float(scale.apply(1e300))
        dimensions.append(replace(dimension, transform=Identity()))
        lower.append(None if low is None or low <= bottom else border(scale, low))
        upper.append(None if high is None or high > top else border(scale, high))
    return Rectangle(tuple(dimensions), tuple(lower), tuple(upper))
