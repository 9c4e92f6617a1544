"""FlowJo 9 workspaces (Mac, ``.xml``) in: trees, matrices and calibrated scales of every sample.

FlowJo 9 stores corners in instrument units and draws edges straight on scales that it keeps as
calibration tables. Such polygons and ellipses come in as polygons in instrument units whose edges
follow the drawn ones within 1e-6 of the display; rectangles and ranges come in exactly.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from xml.etree.ElementTree import Element

import numpy as np
from numpy.typing import ArrayLike, NDArray

from immunolab.errors import GatingError, InputError, Problem
from immunolab.events.scale_ends import displayed
from immunolab.events.transforms import Biex, Bounded, Identity, Transform
from immunolab.events.tube import Spillover
from immunolab.gating.exchange.edge_conversion import Point, TooManyCorners, bend, ellipse_corners
from immunolab.gating.exchange.flowjo_scales import DISPLAY_BINS, LINEAR_TOP
from immunolab.gating.exchange.safe_xml import attribute, number, to_number
from immunolab.gating.exchange.tree import Node, assemble, outside
from immunolab.gating.exchange.workspace_model import BinnedGate, SampleGates, Workspace, sample_keywords, sample_names
from immunolab.gating.strategy import Boolean, Dimension, Ellipsoid, Gate, Polygon, Rectangle, Strategy

_CHANNELS = 4096.0  # channels of FlowJo 9's display, over which its calibration tables run
_Matrix = tuple[str, str, str, Spillover | None]  # name, prefix and suffix of compensated channels, values
_LAST = "\U0010ffff"  # sorts behind every character of a name
_SHAPES = ("Polygon", "PolyRect", "Range", "Ellipse")
# corners of a workspace's polygons in instrument units, and for each that is drawn: on FlowJo's scales an edge takes
# about 100, on tables that rise unevenly up to 4,096 (judgement)
_SOME_CORNERS, _CORNERS_OF_ONE = 100_000, 200
_MOST_UNEVEN = 10  # polygons of a workspace that need too many corners: each costs a tenth of a second (judgement)
_SAVE_AGAIN = "save the workspace again, or export Gating-ML"
_UNTABLED = Biex(0.0, -10.0, 4.5, 262_144.0)  # FlowJo 9's own scale for log channels without a table


@dataclass(frozen=True)
class _Calibrated:
    """A calibration table: instrument value and display value (0..1) of its knots."""

    knots: tuple[float, ...]
    shown: tuple[float, ...]

    @cached_property
    def _table(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        return np.array(self.knots), np.array(self.shown)

    def apply(self, values: ArrayLike) -> NDArray[np.float64]:
        """Return display values."""
        knots, shown = self._table
        return np.interp(np.asarray(values, dtype=np.float64), knots, shown)

    def inverse(self, values: ArrayLike) -> NDArray[np.float64]:
        """Return instrument values."""
        knots, shown = self._table
        return np.interp(np.asarray(values, dtype=np.float64), shown, knots)


def flowjo9_workspace(root: Element, source: str) -> Workspace:
    """Return the gates of every sample of a parsed FlowJo 9 workspace.

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
    tables, matrices = _tables(root, source), _matrices(root)
    samples: list[SampleGates] = []
    n_corners = n_allowed = n_uneven = 0
    for element in root.iter("Sample"):
        if (top := element.find("SampleNode")) is not None and sample_names(element, top):
            nodes = {}
            n_allowed += _CORNERS_OF_ONE * sum(1 for _ in element.iter("Vertex"))
            for node in _nodes(top, sample := _SampleOfV9.of(element, matrices, tables)):
                nodes[node.key] = node
                n_corners += len(node.gate.vertices) if isinstance(node.gate, Polygon) else 0
                n_uneven += isinstance(node.gate, TooManyCorners)
                if n_uneven > _MOST_UNEVEN:
                    text = f"more than {_MOST_UNEVEN} of its polygons need too many corners: calibration is too uneven"
                    raise InputError(Problem(source, "", text, _SAVE_AGAIN))
                if n_corners > _SOME_CORNERS + n_allowed:
                    text = f"the edges of its polygons need more than {n_corners:,} corners: calibration is too uneven"
                    raise InputError(Problem(source, "", text, _SAVE_AGAIN))
            samples.append(_gates(element, top, sample, nodes, source))
    if not samples:
        raise InputError(Problem(source, "", "the workspace holds no sample", "save it with its samples"))
    return Workspace(source, tuple(samples))


def _gates(element: Element, top: Element, sample: _SampleOfV9, nodes: dict[str, Node], source: str) -> SampleGates:
    populations, unread = assemble(nodes, source)
    strategy = Strategy(Path(source).stem, populations, sample.matrices, source=source)
    stated = {"/": top.get("count", "")} | {f"/{key}": item.get("count", "") for key, _, item in _walk(top)}
    counts = {path: int(text) for path, text in stated.items() if text.isdigit()}
    binned = {
        population.path: sample.on_bins(population.gate)
        for population in populations
        if isinstance(population.gate, Polygon)
    }
    return SampleGates(sample_names(element, top), strategy, unread, counts, sample_keywords(element), binned)


def _tables(root: Element, source: str) -> dict[str, Bounded]:
    """Return calibration tables by name, and by their place counted from 1."""
    tables: dict[str, Bounded] = {}
    for place, element in enumerate(root.findall("CalibrationTables/Table"), start=1):
        try:
            values = [to_number(text, "a value") for text in re.findall(r"[-+0-9.eE]+", element.text or "")]
        except GatingError as error:
            text = f"calibration table {place} '{element.get('name', '')}': {error.message}"
            raise InputError(Problem(source, "", text, "save the workspace again")) from None
        shown, knots = np.array(values[0::2]) / _CHANNELS, np.array(values[1::2])
        if len(knots) < 2 or len(knots) != len(shown) or (np.diff(knots) <= 0).any() or (np.diff(shown) < 0).any():
            continue
        table = Bounded(_Calibrated(tuple(knots.tolist()), tuple(shown.tolist())), float(shown[0]), float(shown[-1]))
        tables[str(place)] = tables[element.get("name", "").replace(" ", "")] = table
    return tables


@dataclass(frozen=True)
class _SampleOfV9:
    """What the gates of one sample refer to."""

    scales: dict[str, Transform]
    ranges: dict[str, float]
    matrices: dict[str, Spillover]
    compensation: str
    prefix: str
    suffix: str

    @classmethod
    def of(cls, element: Element, found: list[_Matrix], tables: dict[str, Bounded]) -> _SampleOfV9:
        key = element.get("compensationID", "")
        name, word, prefix, suffix, matrices = "Acquisition-defined", "sample", "<", ">", {}
        if key in ("", "-2"):
            name, word = "none", "none"
        elif key != "-1":
            if key.isdigit() and 0 < int(key) <= len(found):
                word, prefix, suffix, matrix = found[int(key) - 1]
                name, matrices = word, {} if matrix is None else {word: matrix}
            else:
                word = f"CompensationMatrix {key}"
        scales: dict[str, Transform] = {}
        ranges: dict[str, float] = {}
        for parameter in element.findall("Parameter"):
            channel, top = parameter.get("name", ""), parameter.get("range", "")
            ranges[channel] = float(top) if top.isdigit() and int(top) else LINEAR_TOP
            if parameter.get("log") == "1":
                own = tables.get(f"{name}{prefix}{channel}{suffix}".replace(" ", ""))
                by_place = tables.get(parameter.get("calibrationIndex", ""))
                scales[channel] = own or by_place or _UNTABLED
        return cls(scales, ranges, matrices, word, prefix, suffix)

    def on_bins(self, gate: Polygon) -> BinnedGate:
        """Return a gate in instrument units on the scales it was drawn on, with the bins of their display."""
        scales = [self.scales.get(dimension.name, Identity()) for dimension in gate.dimensions]
        x, y = (replace(axis, transform=scale) for axis, scale in zip(gate.dimensions, scales, strict=True))
        corners = np.asarray(gate.vertices)
        shown = [displayed(scale, corners[:, i]).tolist() for i, scale in enumerate(scales)]
        tops = [
            self.ranges.get(axis.name, LINEAR_TOP) if isinstance(scale, Identity) else 1.0
            for axis, scale in zip(gate.dimensions, scales, strict=True)
        ]
        drawn = Polygon((x, y), tuple(zip(*shown, strict=True)))
        return BinnedGate(drawn, (tops[0] / DISPLAY_BINS, tops[1] / DISPLAY_BINS))

    def axis(self, shown: str) -> tuple[Dimension, Transform]:
        """Return the dimension of an axis name (``<PE-A>`` is compensated), and the scale it is drawn on."""
        compensated = bool(self.prefix) and shown.startswith(self.prefix) and shown.endswith(self.suffix)
        name = shown.removeprefix(self.prefix).removesuffix(self.suffix) if compensated else shown
        word = self.compensation if compensated else "none"
        return Dimension(name, compensation=word), self.scales.get(name, Identity())


def _matrices(root: Element) -> list[_Matrix]:
    return [
        (name, element.get("prefix", "<"), element.get("suffix", ">"), _matrix(element, name))
        for element in root.findall("CompensationMatrices/CompensationMatrix")
        for name in [element.get("name") or element.get("matrixName") or "workspace"]
    ]


def _matrix(element: Element, name: str) -> Spillover | None:
    """Return a matrix, or None when it is not a square of numbers; gates that need it then report it as unknown."""
    channels = element.findall("Channel")
    names = tuple(item.get("name") or item.get("fluorName") or "" for item in channels)
    try:
        rows = [[_spill(value) for value in row.findall("ChannelValue")] for row in channels]
    except GatingError:
        return None
    if not rows or any(len(row) != len(names) for row in rows):
        return None
    return Spillover(names, np.array(rows, dtype=np.float64), name)


def _spill(element: Element) -> float:
    return to_number(element.get("value") or element.get("spillValue"), "a spillover value")


def _walk(top: Element) -> Iterator[tuple[str, str, Element]]:
    """Yield key, parent's key and element of every population, parents first."""
    waiting = [("", top)]
    while waiting:
        parent, element = waiting.pop(0)
        for item in element.findall("Population"):
            name = item.get("name") or item.get("nodeName") or ""
            key = f"{parent}/{name}" if parent else name
            yield key, parent, item
            waiting.append((key, item))


def _nodes(top: Element, sample: _SampleOfV9) -> Iterator[Node]:
    keys = _Keys([key for key, _, _ in _walk(top)])
    for key, parent, element in _walk(top):
        name = element.get("name") or element.get("nodeName") or ""
        gate: Gate | GatingError
        try:
            gate, complement = _gate(element, sample, keys, parent)
        except GatingError as error:
            gate, complement = error, False
        node = Node(key, name, parent, gate)
        yield from outside(node) if complement else (node,)


def _gate(element: Element, sample: _SampleOfV9, keys: _Keys, parent: str) -> tuple[Gate, bool]:
    boolean = element.find("BooleanGate")
    if boolean is not None:
        return _boolean(boolean, keys, parent), bool(boolean.get("negated"))
    shapes = [item for item in element.findall("PolygonGate/*") if item.tag in _SHAPES]
    if len(shapes) != 1:
        raise GatingError(f"the population has {len(shapes)} gate shapes; one is needed")
    shape = shapes[0]
    axes = [sample.axis(name) for name in (shape.get("xAxisName", ""), shape.get("yAxisName", "")) if name]
    corners = [(number(item, "x"), number(item, "y")) for item in shape.iter("Vertex")]
    if not axes or len(corners) < 2:
        raise GatingError(f"the {shape.tag} has {len(axes)} axes and {len(corners)} corners")
    if shape.tag in ("PolyRect", "Range"):
        return _box(axes, corners), bool(shape.get("negated"))
    if len(axes) != 2:
        raise GatingError(f"the {shape.tag} has {len(axes)} axes; 2 are needed")
    (x, x_scale), (y, y_scale) = axes
    drawn = [(float(displayed(x_scale, a)), float(displayed(y_scale, b))) for a, b in corners]
    if shape.tag == "Ellipse":
        drawn = ellipse_corners(_ellipse((x, y), np.array(drawn)))
    return Polygon((x, y), tuple(bend(drawn, (x_scale, y_scale), ("linear", "linear")))), bool(shape.get("negated"))


def _box(axes: list[tuple[Dimension, Transform]], corners: list[Point]) -> Rectangle:
    spans = [(min(values), max(values)) for values in zip(*corners, strict=True)]
    if len(axes) == 1 and spans[0][0] == spans[0][1]:
        spans = spans[1:]  # a range drawn upright
    used = spans[: len(axes)]
    dimensions = tuple(dimension for dimension, _ in axes)
    return Rectangle(dimensions, tuple(low for low, _ in used), tuple(high for _, high in used))


def _ellipse(axes: tuple[Dimension, Dimension], points: NDArray[np.float64]) -> Ellipsoid:
    """Return the ellipse whose two axes end in four points, in any order."""
    if len(points) != 4:
        raise GatingError(f"the ellipse has {len(points)} points; 4 are needed")
    centre = points.mean(axis=0)
    arms = points - centre
    major = arms[np.hypot(*arms.T).argmax()]
    along = major / np.hypot(*major)
    across = np.array([-along[1], along[0]])
    minor = float(np.abs(arms @ across).max())
    if not minor > 0.0:
        raise GatingError("the ellipse has no area")
    matrix = np.hypot(*major) ** 2 * np.outer(along, along) + minor**2 * np.outer(across, across)
    covariance = tuple(tuple(float(value) for value in row) for row in matrix)
    return Ellipsoid(axes, (float(centre[0]), float(centre[1])), covariance, 1.0)


def _boolean(element: Element, keys: _Keys, parent: str) -> Boolean:
    words = attribute(element, "specification").replace("! G", "!G").split()
    references = [(item.text or "").strip("/ ") for item in element.iter("String")]
    operators = set(words[1::2])
    if len(operators) > 1 or not operators <= {"&", "|"}:
        raise GatingError(f"'{' '.join(words)}' mixes operators", hint="make one boolean gate for each operator")
    operands = []
    for word in words[0::2]:
        place = word.lstrip("!").removeprefix("G")
        if not place.isdigit() or int(place) >= len(references):
            raise GatingError(f"'{word}' in the boolean gate refers to no population")
        operands.append(keys.referred(references[int(place)], parent))
    flips = tuple(word.startswith("!") for word in words[0::2])
    return Boolean("or" if operators == {"|"} else "and", tuple(operands), flips)


class _Keys:
    """The keys of a tree, found by the whole or the end of their path."""

    def __init__(self, keys: Sequence[str]) -> None:
        self.counts = Counter(keys)
        self.reversed = sorted(f"/{key}"[::-1] for key in keys)

    def referred(self, reference: str, parent: str) -> str:
        """Return the key a whole or partial path means; of several the one beside the gate."""
        beside = f"{parent}/{reference}" if parent else reference
        if self.counts[beside] == 1:
            return beside
        end = f"/{reference}"[::-1]
        first = bisect_left(self.reversed, end)
        n_hits = bisect_left(self.reversed, f"{end}{_LAST}") - first
        if n_hits != 1:
            raise GatingError(f"the boolean gate refers to '{reference}', which {n_hits} populations could be")
        return self.reversed[first][::-1].removeprefix("/")
