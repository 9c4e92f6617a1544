"""FlowJo 10 workspaces out: a tree a sample, on scales FlowJo has, read back to the same memberships.

Rectangles of three or more dimensions become an AND over two-dimensional ones, negated operands a NOT
population, ellipses a polygon of equal area (FlowJo itself turns them into polygons). What FlowJo cannot
hold at all (ratios, a second spillover matrix) is left out with a note, and so is what rests on it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote
from xml.etree.ElementTree import Element, ElementTree, SubElement, indent, register_namespace

from immunolab.errors import GatingError, Problem
from immunolab.events.transforms import Asinh, Biex, Bounded, Log, Logicle, ScaledAsinh, Transform
from immunolab.events.tube import Spillover
from immunolab.gating.exchange.edge_conversion import Family, Point, bend, border, ellipse_corners, family
from immunolab.gating.exchange.safe_xml import DATATYPES, GATING, TRANSFORMS
from immunolab.gating.exchange.scales import asinh_parameters
from immunolab.gating.strategy import Boolean, Dimension, Ellipsoid, Polygon, Population, Rectangle, Strategy

PREFIX = "Comp-"
LOG_OFFSET = 1e-3
_NODES = {"and": "AndNode", "or": "OrNode", "not": "NotNode"}
for _prefix, _space in (("gating", GATING), ("transforms", TRANSFORMS), ("data-type", DATATYPES)):
    register_namespace(_prefix, _space.strip("{}"))


@dataclass(frozen=True)
class WorkspaceSample:
    """One tube of a workspace.

    Attributes
    ----------
    file : the FCS file.
    strategy : its geometric strategy; dimensions name channels (see `apply.on_channels`).
    channels : names of the file's channels.
    n_events : events in the file.
    spillover : the tube's own matrix.
    counts : events by path, shown in FlowJo until it recounts.
    """

    file: Path
    strategy: Strategy
    channels: tuple[str, ...]
    n_events: int
    spillover: Spillover | None = None
    counts: Mapping[str, int] = field(default_factory=dict)


def write_workspace(
    samples: Sequence[WorkspaceSample], path: Path | str, *, group: str = "immunolab"
) -> tuple[Problem, ...]:
    """Write a FlowJo 10 workspace with each sample's own gates.

    Returns
    -------
    A note for every gate left out, or written with edges bent to another scale.

    Raises
    ------
    GatingError
        A gate has not been fitted yet.
    """
    root = Element("Workspace", {"version": "20.0", "flowJoVersion": "10.8.1", "curGroup": group})
    matrices, groups, listed = (SubElement(root, name) for name in ("Matrices", "Groups", "SampleList"))
    for name in dict.fromkeys(("All Samples", group)):
        references = SubElement(SubElement(_group(groups, name), "Group", {"name": name}), "SampleRefs")
        for number in range(len(samples)):
            SubElement(references, "SampleRef", {"sampleID": str(number + 1)})
    notes: list[Problem] = []
    for number, sample in enumerate(samples):
        writer = _SampleOut(sample, number + 1)
        listed.append(writer.element())
        if writer.matrix is not None and number == 0:
            matrices.append(_spillover(writer.matrix))
        notes += [Problem(str(sample.file), where, note) for where, note in writer.notes]
    indent(root)
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f".{target.name}.part")
    ElementTree(root).write(temporary, encoding="utf-8", xml_declaration=True)
    temporary.replace(target)
    return tuple(notes)


def _group(parent: Element, name: str) -> Element:
    return SubElement(parent, "GroupNode", {"name": name, "annotation": "", "owningGroup": name})


class _SampleOut:
    """Writes one sample: chooses its matrix and a scale for each channel, then hangs up its populations."""

    def __init__(self, sample: WorkspaceSample, number: int) -> None:
        self.sample, self.number = sample, number
        self.notes: list[tuple[str, str]] = []
        self.gates = 0
        self.used = _most_used_matrix(sample)
        self.matrix = sample.spillover if self.used == "sample" else sample.strategy.matrices.get(self.used)
        self.scales = _channel_scales(sample.strategy)

    def element(self) -> Element:
        """Return the sample."""
        element = Element("Sample")
        name = Path(self.sample.file).name
        SubElement(
            element,
            "DataSet",
            {"uri": f"file:{quote(str(Path(self.sample.file).absolute()))}", "sampleID": str(self.number)},
        )
        if self.matrix is not None:
            element.append(_spillover(self.matrix))
        scales = SubElement(element, "Transformations")
        for channel in self.sample.channels:
            names = [channel] + ([PREFIX + channel] if self._compensated(channel) else [])
            for shown in names:
                scales.append(_scale(self.scales.get(channel, "linear"), shown))
        keywords = SubElement(element, "Keywords")
        facts = {"$FIL": name, "$TOT": self.sample.n_events, "$PAR": len(self.sample.channels)}
        facts |= {f"$P{i + 1}N": channel for i, channel in enumerate(self.sample.channels)}
        for key, value in facts.items():
            SubElement(keywords, "Keyword", {"name": key, "value": str(value)})
        node = SubElement(
            element, "SampleNode", self._words(name, self.sample.n_events) | {"sampleID": str(self.number)}
        )
        self._hang_up(node)
        return element

    def _hang_up(self, root: Element) -> None:
        parents = {"": root}
        for population in self.sample.strategy.populations:
            parent = parents.get(population.parent_path)
            if parent is None:
                self.notes.append((population.path, "left out: its parent cannot be written"))
                continue
            try:
                drawn = list(self._drawn(population, set(parents)))
            except _NotInFlowJo as reason:
                self.notes.append((population.path, f"left out: {reason}"))
                continue
            group = parent.find("Subpopulations")
            group = SubElement(parent, "Subpopulations") if group is None else group
            group.extend(drawn)
            parents[population.path] = drawn[-1]

    def _drawn(self, population: Population, written: set[str]) -> Iterator[Element]:
        """Yield the elements a population needs beside each other; its own comes last."""
        gate = population.gate
        name = population.name
        count = self.sample.counts.get(population.path, -1)
        if gate is None:
            gate = Rectangle((Dimension(self.sample.channels[0], compensation="none"),), (None,), (None,))
        if isinstance(gate, Boolean):
            yield from self._boolean(population, gate, count, written)
            return
        if not isinstance(gate, Rectangle | Polygon | Ellipsoid):
            raise GatingError("the gate has no coordinates yet", population.path, "fit the strategy to the tube first")
        for dimension in gate.dimensions:
            self._check(dimension)
        if isinstance(gate, Rectangle) and len(gate.dimensions) > 2:
            parts = list(_pairs(gate))
            labels = [f"{name}: {' x '.join(d.name for d in part.dimensions)}" for part in parts]
            for label, part in zip(labels, parts, strict=True):
                yield self._population(label, part, -1, population)
            above = population.parent_path.strip("/")
            yield self._logic("and", name, [f"{above}/{label}".lstrip("/") for label in labels], count)
            return
        yield self._population(name, gate, count, population)

    def _boolean(self, population: Population, gate: Boolean, count: int, written: set[str]) -> Iterator[Element]:
        absent = [path for path in gate.operands if path not in written]
        if absent:
            raise _NotInFlowJo(f"'{absent[0]}' cannot be written")
        operands = []
        for path, flip in zip(gate.operands, gate.complement, strict=True):
            if flip:
                label = f"{population.name}: not {path.rsplit('/', 1)[1]}"
                yield self._logic("not", label, [path[1:]], -1)
                operands.append(f"{population.parent_path}/{label}".strip("/"))
            else:
                operands.append(path[1:])
        yield self._logic(gate.operator, population.name, operands, count)

    def _logic(self, operator: str, name: str, operands: list[str], count: int) -> Element:
        element = Element(_NODES[operator], self._words(name, count))
        dependents = SubElement(element, "Dependents")
        for operand in operands:
            SubElement(dependents, "Dependent", {"name": operand})
        return element

    def _population(self, name: str, gate: Rectangle | Polygon | Ellipsoid, count: int, owner: Population) -> Element:
        element = Element("Population", self._words(name, count))
        self.gates += 1
        key = {f"{GATING}id": f"ID{self.number * 100_000 + self.gates}"}
        frame = SubElement(element, "Gate", key)
        if isinstance(gate, Rectangle):
            shape = SubElement(
                frame, f"{GATING}RectangleGate", key | {"eventsInside": "1", "percentX": "0", "percentY": "0"}
            )
            self._edges(shape, gate)
            return element
        words = {"eventsInside": "1", "quadId": "-1", "gateResolution": "256"}
        shape = SubElement(frame, f"{GATING}PolygonGate", key | words)
        for dimension in gate.dimensions:
            self._dimension(shape, dimension)
        for corner in self._corners(gate, owner):
            vertex = SubElement(shape, f"{GATING}vertex")
            for value in corner:
                SubElement(vertex, f"{GATING}coordinate", {f"{DATATYPES}value": repr(float(value))})
        return element

    def _edges(self, shape: Element, gate: Rectangle) -> None:
        for dimension, low, high in zip(gate.dimensions, gate.lower, gate.upper, strict=True):
            side = self._dimension(shape, dimension)
            scale = dimension.transform
            if low is None and high is not None and isinstance(scale, Log):
                # nothing below zero has a logarithm; FlowJo's log axis holds such events at its low end
                held = self.scales[dimension.name] != "linear"
                side.set(f"{GATING}min", repr(LOG_OFFSET * 1.001 if held else 0.0))
            for name, value in (("min", low), ("max", high)):
                if value is not None:
                    side.set(f"{GATING}{name}", repr(border(scale, value)))

    def _corners(self, gate: Polygon | Ellipsoid, owner: Population) -> list[Point]:
        if len(gate.dimensions) != 2:
            raise _NotInFlowJo("FlowJo has no ellipsoid of three or more dimensions")
        x, y = gate.dimensions
        corners = gate.vertices if isinstance(gate, Polygon) else ellipse_corners(gate)
        needed = self.scales[x.name], self.scales[y.name]
        if (family(x.transform), family(y.transform)) != needed:
            self.notes.append(
                (owner.path, "drawn on a scale its channel does not have in FlowJo: edges within 1e-6 of the display")
            )
        return bend(corners, (x.transform, y.transform), needed)

    def _dimension(self, shape: Element, dimension: Dimension) -> Element:
        shown = (
            PREFIX + dimension.name
            if dimension.compensation != "none" and self._compensated(dimension.name)
            else dimension.name
        )
        element = SubElement(shape, f"{GATING}dimension")
        SubElement(element, f"{DATATYPES}fcs-dimension", {f"{DATATYPES}name": shown})
        return element

    def _compensated(self, channel: str) -> bool:
        return self.matrix is not None and channel in self.matrix.channels

    def _check(self, dimension: Dimension) -> None:
        if dimension.ratio is not None:
            raise _NotInFlowJo("FlowJo has no gates on ratios")
        if dimension.compensation not in ("none", "sample", self.used):
            raise _NotInFlowJo("a FlowJo sample has one spillover matrix, and another gate's is used")
        if dimension.compensation == "sample" and self.used != "sample" and self._compensated(dimension.name):
            raise _NotInFlowJo("a FlowJo sample has one spillover matrix, and another gate's is used")

    def _words(self, name: str, count: int) -> dict[str, str]:
        return {"name": name, "annotation": "", "owningGroup": "", "expanded": "1", "count": str(count)}


class _NotInFlowJo(Exception):
    """FlowJo cannot hold this gate."""


def _gates(strategy: Strategy) -> Iterator[Rectangle | Polygon | Ellipsoid]:
    for population in strategy.populations:
        if isinstance(population.gate, Rectangle | Polygon | Ellipsoid):
            yield population.gate


def _most_used_matrix(sample: WorkspaceSample) -> str:
    """Return ``sample`` or the id of the matrix most gates use; ``sample`` when none does."""
    used = Counter(
        d.compensation for gate in _gates(sample.strategy) for d in gate.dimensions if d.compensation != "none"
    )
    if sample.spillover is None:
        used.pop("sample", None)
    return used.most_common(1)[0][0] if used else "sample"


def _channel_scales(strategy: Strategy) -> dict[str, Family]:
    """Return for each channel the scale most of its polygons (failing those, its rectangles) are drawn on."""
    votes: dict[str, Counter[Family]] = {}
    for gate in _gates(strategy):
        for dimension in gate.dimensions:
            kind, weight = _in_flowjo(dimension.transform), 1_000
            if isinstance(gate, Rectangle):  # right on any scale
                kind, weight = ("linear" if kind == "log" else kind), 1
            votes.setdefault(dimension.name, Counter())[kind] += weight
    return {channel: counted.most_common(1)[0][0] for channel, counted in votes.items()}


def _in_flowjo(scale: Transform) -> Family:
    kind = family(scale)
    held = isinstance(scale, Bounded) and isinstance(scale.scale, Log) and scale.low == 0.0
    return kind if held or isinstance(kind, str | Biex | Logicle | Asinh | ScaledAsinh) else "linear"


def _pairs(gate: Rectangle) -> Iterator[Rectangle]:
    for start in range(0, len(gate.dimensions), 2):
        part = slice(start, start + 2)
        yield Rectangle(gate.dimensions[part], gate.lower[part], gate.upper[part])


def _scale(kind: Family, channel: str) -> Element:
    tag, values = _parameters(kind)
    element = Element(
        f"{TRANSFORMS}{tag}",
        {f"{TRANSFORMS}{name}": repr(v) if isinstance(v, float) else v for name, v in values.items()},
    )
    if tag == "linear":
        element.set("gain", "1")
    SubElement(element, f"{DATATYPES}parameter", {f"{DATATYPES}name": channel})
    return element


def _parameters(kind: Family) -> tuple[str, dict[str, float | str]]:
    if isinstance(kind, Biex):
        values = {"neg": kind.negative, "width": kind.width, "pos": kind.positive, "maxRange": kind.t}
        return "biex", {"length": "256"} | {name: float(value) for name, value in values.items()}
    if isinstance(kind, Logicle):
        return "logicle", {
            "length": "256",
            "T": float(kind.t),
            "A": float(kind.a),
            "W": float(kind.w),
            "M": float(kind.m),
        }
    if isinstance(kind, Asinh | ScaledAsinh):
        t, m, a = asinh_parameters(kind) if isinstance(kind, Asinh) else (kind.t, kind.m, kind.a)
        return "fasinh", {"length": "256", "maxRange": float(t), "T": float(t), "M": float(m), "A": float(a)}
    if isinstance(kind, Bounded) and isinstance(kind.scale, Log):
        return "log", {"offset": kind.scale.t / 10.0**kind.scale.m, "decades": float(kind.scale.m)}
    if kind == "log":
        return "log", {"offset": LOG_OFFSET, "decades": 9.0}
    return "linear", {"minRange": 0.0, "maxRange": 262144.0}


def _spillover(matrix: Spillover) -> Element:
    element = Element(
        f"{TRANSFORMS}spilloverMatrix",
        {"spectral": "0", "prefix": PREFIX, "name": "Acquisition-defined", "suffix": "", "version": "FlowJo-10.8.1"},
    )
    parameters = SubElement(element, f"{DATATYPES}parameters")
    for channel in matrix.channels:
        SubElement(
            parameters,
            f"{DATATYPES}parameter",
            {f"{DATATYPES}name": channel, "userProvidedCompInfix": PREFIX + channel},
        )
    for channel, row in zip(matrix.channels, matrix.matrix, strict=True):
        line = SubElement(
            element,
            f"{TRANSFORMS}spillover",
            {f"{DATATYPES}parameter": channel, "userProvidedCompInfix": PREFIX + channel},
        )
        for other, value in zip(matrix.channels, row, strict=True):
            SubElement(
                line,
                f"{TRANSFORMS}coefficient",
                {f"{DATATYPES}parameter": other, f"{TRANSFORMS}value": repr(float(value))},
            )
    return element
