"""FlowKit objects in: a Sample as a tube, a GatingStrategy as a strategy, a Session or Workspace as both.

Gates are mapped object by object. Where FlowKit departs from Gating-ML 2.0 the strategy follows FlowKit,
so that memberships are the same: ratios are of values as acquired, and an axis declared uncompensated is
compensated when another axis of its gate is.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from immunolab.errors import DataFileError, GatingError, Problem
from immunolab.events.tube import Spillover, Tube
from immunolab.gating.exchange.flowkit_scales import display_units, scale_of
from immunolab.gating.exchange.tree import Node, assemble, outside
from immunolab.gating.strategy import Boolean, Dimension, Ellipsoid, Gate, Polygon, Ratio, Rectangle, Strategy
from immunolab.loaders.fcs.channels import unique_names
from immunolab.loaders.fcs.data import not_finite
from immunolab.loaders.fcs.spillover import keyword_spillover, match_spillover
from immunolab.vocabulary.panel import resolve_channels

_NOT_COMPENSATED = (None, "uncompensated")  # how a dimension of FlowKit says it

_IN_MEMORY = "InMemoryFile"  # FlowIO's name for a file that it made itself


@dataclass(frozen=True)
class FlowKitSamples:
    """What a FlowKit Session or Workspace holds.

    Attributes
    ----------
    tubes
        The loaded samples, by FlowKit's sample id.
    strategies
        The gates of each sample, by sample id; a Workspace may have more of them than tubes.
    """

    tubes: Mapping[str, Tube] = field(repr=False)
    strategies: Mapping[str, Strategy] = field(repr=False)

    def __repr__(self) -> str:
        return (
            f"FlowKitSamples({len(self.tubes)} tubes, {len(self.strategies)} strategies: {', '.join(self.strategies)})"
        )


def from_flowkit(subject: Any) -> Tube | Strategy | FlowKitSamples:
    """Return what a FlowKit object holds, as objects of this package.

    Parameters
    ----------
    subject
        A ``flowkit`` Sample, GatingStrategy, Session or Workspace.

    Returns
    -------
    Tube
        Of a Sample: its raw events as float32 (what FCS files of floats hold; events of a DataFrame in double
        precision are rounded), the matrix applied to it or else that of its keywords, and the markers of its labels.
    Strategy
        Of a GatingStrategy: its template gates. Quadrants become rectangles directly under the parent.
    FlowKitSamples
        Of a Session or Workspace: tubes with the matrix of their file, and each sample's own gates.

    Raises
    ------
    GatingError
        Some gates cannot be carried over; all are listed.
    DataFileError
        A sample's matrix cannot be used.
    TypeError
        `subject` is none of these.

    Examples
    --------
    >>> import flowkit
    >>> tube = il.from_flowkit(flowkit.Sample("sample_data/sle/fcs/SLE001_W0.fcs"))
    >>> round(il.gate(tube, "treg_th17_tfh_teff").percent("Treg", of="CD4"), 1)
    4.8
    """
    import flowkit

    if isinstance(subject, flowkit.Sample):
        return _tube(subject, subject.compensation)
    if isinstance(subject, flowkit.GatingStrategy):
        return _strategy(subject, "FlowKit gates")
    if isinstance(subject, flowkit.Session):
        samples = {key: subject.get_sample(key) for key in subject.get_sample_ids()}
        strategies = {key: _strategy(subject.gating_strategy, key, sample) for key, sample in samples.items()}
    elif isinstance(subject, flowkit.Workspace):
        samples = {key: subject.get_sample(key) for key in subject.get_sample_ids()}
        strategies = {
            key: _strategy(subject.get_gating_strategy(key), key, samples.get(key))
            for key in subject.get_sample_ids(loaded_only=False)
        }
    else:
        raise TypeError(
            f"a flowkit Sample, GatingStrategy, Session or Workspace is needed, not {type(subject).__name__}"
        )
    return FlowKitSamples({key: _tube(sample) for key, sample in samples.items()}, strategies)


def _tube(sample: Any, applied: Any = None) -> Tube:
    """Return a Sample's events; with ``applied``, a matrix of FlowKit, instead of its file's."""
    names, labels = _names(sample), [(label or "").strip() for label in sample.pns_labels]
    columns = np.ascontiguousarray(sample.get_events(source="raw").T, dtype=np.float32)
    where = _file(sample)
    matrix, notes = _matrix_of_sample(sample, applied, where)
    if matrix is not None:
        matrix, more = match_spillover(matrix, names, labels, where)
        notes = [*notes, *more]
    named = resolve_channels(names, labels)
    channels = tuple(replace(channel, top=top) for channel, top in zip(named, _tops(sample), strict=True))
    warnings = (*notes, *not_finite(columns, names))
    return Tube(columns, channels, matrix, sample_id=sample.id, file=where, warnings=warnings)


def _tops(sample: Any) -> list[float]:
    """Return the end of each channel in instrument units; 0 where values are as stored in the file."""
    if not sample.is_preprocessed:
        return [0.0] * len(sample.channels)
    described = zip(sample.channels["pne"], sample.channels["pnr"], sample.channels["png"], strict=True)
    return [(at_zero * 10.0**decades if decades else end) / gain for (decades, at_zero), end, gain in described]


def _matrix_of_sample(sample: Any, applied: Any, where: str) -> tuple[Spillover | None, Sequence[str]]:
    if applied is not None:
        if not _is_square(applied):
            raise DataFileError("the matrix applied to the sample unmixes spectra", where, "bridge the unmixed events")
        return _matrix(applied, "FlowKit", _channels_by_word(sample)), ()
    if not sample.is_preprocessed:
        return None, ("values are as stored in the file (preprocess=False); a matrix does not apply to them",)
    return keyword_spillover({f"${key.upper()}": value for key, value in sample.metadata.items()}, where)


def _file(sample: Any) -> str:
    named = sample.current_filename
    return str(sample.metadata.get("fil", sample.id) if named in (None, _IN_MEMORY) else named)


def _names(sample: Any) -> list[str]:
    """Return ``$PnN`` as in the file; a Workspace writes ``_`` for ``/`` in the Sample's own list."""
    names, _ = unique_names([str(name) for name in sample.channels["pnn"]])
    return names


def _matrix(matrix: Any, name: str, channels: Mapping[str, str]) -> Spillover:
    detectors = tuple(channels.get(detector, detector) for detector in matrix.detectors)
    return Spillover(detectors, np.asarray(matrix.matrix, dtype=np.float64), name)


def _is_square(matrix: Any) -> bool:
    """Whether a matrix compensates; FlowKit's SpectralMatrix unmixes."""
    import flowkit

    return isinstance(matrix, flowkit.Matrix)


def _strategy(gates: Any, name: str, sample: Any = None) -> Strategy:
    """Return the gates of a GatingStrategy, those tailored to a sample where there is one."""
    channels = _channels_by_word(sample) if sample is not None else {}
    reader = _Reader(gates, channels, sample.id if sample is not None else None)
    populations, problems = assemble({node.key: node for node in reader.nodes()}, name)
    if problems:
        raise cannot_carry(problems, name)
    matrices = {key: _matrix(item, key, channels) for key, item in gates.comp_matrices.items() if _is_square(item)}
    return Strategy(name, populations, matrices, source="FlowKit")


def cannot_carry(problems: Sequence[Problem], where: str) -> GatingError:
    """Return one error that lists every gate that cannot be carried over, with the ways to fix them.

    Parameters
    ----------
    problems
        One a gate; ``place`` is its path.
    where
        The strategy or sample.
    """
    lines = "".join(f"\n    {problem.place}: {problem.message}" for problem in problems)
    hints = "; ".join(dict.fromkeys(problem.hint for problem in problems if problem.hint))
    return GatingError(f"gates that cannot be carried over: {len(problems)}{lines}", where, hints)


def _channels_by_word(sample: Any) -> dict[str, str]:
    """Return ``$PnN`` by FlowKit's words for a channel: its name, its label, its name with ``_`` for ``/``."""
    names = _names(sample)
    ways = (sample.pnn_labels, sample.pns_labels, [name.replace("/", "_") for name in names])
    found: dict[str, str] = {}
    for words in ways:
        for word, name in zip(words, names, strict=True):
            if word:
                found.setdefault(word, name)
    return found


@dataclass(frozen=True)
class _Reader:
    """Reads the gates of one GatingStrategy; ``channels`` maps FlowKit's words for a channel to ``$PnN``."""

    gates: Any
    channels: Mapping[str, str]
    sample_id: str | None

    def nodes(self) -> Iterator[Node]:
        """Yield every gate; a quadrant gate's quadrants have its parent."""
        import flowkit

        gates = self.gates
        for name, path in gates.get_gate_ids():
            try:
                gate = gates.get_gate(name, path, sample_id=self.sample_id)
            except flowkit.exceptions.QuadrantReferenceError:
                continue  # yielded with its gate
            key, parent = "/".join((*path[1:], name)), "/".join(path[1:])
            if isinstance(gate, flowkit.gates.QuadrantGate):
                yield from self._quadrants(gate, key, parent)
                continue
            node = Node(key, name, parent, self._gate(gate))
            yield from outside(node) if getattr(gate, "use_complement", False) else (node,)

    def _gate(self, gate: Any) -> Gate | GatingError:
        from flowkit import gates as fk

        try:
            match gate:
                case fk.BooleanGate():
                    keys = tuple("/".join((*item["path"][1:], item["ref"])) for item in gate.gate_refs)
                    return Boolean(gate.type, keys, tuple(bool(item["complement"]) for item in gate.gate_refs))
                case fk.RectangleGate():
                    return self._rectangle(gate)
                case fk.PolygonGate():
                    return self._polygon(gate)
                case fk.EllipsoidGate():
                    return self._ellipsoid(gate)
        except GatingError as error:
            return error
        hint = "supported are the gates of flowkit.gates"
        return GatingError(f"gates of class {type(gate).__name__} are not supported", hint=hint)

    def _rectangle(self, gate: Any) -> Rectangle:
        dimensions = self._dimensions(gate)
        sides = list(zip(gate.dimensions, dimensions, strict=True))
        # a RatioDimension without a border on a side has no attribute for it
        lower = tuple(_on(axis, getattr(side, "min", None)) for side, axis in sides)
        upper = tuple(_on(axis, getattr(side, "max", None)) for side, axis in sides)
        return Rectangle(dimensions, lower, upper)

    def _polygon(self, gate: Any) -> Polygon:
        x, y = self._dimensions(gate)
        units = display_units(x.transform), display_units(y.transform)
        return Polygon((x, y), tuple((float(a) / units[0], float(b) / units[1]) for a, b in gate.vertices))

    def _ellipsoid(self, gate: Any) -> Ellipsoid:
        dimensions = self._dimensions(gate)
        units = np.array([display_units(axis.transform) for axis in dimensions])
        mean = np.asarray(gate.coordinates, dtype=np.float64) / units
        covariance = np.asarray(gate.covariance_matrix, dtype=np.float64) / np.outer(units, units)
        rows = tuple(tuple(row) for row in covariance.tolist())
        return Ellipsoid(dimensions, tuple(mean.tolist()), rows, float(gate.distance_square))

    def _quadrants(self, gate: Any, key: str, parent: str) -> Iterator[Node]:
        try:
            axes = {divider.id: axis for divider, axis in zip(gate.dimensions, self._dimensions(gate), strict=True)}
        except GatingError as error:
            yield Node(key, gate.gate_name, parent, error)
            return
        for name, quadrant in gate.quadrants.items():
            used = tuple(axes[reference] for reference in quadrant.divider_refs)
            ranges = [quadrant.get_divider_range(reference) for reference in quadrant.divider_refs]
            lower, upper = (
                tuple(_on(axis, border[side]) for axis, border in zip(used, ranges, strict=True)) for side in (0, 1)
            )
            yield Node(f"{key}/{name}", name, parent, Rectangle(used, lower, upper))

    def _dimensions(self, gate: Any) -> tuple[Dimension, ...]:
        references = {item.compensation_ref for item in gate.dimensions} - set(_NOT_COMPENSATED)
        if len(references) > 1:
            named = " and ".join(sorted(map(repr, references)))
            raise GatingError(
                f"its axes use different matrices, {named}", hint="use one matrix in a gate, as FlowKit does"
            )
        reference = next(iter(references), "uncompensated")
        return tuple(self._dimension(item, reference) for item in gate.dimensions)

    def _dimension(self, item: Any, reference: str) -> Dimension:
        scale = scale_of(self._defined("transform", self.gates.transformations, item.transformation_ref))
        ratio = getattr(item, "ratio_ref", None)
        if ratio is not None:
            made = self._defined("ratio", self.gates.transformations, ratio)
            top, bottom = (self.channels.get(word, word) for word in made.dimensions)
            return Dimension(ratio, scale, "none", Ratio(top, bottom, made.param_a, made.param_b, made.param_c))
        word = getattr(item, "dimension_ref", item.id)
        if reference in ("FCS", "uncompensated"):
            return Dimension(self.channels.get(word, word), scale, "sample" if reference == "FCS" else "none")
        matrix = self._defined("matrix", self.gates.comp_matrices, reference)
        if not _is_square(matrix):
            raise GatingError(f"matrix '{reference}' unmixes spectra", hint="gate the unmixed channels")
        if word not in self.channels and word in matrix.fluorochromes and word not in matrix.detectors:
            word = matrix.detectors[matrix.fluorochromes.index(word)]
        return Dimension(self.channels.get(word, word), scale, reference)

    def _defined(self, kind: str, among: Mapping[str, Any], reference: str | None) -> Any:
        if reference is not None and reference not in among:
            raise GatingError(f"{kind} '{reference}' is not in the GatingStrategy", hint=f"add the {kind} to it")
        return None if reference is None else among[reference]


def _on(axis: Dimension, value: float | None) -> float | None:
    return None if value is None else float(value) / display_units(axis.transform)
