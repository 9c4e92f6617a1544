"""What one strategy has that another has not, population after population, in instrument units."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from html import escape
from typing import Any

import pandas as pd

from immunolab.errors import InputError, Problem
from immunolab.events.transforms import scale_in_words
from immunolab.gating.borders import gate_borders, in_units, number
from immunolab.gating.gates import Boolean, Declared, Gate, Polygon, Population, PopulationTree, Rectangle
from immunolab.schema.gating import STRATEGY_CHANGES

_OTHERS = "default"  # the key of a strategy file for the scale of what it does not name
_FEW = 12  # changes that a repr shows; judgement: a screen's third


@dataclass(frozen=True)
class GateChange:
    """One difference.

    Attributes
    ----------
    change
        ``added``, ``removed``, ``renamed``, ``moved``, ``scale`` or ``rule``.
    population
        Its name; a marker for a rule, and for the scale on which data place borders.
    path
        Its path, after the change unless it was removed.
    marker
        Whose border moved, or whose scale is another; "" for a whole gate.
    before, after
        A border in instrument units; None for what is no number.
    words
        The same in words.
    """

    change: str
    population: str
    path: str
    words: str
    marker: str = ""
    before: float | None = None
    after: float | None = None

    def __str__(self) -> str:
        return f"{self.change} {self.population}: {self.words}" if self.words else f"{self.change} {self.population}"


@dataclass(frozen=True, repr=False)
class StrategyDiff:
    """The changes from one strategy to another; falsy where there is none.

    Attributes
    ----------
    before, after
        Names of the two.
    changes
        In the order of the second strategy, what was removed first.
    """

    before: str
    after: str
    changes: tuple[GateChange, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.changes)

    def __len__(self) -> int:
        return len(self.changes)

    @property
    def table(self) -> pd.DataFrame:
        """The changes as the table `STRATEGY_CHANGES`, numbers in instrument units."""
        rows = [vars(one) | {"path": one.path or None, "marker": one.marker or None} for one in self.changes]
        return STRATEGY_CHANGES.frame(rows)

    def __repr__(self) -> str:
        if not self.changes:
            return "StrategyDiff: no change"
        more = [f"and {len(self.changes) - _FEW} more: see .table"] if len(self.changes) > _FEW else []
        return "\n".join([f"StrategyDiff of {len(self.changes)}:", *map(str, self.changes[:_FEW]), *more])

    def _repr_html_(self) -> str:
        if not self.changes:
            return "<p>no change</p>"
        rows = "".join(
            f"<tr><td>{escape(c.change)}</td><td>{escape(c.population)}</td><td>{escape(c.words)}</td></tr>"
            for c in self.changes[:_FEW]
        )
        more = f"<p>and {len(self.changes) - _FEW} more: see .table</p>" if len(self.changes) > _FEW else ""
        return f"<table><tr><th>change</th><th>population</th><th>in instrument units</th></tr>{rows}</table>{more}"


def renamed_paths(before: PopulationTree, after: PopulationTree) -> dict[str, str]:
    """Return, for each population of the second tree, its path in the first one; those that are new are not in it.

    A population with another name is the same where its parent is the same and its gate too, and no other is like it.

    Parameters
    ----------
    before, after
        Two strategies.
    """
    old = {p.path: p for p in before.populations}
    found = {p.path: p.path for p in after.populations if p.path in old}
    for one in after.populations:
        if one.path in found:
            continue
        parent = found.get(one.parent_path, "" if not one.parent_path else None)
        if parent is None:
            continue
        free = [p for p in before.populations if p.path not in found.values() and p.parent_path == parent]
        alike = [p for p in free if p.name == one.name] or [p for p in free if same_gate(p.gate, one.gate, found)]
        if len(alike) == 1:
            found[one.path] = alike[0].path
    return found


def same_gate(before: Gate | None, after: Gate | None, was: dict[str, str]) -> bool:
    """Whether two gates are the same, where populations may be called otherwise.

    Parameters
    ----------
    before, after
        Gates of two strategies.
    was
        Path in the second to path in the first.
    """
    if isinstance(before, Boolean) and isinstance(after, Boolean):
        operands = tuple(was.get(path, path) for path in after.operands)
        return (before.operator, before.operands, before.complement) == (after.operator, operands, after.complement)
    return before == after


def check_strategy(given: Any) -> None:
    """Raise where something is no strategy.

    Parameters
    ----------
    given
        As the user gave it.

    Raises
    ------
    InputError
        With what to give instead.
    """
    if not isinstance(given, PopulationTree):
        hint = "give il.builtin_strategy(name), il.read_strategy(file), or gated.strategy"
        raise InputError(Problem("", "strategy", f"{type(given).__name__} is no strategy", hint))


def strategy_diff(before: PopulationTree, after: PopulationTree) -> StrategyDiff:
    """Return what was added, removed, renamed, moved and put on another scale from one strategy to another.

    Parameters
    ----------
    before, after
        Two strategies.

    Raises
    ------
    InputError
        One is none.
    """
    check_strategy(before)
    check_strategy(after)
    was = renamed_paths(before, after)
    old = {p.path: p for p in before.populations}
    gone = [p for p in before.populations if p.path not in was.values()]
    changes = [GateChange("removed", p.name, p.path, in_units(p.gate)) for p in gone]
    for one in after.populations:
        if one.path not in was:
            changes.append(GateChange("added", one.name, one.path, f"{in_units(one.gate)}, of {one.parent}"))
            continue
        first = old[was[one.path]]
        if first.name != one.name:
            changes.append(GateChange("renamed", one.name, one.path, f"was {first.name}"))
        if not same_gate(first.gate, one.gate, was):
            changes += _moves(first, one)
    return StrategyDiff(before.name, after.name, (*changes, *_scales(before, after), *_rules(before, after)))


def _moves(before: Population, after: Population) -> Iterator[GateChange]:
    """Yield a change for each border that moved, or one for the whole gate where it is of another shape."""
    old, new = ({(b.axis, b.side): b.value for b in gate_borders(p)} for p in (before, after))
    axes = [getattr(p.gate, "dimensions", ()) for p in (before, after)]
    if not old or old.keys() != new.keys() or axes[0] != axes[1]:
        words = f"{in_units(before.gate)} -> {in_units(after.gate)}"
        rescaled = list(_rescaled(before, after))
        if not rescaled or in_units(before.gate) != in_units(after.gate):
            yield GateChange("moved", after.name, after.path, words)
        yield from rescaled
        return
    gate = after.gate
    for (axis, side), value in new.items():
        first = old[axis, side]
        is_there = not (math.isnan(value) and math.isnan(first))  # a border that was not found has no place
        if value != first and is_there and isinstance(gate, Rectangle | Polygon):
            marker = gate.dimensions[axis].name
            # an upright edge that slides along the sloping one takes the corner with it
            place = " at the corner" if axis == 1 and isinstance(gate, Polygon) and _slid(before.gate, gate) else ""
            words = f"{marker}{place} from {number(first)} to {number(value)}"
            yield GateChange("moved", after.name, after.path, words, marker, first, value)


def _rescaled(before: Population, after: Population) -> Iterator[GateChange]:
    """Yield a change for each axis of two drawn gates that has another scale, where they are on the same channels."""
    old, new = (getattr(p.gate, "dimensions", ()) for p in (before, after))
    if [axis.name for axis in old] != [axis.name for axis in new]:
        return
    for first, axis in zip(old, new, strict=True):
        if first.transform != axis.transform:
            words = f"{axis.name} on {_scale(axis.transform)}, was on {_scale(first.transform)}"
            yield GateChange("scale", after.name, after.path, words, axis.name)


def _scales(before: PopulationTree, after: PopulationTree) -> Iterator[GateChange]:
    """Yield a change for each scale on which data place borders: by marker, of scatter, and of all others."""
    if not any(isinstance(p.gate, Declared) for p in after.populations):
        return
    old, new = (_named_scales(tree) for tree in (before, after))
    for name in dict.fromkeys((*old, *new)):
        if old.get(name) != new.get(name):
            marker = "" if name in ("scatter", _OTHERS) else name
            words = f"{_scale(new.get(name))}, was {_scale(old.get(name))}"
            yield GateChange("scale", name, "", words, marker)


def _named_scales(tree: PopulationTree) -> dict[str, Any]:
    settings = tree.settings.get("transform", {})
    named = {_OTHERS: settings.get("default"), "scatter": settings.get("scatter"), **settings.get("markers", {})}
    return {name: scale for name, scale in named.items() if scale is not None}


def _scale(transform: Any) -> str:
    return "the default" if transform is None else scale_in_words(transform)


def _slid(before: Gate | None, after: Polygon) -> bool:
    """Whether the corner of a gate moved along its sloping border, which is where it was."""
    if not isinstance(before, Polygon) or before.vertices[0][0] == after.vertices[0][0]:
        return False
    (x, y), (far, edge) = before.vertices[3], before.vertices[2]
    new_x, new_y = after.vertices[3]
    return math.isclose(y + (edge - y) / (far - x) * (new_x - x), new_y, rel_tol=1e-9, abs_tol=1e-12)


def _rules(before: PopulationTree, after: PopulationTree) -> Iterator[GateChange]:
    """Yield a change for each marker whose border data place by another rule."""
    if not any(isinstance(p.gate, Declared) for p in after.populations):
        return
    old, new = (tree.settings.get("thresholds", {}) for tree in (before, after))
    for marker in dict.fromkeys((*old, *new)):
        if old.get(marker) != new.get(marker):
            yield GateChange("rule", marker, "", f"{_rule(old.get(marker))} -> {_rule(new.get(marker))}", marker)


def _rule(rule: object) -> str:
    if not isinstance(rule, dict):
        return "the default"
    words = {key: value for key, value in rule.items() if key != "numbers"}
    return ", ".join(f"{key} {_rule(value) if isinstance(value, dict) else value}" for key, value in words.items())
