"""A strategy written to a file: its own YAML, Gating-ML or a FlowJo workspace, by the name's ending."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np

from immunolab.config import dump_yaml
from immunolab.errors import InputError, Problem
from immunolab.events.transforms import (
    Asinh,
    Auto,
    Biex,
    Hyperlog,
    Identity,
    Linear,
    Log,
    Logicle,
    ScaledAsinh,
    Transform,
)
from immunolab.events.tube import Spillover, Tube
from immunolab.gating.axes import Tree, on_channels
from immunolab.gating.borders import is_corner, off_axis, on_axis
from immunolab.gating.gates import (
    Boolean,
    Declared,
    Dimension,
    Ellipsoid,
    Gate,
    Polygon,
    Population,
    PopulationTree,
    Rectangle,
)
from immunolab.gating.placement.rules import is_scatter
from immunolab.gating.strategy_units import has_position
from immunolab.schema.files import write_atomically
from immunolab.schema.flags import Flag, split
from immunolab.vocabulary.phenotypes import spell_phenotype

SUFFIXES = (".yaml", ".yml", ".xml", ".wsp")
SCALES: dict[str, type] = {
    "linear": Identity, "logicle": Logicle, "asinh": Asinh, "log": Log, "hyperlog": Hyperlog, "biex": Biex,
    "linear_range": Linear, "scaled_asinh": ScaledAsinh, "auto": Auto,
}  # fmt: skip
_OTHER = "save as .xml"
_FARTHEST = 1e30  # instrument units: an open edge is written no further out, far beyond any detector (2^22)


def save_strategy(
    tree: PopulationTree, path: Path | str, tube: Tube | None = None, counts: Mapping[str, int] | None = None
) -> tuple[Problem, ...]:
    """Write a strategy; see `Strategy.save`.

    Parameters
    ----------
    tree
        The strategy.
    path
        The file.
    tube
        Gives the channel of each marker, and what a workspace says of its file.
    counts
        Events by path, for a workspace.

    Raises
    ------
    InputError
        The ending is unknown, a workspace has no tube, or the format cannot hold a gate.
    """
    path = Path(path)
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        hint = f"endings: {', '.join(SUFFIXES)}"
        raise InputError(Problem(str(path), "", f"unknown ending '{suffix}'", hint))
    if path.is_dir():
        raise InputError(Problem(str(path), "", "is a folder", f"name a file in it: {path / 'gates'}{suffix}"))
    if suffix in (".yaml", ".yml"):
        text = strategy_text(with_own_matrix(tree, tube))
        write_atomically(path, lambda part: part.write_text(text, encoding="utf-8"))
        return ()
    unplaced = [Problem(tree.name, p.path, "data have yet to place the gate") for p in tree.populations if _open(p)]
    if unplaced:
        hint = "save the gates of a tube: il.gate(tube, strategy).save(path), or the strategy itself as .yaml"
        raise InputError([*unplaced[:-1], Problem(tree.name, unplaced[-1].place, unplaced[-1].message, hint)])
    named = tree if tube is None else on_channels(tree, tube)
    from immunolab.gating.exchange.flowjo_out import WorkspaceSample, write_workspace
    from immunolab.gating.exchange.gatingml_out import write_gatingml

    if suffix == ".xml":
        return write_gatingml(named, path)
    if tube is None:
        hint = "give the tube: strategy.save(path, tube=tube), or save the gated tube"
        raise InputError(Problem(str(path), "", "gates of a workspace belong to a file", hint))
    names = tuple(channel.name for channel in tube.channels)
    file = Path(tube.file or f"{tube.sample_id or 'tube'}.fcs")
    sample = WorkspaceSample(file, named, names, tube.n_events, tube.spillover, counts or {})
    return write_workspace([sample], path)


def _open(population: Population) -> bool:
    return isinstance(population.gate, Declared)


def strategy_text(tree: PopulationTree) -> str:
    """Return a strategy as the text of its file.

    Parameters
    ----------
    tree
        Placed or declared.

    Raises
    ------
    InputError
        Everything that the file cannot hold.
    """
    problems = _gathered(tree)
    scales, clashes = _scales(tree)
    problems += clashes
    numbers = _numbers(tree)
    if numbers is None:
        hint = "give all numbers of the file in one unit"
        problems.append(
            Problem(tree.name, "", "some borders are on the display scale, others in instrument units", hint)
        )
    names = [p.name for p in tree.populations]
    for name in dict.fromkeys(n for n in names if names.count(n) > 1):
        problems.append(Problem(tree.name, name, "several populations have this name", "rename all but one, by path"))
    if problems:
        raise InputError(problems)
    block = tree.settings.get("transform", {})
    transform: dict[str, Any] = {
        "default": _scale(block.get("default") or Auto()),
        "scatter": _scale(block.get("scatter") or Identity()),
    }
    data: dict[str, Any] = {"strategy": tree.name, "numbers": numbers, "specimen": tree.specimen}
    data["transform"] = transform | ({"markers": {name: _scale(one) for name, one in scales.items()}} if scales else {})
    if tree.settings.get("thresholds"):
        data["thresholds"] = {marker: _rule(rule) for marker, rule in tree.settings["thresholds"].items()}
    data["populations"] = [_entry(tree, p, str(numbers)) for p in tree.populations]
    return dump_yaml(data)


def _faults(population: Population) -> Iterator[tuple[str, str]]:
    """Yield what a strategy file cannot hold of a gate, and how to fix it."""
    gate = population.gate
    if Flag.NO_BORDER in split(population.flag):
        yield "it has no border, which such a file cannot say", "move it by hand, remove it, or save as .xml"
    if isinstance(gate, Boolean) and gate.operator == "or" and any(gate.complement):
        yield "'or' with a negated population has no words in this file", "make the negated one a population of its own"
    if not isinstance(gate, Rectangle | Polygon | Ellipsoid):
        return
    if len(gate.dimensions) > 2 and isinstance(gate, Ellipsoid):
        yield "an ellipsoid of three or more channels has no words in this file", _OTHER
    for dimension in gate.dimensions:
        if dimension.ratio is not None:
            yield "a ratio of channels has no words in this file", _OTHER
        elif dimension.compensation != "sample" and not is_scatter(dimension.name):
            yield "the gate is not on channels compensated with the tube's own matrix", _OTHER
        elif type(dimension.transform) not in SCALES.values():
            yield f"the scale {type(dimension.transform).__name__.lower()} has no words in this file", _OTHER


def _gathered(tree: PopulationTree) -> list[Problem]:
    """Return one problem for each kind of fault, with the populations that have it."""
    owners: dict[tuple[str, str], list[str]] = {}
    for population in tree.populations:
        for fault in dict.fromkeys(_faults(population)):
            owners.setdefault(fault, []).append(population.name)
    return [Problem(tree.name, ", ".join(names), *fault) for fault, names in owners.items()]


def with_own_matrix(tree: Tree, tube: Tube | None) -> Tree:
    """Return a tree in which a matrix that is the tube's own is called so.

    Parameters
    ----------
    tree
        Any strategy.
    tube
        Its spillover is looked for among the matrices of the tree.
    """
    own = None if tube is None else tube.spillover
    if own is None:
        return tree
    named = {name for name, matrix in tree.matrices.items() if _alike(matrix, own)}
    populations = []
    for population in tree.populations:
        gate = population.gate
        if isinstance(gate, Rectangle | Polygon | Ellipsoid):
            axes: Any = tuple(
                replace(d, compensation="sample") if d.compensation in named else d for d in gate.dimensions
            )
            population = replace(population, gate=replace(gate, dimensions=axes))
        populations.append(population)
    return replace(tree, populations=tuple(populations))


def _alike(a: Spillover, b: Spillover) -> bool:
    if set(a.channels) != set(b.channels):
        return False
    order = [b.channels.index(channel) for channel in a.channels]
    return bool(np.allclose(a.matrix, b.matrix[np.ix_(order, order)], rtol=1e-9, atol=1e-12))


def _drawn(tree: PopulationTree) -> Iterator[tuple[Population, Dimension]]:
    for population in tree.populations:
        gate = population.gate
        if isinstance(gate, Rectangle | Polygon | Ellipsoid):
            yield from ((population, dimension) for dimension in gate.dimensions if dimension.ratio is None)


def _scales(tree: PopulationTree) -> tuple[dict[str, Transform], list[Problem]]:
    """Return the scale of each channel with a gate, and what several gates disagree on."""
    scales: dict[str, Transform] = dict(tree.settings.get("transform", {}).get("markers", {}))
    problems = []
    for population, dimension in _drawn(tree):
        known = scales.setdefault(dimension.name, dimension.transform)
        if known != dimension.transform:
            message = f"{dimension.name} is on another scale here than in gates before"
            problems.append(Problem(tree.name, population.path, message, "save as .xml"))
    return scales, problems


def _scale(scale: Transform) -> Any:
    name = next(word for word, kind in SCALES.items() if type(scale) is kind)
    parameters = {f.name: float(getattr(scale, f.name)) for f in fields(scale)}  # type: ignore[arg-type]
    return {name: parameters} if parameters else name


def _numbers(tree: PopulationTree) -> str | None:
    """Return the unit of the file's numbers: that of the rules of borders; None where these differ."""
    rules = [p.gate.settings for p in tree.populations if isinstance(p.gate, Declared)]
    blocks = list(tree.settings.get("thresholds", {}).values())
    units = {unit for rule in (*rules, *blocks) for unit in _units(rule)}
    if len(units) > 1:
        return None
    return next(iter(units), "instrument")


def _units(rule: Mapping[str, Any]) -> Iterator[str]:
    if has_position(rule):
        yield str(rule.get("numbers", "display"))
    for value in rule.values():
        if isinstance(value, Mapping):
            yield from _units(value)


def _entry(tree: PopulationTree, population: Population, numbers: str) -> dict[str, Any]:
    entry: dict[str, Any] = {"name": population.name, "parent": population.parent}
    entry |= _gate(population.gate, numbers)
    optional = tree.settings.get("optional", {}).get(population.path)
    if optional:
        entry["optional"] = {"true": True}.get(optional, optional)
    if population.definition:
        entry["definition"] = population.definition
    other = tree.settings.get("otherwise", {}).get(population.path)
    if other is not None:
        entry["otherwise"] = _gate(other.gate, numbers) | ({"definition": other.definition} if other.definition else {})
    return entry


def words_of(gate: Rectangle | Polygon | Ellipsoid) -> dict[str, Any] | None:
    """Return a drawn gate in the words of a strategy file, in instrument units; None where these have no word for it.

    Parameters
    ----------
    gate
        With coordinates. An ellipse is given by its centre and the ends of its half axes.
    """
    if any(True for _ in _faults(Population("/gate", gate))):
        return None
    if not isinstance(gate, Ellipsoid):
        return _gate(gate, "instrument")
    x, y = gate.dimensions
    lengths, directions = np.linalg.eigh(np.asarray(gate.covariance, dtype=float) * gate.distance_square)
    arms = np.sqrt(np.maximum(lengths, 0.0)) * directions
    ends = [[gate.mean[0] + arm[0], gate.mean[1] + arm[1]] for arm in arms.T[::-1]]
    center, *ends = [[_value(x, a, "instrument"), _value(y, b, "instrument")] for a, b in (gate.mean, *ends)]
    return {"ellipse": {"x": x.name, "y": y.name, "center": center, "ends": ends}}


def _gate(gate: Gate | None, numbers: str) -> dict[str, Any]:
    match gate:
        case Declared():
            return _declared(gate)
        case Boolean():
            return _boolean(gate)
        case Rectangle():
            sides = zip(gate.dimensions, gate.lower, gate.upper, strict=True)
            return {
                "rectangle": {d.name: [_value(d, low, numbers), _value(d, high, numbers)] for d, low, high in sides}
            }
        case Polygon():
            x, y = gate.dimensions
            points = [[_value(x, a, numbers), _value(y, b, numbers)] for a, b in _within_reach(gate)]
            return {"polygon": {"x": x.name, "y": y.name, "points": points}}
        case Ellipsoid():
            x, y = gate.dimensions
            shape = {"mean": list(gate.mean), "covariance": [list(row) for row in gate.covariance]}
            return {"ellipse": {"x": x.name, "y": y.name, **shape, "distance_square": gate.distance_square}}
    return {"all_of": []}


def _boolean(gate: Boolean) -> dict[str, Any]:
    flips = [flip != (gate.operator == "not") for flip in gate.complement]
    names = [path.rsplit("/", 1)[1] for path in gate.operands]
    kept = [name for name, flip in zip(names, flips, strict=True) if not flip]
    negated = [name for name, flip in zip(names, flips, strict=True) if flip]
    if gate.operator == "or":
        return {"any_of": kept}
    return ({"all_of": kept} if kept else {}) | ({"not": negated} if negated else {})


def _declared(gate: Declared) -> dict[str, Any]:
    settings = {key: value for key, value in gate.settings.items() if key != "numbers" and value is not None}
    if gate.kind == "where":
        return {"where": spell_phenotype(settings["phenotype"])}
    if gate.kind == "threshold":
        return {settings.pop("side"): _rule(settings)}
    return {gate.kind: _rule(settings)}


def _rule(rule: Any) -> Any:
    if not isinstance(rule, Mapping):
        return list(rule) if isinstance(rule, tuple) else rule
    return {key: _rule(value) for key, value in rule.items() if key != "numbers"}


def _value(dimension: Dimension, value: float | None, numbers: str) -> float | None:
    if value is None or numbers == "display":
        return value
    return float(np.clip(off_axis(dimension, value), -_FARTHEST, _FARTHEST))


def _within_reach(gate: Polygon) -> Sequence[tuple[float, float]]:
    """Return the corners of a polygon; the sloping edge of an open corner is cut where numbers end, not bent."""
    if not is_corner(gate):
        return gate.vertices
    (x, out), (far, _), (_, edge), (_, y) = gate.vertices
    reach = [(on_axis(d, sign * _FARTHEST) for sign in (-1, 1)) for d in gate.dimensions]
    (_, most), (low, high) = (tuple(one) for one in reach)
    share = min(1.0, (most - x) / (far - x))
    if edge != y:
        share = min(share, ((high if edge > y else low) - y) / (edge - y))
    far, edge = x + share * (far - x), y + share * (edge - y)
    return ((x, out), (far, out), (far, edge), (x, y))
