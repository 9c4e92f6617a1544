"""Tubes and strategies out as FlowKit objects that give the same memberships, event by event."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from immunolab.errors import DataFileError, GatingError, Problem
from immunolab.events.tube import Spillover, Tube
from immunolab.gating.axes import channels_of
from immunolab.gating.exchange.flowkit_scales import display_units, transform_of
from immunolab.gating.exchange.from_flowkit import cannot_carry
from immunolab.gating.strategy import (
    ROOT,
    Boolean,
    Dimension,
    Ellipsoid,
    Polygon,
    Population,
    Rectangle,
    Strategy,
)
from immunolab.gating.tubes import GatedTube
from immunolab.vocabulary.labels import resolve_label

Side = float | None
_PLACES_IN_A_TREE = (".", "..", ROOT)  # names that FlowKit's gate tree takes for a place in it


def to_flowkit(subject: Tube | Strategy | GatedTube | Sequence[GatedTube]) -> Any:
    """Return a tube, strategy or gated tubes as FlowKit objects with the same events in every population.

    Parameters
    ----------
    subject
        A tube; a strategy whose gates have coordinates; a gated tube, or several.

    Returns
    -------
    flowkit.Sample
        Of a tube: its events, with the marker of each channel as label and the matrix among the keywords.
    flowkit.GatingStrategy
        Of a strategy. Its axes keep their names, which FlowKit looks up among a sample's channels and labels; axes
        compensated with the tube's own matrix refer to the sample's keywords (``FCS``).
    flowkit.Session
        Of gated tubes: the first one's gates are the template, and where another one's gate differs it is that
        sample's custom gate. ``session.analyze_samples()`` counts.

    Raises
    ------
    GatingError
        FlowKit cannot hold some gates, or the tubes' trees differ; all are listed.
    DataFileError
        FlowKit does not keep a tube's channel names.
    TypeError
        The subject is something else.

    Examples
    --------
    >>> gated = il.gate(il.read_fcs("sample_data/sle/fcs/SLE001_W0.fcs"), "treg_th17_tfh_teff")
    >>> session = il.to_flowkit(gated)
    >>> session.analyze_samples()
    >>> theirs = session.get_gate_membership(session.get_sample_ids()[0], "Treg")
    >>> bool((theirs == gated.mask("Treg")).all())
    True
    """
    if isinstance(subject, Tube):
        return _sample(subject)
    if isinstance(subject, Strategy):
        return _gating_strategy([_Source(subject)])
    if not isinstance(subject, GatedTube | Sequence):
        raise TypeError(f"a Tube, a Strategy, a GatedTube or several are needed, not {type(subject).__name__}")
    return _session([subject] if isinstance(subject, GatedTube) else subject)


def _session(gated: Sequence[GatedTube]) -> Any:
    import flowkit

    ids = [_sample_id(one.tube) for one in gated]
    duplicated = sorted({key for key in ids if ids.count(key) > 1})
    if duplicated:
        raise GatingError(f"duplicated sample ids: {', '.join(duplicated)}", hint="give each tube its own sample_id")
    strategy = _gating_strategy([_Source(one.on_channels(), one.tube) for one in gated])
    return flowkit.Session(strategy, fcs_samples=[_sample(one.tube) for one in gated])


def _sample(tube: Tube) -> Any:
    import flowio
    import flowkit

    names = [channel.name for channel in tube.channels]
    labels = [channel.marker or channel.label for channel in tube.channels]
    keywords = {"fil": Path(tube.file).name or _sample_id(tube)}
    if tube.spillover is not None:
        keywords["spillover"] = _keyword(tube.spillover)
    file = io.BytesIO()
    flowio.create_fcs(file, tube.columns.T.ravel(), names, labels, keywords)
    sample = flowkit.Sample(flowio.FlowData(file), sample_id=_sample_id(tube))
    changed = [name for name, kept in zip(names, sample.pnn_labels, strict=True) if name != kept]
    if changed:
        raise DataFileError(f"FlowKit changes these channel names: {', '.join(changed)}", tube.file, "rename them")
    # create_fcs writes 262,144 for every channel
    sample.channels["pnr"] = [
        channel.top or end for channel, end in zip(tube.channels, sample.channels["pnr"], strict=True)
    ]
    return sample


def _sample_id(tube: Tube) -> str:
    return tube.sample_id or tube.file or "tube"


def _keyword(matrix: Spillover) -> str:
    values = [repr(float(value)) for value in matrix.matrix.ravel()]
    return ",".join([str(len(matrix.channels)), *matrix.channels, *values])


@dataclass(frozen=True)
class _Source:
    """A strategy, and the tube it is meant for when it is known."""

    strategy: Strategy
    tube: Tube | None = None

    def matrix(self, compensation: str) -> Spillover | None:
        """Return the matrix that a compensation word means; None for ``none``, and where the tube is not known."""
        if compensation == "none":
            return None
        if compensation == "sample":
            return None if self.tube is None else self.tube.spillover
        if compensation not in self.strategy.matrices:
            raise GatingError(f"spillover matrix '{compensation}' is unknown", hint="add it to the strategy")
        return self.strategy.matrices[compensation]

    def compensates(self, compensation: str, channel: str) -> bool:
        """Whether a channel is changed; where the tube is not known, its own matrix has all dyes."""
        if compensation == "sample" and self.tube is None:
            return resolve_label("", channel).kind not in ("scatter", "time")
        matrix = self.matrix(compensation)
        return matrix is not None and channel in matrix.channels

    @property
    def sample_id(self) -> str:
        """FlowKit's id of the tube."""
        return "" if self.tube is None else _sample_id(self.tube)

    @cached_property
    def populations(self) -> dict[str, Population]:
        """The populations by path."""
        return {population.path: population for population in self.strategy.populations}

    @property
    def some_channel(self) -> str:
        """A channel for a gate that holds all events."""
        axes = [axis for p in self.strategy.populations for axis in getattr(p.gate, "dimensions", ())]
        return channels_of(axes[0])[0] if axes else "Time" if self.tube is None else self.tube.channels[0].name


def _gating_strategy(sources: Sequence[_Source]) -> Any:
    """Return the gates of the first source, with custom gates by sample id for the others."""
    first, *others = sources
    writer = _StrategyWriter()
    gates = [_gates(source, writer) for source in sources]
    problems = [item for made in gates for item in made.values() if isinstance(item, Problem)]
    problems += [problem for source in others for problem in _differences(first, source)]
    if problems:
        raise cannot_carry(list(dict.fromkeys(problems)), first.strategy.name)
    for path, gate in gates[0].items():
        writer.made.add_gate(gate, _above(path))
    for source, made in zip(others, gates[1:], strict=True):
        for path, gate in made.items():
            if writer.key(path, source) != writer.key(path, first):
                writer.made.add_gate(gate, _above(path), sample_id=source.sample_id)
    return writer.made


def _above(path: str) -> tuple[str, ...]:
    return (ROOT, *path.split("/")[1:-1])


def _gates(source: _Source, writer: _StrategyWriter) -> dict[str, Any]:
    """Return FlowKit's gates by path; a Problem where there is none."""
    gates: dict[str, Any] = {}
    for population in source.strategy.populations:
        try:
            gates[population.path] = writer.gate(population, source)
        except GatingError as error:
            gates[population.path] = Problem("", population.path, error.message, error.hint)
    return gates


def _differences(first: _Source, other: _Source) -> Iterator[Problem]:
    """Yield the gates for which a Session has no place: FlowKit's custom gates differ in their borders only."""
    one, two = ({p.path: p.gate for p in source.strategy.populations} for source in (first, other))
    hint, both = "make a session for each tube", f"{first.sample_id} and {other.sample_id}"
    for path in sorted(one.keys() ^ two.keys()):
        yield Problem("", path, f"it is a gate of {first.sample_id if path in one else other.sample_id} only", hint)
    for path in sorted(one.keys() & two.keys()):
        axes = [[axis.name for axis in getattr(gates[path], "dimensions", ())] for gates in (one, two)]
        if type(one[path]) is not type(two[path]) or axes[0] != axes[1]:
            yield Problem("", path, f"its kind or its axes differ between {both}", hint)
        elif one[path] != two[path] and any(axis.ratio for axis in getattr(one[path], "dimensions", ())):
            yield Problem("", path, f"the gate of a ratio differs between {both}", hint)


def _empty_strategy() -> Any:
    import flowkit

    return flowkit.GatingStrategy()


@dataclass
class _StrategyWriter:
    """Makes the gates of one GatingStrategy; scales, ratios and matrices are added to it where first used."""

    made: Any = field(default_factory=_empty_strategy)
    ids: dict[Any, str] = field(default_factory=dict)

    def key(self, path: str, source: _Source) -> tuple[Any, ...]:
        """Return what makes two gates of one path the same gate."""
        gate = source.populations[path].gate
        return gate, tuple(self._reference(axis, source) for axis in getattr(gate, "dimensions", ()))

    def gate(self, population: Population, source: _Source) -> Any:
        """Return a population's gate as FlowKit's."""
        import flowkit

        name, gate, fk = population.name, population.gate, flowkit.gates
        if name in _PLACES_IN_A_TREE:
            raise GatingError(f"FlowKit takes the name '{name}' for a place in its tree", hint="rename the population")
        match gate:
            case None:
                return fk.RectangleGate(name, [flowkit.Dimension(source.some_channel)])
            case Boolean():
                terms = zip(gate.operands, gate.complement, strict=True)
                return fk.BooleanGate(name, gate.operator, [_reference_to(path, flip) for path, flip in terms])
            case Rectangle():
                return fk.RectangleGate(name, self._axes(gate.dimensions, source, gate.lower, gate.upper))
            case Polygon():
                units = [display_units(axis.transform) for axis in gate.dimensions]
                corners = [[x * units[0], y * units[1]] for x, y in gate.vertices]
                return fk.PolygonGate(name, self._axes(gate.dimensions, source), corners)
            case Ellipsoid():
                each = np.array([display_units(axis.transform) for axis in gate.dimensions])
                centre, spread = np.asarray(gate.mean) * each, np.asarray(gate.covariance) * np.outer(each, each)
                axes = self._axes(gate.dimensions, source)
                return fk.EllipsoidGate(name, axes, centre.tolist(), spread.tolist(), gate.distance_square)
        raise GatingError("the gate has no coordinates yet", hint="gate a tube, and carry over the gated tube")

    def _axes(
        self, axes: Sequence[Dimension], source: _Source, lower: Sequence[Side] = (), upper: Sequence[Side] = ()
    ) -> list[Any]:
        _check_axes(axes, source)
        sides = zip(axes, lower or [None] * len(axes), upper or [None] * len(axes), strict=True)
        return [self._axis(axis, source, low, high) for axis, low, high in sides]

    def _axis(self, axis: Dimension, source: _Source, low: Side, high: Side) -> Any:
        import flowkit

        units = display_units(axis.transform)
        borders = [None if side is None else side * units for side in (low, high)]
        scale, ratio = transform_of(axis.transform), axis.ratio
        name = None if scale is None else self._added(axis.transform, "T", scale, self.made.add_transform)
        if ratio is None:
            return flowkit.Dimension(axis.name, self._reference(axis, source), name, *borders)
        sides = [ratio.numerator, ratio.denominator]
        made_ratio = flowkit.transforms.RatioTransform(sides, ratio.a, ratio.b, ratio.c)
        label = self._added(ratio, "R", made_ratio, self.made.add_transform)
        made = flowkit.RatioDimension(label, "uncompensated", name, *borders)
        made.min, made.max = borders  # FlowKit itself leaves out the attribute of an open side, and then fails
        return made

    def _reference(self, axis: Dimension, source: _Source) -> str:
        import flowkit

        if axis.ratio is not None or not source.compensates(axis.compensation, axis.name):
            return "uncompensated"
        matrix = source.matrix(axis.compensation)
        if matrix is None:
            return "FCS"
        key = matrix.channels, matrix.matrix.tobytes()
        made = flowkit.Matrix(np.array(matrix.matrix, dtype=np.float64), list(matrix.channels))
        return self._added(key, "M", made, self.made.add_comp_matrix)

    def _added(self, key: Any, letter: str, item: Any, add: Callable[[str, Any], None]) -> str:
        """Return the id of an object in the GatingStrategy, added when first asked for."""
        if key not in self.ids:
            self.ids[key] = f"{letter}{len(self.ids) + 1}"
            add(self.ids[key], item)
        return self.ids[key]


def _check_axes(axes: Sequence[Dimension], source: _Source) -> None:
    """Refuse a gate whose axes FlowKit would not compute as they are meant."""
    plain, ratios = [axis for axis in axes if axis.ratio is None], [axis for axis in axes if axis.ratio is not None]
    if len({axis.name for axis in plain}) < len(plain):
        raise GatingError("it has one channel on two axes, which FlowKit transforms twice", hint="draw it on one axis")
    if len(ratios) > 1:
        raise GatingError("FlowKit has one ratio a gate at most", hint="split the gate")
    for axis in ratios:
        if any(source.compensates(axis.compensation, channel) for channel in channels_of(axis)):
            raise GatingError("FlowKit takes ratios of values as acquired, not compensated", hint="use another gate")
    used = {axis.compensation for axis in plain if source.compensates(axis.compensation, axis.name)}
    if len(used) > 1:
        raise GatingError(
            f"its axes use different matrices: {', '.join(sorted(used))}", hint="use one matrix in a gate"
        )
    for axis in plain:
        if axis.compensation not in used and any(source.compensates(word, axis.name) for word in used):
            hint = "compensate both axes"
            raise GatingError(f"FlowKit would compensate '{axis.name}' along with the gate's other axis", hint=hint)


def _reference_to(path: str, complement: bool) -> dict[str, Any]:
    return {"ref": path.rsplit("/", 1)[1], "path": _above(path), "complement": complement}
