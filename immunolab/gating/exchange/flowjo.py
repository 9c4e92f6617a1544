"""FlowJo 10 workspaces in: each sample's own tree, scales, spillover matrix and counts.

FlowJo stores polygons and rectangles in instrument units and draws them on each channel's scale;
ellipses are stored on a 256 x 256 display. Here every gate becomes exact geometry on the channel's scale.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from xml.etree.ElementTree import Element

import numpy as np
from numpy.typing import NDArray

from immunolab.errors import GatingError, InputError, Problem
from immunolab.events.scale_ends import displayed
from immunolab.events.transforms import Identity
from immunolab.events.tube import Spillover
from immunolab.gating.exchange.flowjo_scales import DISPLAY_BINS, LINEAR_TOP, Axis, read_axis, read_spillover
from immunolab.gating.exchange.safe_xml import (
    DATATYPES,
    GATING,
    TRANSFORMS,
    attribute,
    child,
    local_name,
    number,
    to_number,
)
from immunolab.gating.exchange.tree import Node, assemble, outside
from immunolab.gating.exchange.workspace_model import BinnedGate, SampleGates, Workspace, sample_keywords, sample_names
from immunolab.gating.strategy import Boolean, Dimension, Ellipsoid, Gate, Polygon, Rectangle, Strategy

_CIRCLE = 1e-9  # foci nearer to the centre than this, in bins of the display, are those of a circle
_OPERATORS: dict[str, Literal["and", "or", "not"]] = {"AndNode": "and", "OrNode": "or", "NotNode": "not"}


def flowjo_workspace(root: Element, source: str) -> Workspace:
    """Return the gates of every sample of a parsed FlowJo 10 workspace.

    Parameters
    ----------
    root
        The document.
    source
        Its file, for messages.

    Raises
    ------
    InputError
        The workspace holds no sample.
    """
    samples = tuple(
        _gates(element, node, root, source)
        for element in root.findall("SampleList/Sample")
        if (node := element.find("SampleNode")) is not None and sample_names(element, node)
    )
    if not samples:
        raise InputError(Problem(source, "", "the workspace holds no sample", "save it with its samples"))
    return Workspace(source, samples)


def _gates(element: Element, node: Element, root: Element, source: str) -> SampleGates:
    sample = _Sample.of(element, root)
    populations, unread = assemble({item.key: item for item in _nodes(node, sample)}, source)
    strategy = Strategy(Path(source).stem, populations, sample.matrices, source=source)
    stated = _counts(node, {population.path for population in populations})
    binned = {
        population.path: BinnedGate(gate, (sample.bin_width(gate.dimensions[0]), sample.bin_width(gate.dimensions[1])))
        for population in populations
        if isinstance(gate := population.gate, Polygon | Ellipsoid)
    }
    return SampleGates(sample_names(element, node), strategy, unread, stated, sample_keywords(element), binned)


@dataclass(frozen=True)
class _Sample:
    """What the gates of one sample refer to."""

    axes: dict[str, Axis | GatingError]
    matrices: dict[str, Spillover]
    prefix: str
    suffix: str
    matrix: str
    unusable: GatingError | None

    @classmethod
    def of(cls, element: Element, root: Element) -> _Sample:
        scales = element.find("Transformations")
        axes = dict(read_axis(item) for item in scales) if scales is not None else {}
        found = element.find(f"{TRANSFORMS}spilloverMatrix")
        if found is None:
            everywhere = root.findall(f"Matrices/{TRANSFORMS}spilloverMatrix")
            found = everywhere[0] if len(everywhere) == 1 else None
        if found is None:
            return cls(axes, {}, "", "", "", None)
        name = found.get("name") or "workspace"
        prefix, suffix = found.get("prefix", "Comp-"), found.get("suffix", "")
        try:
            return cls(axes, {name: read_spillover(found, name)}, prefix, suffix, name, None)
        except GatingError as error:
            bad = GatingError(f"spillover matrix '{name}': {error.message}", hint=error.hint)
            return cls(axes, {}, prefix, suffix, name, bad)

    def dimension(self, element: Element) -> tuple[Dimension, Axis]:
        """Return one axis of a gate and its display."""
        shown = attribute(child(element, f"{DATATYPES}fcs-dimension"), "name", DATATYPES)
        name, compensation = self._channel(shown)
        axis = self.axes.get(shown, self.axes.get(name, Axis(Identity())))
        if isinstance(axis, GatingError):
            raise axis
        return Dimension(name, axis.transform, compensation), axis

    def bin_width(self, dimension: Dimension) -> float:
        """Return the width of a bin of FlowJo's display on a gate's axis."""
        shown = dimension.name
        if dimension.compensation != "none":
            shown = f"{self.prefix}{shown}{self.suffix}"
        axis = self.axes.get(shown, self.axes.get(dimension.name))
        low, high = (axis.low, axis.high) if isinstance(axis, Axis) else (0.0, LINEAR_TOP)
        return (high - low) / DISPLAY_BINS

    def _channel(self, shown: str) -> tuple[str, str]:
        """Return channel and compensation of a name as FlowJo shows it (``Comp-PE-A``)."""
        if not (self.prefix or self.suffix) or not (shown.startswith(self.prefix) and shown.endswith(self.suffix)):
            return shown, "none"
        bare = shown.removeprefix(self.prefix).removesuffix(self.suffix)
        if self.unusable is not None:
            raise self.unusable
        if bare in self.matrices[self.matrix].channels:
            return bare, self.matrix
        return shown, "none"


def _walk(sample_node: Element) -> Iterator[tuple[str, str, Element]]:
    """Yield key, parent's key and element of every population, parents first, in the workspace's order."""
    waiting: list[tuple[str, Element]] = [("", sample_node)]
    taken: set[str] = set()
    while waiting:
        parent, element = waiting.pop()
        found: list[tuple[str, Element]] = []
        for group in element.findall("Subpopulations"):
            for item in group:
                if item.tag != "Population" and item.tag not in _OPERATORS:
                    continue
                name = item.get("name", "")
                key = f"{parent}/{name}" if parent else name
                while key in taken:
                    key += " (again)"
                taken.add(key)
                yield key, parent, item
                found.append((key, item))
        waiting += reversed(found)


def _nodes(sample_node: Element, sample: _Sample) -> Iterator[Node]:
    for key, parent, element in _walk(sample_node):
        name = element.get("name", "")
        if element.tag in _OPERATORS:
            yield Node(key, name, parent, _boolean(element))
            continue
        try:
            gate, complement = _gate(element, sample)
        except GatingError as error:
            yield Node(key, name, parent, error)
            continue
        node = Node(key, name, parent, gate)
        yield from outside(node) if complement else (node,)


def _boolean(element: Element) -> Gate | GatingError:
    operator = _OPERATORS[element.tag]
    keys = [item.get("name", "") for item in element.findall("Dependents/Dependent")]
    if not keys or (operator == "not" and len(keys) != 1):
        return GatingError(f"the boolean gate '{operator}' refers to {len(keys)} gates")
    return Boolean(operator, tuple(keys), (False,) * len(keys))


def _gate(population: Element, sample: _Sample) -> tuple[Gate, bool]:
    """Return a population's geometry, and whether it is the events outside that are meant."""
    shapes = [item for gate in population.findall("Gate") for item in gate]
    if len(shapes) != 1:
        raise GatingError(f"the population has {len(shapes)} gate shapes; one is needed")
    shape = shapes[0]
    kind = local_name(shape)
    if kind not in ("RectangleGate", "PolygonGate", "EllipsoidGate"):
        raise GatingError(
            f"gates of kind {kind} are not supported",
            hint="supported: rectangle, range, quadrant, polygon, ellipse, boolean",
        )
    sides = shape.findall(f"{GATING}dimension")
    axes = [sample.dimension(side) for side in sides]
    complement = shape.get("eventsInside", "1") == "0"
    if kind == "RectangleGate":
        return _rectangle(sides, axes), complement
    if len(sides) != 2:
        raise GatingError(f"a {kind} needs 2 dimensions, {len(sides)} given")
    return (_polygon if kind == "PolygonGate" else _ellipse)(shape, axes), complement


def _rectangle(sides: list[Element], axes: list[tuple[Dimension, Axis]]) -> Gate:
    def edge(side: Element, name: str, dimension: Dimension) -> float | None:
        if side.get(f"{GATING}{name}") is None:
            return None
        return float(displayed(dimension.transform, number(side, name, GATING)))

    if not sides:
        raise GatingError("the rectangle has no dimension")
    pairs = [(side, dimension) for side, (dimension, _) in zip(sides, axes, strict=True)]
    return Rectangle(
        tuple(dimension for _, dimension in pairs),
        tuple(edge(side, "min", dimension) for side, dimension in pairs),
        tuple(edge(side, "max", dimension) for side, dimension in pairs),
    )


def _polygon(shape: Element, axes: list[tuple[Dimension, Axis]]) -> Gate:
    corners = _points(shape.findall(f"{GATING}vertex"))
    if len(corners) < 3:
        raise GatingError(f"the polygon has {len(corners)} vertices; 3 or more are needed")
    (x, _), (y, _) = axes
    shown = np.stack([displayed(x.transform, corners[:, 0]), displayed(y.transform, corners[:, 1])], axis=1)
    return Polygon((x, y), tuple((float(a), float(b)) for a, b in shown))


def _points(vertices: list[Element]) -> NDArray[np.float64]:
    points = [
        [to_number(item.get(f"{DATATYPES}value"), "a coordinate") for item in vertex.findall(f"{GATING}coordinate")]
        for vertex in vertices
    ]
    if any(len(point) != 2 for point in points):
        raise GatingError("a vertex does not have 2 coordinates")
    return np.array(points, dtype=np.float64).reshape(-1, 2)


def _ellipse(shape: Element, axes: list[tuple[Dimension, Axis]]) -> Gate:
    """Return the ellipse of FlowJo's two foci and four edge points, from the display onto the scales."""
    foci = _points(child(shape, f"{GATING}foci").findall(f"{GATING}vertex"))
    edges = _points(child(shape, f"{GATING}edge").findall(f"{GATING}vertex"))
    if len(foci) != 2 or len(edges) != 4:
        raise GatingError(f"the ellipse has {len(foci)} foci and {len(edges)} edge points; 2 and 4 are needed")
    centre = foci.mean(axis=0)
    half = (foci[1] - foci[0]) / 2.0
    focal = float(np.hypot(*half))
    along = half / focal if focal > _CIRCLE else np.array([1.0, 0.0])
    if focal > _CIRCLE:
        major = float(np.abs((edges - centre) @ along).max())
    else:
        major = float(np.hypot(*(edges - centre).T).mean())
    minor = float(np.sqrt(abs(major**2 - focal**2)))
    if not minor > 0.0:
        raise GatingError("the ellipse has no area")
    across = np.array([-along[1], along[0]])
    display = major**2 * np.outer(along, along) + minor**2 * np.outer(across, across)
    low = np.array([axis.low for _, axis in axes])
    unit = (np.array([axis.high for _, axis in axes]) - low) / DISPLAY_BINS
    covariance = display * np.outer(unit, unit)
    mean = low + centre * unit
    return Ellipsoid(
        tuple(dimension for dimension, _ in axes),
        tuple(float(value) for value in mean),
        tuple(tuple(float(value) for value in row) for row in covariance),
        1.0,
    )


def _counts(sample_node: Element, paths: set[str]) -> dict[str, int]:
    """Return the events FlowJo counted, by path; counts it has not computed (-1) are left out."""
    stated = {"/": sample_node.get("count", "")}
    for key, _, element in _walk(sample_node):
        stated[f"/{key}"] = element.get("count", "")
    return {path: int(text) for path, text in stated.items() if text.isdigit() and (path == "/" or path in paths)}
