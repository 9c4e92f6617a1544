"""A border that data have yet to place, fixed at a value: the rule of its marker, or of its one gate."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from immunolab.errors import InputError
from immunolab.gating.changes.move_parts import Tree, bordered, fault, is_one, listed
from immunolab.gating.gates import Declared, Gate, Population, PopulationTree

# level of a phenotype -> the border that it needs
_LEVELS = {"pos": ("pos",), "neg": ("pos",), "hi": ("hi",), "lo": ("lo",), "int": ("pos", "hi")}
_GATE_FIRST = "gate a tube and move it there: il.gate(tube, strategy).move(...)"


def with_rule(tree: Tree, marker: str, to: Any, populations: Sequence[Population]) -> Tree:
    """Return the tree with a marker's border fixed where data would have placed it.

    Parameters
    ----------
    tree
        A strategy with gates that data have yet to place.
    marker
        Whose border.
    to
        Instrument units.
    populations
        Those whose gates have the border.

    Raises
    ------
    InputError
        The marker has several borders, the place is no number, or the border is one with that of other gates.
    """
    levels = {level for p in populations for level in _levels(p, marker)}
    if len(levels) > 1:
        raise _several(tree, marker, levels, populations)
    (level,) = levels
    pairs = [p for p in populations if _kind(p) not in ("where", "threshold")]
    if pairs:
        message = f"data place its border for {listed(p.name for p in pairs)} together with that of another channel"
        raise fault(tree, marker, message, _GATE_FIRST)
    if not is_one(to) or not math.isfinite(to):
        raise fault(tree, marker, f"{to!r} is not one finite number", f"give to=3000, or {_GATE_FIRST}")
    fixed = {"by": "fixed", "at": float(to), "numbers": "instrument"}
    if all(_kind(p) == "threshold" for p in populations):
        gates: dict[str, Gate] = {p.path: Declared("threshold", _place(p) | fixed) for p in populations}
        return replace(tree, populations=tuple(replace(p, gate=gates.get(p.path, p.gate)) for p in tree.populations))
    named = {p.path for p in populations}
    sharing = [p for p in tree.populations if level in _levels(p, marker) and p.path not in named]
    own = [p for p in populations if _kind(p) == "threshold"]
    if sharing or own:
        message = f"data place one border for {listed(p.name for p in populations)}"
        message += f" and for {listed(p.name for p in sharing)}" if sharing else ", by several rules"
        raise fault(tree, marker, message, f"move it for all of them, or {_GATE_FIRST}")
    thresholds = dict(tree.settings.get("thresholds", {}))
    thresholds[marker] = {**thresholds.get(marker, {}), level: fixed}
    return replace(tree, settings={**tree.settings, "thresholds": thresholds})


def _kind(population: Population) -> str:
    return population.gate.kind if isinstance(population.gate, Declared) else ""


def _levels(population: Population, marker: str) -> tuple[str, ...]:
    """Return the words of the borders that a gate has on a marker, where data have yet to place them."""
    gate = population.gate
    if not isinstance(gate, Declared) or marker not in bordered(population):
        return ()
    if gate.kind == "where":
        return _LEVELS[next(level for name, level in gate.settings["phenotype"] if name == marker)]
    if gate.kind == "threshold":
        return ("pos", "hi") if gate.settings.get("side") == "between" else ("pos",)
    return (gate.kind,)


def _place(population: Population) -> dict[str, Any]:
    gate = population.gate
    return {key: gate.settings[key] for key in ("marker", "side")} if isinstance(gate, Declared) else {}


def _several(tree: PopulationTree, marker: str, levels: set[str], populations: Sequence[Population]) -> InputError:
    owners = {level: [p.name for p in populations if level in _levels(p, marker)] for level in sorted(levels)}
    words = "; ".join(f"{level} ({', '.join(names)})" for level, names in owners.items())
    alone = [names for level, names in owners.items() if all(_levels(tree[name], marker) == (level,) for name in names)]
    hint = f"say which: move('{marker}', to=..., population={alone[0]!r})" if alone else _GATE_FIRST
    return fault(tree, marker, f"it has {len(levels)} borders: {words}", hint)
