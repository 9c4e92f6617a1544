"""FlowJo 10 workspaces out: a tree a sample, on scales FlowJo has, read back to the same memberships.

Rectangles of three or more dimensions become an AND over two-dimensional ones, negated operands a NOT
population, ellipses a polygon of equal area (FlowJo itself turns them into polygons). What FlowJo cannot
hold at all (ratios, a second spillover matrix) is left out with a note, and so is what depends on it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote
from xml.etree.ElementTree import Element, SubElement

from immunolab.errors import GatingError, Problem
from immunolab.events.transforms import Asinh, Biex, Bounded, Log, Logicle, ScaledAsinh, Transform
from immunolab.events.tube import Spillover
from immunolab.gating.exchange.edge_conversion import Family, Point, bend, border, ellipse_corners, family
from immunolab.gating.exchange.flowjo_scales import DISPLAY_BINS, LOG_OFFSET, PREFIX, write_scale, write_spillover
from immunolab.gating.exchange.safe_xml import GATING
from immunolab.gating.exchange.xml_out import add_channel, add_vertices, write_document
from immunolab.gating.gates import (
    Boolean,
    Declared,
    Dimension,
    Ellipsoid,
    Polygon,
    Population,
    PopulationTree,
    Rectangle,
)

_NODES = {"and": "AndNode", "or": "OrNode", "not": "NotNode"}
_NOT_COUNTED = -1  # FlowJo's count of a population until it has counted
_WEIGHT_OF_SHAPE = 1_000  # one polygon, whose edges need its scale, outweighs as many rectangles
_FIRST_ID = 100_000  # gate ids of a sample start at its number times this, so that no two are alike
_OTHER_MATRIX = "a FlowJo sample has one spillover matrix, and another gate's is used"
_GROUP = "immunolab"  # FlowJo's group that all samples join
_OTHER_SCALE = "drawn on a scale its channel does not have in FlowJo: edges within 1e-6 of the display"


@dataclass(frozen=True)
class WorkspaceSample:
    """One tube of a workspace.

    Attributes
    ----------
    file
        The FCS file.
    strategy
        Its gates have coordinates, and its dimensions name channels (see `axes.on_channels`).
    channels
        Names of the file's channels.
    n_events
        Events in the file.
    spillover
        The tube's own matrix.
    counts
        Events by path, shown in FlowJo until it recounts.
    """

    file: Path
    strategy: PopulationTree
    channels: tuple[str, ...]
    n_events: int
    spillover: Spillover | None = None
    counts: Mapping[str, int] = field(default_factory=dict)


def write_workspace(samples: Sequence[WorkspaceSample], path: Path | str) -> tuple[Problem, ...]:
    """Write a FlowJo 10 workspace with each sample's own gates.

    Parameters
    ----------
    samples
        The tubes, each with its gates.
    path
        The file; replaced when it exists.

    Returns
    -------
    tuple of Problem
        A note for every gate left out, or written with edges bent to another scale.

    Raises
    ------
    GatingError
        A gate has no coordinates yet.
    """
    root = Element("Workspace", {"version": "20.0", "flowJoVersion": "10.8.1", "curGroup": _GROUP})
    matrices, groups, listed = (SubElement(root, name) for name in ("Matrices", "Groups", "SampleList"))
    for name in dict.fromkeys(("All Samples", _GROUP)):
        references = SubElement(SubElement(_group(groups, name), "Group", {"name": name}), "SampleRefs")
        for number in range(1, len(samples) + 1):
            SubElement(references, "SampleRef", {"sampleID": str(number)})
    writers = [_SampleOut(sample, number) for number, sample in enumerate(samples, start=1)]
    listed.extend([writer.element() for writer in writers])
    if writers and writers[0].matrix is not None:
        matrices.append(write_spillover(writers[0].matrix))
    write_document(root, path)
    return tuple(note for writer in writers for note in writer.notes)


def _group(parent: Element, name: str) -> Element:
    return SubElement(parent, "GroupNode", {"name": name, "annotation": "", "owningGroup": name})


class _SampleOut:
    """Writes one sample: chooses its matrix and a scale for each channel, then adds its populations."""

    def __init__(self, sample: WorkspaceSample, number: int) -> None:
        self.sample, self.number = sample, number
        self.notes: list[Problem] = []
        self.gates = 0
        self.used = _most_used_matrix(sample)
        self.matrix = sample.spillover if self.used == "sample" else sample.strategy.matrices.get(self.used)
        self.scales = _channel_scales(sample.strategy)

    def element(self) -> Element:
        """Return the sample."""
        sample, key = self.sample, {"sampleID": str(self.number)}
        name = Path(sample.file).name
        element = Element("Sample")
        SubElement(element, "DataSet", {"uri": f"file:{quote(str(Path(sample.file).absolute()))}"} | key)
        if self.matrix is not None:
            element.append(write_spillover(self.matrix))
        scales = SubElement(element, "Transformations")
        for channel in sample.channels:
            for shown in (channel, PREFIX + channel) if self._compensated(channel) else (channel,):
                scales.append(write_scale(self.scales.get(channel, "linear"), shown))
        keywords = SubElement(element, "Keywords")
        facts = {"$FIL": name, "$TOT": sample.n_events, "$PAR": len(sample.channels)}
        facts |= {f"$P{i}N": channel for i, channel in enumerate(sample.channels, start=1)}
        for keyword, value in facts.items():
            SubElement(keywords, "Keyword", {"name": keyword, "value": str(value)})
        self._add_populations(SubElement(element, "SampleNode", _shown(name, sample.n_events) | key))
        return element

    def _add_populations(self, root: Element) -> None:
        written = {"": root}
        for population in self.sample.strategy.populations:
            parent = written.get(population.parent_path)
            if parent is None:
                self._note(population, "left out: its parent cannot be written")
                continue
            try:
                drawn = list(self._drawn(population, set(written)))
            except _NotInFlowJo as reason:
                self._note(population, f"left out: {reason}")
                continue
            group = parent.find("Subpopulations")
            group = SubElement(parent, "Subpopulations") if group is None else group
            group.extend(drawn)
            written[population.path] = drawn[-1]

    def _note(self, population: Population, message: str) -> None:
        self.notes.append(Problem(str(self.sample.file), population.path, message))

    def _drawn(self, population: Population, written: set[str]) -> Iterator[Element]:
        """Yield the elements a population needs beside each other; its own comes last."""
        gate, name = population.gate, population.name
        count = self.sample.counts.get(population.path, _NOT_COUNTED)
        if gate is None:
            gate = Rectangle((Dimension(self.sample.channels[0], compensation="none"),), (None,), (None,))
        if isinstance(gate, Declared):
            raise GatingError("the gate has no coordinates yet", population.path, "fit the strategy to the tube first")
        if isinstance(gate, Boolean):
            yield from self._boolean(population, gate, count, written)
            return
        for dimension in gate.dimensions:
            self._check(dimension)
        if not isinstance(gate, Rectangle) or len(gate.dimensions) <= 2:
            yield self._population(name, gate, count, population)
            return
        labels = []
        for part in _pairs(gate):
            labels.append(f"{name}: {' x '.join(d.name for d in part.dimensions)}")
            yield self._population(labels[-1], part, _NOT_COUNTED, population)
        yield _logic("and", name, [_beside(population, label) for label in labels], count)

    def _boolean(self, population: Population, gate: Boolean, count: int, written: set[str]) -> Iterator[Element]:
        absent = [path for path in gate.operands if path not in written]
        if absent:
            raise _NotInFlowJo(f"'{absent[0]}' cannot be written")
        operands = []
        for path, flip in zip(gate.operands, gate.complement, strict=True):
            if flip:
                label = f"{population.name}: not {path.rsplit('/', 1)[1]}"
                yield _logic("not", label, [path[1:]], _NOT_COUNTED)
                operands.append(_beside(population, label))
            else:
                operands.append(path[1:])
        yield _logic(gate.operator, population.name, operands, count)

    def _population(self, name: str, gate: Rectangle | Polygon | Ellipsoid, count: int, owner: Population) -> Element:
        element = Element("Population", _shown(name, count))
        self.gates += 1
        key = {f"{GATING}id": f"ID{self.number * _FIRST_ID + self.gates}"}
        frame = SubElement(element, "Gate", key)
        if isinstance(gate, Rectangle):
            words = key | {"eventsInside": "1", "percentX": "0", "percentY": "0"}
            self._add_edges(SubElement(frame, f"{GATING}RectangleGate", words), gate)
            return element
        words = key | {"eventsInside": "1", "quadId": "-1", "gateResolution": str(DISPLAY_BINS)}
        shape = SubElement(frame, f"{GATING}PolygonGate", words)
        for dimension in gate.dimensions:
            self._add_dimension(shape, dimension)
        add_vertices(shape, self._corners(gate, owner))
        return element

    def _add_edges(self, shape: Element, gate: Rectangle) -> None:
        for dimension, low, high in zip(gate.dimensions, gate.lower, gate.upper, strict=True):
            side = self._add_dimension(shape, dimension)
            scale = dimension.transform
            if low is None and high is not None and isinstance(scale, Log):
                # nothing below zero has a logarithm; FlowJo's log axis holds such events at its low end,
                # and a border a thousandth above it leaves them out
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
            self._note(owner, _OTHER_SCALE)
        return bend(corners, (x.transform, y.transform), needed)

    def _add_dimension(self, shape: Element, dimension: Dimension) -> Element:
        compensated = dimension.compensation != "none" and self._compensated(dimension.name)
        element = SubElement(shape, f"{GATING}dimension")
        add_channel(element, PREFIX + dimension.name if compensated else dimension.name)
        return element

    def _compensated(self, channel: str) -> bool:
        return self.matrix is not None and channel in self.matrix.channels

    def _check(self, dimension: Dimension) -> None:
        if dimension.ratio is not None:
            raise _NotInFlowJo("FlowJo has no gates on ratios")
        if dimension.compensation not in ("none", "sample", self.used):
            raise _NotInFlowJo(_OTHER_MATRIX)
        if dimension.compensation == "sample" and self.used != "sample" and self._compensated(dimension.name):
            raise _NotInFlowJo(_OTHER_MATRIX)


def _shown(name: str, count: int) -> dict[str, str]:
    return {"name": name, "annotation": "", "owningGroup": "", "expanded": "1", "count": str(count)}


def _logic(operator: str, name: str, operands: list[str], count: int) -> Element:
    element = Element(_NODES[operator], _shown(name, count))
    dependents = SubElement(element, "Dependents")
    for operand in operands:
        SubElement(dependents, "Dependent", {"name": operand})
    return element


def _beside(population: Population, label: str) -> str:
    """Return the path, as FlowJo writes it, of a gate beside a population."""
    return f"{population.parent_path}/{label}".lstrip("/")


class _NotInFlowJo(Exception):
    """FlowJo cannot hold this gate."""


def _gates(strategy: PopulationTree) -> Iterator[Rectangle | Polygon | Ellipsoid]:
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


def _channel_scales(strategy: PopulationTree) -> dict[str, Family]:
    """Return for each channel the scale most of its polygons (failing those, its rectangles) are drawn on."""
    votes: dict[str, Counter[Family]] = {}
    for gate in _gates(strategy):
        for dimension in gate.dimensions:
            kind, weight = _in_flowjo(dimension.transform), _WEIGHT_OF_SHAPE
            if isinstance(gate, Rectangle):  # exact on any scale
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
