"""Gating-ML 2.0 in: gates, scales and spillover matrices of the ISAC standard, with Cytobank's and FlowJo's habits.

Quadrants become the rectangles they are, directly under the quadrant gate's parent. A gate that
cannot be read is reported with its path and left out together with what depends on it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from xml.etree.ElementTree import Element

from immunolab.errors import GatingError, InputError, Problem, nearest
from immunolab.events.transforms import Identity, Transform
from immunolab.events.tube import Spillover
from immunolab.gating.exchange import cytobank
from immunolab.gating.exchange.safe_xml import (
    DATATYPES,
    GATING,
    attribute,
    child,
    local_name,
    number,
    read_root,
    to_number,
)
from immunolab.gating.exchange.scales import read_matrices, read_scales
from immunolab.gating.exchange.tree import Node, assemble
from immunolab.gating.exchange.workspace_model import SampleGates, Workspace
from immunolab.gating.strategy import Boolean, Dimension, Ellipsoid, Gate, Polygon, Ratio, Rectangle, Strategy

ROOT_TAG = f"{GATING}Gating-ML"


def read_gatingml(path: Path | str, *, file_name: str = "", fil: str = "") -> Strategy:
    """Read the strategy of a Gating-ML 2.0 file; where gates are tailored to files, that of the tube named.

    Parameters
    ----------
    path
        The file.
    file_name, fil
        The tube's file, and its ``$FIL``.

    Raises
    ------
    InputError
        The file cannot be parsed, or some gates cannot be read (every one is listed with its path).
    GatingError
        The file has gates for other tubes only.
    """
    workspace = gatingml_workspace(read_root(path), str(path))
    keywords = {"$FIL": fil}
    unread = workspace.problems_for(file_name, keywords)
    if unread:
        raise InputError(unread)
    return workspace.strategy_for(file_name, keywords)


def gatingml_workspace(root: Element, source: str) -> Workspace:
    """Return all gates of a parsed Gating-ML document, tailored ones by file name.

    Parameters
    ----------
    root
        The document.
    source
        Its file, for messages.

    Raises
    ------
    InputError
        The document is something else.
    """
    if root.tag != ROOT_TAG:
        message = f"is not Gating-ML 2.0: its root is <{local_name(root)}>"
        raise InputError(Problem(source, "", message, "export the gates as Gating-ML 2.0"))
    scales, ratios = read_scales(root)
    matrices, detectors, bad_matrices = read_matrices(root)
    definitions = _Definitions(scales, ratios, matrices, detectors, bad_matrices)
    elements = [element for element in root.iter() if element.tag.startswith(GATING) and element.tag.endswith("Gate")]
    if not elements:
        raise InputError(Problem(source, "", "holds no gate", "export the gates with their populations"))
    samples = []
    for file in cytobank.files(elements):
        chosen, version_of = cytobank.for_file(elements, file)
        nodes = _nodes(chosen, version_of, definitions)
        sets = cytobank.gate_sets(chosen)
        populations, unread = assemble(cytobank.as_tree(nodes, sets) if sets else nodes, source)
        strategy = Strategy(Path(source).stem, populations, definitions.matrices, source=source)
        samples.append(SampleGates((file,), strategy, unread))
    return Workspace(source, tuple(samples))


@dataclass(frozen=True)
class _Definitions:
    """What gates refer to by id; a GatingError for a definition that cannot be read."""

    scales: dict[str, Transform | GatingError]
    ratios: dict[str, Ratio]
    matrices: dict[str, Spillover]
    detectors: dict[str, dict[str, str]]
    bad_matrices: dict[str, GatingError]

    def dimension(self, element: Element) -> Dimension:
        """Return one axis of a gate."""
        reference = element.get(f"{GATING}transformation-ref")
        scale = self.scale(reference) if reference else Identity()
        compensation = element.get(f"{GATING}compensation-ref")
        derived = element.find(f"{DATATYPES}new-dimension")
        if derived is not None:
            name = attribute(derived, "transformation-ref", DATATYPES)
            if name not in self.ratios:
                raise GatingError(f"ratio '{name}' is not in the file", hint=nearest(name, self.ratios))
            return Dimension(name, scale, self.compensation(compensation or "uncompensated"), self.ratios[name])
        name = attribute(child(element, f"{DATATYPES}fcs-dimension"), "name", DATATYPES)
        if compensation is None and name.startswith("Comp-"):
            return Dimension(name.removeprefix("Comp-"), scale, "sample")
        used = self.compensation(compensation or "uncompensated")
        return Dimension(self.detectors.get(used, {}).get(name, name), scale, used)

    def scale(self, reference: str) -> Transform:
        """Return a scale by its id."""
        if reference not in self.scales:
            raise GatingError(f"transformation '{reference}' is not in the file", hint=nearest(reference, self.scales))
        scale = self.scales[reference]
        if isinstance(scale, GatingError):
            raise scale
        return scale

    def compensation(self, reference: str) -> str:
        """Return ``none``, ``sample`` or the id of a matrix."""
        if reference.lower() in ("uncompensated", "fcs"):
            return "sample" if reference.lower() == "fcs" else "none"
        if reference in self.bad_matrices:
            raise self.bad_matrices[reference]
        if reference not in self.matrices:
            hint = nearest(reference, self.matrices)
            raise GatingError(f"spillover matrix '{reference}' is not in the file", hint=hint)
        return reference


def _nodes(elements: Sequence[Element], version_of: dict[str, str], definitions: _Definitions) -> dict[str, Node]:
    nodes: dict[str, Node] = {}
    for position, element in enumerate(elements):
        key = element.get(f"{GATING}id") or element.get("id") or f"{local_name(element)} {position + 1}"
        parent = element.get(f"{GATING}parent_id", "")
        for node in _of_element(element, key, version_of.get(parent, parent), definitions, version_of):
            if node.key in nodes:
                nodes[node.key] = Node(node.key, node.name, node.parent, GatingError(f"id '{node.key}' is duplicated"))
            else:
                nodes[node.key] = node
    return nodes


def _of_element(
    element: Element, key: str, parent: str, definitions: _Definitions, version_of: dict[str, str]
) -> list[Node]:
    kind = local_name(element)
    words = {word: element.findtext(f"{DATATYPES}custom_info/immunolab/{word}", "") for word in ("definition", "flag")}
    node = Node(key, cytobank.custom(element, "name") or key, parent, None, **words)
    try:
        if kind == "QuadrantGate":
            return _quadrants(element, parent, definitions)
        if kind == "BooleanGate":
            return [replace(node, gate=_boolean(element, version_of))]
        if kind not in _READERS:
            raise GatingError(f"gates of kind {kind} are not supported", hint=f"supported: {', '.join(_READERS)}")
        return [replace(node, gate=_READERS[kind](element, definitions))]
    except GatingError as error:
        return [replace(node, gate=error)]


def _rectangle(element: Element, definitions: _Definitions) -> Gate:
    sides = element.findall(f"{GATING}dimension")
    if not sides:
        raise GatingError("the rectangle has no dimension")
    lower = tuple(number(side, "min", GATING) if side.get(f"{GATING}min") is not None else None for side in sides)
    upper = tuple(number(side, "max", GATING) if side.get(f"{GATING}max") is not None else None for side in sides)
    return Rectangle(tuple(definitions.dimension(side) for side in sides), lower, upper)


def _polygon(element: Element, definitions: _Definitions) -> Gate:
    sides = element.findall(f"{GATING}dimension")
    vertices = [_point(vertex) for vertex in element.findall(f"{GATING}vertex")]
    if len(sides) != 2 or len(vertices) < 3 or any(len(vertex) != 2 for vertex in vertices):
        raise GatingError(
            f"the polygon has {len(sides)} dimensions and {len(vertices)} vertices; 2 and 3 or more needed"
        )
    x, y = (definitions.dimension(side) for side in sides)
    return Polygon((x, y), tuple((vertex[0], vertex[1]) for vertex in vertices))


def _ellipsoid(element: Element, definitions: _Definitions) -> Gate:
    sides = element.findall(f"{GATING}dimension")
    mean = _point(child(element, f"{GATING}mean"))
    rows = child(element, f"{GATING}covarianceMatrix").findall(f"{GATING}row")
    covariance = tuple(
        tuple(number(entry, "value", DATATYPES) for entry in row.findall(f"{GATING}entry")) for row in rows
    )
    if not len(sides) == len(mean) == len(rows) or any(len(row) != len(rows) for row in covariance):
        raise GatingError("the ellipsoid's mean and covariance do not fit its dimensions")
    distance = number(child(element, f"{GATING}distanceSquare"), "value", DATATYPES)
    return Ellipsoid(tuple(definitions.dimension(side) for side in sides), mean, covariance, distance)


_READERS: dict[str, Callable[[Element, _Definitions], Gate]] = {
    "RectangleGate": _rectangle,
    "PolygonGate": _polygon,
    "EllipsoidGate": _ellipsoid,
}


def _point(element: Element) -> tuple[float, ...]:
    return tuple(number(item, "value", DATATYPES) for item in element.findall(f"{GATING}coordinate"))


def _boolean(element: Element, version_of: dict[str, str]) -> Gate:
    for operator in ("and", "or", "not"):
        operation = element.find(f"{GATING}{operator}")
        if operation is not None:
            break
    else:
        raise GatingError("the boolean gate has neither and, or, nor not")
    references = operation.findall(f"{GATING}gateReference")
    if not references or (operator == "not" and len(references) != 1):
        raise GatingError(f"the boolean gate '{operator}' refers to {len(references)} gates")
    keys = [attribute(reference, "ref", GATING) for reference in references]
    flips = [reference.get(f"{GATING}use-as-complement", "false") in ("true", "1") for reference in references]
    return Boolean(operator, tuple(version_of.get(key, key) for key in keys), tuple(flips))


def _quadrants(element: Element, parent: str, definitions: _Definitions) -> list[Node]:
    dividers: dict[str, tuple[Dimension, list[float]]] = {}
    for divider in element.findall(f"{GATING}divider"):
        borders = sorted(to_number(value.text, "a divider's value") for value in divider.findall(f"{GATING}value"))
        dividers[attribute(divider, "id", GATING)] = definitions.dimension(divider), borders
    nodes = []
    for quadrant in element.findall(f"{GATING}Quadrant"):
        key = attribute(quadrant, "id", GATING)
        dimensions, lower, upper = [], [], []
        for position in quadrant.findall(f"{GATING}position"):
            reference = attribute(position, "divider_ref", GATING)
            if reference not in dividers:
                raise GatingError(f"quadrant '{key}' refers to divider '{reference}', which the gate does not have")
            dimension, borders = dividers[reference]
            location = number(position, "location", GATING)
            dimensions.append(dimension)
            lower.append(max((border for border in borders if border <= location), default=None))
            upper.append(min((border for border in borders if border > location), default=None))
        gate = Rectangle(tuple(dimensions), tuple(lower), tuple(upper))
        nodes.append(Node(key, cytobank.custom(quadrant, "name") or key, parent, gate))
    return nodes
