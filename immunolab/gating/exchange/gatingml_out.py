"""Gating-ML 2.0 out: valid against the standard's schemas, names kept in custom information."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from xml.etree.ElementTree import Element, ElementTree, SubElement, indent, register_namespace

from immunolab.errors import GatingError, Problem
from immunolab.events.transforms import Biex, Bounded, Identity, Transform
from immunolab.gating.exchange.edge_conversion import bend, border, ellipse_corners
from immunolab.gating.exchange.safe_xml import DATATYPES, GATING, TRANSFORMS
from immunolab.gating.exchange.scales import write_matrix, write_ratio, write_scale
from immunolab.gating.strategy import (
    Boolean,
    Dimension,
    Ellipsoid,
    Gate,
    Polygon,
    Population,
    Ratio,
    Rectangle,
    Strategy,
)

for _prefix, _space in (("gating", GATING), ("transforms", TRANSFORMS), ("data-type", DATATYPES)):
    register_namespace(_prefix, _space.strip("{}"))


def write_gatingml(strategy: Strategy, path: Path | str) -> tuple[Problem, ...]:
    """Write a geometric strategy as Gating-ML 2.0; dimensions should name channels (see `apply.on_channels`).

    Returns
    -------
    A note for every gate that the standard cannot express exactly: FlowJo's biexponential scale does not
    exist in it, so such gates are written in instrument units, with curved edges as short straight pieces.

    Raises
    ------
    GatingError
        A gate has not been fitted yet.
    """
    writer = _Writer(strategy)
    for population in strategy.populations:
        writer.population(population)
    root = Element(f"{GATING}Gating-ML")
    root.extend([*writer.definitions, *writer.gates])
    indent(root)
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f".{target.name}.part")
    ElementTree(root).write(temporary, encoding="utf-8", xml_declaration=True)
    temporary.replace(target)
    return tuple(Problem(str(path), where, note) for where, note in writer.notes)


class _Writer:
    """Collects the elements of one document; every id in it is a legal and unique XML name."""

    def __init__(self, strategy: Strategy) -> None:
        self.definitions: list[Element] = []
        self.gates: list[Element] = []
        self.notes: list[tuple[str, str]] = []
        self.ids = {p.path: _legal(f"P{i + 1}_{p.name}") for i, p in enumerate(strategy.populations)}
        names = [d.name for p in strategy.populations for d in getattr(p.gate, "dimensions", ()) if d.ratio is None]
        self.some_channel = names[0] if names else "Time"
        self.matrices: dict[str, str] = {}
        self.scales: dict[Transform, str] = {}
        self.ratios: dict[Ratio, str] = {}
        for number, (name, matrix) in enumerate(strategy.matrices.items()):
            if len(matrix.channels) > 1:  # the standard has none of one channel, which would change nothing
                self.matrices[name] = _legal(f"M{number + 1}_{name}")
                self.definitions.append(write_matrix(matrix, self.matrices[name]))

    def population(self, population: Population) -> None:
        """Add one population."""
        gate = population.gate
        if gate is None:
            gate = Rectangle((Dimension(self.some_channel, compensation="none"),), (None,), (None,))
        writers = {
            Rectangle: self._rectangle,
            Polygon: self._polygon,
            Ellipsoid: self._ellipsoid,
            Boolean: self._boolean,
        }
        if type(gate) not in writers:
            raise GatingError("the gate has no coordinates yet", population.path, "fit the strategy to the tube first")
        exact = self._expressible(gate, population.path)
        element = Element(f"{GATING}{type(exact).__name__}Gate", {f"{GATING}id": self.ids[population.path]})
        if population.parent_path:
            element.set(f"{GATING}parent_id", self.ids[population.parent_path])
        info = SubElement(SubElement(element, f"{DATATYPES}custom_info"), "immunolab")
        for name, text in (
            ("name", population.original_name or population.name),
            ("definition", population.definition),
            ("flag", population.flag),
        ):
            if text:
                SubElement(info, name).text = text
        writers[type(exact)](element, exact)  # type: ignore[operator]
        self.gates.append(element)

    def _expressible(self, gate: Gate, path: str) -> Gate:
        """Return the gate itself, or the nearest the standard can say, with a note."""
        if not isinstance(gate, Rectangle | Polygon | Ellipsoid):
            return gate
        if not any(_unknown(dimension.transform) for dimension in gate.dimensions):
            return gate
        if isinstance(gate, Rectangle):
            return _linear_rectangle(gate)
        self.notes.append(
            (path, "Gating-ML has no biex scale: written in instrument units, edges are within 1e-6 of the display")
        )
        if isinstance(gate, Ellipsoid) and len(gate.dimensions) != 2:
            raise GatingError("an ellipsoid of 3 or more dimensions on a biex scale cannot be written", path)
        x, y = gate.dimensions
        corners = gate.vertices if isinstance(gate, Polygon) else ellipse_corners(gate)
        bent = bend(corners, (x.transform, y.transform), ("linear", "linear"))
        return Polygon((replace(x, transform=Identity()), replace(y, transform=Identity())), tuple(bent))

    def _rectangle(self, element: Element, gate: Rectangle) -> None:
        for dimension, low, high in zip(gate.dimensions, gate.lower, gate.upper, strict=True):
            side = self._dimension(element, dimension)
            for name, value in (("min", low), ("max", high)):
                if value is not None:
                    side.set(f"{GATING}{name}", repr(float(value)))

    def _polygon(self, element: Element, gate: Polygon) -> None:
        for dimension in gate.dimensions:
            self._dimension(element, dimension)
        for vertex in gate.vertices:
            _point(SubElement(element, f"{GATING}vertex"), vertex)

    def _ellipsoid(self, element: Element, gate: Ellipsoid) -> None:
        for dimension in gate.dimensions:
            self._dimension(element, dimension)
        _point(SubElement(element, f"{GATING}mean"), gate.mean)
        matrix = SubElement(element, f"{GATING}covarianceMatrix")
        for row in gate.covariance:
            line = SubElement(matrix, f"{GATING}row")
            for value in row:
                SubElement(line, f"{GATING}entry", {f"{DATATYPES}value": repr(float(value))})
        SubElement(element, f"{GATING}distanceSquare", {f"{DATATYPES}value": repr(float(gate.distance_square))})

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
        words = {"sample": "FCS", "none": "uncompensated"} | self.matrices
        element = SubElement(gate, f"{GATING}dimension")
        element.set(f"{GATING}compensation-ref", words.get(dimension.compensation, "uncompensated"))
        if not isinstance(dimension.transform, Identity):
            element.set(f"{GATING}transformation-ref", self._scale(dimension.transform))
        if dimension.ratio is None:
            SubElement(element, f"{DATATYPES}fcs-dimension", {f"{DATATYPES}name": dimension.name})
        else:
            reference = {f"{DATATYPES}transformation-ref": self._ratio(dimension.ratio)}
            SubElement(element, f"{DATATYPES}new-dimension", reference)
        return element

    def _scale(self, scale: Transform) -> str:
        if scale not in self.scales:
            self.scales[scale] = f"T{len(self.scales) + 1}_{type(scale).__name__}"
            self.definitions.append(write_scale(scale, self.scales[scale]))
        return self.scales[scale]

    def _ratio(self, ratio: Ratio) -> str:
        if ratio not in self.ratios:
            self.ratios[ratio] = f"R{len(self.ratios) + 1}_ratio"
            self.definitions.append(write_ratio(ratio, self.ratios[ratio]))
        return self.ratios[ratio]


def _legal(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9_.-]", "_", text)


def _point(element: Element, values: Sequence[float]) -> None:
    for value in values:
        SubElement(element, f"{GATING}coordinate", {f"{DATATYPES}value": repr(float(value))})


def _unknown(scale: Transform) -> bool:
    return isinstance(scale.scale if isinstance(scale, Bounded) else scale, Biex)


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
